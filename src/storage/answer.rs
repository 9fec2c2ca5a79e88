//! What a server of objects answered, read out of object_store's error.
//!
//! The library's error for an answer has no type outside it; its chain of texts has a fixed form. Servers put into their
//! answers what they were sent: the string that was signed, the key's name, headers. Of an answer's body only its code
//! and the first line of its message are kept.

use std::error::Error as StdError;
use std::io;

use super::failure::scrubbed;
use super::meaning;
use crate::error::{Error, ErrorKind};

const STATUS: &str = "Server returned non-2xx status code: ";
const RESPONSE: &str = "Server returned error response: ";
const REDIRECT: &str = "Received redirect without LOCATION";
const TRANSPORT: &str = "HTTP error: ";
const LONGEST_MESSAGE: usize = 300;

/// A request that failed on its way or at the server.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The request: method and URL, without its query.
    pub(super) request: String,
    pub(super) retries: Option<String>,
    /// The HTTP status, if there was one.
    pub(super) status: Option<u16>,
    /// The status and its name.
    pub(super) status_line: String,
    /// The code in the body, as the server's protocol names its errors.
    pub(super) code: String,
    /// The message in the body.
    pub(super) message: String,
    /// Whether the request was of no object: a listing, as a rule.
    pub(super) of_no_object: bool,
    /// What failed before an answer came.
    pub(super) transport: Option<String>,
    /// The kind of the operating system's error under it.
    pub(super) cause: Option<io::ErrorKind>,
}

impl Answer {
    /// The answer in an error's chain, if it is of a request to a server.
    pub(super) fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut parent = String::new();
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            if let Some(answer) = Self::read(&text, error) {
                let (request, retries) = request(parent.strip_suffix(text.as_str()).unwrap_or_default());
                return Some(Self { request, retries, ..answer });
            }
            parent = text;
            next = error.source();
        }
        None
    }

    fn read(text: &str, error: &(dyn StdError + 'static)) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(STATUS) {
            let (line, body) = rest.split_once(": ").unwrap_or((rest.trim_end_matches(':'), ""));
            let (code, message) = told(body);
            let status = line.split(' ').next().and_then(|number| number.parse().ok());
            return Some(Self { status, status_line: line.to_owned(), code, message, ..Self::default() });
        }
        if let Some(body) = text.strip_prefix(RESPONSE) {
            let (code, message) = told(body);
            return Some(Self { status_line: "an error".into(), code, message, ..Self::default() });
        }
        if text.starts_with(REDIRECT) {
            let status_line = "a redirection to nowhere".to_owned();
            return Some(Self { status: Some(301), status_line, ..Self::default() });
        }
        text.starts_with(TRANSPORT).then(|| Self {
            transport: Some(deepest(error)),
            cause: io_cause(error),
            ..Self::default()
        })
    }

    /// Whether a bucket or container is missing, rather than an object in it.
    pub(super) fn misses_bucket(&self) -> bool {
        let message = self.message.to_ascii_lowercase();
        ["NoSuchBucket", "ContainerNotFound", "FilesystemNotFound"].contains(&self.code.as_str())
            || (self.status == Some(404)
                && (self.of_no_object || (message.contains("bucket") && message.contains("not exist"))))
    }

    /// It as our error: what happened to which request, what it means, and which setting to look at.
    pub(super) fn into_error(self, kind: ErrorKind) -> Error {
        let (kind, hint) = meaning::of(&self, kind);
        let mut text = self.request.clone();
        match &self.transport {
            Some(transport) => text.push_str(&format!(": {}", clean(transport))),
            None => text.push_str(&format!(" was answered with {}", self.status_line)),
        }
        for part in [&self.code, &self.message] {
            if !part.is_empty() && !text.contains(part.as_str()) {
                text.push_str(&format!(": {part}"));
            }
        }
        if let Some(retries) = &self.retries {
            text.push_str(&format!(" ({retries})"));
        }
        let error = Error::new(kind, meaning::introduced(&self, &text));
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// Method and URL of `Error performing GET http://… in 1s, after 3 retries, max_retries: …`, and the retries.
fn request(text: &str) -> (String, Option<String>) {
    let text = text.rsplit_once("Error performing ").map_or(text, |(_, rest)| rest);
    let (request, rest) = text.split_once(" in ").unwrap_or((text, ""));
    let retries = rest.split_once(", after ").and_then(|(took, rest)| {
        let count = rest.split(' ').next()?;
        let word = if count == "1" { "retry" } else { "retries" };
        Some(format!("after {count} {word} in {}", rounded(took)))
    });
    // The library hides a URL that is signed by itself.
    let request = match scrubbed(request.trim().trim_end_matches(" REDACTED")) {
        unknown if unknown.is_empty() => "the request".to_owned(),
        known => known.trim_end_matches("?…").to_owned(),
    };
    (request, retries)
}

/// `206.21432ms` with one digit after the point.
fn rounded(took: &str) -> String {
    let Some((whole, rest)) = took.split_once('.') else { return took.to_owned() };
    let unit = rest.trim_start_matches(|character: char| character.is_ascii_digit());
    format!("{whole}.{}{unit}", rest.chars().take(1).filter(char::is_ascii_digit).collect::<String>())
}

fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}

fn io_cause(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

/// Code and message of a body, which is XML, JSON, or nothing that may be shown.
fn told(body: &str) -> (String, String) {
    let (code, message) = match body.trim_start().chars().next() {
        Some('{') => of_json(body).unwrap_or_default(),
        Some('<' | '\u{feff}') => (element(body, "Code"), element(body, "Message")),
        _ => Default::default(),
    };
    let is_code = |character: char| character.is_ascii_alphanumeric() || "._-".contains(character);
    let code = if code.chars().all(is_code) && code.len() < 100 { code } else { String::new() };
    (code, clean(&message))
}

fn element(body: &str, name: &str) -> String {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let inside = body.split_once(&start).and_then(|(_, rest)| rest.split_once(&end));
    let text = inside.map_or("", |(text, _)| text);
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

fn of_json(body: &str) -> Option<(String, String)> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let error = body.get("error").unwrap_or(&body);
    if error.is_string() {
        return Some((text(error), text(body.get("error_description").unwrap_or(&serde_json::Value::Null))));
    }
    let reason = error.pointer("/errors/0/reason").or_else(|| error.get("status")).or_else(|| error.get("code"));
    Some((reason.map(text).unwrap_or_default(), error.get("message").map(text).unwrap_or_default()))
}

/// The first line of a message, of bounded length, without what looks like a credential.
fn clean(message: &str) -> String {
    const SECRETS: [&str; 8] =
        ["signature=", "sig=", "accesskeyid", "credential=", "token=", "authorization", "bearer", "sharedkey"];
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    let mut after_scheme = false;
    for word in scrubbed(line).split_whitespace() {
        let folded = word.to_ascii_lowercase();
        let assigned = ["=", ":"].iter().any(|sign| folded.trim_end_matches(['.', ',']).contains(sign));
        let is_secret = SECRETS.iter().any(|secret| folded.contains(secret)) && assigned;
        words.push(if is_secret || after_scheme { "…".to_owned() } else { word.to_owned() });
        after_scheme = ["bearer", "sharedkey", "authorization:"].contains(&folded.as_str());
    }
    words.join(" ").chars().take(LONGEST_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_and_message_of_a_body_are_kept() {
        let body = "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code><Message>They &lt;do not&gt; match.\n\
                    Time: x</Message><AWSAccessKeyId>AKIAHUSH</AWSAccessKeyId><StringToSign>HUSH</StringToSign></Error>";
        assert_eq!(told(body), ("SignatureDoesNotMatch".into(), "They <do not> match.".into()));
        let body =
            "{\"error\": {\"code\": 403, \"message\": \"no access\", \"errors\": [{\"reason\": \"forbidden\"}]}}";
        assert_eq!(told(body), ("forbidden".into(), "no access".into()));
        let body = "{\"error\": \"invalid_grant\", \"error_description\": \"Invalid JWT Signature.\"}";
        assert_eq!(told(body), ("invalid_grant".into(), "Invalid JWT Signature.".into()));
        for body in ["<html><body>HUSH</body></html>", "HUSH", "", "{HUSH", "<Code>HU SH</Code>"] {
            assert_eq!(told(body), (String::new(), String::new()), "{body}");
        }
    }

    #[test]
    fn a_message_that_repeats_a_credential_is_cut() {
        for message in [
            "bad Signature=HUSH here",
            "Authorization: HUSH was sent",
            "header Authorization: Bearer HUSH",
            "SharedKey HUSH is wrong",
            "see https://host/x?sig=HUSH",
            "AWSAccessKeyId=HUSH",
        ] {
            assert!(!clean(message).contains("HUSH"), "{}", clean(message));
        }
        assert_eq!(clean("The Authorization header is malformed."), "The Authorization header is malformed.");
        assert_eq!(clean(&"x".repeat(10_000)).len(), LONGEST_MESSAGE);
    }

    #[test]
    fn retries_stay_and_the_query_does_not() {
        let text = "Error performing list request: Error performing GET http://h/b?prefix=HUSH in 1.53211s, after 2 retries, \
                    max_retries: 2, retry_timeout: 180s  - ";
        assert_eq!(request(text), ("GET http://h/b".into(), Some("after 2 retries in 1.5s".into())));
        assert_eq!(request("Error performing PUT REDACTED in 1ms - "), ("PUT".into(), None));
        assert_eq!(request(""), ("the request".into(), None));
    }
}
