//! Stored logs through series and detection.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use brownout_store::embedded::{EmbeddedStore, Options};

use super::paper::{Paper, count, now, rounds};
use super::program::Program;
use super::{Settings, client, flows, median};

/// A log of what partners send, as it is written and once more sealed, and the log of a scenario.
pub(super) fn replay(settings: &Settings, paper: &mut Paper) -> io::Result<()> {
    let batches = settings.folder.join("batches");
    if !batches.exists() {
        flows::batches(&Settings { rounds: 1, ..settings.clone() }, &mut Paper::new(settings)?)?;
    }
    measure(settings, paper, "the batches above", &batches)?;
    seal(&batches)?;
    measure(settings, paper, "the same, sealed", &batches)?;
    let scenario = play(settings)?;
    measure(settings, paper, &format!("the scenario {}", settings.scenario), &scenario)
}

/// Plays the scenario as fast as it goes and returns the folder with its log.
fn play(settings: &Settings) -> io::Result<PathBuf> {
    let script = crate::find(&settings.scenario)
        .and_then(|text| crate::Scenario::parse(text).ok())
        .ok_or_else(|| io::Error::other("no such scenario"))?;
    let home = settings.folder.join("scenario");
    let mut command = Command::new(&settings.program);
    command.args(["demo", "--speed", "1000000", "--scenario", &settings.scenario, "--data"]).arg(&home);
    let program = Program::start(&mut command, "/healthz")?;
    let end = format!("\"at\":\"{}", &script.end.to_string()[..16]);
    for _ in 0..6000 {
        if String::from_utf8_lossy(&client::get(program.address, "/readyz")?.body).contains(&end) {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    program.stop()?;
    Ok(home.join("replay"))
}

/// Seals all segments but the last, as a running program does every minute.
fn seal(folder: &Path) -> io::Result<()> {
    let store = EmbeddedStore::open(folder, Options::default(), now()).map_err(io::Error::other)?;
    store.maintenance.seal().map(drop).map_err(io::Error::other)
}

fn measure(settings: &Settings, paper: &mut Paper, name: &str, folder: &Path) -> io::Result<()> {
    let mut rates = vec![];
    let mut said = String::new();
    for _ in 0..settings.rounds {
        let output =
            Command::new(&settings.program).args(["replay", "--digest-only"]).arg(folder).output()?;
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        // "N records in S s, R/s; digest D"
        let rate = said.lines().find_map(|line| {
            line.contains("; digest").then(|| line.split("/s;").next()?.rsplit(' ').next()?.parse().ok())?
        });
        rates.push(rate.ok_or_else(|| io::Error::other(said.clone()))?);
    }
    let rate: f64 = median(rates.clone());
    let bar = format!("replay of a log of {name}, reports/s on one core");
    paper.bar(&bar, count(rate), "2,000,000", rate >= 2e6);
    let records =
        said.lines().find_map(|line| line.split_once(" records in")).map_or("?", |(count, _)| count);
    paper.explain(format!(
        "**Replay of {name}**: `brownout replay`, one thread, {records} records from disk through series, \
         detection and incidents. Rounds: {}.",
        rounds(&rates)
    ));
    Ok(())
}
