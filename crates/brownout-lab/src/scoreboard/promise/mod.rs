//! The promise: how often the whole engine calls problems where there are none, beside the budget that
//! its policy states.

mod calm;

use brownout_core::model::Policy;

use self::calm::{LEVELS, Outcome, Trial, YEARS};
use super::Settings;
use super::board::{Board, Table};

/// Of the years of other policies, the part that the one without floors is given.
const NO_FLOOR_SHARE: u32 = 10;

/// What a policy promises, and what came of it.
struct Row {
    name: &'static str,
    trial: Trial,
    outcome: Outcome,
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    let spent =
        Policy { possible_per_service_year: 1.0, detected_per_service_decade: 1.0, ..Policy::default() };
    let no_floor = Policy { possible_sources_min: 1, possible_subnets_min: 1, ..spent.clone() };
    let names =
        ["as shipped", "one possible a year, one detected a decade", "the same without floors of sources"];
    let service_years = settings.service_years;
    let trials = [
        Trial { policy: Policy::default(), service_years },
        Trial { policy: spent, service_years },
        // It promises nothing, and shows with far fewer years what floors are for.
        Trial { policy: no_floor, service_years: service_years / NO_FLOOR_SHARE },
    ];
    progress("calm service-years");
    let outcomes = calm::run(settings, &trials, progress);
    let rows: Vec<Row> = std::iter::zip(names, trials)
        .zip(outcomes)
        .map(|((name, trial), outcome)| Row { name, trial, outcome })
        .collect();
    for row in &rows[..2] {
        bar(board, row, "possible", row.trial.policy.possible_per_service_year, row.outcome.possible());
        bar(
            board,
            row,
            "detected",
            row.trial.policy.detected_per_service_decade / 10.0,
            row.outcome.detected(),
        );
    }
    board.tables.push(section(&rows));
}

fn bar(board: &mut Board, row: &Row, what: &str, promised: f64, count: u64) {
    let years = row.outcome.service_years();
    board.bar(
        format!("calm service-years, policy {}: false \"{what} problems\" per service-year", row.name),
        rate(count, years),
        format!("{promised:.3}"),
        count as f64 / years <= promised,
    );
}

/// A rate, or what can be said of it when nothing happened.
fn rate(count: u64, years: f64) -> String {
    match count {
        // With 95% confidence: e^-3 is 5%.
        0 => format!("none, so at most 3 in {years:.0} years"),
        _ => format!("{:.4} ({count} in {years:.0} years)", count as f64 / years),
    }
}

fn section(rows: &[Row]) -> Table {
    let levels: Vec<String> =
        LEVELS.iter().map(|level| format!("{:.0}% {}/h", level.share * 100.0, level.per_hour)).collect();
    let text = vec![
        format!(
            "The engine itself, from the first hour of a service on, with everything that it learns by \
             itself: {} services for {YEARS} years each, {}. Their reports have a shape of day and week, a \
             Gamma factor of shape 4 that changes every hour at a random minute of it, three countries \
             with six cities and five networks each, and a source and subnet of their own each. Nothing \
             ever goes wrong, so whatever is called is false. The budget covers all series of a service: \
             the whole, countries, regions, cities and networks.",
            rows.iter().map(|row| row.trial.services()).max().unwrap_or(0),
            levels.join(", ")
        ),
        "Cells: false calls per service-year.".to_owned(),
    ];
    let head = ["policy", "promised possible", "possible", "promised detected", "detected"];
    let mut head: Vec<String> = head.map(str::to_owned).to_vec();
    head.extend(LEVELS.iter().map(|level| format!("possible at {}/h", level.per_hour)));
    let mut table = vec![head];
    for Row { name, trial: Trial { policy, .. }, outcome } in rows {
        let years = outcome.service_years();
        let mut row = vec![
            (*name).to_owned(),
            format!("{:.3}", policy.possible_per_service_year),
            rate(outcome.possible(), years),
            format!("{:.4}", policy.detected_per_service_decade / 10.0),
            rate(outcome.detected(), years),
        ];
        row.extend(outcome.levels.iter().map(|level| rate(level.possible, level.service_years)));
        table.push(row);
    }
    Table { title: "The promise".to_owned(), text, rows: table }
}
