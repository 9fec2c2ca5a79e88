//! Columnar dataframe persistence.

pub mod checksum;
pub mod clock;
pub mod error;
pub mod literal;
pub mod query;
pub mod reference;
pub mod value;

pub use error::{Error, ErrorKind, Result};
pub use literal::{Literal, NoResult, ResultLiteral, ResultRecord};
pub use reference::{Descriptor, Key, Part, ResultReference, Section, Version, WriteId, Written};
pub use value::{Batches, Content, IntoContent, Shape, Table, Value};
