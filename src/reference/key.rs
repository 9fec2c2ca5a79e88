//! The names users give to results, and how they are spelled on a storage.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const MAX_SEGMENTS: usize = 64;
const MAX_SEGMENT_BYTES: usize = 200;
const MAX_BYTES: usize = 700;

/// A path-like name that the user chooses: `etl/2026-11-20/trips`.
///
/// One to 64 segments of any text, joined by `/`. A segment may not be empty, `.` or `..`, hold control characters or
/// start with `@`; a key may not end in `@` and digits, because `KEY@3` means version 3 of `KEY`.
///
/// ```
/// use coldframe::Key;
///
/// let key: Key = "reports/100% [x]*?".parse()?;
/// assert_eq!(key.encoded(), "reports/100%25 %5Bx%5D%2A%3F");
/// assert_eq!(Key::decode(&key.encoded())?, key);
/// assert!("a//b".parse::<Key>().is_err());
/// # Ok::<(), coldframe::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

impl Key {
    /// Checks `text` and makes it a key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) with the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self> {
        let refuse = |why: String| {
            Err(Error::invalid(format!("`{}` cannot be a key: {why}", text.escape_debug()))
                .with_hint("a key looks like etl/2026-11-20/trips: segments of text joined by single slashes"))
        };
        if text.is_empty() {
            return refuse("it is empty".into());
        }
        let segments: Vec<&str> = text.split('/').collect();
        if segments.len() > MAX_SEGMENTS {
            return refuse(format!("it has {} segments, {MAX_SEGMENTS} are allowed", segments.len()));
        }
        let mut encoded_bytes = segments.len() - 1;
        for segment in &segments {
            if let Some(why) = fault(segment) {
                return refuse(why);
            }
            let bytes = encode_segment(segment).len();
            if bytes > MAX_SEGMENT_BYTES {
                return refuse(format!("a segment takes {bytes} bytes encoded, {MAX_SEGMENT_BYTES} are allowed"));
            }
            encoded_bytes += bytes;
        }
        if encoded_bytes > MAX_BYTES {
            return refuse(format!("it takes {encoded_bytes} bytes encoded, {MAX_BYTES} are allowed"));
        }
        if let Some((_, digits)) = text.rsplit_once('@')
            && !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
        {
            return refuse(format!("`@{digits}` at its end would mean version {digits} of a key"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The key as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as it is spelled in object names: all but `A-Za-z0-9 ._=+,-` and non-ASCII is percent-encoded, and so
    /// are a space at either end of a segment and a dot at its end.
    pub fn encoded(&self) -> String {
        let segments: Vec<String> = self.0.split('/').map(encode_segment).collect();
        segments.join("/")
    }

    /// Reads what [`Key::encoded`] wrote, and nothing else: there is one spelling of each key.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if `encoded` is no such spelling.
    pub fn decode(encoded: &str) -> Result<Self> {
        let bytes = percent_decode(encoded);
        String::from_utf8(bytes)
            .ok()
            .and_then(|text| Self::parse(&text).ok())
            .filter(|key| key.encoded() == encoded)
            .ok_or_else(|| Error::damaged(format!("`{}` is not the name of a key", encoded.escape_debug())))
    }
}

fn fault(segment: &str) -> Option<String> {
    if segment.is_empty() {
        Some("it has an empty segment (a slash at an end, or two in a row)".into())
    } else if segment == "." || segment == ".." {
        Some(format!("`{segment}` is not a name"))
    } else if segment.starts_with('@') {
        Some("a segment starts with `@`, which is reserved".into())
    } else {
        let control = segment.chars().find(|character| character.is_control())?;
        Some(format!("it holds the control character {}", control.escape_unicode()))
    }
}

fn encode_segment(segment: &str) -> String {
    let last = segment.len() - 1;
    let mut encoded = String::with_capacity(segment.len());
    for (position, character) in segment.char_indices() {
        let at_an_end = position == 0 || position == last;
        let kept = match character {
            ' ' => !at_an_end,
            '.' => position != last,
            _ => !character.is_ascii() || character.is_ascii_alphanumeric() || "_=+,-".contains(character),
        };
        if kept {
            encoded.push(character);
        } else {
            encoded.push_str(&format!("%{:02X}", u32::from(character)));
        }
    }
    encoded
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let hex = |position: usize| bytes.get(position).and_then(|digit| char::from(*digit).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        match (byte, hex(position + 1), hex(position + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(byte));
                position += 3;
            }
            _ => {
                decoded.push(byte);
                position += 1;
            }
        }
    }
    decoded
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Key {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<&String> for Key {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl TryFrom<&Key> for Key {
    type Error = Error;

    fn try_from(key: &Key) -> Result<Self> {
        Ok(key.clone())
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn odd_but_legal_keys() {
        for text in [
            "100% [x]*?",
            "a b/c",
            "żółć/日本",
            "a",
            "a/b",
            "Trips",
            " lead",
            "trail ",
            "dot.",
            ".hidden",
            "x@y",
            "%41",
        ] {
            let key = Key::parse(text).unwrap();
            let encoded = key.encoded();
            assert_eq!(Key::decode(&encoded).unwrap(), key, "{encoded}");
            assert!(!encoded.ends_with('.') && !encoded.starts_with(' ') && !encoded.ends_with(' '), "{encoded}");
        }
    }

    #[test]
    fn refused_keys_say_why() {
        for (text, why) in [
            ("", "empty"),
            ("/a", "empty segment"),
            ("a/", "empty segment"),
            ("a//b", "empty segment"),
            ("a/./b", "not a name"),
            ("..", "not a name"),
            ("a\nb", "control character"),
            ("@x", "reserved"),
            ("a/@/b", "reserved"),
            ("a@3", "version 3"),
        ] {
            let error = Key::parse(text).unwrap_err();
            assert!(error.message().contains(why), "{text:?}: {error}");
        }
        assert!(Key::parse(&"x".repeat(201)).is_err());
        assert!(Key::parse(&vec!["x"; 65].join("/")).is_err());
        assert!(Key::parse(&vec!["x".repeat(199); 4].join("/")).is_err());
    }

    #[test]
    fn only_one_spelling_of_each_key() {
        for text in ["%41", "a%2fb", "a%2", "100%", "a*b", "%FF", "a/", "%2e"] {
            assert!(Key::decode(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_round_trips(text in "\\PC{1,20}(/\\PC{1,20}){0,3}") {
            if let Ok(key) = Key::parse(&text) {
                let encoded = key.encoded();
                prop_assert_eq!(Key::decode(&encoded).unwrap(), key);
                prop_assert!(object_store::path::Path::parse(&encoded).unwrap().as_ref() == encoded);
            }
        }

        #[test]
        fn decoding_never_panics(text in "\\PC{0,40}") {
            let _ = Key::decode(&text);
        }
    }
}
