//! A serializer of your own: tables as CSV, written in pieces and checked when they are read.
//!
//! ```sh
//! cargo run --example custom_serializer
//! ```
//!
//! The types stand in the header, as in `zone:Utf8,fare:Float64?`, where `?` means that there may be nulls; a null is
//! `\N`. So the table comes back exactly, and the file is still CSV.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::csv::reader::Format;
use arrow::csv::{ReaderBuilder, WriterBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use coldframe::serializer::{CheckedSource, Encoder, Ending, InMemory, Piece, Readable, Sink, Source};
use coldframe::{Descriptor, Error, ErrorKind, Registry, Result, ResultStore, Serializer, Shape, Table};
use regex::Regex;
use serde_json::{Value as Json, json};

const NULL: &str = r"\N";
/// Rows of CSV that are made at once: what the encoder holds beside the batch.
const ROWS: usize = 8 * 1024;

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    // The registry builds serializers from what a reference says. The name is also the short form.
    let registry = Registry::default();
    registry.register("csv", |descriptor| {
        // A misspelt setting is an error, and not ignored.
        descriptor.only(&[])?;
        Ok(Arc::new(Csv))
    })?;

    let folder = tempfile::tempdir()?;
    let location = folder.path().to_str().ok_or("the temporary folder has a name that is no text")?;
    let store = ResultStore::builder().location(location).registry(registry).open().await?;

    let reference = store.put("etl/trips", trips()?).serializer("csv").await?;
    let written = reference.written().ok_or("a put returns a full reference")?;
    let part = written.parts.first().ok_or("a table has a part")?;
    println!("{}\n", std::fs::read_to_string(folder.path().join(&part.path))?);

    // The file has no footer for checksums, so the reference holds them: one for each MiB.
    println!(
        "serializer {}, extents {}",
        written.serializer,
        part.extents.as_deref().ok_or("they are in the reference")?
    );

    assert_eq!(store.get(&reference).await?.into_table()?.to_batch()?, trips()?);
    // All else works as with any other serializer: scans, other values' wrappers, streams of any length.
    assert_eq!(store.scan(&reference).columns(["fare"]).tail(2).collect().await?.rows(), 2);
    let packed = store.put("etl/packed", trips()?).serializer("compressed(gzip)/csv").await?;
    assert_eq!(store.get(&packed).await?.into_table()?.to_batch()?, trips()?);
    println!("the table came back as it went in");

    // A store that was not given the serializer names it, and says how it is added.
    let without = ResultStore::open(location).await?;
    let error = without.get(&reference).await.err().ok_or("nobody knows csv here")?;
    println!("\n{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    // What it cannot hold is refused before a byte is written.
    let dates: ArrayRef = Arc::new(arrow::array::Date32Array::from(vec![0]));
    let refused = store.put("etl/days", RecordBatch::try_from_iter([("day", dates)])?).serializer("csv").await;
    println!("\n{:?}", refused.err().ok_or("csv holds no dates")?);

    // One flipped bit is found.
    let path = folder.path().join(&part.path);
    let mut bytes = std::fs::read(&path)?;
    bytes[30] ^= 1;
    std::fs::write(&path, bytes)?;
    let error = store.get(&reference).await.err().ok_or("the file is damaged")?;
    println!("\n{error:?}");
    assert_eq!(error.kind(), ErrorKind::Damaged);
    Ok(())
}

fn trips() -> Result<RecordBatch, Box<dyn std::error::Error>> {
    let zone: ArrayRef = Arc::new(StringArray::from(vec!["Soho", "", "Hell's Kitchen, \"Clinton\"\nsecond line"]));
    let fare: ArrayRef = Arc::new(Float64Array::from(vec![Some(12.1), None, Some(0.1 + 0.2)]));
    let passengers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, i64::MAX]));
    Ok(RecordBatch::try_from_iter([("zone", zone), ("fare", fare), ("passengers", passengers)])?)
}

/// Holds tables of text, numbers and booleans as CSV.
#[derive(Debug)]
struct Csv;

#[async_trait]
impl Serializer for Csv {
    fn descriptor(&self) -> Descriptor {
        Descriptor::new("csv")
    }

    fn extension(&self) -> String {
        "csv".into()
    }

    fn check(&self, shape: &Shape) -> Result<()> {
        header(shape).map(drop)
    }

    fn losses(&self, _shape: &Shape) -> Vec<Json> {
        vec![json!({"loses": r"the text `\N`, which comes back as null"})]
    }

    fn encoder(&self, shape: &Shape, _memory: usize) -> Result<Box<dyn Encoder>> {
        Ok(Box::new(CsvEncoder { header: header(shape)?, begun: false, rows: 0 }))
    }

    /// Reads the file whole. A serializer of long tables would return a `TableReader` that reads what it is asked for.
    async fn open(&self, source: Arc<dyn Source>, _memory: usize) -> Result<Readable> {
        let size = source.part().size;
        let bytes = CheckedSource::whole(source)?.read_range(0..size).await?;
        let table =
            decode(&bytes).map_err(|why| Error::new(ErrorKind::Damaged, format!("this is no such CSV: {why}")))?;
        Ok(Readable::Table(Arc::new(InMemory::new(table))))
    }
}

/// The schema whose column names are the cells of the header, or the reason why CSV cannot hold the table.
fn header(shape: &Shape) -> Result<SchemaRef> {
    let refuse = |why: String| Err(Error::new(ErrorKind::Unsupported, why).with_hint("use `parquet` or `arrow`"));
    let Some(schema) = shape.schema() else {
        return refuse(format!("`csv` holds tables, and this is {}", shape.name()));
    };
    if schema.fields().is_empty() {
        return refuse("`csv` holds no table without columns".into());
    }
    let mut cells = Vec::new();
    for field in schema.fields() {
        let (name, data_type) = (field.name(), field.data_type());
        if !matches!(data_type, DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::Utf8) {
            return refuse(format!("column `{name}` is {data_type}, which `csv` does not hold"));
        }
        let mark = if field.is_nullable() { "?" } else { "" };
        cells.push(Field::new(format!("{name}:{data_type}{mark}"), data_type.clone(), field.is_nullable()));
    }
    Ok(Arc::new(Schema::new(cells)))
}

struct CsvEncoder {
    header: SchemaRef,
    begun: bool,
    rows: u64,
}

impl CsvEncoder {
    fn append(&mut self, batch: &RecordBatch, sink: &mut Sink) -> Result<()> {
        let failed = |error| Error::new(ErrorKind::Unsupported, format!("this cannot be written as CSV: {error}"));
        let batch = RecordBatch::try_new(self.header.clone(), batch.columns().to_vec()).map_err(failed)?;
        let mut text = Vec::new();
        let csv = WriterBuilder::new().with_header(!self.begun).with_null(NULL.into());
        csv.build(&mut text).write(&batch).map_err(failed)?;
        self.begun = true;
        self.rows += batch.num_rows() as u64;
        sink.push(text.into())
    }
}

impl Encoder for CsvEncoder {
    fn write(&mut self, piece: Piece, sink: &mut Sink) -> Result<()> {
        let Piece::Batch(batch) = piece else { return Err(Error::internal("this encoder was made for a table")) };
        (0..batch.num_rows())
            .step_by(ROWS)
            .try_for_each(|row| self.append(&batch.slice(row, ROWS.min(batch.num_rows() - row)), sink))
    }

    fn finish(&mut self, sink: &mut Sink) -> Result<()> {
        if !self.begun {
            self.append(&RecordBatch::new_empty(self.header.clone()), sink)?;
        }
        sink.end_part(Ending { rows: Some(self.rows), extents_in_reference: true, ..Ending::default() })
    }
}

fn decode(bytes: &[u8]) -> std::result::Result<Table, Box<dyn std::error::Error>> {
    let (cells, _) = Format::default().with_header(true).infer_schema(Cursor::new(bytes), Some(0))?;
    let mut fields = Vec::new();
    for cell in cells.fields() {
        let (name, data_type) = cell.name().rsplit_once(':').ok_or("a column has no type")?;
        let (data_type, nullable) = match data_type.strip_suffix('?') {
            Some(data_type) => (data_type, true),
            None => (data_type, false),
        };
        fields.push(Field::new(name, data_type.parse()?, nullable));
    }
    let schema = Arc::new(Schema::new(fields));
    let reader = ReaderBuilder::new(schema.clone()).with_header(true).with_null_regex(Regex::new(r"^\\N$")?);
    let batches = reader.build(Cursor::new(bytes))?.collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(Table::try_new(schema, batches)?)
}
