//! The `brownout` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    brownout::cli::main()
}
