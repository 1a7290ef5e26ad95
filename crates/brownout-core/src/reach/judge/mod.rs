//! The rules of each stage, one file each.

pub(super) mod dns;
pub(super) mod http;
pub(super) mod quic;
pub(super) mod tcp;
pub(super) mod tls;
