//! A simulated network for reachability: countries, their providers, probes in them, and what interferes.
//!
//! The same scenarios that real servers and real packets play; here each stage of a run is drawn, not sent.

mod scenarios;
mod world;

pub use scenarios::{Expected, Outcome, Scenario, play, play_in, probes, scenarios, sites};
pub use world::{Field, How, Interference, Probe, Site, World};
