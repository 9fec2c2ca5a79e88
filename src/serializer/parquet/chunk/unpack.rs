//! Takes integers of a few bits each apart, thirty-two at a time.

/// So many values are taken apart at once.
pub(super) const PACK: usize = 32;

/// The bytes of [`PACK`] values of `width` bits.
pub(super) fn pack_bytes(width: u32) -> usize {
    PACK / 8 * width as usize
}

/// [`PACK`] values of at most 32 bits, side by side in `bytes`, which may be cut short: what is not there is 0.
pub(super) fn unpack(bytes: &[u8], width: u32, values: &mut [u32; PACK]) {
    unpack_with(NARROW.get(width as usize).copied().unwrap_or(narrow::<32, u32>), bytes, width, values);
}

/// [`PACK`] values of at most 64 bits.
pub(super) fn unpack_wide(bytes: &[u8], width: u32, values: &mut [u64; PACK]) {
    if let Some(narrow) = WIDENED.get(width as usize) {
        return unpack_with(*narrow, bytes, width, values);
    }
    let mask = u128::from(u64::MAX >> (64 - width.min(64)));
    for (number, value) in values.iter_mut().enumerate() {
        let bit = number * width as usize;
        let mut word = [0; 16];
        let there = bytes.get(bit / 8..).unwrap_or_default();
        word.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
        *value = (u128::from_le_bytes(word) >> (bit % 8) & mask) as u64;
    }
}

/// Takes one pack apart.
type Unpack<T> = fn(&[u8], &mut [T; PACK]);

fn unpack_with<T>(unpack: Unpack<T>, bytes: &[u8], width: u32, values: &mut [T; PACK]) {
    match bytes.get(..pack_bytes(width)) {
        Some(bytes) => unpack(bytes, values),
        None => {
            let mut padded = [0; PACK / 8 * 32];
            padded.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            unpack(&padded, values);
        }
    }
}

/// By the width of the values: where it is known, all shifts are.
macro_rules! by_width {
    ($type:ty) => { by_width!($type, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32) };
    ($type:ty, $($width:literal)*) => { [$(narrow::<$width, $type>),*] };
}

const NARROW: [Unpack<u32>; 33] = by_width!(u32);
const WIDENED: [Unpack<u64>; 33] = by_width!(u64);

fn narrow<const WIDTH: usize, T: From<u32>>(bytes: &[u8], values: &mut [T; PACK]) {
    let mut words = [0_u32; 32];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0).take(WIDTH) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mask = if WIDTH == 0 { 0 } else { u32::MAX >> (32 - WIDTH) };
    for (number, value) in values.iter_mut().enumerate() {
        let (word, shift) = (number * WIDTH / 32, number * WIDTH % 32);
        let low = words[word % 32] >> shift;
        let high = if shift + WIDTH > 32 { words[(word + 1) % 32] << (32 - shift) } else { 0 };
        *value = ((low | high) & mask).into();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::column::pack;
    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_apart(values in any::<[u64; PACK]>(), width in 0_u32..=64) {
            let values = values.map(|value| if width == 0 { 0 } else { value >> (64 - width) });
            let mut bytes = Vec::new();
            pack(&values, width, &mut bytes);
            let mut found = [7; PACK];
            unpack_wide(&bytes, width, &mut found);
            prop_assert_eq!(found, values);
            if width <= 32 {
                let mut found = [7; PACK];
                unpack(&bytes, width, &mut found);
                prop_assert_eq!(found, values.map(|value| value as u32));
                // What is cut off is 0, and the rest is as it was.
                bytes.truncate(width as usize);
                unpack(&bytes, width, &mut found);
                for (number, (found, value)) in found.into_iter().zip(values).enumerate() {
                    prop_assert_eq!(found, if number < 8 { value as u32 } else { 0 });
                }
            }
        }
    }
}
