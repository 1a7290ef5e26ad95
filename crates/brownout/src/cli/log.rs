//! `brownout log`.

use clap::{Args, Subcommand};

use super::{Console, Exit, Failure, Settings};

/// The evidence log.
#[derive(Args, Debug)]
pub struct Log {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with the log.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Read every record and check its sum; ends with 3 when one is damaged
    #[command(after_help = "Example:\n  brownout log verify --data /var/lib/brownout")]
    Verify,
    /// Print records in their order
    #[command(after_help = "Example:\n  brownout log cat --from 1000 --limit 20 --output ndjson")]
    Cat(Cat),
    /// Count segments, bytes and records by kind
    #[command(after_help = "Example:\n  brownout log stats --output json")]
    Stats,
}

/// Which records.
#[derive(Args, Debug)]
pub struct Cat {
    /// First position
    #[arg(long, default_value_t = 1)]
    pub from: u64,
    /// At most this many records
    #[arg(long)]
    pub limit: Option<u64>,
    /// Only reports of this service, by slug
    #[arg(long)]
    pub service: Option<String>,
}

pub(super) fn run(args: &Log, settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (_config, _file) = settings.load(None)?;
    match &args.action {
        Action::Verify => Err(Failure::new("log verify: not wired yet")),
        Action::Cat(_cat) => Err(Failure::new("log cat: not wired yet")),
        Action::Stats => Err(Failure::new("log stats: not wired yet")),
    }
}
