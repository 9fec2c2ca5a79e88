//! Standard output: only data goes there.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::failure::{Failure, Outcome};
use crate::error::Error;

/// Writes bytes as they are.
pub(super) fn write_all(bytes: &[u8]) -> Outcome {
    let mut output = io::stdout().lock();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(|error| Failure::writing(&error))
}

/// Writes text that is safe to show.
pub(super) fn print(text: &str) -> Outcome {
    write_all(text.as_bytes())
}

/// Writes one JSON document: with line breaks for people, in one line for programs.
pub(super) fn print_json(value: &impl Serialize) -> Outcome {
    let pretty = io::stdout().is_terminal();
    let text = if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    let text = text.map_err(|error| Error::internal(format!("this cannot be written as JSON: {error}")))?;
    print(&format!("{}\n", harmless_json(&text)))
}

/// The same JSON with every character escaped that could control a terminal; JSON itself escapes only those below 32.
pub(super) fn harmless_json(text: &str) -> String {
    let controls = |character: char| matches!(character, '\u{7f}'..='\u{9f}');
    if !text.contains(controls) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, character| {
        if controls(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
        escaped
    })
}

/// Says something to people, on standard error.
pub(super) fn note(text: &str) {
    // Where standard error is closed, nobody listens.
    let _ = writeln!(io::stderr(), "{}", super::terminal::escape_lines(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_json() {
        let text = serde_json::to_string("a\u{9b}b\u{1b}").unwrap();
        let escaped = harmless_json(&text);
        assert_eq!(escaped, "\"a\\u009bb\\u001b\"");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), "a\u{9b}b\u{1b}");
    }
}
