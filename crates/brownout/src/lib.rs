//! Brownout's rim: configuration, listeners, queues and wiring around the pure engine.

#![forbid(unsafe_code)]

pub mod intake;
pub mod listener;
