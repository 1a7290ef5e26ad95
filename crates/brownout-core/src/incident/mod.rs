//! Incidents: intervals of impairment with a lifecycle of possible, confirmed and ended.

pub(crate) mod distrust;
mod lifecycle;
pub(crate) mod replayed;
mod waves;

pub use distrust::{Cause, Doubt};
pub use lifecycle::{Look, ScopeTrack, Step};
pub use waves::Waves;
