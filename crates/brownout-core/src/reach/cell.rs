//! One target at one place over time.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sequential::{Change, Seen, Sequential};
use super::{Mechanism, Reachability};
use crate::model::UtcTime;

/// What measurements of one target from one network of one country say, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    blocked: Sequential,
    down: Sequential,
    impaired: Sequential,
    /// The newest looks that tell anything, oldest first.
    looks: Vec<Seen>,
    counts: BTreeMap<Reachability, u32>,
    /// How often it was plainly blocked and how often that only seemed so, since blocking became the rule.
    plainly: u32,
    seemingly: u32,
    /// The newest changes, oldest first.
    changes: Vec<(Reachability, Change)>,
    /// Whether it was so from the first look on, and nobody saw it begin.
    began_unseen: bool,
}

/// Looks that are remembered for brackets.
const LOOKS_MAX: usize = 256;
/// Looks of one vantage point within so many seconds that say the same are one: a program that fetches twenty
/// pages of a site has looked once.
const ONE_LOOK_SECONDS: i64 = 900;

/// Looks by which it is told that something works.
const LATELY: usize = 5;
/// Changes that are remembered.
const CHANGES_MAX: usize = 32;

impl Cell {
    /// Takes what a measurement says. `vantage` tells who measured apart from others. One that began before
    /// the newest look is taken for as old as that: brackets are as wide as the disorder that is let in.
    /// Returns whether what is the rule changed.
    pub fn look(
        &mut self,
        at: UtcTime,
        vantage: Option<u64>,
        state: Reachability,
        how: Option<Mechanism>,
    ) -> bool {
        *self.counts.entry(state).or_default() += 1;
        match state {
            Reachability::Insufficient => return false,
            Reachability::Blocked => self.plainly += 1,
            Reachability::LikelyBlocked => self.seemingly += 1,
            _ => {}
        }
        let at = self.looks.last().map_or(at, |last| last.at.max(at));
        let look = Seen { at, vantage, state, how };
        if self.is_the_same(look) {
            return false;
        }
        self.remember(look);
        let told = [
            (Reachability::Blocked, self.blocked.look(Reachability::Blocked, &self.looks)),
            (Reachability::Down, self.down.look(Reachability::Down, &self.looks)),
            (Reachability::Impaired, self.impaired.look(Reachability::Impaired, &self.looks)),
        ];
        let mut is_changed = false;
        for (what, change) in told {
            let Some(change) = change else { continue };
            is_changed = true;
            self.began_unseen = change.begins
                && self.changes.is_empty()
                && self.looks.first().is_some_and(|first| first.at == change.bracket.likeliest);
            if what == Reachability::Blocked && !change.begins {
                (self.plainly, self.seemingly) = (0, 0);
            }
            if self.changes.len() >= CHANGES_MAX {
                self.changes.remove(0);
            }
            self.changes.push((what, change));
        }
        if !self.blocked.is_rule() && state.kind() != Reachability::Blocked {
            (self.plainly, self.seemingly) = (0, 0);
        }
        is_changed
    }

    /// Whether a vantage point said the same just before. Those that are not told apart are one.
    fn is_the_same(&self, look: Seen) -> bool {
        let since = look.at.plus_seconds(-ONE_LOOK_SECONDS);
        let before = self.looks.iter().rev().take_while(|one| one.at >= since);
        before
            .filter(|one| one.vantage == look.vantage)
            .take(1)
            .any(|one| one.state.kind() == look.state.kind())
    }

    fn remember(&mut self, look: Seen) {
        if self.looks.len() >= LOOKS_MAX {
            self.looks.remove(0);
            for test in [&mut self.blocked, &mut self.down, &mut self.impaired] {
                test.forget_oldest();
            }
        }
        self.looks.push(look);
    }

    /// What is the rule here; blocked where that is plain more often than not. A target that mostly failed of
    /// late, and not often enough for a rule, is neither: nothing can be said of it.
    pub fn state(&self) -> Reachability {
        let lately = &self.looks[self.looks.len().saturating_sub(LATELY)..];
        let ok = lately.iter().filter(|look| look.state == Reachability::Ok).count();
        let works = ok > 0 && 2 * ok >= lately.len();
        match () {
            () if self.blocked.is_rule() && self.plainly >= self.seemingly => Reachability::Blocked,
            () if self.blocked.is_rule() => Reachability::LikelyBlocked,
            () if self.down.is_rule() => Reachability::Down,
            () if self.impaired.is_rule() => Reachability::Impaired,
            () if works => Reachability::Ok,
            () => Reachability::Insufficient,
        }
    }

    /// The newest change to what is the rule; `None` where it always was.
    pub fn since(&self) -> Option<&Change> {
        self.changes.last().map(|(_, change)| change)
    }

    /// Changes, oldest first: what began or ended, and when.
    pub fn changes(&self) -> &[(Reachability, Change)] {
        &self.changes
    }

    /// Whether what is the rule was so from the first look on: nobody saw it begin.
    pub fn began_unseen(&self) -> bool {
        self.began_unseen
    }

    /// Whether too few vantage points, most often one alone, say that something changed.
    pub fn is_doubted(&self) -> bool {
        [&self.blocked, &self.down, &self.impaired].into_iter().any(Sequential::is_doubted)
    }

    /// The newest look that told anything.
    pub fn last_at(&self) -> Option<UtcTime> {
        self.looks.last().map(|look| look.at)
    }

    /// How many measurements said so.
    pub fn count(&self, state: Reachability) -> u32 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// How many measurements there were.
    pub fn measurements(&self) -> u32 {
        self.counts.values().sum()
    }

    /// How most of the looks that are remembered failed, of those since something became the rule.
    pub fn mechanism(&self) -> Option<Mechanism> {
        let since = self.since().filter(|change| change.begins).map(|change| change.bracket.likeliest);
        let looks = self.looks.iter().filter(|look| since.is_none_or(|since| look.at >= since));
        let mut counts: BTreeMap<Mechanism, u32> = BTreeMap::new();
        looks.filter_map(|look| look.how).for_each(|how| *counts.entry(how).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(how, count)| (*count, std::cmp::Reverse(*how)));
        most.map(|(how, _)| how)
    }

    /// Whether this is the rule: blocked, down or impaired.
    pub(super) fn is_rule(&self, what: Reachability) -> bool {
        match what.kind() {
            Reachability::Blocked => self.blocked.is_rule(),
            Reachability::Down => self.down.is_rule(),
            Reachability::Impaired => self.impaired.is_rule(),
            _ => false,
        }
    }

    /// When something last became the rule, or ceased to be.
    pub(super) fn newest(&self, what: Reachability, begins: bool) -> Option<&Change> {
        let known =
            self.changes.iter().rev().find(|(known, change)| *known == what && change.begins == begins);
        known.map(|(_, change)| change)
    }

    /// Vantage points that looked since a time; those that cannot be told apart are one.
    pub fn vantages_since(&self, since: UtcTime) -> usize {
        let looks = self.looks.iter().rev().take_while(|look| look.at >= since);
        looks.map(|look| look.vantage).collect::<BTreeSet<_>>().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> UtcTime {
        "2025-03-10T00:00:00Z".parse::<UtcTime>().expect("a time").plus_seconds(60 * minutes)
    }

    /// Looks by anybody, ending with the newest: what began or ended at each.
    fn told(cell: &mut Cell, looks: impl Iterator<Item = (i64, bool)>) -> Vec<Change> {
        let before = cell.changes().len();
        for (minutes, is_hit) in looks {
            let state = if is_hit { Reachability::Blocked } else { Reachability::Ok };
            cell.look(at(minutes), None, state, None);
        }
        cell.changes()[before..].iter().map(|(_, change)| *change).collect()
    }

    #[test]
    fn failures_that_become_the_rule_are_told_within_five_looks_with_their_beginning() {
        let mut cell = Cell::default();
        assert!(told(&mut cell, (0..48).map(|hour| (60 * hour, hour == 20))).is_empty());
        let begins = told(&mut cell, (48..60).map(|hour| (60 * hour, true)));
        let [change] = begins[..] else { panic!("{begins:?}") };
        assert!(change.begins && change.told_at <= at(60 * 52) && change.hits <= 5);
        assert!(!cell.began_unseen());
        // One look that got through does not say that it had not begun.
        assert_eq!(change.bracket.earliest, at(60 * 46));
        assert_eq!(change.bracket.likeliest, at(60 * 48));
        let ends = told(&mut cell, (60..80).map(|hour| (60 * hour, false)));
        let [change] = ends[..] else { panic!("{ends:?}") };
        assert!(!change.begins);
        assert_eq!((change.bracket.earliest, change.bracket.likeliest), (at(60 * 59), at(60 * 60)));
        assert_eq!(cell.state(), Reachability::Ok);
    }

    #[test]
    fn a_program_that_fails_on_twenty_pages_has_failed_once() {
        let mut cell = Cell::default();
        for second in 0..20 {
            cell.look(at(0).plus_seconds(second), Some(7), Reachability::Blocked, None);
        }
        assert_eq!((cell.looks.len(), cell.measurements()), (1, 20));
    }

    #[test]
    fn a_pause_after_the_first_failure_lies_after_the_beginning() {
        let mut cell = Cell::default();
        told(&mut cell, (0..30).map(|hour| (60 * hour, false)));
        // One failure, three days of nothing, and failures.
        let begins = told(&mut cell, [30, 102, 103, 104, 105].into_iter().map(|hour| (60 * hour, true)));
        let [change] = begins[..] else { panic!("{begins:?}") };
        assert_eq!((change.bracket.earliest, change.bracket.likeliest), (at(60 * 28), at(60 * 30)));
        assert_eq!((change.bracket.latest, change.hits), (at(60 * 30), 2));
    }

    #[test]
    fn a_cell_in_which_a_third_fails_is_no_change_every_day() {
        let mut cell = Cell::default();
        let told = told(&mut cell, (0..3000).map(|hour| (60 * hour, hour % 3 == 0)));
        assert!(told.len() <= 1, "{told:?}");
    }

    #[test]
    fn one_vantage_point_alone_changes_nothing() {
        for honest in [0, 1, 3] {
            let (mut cell, mut was_doubted) = (Cell::default(), false);
            for look in 0..400 {
                for vantage in 1..=honest {
                    cell.look(at(20 * look), Some(vantage), Reachability::Ok, None);
                }
                cell.look(at(20 * look), Some(99), Reachability::Blocked, None);
                was_doubted |= cell.is_doubted();
            }
            assert!(cell.changes().is_empty(), "{honest}: {:?}", cell.changes());
            assert!(was_doubted || honest > 0);
            let state = if honest <= 1 { Reachability::Insufficient } else { Reachability::Ok };
            assert_eq!(cell.state(), state, "{honest}");
        }
    }

    #[test]
    fn a_block_is_told_beside_one_who_lies_and_its_end_by_those_who_are_left() {
        let mut cell = Cell::default();
        let round = |cell: &mut Cell, look: i64, vantages: std::ops::RangeInclusive<u64>, state| {
            for vantage in vantages {
                cell.look(at(20 * look), Some(vantage), state, None);
            }
        };
        for look in 0..100 {
            round(&mut cell, look, 1..=4, Reachability::Ok);
            round(&mut cell, look, 99..=99, Reachability::Blocked);
        }
        for look in 100..110 {
            round(&mut cell, look, 1..=4, Reachability::Blocked);
            round(&mut cell, look, 99..=99, Reachability::Ok);
        }
        assert_eq!(cell.state(), Reachability::Blocked);
        let begun = cell.since().expect("a change").bracket;
        assert!(begun.earliest <= at(2000) && begun.latest >= at(2000), "{begun:?}");
        // One is left of them; after a day alone it is believed.
        for look in 110..300 {
            round(&mut cell, look, 1..=1, Reachability::Ok);
        }
        assert_eq!(cell.state(), Reachability::Ok, "{:?}", cell.changes());
        assert_eq!(cell.changes().len(), 2);
    }

    #[test]
    fn what_failed_from_the_first_look_on_began_unseen() {
        let mut cell = Cell::default();
        told(&mut cell, (0..20).map(|hour| (60 * hour, true)));
        assert!(cell.began_unseen() && cell.state() == Reachability::Blocked);
        told(&mut cell, (20..60).map(|hour| (60 * hour, hour >= 40)));
        assert!(!cell.began_unseen() && cell.changes().len() == 3, "{:?}", cell.changes());
    }

    #[test]
    fn a_block_that_only_seems_so_is_likely_and_ends() {
        let begin: UtcTime = "2025-03-10T00:00:00Z".parse().expect("a time");
        let mut cell = Cell::default();
        assert_eq!(cell.state(), Reachability::Insufficient);
        let mut hour = 0;
        let mut look = |cell: &mut Cell, state, how| {
            hour += 1;
            cell.look(begin.plus_seconds(3600 * hour), None, state, how);
        };
        look(&mut cell, Reachability::Blocked, Some(Mechanism::TlsReset));
        assert_eq!(cell.state(), Reachability::Insufficient);
        (0..40).for_each(|_| look(&mut cell, Reachability::Ok, None));
        assert_eq!(cell.state(), Reachability::Ok);
        let refused = Some(Mechanism::TcpIpBlock);
        (0..6).for_each(|_| look(&mut cell, Reachability::LikelyBlocked, refused));
        assert_eq!(cell.state(), Reachability::LikelyBlocked);
        assert_eq!(cell.mechanism(), refused);
        (0..8).for_each(|_| look(&mut cell, Reachability::Blocked, Some(Mechanism::TlsReset)));
        assert_eq!(cell.state(), Reachability::Blocked);
        (0..3).for_each(|_| look(&mut cell, Reachability::Insufficient, None));
        assert_eq!(cell.state(), Reachability::Blocked);
        (0..12).for_each(|_| look(&mut cell, Reachability::Ok, None));
        assert_eq!(cell.state(), Reachability::Ok);
        assert_eq!(cell.changes().len(), 2);
        assert_eq!(cell.measurements(), 1 + 40 + 6 + 8 + 3 + 12);
    }
}
