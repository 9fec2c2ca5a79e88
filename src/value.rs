//! What goes in and what comes out: tables, JSON values, raw bytes.
//!
//! [`Batches`] is a table on its way: a schema and a stream of record batches, never all in memory. [`Table`] is one
//! that is in memory. [`Content`] is what a put takes, [`Value`] what a get gives.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::array::{RecordBatch, RecordBatchOptions, RecordBatchReader};
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use serde_json::Value as Json;

use crate::error::{Error, ErrorKind, Result, recover};
use crate::literal::Literal;

/// A table on its way: a schema, and a stream of record batches of that schema.
pub struct Batches {
    schema: SchemaRef,
    stream: BoxStream<'static, Result<RecordBatch>>,
}

impl Batches {
    /// Batches from a stream. Each is checked against `schema`; one that differs ends the stream with an error.
    pub fn new<S, E>(schema: SchemaRef, batches: S) -> Self
    where
        S: Stream<Item = Result<RecordBatch, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let declared = schema.clone();
        let stream = batches
            .enumerate()
            .map(move |(number, batch)| conform(&declared, number, batch.map_err(|error| input_error(error.into()))?))
            .boxed();
        Self { schema, stream }
    }

    /// Batches from a blocking reader, which is read on a thread of its own kind.
    pub fn from_reader<R: RecordBatchReader + Send + 'static>(reader: R) -> Self {
        let schema = reader.schema();
        let batches = stream::try_unfold(reader, |mut reader| async {
            let step = tokio::task::spawn_blocking(move || reader.next().map(|batch| (batch, reader))).await;
            match step {
                Ok(None) => Ok(None),
                Ok(Some((batch, reader))) => {
                    batch.map(|batch| Some((batch, reader))).map_err(|error| input_error(Box::new(error)))
                }
                Err(failure) => Err(Error::new(ErrorKind::Input, format!("the reader of batches failed: {failure}"))),
            }
        });
        Self::new(schema, batches)
    }

    /// Batches that are in memory.
    pub fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self::new(schema, stream::iter(batches.into_iter().map(Ok::<_, Error>)))
    }

    /// Batches that are known to have the schema.
    pub(crate) fn trusted(schema: SchemaRef, stream: BoxStream<'static, Result<RecordBatch>>) -> Self {
        Self { schema, stream }
    }

    /// The schema of every batch.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Reads all batches into memory.
    ///
    /// # Errors
    ///
    /// What the stream fails with.
    pub async fn collect(self) -> Result<Table> {
        let schema = self.schema.clone();
        Ok(Table { schema, batches: self.stream.try_collect().await? })
    }
}

impl Stream for Batches {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.stream.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Batches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batches").field("schema", &self.schema).finish_non_exhaustive()
    }
}

fn input_error(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    recover(error).unwrap_or_else(|error| {
        Error::new(ErrorKind::Input, format!("the stream of batches failed: {error}")).with_source(error)
    })
}

/// The same batch under the declared schema, whose nullability and metadata it may have left out.
fn conform(schema: &SchemaRef, number: usize, batch: RecordBatch) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let refuse = |why: String| {
        Error::new(ErrorKind::Input, format!("batch {number} does not have the schema that was declared: {why}"))
    };
    let (declared, found) = (schema.fields(), batch.schema_ref().fields());
    if declared.len() != found.len() {
        return Err(refuse(format!("it has {} columns, not {}", found.len(), declared.len())));
    }
    for (declared, found) in declared.iter().zip(found) {
        if declared.name() != found.name() {
            return Err(refuse(format!("column `{}` stands where `{}` was declared", found.name(), declared.name())));
        }
        if !declared.data_type().equals_datatype(found.data_type()) {
            let (expected, actual) = (declared.data_type(), found.data_type());
            return Err(refuse(format!("column `{}` is {actual}, not {expected}", declared.name())));
        }
    }
    let rows = batch.num_rows();
    let columns = batch.columns().iter().zip(declared).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        let data = column.to_data().into_builder().data_type(field.data_type().clone()).build();
        data.map(arrow::array::make_array).map_err(|error| refuse(format!("column `{}`: {error}", field.name())))
    });
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns.collect::<Result<_>>()?, &options)
        .map_err(|error| refuse(error.to_string()))
}

/// A table in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// A table of `batches`, which all have `schema`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Input`] if one has not.
    pub fn try_new(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<Self> {
        let batches = batches.into_iter().enumerate().map(|(number, batch)| conform(&schema, number, batch));
        Ok(Self { batches: batches.collect::<Result<_>>()?, schema })
    }

    /// The schema.
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The batches.
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// The whole table as one batch; copies, unless it is one already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] if the rows do not fit one batch, such as more than 2 GiB of `Utf8`.
    pub fn to_batch(&self) -> Result<RecordBatch> {
        match self.batches.as_slice() {
            [only] => Ok(only.clone()),
            batches if self.schema.fields().is_empty() => {
                let rows = batches.iter().map(RecordBatch::num_rows).sum();
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                RecordBatch::try_new_with_options(self.schema(), vec![], &options)
            }
            batches => arrow::compute::concat_batches(&self.schema, batches),
        }
        .map_err(|error| {
            Error::new(ErrorKind::Unsupported, format!("the table does not fit one record batch: {error}"))
                .with_hint("use `batches()` instead")
        })
    }
}

impl From<RecordBatch> for Table {
    fn from(batch: RecordBatch) -> Self {
        Self { schema: batch.schema(), batches: vec![batch] }
    }
}

impl IntoIterator for Table {
    type Item = RecordBatch;
    type IntoIter = std::vec::IntoIter<RecordBatch>;

    fn into_iter(self) -> Self::IntoIter {
        self.batches.into_iter()
    }
}

/// A value in memory, as a get gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A table.
    Table(Table),
    /// A JSON value; null, true and false are literals.
    Json(Json),
    /// Raw bytes.
    Bytes(Bytes),
}

impl Value {
    /// The literal that it is, if it is one.
    pub fn literal(&self) -> Option<Literal> {
        match self {
            Self::Json(value) => Literal::from_json(value),
            _ => None,
        }
    }

    /// The table, if it is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is something else, saying what.
    pub fn into_table(self) -> Result<Table> {
        match self {
            Self::Table(table) => Ok(table),
            Self::Json(_) => Err(Error::invalid("this result is a JSON value, not a table")),
            Self::Bytes(_) => Err(Error::invalid("this result is bytes, not a table")),
        }
    }
}

/// What a put takes: a value whose parts may still be on their way.
pub enum Content {
    /// A table.
    Table(Batches),
    /// A JSON value.
    Json(Json),
    /// Raw bytes.
    Bytes(BoxStream<'static, Result<Bytes>>),
}

impl Content {
    /// Bytes from a stream.
    pub fn from_bytes_stream<S, E>(bytes: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::Bytes(bytes.map_err(|error| input_error(error.into())).boxed())
    }

    /// What a serializer needs to know beforehand.
    pub fn shape(&self) -> Shape {
        match self {
            Self::Table(batches) => Shape::Table(batches.schema()),
            Self::Json(_) => Shape::Json,
            Self::Bytes(_) => Shape::Bytes,
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({:?})", self.shape())
    }
}

/// What kind of value it is, without the value.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A table of this schema.
    Table(SchemaRef),
    /// A JSON value.
    Json,
    /// Raw bytes.
    Bytes,
}

impl Shape {
    /// What people call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Table(_) => "a table",
            Self::Json => "a JSON value",
            Self::Bytes => "bytes",
        }
    }

    /// The schema, if it is a table.
    pub fn schema(&self) -> Option<&Schema> {
        match self {
            Self::Table(schema) => Some(schema),
            _ => None,
        }
    }
}

/// Whatever can be put.
pub trait IntoContent {
    /// The content.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it cannot be, saying why.
    fn into_content(self) -> Result<Content>;
}

impl IntoContent for Content {
    fn into_content(self) -> Result<Content> {
        Ok(self)
    }
}

impl IntoContent for Batches {
    fn into_content(self) -> Result<Content> {
        Ok(Content::Table(self))
    }
}

impl IntoContent for Table {
    fn into_content(self) -> Result<Content> {
        Ok(Content::Table(Batches::from_batches(self.schema, self.batches)))
    }
}

impl IntoContent for &Table {
    fn into_content(self) -> Result<Content> {
        self.clone().into_content()
    }
}

impl IntoContent for RecordBatch {
    fn into_content(self) -> Result<Content> {
        Table::from(self).into_content()
    }
}

impl IntoContent for &RecordBatch {
    fn into_content(self) -> Result<Content> {
        self.clone().into_content()
    }
}

impl IntoContent for Vec<RecordBatch> {
    fn into_content(self) -> Result<Content> {
        let schema = self.first().map(RecordBatch::schema).ok_or_else(|| {
            Error::invalid("an empty list of batches has no schema")
                .with_hint("use `Batches::from_batches(schema, vec![])`")
        })?;
        Ok(Content::Table(Batches::from_batches(schema, self)))
    }
}

impl IntoContent for Box<dyn RecordBatchReader + Send> {
    fn into_content(self) -> Result<Content> {
        Ok(Content::Table(Batches::from_reader(self)))
    }
}

impl IntoContent for Json {
    fn into_content(self) -> Result<Content> {
        Ok(Content::Json(self))
    }
}

impl IntoContent for Bytes {
    fn into_content(self) -> Result<Content> {
        Ok(Content::Bytes(stream::once(async { Ok(self) }).boxed()))
    }
}

impl IntoContent for Vec<u8> {
    fn into_content(self) -> Result<Content> {
        Bytes::from(self).into_content()
    }
}

impl IntoContent for Literal {
    fn into_content(self) -> Result<Content> {
        Ok(Content::Json(self.to_json()))
    }
}

impl IntoContent for Value {
    fn into_content(self) -> Result<Content> {
        match self {
            Self::Table(table) => table.into_content(),
            Self::Json(value) => value.into_content(),
            Self::Bytes(bytes) => bytes.into_content(),
        }
    }
}
