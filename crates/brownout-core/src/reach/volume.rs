//! How many measurements come at all: a country that is cut off sends none, and silence is no calm.

use libm::{exp, log, log1p};
use serde::{Deserialize, Serialize};

use super::sequential::Bracket;
use crate::model::UtcTime;

/// A pause in which too little came to be luck.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// The last look before it.
    pub from: UtcTime,
    /// When it was told.
    pub told_at: UtcTime,
    /// How many looks were due by then.
    pub due: f64,
}

impl Gap {
    /// When it ended, by the first look after it.
    pub fn end(self, first_after: UtcTime) -> Bracket {
        Bracket { earliest: self.from, likeliest: first_after, latest: first_after }
    }
}

/// The rate at which looks come to a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Looks and the hours in which they came, both fading.
    looks: f64,
    hours: f64,
    last: Option<UtcTime>,
    /// The longest pauses of the last weeks that were no gap, in looks that were due, by day.
    pauses: [f32; PAUSE_DAYS],
    day: i64,
    told: bool,
    /// Pauses that were no gap, and the sum of their squares in looks that were due, both fading.
    regular: (f64, f64),
}

const PAUSE_DAYS: usize = 28;
/// Half-life of the rate, in hours: volunteers come and go within days, and when something happens more come.
const HALF_LIFE_HOURS: f64 = 24.0;
/// Noise of the rate before it is known, by the mean square of pauses in looks that are due: pauses between
/// Poisson events have 2, of a rate with Gamma noise of size k they have 2(k - 1)/(k - 2). 2.5 is size 6, the
/// default of crowd reports. Probes on a schedule are more regular than chance.
const SQUARE: f64 = 2.5;
/// Pauses that this is worth, and what a pause keeps of its weight after one more.
const SQUARE_PAUSES: f64 = 20.0;
const SQUARE_KEEP: f64 = 0.99;
/// Size of the noise, at least and at most.
const SIZE: std::ops::RangeInclusive<f64> = 2.5..=50.0;
/// A pause that is likelier than this is luck.
const LUCK_MAX: f64 = 5e-5;
/// In a gap so many times as many looks are due as in any pause of the last weeks.
const TIMES_LONGEST: f64 = 1.5;
/// Looks that must have come before a pause means anything.
const LOOKS_MIN: f64 = 5.0;
/// Looks within so many seconds are one: a program that tests a hundred pages has come once.
const ONE_LOOK_SECONDS: i64 = 900;

impl Volume {
    /// Takes a look; they come in the order of their times. Tells if it ends a gap that was told.
    pub fn look(&mut self, at: UtcTime) -> bool {
        let Some(last) = self.last else {
            self.last = Some(at);
            self.looks = 1.0;
            return false;
        };
        if at.seconds() - last.seconds() < ONE_LOOK_SECONDS {
            return false;
        }
        let hours = (at.seconds() - last.seconds()) as f64 / 3600.0;
        let was_told = std::mem::take(&mut self.told);
        if !was_told {
            // What was a gap says nothing of how often looks come.
            let due = self.per_hour() * hours;
            self.note_pause(at, due);
            if self.looks >= LOOKS_MIN {
                let (count, squares) = self.regular;
                self.regular = (count * SQUARE_KEEP + 1.0, squares * SQUARE_KEEP + due * due);
            }
            let keep = exp(-log(2.0) * hours / HALF_LIFE_HOURS);
            self.looks = self.looks * keep + 1.0;
            self.hours = self.hours * keep + (1.0 - keep) * HALF_LIFE_HOURS / log(2.0);
        }
        self.last = Some(at);
        was_told
    }

    /// Looks an hour that are usual.
    pub fn per_hour(&self) -> f64 {
        if self.hours > 0.0 { self.looks / self.hours } else { 0.0 }
    }

    /// Comes to an instant. Tells once if too little came up to it since the last look.
    pub fn pass(&mut self, at: UtcTime) -> Option<Gap> {
        let last = self.last.filter(|_| !self.told)?;
        let hours = (at.seconds() - last.seconds()) as f64 / 3600.0;
        let due = self.per_hour() * hours;
        let longest = self.pauses.iter().copied().fold(0.0, f32::max);
        if self.looks < LOOKS_MIN || due <= TIMES_LONGEST * f64::from(longest) {
            return None;
        }
        // The chance that none comes of so many under Gamma-Poisson noise.
        let size = self.size();
        if exp(-size * log1p(due / size)) > LUCK_MAX {
            return None;
        }
        self.told = true;
        Some(Gap { from: last, told_at: at, due })
    }

    /// Size of the noise of the rate, by how regular the pauses are.
    fn size(&self) -> f64 {
        let (count, squares) = self.regular;
        let square = (SQUARE * SQUARE_PAUSES + squares) / (SQUARE_PAUSES + count);
        let size = if square > 2.0 { 2.0 * (square - 1.0) / (square - 2.0) } else { f64::INFINITY };
        size.clamp(*SIZE.start(), *SIZE.end())
    }

    fn note_pause(&mut self, at: UtcTime, due: f64) {
        let day = at.seconds().div_euclid(86_400);
        for day in (self.day.max(day - PAUSE_DAYS as i64) + 1)..=day {
            self.pauses[day.rem_euclid(PAUSE_DAYS as i64) as usize] = 0.0;
        }
        self.day = self.day.max(day);
        let slot = &mut self.pauses[day.rem_euclid(PAUSE_DAYS as i64) as usize];
        *slot = slot.max(due as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: f64) -> UtcTime {
        "2025-03-10T00:00:00Z".parse::<UtcTime>().expect("a time").plus_seconds((hours * 3600.0) as i64)
    }

    #[test]
    fn a_busy_place_that_falls_silent_is_told_and_a_rare_one_is_not() {
        let (mut busy, mut rare) = (Volume::default(), Volume::default());
        for step in 0..60 {
            busy.look(at(f64::from(step) * 2.0));
        }
        for step in 0..6 {
            rare.look(at(f64::from(step) * 24.0));
        }
        let told = (120..240).find_map(|hour| busy.pass(at(f64::from(hour)))).expect("a gap");
        assert!(told.from == at(118.0) && (10.0..20.0).contains(&told.due), "{told:?}");
        assert!((120..240).all(|hour| rare.pass(at(f64::from(hour))).is_none()));
        assert!(busy.look(at(300.0)) && !busy.look(at(302.0)));
    }

    #[test]
    fn volunteers_who_come_in_bursts_may_be_silent_for_longer_than_a_schedule() {
        let (mut volunteers, mut schedule) = (Volume::default(), Volume::default());
        for day in 0..20 {
            for look in 0..8 {
                volunteers.look(at(f64::from(day * 24) + f64::from(look) * 0.5));
                schedule.look(at(f64::from(day * 24 + look * 3)));
            }
        }
        assert!(volunteers.size() < schedule.size());
        let silent = |volume: &mut Volume| {
            let last = volume.last.expect("a look");
            (1..400).find(|hour| volume.pass(last.plus_seconds(3600 * hour)).is_some()).expect("a gap")
        };
        let (volunteers, schedule) = (silent(&mut volunteers), silent(&mut schedule));
        assert!(schedule < 40 && volunteers > schedule + 12, "{volunteers} {schedule}");
    }
}
