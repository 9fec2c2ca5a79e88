//! Whether arrays hold the same values, told as cheaply as can be.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef};

/// Whether two arrays lie in the same memory: batches of one table share their dictionaries.
pub(super) fn same_memory(a: &ArrayRef, b: &ArrayRef) -> bool {
    Arc::ptr_eq(a, b) || ArrayData::ptr_eq(&a.to_data(), &b.to_data())
}

/// Whether two arrays of one type hold the same values.
pub(super) fn same(a: &ArrayRef, b: &ArrayRef) -> bool {
    same_memory(a, b) || (a.len() == b.len() && a.to_data() == b.to_data())
}

/// Whether the first values of an array are those of another, which may be all of them.
pub(super) fn begins_with(longer: &ArrayRef, shorter: &ArrayRef) -> bool {
    longer.len() >= shorter.len() && same(&longer.slice(0, shorter.len()), shorter)
}
