//! Stores that earlier versions wrote: today's reader finds in them what was put.
//!
//! `write_golden_files` writes the store of the current format; see `fixtures/v1/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::*;
use arrow::datatypes::*;
use coldframe::clock::ManualClock;
use coldframe::{Configuration, ErrorKind, Literal, ResultReference, ResultStore, Table, Value, Version};
use serde_json::{Value as Json, json};

use crate::generate::rows;
use crate::support::{REFUSED_BY_PARQUET, every_type};

const TABLES: [&str; 11] = [
    "parquet",
    "parquet/none",
    "parquet/snappy",
    "parquet/lz4",
    "parquet/gzip",
    "arrow",
    "arrow/lz4",
    "arrow/zstd",
    "compressed(zstd)/parquet",
    "compressed(lz4)/arrow",
    "compressed(xz)/arrow",
];
const WRAPPED: [&str; 6] =
    ["", "compressed(lz4)/", "compressed(zstd)/", "compressed(gzip)/", "compressed(bzip2)/", "compressed(xz)/"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1")
}

async fn open(root: &Path) -> ResultStore {
    let builder = ResultStore::builder().configuration(Configuration::empty()).durable(false);
    // An hour after it was written, so that what expired then is refused.
    let clock = ManualClock::default();
    clock.advance(Duration::from_secs(3600));
    builder.clock(Arc::new(clock)).location(root.to_str().unwrap()).open().await.unwrap()
}

/// A key that says how its value was serialized.
fn key(what: &str, serializer: &str) -> String {
    let name = serializer.replace(['(', ')', '/'], " ");
    format!("{what}/{}", if name.is_empty() { "plain" } else { name.trim() })
}

fn typed(serializer: &str) -> Vec<RecordBatch> {
    let kept = |name: &str| !serializer.contains("parquet") || !REFUSED_BY_PARQUET.contains(&name);
    let columns: Vec<_> = every_type().into_iter().filter(|(name, _)| kept(name)).collect();
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| {
            let extension = ("ARROW:extension:name".to_owned(), format!("test.{name}"));
            Field::new(name, array.data_type().clone(), true).with_metadata([extension].into())
        })
        .collect();
    let metadata = [("pandas".to_owned(), "{}".to_owned()), ("who".to_owned(), "me".to_owned())];
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata.into()));
    let batch = RecordBatch::try_new(schema, columns.into_iter().map(|(_, array)| array).collect()).unwrap();
    vec![batch.clone(), batch.slice(1, 3)]
}

/// Three batches with dictionaries of their own, which do not fit one file.
fn parted() -> Vec<RecordBatch> {
    let batch = |number: usize| {
        let words: Vec<String> = (0..100).map(|row| format!("{number}-{row}")).collect();
        let words: DictionaryArray<Int8Type> = words.iter().map(|word| Some(word.as_str())).collect();
        RecordBatch::try_from_iter([("word", Arc::new(words) as ArrayRef)]).unwrap()
    };
    (0..3).map(batch).collect()
}

#[tokio::test]
#[ignore = "writes fixtures/v1, once for each format: remove the folder `store` there first"]
async fn write_golden_files() {
    let root = folder().join("store");
    assert!(!root.exists(), "{} is there: golden files are kept, not written again", root.display());
    let clock = ManualClock::default();
    let builder = ResultStore::builder().configuration(Configuration::empty()).durable(false);
    let store = builder.clock(Arc::new(clock.clone())).location(root.to_str().unwrap()).open().await.unwrap();
    let mut expected = BTreeMap::new();
    for serializer in TABLES {
        let batches = typed(serializer);
        expected.insert(key("types", serializer), json!(rows(&batches)));
        store.put(key("types", serializer), batches).serializer(serializer).await.unwrap();
    }
    store.put("parts/arrow", parted()).serializer("arrow").await.unwrap();
    expected.insert("parts/arrow".into(), json!(rows(&parted())));
    for wrapped in WRAPPED {
        let text =
            json!({"serializer": wrapped, "numbers": [1, -2.5, 1e300, u64::MAX], "text": "żółć", "deep": [[[]]]});
        expected.insert(key("json", wrapped), text.clone());
        store.put(key("json", wrapped), text).serializer(format!("{wrapped}json")).await.unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        expected.insert(key("bytes", wrapped), json!(bytes));
        store.put(key("bytes", wrapped), bytes).serializer(format!("{wrapped}bytes(text/csv)")).await.unwrap();
    }
    store.put("literals", Literal::Null).await.unwrap();
    store.put("literals", Literal::Bool(true)).await.unwrap();
    let metadata = json!({"flow": "train", "step": 3}).as_object().unwrap().clone();
    let put = store.put("odd/100% [x]*?", typed("parquet")).title("A title").description("Two\nlines");
    put.metadata(metadata).source(json!({"library": "pandas", "kind": "DataFrame"})).await.unwrap();
    store.put("expired", parted()).expires_in(Duration::from_secs(60)).await.unwrap();
    store.put("versions", json!([1])).await.unwrap();
    clock.advance(Duration::from_secs(90));
    store.put("versions", json!([2])).await.unwrap();
    store.put("versions", json!([3])).await.unwrap();
    store.delete("versions").version(Version::new(2).unwrap()).reason("a test").await.unwrap();
    store.settled().await;
    anonymous(&root);
    fs::write(folder().join("expected.json"), serde_json::to_string(&expected).unwrap() + "\n").unwrap();
}

/// Who deleted a version is not for a public repository; empty folders cannot lie in one.
fn anonymous(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            anonymous(&path);
            fs::remove_dir(&path).ok();
        } else if path.extension().is_some_and(|extension| extension == "deleted") {
            let mut marker: Json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            marker["by"] = json!("somebody@somewhere");
            fs::write(&path, marker.to_string()).unwrap();
        }
    }
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copied(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A store that somebody copied elsewhere, and what it should hold.
async fn copy() -> (tempfile::TempDir, ResultStore, BTreeMap<String, Json>) {
    let elsewhere = tempfile::tempdir().unwrap();
    copied(&folder().join("store"), elsewhere.path());
    let expected = fs::read(folder().join("expected.json")).unwrap();
    let store = open(elsewhere.path()).await;
    (elsewhere, store, serde_json::from_slice(&expected).unwrap())
}

#[tokio::test]
async fn every_golden_value_is_found() {
    let (_folder, store, expected) = copy().await;
    let mut found = 0;
    for (key, expected) in &expected {
        let value = store.get(key.as_str()).await.unwrap_or_else(|error| panic!("{error:?}"));
        let value = match value {
            Value::Table(table) => {
                if key.starts_with("types/") {
                    schema_is(&table, key);
                }
                json!(rows(table.batches()))
            }
            Value::Json(json) => json,
            Value::Bytes(bytes) => json!(bytes.to_vec()),
        };
        assert!(value == *expected, "{key}: {value}");
        found += 1;
    }
    assert_eq!(found, TABLES.len() + 1 + 2 * WRAPPED.len());
    let titled = store.get("odd/100% [x]*?").await.unwrap().into_table().unwrap();
    assert_eq!(json!(rows(titled.batches())), expected["types/parquet"]);
}

/// The columns are those that today's `every_type` makes; it may know more types than there were then.
fn schema_is(table: &Table, key: &str) {
    let today: BTreeMap<String, Field> = typed("arrow")[0]
        .schema()
        .fields()
        .iter()
        .map(|field| (field.name().clone(), field.as_ref().clone()))
        .collect();
    let schema = table.schema();
    assert!(schema.fields().len() > 50, "{key}");
    for field in schema.fields() {
        assert_eq!(**field, today[field.name()], "{key}");
    }
    assert_eq!(schema.metadata()["who"], "me", "{key}");
    assert_eq!(schema.metadata().len(), 2, "{key}");
}

#[tokio::test]
async fn what_was_deleted_or_expired_says_so() {
    let (_folder, store, _) = copy().await;
    assert_eq!(store.get("versions@1").await.unwrap(), Value::Json(json!([1])));
    assert_eq!(store.get("versions").await.unwrap(), Value::Json(json!([3])));
    let error = store.get("versions@2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Gone);
    assert!(error.to_string().contains("somebody@somewhere") && error.to_string().contains("a test"), "{error}");
    assert_eq!(store.get("expired").await.unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(store.get("literals@1").await.unwrap(), Value::Json(Json::Null));
    assert_eq!(store.get("literals").await.unwrap().literal(), Some(Literal::Bool(true)));
    assert_eq!(store.versions("versions").await.unwrap().len(), 3);
    let parts = store.reference("parts/arrow").await.unwrap().written().unwrap().parts.len();
    assert_eq!(parts, 3);
    let verified = store.verify("", None).await.unwrap();
    assert!(verified.problems.is_empty() && verified.versions > 25, "{verified:?}");
}

#[tokio::test]
async fn every_golden_reference_is_printed_as_it_was_written() {
    let (elsewhere, _, _) = copy().await;
    let mut texts = Vec::new();
    references_in(&elsewhere.path().join("refs"), &mut texts);
    assert!(texts.len() > 25);
    for text in &texts {
        let reference = ResultReference::from_json(text).unwrap();
        assert_eq!(&reference.to_json(), text.trim_end());
        assert!(reference.storage().is_none() && reference.profile().is_none());
    }
    let titled = texts.iter().find(|text| text.contains("A title")).unwrap();
    let json: Json = serde_json::from_str(titled).unwrap();
    let names = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        names(&json),
        "type format key version write serializer parts rows size schema source lossy created expires title \
         description metadata"
    );
    assert_eq!(names(&json["parts"][0]), "path size rows checksum footer index");
    assert_eq!(names(&json["parts"][0]["footer"]), "size checksum");
    assert_eq!(json["created"], "2027-01-15T08:00:00.000000Z");
    assert_eq!((&json["format"], &json["version"], &json["rows"]), (&json!(1), &json!(1), &json!(8)));
    assert_eq!(json["serializer"], json!({"type": "parquet", "compression": "zstd", "level": 1}));
    assert_eq!(json["metadata"], json!({"flow": "train", "step": 3}));
}

fn references_in(folder: &Path, texts: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            references_in(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
}
