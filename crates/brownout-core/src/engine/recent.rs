//! The counts of one series.

use serde::{Deserialize, Serialize};

use super::clocks::WeekClock;
use super::subnets::{Subnet, SubnetSketch};
use crate::model::{CountryCode, Minute, Report, UtcTime};
use crate::series::{Learned, MinuteRing, Profile, Windows};

/// Hours of counts held until they are learned from; more than the longest lag.
const HOURS_HELD: usize = 26;

/// One source to be counted.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) minute: Minute,
    /// Of that minute.
    pub(crate) hour: u32,
    pub(crate) hundredths: u32,
    pub(crate) subnet: Subnet,
    pub(crate) home: Option<CountryCode>,
}

impl Count {
    /// What a report counts; nothing where it has no weight.
    pub(crate) fn of(report: &Report) -> Option<Count> {
        let minute = report.occurred_at.minute();
        let hundredths = u32::from(report.weight.percent());
        (hundredths > 0).then(|| Count {
            minute,
            hour: minute.hour(),
            hundredths,
            subnet: Subnet::new(report.source.generation, report.source.subnet),
            home: report.place.country,
        })
    }
}

/// The part of a series that exists only while it has recent counts. The layout is fixed so that
/// what every report touches lies together.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(C)]
pub(crate) struct Recent {
    pub(crate) subnets: SubnetSketch,
    newest_hour: u32,
    pub(crate) last: Minute,
    /// It got counts since the last look.
    pub(crate) touched: bool,
    /// It has counts that may not have become history yet.
    pub(crate) unsettled: bool,
    /// When the last incident here ended, or what was laid to another; 0 before the first.
    pub(crate) over: Minute,
    /// Hundredths of the newest hour.
    hour_open: u32,
    /// Hundredths that may still come before it can be above usual, up to an instant (in seconds since 1970);
    /// 0 and the instant of its last look where it is not at rest.
    room: u32,
    calm_until: u32,
    pub(crate) ring: MinuteRing,
    /// Hundredths of the other hours; the slot of hour h is h modulo the length.
    hours: [u32; HOURS_HELD],
}

impl Recent {
    pub(crate) fn new(minute: Minute) -> Self {
        Recent {
            ring: MinuteRing::new(minute),
            hours: [0; HOURS_HELD],
            newest_hour: minute.hour(),
            last: minute,
            subnets: SubnetSketch::new(minute.hour()),
            touched: false,
            unsettled: false,
            over: Minute(0),
            hour_open: 0,
            room: 0,
            calm_until: 0,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, count: Count) {
        self.room = self.room.saturating_sub(count.hundredths);
        if count.minute != self.last {
            return self.add_elsewhen(count);
        }
        // Nothing turns within a minute, and nearly all counts are of the newest.
        self.ring.add_to_newest(count.hundredths);
        self.hour_open = self.hour_open.saturating_add(count.hundredths);
        self.subnets.add_to_newest(count.subnet);
    }

    /// Whether it cannot be above usual: too little came since the last look that found it calm.
    pub(crate) fn is_calm(&self, at: UtcTime) -> bool {
        self.room > 0 && at.seconds() < i64::from(self.calm_until)
    }

    /// Whether it was looked at within so many seconds before; notes that it is now.
    pub(crate) fn is_looked_at_again(&mut self, at: UtcTime, seconds: i64) -> bool {
        let last = i64::from(self.calm_until);
        self.rest(0, at);
        at.seconds() - last <= seconds
    }

    /// Reads what a look will ask first, as [`MinuteRing::fetch`] does.
    pub(crate) fn fetch(&self, minute: Minute) -> u64 {
        self.ring.fetch(minute, 15) ^ u64::from(self.room)
    }

    /// Needs no look before `room` hundredths have come, or that instant.
    pub(crate) fn rest(&mut self, room: u32, until: UtcTime) {
        self.room = room;
        self.calm_until = u32::try_from(until.seconds()).unwrap_or(0);
    }

    /// Counts in another minute than the newest.
    fn add_elsewhen(&mut self, Count { minute, hour, hundredths, subnet, .. }: Count) {
        self.ring.add(minute, hundredths);
        if hour > self.newest_hour {
            self.hours[Self::place(self.newest_hour)] = std::mem::take(&mut self.hour_open);
            for step in 1..=(hour - self.newest_hour).min(HOURS_HELD as u32) {
                self.hours[Self::place(self.newest_hour + step)] = 0;
            }
            self.newest_hour = hour;
        }
        let slot = match self.newest_hour - hour {
            0 => &mut self.hour_open,
            _ => &mut self.hours[Self::place(hour)],
        };
        *slot = slot.saturating_add(hundredths);
        self.last = self.last.max(minute);
        self.subnets.add(subnet, hour);
    }

    /// Takes away what was added to a minute. That its subnet was seen stays.
    pub(crate) fn take(&mut self, minute: Minute, hour: u32, hundredths: u32) {
        self.ring.take(minute, hundredths);
        let slot = match self.newest_hour.checked_sub(hour) {
            Some(0) => &mut self.hour_open,
            Some(back) if back < HOURS_HELD as u32 => &mut self.hours[Self::place(hour)],
            _ => return,
        };
        *slot = slot.saturating_sub(hundredths);
    }

    fn place(hour: u32) -> usize {
        hour as usize % HOURS_HELD
    }

    /// Hundredths of a whole hour; 0 when it is not held.
    pub(crate) fn hour(&self, hour: u32) -> u32 {
        match self.newest_hour.checked_sub(hour) {
            Some(0) => self.hour_open,
            Some(back) if back < HOURS_HELD as u32 => self.hours[Self::place(hour)],
            _ => 0,
        }
    }

    /// The windows that end at `at`.
    pub(crate) fn windows(&self, at: UtcTime) -> Windows {
        Windows::of(&self.ring, at, self.over, |hour| self.hour(hour))
    }

    /// The windows that ended at `minute`, which is at most half an hour ago; what was before ended at
    /// `over`.
    pub(crate) fn windows_until(&self, minute: Minute, over: Minute) -> Windows {
        let last = minute.minus(1).hour();
        let until = |hour: u32| match hour == last {
            // Of the hour that ran then, what came since is taken away.
            true => {
                let end = Minute(60 * last + 59);
                let since = self.ring.sum(end, end.since(minute.minus(1)));
                self.hour(hour).saturating_sub(u32::try_from(since).unwrap_or(u32::MAX))
            }
            false => self.hour(hour),
        };
        Windows::of(&self.ring, minute.start(), over, until)
    }

    /// The same where an incident that ended here does not cut them short: parts are compared over the
    /// same time.
    pub(crate) fn uncut_windows(&self, at: UtcTime) -> Windows {
        Windows::of(&self.ring, at, Minute(0), |hour| self.hour(hour))
    }
}

/// One marginal of the service. Idle, it is its learned level and times only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Series {
    pub(crate) learned: Learned,
    /// The country that a region or city is in, or where a network was first seen: its weekly shape
    /// is borrowed.
    pub(crate) home: Option<CountryCode>,
    /// That of a country, or of the service as a whole.
    pub(super) clock: WeekClock,
    /// By how many minutes the clock of a country was ahead of the service's when it was first heard of, or when
    /// the service got one.
    pub(super) apart_minutes: i16,
    pub(crate) recent: Option<Box<Recent>>,
    /// The weekly shape; only the service as a whole and its countries have one of their own.
    pub(crate) profile: Option<Box<Profile>>,
}
