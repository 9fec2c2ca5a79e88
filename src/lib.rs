//! coldframe keeps dataframes alive between tasks.
//!
//! Hand it a table; it streams the record batches, in bounded memory, into plain Parquet or Arrow files on a local path,
//! S3, GCS or Azure, and returns a [`ResultReference`]: a small JSON document. Whoever holds it gets the same table back,
//! checked, or a clear error.
//!
//! ```
//! use std::sync::Arc;
//! use arrow::array::{Float64Array, RecordBatch};
//! use coldframe::{ResultReference, ResultStore};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().to_str().unwrap_or_default();
//! let store = ResultStore::open(path).await?;
//! let fares = RecordBatch::try_from_iter([("fare", Arc::new(Float64Array::from(vec![12.5, 7.0])) as _)])?;
//!
//! let reference = store.put("etl/trips", fares.clone()).await?;
//! let json = reference.to_json(); // hand it to anybody
//!
//! let reference = ResultReference::from_json(&json)?;
//! let table = store.scan(&reference).columns(["fare"]).collect().await?;
//! assert_eq!(table.to_batch()?, fares);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The tour
//!
//! ```text
//! put:   value ─▶ Batches ─▶ encoder ─▶ sink (hashes) ─▶ upload (in parts) ─▶ commit ─▶ ResultReference
//! scan:  reference ─▶ open (footers) ─▶ checked ranges ─▶ decoder ─▶ Batches
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`error`] [`clock`] [`checksum`] | what everything uses |
//! | [`reference`](mod@reference) [`literal`] | keys, versions, references, records: pure types and their JSON |
//! | [`value`] [`query`] | what goes in, what comes out, which part of it |
//! | [`fingerprint`](mod@fingerprint) | a hash of what a table says, whatever its bytes are |
//! | [`serializer`] | values to bytes and back: Parquet, Arrow, JSON, bytes, compressed, and yours |
//! | [`storage`] | a URL, path or profile to an object store; the configuration; create-if-absent |
//! | [`store`] | put, get, scan, list, versions, delete, copy, verify |
//! | [`result`](mod@result) | task results: values and records in one hand |
//! | [`snippet`] | how to read a result's files without coldframe |
//! | [`conformance`] | what every storage and serializer must keep, as a suite |
//! | [`docs`] | the format on the storage, why the commit is safe, how the house is built |

pub mod checksum;
#[cfg(feature = "cli")]
pub mod cli;
pub mod clock;
pub mod conformance;
pub mod docs;
pub mod error;
pub mod fingerprint;
pub mod literal;
pub mod query;
pub mod reference;
pub mod result;
pub mod serializer;
pub mod snippet;
#[cfg_attr(
    not(any(feature = "s3", feature = "gcs", feature = "azure")),
    expect(dead_code, reason = "options are read for object stores alone")
)]
pub mod storage;
pub mod store;
pub mod value;

pub use error::{Error, ErrorKind, Result};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use literal::{Literal, NoResult, ResultLiteral, ResultRecord};
pub use query::{Filter, Query, Rows};
pub use reference::{Descriptor, Key, Origin, Part, ResultReference, Section, Version, WriteId, Written};
pub use result::{Producer, TaskResult, TaskResults};
pub use serializer::{ColumnStatistics, Registry, Serializer};
pub use storage::{CacheSettings, Configuration, Setting};
pub use store::{
    Condition, Copied, Copying, Delete, Deletion, Finding, IntoTarget, List, Opened, Page, Progress, Put, ResultStore,
    Scan, StoreBuilder, Target, Verification, VersionEntry, VersionState,
};
pub use value::{Batches, Content, IntoContent, Shape, Table, Value};

/// The Rust of the README, which `cargo test` compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
