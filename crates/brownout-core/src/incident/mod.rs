//! Incidents: intervals of impairment with a lifecycle of possible, confirmed and ended.

pub(crate) mod distrust;
mod extent;
mod lifecycle;
pub(crate) mod replayed;
mod waves;

pub use distrust::{Cause, Doubt};
pub use extent::{Counted, Counts, Extent, ExtentKind, ExtentTrack, RunnerUp, Scattered, extent};
pub use lifecycle::{Look, ScopeTrack, Step};
pub use waves::Waves;
