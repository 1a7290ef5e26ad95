//! The `brownout` program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// A report takes and gives back some dozens of small pieces of memory, on one thread or another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    brownout::cli::main()
}
