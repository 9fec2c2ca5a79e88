//! What a terminal can show: how wide it is, how wide text is, and text that cannot control it.

use std::io::{self, IsTerminal, Write};

/// The columns of the terminal that standard output is, if it is one.
pub(super) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    Some(console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns)))
}

/// How many columns `text` takes.
pub(super) fn width_of(text: &str) -> usize {
    console::measure_text_width(text)
}

/// `text`, with an ellipsis if it takes more than `width` columns.
pub(super) fn shorten(text: &str, width: usize) -> String {
    console::truncate_str(text, width, "…").into_owned()
}

/// Whether a character may control a terminal, or reorder what it shows.
fn controls(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// `text` as one line that a terminal shows as it is.
pub(super) fn escape(text: &str) -> String {
    if !text.contains(controls) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, character| {
        if controls(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
        escaped
    })
}

/// As [`escape`], for text of several lines.
pub(super) fn escape_lines(text: &str) -> String {
    text.split('\n').map(escape).collect::<Vec<_>>().join("\n")
}

/// Writes text to a terminal, escaping what could control it.
pub(super) struct Harmless<W> {
    inner: W,
    // The first byte of a control character of two bytes; what follows it decides.
    held: bool,
}

impl<W: Write> Harmless<W> {
    /// Writes to `inner`.
    pub(super) fn new(inner: W) -> Self {
        Self { inner, held: false }
    }
}

impl<W: Write> Write for Harmless<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let mut escaped = Vec::with_capacity(text.len() + 16);
        for &byte in text {
            if std::mem::take(&mut self.held) {
                if (0x80..0xa0).contains(&byte) {
                    escaped.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                    continue;
                }
                escaped.push(0xc2);
            }
            match byte {
                0xc2 => self.held = true,
                b'\n' | b'\t' => escaped.push(byte),
                0..0x20 | 0x7f => escaped.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => escaped.push(byte),
            }
        }
        self.inner.write_all(&escaped)?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_sent() {
        assert_eq!(escape("plain żółć 日本"), "plain żółć 日本");
        assert_eq!(escape("a\u{1b}[31mb\n\u{9b}c\u{202e}"), "a\\u{1b}[31mb\\n\\u{9b}c\\u{202e}");
        assert_eq!(escape_lines("a\nb\r"), "a\nb\\r");
    }

    #[test]
    fn a_writer_escapes_across_pieces() {
        let mut shown = Vec::new();
        let mut writer = Harmless::new(&mut shown);
        for piece in [&b"a\x1b[2J\n"[..], b"\xc2", b"\x9b", b"\xc2\xa7 \x7f"] {
            writer.write_all(piece).unwrap();
        }
        assert_eq!(String::from_utf8(shown).unwrap(), "a\\u001b[2J\n\\u009b§ \\u007f");
    }

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(width_of("日本"), 4);
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(width_of(&shorten("日本日本", 5)), 5);
    }
}
