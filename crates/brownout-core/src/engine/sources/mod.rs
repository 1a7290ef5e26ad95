//! Who has reported lately: repeats of one source, and how much one subnet may contribute.

mod table;

use serde::{Deserialize, Serialize};

use crate::incident::distrust::{NEIGHBOURS, Spread};
use crate::model::{Policy, SourceKeys, UtcTime};
use table::{STAMP, Table, place, slot_of};

/// What a report is worth after looking at its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Standing {
    /// A source that has not reported within the window.
    New,
    /// A source that has.
    Repeat,
    /// A new source beyond what its subnet may contribute.
    OverSubnetCap,
}

/// What came of a report, and what was known of its source before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Admission {
    pub(crate) standing: Standing,
    before: Before,
    /// It came after one that it may have to stand before, so that another standing may be due to either.
    pub(crate) is_disordered: bool,
}

/// Times of a source's last report, in seconds since 1970, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    /// Under its own key.
    own: u32,
    /// Under the key that it had before, where it moved from that.
    earlier: u32,
}

/// How reports are spread over subnets, in the running slice of a window and the one before.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// When the two began.
    began_seconds: [u32; 2],
    /// Subnets with a report in each.
    subnets: [u32; 2],
    /// How many of them are in both.
    subnets_again: u32,
    /// Sources that were new in each.
    sources: [u32; 2],
    /// Of these, those whose subnet had some already.
    crowded: [u32; 2],
    /// Reports beyond what their subnet may contribute in each.
    refused: [u32; 2],
}

/// Sources of the last window of one service.
///
/// One table holds them, each with the time of its last report, and those of one subnet lie
/// together: so a report reads one place of memory, whatever is asked of its source and its subnet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct SourceWindow {
    /// By the policy of the last report.
    window_seconds: u32,
    /// The newest time of a report, in seconds since 1970.
    newest_seconds: u32,
    /// What stamps are counted from, in seconds since 1970.
    base_seconds: u32,
    /// When sources were last forgotten because there was no room.
    swept_seconds: u32,
    spread: Tally,
    table: Table,
}

impl SourceWindow {
    /// A stamp may lag this much behind the newest beyond the window: the most that a policy lets
    /// reports be late.
    const LATE_SECONDS: u32 = 30 * 60;

    /// Looks at a source at the time of its report and remembers it. A source whose last report
    /// is less than a window away is a repeat, and each repeat extends the window.
    pub(crate) fn admit(&mut self, keys: &SourceKeys, at: UtcTime, policy: &Policy) -> Admission {
        self.window_seconds = policy.repeat_minutes * 60;
        let now = self.turn(u32::try_from(at.seconds()).unwrap_or(0));
        let slot = slot_of(keys.source, keys.subnet);
        let mut found = self.table.find(slot, now, self.window_seconds);
        let mut last = found.last;
        let mut before = Before { own: self.seconds_of(found.known), earlier: 0 };
        // After a rotation of salts a source is known by the key that it had. It moves to the one
        // that it has, so that its subnet has it once.
        if let Some(previous) = keys.previous {
            let slot = slot_of(previous.source, previous.subnet);
            let earlier = self.table.find(slot, now, self.window_seconds);
            found.sources += earlier.sources;
            found.newest = found.newest.max(earlier.newest);
            if earlier.last > 0 {
                last = last.max(earlier.last);
                before.earlier = self.seconds_of(earlier.known);
                self.table.slots[earlier.at] &= !STAMP;
            }
        }
        // Before another of its subnet that came sooner, what a report is worth may hang on which was first.
        let is_full = found.sources >= policy.subnet_sources_max;
        let is_disordered = now <= found.newest && (last >= now || is_full);
        if last == 0 && is_full {
            self.spread.refused[0] += 1;
            return Admission { standing: Standing::OverSubnetCap, before, is_disordered };
        }
        let is_new = u32::from(last == 0);
        self.spread.sources[0] += is_new;
        self.spread.crowded[0] += is_new & u32::from(found.sources >= NEIGHBOURS);
        self.note_subnet(found.newest, now);
        self.remember(slot | u64::from(now.max(last)), found.at);
        let standing = if last > 0 { Standing::Repeat } else { Standing::New };
        Admission { standing, before, is_disordered }
    }

    /// Takes back what [`SourceWindow::admit`] remembered of a source; what was admitted after it has to be
    /// taken back first. How reports are spread over subnets stays.
    pub(crate) fn take_back(&mut self, keys: &SourceKeys, admission: &Admission) {
        if admission.standing == Standing::OverSubnetCap {
            return;
        }
        self.put_back(slot_of(keys.source, keys.subnet), admission.before.own);
        if let Some(previous) = keys.previous.filter(|_| admission.before.earlier > 0) {
            self.put_back(slot_of(previous.source, previous.subnet), admission.before.earlier);
        }
    }

    fn put_back(&mut self, slot: u64, seconds: u32) {
        let stamp = if seconds > self.base_seconds { self.stamp(seconds) } else { 0 };
        let at = self.table.find(slot, 0, 0).at;
        match self.table.slots.get(at) {
            Some(there) if *there != 0 => self.table.slots[at] = slot | u64::from(stamp),
            _ if stamp > 0 => self.remember(slot | u64::from(stamp), at),
            _ => {}
        }
    }

    /// How reports are spread, to be put back when reports are looked at again.
    pub(crate) fn tally(&self) -> Tally {
        self.spread
    }

    /// Puts back what [`SourceWindow::tally`] gave.
    pub(crate) fn put_back_tally(&mut self, tally: Tally) {
        self.spread = tally;
    }

    /// When a stamp was, in seconds since 1970; 0 for none.
    fn seconds_of(&self, stamp: u16) -> u32 {
        if stamp > 0 { self.base_seconds + u32::from(stamp) } else { 0 }
    }

    /// Reads the place that [`SourceWindow::admit`] will read, so that it is at hand then. What
    /// comes back means nothing; it only has to be used.
    pub(crate) fn fetch(&self, keys: &SourceKeys) -> u64 {
        match self.table.slots.len() {
            0 => 0,
            places => self.table.slots[place(slot_of(keys.source, keys.subnet), places)],
        }
    }

    /// Comes to the time of a report and gives its stamp. What is older than stamps reach counts as
    /// that old.
    fn turn(&mut self, seconds: u32) -> u16 {
        self.newest_seconds = self.newest_seconds.max(seconds);
        let age = self.newest_seconds - self.spread.began_seconds[0];
        if age >= self.window_seconds {
            let is_next = age < 2 * self.window_seconds;
            let tally = &mut self.spread;
            for counts in [&mut tally.subnets, &mut tally.sources, &mut tally.crowded, &mut tally.refused] {
                *counts = [0, if is_next { counts[0] } else { 0 }];
            }
            tally.subnets_again = 0;
            tally.began_seconds = [self.newest_seconds, tally.began_seconds[0]];
        }
        if self.newest_seconds - self.base_seconds > u32::from(u16::MAX) {
            self.sweep();
        }
        self.stamp(seconds)
    }

    fn stamp(&self, seconds: u32) -> u16 {
        u16::try_from(seconds.saturating_sub(self.base_seconds)).unwrap_or(u16::MAX).max(1)
    }

    /// Counts the subnet of a report whose sources were last heard of at a stamp, 0 for never.
    fn note_subnet(&mut self, newest: u16, now: u16) {
        let [running, before] =
            self.spread.began_seconds.map(|began| began.saturating_sub(self.base_seconds));
        let (newest, now) = (u32::from(newest), u32::from(now));
        if newest < running && now >= running {
            let tally = &mut self.spread;
            tally.subnets[0] += 1;
            tally.subnets_again += u32::from(newest > 0 && newest >= before && tally.subnets[1] > 0);
        }
    }

    fn remember(&mut self, slot: u64, at: usize) {
        if self.table.slots.get(at).is_some_and(|there| *there != 0) {
            self.table.slots[at] = slot;
            return;
        }
        if self.table.has_room() {
            self.table.put_at(at, slot);
            return;
        }
        // When there are more sources than can be held, looking again for old ones at every report
        // would cost more than it brings.
        let pause_seconds = self.window_seconds / 8;
        if self.table.is_largest() && self.newest_seconds - self.swept_seconds < pause_seconds {
            return;
        }
        let stamp = (slot & STAMP) as u32 + self.base_seconds;
        self.sweep();
        if self.table.has_room() {
            self.table.put(slot & !STAMP | u64::from(self.stamp(stamp)));
        }
    }

    /// Forgets sources that no report can meet any more, and makes room.
    fn sweep(&mut self) {
        let reach = self.window_seconds + Self::LATE_SECONDS;
        let oldest = self.newest_seconds.saturating_sub(reach).saturating_sub(self.base_seconds);
        // A window that grew reaches no further back than what is still known.
        let base = self.newest_seconds.saturating_sub(self.window_seconds + reach).max(self.base_seconds);
        let onward = base - self.base_seconds;
        self.table.keep(|stamp| {
            let kept = u32::from(stamp) > oldest;
            // What is kept is younger than the new base, which is older than the oldest.
            kept.then(|| u16::try_from(u32::from(stamp).saturating_sub(onward)).unwrap_or(u16::MAX))
        });
        self.base_seconds = base;
        self.swept_seconds = self.newest_seconds;
    }

    /// Distinct subnets with reports in the running slice of a window and the one before.
    pub(crate) fn subnets(&self) -> u32 {
        self.spread.subnets[0] + self.spread.subnets[1] - self.spread.subnets_again
    }

    /// How the reports of the running slice of a window and the one before are spread.
    pub(crate) fn spread(&self) -> Spread {
        let sum = |counts: [u32; 2]| counts[0].saturating_add(counts[1]);
        Spread {
            sources: sum(self.spread.sources),
            crowded: sum(self.spread.crowded),
            subnets: self.subnets(),
            refused: sum(self.spread.refused),
        }
    }

    /// Gives memory back when the service has been calm for long.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::table::SUBNET;
    use super::*;
    use crate::model::PreviousKeys;

    fn keys(source: u64, subnet: u64) -> SourceKeys {
        SourceKeys { generation: 1, source, subnet, previous: None }
    }

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(1_741_600_000 + seconds)
    }

    fn policy(repeat_minutes: u32, subnet_sources_max: u32) -> Policy {
        Policy { repeat_minutes, subnet_sources_max, ..Policy::default() }
    }

    #[test]
    fn a_source_counts_again_only_after_an_hour_of_silence() {
        let mut window = SourceWindow::default();
        assert_eq!(window.admit(&keys(1, 1), at(0), &policy(60, 3)).standing, Standing::New);
        assert_eq!(window.admit(&keys(1, 1), at(3599), &policy(60, 3)).standing, Standing::Repeat);
        assert_eq!(window.admit(&keys(1, 1), at(7100), &policy(60, 3)).standing, Standing::Repeat);
        assert_eq!(window.admit(&keys(1, 1), at(7100 + 3600), &policy(60, 3)).standing, Standing::New);
    }

    #[test]
    fn a_window_is_as_long_as_the_policy_of_the_day_has_it() {
        let mut window = SourceWindow::default();
        assert_eq!(window.admit(&keys(1, 1), at(0), &policy(60, 3)).standing, Standing::New);
        assert_eq!(window.admit(&keys(1, 1), at(1800), &policy(20, 3)).standing, Standing::New);
        assert_eq!(window.admit(&keys(1, 1), at(2400), &policy(20, 3)).standing, Standing::Repeat);
        assert_eq!(window.admit(&keys(1, 1), at(2400 + 14_000), &policy(240, 3)).standing, Standing::Repeat);
        // Stamps begin anew in between, and nothing is lost.
        for second in (20_000..200_000).step_by(9_000) {
            let window_minutes = if second % 2_000 == 0 { 20 } else { 240 };
            window.admit(&keys(2, 1), at(second), &policy(window_minutes, 3));
        }
        assert_eq!(window.admit(&keys(2, 1), at(200_100), &policy(240, 3)).standing, Standing::Repeat);
    }

    #[test]
    fn a_rotation_of_salts_makes_neither_a_new_source_nor_room_in_its_subnet() {
        let mut window = SourceWindow::default();
        for source in 1..=3 {
            assert_eq!(window.admit(&keys(source, 1), at(0), &policy(60, 3)).standing, Standing::New);
        }
        let rotated = |source: u64| SourceKeys {
            generation: 2,
            source: 1000 + source,
            subnet: 1001,
            previous: Some(PreviousKeys { source, subnet: 1 }),
        };
        assert_eq!(window.admit(&rotated(1), at(60), &policy(60, 3)).standing, Standing::Repeat);
        assert_eq!(window.admit(&keys(1001, 1001), at(120), &policy(60, 3)).standing, Standing::Repeat);
        // The subnet has had its three, two of them under the key before.
        assert_eq!(window.admit(&rotated(4), at(130), &policy(60, 3)).standing, Standing::OverSubnetCap);
        assert_eq!(window.admit(&rotated(2), at(140), &policy(60, 3)).standing, Standing::Repeat);
        assert_eq!(window.admit(&rotated(4), at(150), &policy(60, 4)).standing, Standing::New);
    }

    #[test]
    fn one_subnet_contributes_only_so_much() {
        let mut window = SourceWindow::default();
        let counted = (0..100)
            .filter(|source| window.admit(&keys(*source, 7), at(0), &policy(60, 3)).standing == Standing::New)
            .count();
        assert_eq!(counted, 3);
        assert_eq!(window.subnets(), 1);
        // In the next window one subnet comes again and one is new.
        window.admit(&keys(200, 7), at(3700), &policy(60, 3));
        window.admit(&keys(201, 8), at(3700), &policy(60, 3));
        assert_eq!(window.subnets(), 2);
        window.admit(&keys(202, 9), at(3 * 3700), &policy(60, 3));
        assert_eq!(window.subnets(), 1);
    }

    /// The same by maps that forget nothing, of what the table keeps of keys.
    #[derive(Default)]
    struct Plain {
        last: BTreeMap<u64, i64>,
        by_subnet: BTreeMap<u64, BTreeSet<u64>>,
    }

    impl Plain {
        fn admit(&mut self, slot: u64, seconds: i64, cap: usize) -> Standing {
            let is_recent = |last: &i64| (last - seconds).abs() < 3600;
            if let Some(last) = self.last.get_mut(&slot).filter(|last| is_recent(last)) {
                *last = seconds.max(*last);
                return Standing::Repeat;
            }
            let there = self.by_subnet.entry(slot & SUBNET).or_default();
            if there.iter().filter(|slot| is_recent(&self.last[slot])).count() >= cap {
                return Standing::OverSubnetCap;
            }
            there.insert(slot);
            self.last.insert(slot, seconds);
            Standing::New
        }
    }

    #[test]
    fn a_window_says_what_maps_that_forget_nothing_say() {
        let (mut window, mut plain) = (SourceWindow::default(), Plain::default());
        let mut counted = BTreeMap::new();
        let mut seconds = 0;
        for number in 0..60_000u64 {
            let hash = blake(number);
            // A flood, calm, a pause of a day, a flood; some of it late.
            seconds += match number {
                30_000 => 90_000,
                20_000..30_000 => (hash >> 60) as i64,
                _ => i64::from(hash >> 63 == 0),
            };
            let then = seconds - if hash.is_multiple_of(7) { (hash >> 32) as i64 % 900 } else { 0 };
            let (source, subnet) = (blake(hash % 9_000), blake(hash % 9_000 % 700));
            let standing = window.admit(&keys(source, subnet), at(then), &policy(60, 5)).standing;
            assert_eq!(standing, plain.admit(slot_of(source, subnet), then, 5), "report {number}");
            *counted.entry(format!("{standing:?}")).or_insert(0) += 1;
            if number.is_multiple_of(7_001) {
                // What was written and read goes on as if it had not been.
                let bytes = postcard::to_allocvec(&window).expect("bytes");
                window = postcard::from_bytes(&bytes).expect("a window");
                assert_eq!(postcard::to_allocvec(&window).expect("bytes"), bytes);
            }
        }
        assert!(counted.values().all(|times| *times > 3_000), "{counted:?}");
    }

    #[test]
    fn what_is_taken_back_was_never_there() {
        let mut window = SourceWindow::default();
        for source in 1..40 {
            window.admit(&keys(source, 1 + source / 4), at(source as i64), &policy(60, 5));
        }
        // What is left of others in the table is without a stamp.
        let known = |window: &SourceWindow| {
            let stamped = window.table.slots.iter().filter(|slot| **slot & STAMP > 0);
            let known = stamped.map(|slot| (slot & !STAMP, window.seconds_of((slot & STAMP) as u16)));
            known.collect::<BTreeSet<_>>()
        };
        let before = known(&window);
        let rotated = |source: u64| SourceKeys {
            generation: 2,
            source: 1000 + source,
            subnet: 1000 + source / 4,
            previous: Some(PreviousKeys { source, subnet: 1 + source / 4 }),
        };
        let mut admitted = Vec::new();
        for source in (1..60).chain(20..30) {
            let keys = if source % 3 == 0 { rotated(source) } else { keys(source, 1 + source / 4) };
            admitted.push((keys, window.admit(&keys, at(50 + source as i64), &policy(60, 5))));
        }
        for (keys, admission) in admitted.iter().rev() {
            window.take_back(keys, admission);
        }
        assert_eq!(known(&window), before);
    }

    fn blake(value: u64) -> u64 {
        let hash = blake3::hash(&value.to_le_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes"))
    }
}
