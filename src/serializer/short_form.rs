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
            Some(inside) => match split_closing(inside) {
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

/// What stands before the bracket that closes, and what after it; a bracket inside may hold a codec's level.
fn split_closing(inside: &str) -> Option<(&str, &str)> {
    let mut open = 0_usize;
    let end = inside.find(|character| match character {
        '(' => {
            open += 1;
            false
        }
        ')' if open == 0 => true,
        ')' => {
            open -= 1;
            false
        }
        _ => false,
    })?;
    inside.split_at_checked(end).map(|(argument, rest)| (argument, rest.get(1..).unwrap_or_default()))
}

pub(super) fn malformed(text: &str, why: &str) -> Error {
    Error::invalid(format!("`{}` is no short form of a serializer: {why}", text.escape_debug())).with_hint(
        "short forms are parquet[/codec[(level)]], arrow[/codec[(level)]], json, bytes[(media/type)] and \
         compressed[(codec)]/<inner>",
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
