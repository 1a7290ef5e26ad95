//! `brownout-lab scoreboard`: detectors beside each other.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use brownout_lab::scoreboard::{Page, Section, Settings};

const USAGE: &str = "usage: brownout-lab scoreboard [--quick] [--write FILE] [--seed N] [--threads N]
                               [--months N] [--daily-runs N] [--calm-runs N] [--peer-runs N]
                               [--echo-engines N] [--attacked-lives N] [--service-years N] [--series N]
                               [--reach-plays N] [SECTION...]

  Compares our detectors with those of others on the same seeded data. Without a SECTION all are measured,
  and docs/scoreboard.md is written after each. With --write only the sections that are measured are
  replaced in FILE, so that the long ones can be measured one by one. Sections:
  five-minutes daily nab spectrum echoes manipulation promise reachability speed ablations.
  --months and --service-years say how much is simulated: 2000 series-months a class and 3000 years if
  nothing is said, which take some ten and some eighty minutes on two cores.
  --daily-runs: runs of each signal of daily counts, 100 if nothing is said; the rate of false alarms is
  measured on --calm-runs without an outbreak, 400 if nothing is said; the first --peer-runs of them,
  3 if nothing is said and none with --quick, go through the detectors of R's package surveillance too, if
  it is installed (cargo xtask peers). That takes another half an hour.
  --quick simulates thirty times less, writes nothing unless told to, and ends with 1 when a bar
  is missed by more than chance explains.";

/// Works out the figures, prints them, and writes the page.
///
/// # Errors
/// In words: the arguments are wrong, the page cannot be written, or a quick run missed a bar.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let typed: Vec<String> = arguments.collect();
    let mut arguments = typed.iter().cloned();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut settings = Settings::full(threads);
    let (mut write, mut quick, mut sections) = (None, false, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| USAGE.to_owned());
        if let Some(size) = size(&mut settings, &argument) {
            *size = value()?.parse().map_err(|_| USAGE.to_owned())?;
            continue;
        }
        match argument.as_str() {
            "-h" | "--help" => {
                let _ = writeln!(std::io::stdout(), "{USAGE}");
                return Ok(());
            }
            "--quick" => {
                settings = Settings { seed: settings.seed, ..Settings::quick(settings.threads) };
                quick = true;
            }
            "--write" => write = Some(PathBuf::from(value()?)),
            "--seed" => settings.seed = value()?.parse().map_err(|_| USAGE.to_owned())?,
            "--threads" => settings.threads = value()?.parse().map_err(|_| USAGE.to_owned())?,
            name => {
                let section = Section::ALL.iter().copied().find(|section| section.name() == name);
                sections.push(section.ok_or_else(|| USAGE.to_owned())?);
            }
        }
    }
    let whole = sections.is_empty() && !quick;
    if sections.is_empty() {
        sections.extend(Section::ALL);
    }
    let file = write.or_else(|| whole.then(|| PathBuf::from("docs/scoreboard.md")));
    let failed = |file: &Path, error: std::io::Error| format!("{}: {error}", file.display());
    let mut missed: Vec<String> = Vec::new();
    for section in sections {
        let board = section.measure(&settings, |what| {
            let _ = writeln!(std::io::stderr(), "{what} ..");
        });
        missed.extend(board.bars.iter().filter(|bar| !bar.met).map(|bar| bar.name.clone()));
        let _ = writeln!(std::io::stdout(), "## {}\n\n{board}", section.title());
        // After each section: what took an hour must not be lost with the next.
        if let Some(file) = &file {
            let mut page = match std::fs::read_to_string(file) {
                Ok(text) => Page::parse(&text),
                Err(error) if error.kind() == ErrorKind::NotFound => Page::default(),
                Err(error) => return Err(failed(file, error)),
            };
            page.set(section, &told(&typed, section), &board);
            std::fs::write(file, page.to_string()).map_err(|error| failed(file, error))?;
        }
    }
    if quick && !missed.is_empty() {
        return Err(format!("missed: {}", missed.join("; ")));
    }
    Ok(())
}

/// The arguments that measure one section as it was measured.
fn told(typed: &[String], section: Section) -> String {
    let mut told = vec![section.name()];
    let mut arguments = typed.iter().map(String::as_str);
    while let Some(argument) = arguments.next() {
        let is_section = Section::ALL.iter().any(|known| known.name() == argument);
        match argument {
            // Where it is written and how many share the work change no figure.
            "--write" | "--threads" => drop(arguments.next()),
            _ if is_section => {}
            _ => told.push(argument),
        }
    }
    told.join(" ")
}

/// The size of the simulation that an option sets.
fn size<'a>(settings: &'a mut Settings, option: &str) -> Option<&'a mut u32> {
    Some(match option {
        "--months" => &mut settings.months_per_class,
        "--daily-runs" => &mut settings.daily_runs,
        "--calm-runs" => &mut settings.daily_calm_runs,
        "--peer-runs" => &mut settings.daily_peer_runs,
        "--echo-engines" => &mut settings.echo_engines,
        "--attacked-lives" => &mut settings.attacked_lives,
        "--service-years" => &mut settings.service_years,
        "--series" => &mut settings.series,
        "--reach-plays" => &mut settings.reach_plays,
        _ => return None,
    })
}
