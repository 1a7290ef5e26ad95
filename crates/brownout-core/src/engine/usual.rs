//! What is usual for a series: its level, its weekly shape and their doubt.

use super::recent::Series;
use super::subject::Subject;
use super::week::{Lender, Week, home_of};
use crate::model::{CountryCode, Facet, UtcTime};
use crate::series::crossings::{SIZE_WITHIN_HOUR, size_of_window};
use crate::series::{DayShape, Expected, Learned, Profile, elevation_minutes};

/// Share of its service that a place or network is given before anything is known of it.
const PRIOR_SHARE: f64 = 0.1;

/// An hour of the day that was not seen yet may be as usual as the others, or bring twenty times as many: that
/// is how offices begin. A Gamma factor of this mean and squared relative deviation.
const UNSEEN_TIMES: f64 = 1.5;
const UNSEEN_DOUBT: f64 = 2.0;

/// What is usual for one series up to one instant; what does not hang on the length of an interval is
/// worked out once.
#[derive(Clone, Copy)]
pub(crate) struct Usual<'a> {
    learned: &'a Learned,
    week: Week<'a>,
    /// Of intervals of some minutes, where they are at hand.
    shapes: Option<[(f64, Shape); 2]>,
    level: f64,
    size: f64,
    at: UtcTime,
}

/// A weekly shape at one interval: its factor and how far that may be off, as a squared relative deviation.
#[derive(Clone, Copy)]
struct Shape {
    factor: f64,
    doubt: f64,
}

impl Shape {
    /// Of the `minutes` up to an instant: the mean over parts of an hour at most, each by its middle. The
    /// middle of six hours of a morning says next to nothing of their end.
    fn of(week: Week<'_>, at: UtcTime, minutes: f64) -> Shape {
        let parts = libm::ceil(minutes / 60.0).max(1.0);
        let part_millis = minutes * 60_000.0 / parts;
        let (mut factors, mut doubts) = (0.0, 0.0);
        for part in 0..parts as u32 {
            let middle = at.plus_millis(-((f64::from(part) + 0.5) * part_millis) as i64);
            let (factor, doubt) = match week.is_unseen(middle) {
                true => (UNSEEN_TIMES * week.at(middle), UNSEEN_DOUBT),
                false => (week.at(middle), week.doubt(middle)),
            };
            factors += factor;
            doubts += factor * doubt;
        }
        // Hours that were seen as seldom are off together, at most: their doubts do not average out.
        Shape { factor: factors / parts, doubt: doubts / factors.max(1e-9) }
    }
}

impl<'a> Usual<'a> {
    fn new(series: &'a Series, week: Week<'a>, prior: Expected, at: UtcTime) -> Self {
        let level = series.learned.level(prior.mean);
        let size = series.learned.noise_size(prior.size, level);
        Usual { learned: &series.learned, week, shapes: None, level, size, at }
    }

    /// Up to which instant.
    pub(crate) fn at(&self) -> UtcTime {
        self.at
    }

    /// What is usual for the `minutes` up to the instant.
    pub(crate) fn of(&self, minutes: f64) -> Expected {
        let known = self.shapes.iter().flatten().find(|(length, _)| *length == minutes);
        let Shape { factor, doubt } =
            known.map_or_else(|| Shape::of(self.week, self.at, minutes), |(_, shape)| *shape);
        let hours = minutes / 60.0;
        let size_of_window = size_of_window(self.size * SIZE_WITHIN_HOUR, hours);
        self.learned.expected(self.level * factor * hours, self.size, size_of_window, doubt)
    }
}

/// What is usual up to one instant for one series of a service after the other: what they share is looked
/// up once, for the two intervals that every look asks for.
pub(crate) struct Usuals {
    at: UtcTime,
    of_whole: Expected,
    of_parts: Expected,
    borrowed: Vec<Borrowed>,
}

/// The weekly shape of the series without one of their own in a country, or of those in none.
#[derive(Clone, Copy)]
struct Borrowed {
    home: Option<CountryCode>,
    from: Lender,
    shapes: [(f64, Shape); 2],
}

impl Usuals {
    pub(crate) fn new(subject: &Subject, at: UtcTime) -> Self {
        let (of_whole, of_parts) = (subject.prior_of_whole(), subject.prior_of_parts());
        Usuals { at, of_whole, of_parts, borrowed: Vec::new() }
    }

    /// What is usual for the series at an index; it must be of the subject that this was made of.
    pub(crate) fn of<'a>(&mut self, subject: &'a Subject, index: usize) -> Option<(&'a Series, Usual<'a>)> {
        let (facet, series) = subject.series.get_index(index)?;
        let prior = if index == 0 { self.of_whole } else { self.of_parts };
        if series.profile.is_some() {
            return Some((series, Usual::new(series, subject.week(*facet, series), prior, self.at)));
        }
        let home = home_of(*facet, series);
        let known = match self.borrowed.iter().find(|known| known.home == home) {
            Some(known) => *known,
            None => {
                let from = subject.lender(home);
                let shape = |minutes| (minutes, Shape::of(subject.lent(from), self.at, minutes));
                let shapes = elevation_minutes(self.at).map(shape);
                let known = Borrowed { home, from, shapes };
                self.borrowed.push(known);
                known
            }
        };
        let usual = Usual::new(series, subject.lent(known.from), prior, self.at);
        Some((series, Usual { shapes: Some(known.shapes), ..usual }))
    }
}

impl Subject {
    /// What is usual for a series up to `at`.
    pub(crate) fn usual<'a>(&'a self, facet: Facet, series: &'a Series, at: UtcTime) -> Usual<'a> {
        Usual::new(series, self.week(facet, series), self.prior(facet), at)
    }

    /// Level per hour and noise size that are assumed where a series has taught nothing: for the
    /// service the category's, for its parts a share of the service's.
    pub(super) fn prior(&self, facet: Facet) -> Expected {
        if facet == Facet::All { self.prior_of_whole() } else { self.prior_of_parts() }
    }

    fn prior_of_whole(&self) -> Expected {
        Expected { mean: f64::from(self.prior.per_hour), size: Learned::noise_size_default() }
    }

    /// [`Subject::prior`] of any part, which is the same for all.
    pub(super) fn prior_of_parts(&self) -> Expected {
        let unknown = self.prior_of_whole();
        let Some((_, whole)) = self.series.get_index(0) else { return unknown };
        let level = self.level_of_whole();
        // The noise of parts averages out in the whole, so the whole's may only make it larger.
        let size = whole.learned.noise_size(unknown.size, level).min(unknown.size);
        Expected { mean: level * PRIOR_SHARE, size }
    }

    /// Which share of the service's usual comes from a part, 0 to 1.
    pub(super) fn share_of(&self, facet: Facet) -> f64 {
        let Some(series) = self.series.get(&facet) else { return 0.0 };
        let whole = self.level_of_whole();
        if whole > 0.0 { (series.learned.level(self.prior(facet).mean) / whole).min(1.0) } else { 0.0 }
    }

    /// Usual sources an hour of the service as a whole, on average over a week.
    pub(super) fn level_of_whole(&self) -> f64 {
        let prior = f64::from(self.prior.per_hour);
        self.series.get_index(0).map_or(prior, |(_, whole)| whole.learned.level(prior))
    }

    /// What the service has taught of its level and its days, once it is more than a guess.
    pub(super) fn taught(&self) -> Option<(f32, Option<DayShape>)> {
        let (_, whole) = self.series.get_index(0).filter(|_| !self.is_learning())?;
        Some((self.level_of_whole() as f32, whole.profile.as_deref().and_then(Profile::day)))
    }
}

/// What is usual on average for one interval, for one series after the other: what they share is
/// looked up once.
pub(crate) struct Means<'a> {
    subject: &'a Subject,
    /// Level of the service as a whole.
    level: f64,
    middle: UtcTime,
    hours: f64,
    /// Factors by home.
    homes: Vec<(Option<CountryCode>, f64)>,
}

impl<'a> Means<'a> {
    pub(crate) fn new(subject: &'a Subject, at: UtcTime, minutes: f64) -> Self {
        let middle = at.plus_millis(-(minutes * 30_000.0) as i64);
        Means { subject, level: subject.level_of_whole(), middle, hours: minutes / 60.0, homes: Vec::new() }
    }

    pub(crate) fn mean(&mut self, facet: Facet, series: &Series) -> f64 {
        let factor = self.factor(facet, series);
        let level =
            if facet == Facet::All { self.level } else { series.learned.level(self.level * PRIOR_SHARE) };
        level * factor * self.hours
    }

    fn factor(&mut self, facet: Facet, series: &Series) -> f64 {
        let home = home_of(facet, series);
        if let Some((_, factor)) = self.homes.iter().find(|(known, _)| *known == home) {
            return *factor;
        }
        // All at home in one country share its shape, its own or the one that it borrows.
        let factor = self.subject.lent(self.subject.lender(home)).at(self.middle);
        self.homes.push((home, factor));
        factor
    }
}

#[cfg(test)]
mod tests {
    use super::super::clocks::WeekClock;
    use super::*;
    use crate::model::Minute;

    #[test]
    fn a_window_of_a_steep_morning_is_expected_at_the_mean_of_its_hours() {
        // Offices: next to nothing at night, ten times as much from eight to six.
        let of_day = |hour: u32| if (8..18).contains(&hour) { 2.0 } else { 0.2 };
        let monday: UtcTime = "2025-01-06T00:00:00Z".parse().expect("a time");
        let mut profile = Profile::default();
        for hour in 0..168 * 4 {
            let minute = Minute(monday.minute().0 + hour * 60 + 30);
            profile.learn(minute, of_day(hour % 24) as f32, 200.0, 1.0);
        }
        for (at, minutes) in [(9, 360.0), (10, 360.0), (8, 360.0), (9, 180.0), (19, 360.0), (9, 60.0)] {
            let until = monday.plus_seconds(i64::from(at) * 3600 + 7 * 86_400);
            let shape = Shape::of(Week::Of(&profile, WeekClock::default()), until, minutes);
            let hours = (minutes / 60.0) as u32;
            let learned = (at - hours..at).map(|hour| f64::from(profile.hour(hour as usize))).sum::<f64>();
            let ratio = shape.factor * f64::from(hours) / learned;
            assert!((0.8..1.25).contains(&ratio), "{minutes} minutes up to {at}: {ratio}");
        }
    }
}
