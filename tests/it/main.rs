//! Integration tests: one binary, because linking arrow and parquet many times is slow.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    reason = "a test ends by panicking, and is an outermost surface that may read the environment"
)]

mod answering;
mod architecture;
mod cli;
mod conformance;
mod copy;
mod counting;
mod dictionaries;
mod dictionary_values;
mod disk_cache;
mod encodings;
mod faults;
mod faulty;
mod filters;
mod fingerprint;
mod generate;
mod golden;
mod hostile;
mod interop;
mod mapped;
mod mended;
mod options;
mod outside;
mod properties;
mod proxy;
mod races;
mod refusals;
mod requests;
mod results;
mod roundtrip;
mod script;
mod secrets;
mod servers;
mod statistics;
mod support;
mod synced;
mod unfinished;
mod wide;
