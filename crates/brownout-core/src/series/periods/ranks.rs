//! Where a statistic stands among those of the series' own past.
//!
//! Whatever the statistic is, if today's is drawn like those before it, it is among the r highest of
//! n + 1 with probability r / (n + 1) (conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic
//! learning in a random world", 2005). So a nominal rate of false alarms is kept on average without a
//! word about the distribution of counts: over-dispersed, under-dispersed, sparse. Odds hardly ever tie,
//! as they carry all days before, so nothing needs to be drawn by lot. Above the highest few ranks the
//! tail is taken to fall exponentially, which is a guess.
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
const TAIL_RANK: usize = 10;
/// ... by as much as it falls from this rank on, over which the few of one past outbreak may lie ...
const INNER_RANK: usize = 5;
/// ... of which the expected distance is so many e-folds: 1/5 + 1/6 + .. + 1/9 (Rényi's representation of
/// exponential order statistics).
const INNER_TO_TAIL: f64 = 0.745_634_920_634_920_6;
/// An e-fold is at least so much.
const EXCESS_MIN: f64 = 0.05;
/// The latest cycles are not compared with yet, so that a rise is not compared with itself.
const WAITING_CYCLES: usize = 4;
/// Of statistics over this, at which a rise is all but certain, so large a share of a season is compared
/// with at most: one outbreak of the past does not hide the next, but where such rises belong to every
/// season they are known.
const CERTAIN: f64 = 4.0;
const CERTAIN_SHARE: f64 = 0.01;

#[derive(Clone, Debug)]
pub(super) struct Ranks {
    past: VecDeque<f32>,
    /// The latest, oldest first, which are no part of it yet.
    waiting: VecDeque<f32>,
    waiting_max: usize,
    past_max: usize,
    needed: usize,
    /// Ones over [`CERTAIN`] that may still come in this season, and periods that are left of it.
    certain_left: usize,
    season_left: usize,
    season: usize,
}

impl Ranks {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        let season = rhythm.season();
        let needed = ((season as f64 * NEEDED) as usize).max(2 * TAIL_RANK);
        Ranks {
            past: VecDeque::new(),
            waiting: VecDeque::new(),
            waiting_max: WAITING_CYCLES * usize::from(rhythm.cycle),
            past_max: (SEASONS * season).max(needed),
            needed,
            certain_left: 0,
            season_left: 0,
            season,
        }
    }

    /// The share of periods that are as high as `statistic`; `None` while the past is short.
    pub(super) fn probability(&self, statistic: f64) -> Option<f64> {
        if self.past.len() < self.needed {
            return None;
        }
        let number = self.past.len() as f64 + 1.0;
        // How many are as high, and the nearest on both sides.
        let (mut higher, mut above, mut below) = (0, f64::INFINITY, f64::NEG_INFINITY);
        for past in self.past.iter().map(|past| f64::from(*past)) {
            if past >= statistic {
                higher += 1;
                above = above.min(past);
            } else {
                below = below.max(past);
            }
        }
        if higher >= TAIL_RANK {
            // Where it lies between its neighbours says where between their ranks it belongs: a rank that
            // is always rounded up would keep less than the nominal rate.
            let part = if below.is_finite() { (above - statistic) / (above - below) } else { 1.0 };
            return Some((higher as f64 + part) / number);
        }
        let (from, excess) = self.tail();
        let tail = (statistic - from) / excess.max(EXCESS_MIN);
        Some(TAIL_RANK as f64 / number * exp(-tail.max(0.0)))
    }

    /// The statistic of rank [`TAIL_RANK`], and how far the exponential tail above it falls e-fold.
    fn tail(&self) -> (f64, f64) {
        let (mut highest, mut filled) = ([f64::NEG_INFINITY; TAIL_RANK], 0);
        for past in self.past.iter().map(|past| f64::from(*past)) {
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

    /// Forgets all but the latest, as forecasts have just become better.
    pub(super) fn doubt(&mut self) {
        let old = self.past.len().saturating_sub(self.needed);
        self.past.drain(..old);
    }

    /// Adds the statistic of a period.
    pub(super) fn add(&mut self, statistic: f64) {
        if self.season_left == 0 {
            self.season_left = self.season;
            self.certain_left = (self.season as f64 * CERTAIN_SHARE) as usize + 1;
        }
        self.season_left -= 1;
        if statistic > CERTAIN {
            if self.certain_left == 0 {
                return;
            }
            self.certain_left -= 1;
        }
        self.waiting.push_back(statistic as f32);
        if self.waiting.len() <= self.waiting_max {
            return;
        }
        self.past.extend(self.waiting.pop_front());
        if self.past.len() > self.past_max {
            self.past.pop_front();
        }
    }
}
