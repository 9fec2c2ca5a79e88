//! What every storage and every serializer must keep, as a suite that anybody can run over their own.
//!
//! Each function puts something under the store's root and returns an error that says which promise was broken.
//!
//! ```
//! use coldframe::{ResultStore, conformance};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let store = ResultStore::open("memory://").await?;
//! conformance::storage(&store).await?;
//! conformance::tables(&store, "parquet/zstd").await?;
//! # Ok::<(), coldframe::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::reference::{ResultReference, Version};
use crate::store::ResultStore;
use crate::value::{Batches, Table, Value};

/// Keys whose letters mean something to one storage or another.
const KEYS: [&str; 12] = [
    "a",
    "a/b",
    "a b/100% [x]*?",
    "Trips",
    "trips",
    "żółć/日本/🌱",
    " spaces around ",
    "run=7/part=a+b",
    "it's \"quoted\" `here` $HOME",
    "back\\slash:colon|pipe<>",
    "%41%2F",
    "#1?x=y&z.",
];

fn broken(promise: &str, what: impl std::fmt::Debug) -> Error {
    Error::internal(format!("broken promise: {promise}: {what:?}"))
}

fn keeps(promise: &str, holds: bool, what: impl std::fmt::Debug) -> Result<()> {
    if holds { Ok(()) } else { Err(broken(promise, what)) }
}

fn fails<T>(promise: &str, kind: ErrorKind, outcome: Result<T>) -> Result<()> {
    match outcome {
        Err(error) if error.kind() == kind => keeps("an error says what to do next", error.hint().is_some(), &error),
        Err(error) => Err(broken(promise, error)),
        Ok(_) => Err(broken(promise, "it succeeded")),
    }
}

fn table(rows: i64) -> Result<Table> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let fares: ArrayRef =
        Arc::new(Float64Array::from_iter((0..rows).map(|row| (row % 7 != 0).then_some(row as f64 / 3.0))));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter((0..rows).map(|row| (row % 5 != 0).then(|| format!("name {}", row % 97)))));
    RecordBatch::try_from_iter_with_nullable([("id", ids, false), ("fare", fares, true), ("name", names, true)])
        .map(Table::from)
        .map_err(|error| Error::internal(error.to_string()))
}

async fn read(store: &ResultStore, reference: &ResultReference) -> Result<RecordBatch> {
    store.get(reference).await?.into_table()?.to_batch()
}

/// Commits, conditions, versions, deletes and listings.
///
/// # Errors
///
/// The first promise that is broken.
pub async fn storage(store: &ResultStore) -> Result<()> {
    versions(store).await?;
    conditions(store).await?;
    deletes(store).await?;
    listings(store).await?;
    uploads(store).await?;
    let found = store.verify("conformance/", None).await?;
    keeps("what was written verifies", found.problems.is_empty(), found.problems)
}

async fn versions(store: &ResultStore) -> Result<()> {
    let key = "conformance/versions";
    fails("an unknown key is not found", ErrorKind::NotFound, store.get(key).await)?;
    for number in 1..=12 {
        let reference = store.put(key, table(number)?).await?;
        keeps("versions are numbered from 1", reference.version().get() == number.unsigned_abs(), &reference)?;
    }
    let newest = store.get(key).await?.into_table()?;
    keeps("a key means its newest version", newest.rows() == 12, newest.rows())?;
    let second = store.get("conformance/versions@2").await?.into_table()?;
    keeps("an old version stays as it was", second.rows() == 2, second.rows())?;
    fails("an unknown version is not found", ErrorKind::NotFound, store.get("conformance/versions@99").await)?;
    let held = store.reference("conformance/versions@3").await?;
    let compact = ResultReference::from_json(&held.compact().to_json())?;
    keeps("a compact reference is small", compact.to_json().len() < 1024, compact.to_json())?;
    keeps("a compact reference finds its version", read(store, &compact).await?.num_rows() == 3, &compact)?;
    keeps("the newest exists", store.exists(key).await?, key)?;
    keeps("what is not there does not exist", !store.exists("conformance/nothing").await?, key)
}

async fn conditions(store: &ResultStore) -> Result<()> {
    let key = "conformance/conditions";
    store.put(key, json!(1)).if_absent().await?;
    fails("if absent, present", ErrorKind::Conflict, store.put(key, json!(2)).if_absent().await)?;
    fails("after the wrong version", ErrorKind::Conflict, store.put(key, json!(2)).after(7).await)?;
    let second = store.put(key, json!(2)).after(1).await?;
    keeps("after the newest version", second.version().get() == 2, &second)?;
    store.delete(key).await?;
    let third = store.put(key, json!(3)).if_absent().await?;
    keeps("deleted is absent, and no number is given twice", third.version().get() == 3, &third)
}

async fn deletes(store: &ResultStore) -> Result<()> {
    let key = "conformance/deletes";
    let first = store.put(key, table(4)?).await?;
    store.put(key, table(5)?).await?;
    let gone = store.delete(key).version(Version::FIRST).reason("conformance").await?;
    keeps("a delete names what is gone", gone == [Version::FIRST], gone)?;
    let again = store.delete(key).version(Version::FIRST).await?;
    keeps("deleting twice is no error", again.is_empty(), again)?;
    fails("a deleted version is gone", ErrorKind::Gone, store.get("conformance/deletes@1").await)?;
    let outcome = store.get(&first).await;
    let told = outcome.as_ref().is_err_and(|error| error.message().contains("conformance"));
    keeps("a held reference says why its version is gone", told, outcome.map(|_| ()))?;
    keeps("the other versions stay", store.get(key).await?.into_table()?.rows() == 5, key)?;
    store.delete(key).await?;
    fails("a key without versions is gone", ErrorKind::Gone, store.get(key).await)
}

async fn listings(store: &ResultStore) -> Result<()> {
    for key in KEYS {
        store.put(format!("conformance/list/{key}"), json!(key)).title(format!("title of {key}")).await?;
    }
    let mut found = Vec::new();
    let mut page = store.list("conformance/list/").page_size(4).await?;
    loop {
        found.extend(page.entries.iter().map(|reference| reference.key().to_string()));
        match page.next {
            Some(token) => page = store.list("conformance/list/").page_size(4).after(token).await?,
            None => break,
        }
    }
    keeps("pages hold every key once", found.len() == KEYS.len(), &found)?;
    let searched = store.list("conformance/").search("TITLE OF TRIPS").await?.entries;
    keeps("a search finds titles in any case", searched.len() == 2, searched)?;
    let texts = json!({"said": "\"a\\b\""}).as_object().cloned().unwrap_or_default();
    store.put("conformance/list/quoted", json!(1)).metadata(texts).await?;
    let quoted = store.list("conformance/list/").search("\"A\\b\"").await?.entries;
    keeps("a search finds quotes and backslashes in metadata", quoted.len() == 1, quoted)?;
    for key in found {
        let value = store.get(&key).await?;
        keeps(
            "odd keys read back their own value",
            value == Value::Json(json!(key.trim_start_matches("conformance/list/"))),
            value,
        )?;
    }
    Ok(())
}

/// A value that takes several parts of an upload.
async fn uploads(store: &ResultStore) -> Result<()> {
    let bytes: bytes::Bytes = (0..20_000_000_u32).map(|position| (position % 253) as u8).collect::<Vec<_>>().into();
    let reference = store.put("conformance/uploads", bytes.clone()).await?;
    keeps("large bytes come back equal", store.get(&reference).await? == Value::Bytes(bytes), &reference)
}

/// Tables through one serializer: whole, projected, sliced, empty.
///
/// # Errors
///
/// The first promise that is broken.
pub async fn tables(store: &ResultStore, serializer: &str) -> Result<()> {
    let key = "conformance/tables";
    let whole = table(10_000)?;
    let reference = store.put(key, &whole).serializer(serializer).await?;
    let rebuilt = store.registry().build(
        &reference
            .written()
            .map(|written| written.serializer.clone())
            .ok_or_else(|| broken("a put returns a full reference", key))?,
    )?;
    keeps(
        "a descriptor rebuilds its serializer",
        Some(rebuilt.descriptor()) == reference.written().map(|written| written.serializer.clone()),
        &rebuilt,
    )?;
    let back = read(store, &reference).await?;
    keeps("a table comes back equal", back == whole.to_batch()?, serializer)?;
    let some = store.scan(&reference).columns(["name", "id"]).offset(9_000).limit(10).collect().await?.to_batch()?;
    let expected = whole
        .to_batch()?
        .project(&[2, 0])
        .map(|batch| batch.slice(9_000, 10))
        .map_err(|error| Error::internal(error.to_string()))?;
    keeps("a scan gives the columns and rows asked for", some == expected, some)?;
    keeps("a tail gives the last rows", store.scan(&reference).tail(3).collect().await?.rows() == 3, serializer)?;
    fails(
        "an unknown column is not found",
        ErrorKind::NotFound,
        store.scan(&reference).columns(["nam"]).collect().await,
    )?;
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8, true)]));
    let none = store.put(key, Batches::from_batches(schema.clone(), vec![])).serializer(serializer).await?;
    let empty = store.get(&none).await?.into_table()?;
    keeps("a table without rows keeps its schema", (empty.rows(), empty.schema()) == (0, schema), empty)?;
    let failing = Batches::new(whole.schema(), futures::stream::iter([Err(Error::new(ErrorKind::Input, "no more"))]));
    let outcome = store.put(key, failing).serializer(serializer).await;
    keeps(
        "a stream that fails commits nothing",
        outcome.is_err() && store.versions(key).await?.len() == none.version().get() as usize,
        serializer,
    )
}

/// JSON values and bytes, each through a serializer that holds them.
///
/// # Errors
///
/// The first promise that is broken.
pub async fn values(store: &ResultStore, for_json: &str, for_bytes: &str) -> Result<()> {
    let key = "conformance/values";
    for value in [json!({"b": [1, 2.5, null], "a": "ż"}), json!([]), json!("text"), json!(null)] {
        let reference = store.put(key, value.clone()).serializer(for_json).await?;
        keeps("a JSON value comes back equal", store.get(&reference).await? == Value::Json(value.clone()), value)?;
    }
    for size in [0, 1, 1 << 20, (1 << 20) + 1, 5_000_000] {
        let bytes: bytes::Bytes = (0..size).map(|i: u32| (i % 251) as u8).collect::<Vec<_>>().into();
        let reference = store.put(key, bytes.clone()).serializer(for_bytes).await?;
        keeps("bytes come back equal", store.get(&reference).await? == Value::Bytes(bytes), size)?;
    }
    for literal in [json!(null), json!(true), json!(false)] {
        let reference = store.put(key, literal.clone()).await?;
        let written = reference.written().is_some_and(|written| written.parts.is_empty());
        keeps("a literal needs no object", written, &reference)?;
        keeps("a literal comes back equal", store.get(&reference).await? == Value::Json(literal), &reference)?;
    }
    Ok(())
}
