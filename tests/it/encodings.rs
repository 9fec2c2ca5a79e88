//! The files of the writer that chooses an encoding and a codec for each column: every encoding occurs, and others read
//! each of them.

mod digest;
mod same;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::DataType;
use coldframe::ResultStore;
use parquet::basic::Encoding;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};

use self::digest::{digest, kind};
use self::table::{ROWS, rows};
use crate::interop::{Outcome, Program, only_file, open, write_arrow, write_json};

const PRESETS: [&str; 3] = ["parquet", "parquet(fast)", "parquet(small)"];

/// How the values of a chunk are laid out: the encoding of its pages, not that of a dictionary itself.
fn layout(chunk: &ColumnChunkMetaData) -> Encoding {
    if chunk.dictionary_page_offset().is_some() {
        return Encoding::RLE_DICTIONARY;
    }
    chunk.encodings().find(|encoding| *encoding != Encoding::RLE).unwrap()
}

#[derive(Default)]
struct Found {
    layouts: BTreeMap<String, BTreeSet<String>>,
    codecs: BTreeSet<String>,
    groups: usize,
}

impl Found {
    fn take(&mut self, file: &Path) -> Outcome {
        let reader = SerializedFileReader::new(File::open(file)?)?;
        for group in reader.metadata().row_groups() {
            self.groups += 1;
            for chunk in group.columns() {
                let kind = format!("{} {}", layout(chunk), chunk.column_type());
                self.layouts.entry(kind).or_default().insert(chunk.column_path().string());
                self.codecs.insert(chunk.compression().to_string());
            }
        }
        Ok(())
    }
}

/// Where a file of the table lies, and how it came there.
struct Written {
    how: String,
    file: PathBuf,
}

/// The table in each preset, and once more by a writer of so little memory that there are many row groups.
async fn written(folder: &Path, table: &RecordBatch) -> Outcome<Vec<Written>> {
    let roomy = open(folder).await?;
    let root = folder.join("store");
    let narrow = ResultStore::builder().memory(16 << 20).location(root.to_str().ok_or("not UTF-8")?).open().await?;
    let mut files = Vec::new();
    let all =
        PRESETS.into_iter().map(|preset| (preset, &roomy, "")).chain([("parquet", &narrow, ", in little memory")]);
    for (number, (preset, store, memory)) in all.enumerate() {
        let reference = store.put(format!("tables/{number}").as_str(), table).serializer(preset).await?;
        files.push(Written { how: format!("{preset}{memory}"), file: only_file(folder, &reference)? });
    }
    Ok(files)
}

/// Else the other tests here would say nothing of what does not occur.
#[tokio::test]
async fn every_encoding_occurs() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut found = Found::default();
    for written in written(folder.path(), &rows(0..ROWS)).await? {
        found.take(&written.file)?;
    }
    let wanted = [
        "PLAIN INT32",
        "PLAIN INT64",
        "PLAIN FLOAT",
        "PLAIN DOUBLE",
        "PLAIN BYTE_ARRAY",
        "RLE_DICTIONARY INT32",
        "RLE_DICTIONARY INT64",
        "RLE_DICTIONARY FLOAT",
        "RLE_DICTIONARY DOUBLE",
        "RLE_DICTIONARY BYTE_ARRAY",
        "DELTA_BINARY_PACKED INT32",
        "DELTA_BINARY_PACKED INT64",
        "DELTA_LENGTH_BYTE_ARRAY BYTE_ARRAY",
        "BYTE_STREAM_SPLIT FLOAT",
        "BYTE_STREAM_SPLIT DOUBLE",
    ];
    let missing: Vec<&str> = wanted.into_iter().filter(|layout| !found.layouts.contains_key(*layout)).collect();
    assert!(missing.is_empty(), "{missing:?} do not occur, only {:#?}", found.layouts);
    for codec in ["UNCOMPRESSED", "LZ4_RAW", "ZSTD"] {
        assert!(found.codecs.iter().any(|found| found.starts_with(codec)), "{codec} is not among {:?}", found.codecs);
    }
    assert!(found.groups > PRESETS.len() + 5, "only {} row groups", found.groups);
    Ok(())
}

#[tokio::test]
async fn pyarrow_polars_and_duckdb_read_every_encoding() -> Outcome {
    let Some(python) = Program::python() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let table = rows(0..ROWS);
    let expected = folder.path().join("expected.arrow");
    write_arrow(&expected, &table)?;
    let files = written(folder.path(), &table).await?;
    let case = |of: &Written| json!({"name": of.how, "format": "parquet", "path": of.file});
    let cases: Vec<Value> = files.iter().map(case).collect();
    let cases = write_json(folder.path(), "cases.json", &json!({"expected": expected, "cases": cases}))?;
    python.run("same_table.py", [cases]).map(drop)
}

#[tokio::test]
async fn hyparquet_reads_every_encoding() -> Outcome {
    let Some((node, node_modules)) = Program::node() else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let table = rows(0..ROWS);
    let (mut columns, mut expected) = (Vec::new(), serde_json::Map::new());
    for (field, column) in table.schema().fields().iter().zip(table.columns()) {
        let scale = if let DataType::Decimal128(_, scale) = field.data_type() { *scale } else { 0 };
        columns.push(json!({"name": field.name(), "kind": kind(field.data_type()), "scale": scale}));
        let of = json!({"rows": ROWS, "nulls": column.null_count(), "digest": digest(column)});
        expected.insert(field.name().clone(), of);
    }
    let columns = write_json(folder.path(), "columns.json", &json!(columns))?;
    for Written { how, file } in written(folder.path(), &table).await? {
        let arguments = [node_modules.clone(), file.into(), columns.clone()];
        let found: Value = serde_json::from_str(&node.run("column_digests.mjs", arguments)?)?;
        assert_eq!(found["rows"], json!(ROWS), "{how}");
        let differing = expected.iter().filter(|(name, expected)| found["columns"][name.as_str()] != **expected);
        let differing: Vec<String> =
            differing.map(|(name, expected)| format!("{name}: {}, not {expected}", found["columns"][name])).collect();
        assert!(differing.is_empty(), "{how}:\n{}", differing.join("\n"));
    }
    Ok(())
}
