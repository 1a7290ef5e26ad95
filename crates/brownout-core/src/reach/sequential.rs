//! A sequential test on k of n: whether failures that are rare have become the rule, since when, and until when.

use libm::log;
use serde::{Deserialize, Serialize};

use crate::model::UtcTime;

/// What one look at a cell showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When.
    pub at: UtcTime,
    /// Who looked; `None` where that is not told, as for volunteers who stay unknown.
    pub vantage: Option<u64>,
    /// Whether it failed in the way that is tested for.
    pub is_hit: bool,
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

/// The test of one cell.
///
/// Looks are taken for independent, failing with p0 while failures are an exception and with p1 while they are
/// the rule. The sum of ln(P1 / P0) since it was last 0 (Page 1954) is compared with ln(A): the mean number of
/// looks to a false change is at least A (Lorden 1971). p0 is learned while failures are an exception.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequential {
    is_rule: bool,
    sum: f64,
    /// Failures among the looks that p0 is learned from, both fading.
    hits: f32,
    looks: f32,
    /// The newest looks, oldest first.
    recent: Vec<Look>,
    /// How many of the oldest of them lie before the last change and say nothing of the next.
    settled: u16,
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
/// p0 is taken for no more than this, or nothing would be a change.
const EXCEPTION_MAX: f64 = 0.4;
/// What a look keeps of its weight in p0 after one more: those of the last hundred count.
const KEEP: f32 = 0.99;
/// Looks of one vantage point within so many seconds that say the same are one: a program that fetches twenty
/// pages of a site has looked once.
const ONE_LOOK_SECONDS: i64 = 900;
/// Looks that are remembered for brackets.
const REMEMBERED: usize = 256;
/// Changes that are so many times less likely than the likeliest are outside of the bracket.
const BRACKET_TIMES: f64 = 20.0;

impl Default for Sequential {
    fn default() -> Self {
        Sequential { is_rule: false, sum: 0.0, hits: 0.0, looks: 0.0, recent: Vec::new(), settled: 0 }
    }
}

impl Sequential {
    /// Whether failures are the rule.
    pub fn is_rule(&self) -> bool {
        self.is_rule
    }

    /// How often looks fail while failures are an exception, 0 to 1.
    pub fn exception(&self) -> f64 {
        let prior = EXCEPTION * EXCEPTION_LOOKS;
        f64::from((prior + self.hits) / (EXCEPTION_LOOKS + self.looks)).min(EXCEPTION_MAX)
    }

    /// The newest looks, oldest first.
    pub fn recent(&self) -> &[Look] {
        &self.recent
    }

    /// Takes a look; they come in the order of their times. Tells if that shows a change.
    pub fn look(&mut self, look: Look) -> Option<Change> {
        if self.is_the_same(look) {
            return None;
        }
        self.sum = (self.sum + self.step(look.is_hit)).max(0.0);
        self.remember(look);
        if !self.is_rule && self.sum <= 0.0 {
            self.learn();
        }
        let needed = if self.is_rule { LOOKS_TO_FALSE_END } else { LOOKS_TO_FALSE_BEGINNING };
        (self.sum >= log(needed)).then(|| self.change(look.at))
    }

    /// Whether a vantage point said the same just before. Those that are not told apart are one.
    fn is_the_same(&self, look: Look) -> bool {
        let since = look.at.plus_seconds(-ONE_LOOK_SECONDS);
        let before = self.recent.iter().rev().take_while(|one| one.at >= since);
        before.filter(|one| one.vantage == look.vantage).take(1).any(|one| one.is_hit == look.is_hit)
    }

    /// What a look adds to the sum: for a beginning where failures are an exception, for an end where they are
    /// the rule.
    fn step(&self, is_hit: bool) -> f64 {
        let exception = self.exception();
        let towards_rule = if is_hit { log(RULE / exception) } else { log((1.0 - RULE) / (1.0 - exception)) };
        if self.is_rule { -towards_rule } else { towards_rule }
    }

    fn remember(&mut self, look: Look) {
        if self.recent.len() >= REMEMBERED {
            self.recent.remove(0);
            self.settled = self.settled.saturating_sub(1);
        }
        self.recent.push(look);
    }

    /// What does not look like a beginning any more was an exception.
    fn learn(&mut self) {
        for look in &self.recent[usize::from(self.settled)..] {
            self.hits = self.hits * KEEP + f32::from(u8::from(look.is_hit));
            self.looks = self.looks * KEEP + 1.0;
        }
        // The last one stays: a change may lie right after it.
        self.settled = self.recent.len().saturating_sub(1) as u16;
    }

    fn change(&mut self, at: UtcTime) -> Change {
        let (bracket, first) = self.bracket(at);
        let since = &self.recent[first..];
        let mut vantages: Vec<Option<u64>> = since.iter().map(|look| look.vantage).collect();
        vantages.sort_unstable();
        vantages.dedup();
        let change = Change {
            begins: !self.is_rule,
            told_at: at,
            bracket,
            looks: since.len() as u32,
            hits: since.iter().filter(|look| look.is_hit).count() as u32,
            vantages: vantages.len() as u32,
        };
        self.is_rule = !self.is_rule;
        self.sum = 0.0;
        self.settled = first as u16;
        change
    }

    /// When it changed, by the likelihood of each look to be the first after it; and the likeliest of them.
    fn bracket(&self, at: UtcTime) -> (Bracket, usize) {
        let from = usize::from(self.settled).min(self.recent.len());
        let mut after = 0.0;
        let mut likelihoods: Vec<(usize, f64)> = Vec::new();
        for (index, look) in self.recent.iter().enumerate().skip(from).rev() {
            after += self.step(look.is_hit);
            likelihoods.push((index, after));
        }
        let best = likelihoods.iter().copied().fold((from, f64::NEG_INFINITY), |best, one| {
            // Of equals the earlier, which comes later here.
            if one.1 >= best.1 { one } else { best }
        });
        let inside: Vec<usize> = likelihoods
            .iter()
            .filter(|(_, value)| *value >= best.1 - log(BRACKET_TIMES))
            .map(|(index, _)| *index)
            .collect();
        let first = inside.iter().copied().min().unwrap_or(best.0);
        let last = inside.iter().copied().max().unwrap_or(best.0);
        let time = |index: usize| self.recent.get(index).map_or(at, |look| look.at);
        let earliest = first.checked_sub(1).map_or_else(|| time(first), time);
        (Bracket { earliest, likeliest: time(best.0), latest: time(last) }, best.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> UtcTime {
        "2025-03-10T00:00:00Z".parse::<UtcTime>().expect("a time").plus_seconds(60 * minutes)
    }

    fn look(minutes: i64, is_hit: bool) -> Look {
        Look { at: at(minutes), vantage: None, is_hit }
    }

    #[test]
    fn failures_that_become_the_rule_are_told_within_five_looks_with_their_beginning() {
        let mut cell = Sequential::default();
        for hour in 0..48 {
            assert_eq!(cell.look(look(60 * hour, hour == 20)), None);
        }
        let told: Vec<Change> = (48..60).filter_map(|hour| cell.look(look(60 * hour, true))).collect();
        let [change] = told[..] else { panic!("{told:?}") };
        assert!(change.begins && change.told_at <= at(60 * 52) && change.hits <= 5);
        // One look that got through does not say that it had not begun.
        assert_eq!(change.bracket.earliest, at(60 * 46));
        assert_eq!(change.bracket.likeliest, at(60 * 48));
        let told: Vec<Change> = (60..80).filter_map(|hour| cell.look(look(60 * hour, false))).collect();
        let [change] = told[..] else { panic!("{told:?}") };
        assert!(
            !change.begins
                && change.bracket.earliest == at(60 * 59)
                && change.bracket.likeliest == at(60 * 60)
        );
        assert!(!cell.is_rule());
    }

    #[test]
    fn a_program_that_fails_on_twenty_pages_has_failed_once() {
        let mut cell = Sequential::default();
        assert!((0..20).all(|second| {
            let at = at(0).plus_seconds(second);
            cell.look(Look { at, vantage: Some(7), is_hit: true }).is_none()
        }));
        assert_eq!(cell.recent().len(), 1);
    }

    #[test]
    fn a_pause_after_the_first_failure_lies_after_the_beginning() {
        let mut cell = Sequential::default();
        for hour in 0..30 {
            cell.look(look(60 * hour, false));
        }
        // One failure, three days of nothing, and failures.
        let told = [30, 102, 103, 104, 105].map(|hour| cell.look(look(60 * hour, true)));
        let change = told.into_iter().flatten().next().expect("a change");
        assert_eq!((change.bracket.earliest, change.bracket.likeliest), (at(60 * 28), at(60 * 30)));
        assert_eq!((change.bracket.latest, change.hits), (at(60 * 30), 3));
    }

    #[test]
    fn a_cell_in_which_a_third_fails_is_no_change_every_day() {
        let mut cell = Sequential::default();
        let told = (0..3000).filter_map(|hour| cell.look(look(60 * hour, hour % 3 == 0))).count();
        assert!(told <= 1, "{told}");
    }
}
