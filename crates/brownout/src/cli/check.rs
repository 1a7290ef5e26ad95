//! `brownout check`.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{Console, Exit, Failure, Format, Settings, Table, settings};
use crate::config::Config;

/// Says what is wrong with a configuration.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  brownout check /etc/brownout/brownout.toml\n  brownout check --strict && \
    systemctl reload brownout\n\n\
    Ends with 78 when the file cannot be read or is not valid, and with 3 when a file that it\n\
    names cannot be read, or with --strict when there is a warning."
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
    let failures = unreadable(&config);
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

/// Files that the configuration names and that cannot be read.
pub(super) fn unreadable(config: &Config) -> Vec<String> {
    let catalogue = config.catalogue.file.as_deref().map(|file| ("[catalogue] file".to_owned(), file));
    let databases = config.addresses.files().map(|(key, file)| (format!("[addresses] {key}"), file));
    catalogue
        .into_iter()
        .chain(databases)
        .filter_map(|(key, file)| {
            let unreadable = match File::open(file).and_then(|file| file.metadata()) {
                Ok(metadata) if metadata.is_file() => return None,
                Ok(_) => "not a file".to_owned(),
                Err(error) => error.to_string(),
            };
            Some(format!("{key} = {:?}: {unreadable}", file.display().to_string()))
        })
        .collect()
}

fn show(config: &Config, console: &mut Console<'_>) -> Result<(), Failure> {
    if console.format == Format::Json {
        let whole = serde_json::to_value(config).map_err(|error| Failure::new(error.to_string()))?;
        return console.json(&whole);
    }
    let mut table = Table::new(&["setting", "value"]);
    table.rows = config.settings().into_iter().map(|(key, value)| vec![Value::String(key), value]).collect();
    console.table(&table)
}
