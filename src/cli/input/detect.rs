//! Tells from the beginning of a file what it is.

use arrow::ipc::{MessageHeader, root_as_message};

use super::json::Split;
use crate::error::{Error, ErrorKind, Result};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An Apache Parquet file.
    Parquet,
    /// An Arrow file.
    ArrowFile,
    /// An Arrow stream.
    ArrowStream,
    /// Values separated by this byte, with a header line.
    Csv {
        /// The separator.
        delimiter: u8,
    },
    /// JSON objects, one row each.
    Rows,
    /// A JSON value.
    Document,
    /// Bytes, whatever they are.
    Bytes,
}

/// What some programs put before text in UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Of two that the header has as many of, the last one separates.
const DELIMITERS: [u8; 3] = *b",;\t";

/// What a file is that begins with `sample`; `whole` where that is all of it.
pub(super) fn detect(sample: &[u8], whole: bool) -> Result<Kind> {
    if sample.is_empty() {
        return Err(no_table("it is empty", None));
    }
    if sample.starts_with(b"PAR1") {
        return Ok(Kind::Parquet);
    }
    if is_arrow_file(sample) {
        return Ok(Kind::ArrowFile);
    }
    if is_arrow_stream(sample) {
        return Ok(Kind::ArrowStream);
    }
    if let Some((what, hint)) = known_other(sample) {
        return Err(no_table(what, Some(hint)));
    }
    if !is_text(sample, whole) {
        return Err(no_table("its content is of no kind that coldframe knows", None));
    }
    if looks_like_json(sample) {
        return Ok(json_kind(sample, whole));
    }
    if whole && serde_json::from_slice::<serde::de::IgnoredAny>(without_mark(sample)).is_ok() {
        return Ok(Kind::Document);
    }
    match delimiter(sample) {
        Some(delimiter) if is_regular(sample, delimiter, whole) => Ok(Kind::Csv { delimiter }),
        _ => Err(no_table("it looks like text, not like a table", Some("if it is CSV, say `--format csv`"))),
    }
}

fn no_table(why: &str, hint: Option<&str>) -> Error {
    let store = "`--serializer bytes` stores any file as it is";
    let hint = hint.map_or_else(|| store.to_owned(), |hint| format!("{hint}; {store}"));
    Error::new(ErrorKind::InvalidInput, format!("this is no table: {why}")).with_hint(hint)
}

/// Whether it begins as an Arrow file does.
pub(super) fn is_arrow_file(sample: &[u8]) -> bool {
    sample.starts_with(b"ARROW1")
}

fn is_arrow_stream(sample: &[u8]) -> bool {
    let Some((first, rest)) = sample.split_first_chunk::<4>() else { return false };
    if *first == [0xff; 4] {
        return true;
    }
    // Before version 0.15, a stream began with the length of its first message at once.
    let length = usize::try_from(i32::from_le_bytes(*first)).unwrap_or(0);
    length > 0
        && rest.get(..length).is_some_and(|message| {
            root_as_message(message).is_ok_and(|message| message.header_type() == MessageHeader::Schema)
        })
}

fn known_other(sample: &[u8]) -> Option<(&'static str, &'static str)> {
    let kinds: [(&[u8], &str, &str); 7] = [
        (b"\x1f\x8b", "it is compressed (gzip)", "`gunzip -c FILE | coldframe put KEY -`"),
        (b"\x28\xb5\x2f\xfd", "it is compressed (zstd)", "`zstdcat FILE | coldframe put KEY -`"),
        (b"PK\x03\x04", "it is a ZIP archive, such as a spreadsheet", "unpack it, or save the sheet as CSV"),
        (b"FEA1", "it is a Feather file of version 1", "write it again as Arrow or Parquet"),
        (b"PARE", "it is an encrypted Parquet file", "decrypt it first"),
        (b"\xff\xfe", "it is text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE | coldframe put KEY -`"),
        (b"\xfe\xff", "it is text in UTF-16", "`iconv -f UTF-16 -t UTF-8 FILE | coldframe put KEY -`"),
    ];
    kinds.into_iter().find(|(magic, ..)| sample.starts_with(magic)).map(|(_, what, hint)| (what, hint))
}

fn is_text(sample: &[u8], whole: bool) -> bool {
    let controls = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    if sample.iter().any(controls) {
        return false;
    }
    match std::str::from_utf8(sample) {
        Ok(_) => true,
        // A character may be cut where the sample ends.
        Err(error) => !whole && error.error_len().is_none(),
    }
}

fn without_mark(sample: &[u8]) -> &[u8] {
    sample.strip_prefix(BYTE_ORDER_MARK).unwrap_or(sample)
}

/// Whether it begins as a JSON object or array does.
pub(super) fn looks_like_json(sample: &[u8]) -> bool {
    matches!(without_mark(sample).trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Objects in an array, or more than one of them, are rows; everything else is a value.
fn json_kind(sample: &[u8], whole: bool) -> Kind {
    let sample = without_mark(sample);
    let array = sample.trim_ascii_start().starts_with(b"[");
    let mut split = Split::new(sample);
    let mut row = Vec::new();
    for number in 0_u64.. {
        row.clear();
        match split.next(&mut row) {
            Ok(Some(_)) if !array && number == 1 => return Kind::Rows,
            Ok(Some(_)) => {}
            Ok(None) if whole => return if array && number > 0 { Kind::Rows } else { Kind::Document },
            // The sample ends here, and so far all was well.
            Ok(None) | Err(_) if !whole && split.at_end() => {
                return if array && (number > 0 || split.in_object()) { Kind::Rows } else { Kind::Document };
            }
            Ok(None) | Err(_) => return Kind::Document,
        }
    }
    Kind::Document
}

/// The separator that the first line has most of.
pub(super) fn delimiter(sample: &[u8]) -> Option<u8> {
    let first = records(without_mark(sample)).next().map(|(record, _)| record)?;
    let most = DELIMITERS.into_iter().max_by_key(|delimiter| fields(first, *delimiter))?;
    (fields(first, most) > 1).then_some(most)
}

/// Whether the first lines have as many fields as the header.
fn is_regular(sample: &[u8], delimiter: u8, whole: bool) -> bool {
    let mut lines = records(without_mark(sample)).filter(|(_, complete)| *complete || whole).map(|(record, _)| record);
    let Some(header) = lines.next() else { return false };
    match lines.next() {
        Some(first) => fields(first, delimiter) == fields(header, delimiter),
        // A line of prose has spaces after its commas, a header has none.
        None => !header.windows(2).any(|pair| pair == [delimiter, b' ']),
    }
}

/// The records of a text, and whether each is complete; blank ones are left out.
fn records(text: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let mut quoted = false;
            let end = rest.iter().position(|&byte| {
                quoted ^= byte == b'"';
                byte == b'\n' && !quoted
            });
            let (record, complete) = end.map_or((rest, false), |end| (&rest[..end], true));
            rest = &rest[record.len() + usize::from(complete)..];
            let record = record.strip_suffix(b"\r").unwrap_or(record);
            if !record.is_empty() {
                return Some((record, complete));
            }
        }
        None
    })
}

fn fields(record: &[u8], delimiter: u8) -> usize {
    let mut quoted = false;
    let separators = record.iter().filter(|&&byte| {
        quoted ^= byte == b'"';
        byte == delimiter && !quoted
    });
    separators.count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_tells_what_it_is() {
        let csv = |delimiter| Kind::Csv { delimiter };
        for (sample, kind) in [
            (&b"PAR1\x15\x04"[..], Kind::Parquet),
            (b"ARROW1\0\0\xff\xff\xff\xff", Kind::ArrowFile),
            (b"\xff\xff\xff\xff\x10\0\0\0", Kind::ArrowStream),
            (b"a,b\n1,2\n", csv(b',')),
            (b"\xef\xbb\xbfa,b\r\n1,2\r\n", csv(b',')),
            (b"a,b\n", csv(b',')),
            (b"a\tb,c\n1\t2\n", csv(b'\t')),
            (b"a;b\n1,5;2,5\n", csv(b';')),
            (b"\"x,\ny\",b\n1,2", csv(b',')),
            (b"{\"a\":1}\n{\"a\":2}\n", Kind::Rows),
            (b"{\n \"a\": 1\n}\n{\"a\":2}", Kind::Rows),
            (b"[{\"a\":1},{\"a\":2}]", Kind::Rows),
            (b"{\"a\":1}\n", Kind::Document),
            (b"[]", Kind::Document),
            (b"[1,2]", Kind::Document),
            (b"[{\"a\":1},5]", Kind::Document),
            (b" {\"a\": [1, 2]} ", Kind::Document),
            (b"42\n", Kind::Document),
            (b"\"text\"", Kind::Document),
        ] {
            assert_eq!(detect(sample, true).unwrap(), kind, "{}", String::from_utf8_lossy(sample));
        }
    }

    #[test]
    fn what_is_cut_is_told_as_well() {
        assert_eq!(detect(b"[{\"a\":1},{\"a", false).unwrap(), Kind::Rows);
        assert_eq!(detect(b"[{\"a\":[1,2,3", false).unwrap(), Kind::Rows);
        assert_eq!(detect(b"{\"a\":[1,2,3", false).unwrap(), Kind::Document);
        assert_eq!(detect(b"[1,2,3", false).unwrap(), Kind::Document);
        assert_eq!(detect(b"a,b\n1,2\n3,\xc3", false).unwrap(), Kind::Csv { delimiter: b',' });
    }

    #[test]
    fn what_is_no_table_is_refused_with_a_hint() {
        for (sample, why) in [
            (&b""[..], "empty"),
            (b"\0\x01\x02garbage", "no kind"),
            (b"\x89PNG\r\n", "no kind"),
            (b"caf\xe9,b\n1,2\n", "no kind"),
            (b"Dear reader,\nthis is prose.\n", "text"),
            (b"Hello, world\n", "text"),
            (b"just a line\n", "text"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"PK\x03\x04", "ZIP"),
        ] {
            let error = detect(sample, true).unwrap_err();
            assert!(error.message().contains(why), "{error}");
            assert!(error.hint().unwrap().contains("--serializer bytes"));
        }
    }

    #[test]
    fn a_stream_of_old_arrow_begins_with_a_length() {
        use arrow::datatypes::{DataType, Field, Schema};
        use arrow::ipc::{MetadataVersion, writer};
        let schema = Schema::new(vec![Field::new("a", DataType::Int8, true)]);
        let options = writer::IpcWriteOptions::try_new(8, true, MetadataVersion::V4).unwrap();
        let written = writer::StreamWriter::try_new_with_options(Vec::new(), &schema, options).unwrap();
        assert_eq!(detect(&written.into_inner().unwrap(), true).unwrap(), Kind::ArrowStream);
    }
}
