//! Reachability: a measurement set against its control, judged by named rules.
//!
//! One way: [`Measurement`] (what a run found, and the control) -> [`Finding`]s (one for each stage and redirect,
//! with its rule) -> [`Analysis`] (state, mechanism, the rule that decided).

mod analysis;
mod bogon;
mod cell;
mod compare;
mod country;
mod failure;
mod falls;
mod fingerprints;
mod flags;
mod judge;
mod keep;
mod measurement;
mod routing;
mod rules;
mod scene;
mod sequential;
mod service;
mod signal;
mod spot;
mod state;
mod strip;
mod view;
mod volume;

pub use analysis::{Analysis, Finding, Layer, analyse};
pub use bogon::is_bogon;
pub use cell::Cell;
pub use compare::{Likeness, likeness};
pub use country::{Countries, Disruption, Sign};
pub use failure::Failure;
pub use falls::{Fall, Falls};
pub use fingerprints::{Fingerprint, Fingerprints, Pattern, Shown};
pub use flags::{Blocking, DnsOdd, Flags, NullNull, flags};
pub use measurement::{
    Answer, Baseline, BaselineFetch, Connect, Control, Family, Fetch, Handshake, Lookup, Measurement, Ping,
    REDIRECTS_MAX, Resolver, Response, Run, Signs, Target, Transport, Vantage,
};
pub use routing::{OriginChange, PeerId, Prefix, Routes, Units, Visible};
pub use rules::{Odds, RULES, RULESET, Rule};
pub use sequential::{Bracket, Change};
pub use service::{Look, ServiceReach};
pub use signal::Signal;
pub use spot::Spot;
pub use state::{Mechanism, Reachability};
pub use strip::{SLOT_MINUTES, Slot, Strip};
pub use view::{ReachPlace, ReachView};
pub use volume::{Gap, Volume};
