//! `brownout scenario`.

use std::sync::Arc;

use brownout_core::model::Geography;
use brownout_lab::timeline::Recorder;
use brownout_lab::{Pace, Player, Scenario as Script, find, scenarios};
use clap::{Args, Subcommand};
use serde_json::json;

use super::progress::Progress;
use super::{Console, Exit, Failure, Format, Settings, Table};
use crate::host::stage::{Stage, services_of};
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

/// Virtual time per step: as fine as the engine looks.
const PACE: Pace = Pace { step_seconds: 10, warm_up_step_seconds: 600 };

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
    let geography = Geography::embedded();
    let known = catalogue::load(None).map_err(|_| Failure::new("the shipped catalogue is damaged"))?;
    let services = services_of(&script, &known);
    let mut stage = Stage::new(services, &config.policy, geography.clone(), script.plays_from())
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut recorder = Recorder::new(script.clone(), geography);
    let minutes = script.end.millis_since(script.plays_from()) / 60_000;
    let mut progress = Progress::new("playing", u64::try_from(minutes).ok());
    let mut clock = script.plays_from();
    for step in Player::new(script.clone(), args.seed, PACE) {
        let warm = step.clock <= script.start;
        stage.play(&step, |engine, at, derived| {
            let changed = derived.is_some_and(|derived| !derived.incidents.is_empty());
            // In the warm-up only incidents are of interest; later every full minute is.
            if changed || (!warm && at.millis().rem_euclid(60_000) == 0) {
                recorder.observe(&engine.snapshot());
            }
        });
        progress.advance(u64::try_from(step.clock.millis_since(clock) / 60_000).unwrap_or(0));
        if step.clock.millis_since(clock) >= 60_000 {
            clock = step.clock;
        }
    }
    drop(progress);
    recorder.observe(&stage.engine.snapshot());
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
    Ok(if unmet == 0 { Exit::Ok } else { Exit::CheckFailed })
}
