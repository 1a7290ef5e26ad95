//! The rim of Brownout: everything that reads files, sockets and clocks.

#![forbid(unsafe_code)]

pub mod reference;
