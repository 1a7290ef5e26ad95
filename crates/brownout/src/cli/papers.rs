//! `brownout completions` and `brownout man`: papers made from the command line itself.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Console, Exit, Failure};

/// Prints completions for a shell.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  brownout completions bash > /etc/bash_completion.d/brownout")]
pub struct Completions {
    /// Which shell
    pub shell: Shell,
}

/// Writes the manual pages.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  brownout man /usr/local/share/man/man1")]
pub struct Man {
    /// Folder to write into; made if it is not there
    pub dir: PathBuf,
}

pub(super) fn completions(args: &Completions, console: &mut Console<'_>) -> Result<Exit, Failure> {
    // Made in memory, because the generator panics when its output is closed early.
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "brownout", &mut text);
    console.out.write_all(&text)?;
    Ok(Exit::Ok)
}

pub(super) fn man(args: &Man, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let told = |error: std::io::Error| Failure::new(format!("{}: {error}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(told)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(told)?;
    console.say(&format!("wrote the manual pages into {}", args.dir.display()));
    Ok(Exit::Ok)
}
