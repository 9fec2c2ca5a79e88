//! Codecs, whose contexts serve page after page.

use std::io::Write;

use flate2::write::GzEncoder;
use parquet::basic::Compression;
use zstd::bulk::Compressor;

use crate::error::{Error, Result};

/// The codecs that one thread has used so far.
#[derive(Default)]
pub(in super::super) struct Codecs {
    zstd: Option<(i32, Compressor<'static>)>,
    /// What is compressed last.
    out: Vec<u8>,
}

impl Codecs {
    /// `bytes`, compressed.
    pub(super) fn compress(&mut self, compression: Compression, bytes: &[u8]) -> Result<&[u8]> {
        self.out.clear();
        match compression {
            Compression::UNCOMPRESSED => self.out.extend_from_slice(bytes),
            Compression::ZSTD(level) => self.zstd(level.compression_level(), bytes)?,
            Compression::LZ4_RAW => {
                self.out.resize(lz4_flex::block::get_maximum_output_size(bytes.len()), 0);
                let length = lz4_flex::block::compress_into(bytes, &mut self.out).map_err(|error| failed(&error))?;
                self.out.truncate(length);
            }
            Compression::SNAPPY => {
                self.out.resize(snap::raw::max_compress_len(bytes.len()), 0);
                let length =
                    snap::raw::Encoder::new().compress(bytes, &mut self.out).map_err(|error| failed(&error))?;
                self.out.truncate(length);
            }
            Compression::GZIP(level) => {
                let mut encoder =
                    GzEncoder::new(std::mem::take(&mut self.out), flate2::Compression::new(level.compression_level()));
                encoder.write_all(bytes).map_err(|error| failed(&error))?;
                self.out = encoder.finish().map_err(|error| failed(&error))?;
            }
            other => return Err(Error::internal(format!("there is no codec {other:?}"))),
        }
        Ok(&self.out)
    }

    fn zstd(&mut self, level: i32, bytes: &[u8]) -> Result<()> {
        let compressor = match &mut self.zstd {
            Some((of, compressor)) if *of == level => compressor,
            other => {
                let compressor = Compressor::new(level).map_err(|error| failed(&error))?;
                &mut other.insert((level, compressor)).1
            }
        };
        self.out.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
        compressor.compress_to_buffer(bytes, &mut self.out).map_err(|error| failed(&error))?;
        Ok(())
    }
}

fn failed(error: &dyn std::error::Error) -> Error {
    Error::internal(format!("a page could not be compressed: {error}"))
}
