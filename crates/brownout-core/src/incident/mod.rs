//! Incidents: intervals of impairment with a lifecycle of possible, confirmed and ended.

mod extent;
mod lifecycle;
mod waves;

pub use extent::{Counted, Counts, Extent, ExtentKind, ExtentTrack, RunnerUp, Scattered, extent};
pub use lifecycle::{Look, ScopeTrack, Step};
pub use waves::Waves;
