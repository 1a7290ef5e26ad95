//! By whose clock a series lives.

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::recent::Series;
use super::subject::Subject;
use super::week::home_of;
use crate::model::{CountryCode, Facet, Holiday, Minute, Policy, UtcTime, minutes_ahead, week_ahead};

/// A service goes by the clock of the country that at least this share of its usual reports comes from.
const ONE_CLOCK_SHARE: f64 = 0.5;

/// By how many minutes the week that people live by is ahead of UTC: the clock of their country, and more on
/// a holiday.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WeekClock {
    ahead: i16,
    /// Since when that is so, and by how many it was before: what reaches back before midnight of a holiday
    /// is of a working day.
    from: Minute,
    before: i16,
}

impl WeekClock {
    pub(super) fn new(ahead: i32) -> Self {
        let ahead = i16::try_from(ahead).unwrap_or_default();
        WeekClock { ahead, from: Minute(0), before: ahead }
    }

    pub(super) fn set(&mut self, ahead: i32, from: Minute) {
        let ahead = i16::try_from(ahead).unwrap_or_default();
        if ahead != self.ahead {
            *self = WeekClock { ahead, from, before: self.ahead };
        }
    }

    /// The time of the week at an instant.
    pub(super) fn local(self, at: UtcTime) -> UtcTime {
        let ahead = if at.minute() < self.from { self.before } else { self.ahead };
        at.plus_seconds(60 * i64::from(ahead))
    }
}

/// How far ahead of UTC the weeks of countries are, remembered while one hour turns.
pub(super) struct Clocks<'a> {
    holidays: &'a [Holiday],
    known: IndexMap<(Option<CountryCode>, UtcTime), i32, FxBuildHasher>,
}

impl<'a> Clocks<'a> {
    pub(super) fn new(holidays: &'a [Holiday]) -> Self {
        Clocks { holidays, known: IndexMap::default() }
    }

    /// The time of the week in a country, or of UTC, by the clock that held at an instant.
    pub(super) fn local(&mut self, country: Option<CountryCode>, at: UtcTime) -> UtcTime {
        let ahead = self.known.entry((country, at)).or_insert_with(|| week_ahead(country, at, self.holidays));
        at.plus_seconds(60 * i64::from(*ahead))
    }
}

impl Subject {
    /// The country by whose clock a series lives; `None` is UTC.
    pub(super) fn clock_of(&self, facet: Facet, series: &Series) -> Option<CountryCode> {
        home_of(facet, series).or(self.clock)
    }

    /// Sets the clocks of its weekly shapes for an hour that begins.
    pub(super) fn set_clocks(&mut self, hour: u32, policy: &Policy) {
        let from = Minute(hour.saturating_mul(60));
        let at = from.start().plus_seconds(1800);
        if self.clock.is_none() && hour.is_multiple_of(24) && !self.is_learning() {
            self.choose_clock(at);
        }
        let clock = self.clock;
        for (facet, series) in &mut self.series {
            let country = match facet {
                Facet::Country(country) => Some(*country),
                Facet::All => clock,
                _ => continue,
            };
            series.clock.set(week_ahead(country, at, &policy.holidays), from);
        }
    }

    /// Once most of its reports are known to come from one country, a service goes by the clock there.
    fn choose_clock(&mut self, at: UtcTime) {
        let countries = self.series.keys().filter_map(|facet| match facet {
            Facet::Country(country) => Some((self.share_of(*facet), *country)),
            _ => None,
        });
        let Some((share, country)) = countries.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else {
            return;
        };
        if share < ONE_CLOCK_SHARE {
            return;
        }
        self.clock = Some(country);
        if let Some((_, whole)) = self.series.get_index_mut(0)
            && let Some(profile) = whole.profile.as_deref_mut()
        {
            let ahead = minutes_ahead(country, at);
            whole.clock = WeekClock::new(ahead);
            profile.turn(ahead);
        }
        let apart: Vec<i16> = self.series.keys().map(|facet| self.apart(*facet, at)).collect();
        for (series, apart) in self.series.values_mut().zip(apart) {
            series.apart_minutes = apart;
        }
    }

    /// By how many minutes the clock of a country is ahead of the service's.
    pub(super) fn apart(&self, facet: Facet, at: UtcTime) -> i16 {
        let Facet::Country(country) = facet else { return 0 };
        let own = self.clock.map_or(0, |clock| minutes_ahead(clock, at));
        i16::try_from(minutes_ahead(country, at) - own).unwrap_or_default()
    }
}
