//! `brownout log`.

use std::collections::BTreeMap;
use std::path::Path;

use brownout_core::model::{Evidence, PageViews, Record, Report, Seq, ServiceId};
use brownout_store::embedded::{LogReader, cat, stats, verify};
use brownout_store::port::StoreError;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::progress::Progress;
use super::{Console, Exit, Failure, Format, Settings, Table};
use crate::host::catalogue_of;

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
    #[command(after_help = "Example:\n  brownout log verify --data /var/lib/brownout\n\n\
        Reads checkpoints, verdicts and comments too. Works beside the server and changes nothing.")]
    Verify,
    /// Print records in their order, as JSON; ends with 3 when some are lost
    #[command(after_help = "Examples:\n  brownout log cat --from 1000 --limit 20\n  \
        brownout log cat --service x --kind report --output json\n\n\
        A record a line, with --output json an array. There is no address and no text in them.")]
    Cat(Cat),
    /// Count segments, bytes and records by kind
    #[command(after_help = "Example:\n  brownout log stats --output json")]
    Stats,
}

/// Which records.
#[derive(Args, Debug)]
pub struct Cat {
    /// First position
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,
    /// Last position; without it, the last one there is
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
    /// At most this many records
    #[arg(long)]
    pub limit: Option<u64>,
    /// Only reports and page views of this service, by slug
    #[arg(long)]
    pub service: Option<String>,
    /// Only records of this kind
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
}

/// Kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Kind {
    /// A report.
    Report,
    /// Views of a service's page.
    PageViews,
    /// What one run of a probe found.
    Measurement,
    /// Nothing but time.
    Tick,
    /// The catalogue in force.
    Catalogue,
    /// The policy in force.
    Policy,
    /// The geography in use.
    Geography,
    /// A channel's name.
    Channel,
    /// The engine's version.
    Engine,
    /// Something an operator did.
    Operator,
}

impl Kind {
    fn of(evidence: &Evidence) -> Self {
        match evidence {
            Evidence::Report(_) => Kind::Report,
            Evidence::PageViews(_) => Kind::PageViews,
            Evidence::Measurement(_) => Kind::Measurement,
            Evidence::Tick => Kind::Tick,
            Evidence::Catalogue(_) => Kind::Catalogue,
            Evidence::Policy(_) => Kind::Policy,
            Evidence::Geography { .. } => Kind::Geography,
            Evidence::Channel { .. } => Kind::Channel,
            Evidence::Engine { .. } => Kind::Engine,
            Evidence::Operator(_) => Kind::Operator,
        }
    }

    fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

pub(super) fn run(args: &Log, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _) = settings.load(None)?;
    let folder = &config.data.folder;
    if !folder.join("log").is_dir() {
        return Err(Failure::new(format!("{} is not a data folder", folder.display())));
    }
    match &args.action {
        Action::Verify => check(folder, console),
        Action::Cat(which) => print(which, folder, console),
        Action::Stats => count(folder, console),
    }
}

fn failed(error: StoreError) -> Failure {
    Failure::new(error.to_string())
}

fn pairs(console: &mut Console<'_>, pairs: Vec<(String, Value)>) -> Result<(), Failure> {
    if console.format == Format::Json {
        return console.json(&Value::Object(pairs.into_iter().collect()));
    }
    let mut table = Table::new(&["what", "value"]);
    table.rows = pairs.into_iter().map(|(what, value)| vec![json!(what), value]).collect();
    console.table(&table)
}

fn check(folder: &Path, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let report = verify(folder).map_err(failed)?;
    let rows = vec![
        ("records".to_owned(), json!(report.records)),
        ("first_seq".to_owned(), json!(report.first_seq.map(|seq| seq.0))),
        ("last_seq".to_owned(), json!(report.last_seq.map(|seq| seq.0))),
        ("segments".to_owned(), json!(report.segments)),
        ("checkpoints".to_owned(), json!(report.checkpoints)),
        ("verdicts".to_owned(), json!(report.verdicts)),
        ("comments".to_owned(), json!(report.comments)),
        ("torn_bytes".to_owned(), json!(report.torn_bytes)),
        ("problems".to_owned(), json!(report.problems.len())),
    ];
    pairs(console, rows)?;
    for problem in &report.problems {
        console.say(&format!("error: {problem}"));
    }
    if report.torn_bytes > 0 {
        console.say("bytes at the end do not check: an interrupted write, which loses nothing that was acknowledged and \
             is cut off before the next one, or damage to the last record, which looks the same",
);
    }
    Ok(if report.is_sound() { Exit::Ok } else { Exit::CheckFailed })
}

fn service_of(evidence: &Evidence) -> Option<ServiceId> {
    match evidence {
        Evidence::Report(Report { service, .. }) | Evidence::PageViews(PageViews { service, .. }) => {
            Some(*service)
        }
        _ => None,
    }
}

fn print(which: &Cat, folder: &Path, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if console.format == Format::Csv {
        return Err(Failure::usage("records are no table: use --output ndjson or json"));
    }
    let service = match &which.service {
        None => None,
        Some(slug) => {
            let catalogue = catalogue_of(folder).map_err(failed)?;
            let found = catalogue.find(slug).map(|service| service.id);
            Some(found.ok_or_else(|| Failure::new(format!("the catalogue has no service {slug:?}")))?)
        }
    };
    let wanted = |record: &Record| {
        which.kind.is_none_or(|kind| Kind::of(&record.evidence) == kind)
            && service.is_none_or(|service| service_of(&record.evidence) == Some(service))
    };
    let first = LogReader::open(folder).first_seq().map_err(failed)?;
    let from = Seq(which.from).max(first);
    if which.from > 1 && Seq(which.from) < first {
        console.say(&format!("records before {first} are no longer kept"));
    }
    let array = console.format == Format::Json;
    let mut left = which.limit.unwrap_or(u64::MAX);
    let (mut printed, mut lost) = (false, false);
    for record in cat(folder, from, Seq(which.to.unwrap_or(u64::MAX))).map_err(failed)? {
        if left == 0 {
            break;
        }
        match record {
            Ok(record) if wanted(&record) => {
                let before = match (array, printed) {
                    (true, false) => "[\n",
                    (true, true) => ",\n",
                    (false, _) => "",
                };
                let after = if array { "" } else { "\n" };
                write!(console.out, "{before}{}{after}", line(&record))?;
                printed = true;
                left -= 1;
            }
            Ok(_) => {}
            Err(error) => {
                lost = true;
                console.say(&format!("error: {error}"));
            }
        }
    }
    match (array, printed) {
        (true, true) => writeln!(console.out, "\n]")?,
        (true, false) => writeln!(console.out, "[]")?,
        (false, _) => {}
    }
    Ok(if lost { Exit::CheckFailed } else { Exit::Ok })
}

fn line(record: &Record) -> Value {
    json!({
        "seq": record.seq.0,
        "received_at": record.received_at.to_string(),
        "evidence": record.evidence,
    })
}

fn count(folder: &Path, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let found = stats(folder).map_err(failed)?;
    let reader = LogReader::open(folder);
    let mut batches = reader.batches(reader.first_seq().map_err(failed)?).map_err(failed)?;
    let mut progress = Progress::new("reading", None);
    let (mut kinds, mut evidence) = (BTreeMap::<Kind, u64>::new(), Vec::new());
    let (mut last, mut lost) = (None, 0u64);
    while let Some(batch) = batches.next_into(&mut evidence) {
        match batch {
            Ok(head) => last = Some((head.first_seq.0 + evidence.len() as u64 - 1, head.received_at)),
            Err(error) => {
                lost += 1;
                console.say(&format!("error: {error}"));
            }
        }
        evidence.iter().for_each(|evidence| *kinds.entry(Kind::of(evidence)).or_default() += 1);
        progress.advance(evidence.len() as u64);
    }
    drop(progress);
    let clock = found.info.as_ref().map(|info| json!(info.clock));
    let mut rows = vec![
        ("clock".to_owned(), json!(clock)),
        ("created".to_owned(), json!(found.info.map(|info| info.created.to_string()))),
        ("first_seq".to_owned(), json!(found.first_seq.map(|seq| seq.0))),
        ("last_seq".to_owned(), json!(last.map(|(seq, _)| seq))),
        ("last_received_at".to_owned(), json!(last.map(|(_, at)| at.to_string()))),
        ("records".to_owned(), json!(kinds.values().sum::<u64>())),
    ];
    rows.extend(kinds.iter().map(|(kind, count)| (format!("records.{}", kind.word()), json!(count))));
    rows.extend([
        ("open_segments".to_owned(), json!(found.open_segments)),
        ("open_bytes".to_owned(), json!(found.open_bytes)),
        ("sealed_segments".to_owned(), json!(found.sealed_segments)),
        ("sealed_bytes".to_owned(), json!(found.sealed_bytes)),
        ("sealed_records".to_owned(), json!(found.sealed_records)),
        ("checkpoints".to_owned(), json!(found.checkpoints.len())),
        ("ledger_bytes".to_owned(), json!(found.ledger_bytes)),
        ("derived_bytes".to_owned(), json!(found.derived_bytes)),
        ("lost_ranges".to_owned(), json!(lost)),
    ]);
    pairs(console, rows)?;
    Ok(if lost == 0 { Exit::Ok } else { Exit::CheckFailed })
}
