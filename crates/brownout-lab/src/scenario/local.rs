//! Local time: by it people rise, work, rest and report.

use brownout_core::model::{CountryCode, Holiday, Minute, Policy, UtcTime, is_holiday};

use super::Scenario;

/// Minutes of a day.
const DAY_MINUTES: i64 = 1440;

/// How far a country's clocks are ahead of UTC from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The country.
    pub country: CountryCode,
    /// When they are set so; the earliest instant if they always were.
    pub from: UtcTime,
    /// Minutes ahead of UTC.
    pub ahead_minutes: i32,
}

/// The days on which people rest, and how much more or less they report then.
#[derive(Clone, Debug, PartialEq)]
pub struct DaysOff {
    /// Reports of a Saturday, a Sunday or a holiday over those of a working day.
    pub times: f64,
    /// Holidays, which the observatory is told of too.
    pub holidays: Vec<Holiday>,
}

impl Default for DaysOff {
    fn default() -> Self {
        DaysOff { times: 1.0, holidays: Vec::new() }
    }
}

impl Scenario {
    /// A policy that knows the scenario's holidays too.
    pub fn policy(&self, base: &Policy) -> Policy {
        let holidays = [&base.holidays[..], &self.days_off.holidays].concat();
        Policy { holidays, ..base.clone() }
    }

    /// How many times the mean of a day is usual in a minute, by the country's local time.
    pub(crate) fn weight(&self, country: Option<CountryCode>, minute: u32) -> f64 {
        let local = i64::from(minute) + i64::from(self.minutes_ahead(country, minute));
        let of_hour = self.hours[local.div_euclid(60).rem_euclid(24) as usize];
        // The epoch was a Thursday.
        let is_weekend = matches!((local.div_euclid(DAY_MINUTES) + 3).rem_euclid(7), 5 | 6);
        let DaysOff { times, holidays } = &self.days_off;
        let is_off = is_weekend || is_holiday(country, UtcTime::from_seconds(local * 60), holidays);
        of_hour * if is_off { *times } else { 1.0 }
    }

    /// Minutes by which a country's local time is ahead of UTC in a minute.
    pub(crate) fn minutes_ahead(&self, country: Option<CountryCode>, minute: u32) -> i32 {
        let clocks = self.clocks.iter().filter(|clock| Some(clock.country) == country);
        let set = clocks.filter(|clock| clock.from <= Minute(minute).start());
        set.max_by_key(|clock| clock.from).map_or(0, |clock| clock.ahead_minutes)
    }
}
