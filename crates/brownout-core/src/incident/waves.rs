//! Bursts within an incident: peaks that are parted by a fall.

use libm::sqrt;
use serde::{Deserialize, Serialize};

use crate::model::Minute;
use crate::snapshot::Wave;

/// A burst has passed when the count fell to this share of its peak, and a new one begins when it
/// rose again by as much.
const FALL_SHARE: f64 = 0.85;
/// A rise or fall must also be this many standard deviations of a Poisson count.
const FALL_DEVIATIONS: f64 = 4.0;
/// Most waves that are kept; later ones extend the last.
const WAVES_MAX: usize = 200;

/// Follows the trailing 15-minute count, minute by minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waves {
    list: Vec<Wave>,
    /// Below the last wave's peak: the lowest count since, and its minute.
    trough: Option<(u32, Minute)>,
}

impl Waves {
    /// The waves so far, oldest first; the last may be running.
    pub fn list(&self) -> &[Wave] {
        &self.list
    }

    /// Takes the count of the 15 minutes up to the start of `minute`. Returns a wave whose peak
    /// has just been passed.
    pub fn follow(&mut self, minute: Minute, count: u32) -> Option<Wave> {
        let full = self.list.len() >= WAVES_MAX;
        let Some(last) = self.list.last_mut() else {
            self.list.push(Wave { start: minute, peak_at: minute, peak: count, end: None });
            return None;
        };
        let Some((lowest, lowest_at)) = self.trough else {
            if count > last.peak {
                (last.peak, last.peak_at) = (count, minute);
            } else if fell(last.peak, count) {
                self.trough = Some((count, minute));
                return Some(*last);
            }
            return None;
        };
        if count <= lowest {
            self.trough = Some((count, minute));
        } else if fell(count, lowest) && !full {
            last.end = Some(lowest_at);
            self.trough = None;
            self.list.push(Wave { start: lowest_at, peak_at: minute, peak: count, end: None });
        }
        None
    }

    /// The counts are usual again.
    pub fn end(&mut self, minute: Minute) -> Option<Wave> {
        let passed = self.trough.is_none();
        let last = self.list.last_mut()?;
        if last.end.is_none() {
            last.end = Some(minute);
        }
        self.trough.get_or_insert((0, minute));
        passed.then_some(*last)
    }
}

fn fell(from: u32, to: u32) -> bool {
    let (from, to) = (f64::from(from), f64::from(to));
    to <= FALL_SHARE * from && from - to >= FALL_DEVIATIONS * sqrt(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waves(counts: &[u32]) -> Vec<u32> {
        let mut waves = Waves::default();
        for (minute, count) in counts.iter().enumerate() {
            waves.follow(Minute(minute as u32), *count);
        }
        waves.list().iter().map(|wave| wave.peak).collect()
    }

    #[test]
    fn peaks_parted_by_a_fall_are_waves() {
        assert_eq!(
            waves(&[400, 20_538, 4000, 900, 8000, 40_000, 6000, 33_000, 21_000, 26_579, 3000]),
            [20_538, 40_000, 33_000, 26_579]
        );
    }

    #[test]
    fn noise_is_not_a_wave() {
        assert_eq!(waves(&[65, 60, 66, 58, 64, 55, 60]), [66]);
        assert_eq!(waves(&[1000, 1010, 990, 1020, 985]), [1020]);
    }
}
