//! Reachability: a simulated network in which something interferes, or fails by itself, and what is said of it.

use brownout_core::reach::Reachability;

use super::board::{Board, Table};
use super::{Settings, in_parallel};
use crate::reach::{Expected, Outcome, Scenario, play, scenarios};

/// Whether a scenario has no interference that may be called a block.
fn is_innocent(scenario: &Scenario) -> bool {
    !scenario.expected.iter().any(is_block)
}

fn is_block(told: &Expected) -> bool {
    matches!(told, Expected::Signal(_, _, _, state, _) if state.kind() == Reachability::Blocked)
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    progress("interference");
    let scenarios = scenarios();
    let plays = settings.reach_plays.max(1);
    let all = in_parallel(settings.threads, plays * scenarios.len() as u32, |piece| {
        let scenario = &scenarios[piece as usize % scenarios.len()];
        play(scenario, settings.seed + u64::from(piece) / scenarios.len() as u64)
    });
    let mut rows = vec![
        [
            "scenario",
            "to be told",
            "told, and nothing else",
            "median min",
            "most min",
            "begin in bracket",
            "end told",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    let (mut right, mut wrong_blocks) = (0, 0);
    for (index, scenario) in scenarios.iter().enumerate() {
        let outcomes: Vec<&Outcome> =
            all.iter().skip(index).step_by(scenarios.len()).filter_map(Option::as_ref).collect();
        let row = row(scenario, &outcomes, plays);
        right += row.right;
        if is_innocent(scenario) {
            wrong_blocks += outcomes.iter().filter(|outcome| outcome.told.iter().any(is_block)).count();
        }
        rows.push(row.cells);
    }
    let count = plays * scenarios.len() as u32;
    let met = f64::from(right) >= f64::from(count) * (1.0 - settings.slack);
    board.bar(
        "plays in which all is told as it is and nothing else is",
        format!("{right} of {count}"),
        "all",
        met,
    );
    board.bar(
        "plays without a block in which one is told",
        format!("{wrong_blocks}"),
        "none",
        wrong_blocks == 0,
    );
    board.tables.push(Table {
        title: "Interference in a simulated network".to_owned(),
        text: vec![
            "Four countries with two providers each and three probes in each of these, which measure six sites every \
             twenty minutes; one run in a hundred fails by luck. Twelve quiet hours, four in which something \
             interferes, five after it. Each stage of a run is drawn, not sent: no packet goes anywhere."
                .to_owned(),
            "Told means state, mechanism, country and whether it is the whole country, for every site and every place. \
             Minutes are from the beginning until all that is to be told has been told."
                .to_owned(),
        ],
        rows,
    });
}

struct Row {
    right: u32,
    cells: Vec<String>,
}

fn row(scenario: &Scenario, outcomes: &[&Outcome], plays: u32) -> Row {
    let mut expected = scenario.expected.clone();
    expected.sort();
    let count = |is: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| is(outcome)).count() as u32;
    let right = count(&|outcome| outcome.told == expected);
    let mut delays: Vec<i64> = outcomes.iter().filter_map(|outcome| outcome.delay_minutes).collect();
    delays.sort_unstable();
    let is_anything = !expected.is_empty();
    let minutes = |delay: Option<&i64>| delay.filter(|_| is_anything).map_or("".to_owned(), i64::to_string);
    let of = |count: u32| if is_anything { format!("{count} of {plays}") } else { String::new() };
    let words: Vec<String> = expected.iter().map(words).collect();
    Row {
        right,
        cells: vec![
            scenario.name.to_owned(),
            if is_anything { words.join("; ") } else { "nothing".to_owned() },
            format!("{right} of {plays}"),
            minutes(delays.get(delays.len() / 2)),
            minutes(delays.last()),
            of(count(&|outcome| outcome.is_bracketed)),
            of(count(&|outcome| outcome.is_ended)),
        ],
    }
}

fn words(expected: &Expected) -> String {
    use brownout_core::reach::Spot;
    let place = |place: &Spot| match place {
        Spot::World => "everywhere".to_owned(),
        Spot::Country(code) => code.to_string(),
        Spot::Network(code, network) => format!("{network} in {code}"),
    };
    match expected {
        Expected::Signal(host, spot, is_whole, state, how) => {
            let part = match (spot, is_whole) {
                (Spot::World, _) => "",
                (_, true) => "in ",
                (_, false) => "in a network of ",
            };
            format!("{host} {} {part}{}: {}", state.word(), place(spot), how.map_or("", |how| how.word()))
        }
        Expected::Shared(host, code, others) => format!("{host} at an address of {others} others in {code}"),
        Expected::Silence(spot) => format!("no measurements from {}", place(spot)),
    }
}
