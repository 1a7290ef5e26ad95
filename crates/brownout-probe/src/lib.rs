//! Measures whether targets are reached: names over DNS, connections over TCP, handshakes of TLS and QUIC,
//! requests over HTTP, echoes. Each stage is timed and kept with its own failure; nothing here judges.
//!
//! One way: a [`Target`](brownout_core::reach::Target) goes through [`Prober::measure`] and becomes a
//! [`Measurement`](brownout_core::reach::Measurement). A control is the same code on a trusted network:
//! [`Prober::baseline`].

#![forbid(unsafe_code)]

mod control;
mod dns;
mod failure;
mod guard;
mod http;
mod icmp;
mod keys;
mod pace;
mod post;
mod prober;
mod quic;
mod run;
mod settings;
mod target;
mod tcp;
mod tls;
pub mod wire;

pub use control::{ControlAnswer, ControlPoint, ControlQuestion, software};
pub use guard::Guard;
pub use hyper::header::{HeaderName, HeaderValue};
pub use keys::{Identity, KeyError, Purpose, is_signed};
pub use post::{PostError, Posted};
pub use prober::{Prober, SetupError};
pub use rustls::pki_types::CertificateDer;
pub use settings::{Depth, Resolvers, Settings, Timeouts, roots_in, system_resolvers};
pub use target::{TargetError, parse_target};
