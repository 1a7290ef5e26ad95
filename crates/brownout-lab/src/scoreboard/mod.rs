//! The scoreboard: detectors beside each other on the same seeded data.
//!
//! But for the speed, nothing here knows the time or the machine: the same settings give the same
//! figures everywhere. Detectors of other people's programs are run as processes where they are installed.

mod ablations;
mod board;
mod daily;
mod echoes;
mod five_minutes;
mod manipulation;
mod nab;
mod page;
mod promise;
mod reachability;
mod spectrum;
mod speed;

use std::sync::atomic::{AtomicU32, Ordering};

pub use board::Board;
pub use page::Page;
pub use speed::{RESTORE, restore};

/// A part of the scoreboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Detectors on simulated five-minute counts.
    FiveMinutes,
    /// Detectors on simulated daily counts of seven years.
    Daily,
    /// Busy series of real values with labelled windows.
    Nab,
    /// Outages injected into real reports.
    Spectrum,
    /// Services that rise because others fail.
    Echoes,
    /// What it takes to fool the whole engine.
    Manipulation,
    /// False calls of the whole engine in calm years.
    Promise,
    /// Interference in a simulated network.
    Reachability,
    /// What a tick costs.
    Speed,
    /// What each part contributes.
    Ablations,
}

impl Section {
    /// All of them, in the order of the page.
    pub const ALL: &'static [Section] = &[
        Section::FiveMinutes,
        Section::Daily,
        Section::Nab,
        Section::Spectrum,
        Section::Echoes,
        Section::Manipulation,
        Section::Promise,
        Section::Reachability,
        Section::Speed,
        Section::Ablations,
    ];

    /// The name that the command knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Section::FiveMinutes => "five-minutes",
            Section::Daily => "daily",
            Section::Nab => "nab",
            Section::Spectrum => "spectrum",
            Section::Echoes => "echoes",
            Section::Manipulation => "manipulation",
            Section::Promise => "promise",
            Section::Reachability => "reachability",
            Section::Speed => "speed",
            Section::Ablations => "ablations",
        }
    }

    /// What it is called on the page.
    pub const fn title(self) -> &'static str {
        match self {
            Section::FiveMinutes => "Five-minute counts",
            Section::Daily => "Daily counts",
            Section::Nab => "Real series with labels",
            Section::Spectrum => "Outages in real reports",
            Section::Echoes => "Echoes",
            Section::Manipulation => "Manipulation",
            Section::Promise => "The promise",
            Section::Reachability => "Reachability",
            Section::Speed => "Speed",
            Section::Ablations => "Ablations",
        }
    }

    /// Works it out. `progress` is told what is being done.
    pub fn measure(self, settings: &Settings, mut progress: impl FnMut(&str)) -> Board {
        let mut board = Board::default();
        self.add_to(&mut board, settings, &mut progress);
        board
    }

    fn add_to(self, board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
        match self {
            Section::FiveMinutes => five_minutes::add_to(board, settings, progress),
            Section::Daily => daily::add_to(board, settings, progress),
            Section::Nab => nab::add_to(board, settings, progress),
            Section::Spectrum => spectrum::add_to(board, settings, progress),
            Section::Echoes => echoes::add_to(board, settings, progress),
            Section::Manipulation => manipulation::add_to(board, settings, progress),
            Section::Promise => promise::add_to(board, settings, progress),
            Section::Reachability => reachability::add_to(board, settings, progress),
            Section::Speed => speed::add_to(board, settings, progress),
            Section::Ablations => ablations::add_to(board, settings, progress),
        }
    }
}

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The same seed gives the same figures.
    pub seed: u64,
    /// Series-months of each class of the five-minute simulation.
    pub months_per_class: u32,
    /// Runs of each signal of the simulation of daily counts ...
    pub daily_runs: u32,
    /// ... how many without an outbreak our rate of false alarms is measured on ...
    pub daily_calm_runs: u32,
    /// ... and how many of them the detectors of R are asked for too, which takes far longer.
    pub daily_peer_runs: u32,
    /// Calm service-years through the engine, per policy.
    pub service_years: u32,
    /// Lives of each attacked service: each strategy is played in every one.
    pub attacked_lives: u32,
    /// Engines that live through simulated episodes of failures and echoes; none leaves the published pairs.
    pub echo_engines: u32,
    /// Plays of each scenario of interference.
    pub reach_plays: u32,
    /// Active series of the measurement of speed; ten times as many are shown at rest.
    pub series: u32,
    /// Whether detectors of other people's programs are run, which takes minutes.
    pub peers: bool,
    /// Run this program again to see what memory a restart takes: it must know [`RESTORE`].
    pub restarts: bool,
    /// How far a figure may miss its bar by chance, as a share of the bar: none where much is simulated.
    pub slack: f64,
    /// Threads that share the work; the figures do not depend on them.
    pub threads: usize,
}

impl Settings {
    /// What is published.
    pub const fn full(threads: usize) -> Self {
        Settings {
            seed: 2025,
            months_per_class: 2000,
            service_years: 3000,
            attacked_lives: 3,
            echo_engines: 60,
            daily_runs: 100,
            daily_calm_runs: 400,
            daily_peer_runs: 3,
            reach_plays: 50,
            series: 1_000_000,
            peers: true,
            restarts: true,
            slack: 0.0,
            threads,
        }
    }

    /// Enough to notice a step back, in seconds.
    pub const fn quick(threads: usize) -> Self {
        Settings {
            seed: 2025,
            months_per_class: 60,
            service_years: 100,
            attacked_lives: 1,
            echo_engines: 1,
            daily_runs: 4,
            daily_calm_runs: 24,
            daily_peer_runs: 0,
            reach_plays: 2,
            series: 20_000,
            peers: false,
            restarts: false,
            slack: 0.25,
            threads,
        }
    }
}

/// Shape of the Gamma factor that the noise of an hour is, where nothing else is said.
pub(crate) const NOISE_SIZE: f64 = 4.0;

/// Factor of day and week, about 1 on average: from 0.4 to 1.6 in a day, weekends a quarter calmer. The
/// day is counted from its highest hour.
pub(crate) fn shape_of_week(of_day: f64, is_weekend: bool) -> f64 {
    let day = 1.0 + 0.6 * libm::cos(std::f64::consts::TAU * of_day);
    day * if is_weekend { 0.8 } else { 1.08 }
}

/// Does `count` pieces of work on some threads; the results are in the order of the pieces.
fn in_parallel<T: Send>(threads: usize, count: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    in_parallel_told(threads, count, work, |_, _| {})
}

/// The same, and tells of each piece when it is done, in the order in which they are.
fn in_parallel_told<T: Send>(
    threads: usize,
    count: u32,
    work: impl Fn(u32) -> T + Sync,
    mut tell: impl FnMut(u32, &T),
) -> Vec<T> {
    let next = AtomicU32::new(0);
    let mut done: Vec<(u32, T)> = Vec::with_capacity(count as usize);
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        for _ in 0..threads.max(1) {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                let pieces = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
                for piece in pieces.take_while(|piece| *piece < count) {
                    // Nobody listens any more only where another piece panicked.
                    let _ = sender.send((piece, work(piece)));
                }
            });
        }
        drop(sender);
        for (piece, result) in receiver {
            tell(piece, &result);
            done.push((piece, result));
        }
    });
    done.sort_unstable_by_key(|(piece, _)| *piece);
    done.into_iter().map(|(_, result)| result).collect()
}
