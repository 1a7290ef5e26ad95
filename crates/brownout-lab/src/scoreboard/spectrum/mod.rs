//! Real reports with injected outages: what is found, how soon and where, against size.

mod background;
mod inject;

use brownout_core::model::{City, Geography, Policy, UtcTime};
use brownout_core::snapshot::IncidentView;
use brownout_core::verdict::{Names, extent_words};

use self::background::{Background, Calm, KNOWN_UNTIL, SPLIT, is_known};
use self::inject::{Outage, Outcome, Placed, Where, run};
use super::board::{Board, Table};
use super::{Settings, in_parallel};
use crate::rng::Rng;

const TITLE: &str = "Injected outages among real reports";
/// Distinct people of an outage.
const SIZES: [u32; 9] = [3, 5, 8, 10, 12, 20, 30, 50, 100];
/// Over how many minutes they report.
const SPANS: [u32; 3] = [30, 60, 180];
/// How many reports the cities have had: none, few, many.
const CITIES: [(&str, std::ops::RangeInclusive<u32>); 3] =
    [("never reported", 0..=0), ("1 to 3 reports", 1..=3), ("10 reports and more", 10..=u32::MAX)];
/// The class after those of cities: all over the country.
const EVERYWHERE: usize = CITIES.len();
/// A city that never reported has this many people at least: such a city would.
const POPULATION_MIN: u32 = 50_000;
/// Nothing is injected where a call over the real reports alone is this near, in seconds.
const APART_SECONDS: i64 = 4 * 3600;
/// From this size on an outage has to be found and its city named.
const SURE_SIZE: u32 = 20;
/// The same for one all over the country.
const SURE_SIZE_COUNTRY: u32 = 50;
/// Most instants at which outages begin.
const BEGINNINGS_MAX: u32 = 16;

/// One injected outage and what came of it.
struct Case {
    size: usize,
    span: usize,
    cities: usize,
    outcome: Option<Outcome>,
}

/// A policy's cases.
pub(super) struct Cases {
    calm: Calm,
    cases: Vec<Case>,
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    progress("injected outages among real reports");
    let Some(background) = Background::read() else {
        let text =
            vec!["Not run: no data. The reports are looked for in `../shared/data/spectrum`.".to_owned()];
        board.tables.push(Table { title: TITLE.to_owned(), text, rows: Vec::new() });
        return;
    };
    let loose =
        Policy { possible_per_service_year: 1.0, detected_per_service_decade: 1.0, ..Policy::default() };
    let policies = [("as shipped", Policy::default()), ("one possible a year, one detected a decade", loose)];
    for (index, (name, policy)) in policies.into_iter().enumerate() {
        let cases = cases(&background, settings, &policy);
        if index == 0 {
            bars(board, settings, &cases);
            board.tables.push(calls(&background, &cases.calm));
        }
        board.tables.push(by_size(name, &cases));
        if index == 0 {
            board.tables.push(by_city(&cases));
        }
    }
}

/// Injects outages of every size and span, at cities of every class, at several instants.
fn cases(background: &Background, settings: &Settings, policy: &Policy) -> Cases {
    let quiet = background.play(policy, &[]);
    let beginnings = beginnings(background, &quiet, settings);
    let calm = background.play(policy, &beginnings);
    let per_beginning = (SIZES.len() * SPANS.len() * (CITIES.len() + 1)) as u32;
    let classes: Vec<Vec<&City>> = CITIES
        .iter()
        .map(|(_, range)| {
            let fits = |(city, count): &&(City, u32)| {
                range.contains(count) && (*count > 0 || city.population >= POPULATION_MIN)
            };
            background.cities.iter().filter(fits).map(|(city, _)| city).collect()
        })
        .collect();
    let pieces = calm.forks.len() as u32 * per_beginning;
    let cases = in_parallel(settings.threads, pieces, |piece| {
        let (at, fork) = &calm.forks[(piece / per_beginning) as usize];
        let within = (piece % per_beginning) as usize;
        let (cities, rest) = (within % (CITIES.len() + 1), within / (CITIES.len() + 1));
        let (span, size) = (rest % SPANS.len(), rest / SPANS.len());
        // The same city and the same instants under every policy.
        let mut rng = Rng::new(settings.seed, 0x0005_bec7 + u64::from(piece));
        let place = classes
            .get(cities)
            .map_or(Where::Country, |class| Where::City(class[rng.below(class.len() as u32) as usize]));
        let outage = Outage { place, sources: SIZES[size], minutes: SPANS[span], at: *at };
        Case { size, span, cities, outcome: run(background, fork, &outage, &mut rng) }
    });
    Cases { calm, cases }
}

/// Instants of the judged part at which nothing is or soon will be called over the real reports alone, and
/// after the known outage: while that smoulders, any few reports beside it make it be called, rightly.
fn beginnings(background: &Background, calm: &Calm, settings: &Settings) -> Vec<UtcTime> {
    let mut rng = Rng::new(settings.seed, 0x000b_e919);
    let span = background.end().millis_since(KNOWN_UNTIL) - 1000 * APART_SECONDS;
    let is_apart = |at: &UtcTime| {
        calm.incidents.iter().all(|view| {
            let ended = view.ended_at.unwrap_or(UtcTime::MAX);
            *at >= ended.plus_seconds(APART_SECONDS) || at.plus_seconds(APART_SECONDS) <= view.opened_at
        })
    };
    let tries = (0..10_000).map(|_| KNOWN_UNTIL.plus_millis((rng.unit() * span as f64) as i64));
    let wanted = (settings.service_years / 50).clamp(2, BEGINNINGS_MAX);
    let mut beginnings: Vec<UtcTime> = tries.filter(is_apart).take(wanted as usize).collect();
    beginnings.sort_unstable();
    beginnings
}

fn found(cases: &Cases, fits: impl Fn(&Case) -> bool) -> (usize, Vec<&Outcome>) {
    let chosen: Vec<&Case> = cases.cases.iter().filter(|case| fits(case)).collect();
    (chosen.len(), chosen.iter().filter_map(|case| case.outcome.as_ref()).collect())
}

fn percent(part: usize, whole: usize) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.0}%", 100.0 * part as f64 / whole as f64) }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn bars(board: &mut Board, settings: &Settings, cases: &Cases) {
    let in_city = |case: &Case| case.cities != EVERYWHERE && SIZES[case.size] >= SURE_SIZE;
    let (all, sure) = found(cases, in_city);
    let least = 0.95 - settings.slack * 0.2;
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    board.bar(
        format!("injected outages of {SURE_SIZE} people and more in one city: found"),
        format!("{} of {all}", percent(sure.len(), all)),
        "95%",
        share(sure.len(), all) >= least,
    );
    let named = sure.iter().filter(|outcome| outcome.at_end == Placed::Right).count();
    board.bar(
        format!(
            "injected outages of {SURE_SIZE} people and more in one city: that city named, of those found"
        ),
        percent(named, sure.len()),
        "95%",
        share(named, sure.len()) >= least,
    );
    let everywhere = |case: &Case| case.cities == EVERYWHERE && SIZES[case.size] >= SURE_SIZE_COUNTRY;
    let (_, wide) = found(cases, everywhere);
    let named = wide.iter().filter(|outcome| outcome.at_end == Placed::Right).count();
    board.bar(
        format!("injected outages of {SURE_SIZE_COUNTRY} people and more all over the country: the country named, of those found"),
        format!("{} of {}", percent(named, wide.len()), wide.len()),
        "95%",
        share(named, wide.len()) >= least,
    );
}

/// What is called over the real reports alone.
fn calls(background: &Background, calm: &Calm) -> Table {
    let days = background.judged_days();
    let city_months = background.names as f64 * days / 30.44;
    let unknown: Vec<&IncidentView> = calm.incidents.iter().filter(|view| !is_known(view)).collect();
    let rate = match unknown.len() {
        0 => format!("none, so at most 3 in {city_months:.0} city-months"),
        count => format!("{:.4} ({count} in {city_months:.0} city-months)", count as f64 / city_months),
    };
    let text = vec![
        format!(
            "{} real reports of one provider's customers in {} cities of one country, without labels. The \
             engine starts cold and learns from what lies before {SPLIT}; the {days:.1} days after it are \
             judged. Two outages are known to be in these reports: New York on 18 June, which is learned \
             through, and San Antonio on 20 and 21 June, which is counted apart.",
            background.reports.len(),
            background.names,
        ),
        format!("Calls of the judged part that neither explains, per city-month: {rate}. All calls:"),
    ];
    let geography = Geography::embedded();
    let names = Names { catalogue: &Default::default(), geography: &geography };
    let mut rows =
        vec![["called", "ended", "extent", "most sources in 15 minutes", ""].map(str::to_owned).to_vec()];
    for view in &calm.incidents {
        let located = view.verdicts.iter().rev().find_map(|verdict| verdict.located.as_ref());
        rows.push(vec![
            view.opened_at.to_string(),
            view.ended_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            located.map_or_else(|| "not clear".to_owned(), |extent| extent_words(extent, names)),
            view.scopes.iter().map(|scope| scope.peak).max().unwrap_or(0).to_string(),
            if is_known(view) { "known" } else { "not known: false, or an outage nobody wrote down" }
                .to_owned(),
        ]);
    }
    Table { title: TITLE.to_owned(), text, rows }
}

/// Found, delay and place against size and span.
fn by_size(policy: &str, cases: &Cases) -> Table {
    let called: Vec<u32> = cases.cases.iter().filter_map(|case| Some(case.outcome?.sources)).collect();
    let half: Vec<String> = (0..SPANS.len())
        .map(|span| {
            let is_half = |size: &usize| {
                let (all, found) = found(cases, |case| case.size == *size && case.span == span);
                2 * found.len() >= all
            };
            let least =
                (0..SIZES.len()).find(is_half).map_or("more".to_owned(), |size| SIZES[size].to_string());
            format!("{least} over {} minutes", SPANS[span])
        })
        .collect();
    let text = vec![
        format!(
            "Policy {policy}. {} injections: people of one city, or of where the real reports come from, each a \
             source and subnet of their own, report at random instants of the outage, as many of them \
             without a city as of the real ones, at {} instants after 21 June at which the real reports alone \
             call nothing. Fewest people of an outage that had reported when it was called: {}. Half of \
             all outages in one city are found from {} people on.",
            cases.cases.len(),
            cases.calm.forks.len(),
            called.iter().min().map_or("none was".to_owned(), u32::to_string),
            half.join(", "),
        ),
        "Cells: found / median minutes to \"possible\", of those found / exactly the city (or the country) named at the end, of those found."
            .to_owned(),
    ];
    let mut head = vec!["people".to_owned()];
    head.extend(SPANS.iter().map(|span| format!("one city, over {span} minutes")));
    head.push("all over the country, in any time".to_owned());
    let mut rows = vec![head];
    for (size, people) in SIZES.iter().enumerate() {
        let mut row = vec![people.to_string()];
        row.extend((0..SPANS.len()).map(|span| {
            cell(cases, |case| case.size == size && case.span == span && case.cities != EVERYWHERE)
        }));
        let country = |case: &Case| case.size == size && case.cities == EVERYWHERE;
        row.push(cell(cases, country));
        rows.push(row);
    }
    Table { title: format!("{TITLE}, policy {policy}"), text, rows }
}

fn cell(cases: &Cases, fits: impl Fn(&Case) -> bool) -> String {
    let (all, found) = found(cases, fits);
    let delay = median(found.iter().map(|outcome| outcome.delay_minutes).collect());
    let named = found.iter().filter(|outcome| outcome.at_end == Placed::Right).count();
    format!(
        "{} / {} / {}",
        percent(found.len(), all),
        delay.map_or("-".to_owned(), |delay| format!("{delay:.1}")),
        percent(named, found.len())
    )
}

/// One of the places that an outcome tells.
type Said = fn(&Outcome) -> Placed;

/// Where it is said to be, against the kind of city.
fn by_city(cases: &Cases) -> Table {
    let text = vec![
        "Policy as shipped. Shares of what was found: what the extent says at the call and at the end, and \
         what the list of parts that depart by themselves says, which is all there is without the scan."
            .to_owned(),
    ];
    let head = [
        "where",
        "found",
        "said",
        "exactly it",
        "its region, or with others",
        "more",
        "elsewhere or less",
        "not clear",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let kinds = [Placed::Right, Placed::Around, Placed::Wide, Placed::Elsewhere, Placed::Unclear];
    let classes = CITIES.iter().map(|(name, _)| *name).chain(["all over the country"]);
    for (cities, name) in classes.enumerate() {
        let (all, found) = found(cases, |case| case.cities == cities);
        let says: [(&str, Said); 3] = [
            ("extent, at the call", |outcome| outcome.at_call),
            ("extent, at the end", |outcome| outcome.at_end),
            ("list of parts, at the end", |outcome| outcome.listed),
        ];
        for (what, of) in says {
            let mut row = vec![name.to_owned(), percent(found.len(), all), what.to_owned()];
            row.extend(kinds.iter().map(|kind| {
                percent(found.iter().filter(|outcome| of(outcome) == *kind).count(), found.len())
            }));
            rows.push(row);
        }
    }
    Table { title: format!("{TITLE}: where they are said to be"), text, rows }
}
