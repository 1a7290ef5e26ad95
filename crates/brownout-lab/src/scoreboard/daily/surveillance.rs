//! Detectors of R's package `surveillance`, run by `Rscript` on the same counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::NOMINAL;
use super::judge::{Said, Share, Truth};
use super::signals::Signal;
use super::simulator::Run;

/// The program; it says itself what it reads and writes.
const SCRIPT: &str = include_str!("../../../peers/surveillance.R");
/// Its detectors, by the names that it gives them.
pub(super) const DETECTORS: [&str; 7] = [
    "farringtonFlexible, sums of a week",
    "farringtonFlexible, days",
    "earsC C1",
    "earsC C2",
    "earsC C3",
    "glrnb",
    "bodaDelay",
];
/// A detector gets so long for the runs of one signal.
pub(super) const SECONDS_MAX: u32 = 1800;
/// In runs with an outbreak, statistics are worked out from its first day until so many days after its
/// last; before it they are those of the calm run, and later they are taken to be.
const DAYS_AFTER: usize = 14;

/// What became of a detector on one signal: for each run what it said, or why it said nothing.
pub(super) type Answer = Result<Vec<Said>, String>;

/// The answers of all detectors, and the versions that gave them.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) versions: String,
    pub(super) of: Vec<Answer>,
}

/// Whether the package is there, and if not, what to do.
pub(super) fn is_installed() -> Result<(), String> {
    let found = Command::new("Rscript")
        .args(["-e", "quit(status = !requireNamespace('surveillance', quietly = TRUE))"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err("not installed (`cargo xtask peers` installs it)".to_owned()),
    }
}

/// Runs all of them on the runs of one signal, in a folder of its own.
pub(super) fn ask(signal: &Signal, runs: &[(Run, Truth)], folder: &Path) -> Answers {
    let all = |why: String| Answers {
        versions: String::new(),
        of: DETECTORS.iter().map(|_| Err(why.clone())).collect(),
    };
    let Some((first, _)) = runs.first() else { return all("no runs".to_owned()) };
    match run_script(signal, runs, first.judged.start + 1, folder) {
        Ok(out) => read(&out, runs),
        Err(why) => all(why),
    }
}

/// Series of one run: the calm one, then one for each size of outbreak.
fn series_of(run: &Run) -> Vec<&[u32]> {
    let eventful = run.eventful.iter().map(|eventful| eventful.counts.as_slice());
    std::iter::once(run.calm.as_slice()).chain(eventful).collect()
}

fn run_script(
    signal: &Signal,
    runs: &[(Run, Truth)],
    judged_from: usize,
    folder: &Path,
) -> Result<String, String> {
    let in_words = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(folder).map_err(in_words)?;
    let [script, counts, out] = ["surveillance.R", "counts.csv", "out.csv"].map(|name| folder.join(name));
    std::fs::write(&script, SCRIPT).map_err(in_words)?;
    std::fs::write(&counts, table(runs)).map_err(in_words)?;
    let result = Command::new("Rscript")
        .args([&script, &counts, &out])
        .args([signal.days_per_week.to_string(), judged_from.to_string()])
        .args([NOMINAL.to_string(), SECONDS_MAX.to_string()])
        .stdout(Stdio::null())
        .output()
        .map_err(in_words)?;
    if !result.status.success() {
        let words = String::from_utf8_lossy(&result.stderr);
        return Err(format!("Rscript failed: {}", words.lines().last().unwrap_or("without a word")));
    }
    std::fs::read_to_string(&out).map_err(in_words)
}

/// What the script reads.
fn table(runs: &[(Run, Truth)]) -> String {
    let mut table = "series,day,count,wanted\n".to_owned();
    let mut number = 0;
    for (run, truth) in runs {
        for (series, counts) in series_of(run).into_iter().enumerate() {
            let wanted = match series.checked_sub(1) {
                None => run.judged.clone(),
                Some(size) => {
                    let days = truth.days(size);
                    let end = (days.end + DAYS_AFTER).min(run.judged.len());
                    run.judged.start + days.start..run.judged.start + end
                }
            };
            for (day, count) in counts.iter().enumerate() {
                let is_wanted = u8::from(wanted.contains(&day));
                let _ = writeln!(table, "{number},{},{count},{is_wanted}", day + 1);
            }
            number += 1;
        }
    }
    table
}

/// Statistic and alarm by series and day, from 1.
type Days = BTreeMap<(usize, usize), (f64, Option<bool>)>;

/// Reads what the script wrote.
fn read(out: &str, runs: &[(Run, Truth)]) -> Answers {
    let mut lines = out.lines();
    let versions = lines.next().unwrap_or_default().to_owned();
    let mut said: BTreeMap<&str, Days> = BTreeMap::new();
    let mut failed: BTreeMap<&str, String> = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.split(';').collect();
        match fields.as_slice() {
            [name, "timeout"] => drop(failed.insert(name, format!("not done in {SECONDS_MAX} s"))),
            [name, "error", words] => drop(failed.insert(name, format!("stopped: {words}"))),
            [name, series, day, statistic, alarm] => {
                if let (Ok(series), Ok(day)) = (series.parse(), day.parse()) {
                    // Not a number is what it says where it cannot judge.
                    let statistic = statistic.parse().ok().filter(|value: &f64| !value.is_nan());
                    let alarm = alarm.parse::<u8>().ok().map(|alarm| alarm != 0);
                    let said_of_day = (statistic.unwrap_or(0.0), alarm);
                    said.entry(name).or_default().insert((series, day), said_of_day);
                }
            }
            _ => {}
        }
    }
    let of = DETECTORS.iter().map(|name| match (failed.get(name), said.get(name)) {
        (Some(why), _) => Err(why.clone()),
        (None, Some(said)) => Ok(gather(said, runs)),
        (None, None) => Err("said nothing".to_owned()),
    });
    Answers { versions, of: of.collect() }
}

/// Puts what one detector said in the order of runs.
fn gather(said: &Days, runs: &[(Run, Truth)]) -> Vec<Said> {
    let mut number = 0;
    let mut gathered = Vec::new();
    for (run, _) in runs {
        let calm: Vec<(f64, Option<bool>)> =
            run.judged.clone().map(|day| said.get(&(number, day + 1)).copied().unwrap_or_default()).collect();
        let eventful = (0..run.eventful.len()).map(|size| {
            let statistic = |(at, day): (usize, usize)| {
                said.get(&(number + 1 + size, day + 1)).map_or(calm[at].0, |(statistic, _)| *statistic)
            };
            run.judged.clone().enumerate().map(statistic).collect()
        });
        let eventful = eventful.collect();
        let alarms = calm.iter().filter_map(|(_, alarm)| *alarm);
        let nominal =
            Share { of: alarms.clone().count() as u64, are: alarms.filter(|alarm| *alarm).count() as u64 };
        let calm = calm.iter().map(|(statistic, _)| *statistic).collect();
        gathered.push(Said { calm, eventful, nominal: Some(nominal).filter(|nominal| nominal.of > 0) });
        number += 1 + run.eventful.len();
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::super::signals::SIGNALS;
    use super::*;

    fn runs() -> Vec<(Run, Truth)> {
        let run = Run::new(&SIGNALS[3], 1, 0);
        let truth = Truth::of(&run);
        vec![(run, truth)]
    }

    #[test]
    fn what_the_script_writes_is_put_in_the_order_of_days() {
        let runs = runs();
        let first = runs[0].0.judged.start + 1;
        let out = format!(
            "R 4\nearsC C1;0;{first};2.5;1\nearsC C1;0;{};NaN;0\nearsC C1;2;{first};7;1\nglrnb;timeout\n\
             earsC C2;error;no\n",
            first + 1
        );
        let answers = read(&out, &runs);
        let of = |name: &str| {
            let at = DETECTORS.iter().position(|detector| *detector == name).unwrap();
            answers.of[at].clone()
        };
        let said = &of("earsC C1").unwrap()[0];
        assert_eq!((said.calm[0], said.calm[1], said.calm[2]), (2.5, 0.0, 0.0));
        // Days that were not asked for in a run with an outbreak are those of the calm run.
        assert_eq!((said.eventful[0][0], said.eventful[1][0]), (2.5, 7.0));
        assert_eq!(said.nominal, Some(Share { of: 2, are: 1 }));
        assert_eq!(of("glrnb").unwrap_err(), format!("not done in {SECONDS_MAX} s"));
        assert_eq!(of("earsC C2").unwrap_err(), "stopped: no");
        assert_eq!(of("bodaDelay").unwrap_err(), "said nothing");
    }

    #[test]
    fn all_days_are_given_and_those_of_interest_asked_for() {
        let runs = runs();
        let table = table(&runs);
        let days = runs[0].0.calm.len();
        assert_eq!(table.lines().count(), 1 + 5 * days);
        let wanted = |series: usize| {
            table.lines().skip(1 + series * days).take(days).filter(|line| line.ends_with(",1")).count()
        };
        assert_eq!(wanted(0), runs[0].0.judged.len());
        assert!(wanted(1) >= runs[0].1.days(0).len() && wanted(1) < 60, "{}", wanted(1));
    }
}
