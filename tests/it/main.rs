//! Integration tests: one binary, because linking arrow and parquet many times is slow.

mod roundtrip;
mod support;
