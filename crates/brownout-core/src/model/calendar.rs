//! Clocks and holidays: people report by the hours of their day, and on holidays as on Sundays.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{CountryCode, UtcTime};

/// Country and IANA zone, a line each: the zone in which most of a country's people live.
const ZONES: &str = include_str!("../../data/zones.txt");

/// Letters that a country code can be made of, two at a time.
const PAIRS: usize = 26 * 26;

/// Minutes by which clocks in a country are ahead of UTC at an instant; 0 where no zone is known.
pub fn minutes_ahead(country: CountryCode, at: UtcTime) -> i32 {
    zone(country)
        .zip(jiff::Timestamp::from_millisecond(at.millis()).ok())
        .map_or(0, |(zone, stamp)| zone.to_offset(stamp).seconds() / 60)
}

fn zone(country: CountryCode) -> Option<&'static TimeZone> {
    /// The database never changes while a program runs, so reading it once is no state.
    static KNOWN: OnceLock<Vec<Option<TimeZone>>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| {
        let mut zones = vec![None; PAIRS];
        let lines = ZONES.lines().filter_map(|line| line.split_once(' '));
        for (code, name) in lines {
            let place = code.parse().ok().and_then(|code| zones.get_mut(place(code)));
            if let Some(slot) = place {
                *slot = jiff::tz::db().get(name).ok();
            }
        }
        zones
    });
    known.get(place(country))?.as_ref()
}

fn place(country: CountryCode) -> usize {
    let [first, second] = country.bytes().map(|letter| usize::from(letter.wrapping_sub(b'A')));
    first.saturating_mul(26).saturating_add(second)
}

/// A day on which people of a country behave as on a Sunday. Written `US 2025-07-04`, or `2025-12-25` for
/// everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holiday {
    /// Where; `None` is everywhere.
    pub country: Option<CountryCode>,
    /// The day, by the country's own clock.
    date: Date,
}

impl Holiday {
    /// Whether it is this holiday on a day of a country; `None` stands for no country in particular.
    fn is_on(&self, country: Option<CountryCode>, day: Date) -> bool {
        self.date == day && (self.country.is_none() || self.country == country)
    }
}

/// Whether a day of a country is a holiday. The day is that of an instant whose UTC date and time are those
/// of the country's clocks.
pub fn is_holiday(country: Option<CountryCode>, local: UtcTime, holidays: &[Holiday]) -> bool {
    !holidays.is_empty()
        && day(local).is_some_and(|day| holidays.iter().any(|holiday| holiday.is_on(country, day)))
}

fn day(local: UtcTime) -> Option<Date> {
    let stamp = jiff::Timestamp::from_millisecond(local.millis()).ok()?;
    Some(TimeZone::UTC.to_datetime(stamp).date())
}

impl fmt::Display for Holiday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.country {
            Some(country) => write!(f, "{country} {}", self.date),
            None => self.date.fmt(f),
        }
    }
}

/// A text that is no holiday.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolidayError(String);

impl fmt::Display for HolidayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a holiday such as \"US 2025-07-04\" or \"2025-12-25\"", self.0)
    }
}

impl std::error::Error for HolidayError {}

impl FromStr for Holiday {
    type Err = HolidayError;

    fn from_str(text: &str) -> Result<Self, HolidayError> {
        let error = || HolidayError(text.chars().take(40).collect());
        let (country, date) = match text.trim().split_once(' ') {
            Some((country, date)) => (Some(country.parse().map_err(|_| error())?), date.trim()),
            None => (None, text.trim()),
        };
        Ok(Holiday { country, date: date.parse().map_err(|_| error())? })
    }
}

impl Serialize for Holiday {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Holiday {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// By how many minutes the week of a series is ahead of UTC: its country's clock, and on a holiday as many
/// days more as it is to Sunday.
pub fn week_ahead(country: Option<CountryCode>, at: UtcTime, holidays: &[Holiday]) -> i32 {
    const DAY_MINUTES: i32 = 1440;
    let ahead = country.map_or(0, |country| minutes_ahead(country, at));
    let local = at.plus_seconds(i64::from(ahead) * 60);
    match day(local).filter(|_| is_holiday(country, local, holidays)) {
        Some(day) => ahead + i32::from(day.weekday().until(Weekday::Sunday)) * DAY_MINUTES,
        None => ahead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UtcTime {
        text.parse().expect("a time")
    }

    fn code(text: &str) -> CountryCode {
        text.parse().expect("a code")
    }

    #[test]
    fn every_line_names_a_country_and_a_zone_that_is_known() {
        let mut count = 0;
        for line in ZONES.lines() {
            let (country, name) = line.split_once(' ').expect("two words");
            assert!(zone(code(country)).is_some(), "{name}");
            count += 1;
        }
        assert!(count > 240, "{count}");
    }

    #[test]
    fn clocks_go_forward_in_spring() {
        let us = |text| minutes_ahead(code("US"), at(text));
        assert_eq!((us("2025-03-09T06:59:00Z"), us("2025-03-09T07:00:00Z")), (-300, -240));
        assert_eq!(minutes_ahead(code("PK"), at("2025-07-01T00:00:00Z")), 300);
        assert_eq!(minutes_ahead(code("NP"), at("2025-07-01T00:00:00Z")), 345);
        assert_eq!(minutes_ahead(code("ZZ"), at("2025-07-01T00:00:00Z")), 0);
    }

    #[test]
    fn a_holiday_is_a_sunday_by_the_countrys_own_clock() {
        let days: Vec<Holiday> =
            ["US 2025-07-04", "2025-12-25"].iter().map(|text| text.parse().expect("a holiday")).collect();
        let ahead = |country, text| week_ahead(country, at(text), &days);
        let us = Some(code("US"));
        // The fourth of July 2025 is a Friday: two days to Sunday.
        assert_eq!(ahead(us, "2025-07-04T03:59:00Z"), -240);
        assert_eq!(ahead(us, "2025-07-04T04:00:00Z"), -240 + 2 * 1440);
        assert_eq!(ahead(us, "2025-07-05T04:00:00Z"), -240);
        assert_eq!(ahead(Some(code("GB")), "2025-07-04T12:00:00Z"), 60);
        assert_eq!(ahead(None, "2025-12-25T12:00:00Z"), 3 * 1440);
        for wrong in ["", "US", "US 2025-02-30", "U 2025-07-04", "soon"] {
            assert!(wrong.parse::<Holiday>().is_err(), "{wrong}");
        }
        assert_eq!(days[0].to_string(), "US 2025-07-04");
    }
}
