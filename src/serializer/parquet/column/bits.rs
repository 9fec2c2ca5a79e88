//! Integers of a few bits each, side by side, the least significant bit first.

/// The bits that `value` needs.
pub(super) fn width(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Appends `values`, `width` bits each, up to the next whole byte.
pub(in super::super) fn pack<T: Copy + Into<u64>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let bytes = (values.len() * width as usize).div_ceil(8);
    out.reserve(bytes + 8);
    let end = out.len() + bytes;
    let (mut held, mut bits) = (0_u64, 0_u32);
    for value in values {
        let value: u64 = (*value).into();
        held |= value << bits;
        bits += width;
        if bits >= u64::BITS {
            out.extend_from_slice(&held.to_le_bytes());
            bits -= u64::BITS;
            held = if bits == 0 { 0 } else { value >> (width - bits) };
        }
    }
    out.extend_from_slice(&held.to_le_bytes());
    out.truncate(end);
}

/// Appends an integer in groups of seven bits, the least significant first.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer so that small ones take few bytes, whatever their sign.
pub(super) fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint(((value << 1) ^ (value >> 63)).cast_unsigned(), out);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpack(bytes: &[u8], width: u32, count: usize) -> Vec<u64> {
        let bit = |at: usize| u64::from(bytes[at / 8] >> (at % 8) & 1);
        let value = |i: usize| (0..width as usize).map(|b| bit(i * width as usize + b) << b).sum();
        (0..count).map(value).collect()
    }

    proptest! {
        #[test]
        fn what_is_packed_can_be_unpacked(values in prop::collection::vec(any::<u64>(), 0..200), width in 0_u32..=64) {
            let mask = if width == 64 { u64::MAX } else { (1 << width) - 1 };
            let values: Vec<u64> = values.into_iter().map(|value| value & mask).collect();
            let mut out = vec![7];
            pack(&values, width, &mut out);
            prop_assert_eq!(out.len(), 1 + (values.len() * width as usize).div_ceil(8));
            prop_assert_eq!(unpack(&out[1..], width, values.len()), values);
        }
    }
}
