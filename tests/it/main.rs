//! Integration tests: one binary, because linking arrow and parquet many times is slow.

mod cli;
mod roundtrip;
mod support;
