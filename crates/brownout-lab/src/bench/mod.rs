//! Measures the real program over loopback, with the clients on the same cores, and writes down
//! each figure beside its bar. Compared things are measured in turn (A B A B) within one run.

// The one part of this crate that looks at a clock: it measures, and decides nothing.
#![allow(clippy::disallowed_methods)]

mod client;
mod flows;
mod paper;
mod probes;
mod program;
mod replays;
mod scale;
mod trivial;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use paper::Paper;

/// What is measured, and for how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The `brownout` program.
    pub program: PathBuf,
    /// Where data folders are made and removed again; its disk is part of the result.
    pub folder: PathBuf,
    /// Time of one measurement.
    pub time: Duration,
    /// How often compared things take turns.
    pub rounds: usize,
    /// Services of the part with many series, of about 200 series each.
    pub services: u32,
    /// Minutes of virtual time that these series live on.
    pub minutes: u32,
    /// The scenario whose log is replayed.
    pub scenario: String,
    /// What to measure; everything when empty.
    pub parts: Vec<String>,
}

impl Settings {
    /// The run whose results are published; some minutes.
    pub fn full(program: PathBuf) -> Self {
        Settings {
            program,
            folder: std::env::temp_dir().join(format!("brownout-bench-{}", std::process::id())),
            time: Duration::from_secs(3),
            rounds: 5,
            services: 5_000,
            minutes: 70,
            scenario: "calm-300".to_owned(),
            parts: Vec::new(),
        }
    }

    /// A run of seconds that shows that everything works; its figures mean nothing.
    pub fn quick(program: PathBuf) -> Self {
        Settings {
            time: Duration::from_millis(200),
            rounds: 1,
            services: 20,
            minutes: 3,
            scenario: "brigade".to_owned(),
            ..Settings::full(program)
        }
    }
}

type Part = fn(&Settings, &mut Paper) -> io::Result<()>;

const PARTS: &[(&str, Part)] = &[
    ("start", scale::start),
    ("reports", flows::reports),
    ("batches", flows::batches),
    ("replay", replays::replay),
    ("pages", flows::pages),
    ("probes", probes::probes),
    ("series", scale::series),
];

/// Measures and returns the page for people.
///
/// # Errors
/// When the program does not run or answers wrongly.
pub fn run(settings: &Settings) -> io::Result<String> {
    if let Some(unknown) = settings.parts.iter().find(|part| PARTS.iter().all(|(name, _)| name != part)) {
        return Err(io::Error::other(format!("there is no part {unknown}")));
    }
    let _folder = Folder::new(&settings.folder)?;
    let mut paper = Paper::new(settings)?;
    for (name, part) in PARTS {
        if settings.parts.is_empty() || settings.parts.iter().any(|part| part == name) {
            part(settings, &mut paper).map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        }
    }
    Ok(paper.to_string())
}

/// A folder that goes when this does.
struct Folder(PathBuf);

impl Folder {
    fn new(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Folder(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to the system's own clean-up of its temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The middle of the rounds.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
