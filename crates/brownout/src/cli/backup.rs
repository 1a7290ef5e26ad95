//! `brownout backup`.

use std::path::PathBuf;

use clap::Args;

use super::{Console, Exit, Failure, Settings};

/// Copies the data folder.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  brownout backup /srv/backup/brownout-monday\n\n\
    Can run beside the server. The salt of the sources is left out: a backup cannot be used to find\n\
    out who reported.")]
pub struct Backup {
    /// Folder to make; must not be there yet
    pub to: PathBuf,
}

pub(super) fn run(_args: &Backup, settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (_config, _file) = settings.load(None)?;
    Err(Failure::new("backup: not wired yet"))
}
