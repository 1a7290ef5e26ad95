//! `brownout import ooni`: measurements in any order, played by their time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use brownout_core::model::{Asn, Evidence, Geography, UtcTime, bare_host};
use brownout_core::reach::{Disruption, Fingerprints, Measurement, Mechanism, Sign, Signal, Spot};
use brownout_core::snapshot::Snapshot;
use brownout_formats::ooni::{Documents, read};
use serde_json::{Value, json};

use super::super::packed;
use super::super::progress::Progress;
use super::super::{Console, Exit, Failure, Format, Table, check};
use super::Measurements;
use super::feed::{Feed, STEP_MILLIS, floor, is_far, open};
use super::sorted::{Merged, Sorter};
use crate::config::Config;
use crate::host::{CLOCK_DAYS_MAX, wall_clock};

/// How far ahead of this clock a measurement's may be, in seconds.
const AHEAD_SECONDS: i64 = 3600;
/// Measurements that go into the log together.
const TOGETHER_MAX: usize = 256;
/// Virtual time after the last measurement, so that its ten minutes are over.
const AFTER_SECONDS: i64 = 15 * 60;
/// Ending of the folder for what is being sorted, beside the folder that is filled.
const SORTING: &str = ".sorting";

/// Why a measurement that could be read is not kept.
const NO_SERVICE: &str = "no service of the catalogue has this target";
const NO_COUNTRY: &str = "it does not say from which country";
const AHEAD: &str = "it is from the future";

/// What became of the documents.
#[derive(Default)]
struct Counts {
    documents: u64,
    kept: u64,
    refused: BTreeMap<String, u64>,
}

impl Counts {
    fn refuse(&mut self, reason: impl ToString) {
        *self.refused.entry(reason.to_string()).or_default() += 1;
    }
}

pub(super) fn run(
    args: &Measurements,
    config: &Config,
    geography: &Arc<Geography>,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let services = check::services(config).map_err(|problems| Failure::new(problems.join("\n")))?;
    let hosts = services.into_iter().flat_map(|service| service.targets);
    let hosts: BTreeSet<String> = hosts.map(|host| bare_host(&host)).collect();
    let of_folder = |error: io::Error| Failure::new(format!("{}: {error}", args.into.display()));
    let mut sorter = Sorter::new(sorting(args)).map_err(of_folder)?;
    let mut counts = Counts::default();
    let (mut first, latest) = (None::<i64>, wall_clock().plus_seconds(AHEAD_SECONDS));
    read_files(args, &mut counts, &mut |measurement, counts| {
        if measurement.vantage.country.is_none() {
            counts.refuse(NO_COUNTRY);
        } else if !hosts.contains(&bare_host(&measurement.target.host)) {
            counts.refuse(NO_SERVICE);
        } else if measurement.started_at > latest {
            counts.refuse(AHEAD);
        } else {
            let kept = measurement.keep(&Fingerprints::default());
            let key = kept.started_at.millis();
            first = Some(first.map_or(key, |first| first.min(key)));
            sorter
                .push(key, serde_json::to_vec(&kept).map_err(io::Error::other).map_err(of_folder)?)
                .map_err(of_folder)?;
            counts.kept += 1;
        }
        Ok(())
    })?;
    let Some(first) = first else {
        say(&counts, console);
        return Err(Failure::new("no measurement can be imported"));
    };
    let sorted = sorter.sorted().map_err(of_folder)?;
    let snapshot = play(args, sorted, (UtcTime::from_millis(first), counts.kept), config, geography)?;
    say(&counts, console);
    print(&snapshot, geography, console)?;
    console.say(&format!(
        "{} can be looked at with `brownout serve`, or run again with `brownout replay`",
        args.into.display()
    ));
    Ok(Exit::Ok)
}

fn sorting(args: &Measurements) -> PathBuf {
    let mut folder = args.into.clone().into_os_string();
    folder.push(SORTING);
    folder.into()
}

type Take<'a> = dyn FnMut(Measurement, &mut Counts) -> Result<(), Failure> + 'a;

fn read_files(args: &Measurements, counts: &mut Counts, take: &mut Take<'_>) -> Result<(), Failure> {
    let sizes = args.files.iter().map(|file| file.metadata().ok().map(|data| data.len()));
    let mut progress = Progress::new("reading", sizes.sum());
    for file in &args.files {
        let failure = |error: io::Error| super::of(file, &error);
        let (input, read_bytes) = packed::open(file).map_err(failure)?;
        let mut documents = Documents::new(input);
        while let Some(document) = documents.next_document().map_err(failure)? {
            counts.documents += 1;
            match document.bytes().and_then(read) {
                Ok(measurement) => take(measurement, counts)?,
                Err(refusal) => counts.refuse(refusal),
            }
            progress.advance(read_bytes.take());
        }
    }
    Ok(())
}

/// Plays measurements that are in the order of their time, a step of the clock after the other.
fn play(
    args: &Measurements,
    sorted: Merged,
    (first, count): (UtcTime, u64),
    config: &Config,
    geography: &Arc<Geography>,
) -> Result<Arc<Snapshot>, Failure> {
    let instance = open(&args.into, config, geography, floor(first))?;
    let sink = instance.sink();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))?;
    let played = runtime.block_on(async {
        let mut progress = Progress::new("importing", Some(count));
        let mut feed = Feed::new(&sink);
        let (mut clock, mut together) = (floor(first), Vec::new());
        for entry in sorted {
            let (key, bytes) = entry.map_err(|error| super::of(&sorting(args), &error))?;
            let at = floor(UtcTime::from_millis(key));
            if is_far(clock, at) {
                return Err(Failure::new(format!(
                    "nothing was measured between {clock} and {at}, more than {CLOCK_DAYS_MAX} days: is one of the times wrong?"
                )));
            }
            // Whoever moves the clock says that everything up to then is there.
            let until = at.plus_millis(STEP_MILLIS);
            if (until > clock || together.len() >= TOGETHER_MAX) && !together.is_empty() {
                feed.submit(std::mem::take(&mut together), clock).await?;
            }
            clock = clock.max(until);
            let measurement: Measurement = serde_json::from_slice(&bytes)
                .map_err(|error| Failure::new(format!("what was sorted cannot be read again: {error}")))?;
            together.push(Evidence::Measurement(Box::new(measurement)));
            progress.advance(1);
        }
        feed.submit(together, clock).await?;
        feed.submit(Vec::new(), clock.plus_seconds(AFTER_SECONDS)).await?;
        feed.finish().await
    });
    let snapshot = instance.snapshot.clone();
    // Everything is on disk and in the last picture once the threads have ended.
    instance.stop();
    played?;
    Ok(snapshot.load_full())
}

fn say(counts: &Counts, console: &mut Console<'_>) {
    if matches!(console.format, Format::Table | Format::Csv) {
        console.say(&format!("{:>9}  documents", counts.documents));
        console.say(&format!("{:>9}  measurements kept", counts.kept));
    }
    for (reason, count) in &counts.refused {
        console.say(&format!("{count:>9}  left out: {reason}"));
    }
}

const COLUMNS: [&str; 10] =
    ["service", "place", "networks", "state", "mechanism", "began", "earliest", "latest", "told", "ended"];

fn print(snapshot: &Snapshot, geography: &Geography, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut table = Table::new(&COLUMNS);
    for view in &snapshot.services {
        let slug = snapshot.catalogue.get(view.service).map_or("", |service| service.slug.as_str());
        for signal in view.reach.iter().flat_map(|reach| &reach.signals) {
            table.rows.push(signal_row(slug, signal, geography));
        }
    }
    table.rows.extend(snapshot.disruptions.iter().map(|one| disruption_row(one, geography)));
    if table.rows.is_empty() {
        console.say("nothing changed in all that was measured");
    }
    console.table(&table)
}

fn place_name(place: Spot, geography: &Geography) -> String {
    let name = |code| geography.country(code).map_or_else(|| code.to_string(), |known| known.name.clone());
    let country = place.country().map(name);
    match (place, country) {
        (Spot::Network(_, network), Some(country)) => format!("{network} in {country}"),
        (_, Some(country)) => country,
        (_, None) => "everywhere".to_owned(),
    }
}

fn signal_row(slug: &str, signal: &Signal, geography: &Geography) -> Vec<Value> {
    let networks = match signal.is_whole {
        true => json!("most"),
        false => json!(signal.networks.iter().map(Asn::to_string).collect::<Vec<_>>().join(" ")),
    };
    vec![
        json!(slug),
        json!(place_name(signal.place, geography)),
        networks,
        json!(signal.state.word()),
        json!(signal.how.map(Mechanism::word)),
        json!(signal.began.likeliest.to_string()),
        json!(signal.began.earliest.to_string()),
        json!(signal.began.latest.to_string()),
        json!(signal.told_at.to_string()),
        json!(signal.ended.map(|(bracket, _)| bracket.likeliest.to_string())),
    ]
}

fn disruption_row(disruption: &Disruption, geography: &Geography) -> Vec<Value> {
    let what = match disruption.sign {
        Sign::Silence { .. } => "no_measurements",
        Sign::AllTargets { .. } => "cut_off",
    };
    vec![
        json!(null),
        json!(place_name(disruption.place, geography)),
        json!(null),
        json!(what),
        json!(null),
        json!(disruption.began.likeliest.to_string()),
        json!(disruption.began.earliest.to_string()),
        json!(disruption.began.latest.to_string()),
        json!(disruption.told_at.to_string()),
        json!(disruption.ended.map(|bracket| bracket.likeliest.to_string())),
    ]
}
