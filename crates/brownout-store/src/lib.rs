//! Where evidence lives.
//!
//! The [`port`] says what the engine's host needs of storage; [`embedded`] is the adapter that
//! ships in the one binary; [`contract`] is the suite that every adapter passes.

#![forbid(unsafe_code)]

pub mod port;
