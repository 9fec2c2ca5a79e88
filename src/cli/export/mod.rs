//! Writes what `get` reads: to standard output, or to a file that appears when it is complete.

mod destination;
mod encode;
mod preview;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;

pub(super) use self::destination::Destination;
use self::encode::Encoding;
pub(super) use self::preview::{PREVIEW_ROWS, Rows, preview};
use super::args::OutputFormat;
use super::failure::Outcome;
use crate::error::{Error, Result};
use crate::value::Batches;

/// Writes a table in a format that keeps all of it.
pub(super) async fn table(mut batches: Batches, format: OutputFormat, destination: Destination) -> Outcome {
    if matches!(format, OutputFormat::Arrow | OutputFormat::Parquet) {
        destination.refuse_terminal()?;
    }
    let (opened, writer) = destination.open()?;
    let (schema, to_file) = (batches.schema(), opened.is_file());
    let start = blocking(move || Encoding::start(format, schema, to_file, writer)).await;
    let mut encoding = start.map_err(|error| opened.explain(error))?;
    while let Some(batch) = batches.try_next().await? {
        let step = blocking(move || encoding.write(batch).map(|()| encoding)).await;
        encoding = step.map_err(|error| opened.explain(error))?;
    }
    blocking(move || encoding.finish()).await.map_err(|error| opened.explain(error))?;
    opened.complete()
}

/// Writes bytes as they come.
pub(super) async fn bytes(mut stream: BoxStream<'static, Result<Bytes>>, destination: Destination) -> Outcome {
    let (opened, mut writer) = destination.open()?;
    while let Some(piece) = stream.try_next().await? {
        let step = blocking(move || writer.write_all(&piece).map(|()| writer).map_err(encode::failed)).await;
        writer = step.map_err(|error| opened.explain(error))?;
    }
    blocking(move || writer.flush().map_err(encode::failed)).await.map_err(|error| opened.explain(error))?;
    opened.complete()
}

/// Runs on a thread that may wait, such as for a pipe that nobody reads now.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|failure| Err(Error::internal(failure.to_string())))
}
