//! Integration tests: one binary, because linking arrow and parquet many times is slow.

mod faults;
mod faulty;
mod races;
mod roundtrip;
mod support;
