//! The lab's commands, which run the real program.

mod chaos;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some("chaos") => chaos::run(arguments),
        _ => Err("usage: lab chaos [--rounds N] [--seed N] [--program PATH] [--folder DIR]".to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::FAILURE
        }
    }
}
