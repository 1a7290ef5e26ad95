//! The real program as a process, and what is done to it: feature `lab`, off in releases.

// This is the rim: it starts processes and waits for them.
#![allow(clippy::disallowed_methods)]

pub mod chaos;
pub mod http;
pub mod program;
pub mod reach;
