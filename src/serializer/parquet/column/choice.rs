//! Which encoding and which codec suit the values of a column, told from a sample of its rows.
//!
//! A choice weighs the bytes that a column would take against the time that writing and reading it would. Times come from
//! a table of what each encoding and codec usually takes, never from a clock, so that the same rows always give the same
//! file.

use std::ops::Range;

use parquet::basic::{Compression, Encoding, Type};

use super::bits::width;
use super::compression::Codecs;
use super::dictionary::Builder;
use super::gather::Leaf;
use super::hybrid;
use super::value::Value;
use crate::error::Result;

/// Row groups of fewer rows are not worth a sample.
const SAMPLED_ROWS: usize = 8 * 1024;
const WINDOWS: usize = 3;
const WINDOW_ROWS: usize = 4 * 1024;
/// A dictionary takes at most so many bytes, since whoever reads a page holds it.
pub(super) const DICTIONARY_BYTES: usize = 2 * 1024 * 1024;

/// How the values of a chunk are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// The places of a dictionary.
    Dictionary,
    /// One by one, in this encoding.
    Values(Encoding),
}

/// What was chosen for a column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) layout: Layout,
    pub(super) compression: Compression,
    /// What becomes of it if there are more distinct values than a dictionary is worth.
    pub(super) otherwise: (Encoding, Compression),
    /// Where a sample told.
    pub(super) why: Option<String>,
}

/// What may be chosen.
#[derive(Debug, Clone)]
pub(in super::super) struct Taste {
    /// How many nanoseconds of writing and reading a byte less is worth.
    pub(in super::super) byte: f64,
    pub(in super::super) codecs: Vec<Compression>,
}

/// One way to store the sample, and what it takes.
#[derive(Debug, Clone)]
struct Candidate {
    layout: Layout,
    compression: Compression,
    /// Of all rows.
    bytes: f64,
    nanoseconds: f64,
}

impl Candidate {
    fn price(&self, taste: &Taste) -> f64 {
        self.bytes * taste.byte + self.nanoseconds
    }
}

/// About how many nanoseconds it takes to write and read a value, besides any codec.
fn value_cost(layout: Layout, physical: Type) -> f64 {
    match (layout, physical) {
        (Layout::Dictionary, Type::BYTE_ARRAY) => 18.0,
        (Layout::Dictionary, _) => 7.0,
        (Layout::Values(Encoding::DELTA_LENGTH_BYTE_ARRAY), _) => 12.0,
        (Layout::Values(Encoding::PLAIN), Type::BYTE_ARRAY) => 22.0,
        (Layout::Values(Encoding::PLAIN), _) => 1.5,
        (Layout::Values(Encoding::BYTE_STREAM_SPLIT), _) => 8.0,
        (Layout::Values(_), _) => 5.0,
    }
}

/// About how many nanoseconds it takes to compress and decompress a byte.
fn byte_cost(compression: Compression) -> f64 {
    match compression {
        Compression::UNCOMPRESSED => 0.0,
        Compression::LZ4_RAW | Compression::SNAPPY => 3.0,
        Compression::ZSTD(level) => 6.0 + 2.0 * f64::from(level.compression_level().max(1)),
        _ => 40.0,
    }
}

/// Chooses for the rows of a group; `dictionary` is whether one is worth a thought.
pub(super) fn choose<V: Value>(
    leaf: &Leaf<'_, V>,
    taste: &Taste,
    dictionary: bool,
    codecs: &mut Codecs,
) -> Result<Choice> {
    let rows = leaf.rows();
    if rows < SAMPLED_ROWS {
        return Ok(unsampled(taste, dictionary));
    }
    let (mut sample, mut values) = (Vec::new(), Vec::new());
    for window in windows(rows) {
        leaf.values(window, &mut values);
        sample.push(std::mem::take(&mut values));
    }
    let taken: usize = sample.iter().map(Vec::len).sum();
    if taken == 0 {
        return Ok(unsampled(taste, dictionary));
    }
    let sampled_rows: usize = windows(rows).map(|window| window.len()).sum();
    let whole = Whole { values: taken as f64 * rows as f64 / sampled_rows as f64, sampled: taken as f64 };
    let mut candidates = Vec::new();
    for encoding in [Encoding::PLAIN].iter().chain(V::ENCODINGS) {
        let encoded = sample.iter().map(|values| {
            let mut out = Vec::new();
            V::encode(values, *encoding, &mut out);
            out
        });
        let encoded: Vec<Vec<u8>> = encoded.collect();
        whole.weigh::<V>(Layout::Values(*encoding), &encoded, (0.0, &[]), taste, codecs, &mut candidates)?;
    }
    let best =
        |candidates: &[Candidate]| candidates.iter().min_by(|a, b| a.price(taste).total_cmp(&b.price(taste))).cloned();
    let Some(values) = best(&candidates) else { return Ok(unsampled(taste, dictionary)) };
    let mut distinct = None;
    if dictionary {
        distinct = whole.dictionary(&sample, taste, codecs, &mut candidates)?;
    }
    let found = best(&candidates).unwrap_or_else(|| values.clone());
    let otherwise = match values.layout {
        Layout::Values(encoding) => (encoding, values.compression),
        Layout::Dictionary => (Encoding::PLAIN, values.compression),
    };
    let why = Some(why(&found, whole.values, distinct));
    Ok(Choice { layout: found.layout, compression: found.compression, otherwise, why })
}

/// What is chosen where there is little to choose from: a dictionary is tried, and values are stored as they are.
fn unsampled(taste: &Taste, dictionary: bool) -> Choice {
    let compression = taste.codecs.last().copied().unwrap_or(Compression::UNCOMPRESSED);
    let layout = if dictionary { Layout::Dictionary } else { Layout::Values(Encoding::PLAIN) };
    Choice { layout, compression, otherwise: (Encoding::PLAIN, compression), why: None }
}

fn windows(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let length = (rows / 64).clamp(512, WINDOW_ROWS);
    (0..WINDOWS).map(move |number| {
        let start = (rows - length) * number / (WINDOWS - 1);
        start..start + length
    })
}

/// What the sample stands for.
struct Whole {
    values: f64,
    sampled: f64,
}

impl Whole {
    /// Weighs one layout with each codec. `once` is what a chunk has once: its bytes, and some of them.
    fn weigh<V: Value>(
        &self,
        layout: Layout,
        encoded: &[Vec<u8>],
        once: (f64, &[u8]),
        taste: &Taste,
        codecs: &mut Codecs,
        candidates: &mut Vec<Candidate>,
    ) -> Result<()> {
        let share = self.values / self.sampled;
        let plain: f64 = encoded.iter().map(|window| window.len() as f64).sum::<f64>() * share;
        for compression in &taste.codecs {
            let bytes = if *compression == Compression::UNCOMPRESSED {
                plain + once.0
            } else {
                let mut bytes = 0.0;
                for window in encoded {
                    bytes += codecs.compress(*compression, window)?.len() as f64 * share;
                }
                let shrunk = if once.1.is_empty() {
                    1.0
                } else {
                    codecs.compress(*compression, once.1)?.len() as f64 / once.1.len() as f64
                };
                bytes + once.0 * shrunk.min(1.0)
            };
            let cost = self.values * value_cost(layout, V::PHYSICAL) + (plain + once.0) * byte_cost(*compression);
            candidates.push(Candidate { layout, compression: *compression, bytes, nanoseconds: cost });
        }
        Ok(())
    }

    /// Weighs a dictionary; gives about how many distinct values there are.
    fn dictionary<V: Value>(
        &self,
        sample: &[Vec<V>],
        taste: &Taste,
        codecs: &mut Codecs,
        candidates: &mut Vec<Candidate>,
    ) -> Result<Option<f64>> {
        let (mut builder, mut places, mut cuts) = (V::Dictionary::new(None), Vec::new(), vec![0]);
        for values in sample {
            builder.places(values, &mut places);
            cuts.push(places.len());
        }
        let mut seen = vec![0_u32; builder.len()];
        for place in &places {
            if let Some(times) = seen.get_mut(*place as usize) {
                *times += 1;
            }
        }
        // Values that the sample has once are as many times more in the whole as a guess between the extremes says.
        let once = seen.iter().filter(|times| **times == 1).count() as f64;
        let distinct = (builder.len() as f64 + once * ((self.values / self.sampled).sqrt() - 1.0)).max(1.0);
        let bytes = distinct * builder.bytes() as f64 / builder.len().max(1) as f64;
        if bytes > DICTIONARY_BYTES as f64 || distinct > self.values * 0.8 {
            return Ok(Some(distinct));
        }
        let bits = width(distinct as u64).max(width(builder.len() as u64)).max(1);
        let encoded = cuts.windows(2).map(|cut| {
            let mut out = Vec::new();
            let range = cut.first().copied().unwrap_or_default()..cut.last().copied().unwrap_or_default();
            hybrid::encode(places.get(range).unwrap_or_default(), bits, &mut out);
            out
        });
        let encoded: Vec<Vec<u8>> = encoded.collect();
        let mut plain = Vec::new();
        builder.plain(&mut plain);
        self.weigh::<V>(Layout::Dictionary, &encoded, (bytes, &plain), taste, codecs, candidates)?;
        Ok(Some(distinct))
    }
}

fn why(found: &Candidate, values: f64, distinct: Option<f64>) -> String {
    let bits = found.bytes * 8.0 / values.max(1.0);
    let layout = match (found.layout, distinct) {
        (Layout::Dictionary, Some(distinct)) => format!("about {distinct:.0} distinct values"),
        (Layout::Dictionary, None) => "few distinct values".to_owned(),
        (Layout::Values(Encoding::PLAIN), _) => "neither distinct values nor steps are few".to_owned(),
        (Layout::Values(Encoding::DELTA_BINARY_PACKED), _) => "steps are smaller than values".to_owned(),
        (Layout::Values(Encoding::DELTA_LENGTH_BYTE_ARRAY), _) => "many distinct texts".to_owned(),
        (Layout::Values(Encoding::BYTE_STREAM_SPLIT), _) => "bytes of the same place are alike".to_owned(),
        (Layout::Values(_), _) => "the sample is smallest so".to_owned(),
    };
    let codec = match found.compression {
        Compression::UNCOMPRESSED => "; a codec gains too little",
        _ => "",
    };
    format!("{layout}{codec}; about {bits:.1} bits a value")
}
