//! Sums by time of the season, over past seasons: what was so at this time of the year before.

use super::Rhythm;

/// Cycles before and after the present one whose past counts as that of the same time, with less weight
/// the further off.
const AROUND: usize = 3;
/// What a season keeps when the next comes.
const KEPT: f32 = 0.7;

/// `N` sums for each cycle of the season.
#[derive(Clone, Debug)]
pub(super) struct Seasonal<const N: usize> {
    past: Vec<[f32; N]>,
    running: [f32; N],
    /// The running cycle's place in the season.
    at: usize,
    /// What the past says of the running cycle.
    sums: [f64; N],
}

impl<const N: usize> Seasonal<N> {
    pub(super) fn new(rhythm: Rhythm) -> Self {
        Seasonal {
            past: vec![[0.0; N]; usize::from(rhythm.cycles_per_season)],
            running: [0.0; N],
            at: 0,
            sums: [0.0; N],
        }
    }

    /// Forgets all past seasons.
    pub(super) fn forget(&mut self) {
        self.past.fill([0.0; N]);
        self.sums = [0.0; N];
    }

    /// Adds values of the running cycle.
    pub(super) fn add(&mut self, values: [f64; N], weight: f64) {
        for (sum, value) in self.running.iter_mut().zip(values) {
            *sum += (weight * value) as f32;
        }
    }

    /// Sums of past seasons around this time: a weighted average of cycles, the last season at half.
    pub(super) fn sums(&self) -> [f64; N] {
        self.sums
    }

    /// Ends the running cycle.
    pub(super) fn close_cycle(&mut self) {
        let running = std::mem::replace(&mut self.running, [0.0; N]);
        for (past, value) in self.past[self.at].iter_mut().zip(running) {
            *past = KEPT * *past + value;
        }
        let number = self.past.len();
        self.at = (self.at + 1) % number;
        self.sums = [0.0; N];
        // What has just passed is known better elsewhere; only cycles of past seasons are looked at.
        for offset in 0..=AROUND.min(number - 1) {
            let weight = 1.0 - offset as f64 / (AROUND as f64 + 1.0);
            for (sum, past) in self.sums.iter_mut().zip(self.past[(self.at + offset) % number]) {
                *sum += weight * f64::from(past);
            }
        }
    }
}
