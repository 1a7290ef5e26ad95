//! `brownout replay`.

use std::path::PathBuf;

use clap::Args;

use super::{Console, Exit, Failure, Settings};

/// Runs a stored evidence log again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout replay /var/lib/brownout --output ndjson\n  \
    brownout replay backup/ --policy stricter.toml\n\n\
    The folder is only read. With the recorded policy and the same version of the program the\n\
    result is the same as it was live, byte for byte; nothing is sent to anybody.")]
pub struct Replay {
    /// The data folder whose log is run again
    pub folder: PathBuf,
    /// A configuration whose [policy] is used instead of the recorded one
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// First record to print results for, by position
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// Last record to run, by position; without it, all
    #[arg(long)]
    pub to: Option<u64>,
}

pub(super) fn run(_args: &Replay, _settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    Err(Failure::new("replay: not wired yet"))
}
