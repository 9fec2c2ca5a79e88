//! Arrays of other libraries that the Arrow library would not take, or would read where it must not, set right in place.
//!
//! - polars gives arrays of nulls a buffer, which the specification forbids.
//! - Offsets may lie anywhere, as those that came over a network do; they are read before anything is moved to where
//!   numbers of their width may lie.

#![expect(unsafe_code, reason = "the array was handed over, its specification says what its pointers hold")]

use std::ffi::c_void;

use arrow::datatypes::{DataType, UnionMode};
use arrow::ffi::FFI_ArrowArray;

/// An array of the C interface, as its specification lays it out.
#[repr(C)]
struct RawArray {
    length: i64,
    null_count: i64,
    offset: i64,
    buffer_count: i64,
    child_count: i64,
    buffers: *mut *const c_void,
    children: *mut *mut RawArray,
    dictionary: *mut RawArray,
    release: Option<unsafe extern "C" fn(*mut RawArray)>,
    private_data: *mut c_void,
}

/// What keeps the copies of an array alive, and how it was to be released without them.
struct Kept {
    _copies: Vec<Vec<u64>>,
    release: Option<unsafe extern "C" fn(*mut RawArray)>,
    private_data: *mut c_void,
}

/// Sets an array right whose children have these types.
pub(crate) fn repair(array: &mut FFI_ArrowArray, columns: &[&DataType]) {
    let array = std::ptr::from_mut(array).cast::<RawArray>();
    let mut copies = Vec::new();
    unsafe {
        repair_children(array, columns, &mut copies);
        if copies.is_empty() {
            return;
        }
        let kept = Kept { _copies: copies, release: (*array).release, private_data: (*array).private_data };
        (*array).private_data = Box::into_raw(Box::new(kept)).cast();
        (*array).release = Some(release);
    }
}

unsafe extern "C" fn release(array: *mut RawArray) {
    unsafe {
        let kept = Box::from_raw((*array).private_data.cast::<Kept>());
        (*array).private_data = kept.private_data;
        (*array).release = kept.release;
        if let Some(release) = kept.release {
            release(array);
        }
    }
}

unsafe fn repair_children(array: *mut RawArray, types: &[&DataType], copies: &mut Vec<Vec<u64>>) {
    for (position, data_type) in types.iter().enumerate() {
        unsafe {
            if i64::try_from(position).is_ok_and(|position| position < (*array).child_count) {
                repair_array(*(*array).children.add(position), data_type, copies);
            }
        }
    }
}

unsafe fn repair_array(array: *mut RawArray, data_type: &DataType, copies: &mut Vec<Vec<u64>>) {
    unsafe {
        let rows = usize::try_from((*array).length.saturating_add((*array).offset)).unwrap_or_default();
        match data_type {
            DataType::Null => (*array).buffer_count = 0,
            DataType::Utf8 | DataType::Binary | DataType::List(_) | DataType::Map(..) => {
                align(array, 1, 4, rows + 1, copies);
            }
            DataType::LargeUtf8 | DataType::LargeBinary | DataType::LargeList(_) => {
                align(array, 1, 8, rows + 1, copies)
            }
            DataType::ListView(_) => (1..3).for_each(|buffer| align(array, buffer, 4, rows, copies)),
            DataType::LargeListView(_) => (1..3).for_each(|buffer| align(array, buffer, 8, rows, copies)),
            DataType::Union(_, UnionMode::Dense) => align(array, 1, 4, rows, copies),
            DataType::Utf8View | DataType::BinaryView => {
                // The last buffer holds the lengths of those with the bytes.
                let last = usize::try_from((*array).buffer_count - 1).unwrap_or_default();
                align(array, last, 8, last.saturating_sub(2), copies);
            }
            DataType::Dictionary(_, values) if !(*array).dictionary.is_null() => {
                repair_array((*array).dictionary, values, copies);
            }
            _ => {}
        }
        repair_children(array, &children_of(data_type), copies);
    }
}

/// The types inside a type.
pub(crate) fn children_of(data_type: &DataType) -> Vec<&DataType> {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field.data_type()).collect(),
        DataType::RunEndEncoded(ends, values) => vec![ends.data_type(), values.data_type()],
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::Map(inner, _) => vec![inner.data_type()],
        _ => Vec::new(),
    }
}

/// Replaces a buffer of `count` numbers by a copy, if it does not lie where numbers of that width may.
unsafe fn align(array: *mut RawArray, buffer: usize, width: usize, count: usize, copies: &mut Vec<Vec<u64>>) {
    unsafe {
        if i64::try_from(buffer).is_ok_and(|buffer| buffer >= (*array).buffer_count) || (*array).length == 0 {
            return;
        }
        let place = (*array).buffers.add(buffer);
        let bytes = (*place).cast::<u8>();
        if bytes.is_null() || bytes.addr().is_multiple_of(width) {
            return;
        }
        let mut copy = vec![0_u64; (count * width).div_ceil(size_of::<u64>())];
        std::ptr::copy_nonoverlapping(bytes, copy.as_mut_ptr().cast::<u8>(), count * width);
        *place = copy.as_ptr().cast();
        copies.push(copy);
    }
}
