//! `cargo xtask peers`: installs what the scoreboard compares with.
//!
//! R and its package `surveillance` come from Debian by apt, Python's packages from PyPI by pip into a
//! virtual environment under `target`, in the versions that their list pins. What is there already stays.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;

pub(crate) const USAGE: &str = "\
usage: cargo xtask peers [--help]

Installs what the scoreboard compares with:
  Debian packages r-base-core and r-cran-surveillance, by apt-get (as root)
  Python packages of crates/brownout-lab/peers/requirements.txt, by pip into target/peers/venv

Reports the versions that are there in the end, and ends with 1 if anything is missing.";

/// Debian packages.
const PACKAGES: [&str; 2] = ["r-base-core", "r-cran-surveillance"];
/// The list of Python packages, and where they go.
const REQUIREMENTS: &str = "crates/brownout-lab/peers/requirements.txt";
const VENV: &str = "target/peers/venv";

/// Installs everything, and goes on after a failure, so that one missing thing does not hide another.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let results = [("R", install_r()), ("Python", install_python(root))];
    println!();
    report_r();
    report_python(&root.join(VENV));
    let missing: Vec<String> = results
        .into_iter()
        .filter_map(|(name, result)| result.err().map(|failure| format!("{name}: {failure}")))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n").into()) }
}

fn install_r() -> Result<(), Failure> {
    if surveillance().is_some() {
        return Ok(());
    }
    let install = ["install", "--yes", "--no-install-recommends"];
    let by_hand = format!("apt-get update && apt-get {} {}", install.join(" "), PACKAGES.join(" "));
    if !is_root() {
        return Err(format!("only root installs Debian packages; run as root:\n  {by_hand}").into());
    }
    done(Command::new("apt-get").arg("update"))?;
    done(Command::new("apt-get").args(install).args(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive"))?;
    if surveillance().is_some() {
        Ok(())
    } else {
        Err(format!("installed, but Rscript does not find surveillance; look at: {by_hand}").into())
    }
}

fn install_python(root: &Path) -> Result<(), Failure> {
    let requirements = root.join(REQUIREMENTS);
    if !requirements.is_file() {
        return Err(format!("{REQUIREMENTS} is missing, so no Python package is known").into());
    }
    let venv = root.join(VENV);
    if !python(&venv).is_file() {
        done(Command::new("python3").args(["-m", "venv"]).arg(&venv)).map_err(|failure| {
            format!("{failure}\n  Debian has it in python3-venv: apt-get install --yes python3-venv")
        })?;
    }
    let mut pip = Command::new(python(&venv));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--requirement"]);
    done(pip.arg(&requirements))
}

fn python(venv: &Path) -> PathBuf {
    venv.join("bin/python")
}

/// Runs a command to its end; its output is seen as it comes.
fn done(command: &mut Command) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| format!("{program}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}").into()) }
}

/// What a command prints; `None` if it cannot be run or fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_some_and(|id| id == "0")
}

/// The version of surveillance that R finds.
fn surveillance() -> Option<String> {
    output(Command::new("Rscript").args(["-e", "cat(as.character(packageVersion('surveillance')))"]))
}

fn report_r() {
    let r = output(Command::new("Rscript").args(["-e", "cat(R.version$major, R.version$minor, sep = '.')"]));
    println!("R: {}", r.as_deref().unwrap_or("not installed"));
    println!("surveillance: {}", surveillance().as_deref().unwrap_or("not installed"));
}

fn report_python(venv: &Path) {
    let arguments = ["-m", "pip", "--disable-pip-version-check", "list", "--format", "freeze"];
    match output(Command::new(python(venv)).args(arguments)) {
        Some(list) => list.lines().for_each(|package| println!("{package}")),
        None => println!("Python packages: not installed"),
    }
}
