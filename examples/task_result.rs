//! What an orchestrator does with a task's result.
//!
//! Task A returns a table. Task B takes it, and fails. To retry B elsewhere, the orchestrator persists B's cached
//! inputs: whoever holds A's result can, even though A is long gone.
//!
//! ```sh
//! cargo run --example task_result
//! ```

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch};
use coldframe::{Producer, ResultStore, Table, TaskResult, TaskResults, Value};
use serde_json::Value as Json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let location = folder.path().to_str().ok_or("the temporary folder has a name that is no text")?;
    let store = ResultStore::open(location).await?;

    // The state of a task that never ran: no result. That is not the same as one that returned nothing.
    assert!(TaskResult::default().is_no_result());

    // Task A returns a table. Its result says how A persists, and persists nothing: most results are used at once.
    let a = Producer::new(&store, "flow-1/a".parse()?).serializer("arrow/lz4");
    let from_a = TaskResult::new(Value::Table(fares()?), a);
    assert!(!from_a.is_serialized() && !store.exists("flow-1/a").await?);

    // Task C returned null. By A's side it is an input of B.
    let c = Producer::new(&store, "flow-1/c".parse()?);
    let from_c = TaskResult::new(Value::Json(Json::Null), c);
    assert!(!from_c.is_no_result());
    let mut inputs = TaskResults::default();
    inputs.insert("fares", from_a.clone());
    inputs.insert("discount", from_c);

    // B is to be retried. One call persists each input that is not persisted yet, as its producer would have:
    // A's table with A's serializer, under A's key. The null is kept in its record, without a file.
    let serialized = inputs.serialize().await?;
    let json = serialized.to_json()?;
    println!("the inputs of B on their way: {} bytes of JSON", json.len());
    for (name, result) in serialized.iter() {
        let record = result.record().ok_or("a serialized result has a record")?;
        match record.reference().and_then(|reference| reference.written()) {
            Some(written) => println!("  {name}: {} bytes, by {}", written.size, written.serializer),
            None => println!("  {name}: {}", record.to_json()),
        }
    }
    assert!(store.exists("flow-1/a").await? && !store.exists("flow-1/c").await?);

    // The original is as it was, and serializing twice stores once.
    assert_eq!(from_a.value(), Some(&Value::Table(fares()?)));
    assert_eq!(serialized.serialize().await?.to_json()?, json);
    assert_eq!(store.versions("flow-1/a").await?.len(), 1);

    // Another machine loads the map. It has read no data yet: these are records.
    let elsewhere = ResultStore::open(location).await?;
    let received = TaskResults::from_json(&json, &elsewhere)?;
    let fares_record = received.get("fares").ok_or("B has an input `fares`")?;
    assert!(fares_record.is_serialized() && fares_record.value().is_none());

    // B asks for its inputs, and gets what A and C returned.
    let deserialized = fares_record.deserialize().await?;
    assert_eq!(deserialized.value(), from_a.value());
    let discount = received.get("discount").ok_or("B has an input `discount`")?.deserialize().await?;
    assert_eq!(discount.value(), Some(&Value::Json(Json::Null)));

    // Again, the original is as it was, and what is deserialized already stays so.
    assert!(fares_record.is_serialized());
    assert_eq!(deserialized.deserialize().await?.value(), from_a.value());
    println!("B got the table that A returned");

    // What never was cannot be read: the error says so, instead of giving null.
    let error = TaskResult::default().deserialize().await.err().ok_or("there is no result")?;
    println!("a task that never ran: {error}");
    Ok(())
}

/// What task A computes.
fn fares() -> Result<Table, Box<dyn Error>> {
    let fare: ArrayRef = Arc::new(Float64Array::from(vec![12.5, 31.0, 7.25]));
    Ok(RecordBatch::try_from_iter([("fare", fare)])?.into())
}
