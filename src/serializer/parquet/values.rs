//! The values of dictionaries as bytes: how they are told apart, and how they stand in the footer.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, LargeBinaryArray,
    LargeStringArray, NullArray, StringArray, StringViewArray, downcast_primitive_array, make_array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, ToByteSlice};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// All kept dictionaries of a part take at most so much. Every read of the part fetches and parses them, whichever
/// columns it wants; so the footer stays below the 8 MiB that one request fetches.
pub(super) const MOST_BYTES: usize = 4 * 1024 * 1024;

/// A dictionary's values as JSON has them: text as it is, all else as base64 of its bytes.
pub(super) type Texts<'a> = Vec<Option<Cow<'a, str>>>;

/// The bytes of a value that is not nested; none for null. Two values are the same if their bytes are: of floating
/// point numbers, each NaN and each zero is a value of its own.
pub(super) fn value(array: &dyn Array, place: usize) -> Option<&[u8]> {
    if array.is_null(place) {
        return None;
    }
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(place).as_bytes()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(place).as_bytes()),
        DataType::Utf8View => Some(array.as_string_view().value(place).as_bytes()),
        DataType::Binary => Some(array.as_binary::<i32>().value(place)),
        DataType::LargeBinary => Some(array.as_binary::<i64>().value(place)),
        DataType::BinaryView => Some(array.as_binary_view().value(place)),
        DataType::FixedSizeBinary(_) => Some(array.as_fixed_size_binary().value(place)),
        DataType::Boolean => Some(if array.as_boolean().value(place) { &[1] } else { &[0] }),
        _ => downcast_primitive_array!(
            array => array.values().get(place..=place).map(ToByteSlice::to_byte_slice),
            _ => None
        ),
    }
}

/// The values for the footer.
pub(super) fn texts(values: &ArrayRef) -> Texts<'_> {
    match values.data_type() {
        DataType::Utf8 => values.as_string::<i32>().iter().map(|value| value.map(Cow::Borrowed)).collect(),
        DataType::LargeUtf8 => values.as_string::<i64>().iter().map(|value| value.map(Cow::Borrowed)).collect(),
        DataType::Utf8View => values.as_string_view().iter().map(|value| value.map(Cow::Borrowed)).collect(),
        _ => {
            let bytes = (0..values.len()).map(|place| value(values, place));
            bytes.map(|bytes| bytes.map(|bytes| Cow::Owned(STANDARD.encode(bytes)))).collect()
        }
    }
}

/// The values that stand in a footer.
///
/// # Errors
///
/// What is wrong with them, if they are not of that type.
pub(super) fn array_of(value_type: &DataType, values: Texts<'_>) -> Result<ArrayRef, &'static str> {
    Ok(match value_type {
        DataType::Utf8 => Arc::new(StringArray::from_iter(values)),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from_iter(values)),
        DataType::Utf8View => Arc::new(StringViewArray::from_iter(values)),
        DataType::Binary => Arc::new(BinaryArray::from_iter(bytes(values)?)),
        DataType::LargeBinary => Arc::new(LargeBinaryArray::from_iter(bytes(values)?)),
        DataType::BinaryView => Arc::new(BinaryViewArray::from_iter(bytes(values)?)),
        DataType::Null if values.iter().any(Option::is_some) => return Err("has values although its type has none"),
        DataType::Null => Arc::new(NullArray::new(values.len())),
        DataType::Boolean => Arc::new(truths(&bytes(values)?)?),
        DataType::FixedSizeBinary(width) => fixed(value_type, usize::try_from(*width).ok(), &bytes(values)?)?,
        _ => fixed(value_type, value_type.primitive_width(), &bytes(values)?)?,
    })
}

fn bytes(values: Texts<'_>) -> Result<Vec<Option<Vec<u8>>>, &'static str> {
    let decoded = values.into_iter().map(|text| text.map(|text| STANDARD.decode(text.as_bytes())).transpose());
    decoded.collect::<Result<_, _>>().map_err(|_| "holds a value that is no base64")
}

fn truths(values: &[Option<Vec<u8>>]) -> Result<BooleanArray, &'static str> {
    let truth = |value: &Option<Vec<u8>>| match value.as_deref() {
        None => Ok(None),
        Some([0]) => Ok(Some(false)),
        Some([1]) => Ok(Some(true)),
        Some(_) => Err("holds a value that is neither true nor false"),
    };
    values.iter().map(truth).collect()
}

fn fixed(value_type: &DataType, width: Option<usize>, values: &[Option<Vec<u8>>]) -> Result<ArrayRef, &'static str> {
    let width = width.ok_or("is of a nested type")?;
    let total = width.checked_mul(values.len()).filter(|total| *total <= MOST_BYTES).ok_or("takes too much memory")?;
    let mut joined = Vec::with_capacity(total);
    for value in values {
        match value {
            None => joined.resize(joined.len() + width, 0),
            Some(value) if value.len() == width => joined.extend_from_slice(value),
            Some(_) => return Err("holds a value of another size than its type has"),
        }
    }
    let nulls: NullBuffer = values.iter().map(Option::is_some).collect();
    let nulls = Some(nulls).filter(|nulls| nulls.null_count() > 0);
    let data = ArrayData::builder(value_type.clone()).len(values.len()).add_buffer(joined.into()).nulls(nulls);
    data.align_buffers(true).build().map(make_array).map_err(|_| "does not fit its type")
}

#[cfg(test)]
mod tests {
    use arrow::array::{FixedSizeBinaryArray, Float64Array, Int16Array};

    use super::*;

    #[test]
    fn values_are_told_apart_by_their_bits() {
        let odd = f64::from_bits(f64::NAN.to_bits() | 1);
        let floats: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(0.0), Some(-0.0), Some(f64::NAN), Some(odd), None]));
        let bytes: Vec<_> = (0..5).map(|place| value(&floats, place)).collect();
        let expected = [0.0, -0.0, f64::NAN, odd].map(f64::to_le_bytes);
        assert_eq!(bytes[..4], expected.each_ref().map(|bytes| Some(&bytes[..])));
        assert_eq!((bytes[4], value(&floats.slice(3, 2), 0)), (None, bytes[3]));
        let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
        assert_eq!((value(&truths, 0), value(&truths, 1)), (Some(&[1][..]), Some(&[0][..])));
        assert_eq!(value(&NullArray::new(1), 0), None);
    }

    #[test]
    fn what_stands_in_the_footer_is_read_again() {
        let slice: ArrayRef = Arc::new(Int16Array::from(vec![Some(9), Some(-2), None, Some(258)]));
        let binary = FixedSizeBinaryArray::try_from_iter([[7_u8, 255], [0, 0]].iter()).unwrap();
        let arrays: [ArrayRef; 6] = [
            slice.slice(1, 3),
            Arc::new(binary),
            Arc::new(BooleanArray::from(vec![Some(false), None, Some(true)])),
            Arc::new(StringViewArray::from(vec![Some("a text of more than twelve bytes"), None, Some("")])),
            Arc::new(BinaryViewArray::from(vec![Some(&b"\xff"[..]), None])),
            Arc::new(NullArray::new(3)),
        ];
        for array in arrays {
            let json = serde_json::to_string(&texts(&array)).unwrap();
            let read: Texts<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(&array_of(array.data_type(), read).unwrap(), &array, "{json}");
        }
        assert_eq!(serde_json::to_string(&texts(&slice)).unwrap(), r#"["CQA=","/v8=",null,"AgE="]"#);
    }

    #[test]
    fn what_does_not_fit_its_type_is_refused() {
        let wide = DataType::FixedSizeBinary(1 << 20);
        let list = DataType::new_list(DataType::Int8, true);
        for (value_type, values, why) in [
            (DataType::Int16, vec![Some("CQ==")], "another size"),
            (DataType::Int16, vec![Some("?")], "no base64"),
            (DataType::Boolean, vec![Some("CQ==")], "neither"),
            (DataType::Null, vec![None, Some("")], "has values"),
            (wide, vec![None; 5], "too much memory"),
            (list, vec![None], "nested"),
        ] {
            let texts = values.into_iter().map(|text| text.map(Cow::Borrowed)).collect();
            assert!(array_of(&value_type, texts).unwrap_err().contains(why), "{why}");
        }
    }
}
