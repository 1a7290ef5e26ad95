//! `brownout scenario`.

use clap::{Args, Subcommand};

use super::{Console, Exit, Failure, Settings};

/// Plays written scenarios.
#[derive(Args, Debug)]
pub struct Scenario {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with scenarios.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Play a scenario as fast as it goes and print its timeline
    #[command(after_help = "Examples:\n  brownout scenario run x-2025-03-10 --output json\n  \
        brownout scenario run my.scenario --seed 7\n\n\
        Ends with 3 when an expectation written in the scenario does not hold.")]
    Run(Run),
    /// List the scenarios that ship with the program
    #[command(after_help = "Example:\n  brownout scenario ls --output json")]
    Ls,
}

/// Which scenario, and how.
#[derive(Args, Debug)]
pub struct Run {
    /// A name of `brownout scenario ls`, or a file
    #[arg(value_name = "NAME|FILE")]
    pub scenario: String,
    /// Seed of everything that is drawn by chance
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

pub(super) fn run(
    args: &Scenario,
    _settings: &Settings,
    _console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    match &args.action {
        Action::Run(_run) => Err(Failure::new("scenario run: not wired yet")),
        Action::Ls => Err(Failure::new("scenario ls: not wired yet")),
    }
}
