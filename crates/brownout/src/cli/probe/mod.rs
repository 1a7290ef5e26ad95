//! `brownout probe`.

mod agent;
mod control;
mod enrol;
mod how;
mod judge;
mod manage;
mod measure;

use clap::{Args, Subcommand};

use super::{Console, Exit, Failure, Settings};

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
    /// Make this machine a vantage point of an observatory
    Enrol(enrol::Enrol),
    /// Work as a vantage point: measure what the observatory's schedule says and send it
    Run(agent::Run),
    /// Give this vantage point a new key
    Rotate(enrol::Rotate),
    /// Make a token that enrols one probe, as the operator of an observatory
    Invite(manage::Invite),
    /// List probes, as the operator of an observatory
    Ls(manage::Ls),
    /// Refuse a probe from now on, as the operator of an observatory
    Revoke(manage::Revoke),
    /// Say what measurements in files tell: reached, blocked, down, and since when
    Judge(judge::Judge),
}

pub(super) fn run(args: &Probe, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &args.action {
        Action::Measure(args) => measure::run(args, console),
        Action::Control(args) => control::run(args, console),
        Action::Enrol(args) => enrol::enrol(args, console),
        Action::Run(args) => agent::run(args, console),
        Action::Rotate(args) => enrol::rotate(args, console),
        Action::Invite(args) => manage::invite(args, settings, console),
        Action::Ls(manage::Ls) => manage::ls(settings, console),
        Action::Revoke(args) => manage::revoke(args, settings, console),
        Action::Judge(args) => judge::run(args, console),
    }
}
