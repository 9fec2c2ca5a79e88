//! A table goes in, a reference comes out, the same table comes back.
//!
//! ```sh
//! cargo run --release --example put_and_scan
//! ```
//!
//! The store is the folder `.coldframe` in the working folder. Run it again, and the key gets its next version.

#![expect(clippy::print_stdout, clippy::disallowed_methods, reason = "an example prints, and takes the time")]

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::time::Instant;

use arrow::array::RecordBatchIterator;
use arrow::util::pretty::pretty_format_batches;
use coldframe::{Batches, ResultReference, ResultStore};
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;

const STORE: &str = ".coldframe";
const INPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/flights.parquet");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // A path is a store. So is `s3://bucket/prefix`, and nothing below would change.
    let store = ResultStore::open(STORE).await?;

    // Put: batch by batch, so that a table larger than memory would do as well. When this returns, the table is on disk.
    let start = Instant::now();
    let reference = store.put("examples/flights", flights()?).title("New York, first quarter of 2013").await?;
    let written = reference.written().ok_or("a put returns a full reference")?;
    println!("put {reference}: {} rows, {} bytes, {:.0?}", written.rows.unwrap_or(0), written.size, start.elapsed());

    // What comes back is small, and it is JSON: keep it in a database, or send it to another machine.
    println!("\n{}", for_the_screen(&reference)?);

    // The data is a plain Parquet file: pandas, polars and DuckDB open it by its path, without coldframe.
    for part in &written.parts {
        println!("\nthe table lies in {}", Path::new(STORE).join(&part.path).display());
    }

    // Scan: a reader elsewhere has only the JSON. Of the file, it reads the two columns it asks for, and no other.
    let received = ResultReference::from_json(&reference.to_json())?;
    let delays = || store.scan(&received).columns(["carrier", "dep_delay"]);
    println!("\nthe first rows\n{}", pretty_format_batches(delays().limit(3).collect().await?.batches())?);
    println!("\nthe last rows\n{}", pretty_format_batches(delays().tail(3).collect().await?.batches())?);

    // The same as a stream: however long the table is, there are only a few batches in memory.
    let start = Instant::now();
    let mut batches = delays().batches().await?;
    let (mut rows, mut bytes) = (0, 0);
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
        bytes += batch.get_array_memory_size();
    }
    println!("\nscan of two columns: {rows} rows, {bytes} bytes in memory, {:.0?}", start.elapsed());

    // Get: the whole table. It is what went in: names, types, time zones, nulls, values, order.
    let start = Instant::now();
    let returned = store.get(&received).await?.into_table()?;
    println!("get: {} rows, {:.0?}", returned.rows(), start.elapsed());
    if returned.to_batch()? != flights()?.collect().await?.to_batch()? {
        return Err("the table that came back is not the one that went in".into());
    }
    println!("the table that came back is equal to the one that went in");
    Ok(())
}

/// The fixture as a stream: 80,789 flights, 19 columns.
fn flights() -> Result<Batches, Box<dyn Error>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(INPUT)?)?;
    // Taken from the builder, because the reader's schema has lost its metadata, such as the index of a pandas frame.
    let schema = builder.schema().clone();
    Ok(Batches::from_reader(RecordBatchIterator::new(builder.build()?, schema)))
}

/// The reference as JSON, but for the Arrow schema: a kilobyte of Base64 that says nothing to a person.
fn for_the_screen(reference: &ResultReference) -> serde_json::Result<String> {
    let mut json = serde_json::to_value(reference)?;
    if let Some(schema) = json.get_mut("schema") {
        *schema = json!("…");
    }
    serde_json::to_string_pretty(&json)
}
