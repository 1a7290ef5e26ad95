//! Time as a value: milliseconds and minutes since the Unix epoch, always UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An instant, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Written and read as RFC 3339 with `Z`; milliseconds are shown only when they are not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UtcTime(i64);

impl UtcTime {
    /// The latest instant that can be written with a four-digit year.
    pub const MAX: UtcTime = UtcTime(253_402_207_200_000);

    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        UtcTime(millis)
    }

    /// From seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        UtcTime(seconds * 1000)
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The minute that contains this instant. Instants before 1970 fall in minute 0.
    pub const fn minute(self) -> Minute {
        let minute = self.0.div_euclid(60_000);
        if minute < 0 {
            Minute(0)
        } else if minute > u32::MAX as i64 {
            Minute(u32::MAX)
        } else {
            Minute(minute as u32)
        }
    }

    /// This instant moved by a signed number of milliseconds, saturating.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        UtcTime(self.0.saturating_add(millis))
    }

    /// This instant moved by a signed number of seconds, saturating.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds from `earlier` to this instant; negative when `earlier` is later.
    pub const fn millis_since(self, earlier: UtcTime) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(stamp) => stamp.fmt(f),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl FromStr for UtcTime {
    type Err = TimeError;

    /// Reads RFC 3339 with any offset, such as `2025-03-10T10:02:00Z`.
    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map(|stamp| UtcTime(stamp.as_millisecond()))
            .map_err(|_| TimeError(text.chars().take(64).collect()))
    }
}

/// Text that is not an RFC 3339 instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeError(String);

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a time such as 2025-03-10T10:02:00Z", self.0)
    }
}

impl std::error::Error for TimeError {}

/// A whole minute, counted from 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Minute(pub u32);

impl Minute {
    /// The first instant of the minute.
    pub const fn start(self) -> UtcTime {
        UtcTime(self.0 as i64 * 60_000)
    }

    /// The first instant after the minute.
    pub const fn end(self) -> UtcTime {
        UtcTime((self.0 as i64 + 1) * 60_000)
    }

    /// This minute moved back, stopping at 0.
    #[must_use]
    pub const fn minus(self, minutes: u32) -> Self {
        Minute(self.0.saturating_sub(minutes))
    }

    /// This minute moved on, saturating.
    #[must_use]
    pub const fn plus(self, minutes: u32) -> Self {
        Minute(self.0.saturating_add(minutes))
    }

    /// Minutes from `earlier` to this one; 0 when `earlier` is not earlier.
    pub const fn since(self, earlier: Minute) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Hours since the epoch.
    pub const fn hour(self) -> u32 {
        self.0 / 60
    }

    /// Hour of the week in UTC, 0 = Monday 00:00, 167 = Sunday 23:00.
    ///
    /// 1970-01-01 was a Thursday, hence the shift of three days.
    pub const fn hour_of_week(self) -> usize {
        ((self.hour() + 72) % 168) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_and_read_as_rfc3339() {
        let at: UtcTime = "2025-03-10T15:02:00+05:00".parse().expect("a time");
        assert_eq!(at.to_string(), "2025-03-10T10:02:00Z");
        assert_eq!(at.minute().start(), at);
        assert!("yesterday".parse::<UtcTime>().is_err());
    }

    #[test]
    fn the_week_begins_on_monday() {
        let monday: UtcTime = "2025-03-10T00:00:00Z".parse().expect("a time");
        assert_eq!(monday.minute().hour_of_week(), 0);
        let sunday: UtcTime = "2025-03-16T23:59:59Z".parse().expect("a time");
        assert_eq!(sunday.minute().hour_of_week(), 167);
    }

    #[test]
    fn minutes_never_leave_their_range() {
        assert_eq!(UtcTime::from_millis(-1).minute(), Minute(0));
        assert_eq!(UtcTime::from_millis(i64::MAX).minute(), Minute(u32::MAX));
    }
}
