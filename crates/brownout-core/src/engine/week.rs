//! The weekly shape that a series goes by: its own, one that it borrows, or the sum of its countries'.

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
    /// That of a service as a whole: of each country by the clock and the holidays there, and its own for
    /// what comes from elsewhere. Where half of the users put their clocks forward and the others do not, the
    /// whole has a week that it never had before; its parts have not.
    Sum(&'a Profile, &'a Subject),
}

/// A country with a weekly shape of its own, and which share of the service comes from it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Shaped {
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
            Week::Sum(own, subject) => subject.summed(own, |profile, _| profile.at_local(profile.local(at))),
        }
    }

    /// The same by clocks that may have changed more than once since.
    pub(super) fn at_clocks(self, at: UtcTime, home: Option<CountryCode>, clocks: &mut Clocks) -> f64 {
        match self {
            Week::Flat => 1.0,
            Week::One(own) | Week::Moved(own, _) => own.at_local(clocks.local(home, at)).into(),
            Week::Sum(own, subject) => subject.summed(own, |profile, country| {
                profile.at_local(clocks.local(country.or(subject.clock), at))
            }),
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
            Week::One(own) | Week::Sum(own, _) => Some((own, own.local(at))),
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
            Some(own) if facet == Facet::All => Week::Sum(own, self),
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
        match self.shaped.first() {
            Some(main) => Lender { index: main.index as usize, ahead },
            // That of the service as a whole is by the clock of most of its users, if it is by any.
            None if self.clock.is_some() => Lender { index: 0, ahead },
            None => whole,
        }
    }

    pub(super) fn lent(&self, lender: Lender) -> Week<'_> {
        match (self.own_profile(lender.index), lender.ahead) {
            (None, _) => Week::Flat,
            (Some(own), Some(ahead)) => Week::Moved(own, ahead),
            (Some(own), None) if lender.index == 0 => Week::Sum(own, self),
            (Some(own), None) => Week::One(own),
        }
    }

    pub(super) fn own_profile(&self, index: usize) -> Option<&Profile> {
        self.series.get_index(index)?.1.profile.as_deref()
    }

    /// Notes, the largest first, which countries have a weekly shape of their own, and how much of the service they are.
    pub(super) fn note_shaped(&mut self) {
        let mut shaped: Vec<Shaped> = Vec::new();
        for (index, (facet, series)) in self.series.iter().enumerate() {
            if matches!(facet, Facet::Country(_)) && series.profile.is_some() {
                shaped.push(Shaped { index: index as u32, share: self.share_of(*facet) as f32 });
            }
        }
        let total: f32 = shaped.iter().map(|country| country.share).sum();
        shaped.iter_mut().for_each(|country| country.share /= total.max(1.0));
        shaped.sort_by(|a, b| b.share.total_cmp(&a.share));
        self.shaped = shaped;
    }

    /// The sum of what `factor` says of the shape of each country, and of the whole for what is left.
    fn summed(&self, own: &Profile, mut factor: impl FnMut(&Profile, Option<CountryCode>) -> f32) -> f64 {
        let (mut sum, mut rest) = (0.0, 1.0);
        for shaped in &self.shaped {
            let Some((Facet::Country(country), series)) = self.series.get_index(shaped.index as usize) else {
                continue;
            };
            let Some(profile) = series.profile.as_deref() else { continue };
            sum += shaped.share * factor(profile, Some(*country));
            rest -= shaped.share;
        }
        if rest > 0.0 {
            sum += rest * factor(own, None);
        }
        f64::from(sum)
    }
}

/// The country that the people live in whom a series counts.
pub(super) fn home_of(facet: Facet, series: &Series) -> Option<CountryCode> {
    match facet {
        Facet::Country(country) => Some(country),
        _ => series.home,
    }
}
