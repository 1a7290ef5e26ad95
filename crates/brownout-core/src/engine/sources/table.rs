//! Sources with the times of their last reports, in one piece of memory.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Of a subnet's key 30 bits are kept, of a source's 18, then 16 bits of stamp in seconds, 0 for a
/// source that has moved to another key.
///
/// The place is told by the first bits of the subnet, so two sources are only confused within one
/// subnet: one new source in sixteen thousand where sixteen are known. Two subnets are confused when
/// their places are near each other and the other bits the same: at a hundred thousand sources one
/// in a thousand, which matters only when both are at their bound. Keys are keyed hashes, so nobody
/// outside can choose them to collide.
pub(super) fn slot_of(source: u64, subnet: u64) -> u64 {
    // The high bits of a product with an odd number depend on all bits.
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    (subnet.wrapping_mul(ODD) & SUBNET) | (source.wrapping_mul(ODD) >> 30 & !SUBNET & !STAMP)
}

pub(super) const SUBNET: u64 = u64::MAX << 34;
pub(super) const STAMP: u64 = u16::MAX as u64;

/// A slot's own place, told by its highest bits, so that a table in order is in order of its slots.
pub(super) fn place(slot: u64, places: usize) -> usize {
    (slot >> (u64::BITS - places.trailing_zeros())) as usize
}

/// What the neighbourhood of a slot's own place says.
pub(super) struct Found {
    /// Where the source is, or the free place where it would be.
    pub(super) at: usize,
    /// Stamp of its last report, 0 for none.
    pub(super) known: u16,
    /// The same if that is within the window, else 0.
    pub(super) last: u16,
    /// Sources of the subnet within the window.
    pub(super) sources: u32,
    /// The newest stamp of the subnet, 0 for none.
    pub(super) newest: u16,
}

/// Slots in the first free place from their own on; 0 is free. Slots are added or all swept.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    /// A power of two of places, at most three quarters of them taken.
    pub(super) slots: Vec<u64>,
    pub(super) len: usize,
}

impl Table {
    const PLACES_MIN: usize = 8;
    /// Six million sources of one service within a window; more are counted without being
    /// remembered (a repeat may then count twice), which a surge of that size would outweigh.
    const PLACES_MAX: usize = 1 << 23;

    pub(super) fn find(&self, slot: u64, now: u16, window_seconds: u32) -> Found {
        let mut found = Found { at: 0, known: 0, last: 0, sources: 0, newest: 0 };
        if self.slots.is_empty() {
            return found;
        }
        let mask = self.slots.len() - 1;
        let mut at = place(slot, self.slots.len());
        let mut same = None;
        loop {
            let there = self.slots[at & mask];
            if there == 0 {
                break;
            }
            if (there ^ slot) & SUBNET == 0 {
                let stamp = (there & STAMP) as u16;
                let is_recent = stamp > 0 && u32::from(stamp.abs_diff(now)) < window_seconds;
                found.sources += u32::from(is_recent);
                found.newest = found.newest.max(stamp);
                if (there ^ slot) <= STAMP {
                    same = Some(at & mask);
                    found.known = stamp;
                    found.last = if is_recent { stamp } else { 0 };
                }
            }
            at += 1;
        }
        found.at = same.unwrap_or(at & mask);
        found
    }

    pub(super) fn has_room(&self) -> bool {
        (self.len + 1) * 4 <= self.slots.len() * 3
    }

    pub(super) fn is_largest(&self) -> bool {
        self.slots.len() == Self::PLACES_MAX
    }

    /// Puts a slot into a free place.
    pub(super) fn put_at(&mut self, at: usize, slot: u64) {
        self.slots[at] = slot;
        self.len += 1;
    }

    /// Puts a slot that is not there yet; there must be room.
    pub(super) fn put(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut at = place(slot, self.slots.len());
        while self.slots[at & mask] != 0 {
            at += 1;
        }
        self.put_at(at & mask, slot);
    }

    /// Keeps the slots whose stamp `keep` renews, in a table of which at most half is taken.
    pub(super) fn keep(&mut self, keep: impl Fn(u16) -> Option<u16>) {
        let kept = self.slots.iter().filter_map(|slot| {
            let stamp = (slot & STAMP) as u16;
            (stamp > 0).then(|| keep(stamp)).flatten().map(|stamp| slot & !STAMP | u64::from(stamp))
        });
        let places = (kept.clone().count() * 2).next_power_of_two();
        let mut table = Table::with_places(places.clamp(Self::PLACES_MIN, Self::PLACES_MAX));
        kept.for_each(|slot| table.put(slot));
        *self = table;
    }

    fn with_places(places: usize) -> Self {
        Table { slots: vec![0; places], len: 0 }
    }
}

/// Stored by key, so that the same content has the same bytes, and with its number of places, so
/// that what is read does at the same time what the one that was written does.
impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut slots: Vec<u64> = self.slots.iter().copied().filter(|slot| *slot != 0).collect();
        slots.sort_unstable();
        (self.slots.len(), slots).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (places, slots) = <(usize, Vec<u64>)>::deserialize(deserializer)?;
        let sound = if places == 0 {
            slots.is_empty()
        } else {
            places.is_power_of_two() && places <= Table::PLACES_MAX && slots.len() * 4 <= places * 3
        };
        if !sound || slots.contains(&0) {
            return Err(D::Error::custom("not a table of sources"));
        }
        let mut table = Table::with_places(places);
        slots.into_iter().for_each(|slot| table.put(slot));
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_table_is_refused() {
        let stored = |places: usize, slots: Vec<u64>| {
            let bytes = postcard::to_allocvec(&(places, slots)).expect("bytes");
            postcard::from_bytes::<Table>(&bytes)
        };
        assert!(stored(8, vec![1, 2]).is_ok());
        assert!(stored(0, vec![]).is_ok());
        let wrong = [(0, vec![1]), (7, vec![1]), (8, vec![1; 7]), (8, vec![0]), (1 << 40, vec![])];
        assert!(wrong.into_iter().all(|(places, slots)| stored(places, slots).is_err()));
    }
}
