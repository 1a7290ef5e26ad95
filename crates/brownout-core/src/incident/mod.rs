//! Incidents: intervals of impairment with a lifecycle of possible, confirmed and ended.

mod lifecycle;
mod waves;

pub use lifecycle::{Look, ScopeTrack, Step};
pub use waves::Waves;
