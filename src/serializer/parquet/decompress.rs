//! Decompresses pages, into buffers of exactly their size.

use std::cell::RefCell;
use std::io::{Cursor, Read};

use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use zstd::bulk::Decompressor;

use crate::error::{Error, ErrorKind, Result};

thread_local! {
    /// A context takes longer to make than a small page to decompress.
    static ZSTD: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The first `prefix` bytes of `stored` as they are, and behind them the rest decompressed: `size` bytes together.
///
/// # Errors
///
/// [`ErrorKind::Damaged`] if that is not what is stored, [`ErrorKind::Unsupported`] for a codec that coldframe does not
/// write.
pub(super) fn decompressed(codec: Compression, stored: &[u8], prefix: usize, size: usize) -> Result<Vec<u8>> {
    let (levels, rest) =
        stored.split_at_checked(prefix).filter(|_| prefix <= size).ok_or_else(|| wrong("is cut short"))?;
    let wanted = size - prefix;
    if wanted == 0 {
        return Ok(levels.to_vec());
    }
    let page = match codec {
        Compression::ZSTD(_) => {
            let mut page = Vec::with_capacity(size);
            page.extend_from_slice(levels);
            zstd(rest, page)?
        }
        Compression::GZIP(_) => {
            let mut page = Vec::with_capacity(size);
            page.extend_from_slice(levels);
            let most = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(1);
            MultiGzDecoder::new(rest).take(most).read_to_end(&mut page).map_err(wrong)?;
            page
        }
        Compression::LZ4_RAW | Compression::SNAPPY => {
            // Zeros of a fresh allocation cost nothing where it is large.
            let mut page = vec![0; size];
            let (front, back) = page.split_at_mut(prefix);
            front.copy_from_slice(levels);
            let written = match codec {
                Compression::SNAPPY => snap::raw::Decoder::new().decompress(rest, back).map_err(wrong)?,
                _ => lz4_flex::block::decompress_into(rest, back).map_err(wrong)?,
            };
            page.truncate(prefix + written);
            page
        }
        other => {
            let message = format!("a Parquet column is compressed with {other}, which coldframe does not write");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
    };
    if page.len() == size { Ok(page) } else { Err(wrong(format!("has {} bytes and not {size}", page.len()))) }
}

fn zstd(stored: &[u8], page: Vec<u8>) -> Result<Vec<u8>> {
    ZSTD.with_borrow_mut(|context| {
        let context = match context {
            Some(context) => context,
            None => context.insert(Decompressor::new().map_err(wrong)?),
        };
        let prefix = u64::try_from(page.len()).unwrap_or(u64::MAX);
        let mut page = Cursor::new(page);
        page.set_position(prefix);
        context.decompress_to_buffer(stored, &mut page).map_err(wrong)?;
        Ok(page.into_inner())
    })
}

fn wrong(why: impl std::fmt::Display) -> Error {
    Error::damaged(format!("a Parquet page cannot be decompressed: {why}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use parquet::basic::{GzipLevel, ZstdLevel};

    use super::*;

    fn compressed(codec: Compression, bytes: &[u8]) -> Vec<u8> {
        match codec {
            Compression::ZSTD(_) => zstd::bulk::compress(bytes, 1).unwrap(),
            Compression::GZIP(_) => {
                let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::SNAPPY => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
            _ => lz4_flex::block::compress(bytes),
        }
    }

    #[test]
    fn every_codec_gives_exactly_what_was_stored() {
        let page: Vec<u8> = (0..70_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        let zstd = Compression::ZSTD(ZstdLevel::default());
        for codec in [zstd, Compression::GZIP(GzipLevel::default()), Compression::SNAPPY, Compression::LZ4_RAW] {
            for prefix in [0, 11] {
                let mut stored = page[..prefix].to_vec();
                stored.extend(compressed(codec, &page[prefix..]));
                assert_eq!(decompressed(codec, &stored, prefix, page.len()).unwrap(), page, "{codec} {prefix}");
                for wrong in [page.len() - 1, page.len() + 1, prefix + 1] {
                    let error = decompressed(codec, &stored, prefix, wrong).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Damaged, "{codec} {wrong}");
                }
                let cut = &stored[..stored.len() - 9];
                assert_eq!(decompressed(codec, cut, prefix, page.len()).unwrap_err().kind(), ErrorKind::Damaged);
            }
            assert_eq!(decompressed(codec, b"levels", 6, 6).unwrap(), b"levels");
            assert!(decompressed(codec, b"levels", 7, 7).is_err() && decompressed(codec, b"levels", 6, 5).is_err());
        }
        let error = decompressed(Compression::LZ4, b"x", 0, 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
