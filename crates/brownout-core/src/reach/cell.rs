//! One target at one place over time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sequential::{Change, Look, Sequential};
use super::{Mechanism, Reachability};
use crate::model::UtcTime;

/// What measurements of one target from one network of one country say, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    blocked: Sequential,
    down: Sequential,
    impaired: Sequential,
    counts: BTreeMap<Reachability, u32>,
    mechanisms: BTreeMap<Mechanism, u32>,
    /// How often it was plainly blocked and how often that only seemed so, since blocking became the rule.
    plainly: u32,
    seemingly: u32,
    /// The newest changes, oldest first.
    changes: Vec<(Reachability, Change)>,
    /// What the newest looks that tell anything said, oldest first.
    lately: Vec<Reachability>,
}

/// Looks by which it is told that something works.
const LATELY: usize = 5;
/// Changes that are remembered.
const CHANGES_MAX: usize = 32;

impl Cell {
    /// Takes what a measurement says; they come in the order of their times. `vantage` tells who measured apart
    /// from others.
    pub fn look(&mut self, at: UtcTime, vantage: Option<u64>, state: Reachability, how: Option<Mechanism>) {
        *self.counts.entry(state).or_default() += 1;
        if let Some(how) = how {
            *self.mechanisms.entry(how).or_default() += 1;
        }
        if state == Reachability::Insufficient {
            return;
        }
        if self.lately.len() >= LATELY {
            self.lately.remove(0);
        }
        self.lately.push(state);
        match state {
            Reachability::Blocked => self.plainly += 1,
            Reachability::LikelyBlocked => self.seemingly += 1,
            _ => {}
        }
        let is_blocked = matches!(state, Reachability::Blocked | Reachability::LikelyBlocked);
        let look = |is_hit| Look { at, vantage, is_hit };
        let told = [
            (Reachability::Blocked, self.blocked.look(look(is_blocked))),
            (Reachability::Down, self.down.look(look(state == Reachability::Down))),
            (Reachability::Impaired, self.impaired.look(look(state == Reachability::Impaired))),
        ];
        for (what, change) in told {
            let Some(change) = change else { continue };
            if what == Reachability::Blocked && !change.begins {
                (self.plainly, self.seemingly) = (0, 0);
            }
            if self.changes.len() >= CHANGES_MAX {
                self.changes.remove(0);
            }
            self.changes.push((what, change));
        }
        if !self.blocked.is_rule() && !is_blocked {
            (self.plainly, self.seemingly) = (0, 0);
        }
    }

    /// What is the rule here; blocked where that is plain more often than not. A target that mostly failed of
    /// late, and not often enough for a rule, is neither: nothing can be said of it.
    pub fn state(&self) -> Reachability {
        let ok = self.lately.iter().filter(|state| **state == Reachability::Ok).count();
        let works = ok > 0 && 2 * ok >= self.lately.len();
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

    /// How many measurements said so.
    pub fn count(&self, state: Reachability) -> u32 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// How many measurements there were.
    pub fn measurements(&self) -> u32 {
        self.counts.values().sum()
    }

    /// The mechanism that was seen most.
    pub fn mechanism(&self) -> Option<Mechanism> {
        let most = self.mechanisms.iter().max_by_key(|(how, count)| (**count, std::cmp::Reverse(**how)));
        most.map(|(how, _)| *how)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
