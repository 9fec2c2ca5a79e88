//! The streams of values: of a fixed width, text and binary, and the lengths of lists.

use arrow::array::types::{
    BinaryType, BinaryViewType, ByteArrayType, ByteViewType, Decimal32Type, Decimal64Type, Decimal256Type,
    LargeBinaryType, LargeUtf8Type, StringViewType, Utf8Type,
};
use arrow::array::{Array, AsArray, ByteView, GenericByteArray, GenericByteViewArray, OffsetSizeTrait};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{ArrowNativeType, DataType};

use super::runs::Run;
use super::stream::Writer;

/// A block of values is looked at for NaNs, and hashed while it is still near.
const BLOCK_BYTES: usize = 8 * 1024;
/// How many lengths are made at once.
const LENGTHS: usize = 512;

/// Values of `width` bytes each, as they lie in memory.
pub(super) fn fixed(array: &dyn Array, width: usize, runs: &[Run], writer: &mut Writer<'_>) {
    let data = array.to_data();
    let bytes = data.buffers().first().map(|buffer| buffer.as_slice()).unwrap_or_default();
    let bytes = &bytes[data.offset() * width..];
    match width {
        1 => fixed_bytes::<1>(bytes, runs, writer),
        2 => fixed_bytes::<2>(bytes, runs, writer),
        4 => fixed_bytes::<4>(bytes, runs, writer),
        8 => fixed_bytes::<8>(bytes, runs, writer),
        16 => fixed_bytes::<16>(bytes, runs, writer),
        _ => runs.iter().for_each(|run| writer.write(&bytes[run.start * width..run.end() * width])),
    }
}

/// The same where the width is known: what a dictionary names is copied value by value.
fn fixed_bytes<const WIDTH: usize>(bytes: &[u8], runs: &[Run], writer: &mut Writer<'_>) {
    let (values, _) = bytes.as_chunks::<WIDTH>();
    for run in runs {
        match values[run.start..run.end()] {
            [only] => writer.write(&only),
            ref several => writer.write(several.as_flattened()),
        }
    }
}

/// Floats of 2, 4 or 8 bytes: their bits, but one NaN for all.
pub(super) fn floats(array: &dyn Array, runs: &[Run], writer: &mut Writer<'_>) {
    let data = array.to_data();
    let bytes = data.buffers().first().map(|buffer| buffer.as_slice()).unwrap_or_default();
    let offset = data.offset();
    match array.data_type() {
        DataType::Float16 => {
            let is_nan = |value: [u8; 2]| u16::from_le_bytes(value) & 0x7fff > 0x7c00;
            floats_of(&bytes[offset * 2..], runs, is_nan, 0x7e00_u16.to_le_bytes(), writer);
        }
        DataType::Float32 => {
            let is_nan = |value| f32::from_le_bytes(value).is_nan();
            floats_of(&bytes[offset * 4..], runs, is_nan, 0x7fc0_0000_u32.to_le_bytes(), writer);
        }
        _ => {
            let is_nan = |value| f64::from_le_bytes(value).is_nan();
            floats_of(&bytes[offset * 8..], runs, is_nan, 0x7ff8_0000_0000_0000_u64.to_le_bytes(), writer);
        }
    }
}

fn floats_of<const WIDTH: usize>(
    bytes: &[u8],
    runs: &[Run],
    is_nan: impl Fn([u8; WIDTH]) -> bool,
    nan: [u8; WIDTH],
    writer: &mut Writer<'_>,
) {
    let (values, _) = bytes.as_chunks::<WIDTH>();
    for run in runs {
        for block in values[run.start..run.end()].chunks(BLOCK_BYTES / WIDTH) {
            // Without an early end the compiler looks at several values at once.
            if block.iter().fold(false, |any, value| any | is_nan(*value)) {
                block.iter().for_each(|value| writer.write(if is_nan(*value) { &nan } else { value }));
            } else {
                writer.write(block.as_flattened());
            }
        }
    }
}

/// Truths: a byte each, 1 or 0.
pub(super) fn booleans(array: &dyn Array, runs: &[Run], writer: &mut Writer<'_>) {
    let values = array.as_boolean().values();
    for run in runs {
        let bits = values.slice(run.start, run.len);
        let chunks = bits.bit_chunks();
        for chunk in chunks.iter() {
            let mut bytes = [0; 64];
            spread(chunk, &mut bytes);
            writer.write(&bytes);
        }
        let mut bytes = [0; 64];
        spread(chunks.remainder_bits(), &mut bytes);
        writer.write(&bytes[..chunks.remainder_len()]);
    }
}

/// A byte for each bit.
fn spread(bits: u64, bytes: &mut [u8; 64]) {
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = (bits >> place) as u8 & 1;
    }
}

/// Decimals: 16 bytes each, or 32 where the precision is above 38, whatever width they have in memory.
pub(super) fn decimals(array: &dyn Array, runs: &[Run], writer: &mut Writer<'_>) {
    match array.data_type() {
        DataType::Decimal32(..) => {
            let values = array.as_primitive::<Decimal32Type>().values();
            each(values, runs, |value| writer.write(&i128::from(*value).to_le_bytes()));
        }
        DataType::Decimal64(..) => {
            let values = array.as_primitive::<Decimal64Type>().values();
            each(values, runs, |value| writer.write(&i128::from(*value).to_le_bytes()));
        }
        DataType::Decimal256(precision, _) if *precision <= 38 => {
            let values = array.as_primitive::<Decimal256Type>().values();
            each(values, runs, |value| match value.to_i128() {
                Some(narrow) => writer.write(&narrow.to_le_bytes()),
                None => writer.write(&value.to_le_bytes()),
            });
        }
        DataType::Decimal256(..) => fixed(array, 32, runs, writer),
        _ => fixed(array, 16, runs, writer),
    }
}

fn each<T: ArrowNativeType>(values: &ScalarBuffer<T>, runs: &[Run], mut take: impl FnMut(&T)) {
    runs.iter().for_each(|run| values[run.start..run.end()].iter().for_each(&mut take));
}

/// How long each value of text or binary is.
pub(super) fn text_lengths(array: &dyn Array, runs: &[Run], writer: &mut Writer<'_>) {
    match array.data_type() {
        DataType::Utf8 => offset_lengths(array.as_string::<i32>().value_offsets(), runs, writer),
        DataType::LargeUtf8 => offset_lengths(array.as_string::<i64>().value_offsets(), runs, writer),
        DataType::Binary => offset_lengths(array.as_binary::<i32>().value_offsets(), runs, writer),
        DataType::LargeBinary => offset_lengths(array.as_binary::<i64>().value_offsets(), runs, writer),
        DataType::Utf8View => view_lengths(array.as_string_view().views(), runs, writer),
        _ => view_lengths(array.as_binary_view().views(), runs, writer),
    }
}

/// The differences of offsets, as numbers of 8 bytes.
pub(super) fn offset_lengths<O: OffsetSizeTrait>(offsets: &[O], runs: &[Run], writer: &mut Writer<'_>) {
    // Once for all runs: to fill it with zeros takes longer than a short run.
    let mut lengths = [[0; 8]; LENGTHS];
    for run in runs {
        let (starts, ends) = (&offsets[run.start..run.end()], &offsets[run.start + 1..=run.end()]);
        if let ([start], [end]) = (starts, ends) {
            writer.number((end.as_usize() - start.as_usize()) as u64);
            continue;
        }
        for (starts, ends) in starts.chunks(LENGTHS).zip(ends.chunks(LENGTHS)) {
            for ((start, end), length) in starts.iter().zip(ends).zip(&mut lengths) {
                *length = (end.as_usize().wrapping_sub(start.as_usize()) as u64).to_le_bytes();
            }
            writer.write(lengths[..starts.len()].as_flattened());
        }
    }
}

/// Sizes as they are, as numbers of 8 bytes.
pub(super) fn sizes<O: OffsetSizeTrait>(sizes: &[O], runs: &[Run], writer: &mut Writer<'_>) {
    runs.iter().flat_map(|run| &sizes[run.start..run.end()]).for_each(|size| writer.number(size.as_usize() as u64));
}

fn view_lengths(views: &[u128], runs: &[Run], writer: &mut Writer<'_>) {
    let mut lengths = [[0; 8]; LENGTHS];
    for run in runs {
        for views in views[run.start..run.end()].chunks(LENGTHS) {
            for (view, length) in views.iter().zip(&mut lengths) {
                *length = u64::from(*view as u32).to_le_bytes();
            }
            writer.write(lengths[..views.len()].as_flattened());
        }
    }
}

/// The bytes of text or binary, one value behind the other.
pub(super) fn text_bytes(array: &dyn Array, runs: &[Run], writer: &mut Writer<'_>) {
    match array.data_type() {
        DataType::Utf8 => offset_bytes::<Utf8Type>(array.as_bytes(), runs, writer),
        DataType::LargeUtf8 => offset_bytes::<LargeUtf8Type>(array.as_bytes(), runs, writer),
        DataType::Binary => offset_bytes::<BinaryType>(array.as_bytes(), runs, writer),
        DataType::LargeBinary => offset_bytes::<LargeBinaryType>(array.as_bytes(), runs, writer),
        DataType::Utf8View => view_bytes::<StringViewType>(array.as_byte_view(), runs, writer),
        _ => view_bytes::<BinaryViewType>(array.as_byte_view(), runs, writer),
    }
}

fn offset_bytes<T: ByteArrayType>(array: &GenericByteArray<T>, runs: &[Run], writer: &mut Writer<'_>) {
    let (offsets, bytes) = (array.value_offsets(), array.value_data());
    let mut stretch = 0..0;
    for run in runs {
        let (start, end) = (offsets[run.start].as_usize(), offsets[run.end()].as_usize());
        // What lies under a null between two runs is most often nothing.
        if stretch.end == start {
            stretch.end = end;
        } else {
            writer.write(&bytes[stretch]);
            stretch = start..end;
        }
    }
    writer.write(&bytes[stretch]);
}

fn view_bytes<T: ByteViewType>(array: &GenericByteViewArray<T>, runs: &[Run], writer: &mut Writer<'_>) {
    let buffers = array.data_buffers();
    for view in runs.iter().flat_map(|run| &array.views()[run.start..run.end()]) {
        let length = *view as u32 as usize;
        if length <= 12 {
            let [_, _, _, _, inline @ ..] = view.to_le_bytes();
            writer.inline(&inline, length);
        } else {
            let place = ByteView::from(*view);
            let start = place.offset as usize;
            writer.write(&buffers[place.buffer_index as usize][start..start + length]);
        }
    }
}
