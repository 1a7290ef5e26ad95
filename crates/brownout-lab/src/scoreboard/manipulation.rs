//! Manipulation: how many sources each strategy needs to make a service look broken, beside an honest
//! crowd, and how often an honest incident is held.

use std::collections::BTreeSet;

use brownout_core::model::Policy;

use super::board::{Board, Table};
use super::{Settings, in_parallel};
use crate::attacker::{Act, Honest, Outcome, Size, Stage, Strategy};

/// The most sources that are tried.
const SOURCES_MAX: u32 = 100_000;
/// Sources of which it is told what came of them: a hundred times what a service needs.
const MANY: u32 = 1000;
/// Sources of honest incidents.
const CROWDS: [u32; 5] = [20, 60, 200, 1000, 5000];

/// No known failure made the reports of those whom it concerned rise more often than this, in an hour.
const RISE: f64 = 700.0;

/// What one strategy needed in one life.
#[derive(Clone, Debug, Default)]
struct Needed {
    possible: Option<u32>,
    detected: Option<u32>,
    held: BTreeSet<&'static str>,
    /// What came of [`MANY`] sources.
    many: Option<Outcome>,
}

/// What came of one life of one service.
struct Life {
    attacks: Vec<Needed>,
    honest: Vec<Needed>,
    /// By [`Honest`]: incidents, of these held, of these never detected; and why.
    crowds: Vec<([u32; 3], BTreeSet<&'static str>)>,
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    progress("attacks");
    let is_quick = settings.attacked_lives < 2;
    let sizes: &[Size] = if is_quick { &[Size::Middle] } else { &Size::ALL };
    let lives = settings.attacked_lives.max(1);
    let policy = Policy::default();
    let all = in_parallel(settings.threads, lives * sizes.len() as u32, |piece| {
        let size = sizes[piece as usize % sizes.len()];
        let stage = Stage::new(size, settings.seed + u64::from(piece / sizes.len() as u32), &policy);
        live(&stage, size, is_quick)
    });
    let by_size: Vec<(Size, Vec<&Life>)> = sizes
        .iter()
        .enumerate()
        .map(|(index, size)| (*size, all.iter().skip(index).step_by(sizes.len()).collect()))
        .collect();
    bars(board, &by_size, &policy, settings.slack);
    board.tables.push(strategies(&by_size));
    board.tables.push(crowds(&by_size));
}

fn live(stage: &Stage, size: Size, is_quick: bool) -> Life {
    let grid = grid(if is_quick { 3.0 } else { 1.6 });
    let attack = |strategy: &Strategy| needed(stage, Act::Attack(*strategy), &grid, is_quick);
    let honest = |honest: &Honest| needed(stage, Act::Honest(*honest), &grid, is_quick);
    let plays = if is_quick { 2 } else { 15 };
    let crowd = |honest: &Honest| {
        let (mut counts, mut reasons) = ([0; 3], BTreeSet::new());
        let most = RISE * size.per_hour() * honest.share();
        for sources in CROWDS.into_iter().filter(|sources| f64::from(*sources) <= most) {
            for number in 0..plays {
                let outcome = stage.play(Act::Honest(*honest), sources, 1 + number);
                let is_held = !outcome.held.is_empty();
                reasons.extend(&outcome.held);
                counts[0] += 1;
                counts[1] += u32::from(is_held);
                counts[2] += u32::from(is_held && !outcome.detected);
            }
        }
        (counts, reasons)
    };
    Life {
        attacks: Strategy::ALL.iter().map(attack).collect(),
        honest: Honest::ALL.iter().map(honest).collect(),
        crowds: Honest::ALL.iter().map(crowd).collect(),
    }
}

/// Numbers of sources from 1 on, each by about this factor more than the one before.
fn grid(factor: f64) -> Vec<u32> {
    let mut grid = vec![1];
    while let Some(last) = grid.last().copied().filter(|last| *last < SOURCES_MAX) {
        let next = libm::round(f64::from(last) * factor) as u32;
        grid.push(next.clamp(last + 1, SOURCES_MAX));
    }
    grid
}

/// The fewest sources that are enough. More may be less, for a large attack shows what a small one hides:
/// so every step of the grid is tried up to the first that does it, and then the gap below is halved.
fn needed(stage: &Stage, act: Act, grid: &[u32], is_quick: bool) -> Needed {
    let mut needed = Needed::default();
    let mut play = |sources: u32| -> Outcome {
        let outcome = stage.play(act, sources, 0);
        needed.held.extend(&outcome.held);
        outcome
    };
    let (mut possible, mut detected) = (None, None);
    for (index, sources) in grid.iter().enumerate() {
        let outcome = play(*sources);
        if outcome.possible && possible.is_none() {
            possible = Some(index);
        }
        if outcome.detected {
            detected = Some(index);
            break;
        }
    }
    let mut refine = |found: Option<usize>, is_enough: fn(&Outcome) -> bool| {
        let mut high = grid[found?];
        let mut low = found?.checked_sub(1).map_or(0, |below| grid[below]);
        while !is_quick && high - low > 1 + high / 20 {
            let middle = low + (high - low) / 2;
            if is_enough(&play(middle)) { high = middle } else { low = middle }
        }
        Some(high)
    };
    let possible = refine(possible, |outcome| outcome.possible);
    let detected = refine(detected, |outcome| outcome.detected);
    let many = Some(play(MANY));
    Needed { possible, detected, held: needed.held, many }
}

/// The middle of what was needed, and the least and most; `None` is never.
fn spread(mut found: Vec<Option<u32>>) -> String {
    found.sort_by_key(|sources| sources.unwrap_or(u32::MAX));
    let words =
        |sources: &Option<u32>| sources.map_or_else(|| "never".to_owned(), |sources| sources.to_string());
    let (Some(first), Some(last)) = (found.first(), found.last()) else { return String::new() };
    let middle = words(&found[found.len() / 2]);
    if first == last { middle } else { format!("{middle} ({} to {})", words(first), words(last)) }
}

/// What came of many sources, in how many lives.
fn states<'a>(outcomes: impl Iterator<Item = &'a Option<Outcome>>) -> String {
    let mut counts = std::collections::BTreeMap::<&str, u32>::new();
    for outcome in outcomes.flatten() {
        let state = match outcome {
            Outcome { detected: true, .. } => "detected",
            Outcome { possible: true, held, .. } if !held.is_empty() => "held",
            Outcome { possible: true, .. } => "possible",
            _ => "nothing",
        };
        *counts.entry(state).or_default() += 1;
    }
    match counts.len() {
        1 => counts.into_keys().collect(),
        _ => counts.iter().map(|(state, count)| format!("{state} {count}")).collect::<Vec<_>>().join(", "),
    }
}

/// Strategies that must never get as far as "detected": what they do shows at any size.
const NEVER: [Strategy; 3] = [Strategy::OneHost, Strategy::OneSubnet, Strategy::OneSite];

fn bars(board: &mut Board, by_size: &[(Size, Vec<&Life>)], policy: &Policy, slack: f64) {
    let lives = || by_size.iter().flat_map(|(_, lives)| lives.iter());
    let named = NEVER.map(|strategy| Strategy::ALL.iter().position(|one| *one == strategy));
    let fooled = lives()
        .filter(|life| named.iter().flatten().any(|index| life.attacks[*index].detected.is_some()))
        .count();
    board.bar(
        format!("manipulation: services where one address, one /24 or one /48 is \"detected\", up to {SOURCES_MAX} sources"),
        fooled.to_string(),
        "none",
        fooled == 0,
    );
    let sum =
        |index: usize| lives().flat_map(|life| &life.crowds).map(|(counts, _)| counts[index]).sum::<u32>();
    let (incidents, held) = (sum(0), sum(1));
    let promised = 1.0 / f64::from(policy.honest_held_one_in.max(1));
    board.bar(
        "manipulation: honest incidents that were held",
        rate(held, incidents),
        format!("one in {}", policy.honest_held_one_in),
        f64::from(held) <= f64::from(incidents) * promised + slack * 4.0,
    );
}

fn rate(held: u32, incidents: u32) -> String {
    match held {
        // With 95% confidence: e^-3 is 5%.
        0 => format!("none of {incidents}, so at most one in {}", incidents / 3),
        _ => format!("{held} of {incidents}"),
    }
}

fn strategies(by_size: &[(Size, Vec<&Life>)]) -> Table {
    let mut head = vec!["strategy".to_owned()];
    for (size, _) in by_size {
        head.push(format!("possible at {}/h", size.per_hour()));
        head.push(format!("detected at {}/h", size.per_hour()));
        head.push(format!("{MANY} sources at {}/h", size.per_hour()));
    }
    head.push("held for".to_owned());
    let mut rows = vec![head];
    let mut row = |name: String, of: &dyn Fn(&Life) -> Needed| {
        let mut cells = vec![name];
        let mut held = BTreeSet::new();
        for (_, lives) in by_size {
            let needed: Vec<Needed> = lives.iter().map(|life| of(life)).collect();
            cells.push(spread(needed.iter().map(|one| one.possible).collect()));
            cells.push(spread(needed.iter().map(|one| one.detected).collect()));
            cells.push(states(needed.iter().map(|one| &one.many)));
            held.extend(needed.into_iter().flat_map(|one| one.held));
        }
        cells.push(held.into_iter().collect::<Vec<_>>().join(", "));
        rows.push(cells);
    };
    for (index, honest) in Honest::ALL.iter().enumerate() {
        row(format!("**honest:** {}", honest.name()), &|life| life.honest[index].clone());
    }
    for (index, strategy) in Strategy::ALL.iter().enumerate() {
        row(strategy.name().to_owned(), &|life| life.attacks[index].clone());
    }
    let text = vec![
        "The whole engine after four weeks of a service's life, behind the rules of intake (rates by source and \
         by subnet, proofs of work in a flood, salts that rotate), with the policy as shipped. The service is \
         used in three countries (60, 30 and 10%), six cities and five networks in each; one report in five \
         comes by a partner; its page is opened ten times for each report. On day 18 there was a real rise, \
         which can be replayed. An attack lasts a quarter of an hour unless it says otherwise, and goes on \
         top of what is usual.".to_owned(),
        "Cells: the fewest sources (for one address: reports) that are enough, the middle of several lives \
         and, where they differ, the least and the most. Every number up to 100,000 on a grid is tried, for \
         more may be less. The first rows say how many honest people it takes.".to_owned(),
        "What cannot be told: who has a botnet in homes of the right networks and countries, and lets it \
         choose kinds, times and pages as people do, is a crowd as far as reports go, and needs as many \
         sources as a crowd does. It costs as many homes; nothing here makes it impossible. Small services \
         are cheap to fool by anybody with some dozens of addresses that fit, for some dozens of people are \
         enough to be heard. Measurements, where there are any, are the answer to both.".to_owned(),
    ];
    Table { title: "Manipulation".to_owned(), text, rows }
}

fn crowds(by_size: &[(Size, Vec<&Life>)]) -> Table {
    let mut rows =
        vec![["honest incident", "held", "of these never detected", "held for"].map(str::to_owned).to_vec()];
    for (index, honest) in Honest::ALL.iter().enumerate() {
        let lives = by_size.iter().flat_map(|(_, lives)| lives.iter());
        let [incidents, held, never] = lives.fold([0; 3], |[a, b, c], life| {
            let [x, y, z] = life.crowds[index].0;
            [a + x, b + y, c + z]
        });
        let lives = by_size.iter().flat_map(|(_, lives)| lives.iter());
        let reasons: BTreeSet<&str> = lives.flat_map(|life| life.crowds[index].1.iter().copied()).collect();
        let reasons = reasons.into_iter().collect::<Vec<_>>().join(", ");
        rows.push(vec![honest.name().to_owned(), rate(held, incidents), never.to_string(), reasons]);
    }
    let text = vec![format!(
        "The same services, and people: crowds of {} sources, two in five of them in a subnet that another \
         comes from, as far as that is no more than {RISE:.0} times what is usual in an hour where it \
         happens. Held is whatever was held at \"possible\" for any time.",
        CROWDS.map(|sources| sources.to_string()).join(", ")
    )];
    Table { title: "Honest incidents that are held".to_owned(), text, rows }
}
