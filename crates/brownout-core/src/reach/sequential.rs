//! A sequential test on k of n: whether failures that are rare have become the rule, since when, and until when.

use std::collections::BTreeMap;

use libm::log;
use serde::{Deserialize, Serialize};

use super::{Mechanism, Reachability};
use crate::model::UtcTime;

/// What one look at a cell showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// When.
    pub at: UtcTime,
    /// Who looked; `None` where that is not told, as for volunteers who stay unknown.
    pub vantage: Option<u64>,
    /// What was seen; never that nothing can be said.
    pub state: Reachability,
    /// How it failed.
    pub how: Option<Mechanism>,
}

impl Seen {
    /// Whether it showed a kind of failure.
    fn is(&self, kind: Reachability) -> bool {
        self.state.kind() == kind
    }
}

/// An interval in which something changed, and when it is likeliest to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bracket {
    /// The last look before it can have changed.
    pub earliest: UtcTime,
    /// The first look that shows it, if it changed when it is likeliest to have.
    pub likeliest: UtcTime,
    /// The first look after which it must have changed.
    pub latest: UtcTime,
}

/// That failures became the rule, or ceased to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Whether they are the rule from now on.
    pub begins: bool,
    /// When it was told.
    pub told_at: UtcTime,
    /// When it was.
    pub bracket: Bracket,
    /// Looks since it is likeliest to have changed, ...
    pub looks: u32,
    /// ... those among them that failed, ...
    pub hits: u32,
    /// ... and how many vantage points made them; those that are not told apart count as one.
    pub vantages: u32,
}

/// The test of one cell for one kind of failure, which is the question. The looks themselves are the cell's, for all its tests.
///
/// Looks are taken for independent, failing with p0 while failures are an exception and with p1 while they are
/// the rule. The sum of ln(P1 / P0) since it was last 0 (Page 1954) is compared with ln(A): the mean number of
/// looks to a false change is at least A (Lorden 1971). p0 is learned while failures are an exception.
///
/// Looks of one vantage point are not independent: its line, its resolver or its owner can be what fails. So p0
/// is each one's own, and a change is told only when most of them say so and it shows without any one of them.
/// What too few say for long is taken for an exception of theirs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sequential {
    is_rule: bool,
    sum: f64,
    /// What p0 is learned from, of all vantage points and of each.
    all: Rate,
    each: BTreeMap<Option<u64>, Rate>,
    /// How many of the oldest looks lie before the last change and say nothing of the next.
    settled: u16,
    /// The sum would do for a change, but not the vantage points.
    is_doubted: bool,
}

/// Failures among looks, both fading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Rate {
    hits: f32,
    looks: f32,
}

impl Rate {
    fn learn(&mut self, is_hit: bool) {
        self.hits = self.hits * KEEP + f32::from(u8::from(is_hit));
        self.looks = self.looks * KEEP + 1.0;
    }

    /// How often it fails, where `looks` looks of before would have failed with `prior`.
    fn mean(self, prior: f32, looks: f32) -> f32 {
        (prior * looks + self.hits) / (looks + self.looks)
    }
}

/// Mean number of looks to a false beginning, at least. A cell of ten looks a day has one in 27 years, and so do
/// 300 cells in a month.
const LOOKS_TO_FALSE_BEGINNING: f64 = 100_000.0;
/// The same of a false end.
const LOOKS_TO_FALSE_END: f64 = 1_000.0;
/// How often looks fail while failures are the rule: some networks, and some of the ways around, get through.
const RULE: f64 = 0.8;
/// What p0 is before anything is known, and how many looks that is worth: one in fifty fails by luck.
const EXCEPTION: f32 = 0.02;
const EXCEPTION_LOOKS: f32 = 50.0;
/// What p0 of all is worth as that of one, in looks.
const OF_ALL_LOOKS: f32 = 10.0;
/// Vantage points that have a p0 of their own; others have that of all.
const VANTAGES_MAX: usize = 64;
/// A change is told within some ten looks; what would be one and was not told after so many is an exception.
const UNDECIDED_MAX: usize = 60;
/// p0 is taken for no more than this, or nothing would be a change.
const EXCEPTION_MAX: f64 = 0.4;
/// What a look keeps of its weight in p0 after one more: those of the last hundred count.
const KEEP: f32 = 0.99;
/// Looks of a vantage point by which it is told what it says by now: one failure is luck.
const VOTES: usize = 3;
/// What the others than the one with most of the looks that say so must show by themselves: this part of the
/// mean number of looks to a false change.
const OF_OTHERS: f64 = 0.1;
/// After so many seconds in which no other looked, one alone can say that it is over.
const ALONE_SECONDS: i64 = 86_400;
/// Changes that are so many times less likely than the likeliest are outside of the bracket.
const BRACKET_TIMES: f64 = 20.0;

impl Sequential {
    /// Whether failures are the rule.
    pub(super) fn is_rule(&self) -> bool {
        self.is_rule
    }

    /// Whether too few vantage points say what would be a change.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// How often a vantage point fails while failures are an exception, 0 to 1.
    fn exception(&self, vantage: Option<u64>) -> f64 {
        let all = self.all.mean(EXCEPTION, EXCEPTION_LOOKS);
        let own = self.each.get(&vantage).map_or(all, |rate| rate.mean(all, OF_ALL_LOOKS));
        f64::from(own).min(EXCEPTION_MAX)
    }

    /// The oldest look was forgotten.
    pub(super) fn forget_oldest(&mut self) {
        self.settled = self.settled.saturating_sub(1);
    }

    /// Takes the newest of the looks, which are in the order of their times. Tells if that shows a change.
    pub(super) fn look(&mut self, question: Reachability, looks: &[Seen]) -> Option<Change> {
        let newest = looks.last()?;
        self.sum = (self.sum + self.step(question, newest)).max(0.0);
        if !self.is_rule && self.sum <= 0.0 {
            self.learn(question, looks);
        }
        let needed = self.looks_to_false_change();
        let change = (self.sum >= log(needed)).then(|| self.change(question, looks)).flatten();
        self.is_doubted = change.is_none() && self.sum >= log(needed);
        // What one vantage point says alone is not piled up for the next one.
        self.sum = self.sum.min(log(needed));
        if !self.is_rule && looks.len() - usize::from(self.settled).min(looks.len()) > UNDECIDED_MAX {
            self.sum = 0.0;
            self.learn(question, looks);
        }
        change
    }

    /// What a look adds to the sum: for a beginning where failures are an exception, for an end where they are
    /// the rule.
    fn step(&self, question: Reachability, look: &Seen) -> f64 {
        let exception = self.exception(look.vantage);
        let towards_rule =
            if look.is(question) { log(RULE / exception) } else { log((1.0 - RULE) / (1.0 - exception)) };
        if self.is_rule { -towards_rule } else { towards_rule }
    }

    /// What does not look like a beginning any more was an exception.
    fn learn(&mut self, question: Reachability, looks: &[Seen]) {
        for look in &looks[usize::from(self.settled).min(looks.len())..] {
            let is_hit = look.is(question);
            self.all.learn(is_hit);
            if self.each.len() < VANTAGES_MAX || self.each.contains_key(&look.vantage) {
                self.each.entry(look.vantage).or_default().learn(is_hit);
            }
        }
        // The last one stays: a change may lie right after it.
        self.settled = looks.len().saturating_sub(1) as u16;
    }

    fn change(&mut self, question: Reachability, looks: &[Seen]) -> Option<Change> {
        let told_at = looks.last()?.at;
        let (bracket, first) = self.bracket(question, looks);
        let since = &looks[first..];
        let votes = Votes::of(since, |look| look.is(question) != self.is_rule);
        let lately =
            looks.iter().rev().take_while(|look| told_at.seconds() - look.at.seconds() < ALONE_SECONDS);
        let mut lately = lately.peekable();
        let one = lately.peek().map(|look| look.vantage);
        let is_alone = lately.all(|look| Some(look.vantage) == one);
        let is_old = self.is_rule && told_at.seconds() - bracket.likeliest.seconds() >= ALONE_SECONDS;
        let shows = votes.is_unknown || self.shown_without(votes.most, question, looks);
        if !(votes.is_majority() && shows || is_alone && is_old) {
            return None;
        }
        let change = Change {
            begins: !self.is_rule,
            told_at,
            bracket,
            looks: since.len() as u32,
            hits: since.iter().filter(|look| look.is(question)).count() as u32,
            vantages: votes.vantages as u32,
        };
        self.is_rule = !self.is_rule;
        self.sum = 0.0;
        self.settled = first as u16;
        Some(change)
    }

    fn looks_to_false_change(&self) -> f64 {
        if self.is_rule { LOOKS_TO_FALSE_END } else { LOOKS_TO_FALSE_BEGINNING }
    }

    /// Whether there is a change for all but one vantage point: by the same sum over their looks, with less to
    /// show. One that fails all the time takes nobody else with it, whenever it began.
    fn shown_without(&self, one: Option<u64>, question: Reachability, looks: &[Seen]) -> bool {
        let others =
            looks[usize::from(self.settled).min(looks.len())..].iter().filter(|look| look.vantage != one);
        let sum = others.fold(0.0, |sum: f64, look| (sum + self.step(question, look)).max(0.0));
        sum >= log(OF_OTHERS * self.looks_to_false_change())
    }

    /// When it changed, by the likelihood of each look to be the first after it; and the likeliest of them.
    fn bracket(&self, question: Reachability, looks: &[Seen]) -> (Bracket, usize) {
        let from = usize::from(self.settled).min(looks.len().saturating_sub(1));
        let mut after = 0.0;
        let mut likelihoods: Vec<(usize, f64)> = Vec::new();
        for (index, look) in looks.iter().enumerate().skip(from).rev() {
            after += self.step(question, look);
            likelihoods.push((index, after));
        }
        let best = likelihoods.iter().copied().fold((from, f64::NEG_INFINITY), |best, one| {
            // Of equals the earlier, which comes later here.
            if one.1 >= best.1 { one } else { best }
        });
        let inside = likelihoods.iter().filter(|(_, value)| *value >= best.1 - log(BRACKET_TIMES));
        let (first, last) =
            inside.fold((best.0, best.0), |(first, last), (index, _)| (first.min(*index), last.max(*index)));
        let time = |index: usize| looks[index].at;
        let earliest = first.checked_sub(1).map_or_else(|| time(first), time);
        (Bracket { earliest, likeliest: time(best.0), latest: time(last) }, best.0)
    }
}

/// How many vantage points say that something changed, of those that looked since.
struct Votes {
    says: usize,
    vantages: usize,
    /// The vantage point with most of the looks that say so.
    most: Option<u64>,
    /// Whether some of those that say so cannot be told apart: they may be many.
    is_unknown: bool,
}

/// What one vantage point saw.
#[derive(Default)]
struct Vote {
    /// Of its newest looks, how many there are and how many say so.
    newest: (usize, usize),
    says_so: usize,
}

impl Votes {
    fn of(since: &[Seen], says_so: impl Fn(&Seen) -> bool) -> Self {
        let mut by_vantage: BTreeMap<Option<u64>, Vote> = BTreeMap::new();
        for look in since.iter().rev() {
            let seen = by_vantage.entry(look.vantage).or_default();
            let so = usize::from(says_so(look));
            seen.says_so += so;
            if seen.newest.0 < VOTES {
                seen.newest = (seen.newest.0 + 1, seen.newest.1 + so);
            }
        }
        let says = |seen: &&Vote| 2 * seen.newest.1 > seen.newest.0;
        let most = by_vantage.iter().max_by_key(|(_, vote)| vote.says_so);
        Votes {
            says: by_vantage.values().filter(says).count(),
            vantages: by_vantage.len(),
            most: most.and_then(|(vantage, _)| *vantage),
            is_unknown: by_vantage.get(&None).is_some_and(|seen| says(&seen)),
        }
    }

    fn is_majority(&self) -> bool {
        2 * self.says > self.vantages
    }
}
