//! Where a statistic stands among those of the series' own past.
//!
//! Whatever the statistic is, if today's is drawn like those before it, it is among the r highest of
//! n + 1 with probability r / (n + 1) (conformal prediction: Vovk, Gammerman, Shafer, "Algorithmic
//! learning in a random world", 2005). So a nominal rate of false alarms is kept on average without a
//! word about the distribution of counts: over-dispersed, under-dispersed, sparse.

use std::collections::VecDeque;

use libm::exp;

use super::Rhythm;

/// The past that is compared with, in seasons.
const SEASONS: usize = 3;
/// Past that is needed before anything is said, as a share of a season.
const NEEDED: f64 = 0.25;
/// Above the statistic of this rank the tail is taken to fall exponentially.
const TAIL_RANK: usize = 10;
/// Of statistics over this, at which a rise is all but certain, so large a share of a season is compared
/// with at most: one outbreak of the past does not hide the next, but where such rises belong to every
/// season they are known.
const CERTAIN: f64 = 4.0;
const CERTAIN_SHARE: f64 = 0.01;

#[derive(Clone, Debug)]
pub(super) struct Ranks {
    past: VecDeque<f32>,
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
        let higher = self.past.iter().filter(|past| f64::from(**past) >= statistic).count();
        if higher >= TAIL_RANK {
            return Some((higher as f64 + 1.0) / number);
        }
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
        let excess = highest.iter().map(|past| past - from).sum::<f64>() / (TAIL_RANK - 1) as f64;
        let tail = (statistic - from) / excess.max(EXCESS_MIN);
        Some((TAIL_RANK as f64 + 1.0) / number * exp(-tail.max(0.0)))
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
        self.past.push_back(statistic as f32);
        if self.past.len() > self.past_max {
            self.past.pop_front();
        }
    }
}

/// Mean excess of the tail is at least this.
const EXCESS_MIN: f64 = 0.05;
