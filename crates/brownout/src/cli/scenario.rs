//! `brownout scenario`.

use std::sync::Arc;

use brownout_lab::{Scenario as Script, find, scenarios};
use clap::{Args, Subcommand};
use serde_json::json;

use super::progress::Progress;
use super::{Console, Exit, Failure, Format, Settings, Table};
use crate::host::stage::perform;
use crate::reference::catalogue;

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
        A line per change of state of each place, per wave's peak, and per moment that an expectation\n\
        names. Ends with 3 when an expectation written in the scenario does not hold.")]
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
    /// Seed of everything that is drawn by chance, instead of the scenario's own
    #[arg(long)]
    pub seed: Option<u64>,
}

pub(super) fn run(args: &Scenario, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &args.action {
        Action::Run(run) => play(run, settings, console),
        Action::Ls => list(console),
    }
}

/// Reads a scenario by name or from a file.
pub(super) fn read(name: &str) -> Result<Script, Failure> {
    let text = match find(name) {
        Some(text) => text.to_owned(),
        None => std::fs::read_to_string(name).map_err(|error| {
            let known: Vec<&str> = scenarios().iter().map(|(name, _)| *name).collect();
            Failure::new(format!("{name}: {error}; the shipped scenarios are {}", known.join(", ")))
        })?,
    };
    Script::parse(&text).map_err(|error| Failure::new(format!("{name}:{error}")))
}

fn list(console: &mut Console<'_>) -> Result<Exit, Failure> {
    let mut table = Table::new(&["name", "title", "start", "end"]);
    for (name, text) in scenarios() {
        let script = Script::parse(text).map_err(|error| Failure::new(format!("{name}:{error}")))?;
        table.rows.push(vec![
            json!(name),
            json!(script.title),
            json!(script.start.to_string()),
            json!(script.end.to_string()),
        ]);
    }
    console.table(&table)?;
    Ok(Exit::Ok)
}

fn play(args: &Run, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _) = settings.load(None)?;
    let script = Arc::new(read(&args.scenario)?);
    let known = catalogue::load(None).map_err(|_| Failure::new("the shipped catalogue is damaged"))?;
    let minutes = script.end.millis_since(script.plays_from()) / 60_000;
    let mut progress = Progress::new("playing", u64::try_from(minutes).ok());
    let played = perform(&script, args.seed, &config.policy, &known, |minutes| progress.advance(minutes));
    drop(progress);
    let (recorder, stage) = played.map_err(|error| Failure::new(error.to_string()))?;
    let timeline = recorder.timeline();
    let text = match console.format {
        Format::Table => timeline.to_table(),
        Format::Json => timeline.to_json(),
        Format::Ndjson => timeline.to_ndjson(),
        Format::Csv => timeline.to_csv(),
    };
    write!(console.out, "{text}")?;
    if let (refused, Some(reason)) = &stage.refused {
        console.say(&format!("{refused} lines were refused; the first: {reason}"));
    }
    let judged = recorder.judge();
    let unmet = judged.iter().filter(|judged| !judged.met).count();
    for judged in judged.iter().filter(|judged| !judged.met) {
        console.say(&format!("not met: {}: {}", judged.expectation, judged.reason));
    }
    console.say(&format!(
        "{} reports; {} of {} expectations met",
        stage.accepted,
        judged.len() - unmet,
        judged.len()
    ));
    let is_whole = stage.refused.0 == 0;
    Ok(if unmet == 0 && is_whole { Exit::Ok } else { Exit::CheckFailed })
}
