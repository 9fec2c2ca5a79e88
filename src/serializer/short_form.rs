//! Short forms of serializers: `name[(argument)][/rest]`, such as `parquet/zstd(3)` or `compressed(gzip)/json`.

use crate::error::{Error, Result};

/// A short form, taken apart: the name, what stands in brackets after it, and what follows the slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortForm<'a> {
    pub(super) name: &'a str,
    pub(super) argument: Option<&'a str>,
    pub(super) rest: Option<&'a str>,
}

impl<'a> ShortForm<'a> {
    /// Takes `text` apart at its first slash outside brackets.
    pub(super) fn parse(text: &'a str) -> Result<Self> {
        let end = text.find(['/', '(']).unwrap_or(text.len());
        let (name, tail) = text.split_at(end);
        let (argument, tail) = match tail.strip_prefix('(') {
            None => (None, tail),
            Some(inside) => match split_at_closing(inside) {
                Some((argument, tail)) => (Some(argument.trim()), tail),
                None => return Err(malformed(text, "a bracket is not closed")),
            },
        };
        let rest = match tail.strip_prefix('/') {
            Some("") => return Err(malformed(text, "nothing follows the slash")),
            Some(rest) => Some(rest),
            None if tail.is_empty() => None,
            None => return Err(malformed(text, &format!("`{}` cannot stand there", tail.escape_debug()))),
        };
        if name.is_empty() {
            return Err(malformed(text, "it has no name"));
        }
        Ok(Self { name, argument, rest })
    }

    /// The argument as a level.
    pub(super) fn level(&self) -> Result<Option<i64>> {
        self.argument.map(|text| text.parse().map_err(|_| malformed(text, "a level is a whole number"))).transpose()
    }

    /// Refuses what a serializer without settings cannot have.
    pub(super) fn bare(&self) -> Result<()> {
        match (self.argument, self.rest) {
            (None, None) => Ok(()),
            _ => Err(malformed(self.name, "it takes nothing in brackets and nothing after a slash")),
        }
    }
}

/// What stands inside a bracket that was just opened, and what follows it.
fn split_at_closing(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    for (position, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((text.get(..position)?, text.get(position + 1..)?));
        }
    }
    None
}

pub(super) fn malformed(text: &str, why: &str) -> Error {
    Error::invalid(format!("`{}` is no short form of a serializer: {why}", text.escape_debug())).with_hint(
        "short forms are parquet[(fast|small)][/codec[(level)]], arrow[/codec[(level)]], json, bytes[(media/type)] \
         and compressed[(codec)]/<inner>",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_taken_apart() {
        let parse = |text| ShortForm::parse(text).map(|form| (form.name, form.argument, form.rest));
        assert_eq!(parse("json").unwrap(), ("json", None, None));
        assert_eq!(parse("parquet/zstd(3)").unwrap(), ("parquet", None, Some("zstd(3)")));
        assert_eq!(parse("bytes(text/csv)").unwrap(), ("bytes", Some("text/csv"), None));
        assert_eq!(parse("compressed(xz(9))/json").unwrap(), ("compressed", Some("xz(9)"), Some("json")));
        assert_eq!(parse("compressed(xz)/arrow/lz4").unwrap(), ("compressed", Some("xz"), Some("arrow/lz4")));
        for text in ["", "/x", "a(", "a(b)c", "a/", "(x)", "a(b(c)", "a(b))"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
