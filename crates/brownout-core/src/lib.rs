//! The pure heart of Brownout.
//!
//! Everything here is a function of its inputs: no clock, socket, file, thread,
//! randomness or environment. Time enters as [`model::UtcTime`] arguments and
//! outside facts enter as [`model::Record`]s; what leaves is a
//! [`snapshot::Snapshot`] and a closed set of effects. Because of that, the same
//! log of records always gives the same incidents, byte for byte.

#![forbid(unsafe_code)]

pub mod effect;
pub mod engine;
pub mod incident;
pub mod model;
pub mod reach;
pub mod report;
pub mod series;
pub mod snapshot;
pub mod verdict;
