//! The scoreboard: detectors beside each other on the same seeded data.
//!
//! Nothing here knows the time or the machine, so the same settings give the same figures everywhere.

mod board;
mod echoes;
mod five_minutes;
mod promise;

use std::sync::atomic::{AtomicU32, Ordering};

pub use board::Board;

/// A part of the scoreboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Detectors on simulated five-minute counts.
    FiveMinutes,
    /// False calls of the whole engine in calm years.
    Promise,
    /// Services that rise because others fail.
    Echoes,
}

impl Section {
    /// All of them, in the order of the page.
    pub const ALL: [Section; 3] = [Section::FiveMinutes, Section::Promise, Section::Echoes];

    /// The name that the command knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Section::FiveMinutes => "five-minutes",
            Section::Promise => "promise",
            Section::Echoes => "echoes",
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
    /// Calm service-years through the engine, per policy.
    pub service_years: u32,
    /// Engines that live through episodes of failures and echoes.
    pub echo_engines: u32,
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
            echo_engines: 60,
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
            echo_engines: 1,
            slack: 0.25,
            threads,
        }
    }
}

/// Shape of the Gamma factor that the noise of an hour is, where nothing else is said.
const NOISE_SIZE: f64 = 4.0;

/// Factor of day and week, about 1 on average: from 0.4 to 1.6 in a day, weekends a quarter calmer. The
/// day is counted from its highest hour.
fn shape_of_week(of_day: f64, is_weekend: bool) -> f64 {
    let day = 1.0 + 0.6 * libm::cos(std::f64::consts::TAU * of_day);
    day * if is_weekend { 0.8 } else { 1.08 }
}

/// Works out some sections. `progress` is told what is being done.
pub fn run(settings: &Settings, sections: &[Section], mut progress: impl FnMut(&str)) -> Board {
    let mut board = Board::default();
    for section in sections {
        match section {
            Section::FiveMinutes => five_minutes::add_to(&mut board, settings, &mut progress),
            Section::Promise => promise::add_to(&mut board, settings, &mut progress),
            Section::Echoes => echoes::add_to(&mut board, settings, &mut progress),
        }
    }
    board
}

/// Does `count` pieces of work on some threads; the results are in the order of the pieces.
fn in_parallel<T: Send>(threads: usize, count: u32, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let next = AtomicU32::new(0);
    let worker = || {
        let pieces = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)));
        pieces.take_while(|piece| *piece < count).map(|piece| (piece, work(piece))).collect::<Vec<_>>()
    };
    let mut done: Vec<(u32, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    done.sort_unstable_by_key(|(piece, _)| *piece);
    done.into_iter().map(|(_, result)| result).collect()
}
