//! Busy series of real values with labelled windows: our detector beside peers on the same files.

mod ablation;
mod corpus;
mod entrants;
mod peers;
mod python;
mod scorer;

use std::path::Path;

use brownout_core::series::busy::{self, Busy};

use self::corpus::Series;
use self::entrants::{ENTRANTS, Entrant, Found};
use self::scorer::{Judge, Tally};
use super::board::{Board, Table};
use super::{Settings, in_parallel};
use crate::rng::Rng;

/// The score that ours has to reach at its declared threshold.
const SCORE_MIN: f64 = 70.0;
/// Times that the files are parted in halves.
const PARTINGS: u32 = 200;
const TITLE: &str = "Busy series with labelled windows";

/// Where the series are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/nab");

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    let folder = Path::new(FOLDER);
    if !folder.exists() {
        let text = "Not run: no data. The series are looked for in `../shared/data/nab`.".to_owned();
        board.tables.push(Table { title: TITLE.to_owned(), text: vec![text], rows: Vec::new() });
        return;
    }
    match corpus::read(folder) {
        Ok(corpus) => judged(board, settings, &corpus, progress),
        Err(error) => {
            board.bar("NAB, declared threshold", format!("not read: {error}"), ">= 70", false);
        }
    }
}

/// What one entrant reached on the whole corpus.
struct Reached {
    /// At the threshold with the highest score on these very files.
    optimised: (f64, f64),
    /// At the threshold said beforehand, where there is one.
    declared: Option<Tally>,
    /// At the declared threshold, or else at the optimised: by category.
    categories: Vec<Option<f64>>,
    /// On halves of the files, at thresholds set on the other halves.
    crossed: f64,
    /// Whether the scores were made ranks.
    is_ranked: bool,
}

fn judged(board: &mut Board, settings: &Settings, corpus: &[Series], progress: &mut impl FnMut(&str)) {
    let judges: Vec<Judge> = corpus.iter().map(Judge::of).collect();
    let mut results: Vec<(&Entrant, Result<Reached, String>)> = Vec::new();
    for entrant in &ENTRANTS {
        progress(&format!("labelled windows, {}", entrant.name));
        let result = match entrant.found {
            Found::Here(scores) => Ok(in_parallel(settings.threads, corpus.len() as u32, |series| {
                scores(&corpus[series as usize])
            })),
            Found::InPython(_) if !settings.peers => Err("left out of a quick run".to_owned()),
            Found::InPython(peer) => python::scores(peer, corpus),
        };
        let reached = |scores: Vec<Vec<f64>>| reached(entrant, corpus, &judges, &scores, settings.seed);
        results.push((entrant, result.map(|scores| best_of_both(entrant, scores, reached))));
    }
    bars(board, settings, &results);
    let text = how(corpus, &results);
    board.tables.push(Table { title: TITLE.to_owned(), text, rows: table(corpus, &results) });
    progress("labelled windows, parts of ours");
    board.tables.push(ablation::table(settings, corpus, &judges));
}

/// A peer's scores as they come, or as ranks among its own earlier ones, whichever serves it better.
fn best_of_both(
    entrant: &Entrant,
    scores: Vec<Vec<f64>>,
    reached: impl Fn(Vec<Vec<f64>>) -> Reached,
) -> Reached {
    if entrant.declared.is_some() {
        return reached(scores);
    }
    let ranked = reached(scores.iter().map(|scores| entrants::ranked(scores)).collect());
    let raw = reached(scores);
    if ranked.optimised.1 > raw.optimised.1 { Reached { is_ranked: true, ..ranked } } else { raw }
}

fn reached(
    entrant: &Entrant,
    corpus: &[Series],
    judges: &[Judge],
    scores: &[Vec<f64>],
    seed: u64,
) -> Reached {
    let parts: Parts<'_> = judges.iter().zip(scores.iter().map(Vec::as_slice)).collect();
    let optimised = scorer::optimised(&parts);
    let threshold = entrant.declared.unwrap_or(optimised.0);
    let of_category = |category: &str| {
        let own = parts.iter().zip(corpus).filter(|(_, series)| series.category() == category);
        scorer::tally(own.map(|(part, _)| *part), threshold).score()
    };
    Reached {
        optimised,
        declared: entrant.declared.map(|threshold| scorer::tally(parts.iter().copied(), threshold)),
        categories: categories(corpus).into_iter().map(of_category).collect(),
        crossed: crossed(corpus, std::slice::from_ref(&parts), seed),
        is_ranked: false,
    }
}

/// The judge and the scores of every series.
type Parts<'a> = Vec<(&'a Judge, &'a [f64])>;

/// The mean score on one half of the files with the candidate and the threshold that are best on the other
/// half. Halves hold half of every category, the odd file on any side.
fn crossed(corpus: &[Series], candidates: &[Parts<'_>], seed: u64) -> f64 {
    let mut rng = Rng::new(seed, 0);
    let mut sum = 0.0;
    for _ in 0..PARTINGS {
        let mut is_chosen_on = vec![false; corpus.len()];
        for category in categories(corpus) {
            let of_it = (0..corpus.len()).filter(|file| corpus[*file].category() == category);
            let mut files: Vec<(u64, usize)> = of_it.map(|file| (rng.bits(), file)).collect();
            files.sort_unstable();
            let half = (files.len() + usize::from(rng.unit() < 0.5)) / 2;
            files.iter().take(half).for_each(|(_, file)| is_chosen_on[*file] = true);
        }
        let best = candidates
            .iter()
            .map(|parts| (parts, scorer::optimised(&side(parts, &is_chosen_on, true))))
            .max_by(|(_, (_, one)), (_, (_, other))| one.total_cmp(other));
        if let Some((parts, (threshold, _))) = best {
            sum += scorer::tally(side(parts, &is_chosen_on, false), threshold).score().unwrap_or_default();
        }
    }
    sum / f64::from(PARTINGS)
}

/// The files of one side of a parting.
fn side<'a>(parts: &Parts<'a>, is_chosen_on: &[bool], chosen_on: bool) -> Parts<'a> {
    let of_side = parts.iter().zip(is_chosen_on).filter(|(_, is)| **is == chosen_on);
    of_side.map(|(part, _)| *part).collect()
}

/// The folders, in the order of the files.
fn categories(corpus: &[Series]) -> Vec<&str> {
    let mut categories: Vec<&str> = corpus.iter().map(Series::category).collect();
    categories.dedup();
    categories
}

/// What ours says of every row of a series, in the order of the rows; `None` where it was refused.
fn answers(series: &Series) -> Vec<Option<busy::Answer>> {
    let mut busy = Busy::default();
    series.times.iter().zip(&series.values).map(|(at, value)| busy.step(*at, *value).ok()).collect()
}

/// Our scores. A row that was refused cannot be called.
fn ours(series: &Series) -> Vec<f64> {
    answers(series).into_iter().map(|answer| answer.map_or(0.0, |answer| answer.score)).collect()
}

fn bars(board: &mut Board, settings: &Settings, results: &[(&Entrant, Result<Reached, String>)]) {
    let ours =
        results.iter().find_map(|(_, result)| result.as_ref().ok()?.declared?.score()).unwrap_or_default();
    board.bar("NAB, declared threshold", format!("{ours:.1}"), format!(">= {SCORE_MIN}"), ours >= SCORE_MIN);
    let peers = results.iter().filter(|(entrant, _)| entrant.declared.is_none());
    let peers: Vec<_> = peers.map(|(entrant, result)| (entrant.name, result.as_ref().ok())).collect();
    let ran = peers.iter().filter_map(|(name, reached)| Some((*name, reached.as_ref()?.optimised.1)));
    let best = ran.max_by(|one, other| one.1.total_cmp(&other.1));
    let missing = peers.iter().filter(|(_, reached)| reached.is_none()).count();
    let (name, score) = best.unwrap_or(("none", f64::INFINITY));
    board.bar(
        "NAB, ahead of every peer at its own optimised threshold",
        format!(
            "{ours:.1}; the best of {} that ran: {name} {score:.1}; not run: {missing}",
            peers.len() - missing
        ),
        "all",
        // Who did not run was not beaten; a quick run leaves some out and says so.
        ours > score && (missing == 0 || !settings.peers),
    );
}

fn table(corpus: &[Series], results: &[(&Entrant, Result<Reached, String>)]) -> Vec<Vec<String>> {
    let mut head: Vec<String> =
        ["detector", "declared threshold", "at it", "optimised threshold", "at it", "crossed"]
            .map(str::to_owned)
            .to_vec();
    head.extend(categories(corpus).into_iter().map(str::to_owned));
    let width = head.len();
    let mut rows = vec![head];
    for (entrant, result) in results {
        let mut row = vec![entrant.name.to_owned()];
        match result {
            Ok(reached) => {
                let score = |score: Option<f64>| score.map_or("-".to_owned(), |score| format!("{score:.1}"));
                row.push(entrant.declared.map_or("-".to_owned(), |threshold| format!("{threshold}")));
                row.push(score(reached.declared.and_then(Tally::score)));
                let ranked = if reached.is_ranked { " (rank)" } else { "" };
                row.push(format!("{:.4}{ranked}", reached.optimised.0));
                row.push(format!("{:.1}", reached.optimised.1));
                row.push(format!("{:.1}", reached.crossed));
                row.extend(reached.categories.iter().map(|category| score(*category)));
            }
            Err(why) => row.push(why.clone()),
        }
        row.resize(width, String::new());
        rows.push(row);
    }
    rows
}

fn how(corpus: &[Series], results: &[(&Entrant, Result<Reached, String>)]) -> Vec<String> {
    let windows: usize = corpus.iter().map(|series| series.windows.len()).sum();
    let calls = results.iter().find_map(|(_, result)| result.as_ref().ok()?.declared).unwrap_or_default();
    vec![
        format!(
            "Data: {} of the 58 series of the Numenta Anomaly Benchmark with {windows} labelled windows \
             (numenta/NAB, MIT), read from `../shared/data/nab`. Scored as published, standard profile, by \
             our own scorer: 0 is silence, 100 a call at the first row of every window and no other. The \
             first 15% of a series, 750 rows at most, are not judged. These are not figures of the whole \
             benchmark, whose other series are not here.",
            corpus.len()
        ),
        format!(
            "Ours is a detector of the library for busy series that are no counts; the program has none to \
             watch yet, and does not use it. It has one configuration for all series, sees no row before its turn, and is told neither \
             length nor range. Its declared threshold is {}: as rare as one distance in a hundred. At it \
             {} of {windows} windows are found, with {} false calls. Peers have no declared threshold; each \
             gets the one that is best on these very files, which flatters them, and ours is compared with \
             that at its declared one. Where it serves a peer better, its scores are first made ranks among \
             its own earlier ones, and called only over all of the latest 6% of rows, as ours are: \"(rank)\".",
            busy::CALL,
            calls.found,
            calls.false_calls
        ),
        format!(
            "Crossed: the threshold is set on half of the files of every category and scored on the other \
             half, {PARTINGS} partings, mean. It is the honest figure for choosing a threshold on so few \
             files; what is ours beyond its threshold was developed on these very series. \
             Categories are at the declared threshold, or else at the optimised; \"-\" has no window."
        ),
        format!(
            "Peers in Python run by `crates/brownout-lab/peers/nab.py` from `target/peers/venv`, at most {} \
             s of processor time each. River's and stumpy's learn row by row. adtk's detectors judge a whole \
             series at once, ahead of its rows: here its transforms look back only and its quartiles are \
             those of the probation. PyOD's are fitted on lags of eight rows of the probation.",
            python::SECONDS_MAX
        ),
    ]
}

#[cfg(test)]
mod tests;
