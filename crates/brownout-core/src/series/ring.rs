//! The most recent counts of a series, in fixed memory.

use serde::{Deserialize, Serialize};

use crate::model::Minute;

/// Counts of the last 96 minutes, in hundredths of a source: an hour, and what may still change before it.
/// The newest, where nearly all are added, lies in front, so that adding touches little memory.
#[derive(Clone, Debug, PartialEq)]
#[repr(C)]
pub struct MinuteRing {
    /// Sum of all counts that are held.
    total: u64,
    newest: Minute,
    /// The count of the newest minute.
    open: u32,
    /// The counts of the others; the newest's own place is 0.
    counts: [u32; MinuteRing::MINUTES as usize],
}

impl MinuteRing {
    /// How many minutes are held: the longest window of whole minutes up to the lateness bound (half an hour
    /// at most) and five minutes ago.
    pub const MINUTES: u32 = 96;

    /// An empty ring whose newest minute is `newest`.
    pub fn new(newest: Minute) -> Self {
        MinuteRing { total: 0, newest, open: 0, counts: [0; Self::MINUTES as usize] }
    }

    /// Adds to a minute. False when the minute is too old to be held; nothing is added then.
    pub fn add(&mut self, minute: Minute, hundredths: u32) -> bool {
        self.advance(minute);
        if minute == self.newest {
            self.add_to_newest(hundredths);
            return true;
        }
        if self.newest.since(minute) >= Self::MINUTES {
            return false;
        }
        let slot = &mut self.counts[Self::place(minute)];
        let before = std::mem::replace(slot, slot.saturating_add(hundredths));
        self.total += u64::from(*slot - before);
        true
    }

    /// Adds to the newest minute.
    #[inline]
    pub fn add_to_newest(&mut self, hundredths: u32) {
        let before = self.open;
        self.open = before.saturating_add(hundredths);
        self.total += u64::from(self.open - before);
    }

    /// Takes away what was added to a minute; one that is no longer held is left alone.
    pub fn take(&mut self, minute: Minute, hundredths: u32) {
        let slot = match self.newest.since(minute) {
            0 if minute == self.newest => &mut self.open,
            1..Self::MINUTES => &mut self.counts[Self::place(minute)],
            _ => return,
        };
        let before = std::mem::replace(slot, slot.saturating_sub(hundredths));
        self.total -= u64::from(before - *slot);
    }

    /// Forgets what is older than the minutes that are held up to `minute`.
    fn advance(&mut self, minute: Minute) {
        let steps = minute.since(self.newest);
        if steps == 0 {
            return;
        }
        let open = std::mem::take(&mut self.open);
        if steps >= Self::MINUTES {
            self.counts = [0; Self::MINUTES as usize];
            self.total = 0;
        } else {
            self.counts[Self::place(self.newest)] = open;
            for step in 1..=steps {
                let slot = &mut self.counts[Self::place(self.newest.plus(step))];
                self.total -= u64::from(std::mem::take(slot));
            }
        }
        self.newest = minute;
    }

    fn place(minute: Minute) -> usize {
        (minute.0 % Self::MINUTES) as usize
    }

    /// The count of one minute; 0 when it is not held.
    pub fn get(&self, minute: Minute) -> u32 {
        if minute > self.newest || self.newest.since(minute) >= Self::MINUTES {
            0
        } else if minute == self.newest {
            self.open
        } else {
            self.counts[Self::place(minute)]
        }
    }

    /// The sum of the `minutes` minutes that end with `last`.
    pub fn sum(&self, last: Minute, minutes: u32) -> u64 {
        let (end, length) = if last > self.newest {
            (self.newest, minutes.saturating_sub(last.since(self.newest)))
        } else {
            (last, minutes.min(Self::MINUTES.saturating_sub(self.newest.since(last))))
        };
        // Two runs of the array rather than one minute after the other: every look asks for some.
        let length = length.min(Self::MINUTES).min(end.0.saturating_add(1)) as usize;
        let after = Self::place(end) + 1;
        let plain = |counts: &[u32]| counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        let open = if end == self.newest && length > 0 { u64::from(self.open) } else { 0 };
        open + match length.checked_sub(after) {
            None => plain(&self.counts[after - length..after]),
            Some(before) => {
                plain(&self.counts[..after]) + plain(&self.counts[Self::MINUTES as usize - before..])
            }
        }
    }

    /// Reads what [`MinuteRing::sum`] will read of a few minutes up to `last`, so that it is at hand then. What
    /// comes back means nothing; it only has to be used.
    pub(crate) fn fetch(&self, last: Minute, minutes: u32) -> u64 {
        let ends = self.counts[Self::place(last)] ^ self.counts[Self::place(last.minus(minutes))];
        self.total ^ u64::from(ends)
    }

    /// The sum of all minutes that are held: no window up to any minute holds more.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The newest minute that anything was added to or that was advanced to.
    pub fn newest(&self) -> Minute {
        self.newest
    }
}

/// Counts of the last 24 hours in five-minute steps, in hundredths of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct DayRing {
    /// The newest step, in units of five minutes since the epoch.
    newest: u32,
    counts: [u32; DayRing::STEPS as usize],
}

impl DayRing {
    /// How many steps are held: 24 h and one step, so that a full day stands beside the running one.
    pub const STEPS: u32 = 289;

    /// An empty ring that ends with the step of `minute`.
    pub fn new(minute: Minute) -> Self {
        DayRing { newest: minute.0 / 5, counts: [0; Self::STEPS as usize] }
    }

    /// Adds to the step of a minute; too old a minute is ignored.
    pub fn add(&mut self, minute: Minute, hundredths: u32) {
        let step = minute.0 / 5;
        if step > self.newest {
            let gap = (step - self.newest).min(Self::STEPS);
            for back in 0..gap {
                self.counts[((step - back) % Self::STEPS) as usize] = 0;
            }
            self.newest = step;
        }
        if self.newest - step < Self::STEPS {
            let slot = &mut self.counts[(step % Self::STEPS) as usize];
            *slot = slot.saturating_add(hundredths);
        }
    }

    /// Takes away what was added to the step of a minute.
    pub fn take(&mut self, minute: Minute, hundredths: u32) {
        let step = minute.0 / 5;
        if step <= self.newest && self.newest - step < Self::STEPS {
            let slot = &mut self.counts[(step % Self::STEPS) as usize];
            *slot = slot.saturating_sub(hundredths);
        }
    }

    /// The count of the step that begins with minute `5 * step`; 0 when it is not held.
    pub fn get(&self, step: u32) -> u32 {
        if step > self.newest || self.newest - step >= Self::STEPS {
            0
        } else {
            self.counts[(step % Self::STEPS) as usize]
        }
    }

    /// The newest step that holds anything.
    pub fn newest(&self) -> u32 {
        self.newest
    }
}

// Arrays of more than 32 are stored as sequences.

impl Serialize for MinuteRing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.newest, self.open, &self.counts[..]).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MinuteRing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (newest, open, counts) = <(Minute, u32, Vec<u32>)>::deserialize(deserializer)?;
        let total = counts.iter().chain([&open]).map(|count| u64::from(*count)).sum();
        Ok(MinuteRing { total, newest, open, counts: whole_ring(counts)? })
    }
}

impl Serialize for DayRing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.newest, &self.counts[..]).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DayRing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (newest, counts) = <(u32, Vec<u32>)>::deserialize(deserializer)?;
        Ok(DayRing { newest, counts: whole_ring(counts)? })
    }
}

fn whole_ring<const N: usize, E: serde::de::Error>(counts: Vec<u32>) -> Result<[u32; N], E> {
    counts.try_into().map_err(|_| E::custom("a ring of another length"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ring_forgets_after_its_length() {
        let mut ring = MinuteRing::new(Minute(1000));
        assert!(ring.add(Minute(1000), 7));
        assert!(ring.add(Minute(1095), 1));
        assert_eq!(ring.sum(Minute(1095), 96), 8);
        assert!(ring.add(Minute(1096), 0));
        assert_eq!(ring.sum(Minute(1096), 96), 1);
        assert!(!ring.add(Minute(1000), 5));
        assert_eq!(ring.get(Minute(1000)), 0);
    }

    proptest! {
        #[test]
        fn sums_agree_with_a_plain_list(
            adds in prop::collection::vec((0u32..200, 1u32..50, any::<bool>()), 0..200),
        ) {
            const HELD: u32 = MinuteRing::MINUTES;
            let mut ring = MinuteRing::new(Minute(0));
            let mut day = DayRing::new(Minute(0));
            let mut newest = 0;
            let mut list = [0u64; 400];
            for (minute, count, taken) in adds {
                newest = newest.max(minute);
                day.add(Minute(minute), count);
                if ring.add(Minute(minute), count) {
                    list[minute as usize] += u64::from(count);
                } else {
                    prop_assert!(newest - minute >= HELD);
                }
                if taken {
                    day.take(Minute(minute), count);
                    ring.take(Minute(minute), count);
                    list[minute as usize] -= if newest - minute < HELD { u64::from(count) } else { 0 };
                }
            }
            let held: u64 = list[(newest + 1).saturating_sub(HELD) as usize..=newest as usize].iter().sum();
            prop_assert_eq!(ring.total(), held);
            for minutes in [0, 1, 5, 15, 30, 60, HELD] {
                for last in newest.saturating_sub(HELD + 6)..newest + HELD + 6 {
                    let from = (last + 1).saturating_sub(minutes);
                    let held = |minute: &u32| newest < minute + HELD;
                    let plain: u64 = (from..=last).filter(held).map(|minute| list[minute as usize]).sum();
                    prop_assert_eq!(ring.sum(Minute(last), minutes), plain);
                }
            }
        }
    }
}
