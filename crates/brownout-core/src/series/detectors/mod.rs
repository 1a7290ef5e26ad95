//! Detectors of a rise, over counts in equal intervals: what is compared on the scoreboard.
//!
//! A detector is fed one interval after the other and says each time how strongly the series departs,
//! on a scale of its own on which one threshold holds for all series.

mod crossings;
mod cusum;
mod e_detector;
mod sums;
mod windowed;

pub use crossings::{Crossings, Window};
pub use cusum::Cusum;
pub use e_detector::EDetector;
pub use sums::Sums;
pub use windowed::Windowed;

/// What is usual for one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Mean count, greater than 0.
    pub mean: f64,
    /// Size of the noise within an hour, greater than 0 (see
    /// [`size_of_window`](super::crossings::size_of_window)).
    pub noise_size: f64,
}

/// Something that says after every interval how strongly a series departs from its usual.
pub trait Detector {
    /// Takes the count of the next interval. The answer is 0 or more, and small while nothing happens.
    fn step(&mut self, count: u32, usual: Usual) -> f64;
}
