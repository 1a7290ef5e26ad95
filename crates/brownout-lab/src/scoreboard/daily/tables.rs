//! The part of the page.

use super::judge::Outcome;
use super::signals::{JUDGED_WEEKS, SIGNALS, WEEKS_PER_YEAR, YEARS};
use super::simulator::SIZES;
use super::surveillance::SECONDS_MAX;
use super::{Line, NOMINAL, OURS, Reached, Results, SHARE_OVER, mean_of};
use crate::scoreboard::Settings;
use crate::scoreboard::board::{Board, Table};

pub(super) fn add_to(board: &mut Board, results: &Results, settings: &Settings) {
    let mut text = how(settings);
    text.push(what_ours_is());
    let mut table = |title: &str, text: Vec<String>, rows: Vec<Vec<String>>| {
        board.tables.push(Table { title: title.to_owned(), text, rows });
    };
    let beside: Way = |reached| &reached.outcomes;
    let in_calm: Way = |reached| &reached.by_calm;
    let (lines, rest) = if settings.daily_peer_runs > 0 {
        text.push(peers(results, settings));
        (
            &results.part,
            format!("All {} runs of each signal, through what is part of this program.", settings.daily_runs),
        )
    } else {
        text.push("R's detectors were not asked here.".to_owned());
        (&results.whole, String::new())
    };
    table("Daily counts", text, comparison(lines, beside));
    let text = "The same runs and detectors, with thresholds from the runs without outbreaks.".to_owned();
    table("Daily counts, thresholds from calm", vec![text], comparison(lines, in_calm));
    if !rest.is_empty() {
        table("Daily counts, all runs", vec![rest], comparison(&results.whole, beside));
    }
    board.tables.push(Table {
        title: "Daily counts, signal by signal".to_owned(),
        text: vec![format!(
            "Ours on all runs. False alarms are days of {} runs without an outbreak on which the probability \
             that is stated is at most {NOMINAL}, with the standard error of their share; yearly epidemics (6, 7 and 16) are part of the usual. A rate \
             is kept on average over years, not in a year of its own kind: the epidemics of signal 16 differ \
             up to sevenfold between years, and in every run by the same years, so the judged year is not \
             like those that it is compared with.",
            settings.daily_calm_runs
        )],
        rows: by_signal(results),
    });
}

fn how(settings: &Settings) -> Vec<String> {
    vec![
        format!(
            "Generator. The sixteen signals of Noufaily et al. 2019 (Bioinformatics 35:3110), by the \
             parameters of the program that its authors published (numbers 1 and 3 to 17): {YEARS} years of \
             {WEEKS_PER_YEAR} weeks, log-linear trend, annual and weekly harmonics, Poisson or negative \
             binomial noise whose variance is 1 to 4 times the mean; three signals are divided by 10 or 100, \
             which makes their noise smaller than Poisson's, and three have a yearly epidemic of random \
             beginning and size. Nine have weeks of five days; they are given to all detectors as such, and \
             weekends are judged for none. On bank holidays (England, 2010 to 2016) five-day services count \
             nothing, and half as much again on the next day; seven-day services count twice as much. \
             {} runs of each signal, seed {}.",
            settings.daily_runs, settings.seed
        ),
        format!(
            "Outbreaks. One begins on a random day of the last {JUDGED_WEEKS} weeks, which are judged. Its \
             cases are Poisson with mean k x days of the week x standard deviation of the first day's count, \
             k = {}; they fall on days by a log-normal delay (median four days), more on weekends and \
             Mondays. Ours and not the paper's: every run and size draws its own numbers (there, seeds \
             repeat), and holidays are in the runs without an outbreak too.",
            SIZES.map(|size| size.to_string()).join(", ")
        ),
        format!(
            "Measures, as the paper has them. Sensitivity: share of the days with outbreak cases that have an \
             alarm. Specificity: share of the other days of the same runs that have none. Found: outbreaks \
             with an alarm on any of their days. Late: the part of an outbreak that is over at its first \
             alarm, 1 if there is none. Each detector gets, for each signal and size, the threshold over which \
             {:.0}% of those other days lie, so that all have the same specificity. Alarms that stay on after \
             an outbreak lower a specificity and so raise a threshold; the second table has thresholds from \
             the same runs without outbreaks instead, where that costs nothing but shows in the specificity \
             beside outbreaks. Nominal: alarms in runs without outbreaks at the detector's own level for \
             {:.0}% of days.",
            SHARE_OVER * 100.0,
            NOMINAL * 100.0
        ),
    ]
}

fn what_ours_is() -> String {
    "Brownout's line is a hidden Markov filter over a robust regression (trend, season, days of the week, \
     holidays), whose odds are compared with the last three years of the same series; that comparison, and \
     not a distribution, is what its probability rests on. It is told which days are bank holidays; the \
     line below it is not, as the others cannot be. It is a detector of the library for counts by the \
     day; the program, which looks every few seconds, does not use it."
        .to_owned()
}

fn peers(results: &Results, settings: &Settings) -> String {
    let versions = if results.versions.is_empty() { "R" } else { results.versions.as_str() };
    format!(
        "Detectors of {versions}, on the first {} runs of each signal, where all others are judged on the \
         same runs: farringtonFlexible as the paper used it (sums of a week, b = 4, w = 3) and on days with \
         the ten-level season of its authors; statistic is its p-value. earsC by the standardised \
         deviation. glrnb over windows of up to 30 days, on a mean of our own making (trend, weekday, two \
         harmonics), as its own has no weekdays; its threshold is no rate. bodaDelay without delays, by \
         asymptotic inference, as INLA is in no package archive that is used here. A detector has \
         {SECONDS_MAX} s for the runs of one signal. In runs with an outbreak R's detectors are asked from \
         its first day until 14 days after its last, and elsewhere the run without it stands for them.",
        settings.daily_peer_runs
    )
}

/// The outcomes of one signal, for each size, by one way to set thresholds.
type Way = fn(&Reached) -> &[Outcome];

fn comparison(lines: &[Line], way: Way) -> Vec<Vec<String>> {
    let mut head = vec!["detector".to_owned(), "specificity".to_owned()];
    head.extend(SIZES.map(|size| format!("k = {size}: sensitivity / late / found")));
    head.extend(["all: sensitivity / late / found".to_owned(), "nominal 1%: mean, range".to_owned()]);
    let columns = head.len();
    let mut rows = vec![head];
    for line in lines {
        let reached = match &line.reached {
            Ok(reached) => reached,
            Err(why) => {
                let mut row = vec![line.name.clone(), why.clone()];
                row.resize(columns, "-".to_owned());
                rows.push(row);
                continue;
            }
        };
        let of_size =
            |size: usize, figure: fn(&Outcome) -> f64| mean_of(reached, |signal| figure(&way(signal)[size]));
        let overall = |figure: fn(&Outcome) -> f64| {
            (0..SIZES.len()).map(|size| of_size(size, figure)).sum::<f64>() / SIZES.len() as f64
        };
        let figures: [fn(&Outcome) -> f64; 3] =
            [|outcome| outcome.sensitivity, |outcome| outcome.timeliness, |outcome| outcome.found];
        let mut row = vec![line.name.clone(), format!("{:.3}", overall(|outcome| outcome.specificity))];
        row.extend((0..SIZES.len()).map(|size| cell(figures.map(|figure| of_size(size, figure)))));
        row.push(cell(figures.map(overall)));
        row.push(nominal(reached));
        rows.push(row);
    }
    rows
}

fn cell([sensitivity, timeliness, found]: [f64; 3]) -> String {
    format!("{sensitivity:.2} / {timeliness:.2} / {:.0}%", found * 100.0)
}

fn nominal(reached: &[Reached]) -> String {
    let rates = || reached.iter().filter_map(|signal| signal.nominal).map(|share| share.value() * 100.0);
    let number = rates().count();
    if number == 0 {
        return "none".to_owned();
    }
    let (low, high) =
        rates().fold((f64::INFINITY, 0.0_f64), |(low, high), rate| (low.min(rate), high.max(rate)));
    format!("{:.2}%, {low:.2} to {high:.2}%", rates().sum::<f64>() / number as f64)
}

fn by_signal(results: &Results) -> Vec<Vec<String>> {
    let mut head = vec!["signal".to_owned(), "days a week".to_owned(), "false alarms, nominal 1%".to_owned()];
    head.extend(SIZES.map(|size| format!("k = {size}: sensitivity / late / found")));
    let mut rows = vec![head];
    let Ok(ours) = &results.whole[OURS].reached else { return rows };
    for (signal, reached) in SIGNALS.iter().zip(ours) {
        let error = reached.nominal_error.map_or(String::new(), |error| format!(" ± {:.2}", error * 100.0));
        let rate =
            reached.nominal.map_or("-".to_owned(), |share| format!("{:.2}{error}%", share.value() * 100.0));
        let mut row = vec![signal.number.to_string(), signal.days_per_week.to_string(), rate];
        row.extend(
            reached
                .outcomes
                .iter()
                .map(|outcome| cell([outcome.sensitivity, outcome.timeliness, outcome.found])),
        );
        rows.push(row);
    }
    rows
}
