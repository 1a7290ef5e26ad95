//! `brownout replay`.

use std::path::PathBuf;
use std::time::Instant;

use brownout_core::model::{Geography, Seq};
use brownout_lab::timeline::{Chronicle, Timeline};
use brownout_store::port::StoreError;
use clap::Args;
use serde_json::json;

use super::progress::Progress;
use super::{Console, Exit, Failure, Format, Table, settings};
use crate::host::{self, Replayed};

/// Runs a stored evidence log again.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout replay /var/lib/brownout --output ndjson\n  \
    brownout replay backup/ --policy stricter.toml\n  \
    brownout replay backup/ --digest-only\n\n\
    The folder is only read. With the recorded policy and the same version of the program the\n\
    result is the same as it was live, byte for byte; nothing is sent to anybody. The digest is of\n\
    the engine's whole state after the last record. Ends with 3 when records are damaged or lost.")]
pub struct Replay {
    /// The data folder whose log is run again
    pub folder: PathBuf,
    /// A configuration whose policy section is used instead of the recorded one
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// First record to print results for, by position; the run begins at the beginning all the same
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub from: u64,
    /// Last record to run, by position; without it, all
    #[arg(long, value_name = "SEQ")]
    pub to: Option<u64>,
    /// Print how many records there were and the digest, and no timeline
    #[arg(long)]
    pub digest_only: bool,
}

pub(super) fn run(args: &Replay, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let policy = match &args.policy {
        Some(file) => Some(settings::read(file)?.policy),
        None => None,
    };
    let what = host::Replay { to: Seq(args.to.unwrap_or(u64::MAX)), policy };
    let mut chronicle = Chronicle::new(Geography::embedded());
    // Lines before the first one that is asked for.
    let mut skipped = 0;
    let mut progress = Progress::new("replaying", args.to);
    let mut told = 0;
    let begun = Instant::now();
    let replayed = host::replay(&args.folder, &what, |engine, seq, derived, records| {
        if let Some(derived) = derived.filter(|derived| !derived.incidents.is_empty()) {
            chronicle.observe(engine.catalogue(), &derived.incidents);
            if seq.0 < args.from {
                skipped = chronicle.timeline().lines.len();
            }
        }
        if records - told >= 100_000 {
            progress.advance(records - told);
            told = records;
        }
    })
    .map_err(|error| failure(args, &error))?;
    let elapsed = begun.elapsed();
    drop(progress);
    let digest = blake3::hash(&replayed.engine.checkpoint()).to_hex();
    if args.digest_only {
        print_digest(&replayed, &digest, console)?;
    } else {
        let timeline = Timeline { lines: chronicle.timeline().lines[skipped..].to_vec() };
        let text = match console.format {
            Format::Table => timeline.to_table(),
            Format::Json => timeline.to_json(),
            Format::Ndjson => timeline.to_ndjson(),
            Format::Csv => timeline.to_csv(),
        };
        write!(console.out, "{text}")?;
    }
    if replayed.began_after > Seq(0) {
        console.say(&format!("begun from the checkpoint after record {}", replayed.began_after));
    }
    for lost in &replayed.lost {
        console.say(&format!("error: {lost}"));
    }
    let seconds = elapsed.as_secs_f64();
    let rate = replayed.records as f64 / seconds.max(1e-6);
    console.say(&format!("{} records in {seconds:.2} s, {rate:.0}/s; digest {digest}", replayed.records));
    Ok(if replayed.lost.is_empty() { Exit::Ok } else { Exit::CheckFailed })
}

fn failure(args: &Replay, error: &StoreError) -> Failure {
    Failure::new(format!("{}: {error}", args.folder.display()))
}

fn print_digest(replayed: &Replayed, digest: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut table = Table::new(&["records", "last_seq", "digest"]);
    table.rows.push(vec![json!(replayed.records), json!(replayed.engine.seq().0), json!(digest)]);
    console.table(&table)
}
