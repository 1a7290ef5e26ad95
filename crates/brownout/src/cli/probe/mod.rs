//! `brownout probe`.

mod control;
mod how;
mod judge;
mod measure;

use clap::{Args, Subcommand};

use super::{Console, Exit, Failure};

/// Measurements of whether targets are reached.
#[derive(Args, Debug)]
pub struct Probe {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What can be done with measurements.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Measure targets from here, once, and say what was found; nothing is sent to an observatory
    Measure(measure::Measure),
    /// Measure what probes ask for, from a trusted network, for them to compare with
    Control(control::Control),
    /// Say what measurements in files tell: reached, blocked, down, and since when
    Judge(judge::Judge),
}

pub(super) fn run(args: &Probe, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &args.action {
        Action::Measure(args) => measure::run(args, console),
        Action::Control(args) => control::run(args, console),
        Action::Judge(args) => judge::run(args, console),
    }
}
