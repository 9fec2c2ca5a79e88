//! Files whose declared types or kept values do not fit them, with checksums that do.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use coldframe::checksum::Checksum;
use coldframe::serializer::parquet::{DICTIONARIES_KEY, TYPES_KEY};
use coldframe::serializer::{ReadPlan, Readable, Registry, Source};
use coldframe::{Error, Part};
use futures::TryStreamExt;
use parquet::arrow::{ArrowWriter, encode_arrow_schema};
use parquet::file::metadata::KeyValue;

use super::*;

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

/// A column of numbers, one of truths, and a dictionary of large text, as the file has them.
fn stored() -> RecordBatch {
    let words: ArrayRef = Arc::new(LargeStringArray::from(vec!["b", "a"]));
    batch_of(vec![
        ("plain".into(), Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef),
        ("number".into(), integers(&[Some(5), None, Some(3)])),
        ("truth".into(), Arc::new(BooleanArray::from(vec![Some(true), Some(true), Some(false)]))),
        ("word".into(), dictionary(&DataType::UInt32, &[Some(1), None, Some(0)], &words)),
    ])
}

fn dictionary_type(key_type: DataType, value_type: DataType) -> DataType {
    DataType::Dictionary(Box::new(key_type), Box::new(value_type))
}

/// The text that declares these columns so.
fn types(columns: &[(usize, DataType)]) -> Json {
    let fields = columns.iter().map(|(_, data_type)| Field::new("any", data_type.clone(), true));
    let positions: Vec<usize> = columns.iter().map(|(position, _)| *position).collect();
    json!({"columns": positions, "schema": encode_arrow_schema(&Schema::new(fields.collect::<Vec<_>>()))})
}

fn declared() -> Json {
    types(&[
        (1, dictionary_type(DataType::Int8, DataType::Int64)),
        (2, dictionary_type(DataType::Int8, DataType::Boolean)),
        (3, dictionary_type(DataType::UInt32, DataType::Utf8View)),
    ])
}

/// What a reader makes of a file of those columns, in whose footer these texts stand.
async fn read(types: &str, dictionaries: Option<&str>) -> Result<Vec<RecordBatch>, Error> {
    let stored = stored();
    let mut writer = ArrowWriter::try_new(Vec::new(), stored.schema(), None).unwrap();
    writer.write(&stored).unwrap();
    writer.append_key_value_metadata(KeyValue::new(TYPES_KEY.to_owned(), types.to_owned()));
    if let Some(text) = dictionaries {
        writer.append_key_value_metadata(KeyValue::new(DICTIONARIES_KEY.to_owned(), text.to_owned()));
    }
    let bytes = writer.into_inner().unwrap();
    let part = json!({
        "path": "data/k/file.parquet", "size": bytes.len(), "rows": 3, "checksum": Checksum::long(&bytes)
    });
    let source = Given(serde_json::from_value(part).unwrap(), bytes.into());
    let opened = Registry::default().parse("parquet").unwrap().open(Arc::new(source), 16 << 20).await?;
    let Readable::Table(table) = opened else { panic!("{opened:?} is no table") };
    let plan = ReadPlan { columns: None, rows: 0..3, filter: None, batch_rows: 2, batch_bytes: 1 << 20, check: true };
    table.batches(plan).try_collect().await
}

#[tokio::test]
async fn what_fits_is_taken_whoever_wrote_it() {
    let text = json!([
        {"column": 1, "values": ["AwAAAAAAAAA=", null, "BQAAAAAAAAA="]},
        {"column": 2, "values": ["AA==", "AQ=="]},
        {"column": 3, "values": ["unused", "a", "b"]},
    ]);
    for types in [declared(), types(&[(1, dictionary_type(DataType::Int8, DataType::Int64))])] {
        let whole = types == declared();
        let text = if whole { text.clone() } else { json!([text[0]]) };
        let back = read(&types.to_string(), Some(&text.to_string())).await.unwrap();
        assert_eq!(rows(&back), rows(&[stored()]));
        has(&back, 1, &integers(&[Some(3), None, Some(5)]));
        assert_eq!(keys(&back, 1), [Some(2), None, Some(0)]);
        if whole {
            has(&back, 2, &(Arc::new(BooleanArray::from(vec![false, true])) as ArrayRef));
            has(&back, 3, &(Arc::new(StringViewArray::from(vec!["unused", "a", "b"])) as ArrayRef));
        }
    }
    let back = read(&declared().to_string(), None).await.unwrap();
    assert_eq!(rows(&back), rows(&[stored()]));
    has(&back[..1], 1, &integers(&[Some(5)]));
    has(&back[..1], 2, &(Arc::new(BooleanArray::from(vec![true])) as ArrayRef));
    // In the order in which the writer met them.
    has(&back, 3, &(Arc::new(StringViewArray::from(vec!["a", "b"])) as ArrayRef));
}

#[tokio::test]
async fn types_that_do_not_fit_are_damage() {
    let int8 = |value_type| dictionary_type(DataType::Int8, value_type);
    let numbers = int8(DataType::Int64);
    for (text, why) in [
        (json!("text"), "cannot be read"),
        (json!({"columns": [1]}), "cannot be read"),
        (json!({"columns": [1], "schema": "no base64"}), "base64"),
        (json!({"columns": [1], "schema": "AAAA"}), "cannot be read"),
        (json!({"columns": [1, 2], "schema": types(&[(1, numbers.clone())])["schema"]}), "another number"),
        (json!({"columns": [-1], "schema": types(&[(1, numbers.clone())])["schema"]}), "cannot be read"),
        (types(&[(4, numbers.clone())]), "column 4"),
        (types(&[(usize::MAX, numbers.clone())]), "column"),
        (types(&[(0, numbers.clone())]), "column 0"),
        (types(&[(1, DataType::Int64)]), "column 1"),
        (types(&[(1, int8(DataType::UInt64))]), "column 1"),
        (types(&[(1, numbers.clone()), (1, numbers.clone())]), "column 1"),
        (types(&[(3, dictionary_type(DataType::Int32, DataType::Utf8View))]), "column 3"),
        (types(&[(3, dictionary_type(DataType::UInt32, DataType::BinaryView))]), "column 3"),
        (types(&[(3, dictionary_type(DataType::UInt32, DataType::LargeUtf8))]), "column 3"),
    ] {
        let error = read(&text.to_string(), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{text}: {error:?}");
        assert!(error.message().contains(why), "{text}: {error}");
    }
}

#[tokio::test]
async fn values_that_do_not_fit_are_damage() {
    let many: Vec<Option<&str>> =
        vec![None; 200].into_iter().chain([Some("AwAAAAAAAAA="), Some("BQAAAAAAAAA=")]).collect();
    let nulls: Vec<Option<&str>> = vec![None; 600_000];
    for (text, why) in [
        (json!([{"column": 1, "values": ["3"]}]), "base64"),
        (json!([{"column": 1, "values": ["AwAAAA=="]}]), "another size"),
        (json!([{"column": 1, "values": [""]}]), "another size"),
        (json!([{"column": 1, "values": ["AwAAAAAAAAA="]}]), "column `number`"),
        (json!([{"column": 1, "values": []}]), "column `number`"),
        (json!([{"column": 1, "values": many}]), "column `number`"),
        (json!([{"column": 1, "values": nulls}]), "memory"),
        (json!([{"column": 2, "values": ["Ag=="]}]), "neither true nor false"),
        (json!([{"column": 2, "values": ["AQ=="]}]), "column `truth`"),
        (json!([{"column": 3, "values": ["a"]}]), "column `word`"),
    ] {
        let error = read(&declared().to_string(), Some(&text.to_string())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{why}: {error:?}");
        assert!(error.message().contains(why), "{why}: {error}");
    }
    // Without the declared types, the columns are no dictionaries.
    let text = json!([{"column": 1, "values": ["AwAAAAAAAAA=", "BQAAAAAAAAA="]}]).to_string();
    let error = read(&types(&[(2, dictionary_type(DataType::Int8, DataType::Boolean))]).to_string(), Some(&text)).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Damaged);
}

#[tokio::test]
async fn any_altered_types_end_in_rows_or_in_damage() {
    let text = declared().to_string();
    let mut outcomes = [0, 0];
    for at in 0..text.len() {
        for put_in in ["", "A", "/", "9"] {
            let altered = format!("{}{put_in}{}", &text[..at], &text[at + 1..]);
            match read(&altered, None).await {
                Ok(back) => {
                    outcomes[0] += 1;
                    assert_eq!(rows(&back), rows(&[stored()]));
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
