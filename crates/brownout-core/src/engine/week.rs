//! The weekly shape that a series goes by: its own, one that it borrows, or that of a whole whose countries
//! have clocks of their own.

use serde::{Deserialize, Serialize};

use super::clocks::{Clocks, WeekClock};
use super::recent::Series;
use super::subject::Subject;
use crate::model::{CountryCode, Facet, UtcTime};
use crate::series::{LearningRates, Profile};

/// The weekly shape that a series goes by.
#[derive(Clone, Copy)]
pub(crate) enum Week<'a> {
    /// Nothing is known: every hour is like the others.
    Flat,
    /// Its own or that of a country, by a clock. Where too few reports come from to tell, people are taken to
    /// live by the clock at home as they do where most come from.
    Of(&'a Profile, WeekClock),
    /// That of a service as a whole: its own, as it is while the clocks of its countries stand as they usually
    /// do, times what it makes that those of some do not. Where half of the users put their clocks forward and
    /// the others do not, or have a holiday, the whole has a week that it never had before; its parts have not.
    Whole(&'a Profile, &'a Subject),
}

/// Countries of a smaller share of a service do not move its week.
const SHARE_MIN: f32 = 0.01;
/// How many times as large as the largest country another must be to come before it: two that are as large as
/// each other do not change places with the luck of a day.
const LARGER_TIMES: f32 = 1.25;

/// A country, and which share of the service comes from it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    index: u32,
    share: f32,
}

impl<'a> Week<'a> {
    /// The factor at an instant, 1 on average.
    pub(crate) fn at(self, at: UtcTime) -> f64 {
        let Some((own, local)) = self.own(at) else { return 1.0 };
        let times = match self {
            Week::Whole(_, subject) => subject.moved(local, |_, country| country.clock.local(at)),
            _ => 1.0,
        };
        f64::from(own.at(local) * times)
    }

    /// The same by clocks that may have changed more than once since.
    pub(super) fn at_clocks(self, at: UtcTime, home: Option<CountryCode>, clocks: &mut Clocks) -> f64 {
        let Some((own, _)) = self.own(at) else { return 1.0 };
        let times = match self {
            Week::Whole(_, subject) => subject.moved_by_clocks(at, clocks),
            _ => 1.0,
        };
        f64::from(own.at(clocks.local(home, at)) * times)
    }

    /// How far the factor may be off, as a squared relative deviation.
    pub(super) fn doubt(self, at: UtcTime) -> f64 {
        self.own(at).map_or(0.0, |(own, local)| own.doubt(local).into())
    }

    /// Whether an instant is of a kind that was not seen yet.
    pub(super) fn is_unseen(self, at: UtcTime) -> bool {
        self.own(at).is_some_and(|(own, local)| own.is_unseen(local))
    }

    /// The shape that is gone by, and the time of its week at an instant.
    fn own(self, at: UtcTime) -> Option<(&'a Profile, UtcTime)> {
        match self {
            Week::Flat => None,
            Week::Of(own, clock) => Some((own, clock.local(at))),
            Week::Whole(own, subject) => Some((own, subject.week_clock(0).local(at))),
        }
    }
}

/// Where a series without a weekly shape of its own has one from.
#[derive(Clone, Copy)]
pub(super) struct Lender {
    /// Index of the series whose shape it is.
    index: usize,
    /// The clock that it goes by where it is not the lender's.
    clock: Option<WeekClock>,
}

impl Subject {
    /// The weekly shape that a series goes by.
    pub(super) fn week<'a>(&'a self, facet: Facet, series: &'a Series) -> Week<'a> {
        self.week_with(facet, series, series.profile.as_deref())
    }

    /// The same of a series whose own shape was taken out to learn.
    pub(super) fn week_with<'a>(
        &'a self,
        facet: Facet,
        series: &Series,
        own: Option<&'a Profile>,
    ) -> Week<'a> {
        match own {
            Some(own) if facet == Facet::All => Week::Whole(own, self),
            Some(own) => Week::Of(own, series.clock),
            None => self.lent(self.lender(home_of(facet, series))),
        }
    }

    /// That of the service as a whole.
    pub(super) fn week_of_whole(&self) -> Week<'_> {
        self.lent(Lender { index: 0, clock: None })
    }

    /// Where a series at home in a country, or nowhere, has a shape from that has none of its own.
    pub(super) fn lender(&self, home: Option<CountryCode>) -> Lender {
        let whole = Lender { index: 0, clock: None };
        let Some(index) = home.and_then(|home| self.place_of(Facet::Country(home))) else { return whole };
        let Some((_, country)) = self.series.get_index(index) else { return whole };
        if country.profile.is_some() {
            return Lender { index, clock: None };
        }
        let clock = Some(country.clock);
        match self.main_country() {
            Some((index, _)) => Lender { index, clock },
            // That of the service as a whole is by the clock of most of its users, if it is by any.
            None if self.clock.is_some() => Lender { index: 0, clock },
            None => whole,
        }
    }

    pub(super) fn lent(&self, lender: Lender) -> Week<'_> {
        match (self.own_profile(lender.index), lender.clock) {
            (None, _) => Week::Flat,
            (Some(own), Some(clock)) => Week::Of(own, clock),
            (Some(own), None) if lender.index == 0 => Week::Whole(own, self),
            (Some(own), None) => Week::Of(own, self.week_clock(lender.index)),
        }
    }

    fn week_clock(&self, index: usize) -> WeekClock {
        self.series.get_index(index).map_or_else(WeekClock::default, |(_, series)| series.clock)
    }

    pub(super) fn own_profile(&self, index: usize) -> Option<&Profile> {
        self.series.get_index(index)?.1.profile.as_deref()
    }

    /// The largest country with a weekly shape of its own, by its index.
    fn main_country(&self) -> Option<(usize, &Profile)> {
        let of = |part: &Part| Some((part.index as usize, self.own_profile(part.index as usize)?));
        self.countries.iter().find_map(of)
    }

    /// Notes, the largest first, how much of the service its countries are.
    pub(super) fn note_countries(&mut self, hour: u32, rates: LearningRates) {
        let first = self.countries.first().map(|first| first.index);
        let prior = self.prior_of_parts().mean;
        let mut countries: Vec<Part> = Vec::new();
        for (index, (facet, series)) in self.series.iter().enumerate() {
            let Facet::Country(_) = facet else { continue };
            let mut learned = series.learned;
            if series.recent.is_none() {
                learned.pass_silently(hour, rates);
            }
            countries.push(Part { index: index as u32, share: learned.level(prior) as f32 });
        }
        let whole = self.level_of_whole() as f32;
        let total = countries.iter().map(|country| country.share).sum::<f32>().max(whole);
        countries.retain_mut(|country| {
            country.share /= total.max(1e-6);
            country.share >= SHARE_MIN
        });
        let rank = |part: &Part| part.share * if Some(part.index) == first { LARGER_TIMES } else { 1.0 };
        countries.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        self.countries = countries;
    }

    /// [`Subject::moved`] by clocks at an instant that is an hour ago or a day.
    pub(super) fn moved_by_clocks(&self, at: UtcTime, clocks: &mut Clocks) -> f32 {
        let local = clocks.local(self.clock, at);
        self.moved(local, |country, _| clocks.local(Some(country), at))
    }

    /// How many times its usual factor the whole has where the weeks of countries, told by `there`, are not as
    /// far ahead of its own, `local`, as they usually are: the sum of its countries as they are now over that
    /// of the same as they would usually be.
    fn moved(&self, local: UtcTime, mut there: impl FnMut(CountryCode, &Series) -> UtcTime) -> f32 {
        let Some((_, main)) = self.main_country() else { return 1.0 };
        let (mut now, mut usual, mut rest) = (0.0, 0.0, 1.0);
        let mut is_moved = false;
        for part in &self.countries {
            let Some((Facet::Country(country), series)) = self.series.get_index(part.index as usize) else {
                continue;
            };
            let profile = series.profile.as_deref().unwrap_or(main);
            let usually = local.plus_seconds(60 * i64::from(series.apart_minutes));
            let there = there(*country, series);
            let factor = part.share * profile.at(usually);
            usual += factor;
            now += if there == usually { factor } else { part.share * profile.at(there) };
            is_moved |= there != usually;
            rest -= part.share;
        }
        // Where the others are is not known: they go by the service's clock.
        let rest = rest.max(0.0) * main.at(local);
        if is_moved { (now + rest) / (usual + rest) } else { 1.0 }
    }
}

/// The country that the people live in whom a series counts.
pub(super) fn home_of(facet: Facet, series: &Series) -> Option<CountryCode> {
    match facet {
        Facet::Country(country) => Some(country),
        _ => series.home,
    }
}
