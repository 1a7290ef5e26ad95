//! `brownout import`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Console, Exit, Failure, Settings};

/// Brings in reports from a file, into a data folder of their own: history never mixes with what
/// is live.
#[derive(Args, Debug)]
pub struct Import {
    /// The form of the file.
    #[command(subcommand)]
    pub form: Form,
}

/// What a file can be.
#[derive(Debug, Subcommand)]
pub enum Form {
    /// Published crowd reports with city and ZIP code, as the Spectrum data set has them
    #[command(after_help = "Example:\n  brownout import spectrum reports.csv --into history/")]
    Spectrum(Source),
    /// Any CSV with a header line: at, service, and optionally country, region, city, asn, kind, count
    #[command(
        after_help = "Example:\n  brownout import csv reports.csv --into history/ --channel helpdesk\n\n\
        at is RFC 3339; service is a slug of the catalogue; count is how many sources reported."
    )]
    Csv(Source),
}

/// Which files, and where to.
#[derive(Args, Debug)]
pub struct Source {
    /// Files to read
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Data folder to fill; it must not be in use by a server
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// Name of the channel that the reports are counted under
    #[arg(long, default_value = "import")]
    pub channel: String,
}

pub(super) fn run(args: &Import, _settings: &Settings, _console: &mut Console<'_>) -> Result<Exit, Failure> {
    match &args.form {
        Form::Spectrum(_source) => Err(Failure::new("import spectrum: not wired yet")),
        Form::Csv(_source) => Err(Failure::new("import csv: not wired yet")),
    }
}
