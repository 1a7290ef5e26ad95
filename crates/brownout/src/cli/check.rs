//! `brownout check`.

use std::path::{Path, PathBuf};

use brownout_core::model::Geography;
use clap::Args;
use serde_json::Value;

use super::{Console, Exit, Failure, Format, Settings, Table, settings};
use crate::config::Config;
use crate::host::wall_clock;
use crate::reference::addresses::{AddressBook, AddressSource};
use crate::reference::catalogue::{self, ServiceEntry};

/// Says what is wrong with a configuration.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  brownout check /etc/brownout/brownout.toml\n  brownout check --strict && \
    systemctl reload brownout\n\n\
    Ends with 78 when the file cannot be read or is not valid, and with 3 when the catalogue or an\n\
    address database that it names is not good, or with --strict when there is a warning."
)]
pub struct Check {
    /// Configuration file, instead of the usual one
    #[arg(value_name = "CONFIG")]
    pub file: Option<PathBuf>,
    /// Take warnings as failures
    #[arg(long)]
    pub strict: bool,
    /// Print all settings as they are in force
    #[arg(long)]
    pub show: bool,
}

pub(super) fn run(args: &Check, settings: &Settings, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let (config, file) = match &args.file {
        Some(file) => (settings::read(file)?, Some(file.clone())),
        None => settings.load(None)?,
    };
    if args.show {
        show(&config, console)?;
    }
    let warnings = config.warnings();
    let mut failures = services(&config).err().unwrap_or_default();
    failures.extend(databases(&config).1);
    for warning in &warnings {
        console.say(&format!("warning: {warning}"));
    }
    for failure in &failures {
        console.say(&format!("error: {failure}"));
    }
    let name = file.map_or("the defaults".to_owned(), |file| file.display().to_string());
    if !failures.is_empty() || (args.strict && !warnings.is_empty()) {
        return Ok(Exit::CheckFailed);
    }
    console.say(&format!("{name}: valid, {} warning(s)", warnings.len()));
    Ok(Exit::Ok)
}

/// The services in force, or all that is wrong with the catalogue file, each with its place.
pub(super) fn services(config: &Config) -> Result<Vec<ServiceEntry>, Vec<String>> {
    let own = match &config.catalogue.file {
        Some(file) => Some(text_of(file).map_err(|error| vec![format!("[catalogue] file = {error}")])?),
        None => None,
    };
    let name = config.catalogue.file.as_deref().unwrap_or(Path::new("the shipped catalogue")).display();
    let place = |problem: &catalogue::Problem| {
        format!("{name}:{}:{}: {}", problem.at.line, problem.at.column, problem.message)
    };
    catalogue::load(own.as_deref()).map_err(|problems| problems.iter().map(place).collect())
}

fn text_of(file: &Path) -> Result<String, String> {
    std::fs::read_to_string(file).map_err(|error| format!("{:?}: {error}", file.display().to_string()))
}

/// What addresses are looked up in, and which of the databases cannot be used.
pub(super) fn databases(config: &Config) -> (Vec<AddressSource>, Vec<String>) {
    let files: Vec<(&str, &Path)> = config.addresses.files().collect();
    let paths = files.iter().map(|(_, file)| (*file).to_owned()).collect();
    let book = AddressBook::new(paths, Geography::embedded());
    let news = book.refresh();
    let bad = news.into_iter().filter_map(|news| {
        let why = news.outcome.err()?;
        let key = files.iter().find(|(_, file)| *file == news.path).map_or("file", |(key, _)| key);
        Some(format!("[addresses] {key} = {:?}: {why}", news.path.display().to_string()))
    });
    let bad = bad.collect();
    let now = jiff::Timestamp::from_millisecond(wall_clock().millis()).unwrap_or_default();
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    (book.describe(today), bad)
}

fn show(config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
    if console.format == Format::Json {
        let whole = serde_json::to_value(config).map_err(|error| Failure::new(error.to_string()))?;
        return console.json(&whole);
    }
    let mut table = Table::new(&["setting", "value"]);
    // A table rounds figures for the eye; a setting is shown with all its digits.
    let for_eyes = console.format == Format::Table;
    let exact =
        |value: Value| if for_eyes && value.is_f64() { Value::String(value.to_string()) } else { value };
    let settings = config.settings().into_iter();
    table.rows = settings.map(|(key, value)| vec![Value::String(key), exact(value)]).collect();
    console.table(&table)
}
