//! What others measure and publish, read and written.
//!
//! Bytes in, values of `brownout-core` out, and the other way round. Like the core it has no clock, socket or
//! file; what it reads comes from outside, so nothing in it may panic.

#![forbid(unsafe_code)]

pub mod ooni;
