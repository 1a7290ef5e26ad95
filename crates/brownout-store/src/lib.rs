//! Where evidence lives.
//!
//! The [`port`] says what the engine's host needs of storage; [`embedded`] is the adapter that
//! ships in the one binary; [`memory`] keeps everything in memory; `contract` is the suite that
//! every adapter passes.

#![forbid(unsafe_code)]

// Its promises are kept or it panics, which is what a test suite is for.
#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod counters;
pub mod embedded;
pub mod memory;
pub mod port;
