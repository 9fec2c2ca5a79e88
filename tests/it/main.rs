//! Integration tests: one binary, because linking arrow and parquet many times is slow.

mod counting;
mod generate;
mod golden;
mod hostile;
mod mended;
mod outside;
mod properties;
mod roundtrip;
mod support;
mod wide;
