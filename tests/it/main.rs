//! Integration tests: one binary, because linking arrow and parquet many times is slow.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "a test that finds something else than it expects ends by panicking"
)]

mod architecture;
mod cli;
mod conformance;
mod interop;
mod roundtrip;
mod support;
