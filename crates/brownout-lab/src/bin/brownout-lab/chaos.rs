//! `brownout-lab chaos`: kills the program under load, again and again.

use std::io::Write;
use std::path::PathBuf;

use brownout_lab::lab::chaos::{Chaos, play};

const USAGE: &str = "usage: brownout-lab chaos [--rounds N] [--seed N] [--program FILE] [--folder DIR]

  Kills the program under load and starts it again, by default until 50 rounds were played, and
  checks after each that what was acknowledged is there once and that what is derived can be made
  again from the log. The folder should be on a real disk.";

/// Plays the rounds and prints a line for each.
///
/// # Errors
/// In words: the arguments are wrong, or a promise was broken.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let mut chaos = Chaos::new(beside("brownout"), std::env::temp_dir().join("brownout-chaos"));
    chaos.rounds = 50;
    // Some minutes in all, so that roll-ups are among what is compared.
    chaos.load.1 = std::time::Duration::from_secs(4);
    while let Some(name) = arguments.next() {
        if matches!(name.as_str(), "-h" | "--help") {
            let _ = writeln!(std::io::stdout(), "{USAGE}");
            return Ok(());
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name}: {value} is no number"));
        match name.as_str() {
            "--rounds" => chaos.rounds = u32::try_from(number()?).map_err(|error| error.to_string())?,
            "--seed" => chaos.seed = number()?,
            "--program" => chaos.program = PathBuf::from(&value),
            "--folder" => chaos.folder = PathBuf::from(&value),
            _ => return Err(format!("unknown option {name}\n{USAGE}")),
        }
    }
    let mut out = std::io::stdout();
    let figures = play(&chaos, |line| {
        let _ = writeln!(out, "{line}");
    })?;
    let _ = writeln!(std::io::stdout(), "{figures}");
    Ok(())
}

/// The program that was built beside this one.
fn beside(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}
