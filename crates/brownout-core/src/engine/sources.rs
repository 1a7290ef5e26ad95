//! Who has reported lately: repeats of one source, and how much one subnet may contribute.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{SourceKeys, UtcTime};

/// What a report is worth after looking at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A source that has not reported within the window.
    New,
    /// A source that has.
    Repeat,
    /// A new source beyond what its subnet may contribute.
    OverSubnetCap,
}

/// Sources and subnets of the last window of one service.
///
/// Two generations of tables are kept and the older one is dropped when the younger has lasted a
/// window, so forgetting costs nothing per source.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SourceWindow {
    window_seconds: u32,
    rotated_at_seconds: u32,
    sources: [KeyTable; 2],
    subnets: [KeyTable; 2],
    /// How many subnets are in both.
    subnets_again: u32,
}

impl SourceWindow {
    /// Most sources held per generation; beyond it new sources are counted without being
    /// remembered (a repeat may then count twice), which a surge of millions would outweigh.
    const SOURCES_MAX: usize = 4_000_000;

    pub(crate) fn new(window_minutes: u32) -> Self {
        SourceWindow { window_seconds: window_minutes * 60, ..Self::default() }
    }

    /// Looks at a source at the time of its report and remembers it. A source whose last report
    /// is less than a window away is a repeat, and each repeat extends the window.
    pub(crate) fn admit(&mut self, keys: &SourceKeys, at: UtcTime, subnet_sources_max: u32) -> Standing {
        let seconds = u32::try_from(at.seconds()).unwrap_or(0);
        self.rotate(seconds);
        let known = self.last(keys.source).or_else(|| keys.previous_source.and_then(|key| self.last(key)));
        if known.is_some_and(|last| last.abs_diff(seconds) < self.window_seconds) {
            self.remember(keys.source, seconds.max(known.unwrap_or(0)));
            return Standing::Repeat;
        }
        let [now, older] = &mut self.subnets;
        let before = older.get(keys.subnet);
        if before.is_some() && now.get(keys.subnet).is_none() {
            self.subnets_again += 1;
        }
        let before = before.unwrap_or(0);
        let in_subnet = now.entry(keys.subnet);
        if before + *in_subnet >= subnet_sources_max {
            return Standing::OverSubnetCap;
        }
        *in_subnet += 1;
        self.remember(keys.source, seconds);
        Standing::New
    }

    fn last(&self, key: u64) -> Option<u32> {
        self.sources[0].get(key).or_else(|| self.sources[1].get(key))
    }

    fn remember(&mut self, key: u64, seconds: u32) {
        if self.sources[0].len < Self::SOURCES_MAX {
            *self.sources[0].entry(key) = seconds;
        }
    }

    fn rotate(&mut self, seconds: u32) {
        let age = seconds.saturating_sub(self.rotated_at_seconds);
        if age < self.window_seconds {
            return;
        }
        self.sources.swap(0, 1);
        self.subnets.swap(0, 1);
        self.sources[0].clear();
        self.subnets[0].clear();
        if age >= 2 * self.window_seconds {
            self.sources[1].clear();
            self.subnets[1].clear();
        }
        self.subnets_again = 0;
        self.rotated_at_seconds = seconds;
    }

    /// Distinct subnets of counted sources in the running window and the one before.
    pub(crate) fn subnets(&self) -> u32 {
        let [now, older] = &self.subnets;
        u32::try_from(now.len + older.len).unwrap_or(u32::MAX) - self.subnets_again
    }

    /// Gives memory back when the service has been calm for long.
    pub(crate) fn forget(&mut self) {
        *self = Self { window_seconds: self.window_seconds, ..Self::default() };
    }
}

/// A table from keyed hashes to small numbers that is only added to or cleared: one step to the
/// place of a key, most often within one cache line, because a report asks four of these.
///
/// Keys are keyed hashes, so nobody outside can choose them to collide.
#[derive(Clone, Debug, Default)]
struct KeyTable {
    /// A power of two of places, at most three quarters of them taken; a key lies in the first free
    /// place from its own on.
    slots: Vec<Slot>,
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    value: u32,
    taken: bool,
}

impl KeyTable {
    const SLOTS_MIN: usize = 8;

    fn get(&self, key: u64) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slots[self.find(key)];
        slot.taken.then_some(slot.value)
    }

    /// The value of a key, 0 if it is new.
    fn entry(&mut self, key: u64) -> &mut u32 {
        if self.slots.is_empty() {
            self.grow();
        }
        let mut at = self.find(key);
        if !self.slots[at].taken {
            if (self.len + 1) * 4 > self.slots.len() * 3 {
                self.grow();
                at = self.find(key);
            }
            self.slots[at] = Slot { key, value: 0, taken: true };
            self.len += 1;
        }
        &mut self.slots[at].value
    }

    /// Where a key is, or the free place where it would be.
    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        // The high bits of a product with an odd number depend on all bits of the key.
        let spread = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut at = (spread >> 32) as usize & mask;
        while self.slots[at].taken && self.slots[at].key != key {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        let places = (self.slots.len() * 2).max(Self::SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); places]);
        for slot in old.into_iter().filter(|slot| slot.taken) {
            let at = self.find(slot.key);
            self.slots[at] = slot;
        }
    }

    /// Forgets everything but keeps the room of a table that was well filled.
    fn clear(&mut self) {
        if self.len * 8 < self.slots.len() {
            self.slots = Vec::new();
        }
        self.slots.fill(Slot::default());
        self.len = 0;
    }

    /// Keys and values in no order that means anything.
    fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.slots.iter().filter(|slot| slot.taken).map(|slot| (slot.key, slot.value))
    }
}

/// Stored by key, so that the same content has the same bytes.
impl Serialize for KeyTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries: Vec<(u64, u32)> = self.iter().collect();
        entries.sort_unstable();
        entries.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeyTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = KeyTable::default();
        for (key, value) in Vec::<(u64, u32)>::deserialize(deserializer)? {
            *table.entry(key) = value;
        }
        Ok(table)
    }
}

/// A rough count of distinct subnets in 128 bits: linear counting (Whang et al. 1990) over the
/// running window and the one before. It saturates at about 260, far above any floor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubnetSketch {
    bits: [u64; 2],
    hour: u32,
}

impl SubnetSketch {
    pub(crate) fn add(&mut self, subnet: u64, hour: u32) {
        self.turn(hour);
        self.bits[0] |= 1 << (subnet % 64);
    }

    fn turn(&mut self, hour: u32) {
        match hour.saturating_sub(self.hour) {
            0 => {}
            1 => self.bits = [0, self.bits[0]],
            _ => self.bits = [0, 0],
        }
        self.hour = self.hour.max(hour);
    }

    /// Estimated number of distinct subnets.
    pub(crate) fn estimate(&self, hour: u32) -> u32 {
        let mut now = *self;
        now.turn(hour);
        let empty = (now.bits[0] | now.bits[1]).count_zeros();
        if empty == 0 { 266 } else { libm::round(64.0 * libm::log(64.0 / f64::from(empty))) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(source: u64, subnet: u64) -> SourceKeys {
        SourceKeys { generation: 1, source, subnet, previous_source: None }
    }

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(1_741_600_000 + seconds)
    }

    #[test]
    fn a_source_counts_again_only_after_an_hour_of_silence() {
        let mut window = SourceWindow::new(60);
        assert_eq!(window.admit(&keys(1, 1), at(0), 3), Standing::New);
        assert_eq!(window.admit(&keys(1, 1), at(3599), 3), Standing::Repeat);
        assert_eq!(window.admit(&keys(1, 1), at(7100), 3), Standing::Repeat);
        assert_eq!(window.admit(&keys(1, 1), at(7100 + 3600), 3), Standing::New);
    }

    #[test]
    fn a_rotation_of_salts_does_not_make_a_new_source() {
        let mut window = SourceWindow::new(60);
        assert_eq!(window.admit(&keys(1, 1), at(0), 3), Standing::New);
        let rotated = SourceKeys { generation: 2, source: 99, subnet: 2, previous_source: Some(1) };
        assert_eq!(window.admit(&rotated, at(60), 3), Standing::Repeat);
        assert_eq!(window.admit(&keys(99, 2), at(120), 3), Standing::Repeat);
    }

    #[test]
    fn one_subnet_contributes_only_so_much() {
        let mut window = SourceWindow::new(60);
        let counted =
            (0..100).filter(|source| window.admit(&keys(*source, 7), at(0), 3) == Standing::New).count();
        assert_eq!(counted, 3);
        assert_eq!(window.subnets(), 1);
        // In the next window one subnet comes again and one is new.
        window.admit(&keys(200, 7), at(3700), 3);
        window.admit(&keys(201, 8), at(3700), 3);
        assert_eq!(window.subnets(), 2);
        window.admit(&keys(202, 9), at(3 * 3700), 3);
        assert_eq!(window.subnets(), 1);
    }

    #[test]
    fn a_table_of_keys_holds_what_was_put_in() {
        let mut table = KeyTable::default();
        let mut plain = std::collections::BTreeMap::new();
        for number in 0..10_000u64 {
            // Neighbours, multiples of a power of two and hashes, some of them again.
            let key = match number % 3 {
                0 => number / 2,
                1 => number << 40,
                _ => blake(number / 5),
            };
            *table.entry(key) += number as u32;
            *plain.entry(key).or_insert(0) += number as u32;
        }
        assert_eq!(table.len, plain.len());
        assert!(plain.iter().all(|(key, value)| table.get(*key) == Some(*value)));
        assert_eq!(table.get(u64::MAX), None);
        let bytes = postcard::to_allocvec(&table).expect("bytes");
        let again: KeyTable = postcard::from_bytes(&bytes).expect("a table");
        assert_eq!(postcard::to_allocvec(&again).expect("bytes"), bytes);
        assert_eq!(again.iter().collect::<std::collections::BTreeMap<_, _>>(), plain);
        table.clear();
        assert_eq!((table.len, table.iter().count(), table.get(0)), (0, 0, None));
    }

    #[test]
    fn the_sketch_is_near_the_truth_where_it_matters() {
        let mut sketch = SubnetSketch::default();
        for subnet in 0..10u64 {
            sketch.add(blake(subnet), 5);
        }
        assert!((8..=12).contains(&sketch.estimate(5)), "{}", sketch.estimate(5));
        assert!(sketch.estimate(6) >= 8);
        assert_eq!(sketch.estimate(7), 0);
    }

    fn blake(value: u64) -> u64 {
        let hash = blake3::hash(&value.to_le_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"))
    }
}
