//! Columnar dataframe persistence.

pub mod checksum;
pub mod clock;
pub mod error;
pub mod literal;
pub mod query;
pub mod reference;
pub mod result;
pub mod serializer;
pub mod storage;
pub mod store;
pub mod value;

pub use error::{Error, ErrorKind, Result};
pub use literal::{Literal, NoResult, ResultLiteral, ResultRecord};
pub use query::{Query, Rows};
pub use reference::{Descriptor, Key, Part, ResultReference, Section, Version, WriteId, Written};
pub use result::{Producer, TaskResult, TaskResults};
pub use serializer::{Registry, Serializer};
pub use storage::{Configuration, Setting};
pub use store::{
    Condition, Delete, Deletion, Finding, IntoTarget, List, Opened, Page, Progress, Put, ResultStore, Scan,
    StoreBuilder, Target, Verification, VersionEntry, VersionState,
};
pub use value::{Batches, Content, IntoContent, Shape, Table, Value};

/// The Rust of the README, which `cargo test` compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
