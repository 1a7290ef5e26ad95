//! Commands for whoever works on the program; they run the real one:
//! `cargo run --release -p brownout-lab --features lab -- bench|chaos`.

#![forbid(unsafe_code)]

mod bench;
mod chaos;

use std::io::Write;
use std::process::ExitCode;

const USAGE: &str =
    "usage: brownout-lab bench [OPTIONS] [PART...]   measures the program, writes docs/benchmarks.md
       brownout-lab chaos [OPTIONS]             kills it under load, again and again
Build the program first with `cargo build --release`.";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("bench") => bench::run(arguments),
        Some("chaos") => chaos::run(arguments),
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
