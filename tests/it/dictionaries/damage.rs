//! Files whose kept dictionaries do not fit them, with checksums that do.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::*;
use arrow::datatypes::*;
use async_trait::async_trait;
use bytes::Bytes;
use coldframe::checksum::Checksum;
use coldframe::serializer::parquet::DICTIONARIES_KEY;
use coldframe::serializer::{ReadPlan, Readable, Registry, Source};
use coldframe::{Error, ErrorKind, Part};
use futures::TryStreamExt;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use serde_json::json;

use super::{dictionary, has, keys, words};
use crate::support::batch_of;

#[derive(Debug)]
struct Given(Part, Bytes);

#[async_trait]
impl Source for Given {
    fn part(&self) -> &Part {
        &self.0
    }

    fn is_checked(&self) -> bool {
        true
    }

    async fn read(&self, ranges: &[Range<u64>]) -> coldframe::Result<Vec<Bytes>> {
        Ok(ranges.iter().map(|range| self.1.slice(range.start as usize..range.end as usize)).collect())
    }
}

/// What a reader makes of a file of this batch, in whose footer this stands about its dictionaries.
async fn read(batch: &RecordBatch, text: Option<String>) -> Result<Vec<RecordBatch>, Error> {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    if let Some(text) = text {
        writer.append_key_value_metadata(KeyValue::new(DICTIONARIES_KEY.to_owned(), text));
    }
    let bytes = writer.into_inner().unwrap();
    let part = json!({
        "path": "data/k/file.parquet", "size": bytes.len(), "rows": batch.num_rows(), "checksum": Checksum::long(&bytes)
    });
    let source = Given(serde_json::from_value(part).unwrap(), bytes.into());
    let opened = Registry::default().parse("parquet").unwrap().open(Arc::new(source), 16 << 20).await?;
    let Readable::Table(table) = opened else { panic!("{opened:?} is no table") };
    assert_eq!(table.schema(), batch.schema());
    let plan = ReadPlan {
        columns: None,
        rows: 0..batch.num_rows() as u64,
        filter: None,
        batch_rows: 2,
        batch_bytes: 1 << 20,
        check: true,
    };
    table.batches(plan).try_collect().await
}

fn sizes() -> RecordBatch {
    let values = words(&[Some("a"), Some("b"), Some("unused")]);
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"\xff", b"y"]));
    batch_of(vec![
        ("plain".into(), Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
        ("size".into(), dictionary(&DataType::Int8, &[Some(1), None, Some(0)], &values)),
        ("bytes".into(), dictionary(&DataType::UInt16, &[Some(1), Some(1), Some(0)], &bytes)),
    ])
}

#[tokio::test]
async fn a_file_without_kept_dictionaries_is_read_as_before() {
    let back = read(&sizes(), None).await.unwrap();
    assert_eq!(crate::generate::rows(&back), crate::generate::rows(&[sizes()]));
    assert_eq!(back[0].column(1).as_any_dictionary().values(), &words(&[Some("b"), Some("a")]));
}

#[tokio::test]
async fn what_fits_is_taken_whoever_wrote_it() {
    let text = json!([{"column": 1, "values": ["x", null, "a", "b"], "later": true}, {"column": 2, "values": ["/w==", "eQ=="]}]);
    let back = read(&sizes(), Some(text.to_string())).await.unwrap();
    has(&back, 1, &words(&[Some("x"), None, Some("a"), Some("b")]));
    assert_eq!(keys(&back, 1), [Some(3), None, Some(2)]);
    assert_eq!(keys(&back, 2), [Some(1), Some(1), Some(0)]);
}

#[tokio::test]
async fn a_dictionary_that_does_not_fit_is_damage() {
    let many: Vec<String> = (0..130).map(|place| format!("{place}")).chain(["a".into(), "b".into()]).collect();
    for (text, why) in [
        (json!("text"), "cannot be read"),
        (json!([{"column": 1}]), "cannot be read"),
        (json!([{"column": -1, "values": []}]), "cannot be read"),
        (json!([{"column": 1, "values": [1]}]), "cannot be read"),
        (json!([{"column": 3, "values": []}]), "column 3"),
        (json!([{"column": u64::MAX, "values": []}]), "column"),
        (json!([{"column": 0, "values": ["a"]}]), "`plain`"),
        (json!([{"column": 1, "values": ["a", "b"]}, {"column": 1, "values": ["a", "b"]}]), "twice"),
        (json!([{"column": 2, "values": ["no base64"]}]), "`bytes`"),
        (json!([{"column": 1, "values": []}]), "column `size`"),
        (json!([{"column": 1, "values": ["a", null, "c"]}]), "column `size`"),
        (json!([{"column": 1, "values": many}]), "column `size`"),
    ] {
        let error = read(&sizes(), Some(text.to_string())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{text}: {error:?}");
        assert!(error.message().contains(why), "{text}: {error}");
    }
    for text in ["", "[", "null", "{}", "[{}]", "[[]]", "\u{0}"] {
        let error = read(&sizes(), Some(text.to_owned())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{text}: {error:?}");
    }
}

#[tokio::test]
async fn any_altered_text_ends_in_rows_or_in_damage() {
    let text =
        json!([{"column": 1, "values": ["a", "b", "unused"]}, {"column": 2, "values": ["/w==", "eQ=="]}]).to_string();
    let mut outcomes = [0, 0];
    for at in 0..text.len() {
        for put_in in ["", "0", "\"", ",", "9", "x"] {
            let altered = format!("{}{put_in}{}", &text[..at], &text[at + 1..]);
            match read(&sizes(), Some(altered)).await {
                Ok(back) => {
                    outcomes[0] += 1;
                    assert_eq!(crate::generate::rows(&back), crate::generate::rows(&[sizes()]));
                }
                Err(error) => {
                    outcomes[1] += 1;
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
                }
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 10), "{outcomes:?}");
}
