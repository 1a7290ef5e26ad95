//! A seeded world for Brownout: scenarios, the player that turns them into reports, the timelines
//! that come out, and readers of other people's data.
//!
//! Nothing here has a clock or a socket: a [`Player`] hands out what would have been sent and when,
//! and the caller sends it through the same intake as everybody else's reports. Only what the
//! feature `lab` adds has both: it drives the real program as a process, and is off in releases.

#![forbid(unsafe_code)]

pub mod attacker;
#[cfg(feature = "lab")]
pub mod bench;
pub mod curve;
pub mod direct;
pub mod import;
#[cfg(feature = "lab")]
pub mod lab;
pub mod load;
mod player;
pub mod reach;
pub mod rng;
mod scenario;
pub mod scoreboard;
pub mod timeline;

pub use player::{Pace, Player, Step, Views};
pub use scenario::{
    Anchor, Baseline, City, Clock, DaysOff, Event, EventShape, Expectation, ExpectationKind, Focus, Mark,
    Network, Note, Scenario, ScenarioError, ScopeKey, ServiceLine, find, scenarios,
};
