//! `brownout init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Console, Exit, Failure};
use crate::config::TEMPLATE;

/// Writes the commented configuration.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  brownout init\n  brownout init - | less")]
pub struct Init {
    /// File to write; - is standard output
    #[arg(default_value = "brownout.toml")]
    pub file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    pub force: bool,
}

pub(super) fn run(args: &Init, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if args.file.as_os_str() == "-" {
        console.out.write_all(TEMPLATE.as_bytes())?;
        return Ok(Exit::Ok);
    }
    let name = args.file.display();
    let mut options = OpenOptions::new();
    options.write(true).truncate(args.force).create(args.force).create_new(!args.force);
    let mut file = options.open(&args.file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!("{name} is there already; --force replaces it")),
        _ => Failure::new(format!("{name}: {error}")),
    })?;
    file.write_all(TEMPLATE.as_bytes()).map_err(|error| Failure::new(format!("{name}: {error}")))?;
    console.say(&format!("wrote {name}; every setting is commented out at its default"));
    Ok(Exit::Ok)
}
