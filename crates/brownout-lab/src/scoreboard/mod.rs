//! The scoreboard: detectors beside each other on the same seeded data.
//!
//! Nothing here knows the time or the machine, so the same settings give the same figures everywhere.

mod board;
mod five_minutes;

pub use board::Board;

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The same seed gives the same figures.
    pub seed: u64,
    /// Series-months of each class of the five-minute simulation.
    pub months_per_class: u32,
    /// How far a figure may miss its bar by chance, as a share of the bar: none where much is simulated.
    pub slack: f64,
    /// Threads that share the work; the figures do not depend on them.
    pub threads: usize,
}

impl Settings {
    /// What is published.
    pub const fn full(threads: usize) -> Self {
        Settings { seed: 2025, months_per_class: 2000, slack: 0.0, threads }
    }

    /// Enough to notice a step back, in seconds.
    pub const fn quick(threads: usize) -> Self {
        Settings { seed: 2025, months_per_class: 60, slack: 0.25, threads }
    }
}

/// Works out every table. `progress` is told what is being done.
pub fn run(settings: &Settings, mut progress: impl FnMut(&str)) -> Board {
    let mut board = Board::default();
    five_minutes::add_to(&mut board, settings, &mut progress);
    board
}
