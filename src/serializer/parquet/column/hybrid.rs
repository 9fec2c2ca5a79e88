//! Runs and bit-packed groups by turns: definition levels, and the places of a dictionary.

use super::bits::{pack, varint};

/// Appends `places`, each of `width` bits.
pub(in super::super) fn encode(places: &[u32], width: u32, out: &mut Vec<u8>) {
    // A shorter run takes no fewer bytes than its share of a packed group, and cuts that in two.
    let least = 8.max(40_usize.div_ceil(width.max(1) as usize));
    let (mut packed, mut at) = (0, 0);
    while let Some(rest) = places.get(at..).filter(|rest| !rest.is_empty()) {
        let run = run_length(rest);
        if run >= least {
            groups(places.get(packed..at).unwrap_or_default(), width, out);
            varint((run as u64) << 1, out);
            let value = rest.first().copied().unwrap_or_default().to_le_bytes();
            out.extend_from_slice(value.get(..width.div_ceil(8) as usize).unwrap_or_default());
            at += run;
            packed = at;
        } else {
            // Groups have eight values each, counted from where they begin.
            at += 8;
        }
    }
    groups(places.get(packed..).unwrap_or_default(), width, out);
}

/// How many of the first values are the same; cheap where they are not.
fn run_length(values: &[u32]) -> usize {
    let Some((first, rest)) = values.split_first() else { return 0 };
    1 + rest.iter().take_while(|value| *value == first).count()
}

fn groups(values: &[u32], width: u32, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let groups = values.len().div_ceil(8);
    varint((groups as u64) << 1 | 1, out);
    let end = out.len() + groups * width as usize;
    pack(values, width, out);
    out.resize(end, 0);
}

/// Appends the levels of rows of which each is there or not: 1 or 0, one bit each. `there` has a bit for each row, from
/// `offset` on.
pub(in super::super) fn presence(there: &[u8], rows: usize, out: &mut Vec<u8>) {
    /// Sixty-four rows alike are worth a run.
    const LEAST: usize = 8;
    let whole = rows / 8;
    let (mut packed, mut at) = (0, 0);
    let flush = |range: std::ops::Range<usize>, out: &mut Vec<u8>| {
        if !range.is_empty() {
            varint((range.len() as u64) << 1 | 1, out);
            out.extend_from_slice(there.get(range).unwrap_or_default());
        }
    };
    while at < whole {
        let first = there.get(at).copied().unwrap_or_default();
        let alike = match first {
            0 | 0xff => there.get(at..whole).unwrap_or_default().iter().take_while(|byte| **byte == first).count(),
            _ => 1,
        };
        if matches!(first, 0 | 0xff) && alike >= LEAST {
            flush(packed..at, out);
            varint((alike as u64 * 8) << 1, out);
            out.push(first & 1);
            packed = at + alike;
        }
        at += alike;
    }
    flush(packed..rows.div_ceil(8), out);
}

/// Appends the levels of rows that are all there, or all not.
pub(super) fn alike(there: bool, rows: usize, out: &mut Vec<u8>) {
    varint((rows as u64) << 1, out);
    out.push(u8::from(there));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads runs and groups back, as the format describes them.
    fn decode(mut bytes: &[u8], width: u32, count: usize) -> Vec<u32> {
        let mut values = Vec::new();
        while values.len() < count {
            let (mut header, mut shift) = (0_u64, 0);
            loop {
                let byte = bytes[0];
                bytes = &bytes[1..];
                header |= u64::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            if header & 1 == 0 {
                let length = width.div_ceil(8) as usize;
                let mut value = [0; 4];
                value[..length].copy_from_slice(&bytes[..length]);
                bytes = &bytes[length..];
                values.extend(std::iter::repeat_n(u32::from_le_bytes(value), (header >> 1) as usize));
            } else {
                let groups = (header >> 1) as usize;
                let bit = |at: usize| u32::from(bytes[at / 8] >> (at % 8) & 1);
                let w = width as usize;
                values.extend((0..groups * 8).map(|i| (0..w).map(|b| bit(i * w + b) << b).sum::<u32>()));
                bytes = &bytes[groups * w..];
            }
        }
        assert!(bytes.is_empty());
        values.truncate(count);
        values
    }

    proptest! {
        #[test]
        fn runs_and_groups_come_back(runs in prop::collection::vec((0_u32..40, 1_usize..60), 0..30), spread in any::<bool>()) {
            let runs = runs.into_iter().map(|(value, length)| (value, if spread { 1 + length % 3 } else { length }));
            let values: Vec<u32> = runs.flat_map(|(value, length)| std::iter::repeat_n(value, length)).collect();
            for width in [6, 7, 9, 32] {
                let mut out = Vec::new();
                encode(&values, width, &mut out);
                prop_assert_eq!(&decode(&out, width, values.len()), &values);
            }
        }

        #[test]
        fn presence_comes_back(runs in prop::collection::vec((any::<bool>(), 1_usize..300), 1..12)) {
            let rows: Vec<u32> = runs.into_iter().flat_map(|(there, length)| std::iter::repeat_n(u32::from(there), length)).collect();
            let mut there = Vec::new();
            pack(&rows, 1, &mut there);
            let mut out = Vec::new();
            presence(&there, rows.len(), &mut out);
            prop_assert_eq!(decode(&out, 1, rows.len()), rows);
        }
    }

    #[test]
    fn a_run_takes_no_more_than_its_length() {
        let mut out = Vec::new();
        encode(&[3; 1_000], 2, &mut out);
        assert_eq!(out, [0xd0, 0x0f, 3]);
        out.clear();
        alike(true, 1_000, &mut out);
        assert_eq!(out, [0xd0, 0x0f, 1]);
    }
}
