//! Counts over time, what is usual for them, and departures from it; and series of any values ([`busy`]).

pub mod busy;
pub mod crossings;
mod detect;
pub mod detectors;
mod incomplete_gamma;
mod learned;
pub mod negative_binomial;
pub mod periods;
mod profile;
mod ring;
pub mod scan;

pub use detect::{Budget, Reading, WINDOWS_MINUTES, Windows, elevation_minutes, is_elevated, onset, read};
pub(crate) use detect::{ln_per_year, room, whole};
pub(crate) use incomplete_gamma::{ln_lower, ln_upper};
pub use learned::{Learned, LearningRates};
pub use negative_binomial::Expected;
pub use profile::{DAY_HOURS, DayShape, Profile};
pub use ring::{DayRing, MinuteRing};
