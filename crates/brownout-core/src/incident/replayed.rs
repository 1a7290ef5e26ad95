//! Whether a rise is an earlier one played again.
//!
//! Two rises of one service may look alike: the same cities, the same kinds, the same course. What they
//! never share is chance: by how much the part of a kind, city or network in one minute's sources
//! differs from its part in the minutes beside it. These differences are compared.

use libm::{atanh, sqrt};
use serde::{Deserialize, Serialize};

use super::distrust::{Cause, Doubt, Rarity};
use crate::model::{Facet, Minute};

/// Longest course that is kept, in minutes.
pub(crate) const COURSE_MINUTES: usize = 40;
/// Most parts of a course of one sort.
pub(crate) const PARTS_MAX: usize = 10;
/// Minutes by which the beginnings of the two may have been told differently.
const SHIFT_MAX: i32 = 5;
/// Fewest sources of a minute that says anything.
const SOURCES_MIN: f64 = 5.0;
/// Fewest differences that are compared.
const DIFFERENCES_MIN: f64 = 30.0;
/// How many independent pairs a pair of differences is worth. Differences with both neighbours have
/// correlations of -2/3 and 1/6 with those of the next minutes, so that products of two such rows vary
/// 1.9 times as much; and the parts of a minute add up to one.
const WORTH: f64 = 0.4;

/// What is played again is seldom in step with the minute, which leaves 0.2 to 1 of the correlation: from
/// half on, all of it may be a copy.
const COPIED: f64 = 2.0;

/// Sources per minute of one kind, city or network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Which.
    pub(crate) facet: Facet,
    /// Hundredths of sources, from the first minute of the course on.
    pub(crate) minutes: Vec<u32>,
}

/// How a rise went on, minute by minute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Course {
    /// Its first minute.
    pub(crate) begin: Minute,
    /// All of one sort beside each other, each as long as the others.
    pub(crate) parts: Vec<Part>,
}

/// Compares a rise with earlier ones. `sources` are those of its last hour.
pub(crate) fn replayed(now: &Course, earlier: &[Course], sources: f64, rarity: Rarity) -> Option<Doubt> {
    let shifts = 2 * SHIFT_MAX as usize + 1;
    let rarity = rarity.shared_by(shifts * earlier.len());
    let compared = earlier.iter().filter_map(|before| {
        let likest = (-SHIFT_MAX..=SHIFT_MAX).filter_map(|shift| likeness(now, before, shift));
        let likest = likest.max_by(|a, b| a.deviations.total_cmp(&b.deviations))?;
        (likest.deviations > rarity.deviations()).then_some((before.begin, likest.correlation))
    });
    let (at, correlation) = compared.max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(Doubt {
        cause: Cause::Replayed { at },
        doubtful: libm::round(sources * (COPIED * correlation).min(1.0)) as u32,
        sources: libm::round(sources) as u32,
    })
}

struct Likeness {
    correlation: f64,
    /// By Fisher's transformation, in standard deviations.
    deviations: f64,
}

fn likeness(now: &Course, before: &Course, shift: i32) -> Option<Likeness> {
    let (mut count, mut both, mut own, mut other) = (0.0, 0.0, 0.0, 0.0);
    let sort = |part: &Part| std::mem::discriminant(&part.facet);
    for parts in now.parts.chunk_by(|a, b| sort(a) == sort(b)) {
        let pairs: Vec<(&Part, &Part)> = parts
            .iter()
            .filter_map(|part| Some((part, before.parts.iter().find(|known| known.facet == part.facet)?)))
            .collect();
        let these: Vec<&Part> = pairs.iter().map(|(part, _)| *part).collect();
        let those: Vec<&Part> = pairs.iter().map(|(_, part)| *part).collect();
        for minute in 0..parts.first().map_or(0, |part| part.minutes.len()) {
            let Some(then) = minute.checked_add_signed(shift as isize) else { continue };
            let (Some(here), Some(there)) = (Around::of(&these, minute), Around::of(&those, then)) else {
                continue;
            };
            for (part, known) in &pairs {
                let found = (here.difference(part, minute), there.difference(known, then));
                let (Some(a), Some(b)) = found else { continue };
                count += 1.0;
                both += a * b;
                own += a * a;
                other += b * b;
            }
        }
    }
    if count < DIFFERENCES_MIN || own <= 0.0 || other <= 0.0 {
        return None;
    }
    // Rows that vary less than chance makes them are no more alike for that.
    let correlation = both / sqrt(own.max(count) * other.max(count));
    let deviations = atanh(correlation.min(0.999)) * sqrt((count * WORTH - 3.0).max(0.0));
    Some(Likeness { correlation, deviations })
}

/// Sources of a minute and of the two beside it, of all parts of one sort.
struct Around {
    here: f64,
    beside: f64,
}

impl Around {
    /// Only where the three are about the same: when a rise begins its mix changes with it, which two
    /// honest ones may have in common.
    fn of(parts: &[&Part], minute: usize) -> Option<Around> {
        let total = |minute: usize| -> Option<f64> {
            let counts = parts.iter().map(|part| part.minutes.get(minute).copied());
            counts.sum::<Option<u32>>().map(|sum| f64::from(sum) / 100.0)
        };
        let (before, here, after) = (total(minute.checked_sub(1)?)?, total(minute)?, total(minute + 1)?);
        let is_steady = |other: f64| other >= SOURCES_MIN && other <= 2.0 * here && here <= 2.0 * other;
        (here >= SOURCES_MIN && is_steady(before) && is_steady(after))
            .then_some(Around { here, beside: before + after })
    }

    /// By how much a part differs from what it was beside, in standard deviations.
    fn difference(&self, part: &Part, minute: usize) -> Option<f64> {
        let at = |minute: usize| part.minutes.get(minute).map(|count| f64::from(*count) / 100.0);
        let (here, beside) = (at(minute)?, at(minute.checked_sub(1)?)? + at(minute + 1)?);
        let share = (here + beside) / (self.here + self.beside);
        let variance = share * (1.0 - share) * (1.0 / self.here + 1.0 / self.beside);
        (share * self.here >= 1.0 && variance > 1e-9)
            .then(|| (here / self.here - beside / self.beside) / sqrt(variance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Policy, ProblemKind};

    /// A rise of thirty a minute over four kinds and eight cities, by a seed.
    fn course(begin: u32, seed: u64) -> Course {
        let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 20) % below
        };
        let kinds = (0..4).map(|kind| Facet::Kind(ProblemKind::ALL[kind]));
        let cities = (1..9).filter_map(crate::model::CityId::new).map(Facet::City);
        let mut parts: Vec<Part> =
            kinds.chain(cities).map(|facet| Part { facet, minutes: vec![0; 20] }).collect();
        for minute in 0..20 {
            for _ in 0..30 {
                parts[next(4) as usize].minutes[minute] += 100;
                parts[4 + next(8) as usize].minutes[minute] += 100;
            }
        }
        Course { begin: Minute(begin), parts }
    }

    fn rarity() -> Rarity {
        Rarity::allowed(&Policy::default()).expect("something is held")
    }

    #[test]
    fn the_same_again_is_known_also_when_its_beginning_is_told_later() {
        let before = course(1000, 1);
        let mut now = Course { begin: Minute(9000), ..before.clone() };
        let doubt = replayed(&now, std::slice::from_ref(&before), 600.0, rarity()).expect("a doubt");
        assert_eq!(doubt.cause, Cause::Replayed { at: Minute(1000) });
        assert!(doubt.doubtful > 550, "{doubt:?}");
        for part in &mut now.parts {
            part.minutes.drain(..3);
        }
        assert!(replayed(&now, &[course(500, 9), before], 600.0, rarity()).is_some());
    }

    #[test]
    fn two_rises_that_look_alike_are_two() {
        for seed in 1..200 {
            let (before, now) = (course(1000, seed), course(9000, seed + 1000));
            assert_eq!(replayed(&now, &[before], 600.0, rarity()), None, "seed {seed}");
        }
    }

    #[test]
    fn nothing_is_like_nothing() {
        let empty = Course { begin: Minute(0), parts: Vec::new() };
        assert_eq!(replayed(&empty, std::slice::from_ref(&empty), 10.0, rarity()), None);
        assert_eq!(replayed(&empty, &[], 10.0, rarity()), None);
    }
}
