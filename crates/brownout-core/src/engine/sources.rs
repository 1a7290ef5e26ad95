//! Who has reported lately: repeats of one source, and how much one subnet may contribute.

use serde::de::Error as _;
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
    /// When each generation began, in seconds since 1970.
    began_seconds: [u32; 2],
    /// When each source last reported, see [`SourceWindow::base`].
    sources: [KeyTable; 2],
    /// How many sources each subnet has contributed.
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
        if let Some(last) = known.filter(|last| last.abs_diff(seconds) < self.window_seconds) {
            self.remember(keys.source, seconds.max(last));
            return Standing::Repeat;
        }
        let [now, older] = &mut self.subnets;
        let (before, in_subnet) = (older.get(keys.subnet), now.get(keys.subnet));
        if u32::from(before) + u32::from(in_subnet) >= subnet_sources_max {
            return Standing::OverSubnetCap;
        }
        self.subnets_again += u32::from(before > 0 && in_subnet == 0);
        now.put(keys.subnet, in_subnet.saturating_add(1));
        self.remember(keys.source, seconds);
        Standing::New
    }

    /// Reads the places that [`SourceWindow::admit`] will read, so that they are at hand then. What
    /// comes back means nothing; it only has to be used.
    pub(crate) fn fetch(&self, keys: &SourceKeys) -> u64 {
        let sources = self.sources.iter().map(|table| table.first_slot(keys.source));
        sources.chain(self.subnets.iter().map(|table| table.first_slot(keys.subnet))).sum()
    }

    /// What the stamps of a generation are counted from: early enough for every report that may
    /// still come, so that a stamp is never 0; what is older yet counts as that old.
    fn base(&self, generation: usize) -> u32 {
        self.began_seconds[generation].saturating_sub(2 * self.window_seconds)
    }

    /// When a source last reported.
    fn last(&self, key: u64) -> Option<u32> {
        (0..2).find_map(|generation| {
            let stamp = self.sources[generation].get(key);
            (stamp > 0).then(|| self.base(generation) + u32::from(stamp))
        })
    }

    fn remember(&mut self, key: u64, seconds: u32) {
        if self.sources[0].len < Self::SOURCES_MAX {
            let stamp = u16::try_from(seconds.saturating_sub(self.base(0))).unwrap_or(u16::MAX);
            self.sources[0].put(key, stamp.max(1));
        }
    }

    fn rotate(&mut self, seconds: u32) {
        let age = seconds.saturating_sub(self.began_seconds[0]);
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
        self.began_seconds = [seconds, self.began_seconds[0]];
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

/// A table from keyed hashes to numbers from 1 to 65,535 that is only added to or cleared. A report
/// asks four of these, so a place is eight bytes and a key is one step away.
///
/// Of a key 48 bits are kept: of four million sources one in seventy thousand million pairs is
/// confused. Keys are keyed hashes, so nobody outside can choose them to collide.
#[derive(Clone, Debug, Default)]
struct KeyTable {
    /// A power of two of places, at most three quarters of them taken: the key's bits, then 16 bits
    /// of number; 0 is free. A key lies in the first free place from its own on, and its own is told
    /// by its highest bits, so that growing walks over both tables from front to back.
    slots: Vec<u64>,
    len: usize,
}

impl KeyTable {
    const SLOTS_MIN: usize = 8;
    const NUMBER_BITS: u32 = 16;
    const NUMBER: u64 = (1 << Self::NUMBER_BITS) - 1;

    /// The number of a key, 0 if it has none.
    fn get(&self, key: u64) -> u16 {
        if self.slots.is_empty() {
            return 0;
        }
        (self.slots[self.find(Self::tag(key))] & Self::NUMBER) as u16
    }

    /// What lies in a key's own place, without its number, so that some can be added up.
    fn first_slot(&self, key: u64) -> u64 {
        match self.slots.len() {
            0 => 0,
            places => self.slots[Self::place(Self::tag(key), places)] >> Self::NUMBER_BITS,
        }
    }

    /// A key's own place, told by its highest bits.
    fn place(slot: u64, places: usize) -> usize {
        (slot >> (u64::BITS - places.trailing_zeros())) as usize
    }

    /// Gives a key a number, which is not 0.
    fn put(&mut self, key: u64, number: u16) {
        self.put_slot(Self::tag(key) | u64::from(number));
    }

    fn put_slot(&mut self, slot: u64) {
        if self.slots.is_empty() {
            self.make_room(1);
        }
        let mut at = self.find(slot);
        if self.slots[at] == 0 {
            if (self.len + 1) * 4 > self.slots.len() * 3 {
                self.make_room(self.len + 1);
                at = self.find(slot);
            }
            self.len += 1;
        }
        self.slots[at] = slot;
    }

    /// What is kept of a key. The high bits of a product with an odd number depend on all bits.
    fn tag(key: u64) -> u64 {
        key.wrapping_mul(0x9E37_79B9_7F4A_7C15) & !Self::NUMBER
    }

    /// Where the key of a slot is, or the free place where it would be.
    fn find(&self, slot: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = Self::place(slot, self.slots.len());
        loop {
            let there = self.slots[at & mask];
            if there == 0 || (there ^ slot) <= Self::NUMBER {
                return at & mask;
            }
            at += 1;
        }
    }

    /// Makes room for as many keys as that.
    fn make_room(&mut self, keys: usize) {
        let places = (keys * 4).div_ceil(3).next_power_of_two().max(Self::SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![0; places]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let at = self.find(slot);
            self.slots[at] = slot;
        }
    }

    /// Forgets everything but keeps the room of a table that was well filled.
    fn clear(&mut self) {
        if self.len * 8 < self.slots.len() {
            self.slots = Vec::new();
        }
        self.slots.fill(0);
        self.len = 0;
    }
}

/// Stored by key, so that the same content has the same bytes.
impl Serialize for KeyTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut slots: Vec<u64> = self.slots.iter().copied().filter(|slot| *slot != 0).collect();
        slots.sort_unstable();
        slots.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeyTable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let slots = Vec::<u64>::deserialize(deserializer)?;
        if slots.iter().any(|slot| slot & Self::NUMBER == 0) {
            return Err(D::Error::custom("a key without a number"));
        }
        // They come in order: in a table that had yet to grow, all would crowd at its front.
        let mut table = KeyTable::default();
        table.make_room(slots.len());
        slots.into_iter().for_each(|slot| table.put_slot(slot));
        Ok(table)
    }
}

/// A rough count of distinct subnets in 128 bits: linear counting (Whang et al. 1990) over the
/// running window and the one before. It saturates at about 260, far above any floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubnetSketch {
    bits: [u64; 2],
    hour: u32,
}

impl SubnetSketch {
    /// An empty one whose newest hour is `hour`.
    pub(crate) fn new(hour: u32) -> Self {
        SubnetSketch { bits: [0, 0], hour }
    }

    pub(crate) fn add(&mut self, subnet: u64, hour: u32) {
        self.turn(hour);
        self.bits[0] |= 1 << (subnet % 64);
    }

    /// Adds in the hour of the last addition.
    pub(crate) fn add_to_newest(&mut self, subnet: u64) {
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
        for number in 0..30_000u64 {
            // Neighbours, multiples of a power of two and hashes, some of them again.
            let key = match number % 3 {
                0 => number / 2,
                1 => number << 40,
                _ => blake(number / 5),
            };
            table.put(key, number as u16 | 1);
            plain.insert(key, number as u16 | 1);
        }
        assert_eq!(table.len, plain.len());
        assert!(plain.iter().all(|(key, value)| table.get(*key) == *value));
        assert_eq!(table.get(u64::MAX), 0);
        let bytes = postcard::to_allocvec(&table).expect("bytes");
        let again: KeyTable = postcard::from_bytes(&bytes).expect("a table");
        assert_eq!(postcard::to_allocvec(&again).expect("bytes"), bytes);
        assert!(plain.iter().all(|(key, value)| again.get(*key) == *value));
        table.clear();
        assert_eq!((table.len, table.get(0), table.get(blake(1))), (0, 0, 0));
    }

    #[test]
    fn the_sketch_is_near_the_truth_where_it_matters() {
        let mut sketch = SubnetSketch::new(5);
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
