//! Where a statistic stands among those of the series' own past.
//!
//! Whatever the statistic is, if today's is drawn like those before it, it is among the r highest of
//! n + 1 with probability r / (n + 1) (conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic
//! learning in a random world", 2005). So a nominal rate of false alarms is kept on average without a
//! word about the distribution of counts: over-dispersed, under-dispersed, sparse. Odds hardly ever tie,
//! as they carry all days before, so nothing needs to be drawn by lot. Above the highest few ranks the
//! tail is taken to fall exponentially, which is a guess.
//!
//! Days of one rise are high together, and then a day that is drawn like those before it brings its own
//! company: under exchangeable blocks the tested block counts among those that it is compared with
//! (Chernozhukov, Wüthrich, Zhu, "Exact and robust conformal inference methods for predictive machine
//! learning with dependent data", 2018). So to the r - 1 that are as high, and the day itself, are added
//! those of its own rise: as many as the highest of the past have had around them on average.
//!
//! It is kept on average over years, not in each: a season that differs from the last three, in which
//! an epidemic is twice as large, has its own share of false alarms.

use std::collections::VecDeque;

use libm::exp;

use super::Rhythm;

/// The past that is compared with, in seasons.
const SEASONS: usize = 3;
/// Past that is needed before anything is said, as a share of a season.
const NEEDED: f64 = 0.25;
/// Above the statistic of this rank the tail is taken to fall exponentially ...
const TAIL_RANK: usize = 7;
/// ... by as much as it falls from this rank on, over which those of one past rise may lie ...
const INNER_RANK: usize = 4;
/// ... of which the expected distance is so many e-folds: 1/4 + 1/5 + 1/6 (Rényi's representation of
/// exponential order statistics).
const INNER_TO_TAIL: f64 = 0.616_666_666_666_666_7;
/// An e-fold is at least so much.
const EXCESS_MIN: f64 = 0.05;
/// The share of the past of which the company is looked at: where rates lie that are promised.
const COMPANY_SHARE: f64 = 0.01;
/// The latest cycles are not compared with yet, so that a rise is not compared with itself.
const WAITING_CYCLES: usize = 4;
/// Over this a rise is all but certain. Of such statistics only the latest few are compared with while all
/// are of one season: one outbreak of the past does not hide the next. Where they come in several seasons
/// they are part of what this series does.
const CERTAIN: f64 = 4.0;
const CERTAIN_OF_ONE_SEASON: usize = INNER_RANK - 1;
/// So many are kept at most, as a share of the past.
const CERTAIN_SHARE: f64 = 0.1;

#[derive(Clone, Debug)]
pub(super) struct Ranks {
    past: VecDeque<f32>,
    /// The same from low to high.
    sorted: Vec<f32>,
    past_max: usize,
    needed: usize,
    /// Those over [`CERTAIN`], with the number of their season.
    certain: VecDeque<(u64, f32)>,
    certain_max: usize,
    /// How many within a cycle of one of the highest of the past are as high, on average.
    company: f64,
    cycle: usize,
    /// The latest, oldest first, which are no part of either yet.
    waiting: VecDeque<f32>,
    waiting_max: usize,
    /// Periods that were added, and the length of a season.
    added: u64,
    season: u64,
}

impl Ranks {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        let season = rhythm.season();
        let needed = ((season as f64 * NEEDED) as usize).max(2 * TAIL_RANK);
        let past_max = (SEASONS * season).max(needed);
        Ranks {
            past: VecDeque::new(),
            sorted: Vec::new(),
            past_max,
            needed,
            certain: VecDeque::new(),
            certain_max: (past_max as f64 * CERTAIN_SHARE) as usize,
            company: 0.0,
            cycle: usize::from(rhythm.cycle),
            waiting: VecDeque::new(),
            waiting_max: WAITING_CYCLES * usize::from(rhythm.cycle),
            added: 0,
            season: season as u64,
        }
    }

    /// The share of periods that are as high as `statistic`; `None` while the past is short.
    pub(super) fn probability(&self, statistic: f64) -> Option<f64> {
        if self.past.len() < self.needed {
            return None;
        }
        // How many are as high, of how many, and the nearest on both sides.
        let lower = self.sorted.partition_point(|past| f64::from(*past) < statistic);
        let mut higher = self.sorted.len() - lower;
        let nearest = |at: Option<usize>| at.and_then(|at| self.sorted.get(at)).copied().map(f64::from);
        let mut below = nearest(lower.checked_sub(1)).unwrap_or(f64::NEG_INFINITY);
        let mut above = nearest(Some(lower)).unwrap_or(f64::INFINITY);
        // The period itself and its company are among those that it is compared with.
        let mut number = self.sorted.len() as f64 + 1.0 + self.company;
        for certain in self.certain_compared() {
            number += 1.0;
            if certain >= statistic {
                higher += 1;
                above = above.min(certain);
            } else {
                below = below.max(certain);
            }
        }
        if higher >= TAIL_RANK {
            // Where it lies between its neighbours says where between their ranks it belongs: a rank that
            // is always rounded up would keep less than the nominal rate.
            let part = if below.is_finite() { (above - statistic) / (above - below) } else { 1.0 };
            return Some((higher as f64 + part + self.company) / number);
        }
        let (from, excess) = self.tail();
        let tail = (statistic - from) / excess.max(EXCESS_MIN);
        Some((TAIL_RANK as f64 + self.company) / number * exp(-tail.max(0.0)))
    }

    /// Those of the certain that count.
    fn certain_compared(&self) -> impl Iterator<Item = f64> {
        let first = self.certain.front().map(|(season, _)| season);
        let last = self.certain.back().map(|(season, _)| season);
        let counted = if first == last { CERTAIN_OF_ONE_SEASON } else { self.certain.len() };
        self.certain.iter().rev().take(counted).map(|(_, statistic)| f64::from(*statistic))
    }

    /// The statistic of rank [`TAIL_RANK`], and how far the exponential tail above it falls e-fold.
    fn tail(&self) -> (f64, f64) {
        let (mut highest, mut filled) = ([f64::NEG_INFINITY; TAIL_RANK], 0);
        let ordinary = self.sorted.iter().rev().take(TAIL_RANK).map(|past| f64::from(*past));
        for past in ordinary.chain(self.certain_compared()) {
            if filled < TAIL_RANK || past > highest[TAIL_RANK - 1] {
                let at = highest[..filled].partition_point(|other| *other >= past);
                filled = (filled + 1).min(TAIL_RANK);
                highest[at..filled].rotate_right(1);
                highest[at] = past;
            }
        }
        let from = highest[TAIL_RANK - 1];
        (from, (highest[INNER_RANK - 1] - from) / INNER_TO_TAIL)
    }

    /// How many within a cycle of one of the highest are as high as it, on average and beyond chance.
    fn company_of_highest(&self) -> f64 {
        let highest = (self.past.len() as f64 * COMPANY_SHARE) as usize;
        let Some(from) = self.sorted.len().checked_sub(highest).and_then(|at| self.sorted.get(at)) else {
            return 0.0;
        };
        let places: Vec<usize> = (0..self.past.len()).filter(|at| self.past[*at] >= *from).collect();
        let mut others = 0;
        for at in &places {
            let near = places.iter().filter(|other| other.abs_diff(*at) <= self.cycle && *other != at);
            others += near.filter(|other| self.past[**other] >= self.past[*at]).count();
        }
        // The r-th highest has r - 1 as high, anywhere.
        let number = places.len() as f64;
        let by_chance = (number - 1.0) / 2.0 * (2 * self.cycle) as f64 / self.past.len() as f64;
        (others as f64 / number - by_chance).max(0.0)
    }

    /// Forgets all but the latest, as forecasts have just become better.
    pub(super) fn doubt(&mut self) {
        let old = self.past.len().saturating_sub(self.needed);
        self.past.drain(..old);
        self.sorted = self.past.iter().copied().collect();
        self.sorted.sort_unstable_by(f32::total_cmp);
        self.certain.clear();
    }

    /// Adds the statistic of a period.
    pub(super) fn add(&mut self, statistic: f64) {
        self.added += 1;
        self.waiting.push_back(statistic as f32);
        if self.waiting.len() <= self.waiting_max {
            return;
        }
        let season = self.added / self.season;
        match self.waiting.pop_front() {
            Some(statistic) if f64::from(statistic) > CERTAIN => self.certain.push_back((season, statistic)),
            Some(statistic) => {
                self.past.push_back(statistic);
                self.sorted.insert(self.sorted.partition_point(|other| *other < statistic), statistic);
            }
            None => {}
        }
        if self.past.len() > self.past_max
            && let Some(oldest) = self.past.pop_front()
        {
            self.sorted.remove(self.sorted.partition_point(|other| *other < oldest));
        }
        if self.added.is_multiple_of(self.cycle as u64) {
            self.company = self.company_of_highest();
        }
        let is_old = |(of, _): &(u64, f32)| of + SEASONS as u64 <= season;
        if self.certain.len() > self.certain_max || self.certain.front().is_some_and(is_old) {
            self.certain.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A past of whole numbers from 0 to 999 over 100, in an order that mixes them.
    fn mixed() -> Ranks {
        let mut ranks = Ranks::new(Rhythm::DAYS);
        for place in 0..1028_u32 {
            ranks.add(f64::from(place * 617 % 1000) / 1000.0 - 3.0);
        }
        ranks
    }

    #[test]
    fn the_probability_is_the_share_of_the_past_that_is_as_high() {
        let ranks = mixed();
        for share in [0.5, 0.1, 0.02, 0.01] {
            let probability = ranks.probability(-2.0 - share).unwrap();
            assert!((probability - share).abs() < 0.002, "{share}: {probability}");
        }
        // Beyond the past it falls on.
        let beyond = [-1.99, -1.9, 0.0].map(|statistic| ranks.probability(statistic).unwrap());
        assert!(beyond[0] < 0.01 && beyond[1] < beyond[0] && beyond[2] < beyond[1], "{beyond:?}");
    }

    #[test]
    fn rises_are_compared_with_where_they_come_again() {
        let add = |ranks: &mut Ranks, statistic: f64, number: u32| {
            (0..number).for_each(|_| ranks.add(statistic));
        };
        let mut ranks = mixed();
        add(&mut ranks, 9.0, 12);
        add(&mut ranks, -3.5, 60);
        let once = ranks.probability(6.0).unwrap();
        assert!(once < 0.005, "{once}");
        add(&mut ranks, -3.5, 320);
        add(&mut ranks, 9.0, 12);
        add(&mut ranks, -3.5, 60);
        let again = ranks.probability(6.0).unwrap();
        assert!(again > 0.02, "{again}");
    }

    #[test]
    fn what_is_high_together_counts_as_one() {
        // One in eighty is high, alone or four of them in a row; nothing else is different.
        let of = |together: u32| {
            let mut ranks = Ranks::new(Rhythm::DAYS);
            for place in 0..1120_u32 {
                let is_high = place % (80 * together) < together;
                let low = f64::from(place * 617 % 1000) / 1000.0;
                ranks.add(if is_high { low - 1.0 } else { low - 4.0 });
            }
            ranks
        };
        let (alone, rows) = (of(1), of(4));
        assert!(alone.company < 0.2, "{}", alone.company);
        // Of the highest, about three lie in each row, of which each has one that is higher on average.
        assert!((0.5..1.5).contains(&rows.company), "{}", rows.company);
        assert!(rows.probability(-1.0) > alone.probability(-1.0));
    }
}
