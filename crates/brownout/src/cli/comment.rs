//! `brownout comment`.

use clap::{Args, Subcommand};

use super::{Console, Exit, Failure, Settings};

/// Comments, which are kept apart from the evidence and shown on no page by themselves.
#[derive(Args, Debug)]
pub struct Comment {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with comments.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// List comments, the latest first
    #[command(after_help = "Example:\n  brownout comment ls --service x --output json")]
    Ls(List),
    /// Let a comment be shown on its service's page
    #[command(after_help = "Example:\n  brownout comment show 41")]
    Show(One),
    /// Remove a comment for good
    #[command(after_help = "Example:\n  brownout comment remove 41")]
    Remove(One),
}

/// Which comments.
#[derive(Args, Debug)]
pub struct List {
    /// Only on this service, by slug
    #[arg(long)]
    pub service: Option<String>,
    /// At most this many, 1 to 10000
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
}

/// One comment.
#[derive(Args, Debug)]
pub struct One {
    /// Its number in `brownout comment ls`
    pub number: u64,
}

pub(super) fn run(args: &Comment, settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (_config, _file) = settings.load(None)?;
    match &args.action {
        Action::Ls(_list) => Err(Failure::new("comment ls: not wired yet")),
        Action::Show(_one) => Err(Failure::new("comment show: not wired yet")),
        Action::Remove(_one) => Err(Failure::new("comment remove: not wired yet")),
    }
}
