//! What lies on a storage, why it is safe, and how the house is built: the documents that the code keeps to.

#[doc = include_str!("format.md")]
pub mod format {}

#[doc = include_str!("commit.md")]
pub mod commit {}

#[doc = include_str!("design.md")]
pub mod design {}
