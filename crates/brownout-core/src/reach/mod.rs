//! Reachability: a measurement set against its control, judged by named rules.
//!
//! One way: [`Measurement`] (what a run found, and the control) -> [`Finding`]s (one for each stage and redirect,
//! with its rule) -> [`Analysis`] (state, mechanism, the rule that decided).

mod analysis;
mod bogon;
mod cell;
mod compare;
mod failure;
mod falls;
mod fingerprints;
mod flags;
mod judge;
mod measurement;
mod routing;
mod rules;
mod scene;
mod sequential;
mod state;
mod volume;

pub use analysis::{Analysis, Finding, Layer, analyse};
pub use bogon::is_bogon;
pub use cell::Cell;
pub use compare::{Likeness, likeness};
pub use failure::Failure;
pub use falls::{Fall, Falls};
pub use fingerprints::{Fingerprint, Fingerprints, Pattern, Shown};
pub use flags::{Blocking, DnsOdd, Flags, NullNull, flags};
pub use measurement::{
    Answer, Baseline, BaselineFetch, Connect, Control, Family, Fetch, Handshake, Lookup, Measurement, Ping,
    REDIRECTS_MAX, Resolver, Response, Run, Target, Transport, Vantage,
};
pub use routing::{OriginChange, PeerId, Prefix, Routes, Units, Visible};
pub use rules::{Odds, RULES, RULESET, Rule};
pub use sequential::{Bracket, Change};
pub use state::{Mechanism, Reachability};
pub use volume::{Gap, Volume};
