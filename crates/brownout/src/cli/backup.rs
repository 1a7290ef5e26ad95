//! `brownout backup`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Console, Exit, Failure, Settings, Table};

/// Copies the data folder.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  brownout backup /srv/backup/brownout-monday\n\n\
    Can run beside the server. The copy is read and checked at the end. The salts of the sources are\n\
    left out, as all that is secret: a backup cannot be used to find out who reported. On the same\n\
    file system sealed segments are linked, not copied; copy the backup elsewhere to be safe from\n\
    the loss of the disk. Ends with 3 when the copy does not check.")]
pub struct Backup {
    /// Folder to make; must be empty or not there yet
    pub to: PathBuf,
}

pub(super) fn run(args: &Backup, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, _) = settings.load(None)?;
    let report = brownout_store::embedded::backup(&config.data.folder, &args.to)
        .map_err(|error| Failure::new(error.to_string()))?;
    let mut table = Table::new(&["folder", "records", "last_seq", "segments", "verdicts", "comments"]);
    table.rows.push(vec![
        json!(args.to.display().to_string()),
        json!(report.records),
        json!(report.last_seq.map(|seq| seq.0)),
        json!(report.segments),
        json!(report.verdicts),
        json!(report.comments),
    ]);
    console.table(&table)?;
    for problem in &report.problems {
        console.say(&format!("error: {problem}"));
    }
    Ok(if report.is_sound() { Exit::Ok } else { Exit::CheckFailed })
}
