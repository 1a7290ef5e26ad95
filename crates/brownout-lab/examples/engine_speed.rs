//! What a report costs in the engine alone, over a whole scenario with its ticks:
//! `cargo run --release -p brownout-lab --example engine_speed [NAME]`.

#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use brownout_core::engine::Engine;
use brownout_core::model::{Catalogue, Evidence, Seq, ServiceId, UtcTime};
use brownout_lab::direct::report;
use brownout_lab::{Pace, Player, Scenario};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let name = std::env::args().nth(1).unwrap_or_else(|| "x-2025-03-10".to_owned());
    let scenario = Arc::new(Scenario::parse(brownout_lab::find(&name).ok_or("no such scenario")?)?);
    let catalogue = Catalogue::new(scenario.catalogue_entries(ServiceId(0)))?;
    let mut steps = Vec::new();
    let mut total = 0;
    for step in Player::new(scenario.clone(), None, Pace { step_seconds: 10, warm_up_step_seconds: 600 }) {
        let lines = step.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let reports = lines.map(|line| report(line, &catalogue).map(Evidence::Report));
        let reports = reports.collect::<Option<Vec<_>>>().ok_or("a line that is no report")?;
        total += reports.len();
        steps.push((step.clock, reports));
    }
    let mut engine = Engine::new();
    let mut seq = 0;
    let mut tell = |engine: &mut Engine, at: UtcTime, evidence: &Evidence| {
        seq += 1;
        engine.handle_evidence(Seq(seq), at, evidence);
        while engine.poll_effect().is_some() {}
    };
    let start = scenario.plays_from();
    tell(&mut engine, start, &Evidence::Catalogue(Box::new(catalogue)));
    tell(&mut engine, start, &Evidence::Policy(Box::default()));
    tell(&mut engine, start, &Evidence::Tick);
    let (mut counting, mut ticking, mut ticks) = (Duration::ZERO, Duration::ZERO, 0);
    for (at, reports) in &steps {
        let begun = Instant::now();
        while let Some(due) = engine.poll_timeout().filter(|due| due < at) {
            tell(&mut engine, due, &Evidence::Tick);
            ticks += 1;
        }
        ticking += begun.elapsed();
        let begun = Instant::now();
        for report in reports {
            tell(&mut engine, *at, report);
        }
        counting += begun.elapsed();
    }
    let nanos = |time: Duration, count: usize| time.as_nanos() / count.max(1) as u128;
    println!(
        "{name}: {total} reports, {} ns each to count, {} ns each in {ticks} ticks",
        nanos(counting, total),
        nanos(ticking, total)
    );
    Ok(())
}
