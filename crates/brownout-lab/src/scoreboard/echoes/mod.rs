//! Echoes and common causes: who is blamed when several services rise at once.

mod documented;
mod episode;
mod play;
mod world;

use brownout_core::model::ServiceId;
use brownout_core::verdict::{Bond, Cause};

use self::episode::{Episode, Plot, Truth};
use self::play::{Outcome, Played};
use self::world::World;
use super::board::{Board, Table};
use super::{Settings, in_parallel};
use crate::rng::Rng;

/// Episodes of each plot that one engine lives through.
const EACH: usize = 4;

/// One service in one episode, and how it was judged.
struct Case {
    plot: Plot,
    truth: Truth,
    outcome: Outcome,
}

#[derive(Default)]
struct Cases {
    cases: Vec<Case>,
    bystanders: u32,
    bystanders_blamed: u32,
    owners: u32,
    owners_called: u32,
}

pub(super) fn add_to(board: &mut Board, settings: &Settings, progress: &mut impl FnMut(&str)) {
    progress("echoes and common causes");
    if settings.echo_engines > 0 {
        add_simulated(board, settings);
    }
    documented::add_to(board, settings);
}

fn add_simulated(board: &mut Board, settings: &Settings) {
    let engines = settings.echo_engines;
    let done = in_parallel(settings.threads, engines, |engine| {
        let mut rng = Rng::new(settings.seed, 0x0ec0_0000 + u64::from(engine));
        let world = World::draw(&mut rng);
        let mut episodes: Vec<Episode> = Vec::new();
        for _ in 0..EACH {
            episodes.extend(Plot::ALL.map(|plot| episode::draw(&world, &mut rng, plot)));
        }
        let played = play::play(&world, &episodes, rng);
        collect(episodes, played)
    });
    let mut all = Cases::default();
    for part in done {
        all.cases.extend(part.cases);
        all.bystanders += part.bystanders;
        all.bystanders_blamed += part.bystanders_blamed;
        all.owners += part.owners;
        all.owners_called += part.owners_called;
    }
    bars(board, &all, settings.slack > 0.0);
    board.tables.push(table(&all, engines));
}

fn collect(episodes: Vec<Episode>, played: Vec<Played>) -> Cases {
    let mut cases = Cases::default();
    for (episode, played) in episodes.into_iter().zip(played) {
        cases.bystanders += played.bystanders;
        cases.bystanders_blamed += played.bystanders_blamed;
        let has_owner = episode
            .surges
            .iter()
            .any(|surge| matches!(surge.truth, Truth::BuiltOn(_) | Truth::CustomersOf(_)));
        cases.owners += u32::from(has_owner);
        cases.owners_called += u32::from(has_owner && played.owner_called);
        for (surge, outcome) in episode.surges.iter().zip(played.outcomes) {
            cases.cases.push(Case { plot: episode.plot, truth: surge.truth, outcome });
        }
    }
    cases
}

impl Case {
    fn is_blamed_at_possible(&self) -> bool {
        self.truth.is_innocent() && self.outcome.possible.is_some()
    }

    fn is_blamed_at_detected(&self) -> bool {
        self.truth.is_innocent() && self.outcome.detected.is_some()
    }

    /// It fails and would be called by itself, and is not.
    fn is_swallowed(&self) -> bool {
        !self.truth.is_innocent() && self.outcome.possible_alone.is_some() && self.outcome.possible.is_none()
    }

    /// What it should be laid to; `None` where it should be laid to nothing.
    fn right(&self) -> Option<(Bond, Option<Cause>)> {
        let service = |index: usize| Some(Cause::Service(ServiceId(index as u32)));
        match self.truth {
            Truth::Own => None,
            Truth::EchoOf(cause) => Some((Bond::Echo, service(cause))),
            Truth::CustomersOf(cause) => Some((Bond::Network, service(cause))),
            Truth::BuiltOn(cause) => Some((Bond::Dependency, service(cause))),
            Truth::Together => Some((Bond::Pattern, None)),
        }
    }

    /// Whether what it was laid to most is what it should be; `None` when it was laid to nothing.
    fn is_named_rightly(&self) -> Option<bool> {
        let most = self.outcome.named.iter().max_by_key(|(_, looks)| **looks).map(|(named, _)| *named)?;
        let Some((bond, cause)) = self.right() else { return Some(false) };
        // Who fails is what counts: its customers' reports are its echo as well.
        Some(match cause {
            Some(cause) => most.1 == cause && most.0.is_innocent() == bond.is_innocent(),
            None => most.0 == bond,
        })
    }
}

/// Cases out of cases.
struct Share {
    count: usize,
    of: usize,
}

impl Share {
    fn of<'a>(cases: impl Iterator<Item = &'a Case>, fits: impl Fn(&Case) -> bool) -> Self {
        let (mut count, mut of) = (0, 0);
        for case in cases {
            of += 1;
            count += usize::from(fits(case));
        }
        Share { count, of }
    }

    fn value(&self) -> f64 {
        self.count as f64 / self.of.max(1) as f64
    }

    fn words(&self) -> String {
        match self.of {
            0 => "no case".to_owned(),
            of => format!("{:.1}% ({} of {of})", 100.0 * self.value(), self.count),
        }
    }
}

/// Innocent services that would be blamed if they were looked at alone.
fn would_be_blamed(case: &&Case) -> bool {
    case.truth.is_innocent() && case.outcome.possible_alone.is_some()
}

fn fails(case: &&Case) -> bool {
    !case.truth.is_innocent() && case.outcome.possible_alone.is_some()
}

/// Whether a share keeps its bar. Of few cases chance alone makes twice its standard deviation more, and
/// one where there should be none; that is allowed in a quick run only.
fn is_within(share: &Share, bar: f64, is_quick: bool) -> bool {
    let expected = bar * share.of as f64;
    let chance = if is_quick { (2.0 * libm::sqrt(expected)).max(1.0) } else { 0.0 };
    share.count == 0 || (share.count as f64) < expected + chance + f64::from(u8::from(is_quick))
}

fn bars(board: &mut Board, all: &Cases, is_quick: bool) {
    let innocent = || all.cases.iter().filter(would_be_blamed);
    let detected = Share::of(innocent(), Case::is_blamed_at_detected);
    let possible = Share::of(innocent(), Case::is_blamed_at_possible);
    let swallowed = Share::of(all.cases.iter().filter(fails), Case::is_swallowed);
    board.bar(
        "echoes: innocent services blamed at \"detected problems\"",
        detected.words(),
        "none",
        is_within(&detected, 0.0, is_quick),
    );
    board.bar(
        "echoes: innocent services blamed at \"possible problems\"",
        possible.words(),
        "under 2%",
        is_within(&possible, 0.02, is_quick),
    );
    board.bar(
        "echoes: failing services held down",
        swallowed.words(),
        "under 5%",
        is_within(&swallowed, 0.05, is_quick),
    );
}

fn table(all: &Cases, engines: u32) -> Table {
    let head = [
        "plot",
        "who",
        "services",
        "called if alone",
        "of these called possible",
        "of these called detected",
        "laid to something",
        "of these to the right thing",
        "median delay added, min",
        "90th percentile",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for plot in Plot::ALL {
        for (who, innocent) in [("innocent", true), ("failing", false)] {
            let cases: Vec<&Case> = all
                .cases
                .iter()
                .filter(|case| case.plot == plot && case.truth.is_innocent() == innocent)
                .collect();
            if !cases.is_empty() {
                rows.push(row(plot, who, &cases));
            }
        }
    }
    let others = Share { count: all.bystanders_blamed as usize, of: all.bystanders as usize };
    let owners = Share { count: all.owners_called as usize, of: all.owners as usize };
    let text = vec![
        format!(
            "{} engines of 62 services each (providers with networks of their own, clouds, and what is \
             built on them; usual reports 2 to 400 an hour, learned in 3 calm days) live through {} \
             episodes each. A failure brings 5 to 500 times the usual, at once or within 25 minutes, for 25 \
             to 150 minutes; an echo 0.5% to 40% of that, evenly by its logarithm, at once (40%) or after 5 \
             minutes on average, spread over up to 15, with noise of its own. What echoes say is 5% to 80% \
             like what real failures say; up to half of their reporters are on the service's own network; \
             they come from where the other fails only in part. A second failure of a competitor begins \
             together with the first (one in four) or at any time within an hour of it, and may be of any \
             size. Everything is drawn anew for each world and episode.",
            engines,
            EACH * Plot::ALL.len()
        ),
        "Every service also lives in an engine of its own that gets the same reports: what is called there \
         is what would be called if no service were laid to another, and the difference is the delay that \
         is added. The wait of up to ten minutes where nearly all reporters are on one network is in both. \
         Rightly named: what a service was laid to at most looks, one every ten minutes."
            .to_owned(),
        format!(
            "Services that take no part and were called only because of others: {}. Clouds and providers \
             that failed and were called, whether or not anybody reported them: {}.",
            others.words(),
            owners.words()
        ),
    ];
    Table { title: "Echoes and common causes".to_owned(), text, rows }
}

fn row(plot: Plot, who: &str, cases: &[&Case]) -> Vec<String> {
    let alone: Vec<&Case> =
        cases.iter().copied().filter(|case| case.outcome.possible_alone.is_some()).collect();
    let possible = Share::of(alone.iter().copied(), |case| case.outcome.possible.is_some());
    let detected = Share::of(alone.iter().copied(), |case| case.outcome.detected.is_some());
    let laid = Share::of(alone.iter().copied(), |case| case.is_named_rightly().is_some());
    let rightly = Share::of(alone.iter().copied().filter(|case| case.is_named_rightly().is_some()), |case| {
        case.is_named_rightly() == Some(true)
    });
    let mut added: Vec<f64> = alone
        .iter()
        .filter(|case| !case.truth.is_innocent())
        .filter_map(|case| Some(case.outcome.possible? - case.outcome.possible_alone?))
        .collect();
    added.sort_by(f64::total_cmp);
    let at = |share: f64| match added.len() {
        0 => "-".to_owned(),
        length => format!("{:.1}", added[((length - 1) as f64 * share) as usize]),
    };
    vec![
        plot.words().to_owned(),
        who.to_owned(),
        cases.len().to_string(),
        alone.len().to_string(),
        possible.words(),
        detected.words(),
        laid.words(),
        rightly.words(),
        at(0.5),
        at(0.9),
    ]
}
