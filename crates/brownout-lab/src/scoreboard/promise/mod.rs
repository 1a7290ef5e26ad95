//! The promise: how often the whole engine calls problems where there are none, beside the budget that
//! its policy states.

mod calm;

use brownout_core::model::Policy;
use brownout_core::series::Expected;
use brownout_core::series::negative_binomial::ln_tail;

use self::calm::{BUSY, Called, Level, MIXTURE, Outcome, Trial};
use super::Settings;
use super::board::{Board, Table};

/// Of the years of the shipped policy, the part that a larger budget is given, which has more to count, and
/// the part of the one without floors.
const SPENT_SHARE: u32 = 3;
const NO_FLOOR_SHARE: u32 = 10;
/// How long services of the mixture are watched, in years, and how many by one engine.
const YEARS: u32 = 10;
const PER_ENGINE: u32 = 25;
/// The same of busy ones, and which part of the mixture's years they are given: one has as many reports as
/// two hundred others.
const BUSY_YEARS: u32 = 1;
const BUSY_PER_ENGINE: u32 = 2;
const BUSY_SHARE: u32 = 120;
/// A level has broken a promise if a count as large has less than this probability under it: one in twenty
/// over seven levels, two policies and two states.
const BEYOND_CHANCE: f64 = 0.05 / 28.0;

/// What a policy promises, and what came of it.
struct Row {
    name: &'static str,
    trial: Trial,
    outcome: Outcome,
}

impl Row {
    /// Services, and what they are like, level by level.
    fn levels(&self) -> impl Iterator<Item = (&'static Level, &Called)> {
        self.trial.levels.iter().zip(&self.outcome.levels)
    }

    fn promised_detected(&self) -> f64 {
        self.trial.policy.detected_per_service_decade / 10.0
    }
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    let spent =
        Policy { possible_per_service_year: 1.0, detected_per_service_decade: 1.0, ..Policy::default() };
    let no_floor = Policy { possible_sources_min: 1, possible_subnets_min: 1, ..spent.clone() };
    let names = [
        "as shipped",
        "one possible a year, one detected a decade",
        "the same without floors of sources",
        "as shipped",
        "one possible a year, one detected a decade",
    ];
    let mixture = |policy: &Policy, share: u32| Trial {
        policy: policy.clone(),
        levels: MIXTURE,
        per_engine: PER_ENGINE,
        years: YEARS,
        service_years: settings.service_years / share,
    };
    let busy = |policy: &Policy| Trial {
        levels: BUSY,
        per_engine: BUSY_PER_ENGINE,
        years: BUSY_YEARS,
        ..mixture(policy, BUSY_SHARE)
    };
    let shipped = Policy::default();
    let trials = [
        mixture(&shipped, 1),
        mixture(&spent, SPENT_SHARE),
        // It promises nothing, and shows with far fewer years what floors are for.
        mixture(&no_floor, NO_FLOOR_SHARE),
        busy(&shipped),
        busy(&spent),
    ];
    progress("calm service-years");
    let outcomes = calm::run(settings, &trials, progress);
    let rows: Vec<Row> = std::iter::zip(names, trials)
        .zip(outcomes)
        .map(|((name, trial), outcome)| Row { name, trial, outcome })
        .collect();
    for row in &rows[..2] {
        let promised = row.trial.policy.possible_per_service_year;
        bar(board, row, "possible", promised, row.outcome.possible());
        bar(board, row, "detected", row.promised_detected(), row.outcome.detected());
    }
    broken(board, &rows);
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

/// The promise is one for each service, and not for some on average.
fn broken(board: &mut Board, rows: &[Row]) {
    let mut broken = Vec::new();
    for row in rows.iter().filter(|row| row.trial.policy.possible_sources_min > 1) {
        for (level, called) in row.levels() {
            let promised = row.trial.policy.possible_per_service_year;
            let counts = [
                ("possible", called.possible, promised),
                ("detected", called.detected, row.promised_detected()),
            ];
            for (what, count, promised) in counts {
                if count > 0
                    && ln_poisson_tail(count, promised * called.service_years) < libm::log(BEYOND_CHANCE)
                {
                    broken.push(format!("{what} at {}, policy {}", name(level), row.name));
                }
            }
        }
    }
    board.bar(
        "levels of services at which a policy with floors calls more than it promises, beyond chance"
            .to_owned(),
        if broken.is_empty() { "none".to_owned() } else { broken.join("; ") },
        "none".to_owned(),
        broken.is_empty(),
    );
}

/// ln P(X >= count) of a Poisson count: a negative binomial one of hardly any noise.
fn ln_poisson_tail(count: u64, mean: f64) -> f64 {
    ln_tail(u32::try_from(count).unwrap_or(u32::MAX), Expected { mean, size: 1e7 })
}

fn name(level: &Level) -> String {
    format!("{}/h{}", level.per_hour, level.week.name())
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
    let of = |levels: &[Level]| {
        let words = |level: &Level| format!("{:.0}% {}", level.share * 100.0, name(level));
        levels.iter().map(words).collect::<Vec<_>>().join(", ")
    };
    let most = |levels: usize| {
        let of_them = rows.iter().filter(|row| row.trial.levels.len() == levels);
        of_them.map(|row| row.trial.services()).max().unwrap_or(0)
    };
    let text = vec![
        format!(
            "The engine itself, from the first hour of a service on, with everything that it learns by \
             itself: {} services for {YEARS} years each, {}; and {} for {BUSY_YEARS} year each, {}. Their reports have a shape of day and week, a \
             Gamma factor of shape 4 that changes every hour at a random minute of it, three countries \
             that live by their own clocks, with six cities and five networks each, and a source and \
             subnet of their own each. In office \
             hours, eight to six on weekdays, come twenty times as many as else, from one minute to the next. \
             Nothing ever goes wrong, so whatever is called is false. The budget covers all series of a service: \
             the whole, countries, regions, cities and networks.",
            most(MIXTURE.len()),
            of(MIXTURE),
            most(BUSY.len()),
            of(BUSY)
        ),
        "Cells: false calls per service-year.".to_owned(),
    ];
    let head = ["policy", "services", "promised possible", "possible", "promised detected", "detected"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        let mut line = |services: String, years: f64, possible: u64, detected: u64| {
            table.push(vec![
                row.name.to_owned(),
                services,
                format!("{:.3}", row.trial.policy.possible_per_service_year),
                rate(possible, years),
                format!("{:.4}", row.promised_detected()),
                rate(detected, years),
            ]);
        };
        if row.trial.levels.len() == MIXTURE.len() {
            line(
                "all of the mixture".to_owned(),
                row.outcome.service_years(),
                row.outcome.possible(),
                row.outcome.detected(),
            );
        }
        for (level, called) in row.levels() {
            line(name(level), called.service_years, called.possible, called.detected);
        }
    }
    Table { title: "The promise".to_owned(), text, rows: table }
}
