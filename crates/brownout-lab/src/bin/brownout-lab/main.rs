//! Commands for whoever works on the program: `cargo run --release -p brownout-lab -- scoreboard`, and
//! those that run the real one: `cargo run --release -p brownout-lab --features lab -- bench|chaos`.

#![forbid(unsafe_code)]

#[cfg(feature = "lab")]
mod bench;
#[cfg(feature = "lab")]
mod chaos;
#[cfg(feature = "lab")]
mod reach;
mod scoreboard;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use brownout_lab::scoreboard::{RESTORE, restore};

const USAGE: &str =
    "usage: brownout-lab scoreboard [OPTIONS]        compares detectors, writes docs/scoreboard.md
       brownout-lab bench [OPTIONS] [PART...]   measures the program, writes docs/benchmarks.md
       brownout-lab chaos [OPTIONS]             kills it under load, again and again
       brownout-lab reach [OPTIONS] [WORD...]   plays the scenarios of reachability with real packets
bench, chaos and reach are there with `--features lab`; build the program first: `cargo build --release`.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("scoreboard") => scoreboard::run(arguments),
        Some(RESTORE) => restored(arguments.next()),
        #[cfg(feature = "lab")]
        Some("bench") => bench::run(arguments),
        #[cfg(feature = "lab")]
        Some("chaos") => chaos::run(arguments),
        #[cfg(feature = "lab")]
        Some("reach") => reach::run(arguments),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}

/// What the scoreboard runs in a process of its own: says what memory a restored engine takes, in bytes.
fn restored(file: Option<String>) -> Result<(), String> {
    let bytes = file.and_then(|file| restore(Path::new(&file))).ok_or("no checkpoint, or no /proc")?;
    writeln!(std::io::stdout(), "{bytes}").map_err(|error| error.to_string())
}
