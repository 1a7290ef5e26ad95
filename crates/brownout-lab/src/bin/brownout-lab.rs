//! Commands for whoever works on the program: `cargo run --release -p brownout-lab --features lab -- bench`.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use brownout_lab::bench::{self, Settings};

const USAGE: &str =
    "usage: brownout-lab bench [--program FILE] [--write FILE] [--folder DIR] [--quick] [PART...]

  Measures the release program (default: `brownout` beside this one; build it first with
  `cargo build --release`) and writes docs/benchmarks.md when every part was measured.
  Parts: reports batches replay pages series start.";

fn main() -> ExitCode {
    match settings().and_then(|(settings, write)| run(&settings, write)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("{words}");
            ExitCode::from(2)
        }
    }
}

fn run(settings: &Settings, write: Option<PathBuf>) -> Result<(), String> {
    let paper = bench::run(settings).map_err(|error| error.to_string())?;
    println!("{paper}");
    if let Some(file) = write {
        std::fs::write(&file, paper).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(())
}

/// What is asked for, and where it is to be written.
fn settings() -> Result<(Settings, Option<PathBuf>), String> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() != Some("bench") {
        return Err(USAGE.to_owned());
    }
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
