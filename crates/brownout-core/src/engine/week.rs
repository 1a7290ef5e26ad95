//! The weekly shape that a series goes by: its own, one that it borrows, or that of a whole whose countries
//! have clocks of their own.

use serde::{Deserialize, Serialize};

use super::clocks::Clocks;
use super::recent::Series;
use super::subject::Subject;
use crate::model::{CountryCode, Facet, UtcTime};
use crate::series::Profile;

/// The weekly shape that a series goes by.
#[derive(Clone, Copy)]
pub(crate) enum Week<'a> {
    /// Nothing is known: every hour is like the others.
    Flat,
    /// Its own or that of its country.
    One(&'a Profile),
    /// That of another country by the clock at home, which is ahead of UTC by so many minutes: where too few
    /// reports come from to tell, people are taken to live as they do where most come from.
    Moved(&'a Profile, i32),
    /// That of a service as a whole: its own, as it is while the clocks of its countries stand as they usually
    /// do, and what it makes that those of some do not. Where half of the users put their clocks forward and
    /// the others do not, or have a holiday, the whole has a week that it never had before; its parts have not.
    Whole(&'a Profile, &'a Subject),
}

/// Countries of a smaller share of a service do not move its week.
const SHARE_MIN: f32 = 0.01;

/// A country, and which share of the service comes from it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    index: u32,
    share: f32,
}

impl<'a> Week<'a> {
    /// The factor at an instant, 1 on average.
    pub(crate) fn at(self, at: UtcTime) -> f64 {
        match self {
            Week::Flat => 1.0,
            Week::One(_) | Week::Moved(..) => {
                self.own(at).map_or(1.0, |(own, local)| own.at_local(local).into())
            }
            Week::Whole(own, subject) => {
                let local = own.local(at);
                with_moved(own.at_local(local), subject.moved(local, |_, country| country.local(at)))
            }
        }
    }

    /// The same by clocks that may have changed more than once since.
    pub(super) fn at_clocks(self, at: UtcTime, home: Option<CountryCode>, clocks: &mut Clocks) -> f64 {
        match self {
            Week::Flat => 1.0,
            Week::One(own) | Week::Moved(own, _) => own.at_local(clocks.local(home, at)).into(),
            Week::Whole(own, subject) => {
                let local = clocks.local(home, at);
                with_moved(own.at_local(local), subject.moved_by_clocks(at, clocks))
            }
        }
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
            Week::One(own) | Week::Whole(own, _) => Some((own, own.local(at))),
            Week::Moved(own, ahead) => Some((own, at.plus_seconds(60 * i64::from(ahead)))),
        }
    }
}

/// Where a series without a weekly shape of its own has one from.
#[derive(Clone, Copy)]
pub(super) struct Lender {
    /// Index of the series whose shape it is.
    index: usize,
    /// By how many minutes the clock that it goes by is ahead of UTC; nothing where it is the lender's.
    ahead: Option<i32>,
}

impl Series {
    /// The time of the week in a country.
    fn local(&self, at: UtcTime) -> UtcTime {
        match self.profile.as_deref() {
            Some(own) => own.local(at),
            None => at.plus_seconds(60 * i64::from(self.ahead_minutes)),
        }
    }
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
            Some(own) => Week::One(own),
            None => self.lent(self.lender(home_of(facet, series))),
        }
    }

    /// That of the service as a whole.
    pub(super) fn week_of_whole(&self) -> Week<'_> {
        self.lent(Lender { index: 0, ahead: None })
    }

    /// Where a series at home in a country, or nowhere, has a shape from that has none of its own.
    pub(super) fn lender(&self, home: Option<CountryCode>) -> Lender {
        let whole = Lender { index: 0, ahead: None };
        let Some(index) = home.and_then(|home| self.place_of(Facet::Country(home))) else { return whole };
        let Some((_, country)) = self.series.get_index(index) else { return whole };
        if country.profile.is_some() {
            return Lender { index, ahead: None };
        }
        let ahead = Some(i32::from(country.ahead_minutes));
        match self.main_country() {
            Some((index, _)) => Lender { index, ahead },
            // That of the service as a whole is by the clock of most of its users, if it is by any.
            None if self.clock.is_some() => Lender { index: 0, ahead },
            None => whole,
        }
    }

    pub(super) fn lent(&self, lender: Lender) -> Week<'_> {
        match (self.own_profile(lender.index), lender.ahead) {
            (None, _) => Week::Flat,
            (Some(own), Some(ahead)) => Week::Moved(own, ahead),
            (Some(own), None) if lender.index == 0 => Week::Whole(own, self),
            (Some(own), None) => Week::One(own),
        }
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
    pub(super) fn note_countries(&mut self) {
        let mut countries: Vec<Part> = Vec::new();
        for (index, facet) in self.series.keys().enumerate() {
            let share = if matches!(facet, Facet::Country(_)) { self.share_of(*facet) as f32 } else { 0.0 };
            if share >= SHARE_MIN {
                countries.push(Part { index: index as u32, share });
            }
        }
        let total: f32 = countries.iter().map(|country| country.share).sum();
        countries.iter_mut().for_each(|country| country.share /= total.max(1.0));
        countries.sort_by(|a, b| b.share.total_cmp(&a.share));
        self.countries = countries;
    }

    /// What the factor of the whole gains or loses by clocks at an instant that is an hour ago or a day.
    pub(super) fn moved_by_clocks(&self, at: UtcTime, clocks: &mut Clocks) -> f32 {
        let local = clocks.local(self.clock, at);
        self.moved(local, |country, _| clocks.local(Some(country), at))
    }

    /// What the factor of the whole gains or loses where the weeks of countries, told by `there`, are not as far
    /// ahead of its own, `local`, as they usually are.
    fn moved(&self, local: UtcTime, mut there: impl FnMut(CountryCode, &Series) -> UtcTime) -> f32 {
        let Some((_, main)) = self.main_country() else { return 0.0 };
        let of_country = |part: &Part| {
            let (facet, series) = self.series.get_index(part.index as usize)?;
            let Facet::Country(country) = facet else { return None };
            let usually = local.plus_seconds(60 * i64::from(series.apart_minutes));
            let there = there(*country, series);
            let profile = series.profile.as_deref().unwrap_or(main);
            (there != usually).then(|| part.share * (profile.at_local(there) - profile.at_local(usually)))
        };
        self.countries.iter().filter_map(of_country).sum()
    }
}

/// The factor of a whole, never nothing.
fn with_moved(own: f32, moved: f32) -> f64 {
    f64::from((own + moved).max(0.02))
}

/// The country that the people live in whom a series counts.
pub(super) fn home_of(facet: Facet, series: &Series) -> Option<CountryCode> {
    match facet {
        Facet::Country(country) => Some(country),
        _ => series.home,
    }
}
