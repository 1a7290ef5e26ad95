//! Brownout as a program: configuration, command line, intake and wiring.
//!
//! Input and output live here, at the rim; what is judged, and how, lives in `brownout-core`.

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod host;
pub mod intake;
pub mod listener;
pub mod logging;
pub mod reference;
pub mod secret;
pub mod serving;
pub mod vantage;
