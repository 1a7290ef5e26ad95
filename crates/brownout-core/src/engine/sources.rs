//! Who has reported lately: repeats of one source, and how much one subnet may contribute.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

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
/// Two generations of maps are kept and the older one is dropped when the younger has lasted a
/// window, so forgetting costs nothing per source. Keys are keyed hashes, so nobody outside can
/// choose them to collide.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SourceWindow {
    window_seconds: u32,
    rotated_at_seconds: u32,
    sources: [IndexMap<u64, u32, FxBuildHasher>; 2],
    subnets: [IndexMap<u64, u32, FxBuildHasher>; 2],
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
        let before = self.subnets[1].get(&keys.subnet).copied().unwrap_or(0);
        let in_subnet = self.subnets[0].entry(keys.subnet).or_insert(0);
        if before + *in_subnet >= subnet_sources_max {
            return Standing::OverSubnetCap;
        }
        *in_subnet += 1;
        self.remember(keys.source, seconds);
        Standing::New
    }

    fn last(&self, key: u64) -> Option<u32> {
        self.sources[0].get(&key).or_else(|| self.sources[1].get(&key)).copied()
    }

    fn remember(&mut self, key: u64, seconds: u32) {
        if self.sources[0].len() < Self::SOURCES_MAX {
            self.sources[0].insert(key, seconds);
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
        self.rotated_at_seconds = seconds;
    }

    /// Distinct subnets of counted sources in the running window and the one before.
    pub(crate) fn subnets(&self) -> u32 {
        let older = self.subnets[1].keys().filter(|key| !self.subnets[0].contains_key(*key)).count();
        u32::try_from(self.subnets[0].len() + older).unwrap_or(u32::MAX)
    }

    /// Gives memory back when the service has been calm for long.
    pub(crate) fn forget(&mut self) {
        *self = Self { window_seconds: self.window_seconds, ..Self::default() };
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
