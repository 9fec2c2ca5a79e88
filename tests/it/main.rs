//! Integration tests: one binary, because linking arrow and parquet many times is slow.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test ends it, in its helpers too")]

mod faults;
mod faulty;
mod races;
mod roundtrip;
mod support;
