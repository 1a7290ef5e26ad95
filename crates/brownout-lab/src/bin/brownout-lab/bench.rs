//! `brownout-lab bench`: measures the program.

use std::io::Write;
use std::path::PathBuf;

use brownout_lab::bench::{self, Settings};

const USAGE: &str =
    "usage: brownout-lab bench [--program FILE] [--write FILE] [--folder DIR] [--quick] [PART...]

  Measures the release program (default: `brownout` beside this one; build it first with
  `cargo build --release`) and writes docs/benchmarks.md when every part was measured.
  Parts: start reports batches replay pages probes series. Some 15 minutes in all; --quick only shows
  that everything works.";

/// Measures, prints, and writes the paper when every part was measured.
///
/// # Errors
/// In words: the arguments are wrong, or the program could not be driven.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let arguments: Vec<String> = arguments.collect();
    if arguments.iter().any(|argument| argument == "-h" || argument == "--help") {
        let _ = writeln!(std::io::stdout(), "{USAGE}");
        return Ok(());
    }
    let (settings, write) = settings(arguments.into_iter())?;
    let paper = bench::run(&settings).map_err(|error| error.to_string())?;
    let _ = writeln!(std::io::stdout(), "{paper}");
    if let Some(file) = write {
        std::fs::write(&file, paper).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// What is asked for, and where it is to be written.
fn settings(mut arguments: impl Iterator<Item = String>) -> Result<(Settings, Option<PathBuf>), String> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("brownout")));
    let mut settings = Settings::full(beside.unwrap_or_else(|| "brownout".into()));
    let mut write = None;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().map(PathBuf::from).ok_or_else(|| USAGE.to_owned());
        match argument.as_str() {
            "--program" => settings.program = value()?,
            "--write" => write = Some(value()?),
            "--folder" => settings.folder = value()?,
            "--quick" => settings = Settings { folder: settings.folder, ..Settings::quick(settings.program) },
            part if !part.starts_with('-') => settings.parts.push(part.to_owned()),
            _ => return Err(USAGE.to_owned()),
        }
    }
    if settings.parts.is_empty() {
        write.get_or_insert_with(|| PathBuf::from("docs/benchmarks.md"));
    }
    Ok((settings, write))
}
