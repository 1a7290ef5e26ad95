//! Where evidence lives.
//!
//! The [`port`] says what the engine's host needs of storage; [`embedded`] is the adapter that
//! ships in the one binary.

#![forbid(unsafe_code)]

pub mod counters;
pub mod embedded;
pub mod port;
