//! Daily counts of seven years: the sixteen signals of Noufaily et al. 2019, "Comparison of statistical
//! algorithms for daily syndromic surveillance aberration detection", Bioinformatics 35(17):3110.

mod judge;
mod ours;
mod peers;
mod signals;
mod simulator;
mod surveillance;
mod tables;

use self::judge::{Outcome, Said, Share, Specificity, Truth, outcomes};
use self::peers::Ears;
use self::signals::{SIGNALS, Signal};
use self::simulator::{Run, SIZES};
use super::board::Board;
use super::{Settings, in_parallel};

/// Nominal rate of false alarms per day, for all that have one.
const NOMINAL: f64 = 0.01;
/// How far the measured rate may be off, as a share of it.
const NOMINAL_TOLERANCE: f64 = 0.2;
/// Share of days without an outbreak over every detector's threshold: all get the same specificity.
const SHARE_OVER: f64 = 0.01;

/// Detectors that are part of this program, and so run on everything.
const OWN: [&str; 5] =
    ["**Brownout**", "**Brownout**, not told of holidays", "EARS C1", "EARS C2", "EARS C3"];
const OURS: usize = 0;

/// What one detector reached in one signal.
#[derive(Clone, Debug)]
struct Reached {
    /// For each size, at the same specificity beside outbreaks.
    outcomes: Vec<Outcome>,
    /// For each size, at the same specificity in runs without outbreaks.
    by_calm: Vec<Outcome>,
    /// Alarms on calm days at its own nominal rate.
    nominal: Option<Share>,
    /// Standard error of that rate, where it was measured on runs of its own.
    nominal_error: Option<f64>,
}

/// One line of a comparison: a detector, and what it reached in each signal, or why it did not.
#[derive(Clone, Debug)]
struct Line {
    name: String,
    reached: Result<Vec<Reached>, String>,
}

/// Everything that was worked out.
struct Results {
    /// All runs, through the detectors of this program.
    whole: Vec<Line>,
    /// The first runs of each signal, through all detectors.
    part: Vec<Line>,
    versions: String,
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    let results = results(settings, progress);
    bars(board, &results, settings);
    tables::add_to(board, &results, settings);
}

fn results(settings: &Settings, progress: &mut impl FnMut(&str)) -> Results {
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    for signal in &SIGNALS {
        progress(&format!("daily counts, signal {}", signal.number));
        let runs = in_parallel(settings.threads, settings.daily_runs, |run| {
            let run = Run::new(signal, settings.seed, run);
            (Truth::of(&run), own(signal, &run))
        });
        let of_first = |number: u32| -> Vec<Reached> {
            let first = &runs[..(number as usize).min(runs.len())];
            (0..OWN.len())
                .map(|detector| reached(first.iter().map(|(truth, all)| (truth, &all[detector]))))
                .collect()
        };
        let mut all = of_first(settings.daily_runs);
        // A rate of one in a hundred takes more runs to tell than an outbreak does.
        let calm = in_parallel(settings.threads, settings.daily_calm_runs, |run| {
            ours::nominal(signal, &Run::new(signal, settings.seed, run))
        });
        all[OURS].nominal_error = judge::standard_error(&calm);
        all[OURS].nominal = calm.into_iter().reduce(Share::plus);
        whole.push(all);
        part.push(of_first(settings.daily_peer_runs));
    }
    let mut part = lines(part);
    let versions = if settings.daily_peer_runs > 0 {
        progress("daily counts, detectors of R's surveillance");
        add_peers(&mut part, settings)
    } else {
        String::new()
    };
    Results { whole: lines(whole), part, versions }
}

/// What the detectors of this program say of a run.
fn own(signal: &Signal, run: &Run) -> Vec<Said> {
    let ears = |ears: Ears| {
        let judged = |counts: &[u32]| ears.statistics(counts).split_off(run.judged.start);
        let calm = judged(&run.calm);
        let eventful = run.eventful.iter().map(|eventful| judged(&eventful.counts)).collect();
        let alarms = calm.iter().filter(|statistic| **statistic > Ears::THRESHOLD).count();
        let nominal = Some(Share { of: calm.len() as u64, are: alarms as u64 });
        Said { calm, eventful, nominal }
    };
    vec![
        ours::said(signal, run, true),
        ours::said(signal, run, false),
        ears(Ears::C1),
        ears(Ears::C2),
        ears(Ears::C3),
    ]
}

/// What one detector reached in one signal.
fn reached<'a>(runs: impl Iterator<Item = (&'a Truth, &'a Said)>) -> Reached {
    let runs: Vec<(&Truth, &Said)> = runs.collect();
    let shares = runs.iter().filter_map(|(_, said)| said.nominal);
    Reached {
        nominal: shares.reduce(Share::plus),
        nominal_error: None,
        outcomes: outcomes(&runs, Specificity::BesideOutbreaks, SHARE_OVER),
        by_calm: outcomes(&runs, Specificity::InCalm, SHARE_OVER),
    }
}

/// From detectors by signal to signals by detector.
fn lines(signals: Vec<Vec<Reached>>) -> Vec<Line> {
    let of = |detector: usize| signals.iter().map(|reached| reached[detector].clone()).collect();
    OWN.iter()
        .enumerate()
        .map(|(index, name)| Line { name: (*name).to_owned(), reached: Ok(of(index)) })
        .collect()
}

/// Adds the lines of R's detectors, and gives the versions that answered.
fn add_peers(lines: &mut Vec<Line>, settings: &Settings) -> String {
    let mut of_peers: Vec<Result<Vec<Reached>, String>> =
        surveillance::DETECTORS.iter().map(|_| Ok(Vec::new())).collect();
    let mut versions = String::new();
    if let Err(why) = surveillance::is_installed() {
        of_peers.iter_mut().for_each(|peer| *peer = Err(why.clone()));
    } else {
        let folder = std::env::temp_dir().join(format!("brownout-scoreboard-{}", std::process::id()));
        let answers = in_parallel(settings.threads, SIGNALS.len() as u32, |index| {
            let signal = &SIGNALS[index as usize];
            let runs: Vec<(Run, Truth)> = (0..settings.daily_peer_runs)
                .map(|run| Run::new(signal, settings.seed, run))
                .map(|run| {
                    let truth = Truth::of(&run);
                    (run, truth)
                })
                .collect();
            let answers = surveillance::ask(signal, &runs, &folder.join(signal.number.to_string()));
            let reached = |said: Vec<Said>| self::reached(runs.iter().map(|(_, truth)| truth).zip(&said));
            let of: Vec<_> = answers.of.into_iter().map(|answer| answer.map(reached)).collect();
            (of, answers.versions)
        });
        // Nothing of the work is kept; a folder that stays behind harms nobody.
        let _ = std::fs::remove_dir_all(&folder);
        for (of_signal, answered) in answers {
            versions = answered;
            for (peer, reached) in of_peers.iter_mut().zip(of_signal) {
                match (peer.as_mut(), reached) {
                    (Ok(signals), Ok(reached)) => signals.push(reached),
                    (Ok(_), Err(why)) => *peer = Err(why),
                    (Err(_), _) => {}
                }
            }
        }
    }
    let named = surveillance::DETECTORS.iter().zip(of_peers);
    lines.extend(named.map(|(name, reached)| Line { name: format!("R: {name}"), reached }));
    versions
}

/// Mean over signals of one figure of the outcomes of one size.
fn mean(reached: &[Reached], size: usize, figure: impl Fn(&Outcome) -> f64) -> f64 {
    mean_of(reached, |signal| figure(&signal.outcomes[size]))
}

/// Mean over signals.
fn mean_of(reached: &[Reached], figure: impl Fn(&Reached) -> f64) -> f64 {
    reached.iter().map(figure).sum::<f64>() / reached.len() as f64
}

/// Mean over sizes and signals.
fn overall(reached: &[Reached], figure: impl Fn(&Outcome) -> f64 + Copy) -> f64 {
    (0..SIZES.len()).map(|size| mean(reached, size, figure)).sum::<f64>() / SIZES.len() as f64
}

fn bars(board: &mut Board, results: &Results, settings: &Settings) {
    // Where nothing of R was asked, the same bar holds against what is left.
    let lines = if settings.daily_peer_runs > 0 { &results.part } else { &results.whole };
    let Ok(ours) = &lines[OURS].reached else { return };
    let peers: Vec<(&str, &[Reached])> = lines[2..]
        .iter()
        .filter_map(|line| line.reached.as_ref().ok().map(|reached| (line.name.as_str(), reached.as_slice())))
        .collect();
    let of_peers = format!("each of {} others", peers.len());
    let sensitivity = |outcome: &Outcome| outcome.sensitivity;
    let best = peers.iter().map(|(name, peer)| (*name, overall(peer, sensitivity)));
    let best = best.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("none", 0.0));
    let is_better = peers.iter().all(|(_, peer)| {
        (0..SIZES.len()).all(|size| mean(ours, size, sensitivity) > mean(peer, size, sensitivity))
    });
    board.bar(
        "daily counts: sensitivity at the same specificity, mean of signals and sizes",
        format!("{:.2} (best other {:.2}, {})", overall(ours, sensitivity), best.1, best.0),
        format!("over {of_peers}, at each size of outbreak"),
        is_better,
    );
    let timeliness = |outcome: &Outcome| outcome.timeliness;
    let best = peers.iter().map(|(name, peer)| (*name, overall(peer, timeliness)));
    let best = best.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("none", 1.0));
    let is_earlier = peers.iter().all(|(_, peer)| {
        (0..SIZES.len()).all(|size| mean(ours, size, timeliness) < mean(peer, size, timeliness))
    });
    board.bar(
        "daily counts: part of an outbreak that is over at the first alarm, mean of signals and sizes",
        format!("{:.2} (best other {:.2}, {})", overall(ours, timeliness), best.1, best.0),
        format!("under {of_peers}, at each size of outbreak"),
        is_earlier,
    );
    let Ok(ours) = &results.whole[OURS].reached else { return };
    // Few runs tell a rate of one in a hundred only roughly.
    let tolerance = NOMINAL_TOLERANCE * (1.0 + 8.0 * settings.slack);
    let let_off = (8.0 * settings.slack) as usize;
    let rates = ours.iter().filter_map(|signal| signal.nominal).map(|share| share.value() / NOMINAL);
    let near = rates.clone().filter(|ratio| (ratio - 1.0).abs() <= tolerance).count();
    let (low, high) =
        rates.fold((f64::INFINITY, 0.0_f64), |(low, high), rate| (low.min(rate), high.max(rate)));
    board.bar(
        format!("daily counts: signals whose false alarms are within {:.0}% of nominal", tolerance * 100.0),
        format!("{near} of {} ({low:.2} to {high:.2} of nominal)", SIGNALS.len()),
        if let_off == 0 { "all".to_owned() } else { format!("all but {let_off}") },
        near + let_off >= SIGNALS.len(),
    );
}
