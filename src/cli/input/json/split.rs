//! Cuts a JSON text into its rows: the objects that stand one after the other, or in an array.

use std::io::BufRead;

use super::super::reading;
use crate::error::{Error, ErrorKind, Result};

/// A row longer than this is an error, so that a bracket that is never closed does not fill the memory.
const ROW_BYTES: usize = 64 << 20;

/// Cuts a text into rows without reading more of it than the row takes.
pub(in super::super) struct Split<R> {
    source: R,
    line: u64,
    place: Place,
    depth: u32,
    in_string: bool,
    escaped: bool,
    ended: bool,
}

/// What may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    /// Objects one after the other.
    Loose,
    /// After `[` or `,` in the array.
    BeforeItem {
        /// Whether the array may end here.
        or_end: bool,
    },
    /// After an object in the array.
    AfterItem,
    /// After the array.
    End,
}

impl<R: BufRead> Split<R> {
    /// Cuts what `source` reads.
    pub(in super::super) fn new(source: R) -> Self {
        Self { source, line: 1, place: Place::Start, depth: 0, in_string: false, escaped: false, ended: false }
    }

    /// Whether the text has ended.
    pub(in super::super) fn at_end(&self) -> bool {
        self.ended
    }

    /// Whether an object has begun that has not ended.
    pub(in super::super) fn in_object(&self) -> bool {
        self.depth > 0
    }

    /// Appends the next row to `row`, and gives the line on which it begins; nothing at the end.
    pub(in super::super) fn next(&mut self, row: &mut Vec<u8>) -> Result<Option<u64>> {
        let Some(line) = self.find_row()? else { return Ok(None) };
        while self.copy_piece(row)? {
            if row.len() > ROW_BYTES {
                return Err(self.refuse("an object of more than 64 MiB is no row"));
            }
        }
        self.place = if self.place == Place::Loose { Place::Loose } else { Place::AfterItem };
        Ok(Some(line))
    }

    /// Goes to the next `{`, past what may stand before it.
    fn find_row(&mut self) -> Result<Option<u64>> {
        loop {
            let Some(&byte) = self.source.fill_buf().map_err(|error| reading(&error))?.first() else {
                self.ended = true;
                return match self.place {
                    Place::Start | Place::Loose | Place::End => Ok(None),
                    Place::BeforeItem { .. } | Place::AfterItem => Err(self.refuse("the array is cut off")),
                };
            };
            match (byte, self.place) {
                (b' ' | b'\t' | b'\r', _) => {}
                (b'\n', _) => self.line += 1,
                (b'{', Place::Start | Place::Loose) => {
                    self.place = Place::Loose;
                    return Ok(Some(self.line));
                }
                (b'{', Place::BeforeItem { .. }) => return Ok(Some(self.line)),
                (b'[', Place::Start) => self.place = Place::BeforeItem { or_end: true },
                (b',', Place::AfterItem) => self.place = Place::BeforeItem { or_end: false },
                (b']', Place::AfterItem | Place::BeforeItem { or_end: true }) => self.place = Place::End,
                (_, Place::AfterItem) => return Err(self.refuse("a comma is missing between two objects")),
                (_, Place::End) => return Err(self.refuse("something follows the array")),
                _ => return Err(self.refuse("there is something else than an object, which cannot be a row")),
            }
            self.source.consume(1);
        }
    }

    /// Copies what was read of an object; says whether more of it must follow.
    fn copy_piece(&mut self, row: &mut Vec<u8>) -> Result<bool> {
        let piece = self.source.fill_buf().map_err(|error| reading(&error))?;
        if piece.is_empty() {
            self.ended = true;
            return Err(self.refuse("an object is cut off"));
        }
        let mut used = piece.len();
        for (position, &byte) in piece.iter().enumerate() {
            self.line += u64::from(byte == b'\n');
            if self.in_string {
                let closes = byte == b'"' && !self.escaped;
                self.escaped = byte == b'\\' && !self.escaped;
                self.in_string = !closes;
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
            if self.depth == 0 {
                used = position + 1;
                break;
            }
        }
        row.extend_from_slice(&piece[..used]);
        self.source.consume(used);
        Ok(self.depth > 0)
    }

    fn refuse(&self, why: &str) -> Error {
        Error::new(ErrorKind::Input, format!("line {}: {why}", self.line)).with_hint(
            "a table is objects one after the other, or an array of them; `--serializer json` stores a document as it is",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn rows(text: &str, buffer: usize) -> Result<Vec<(u64, String)>> {
        let mut split = Split::new(BufReader::with_capacity(buffer, text.as_bytes()));
        let mut rows = Vec::new();
        let mut row = Vec::new();
        while let Some(line) = split.next(&mut row)? {
            rows.push((line, String::from_utf8(std::mem::take(&mut row)).unwrap()));
        }
        Ok(rows)
    }

    #[test]
    fn rows_are_cut_whatever_they_hold_and_however_they_arrive() {
        let loose = "{\"a\":\"}\\\"{\"}\n\n {\"b\":[{},[1]]}{}";
        let array = " [ {\"a\":\"}\\\"{\"} ,\n\n{\"b\":[{},[1]]},{} ]\n";
        for buffer in [1, 2, 3, 7, 4096] {
            let expected = [(1, "{\"a\":\"}\\\"{\"}".to_owned()), (3, "{\"b\":[{},[1]]}".into()), (3, "{}".into())];
            assert_eq!(rows(loose, buffer).unwrap(), expected, "{buffer}");
            assert_eq!(rows(array, buffer).unwrap(), expected, "{buffer}");
        }
        assert_eq!(rows("[]", 8).unwrap(), []);
        assert_eq!(rows("", 8).unwrap(), []);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, why) in [
            ("{}\n5", "line 2: there is something else"),
            ("[{},\n5]", "line 2: there is something else"),
            ("[{} {}]", "comma"),
            ("[{},]", "something else"),
            ("[{}", "the array is cut off"),
            ("{\"a\":\n1", "line 2: an object is cut off"),
            ("[{}] {}", "follows"),
        ] {
            let error = rows(text, 4).unwrap_err();
            assert!(error.message().contains(why), "{text}: {error}");
        }
    }
}
