//! Everything that is counted about one service.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::clocks::WeekClock;
use super::correlator::Freeze;
use super::doubts::Doubts;
use super::order::Order;
use super::priors::Prior;
use super::recent::{Count, Recent, Series};
use super::routes::Routes;
use super::settled::Settled;
use super::sources::{SourceWindow, Standing};
use super::subnets::Subnet;
use super::week::Part;
use crate::model::{CountryCode, Facet, Minute, Place, Policy, Report, ServiceId, UtcTime, minutes_ahead};
use crate::series::{DayRing, Learned, LearningRates, MinuteRing, Profile};

/// Most series of one service; what is beyond is counted in its parents only.
const SERIES_MAX: usize = 20_000;
/// Most places and networks that wait for enough sources to become a series.
const CANDIDATES_MAX: usize = 20_000;

/// What is to be known of a part of an open incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Watch {
    /// How it goes on: nothing that departs would change anything any more.
    Course,
    /// Also whether it departs, and how strongly.
    Departures,
}

/// Which series leave behind what was counted so far: they depart no more by windows that reach back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Behind {
    /// None: nothing that was counted is explained.
    Nothing,
    /// Those that are not watched any more: their part of an incident is over.
    Unwatched,
    /// All: another was to blame.
    Everything,
}

/// Everything counted about one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) service: ServiceId,
    pub(super) born_hour: u32,
    /// What was assumed of it before it taught anything.
    pub(crate) prior: Prior,
    /// The country by whose clock the service as a whole is used; `None` is UTC.
    pub(super) clock: Option<CountryCode>,
    pub(crate) sources: SourceWindow,
    /// Sources of reports that came too late to be counted.
    pub(super) late_sources: SourceWindow,
    /// Reports whose order may still change.
    pub(super) order: Order,
    /// What settled counts say.
    pub(super) settled: Settled,
    /// Index 0 is the service as a whole.
    pub(crate) series: IndexMap<Facet, Series, FxBuildHasher>,
    #[serde(skip)]
    pub(super) routes: Routes,
    pub(super) candidates: IndexMap<Facet, Vec<(Minute, u32, Subnet)>, FxBuildHasher>,
    /// How much of it its countries are, as of this hour.
    pub(super) countries: Vec<Part>,
    /// Indices of series that have recent counts.
    pub(super) active: Vec<u32>,
    /// Indices of series that got counts since the last look.
    pub(super) touched: Vec<u32>,
    /// Indices of series with counts that may not have become history yet.
    pub(super) unsettled: Vec<u32>,
    /// Parts of an open incident: read at every look.
    pub(super) watched: BTreeMap<Facet, Watch>,
    /// Hours during which nothing is learned, `[from, to)`, oldest first; the last may be open.
    pub(super) frozen: Vec<Frozen>,
    /// The last hour from which on what recurs is learned as usual.
    anew_at: Option<u32>,
    pub(crate) page_views: MinuteRing,
    /// Views an hour; nothing before the first.
    pub(super) views_learned: Option<Learned>,
    /// Why a rise that goes on may be nobody's.
    pub(super) doubts: Doubts,
    /// The last day of the service as a whole.
    pub(crate) day: DayRing,
    pub(crate) last_report_at: Option<UtcTime>,
    /// Something to show has changed since the last snapshot. It is no part of the state: whether
    /// anybody looked must not tell a live engine from a replayed one.
    #[serde(skip)]
    pub(crate) dirty: bool,
}

/// What so many incidents of the last days held at the same hour is usual at that hour: as nothing is learned
/// from incidents, it would be called for ever.
const RECURS_INCIDENTS: usize = 3;
pub(super) const RECURS_WITHIN_DAYS: u32 = 10;

/// Hours from which nothing is learned.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Frozen {
    from: u32,
    /// One past the last; the greatest while an incident goes on.
    pub(super) to: u32,
    /// It is one of an incident, and not of silence.
    is_incident: bool,
    /// From when on the longest time is counted: its beginning, or when an operator extended it.
    since: u32,
}

impl Frozen {
    fn new(from: u32, to: u32) -> Self {
        Frozen { from, to, since: from, is_incident: to == u32::MAX }
    }

    /// Whether it held an hour and has ended.
    fn held(&self, hour: u32) -> bool {
        self.to != u32::MAX && (self.from..self.to).contains(&hour)
    }

    fn longest(&self, policy: &Policy) -> u32 {
        self.since.saturating_add(policy.freeze_hours_max + 1)
    }

    fn holds(&self, hour: u32, now: u32, policy: &Policy) -> bool {
        let until = self.new_normal(now, policy).unwrap_or(self.to.min(self.longest(policy)));
        (self.from..until).contains(&hour)
    }

    /// What an incident brings that goes on for as long as learning may be frozen is usual from then on. Then
    /// the hours of late are learned, which are as many as learning lags behind; the first of them.
    fn new_normal(&self, now: u32, policy: &Policy) -> Option<u32> {
        let longest = self.longest(policy);
        let goes_on = self.to == u32::MAX && now >= longest;
        goes_on.then(|| longest.saturating_sub(policy.learning_lag_hours).max(self.from + 1))
    }
}

impl Subject {
    pub(crate) fn new(service: ServiceId, born_hour: u32, prior: Prior) -> Self {
        let mut subject = Subject {
            service,
            born_hour,
            prior,
            clock: None,
            sources: SourceWindow::default(),
            late_sources: SourceWindow::default(),
            order: Order::default(),
            settled: Settled::default(),
            series: IndexMap::default(),
            routes: Routes::default(),
            candidates: IndexMap::default(),
            countries: Vec::new(),
            active: Vec::new(),
            touched: Vec::new(),
            unsettled: Vec::new(),
            watched: BTreeMap::new(),
            frozen: Vec::new(),
            anew_at: None,
            day: DayRing::new(Minute(born_hour.saturating_mul(60))),
            page_views: MinuteRing::new(Minute(0)),
            views_learned: None,
            doubts: Doubts::default(),
            last_report_at: None,
            dirty: true,
        };
        subject.series.insert(Facet::All, subject.new_series(Facet::All, None));
        subject
    }

    fn new_series(&self, facet: Facet, home: Option<CountryCode>) -> Series {
        // The service begins with the day of its category; countries get one of their own when they have
        // taught enough (see `shape_country`).
        let profile = || Box::new(self.prior.day.as_ref().map(Profile::borrowed).unwrap_or_default());
        let profile = (facet == Facet::All).then(profile);
        Series {
            learned: Learned::new(self.born_hour),
            home,
            clock: WeekClock::default(),
            apart_minutes: 0,
            recent: None,
            profile,
        }
    }

    /// Counts a report in the minute it happened. `received_at` is the present.
    pub(crate) fn count(
        &mut self,
        report: &Report,
        received_at: UtcTime,
        policy: &Policy,
        rates: LearningRates,
    ) -> Standing {
        self.last_report_at = Some(received_at);
        self.dirty = true;
        let report = Report { occurred_at: report.occurred_at.min(received_at), ..*report };
        let admission = self.sources.admit(&report.source, report.occurred_at, policy);
        self.order.hold(&report, admission, received_at, policy);
        if admission.standing == Standing::New {
            self.add_all(&report, policy, rates);
        }
        admission.standing
    }

    /// Counts a source for every part of the service that it belongs to.
    pub(super) fn add_all(&mut self, report: &Report, policy: &Policy, rates: LearningRates) {
        let Some(count) = Count::of(report) else { return };
        self.day.add(count.minute, count.hundredths);
        self.add_at(0, count, rates);
        if let Some(country) = report.place.country {
            self.add(Facet::Country(country), count, rates);
        }
        if let Some(region) = report.place.region {
            self.add(Facet::Region(region), count, rates);
        }
        if let Some(city) = report.place.city {
            self.add_once_materialised(Facet::City(city), count, policy, rates);
        }
        if let Some(asn) = report.network {
            self.add_once_materialised(Facet::Network(asn), count, policy, rates);
        }
        self.add(Facet::Kind(report.kind), count, rates);
        self.add(Facet::Channel(report.channel), count, rates);
    }

    /// Takes away what [`Subject::add_all`] counted.
    pub(super) fn take_all(&mut self, report: &Report) {
        let Some(count) = Count::of(report) else { return };
        self.day.take(count.minute, count.hundredths);
        let Place { country, region, city } = report.place;
        let facets = [
            Some(Facet::All),
            country.map(Facet::Country),
            region.map(Facet::Region),
            city.map(Facet::City),
            report.network.map(Facet::Network),
            Some(Facet::Kind(report.kind)),
            Some(Facet::Channel(report.channel)),
        ];
        for facet in facets.into_iter().flatten() {
            if let Some(index) = self.index_of(facet) {
                if let Some(recent) = self.series[index].recent.as_deref_mut() {
                    recent.take(count.minute, count.hour, count.hundredths);
                }
            } else if let Some(waiting) = self.candidates.get_mut(&facet) {
                let counted = (count.minute, count.hundredths, count.subnet);
                if let Some(place) = waiting.iter().position(|one| *one == counted) {
                    waiting.remove(place);
                }
            }
        }
    }

    /// Draws a report that came too late into the chart of the last day; it is never detected on, and
    /// takes nothing away from those that are.
    pub(crate) fn chart_late(&mut self, report: &Report, policy: &Policy) -> Standing {
        let standing = self.late_sources.admit(&report.source, report.occurred_at, policy).standing;
        if standing != Standing::New {
            return standing;
        }
        self.dirty = true;
        self.day.add(report.occurred_at.minute(), u32::from(report.weight.percent()));
        standing
    }

    /// Where the series of a facet is.
    pub(super) fn place_of(&self, facet: Facet) -> Option<usize> {
        self.routes.find(facet).or_else(|| self.series.get_index_of(&facet))
    }

    /// The same for one that will be asked for again.
    fn index_of(&mut self, facet: Facet) -> Option<usize> {
        self.routes.find(facet).or_else(|| {
            let index = self.series.get_index_of(&facet)?;
            self.routes.remember(facet, index);
            Some(index)
        })
    }

    pub(super) fn add(&mut self, facet: Facet, count: Count, rates: LearningRates) {
        let index = match self.index_of(facet) {
            Some(index) => index,
            None if self.series.len() >= SERIES_MAX => return,
            None => {
                let local = matches!(facet, Facet::Region(_) | Facet::City(_) | Facet::Network(_));
                let home = local.then_some(count.home).flatten();
                let mut series = self.new_series(facet, home);
                if let Facet::Country(country) = facet {
                    series.clock = WeekClock::new(minutes_ahead(country, count.minute.start()));
                    series.apart_minutes = self.apart(facet, count.minute.start());
                }
                self.series.insert_full(facet, series).0
            }
        };
        self.add_at(index, count, rates);
    }

    /// Counts for the series at an index.
    fn add_at(&mut self, index: usize, count: Count, rates: LearningRates) {
        let Some((_, series)) = self.series.get_index_mut(index) else { return };
        let recent = match &mut series.recent {
            Some(recent) => recent,
            None => {
                series.learned.pass_silently(count.hour, rates);
                self.active.push(index as u32);
                series.recent.insert(Box::new(Recent::new(count.minute)))
            }
        };
        recent.add(count);
        if !recent.touched {
            recent.touched = true;
            self.touched.push(index as u32);
        }
        if !recent.unsettled {
            recent.unsettled = true;
            self.unsettled.push(index as u32);
        }
    }

    /// Counts for a city or network, which becomes a series only after a few sources.
    fn add_once_materialised(&mut self, facet: Facet, count: Count, policy: &Policy, rates: LearningRates) {
        if let Some(index) = self.index_of(facet) {
            return self.add_at(index, count, rates);
        }
        if self.candidates.len() >= CANDIDATES_MAX && !self.candidates.contains_key(&facet) {
            return;
        }
        let waiting = self.candidates.entry(facet).or_default();
        waiting.push((count.minute, count.hundredths, count.subnet));
        if waiting.len() >= policy.materialise_sources as usize {
            let waiting = self.candidates.swap_remove(&facet).unwrap_or_default();
            for (minute, hundredths, subnet) in waiting {
                let hour = minute.hour();
                self.add(facet, Count { minute, hour, hundredths, subnet, ..count }, rates);
            }
        }
    }

    /// Whether the service as a whole still goes by the prior.
    pub(crate) fn is_learning(&self) -> bool {
        self.series.get_index(0).is_none_or(|(_, whole)| whole.learned.is_learning())
    }

    /// The correlator's decisions of the tick before: what to watch, whether to learn, and what is left
    /// behind.
    pub(crate) fn obey(
        &mut self,
        watched: BTreeMap<Facet, Watch>,
        freeze: Option<Freeze>,
        behind: Behind,
        now: Minute,
    ) {
        let hour = now.hour();
        let left: Vec<usize> = match behind {
            Behind::Nothing => Vec::new(),
            Behind::Unwatched => {
                let unwatched = self.watched.keys().filter(|facet| !watched.contains_key(*facet));
                unwatched.filter_map(|facet| self.series.get_index_of(facet)).collect()
            }
            Behind::Everything => self.active.iter().map(|index| *index as usize).collect(),
        };
        for index in left {
            if let Some(recent) = self.series[index].recent.as_mut() {
                recent.over = now;
            }
        }
        if watched.is_empty() {
            self.doubts.clear();
        }
        self.watched = watched;
        self.dirty = true;
        let running = self.frozen.iter_mut().find(|frozen| frozen.to == u32::MAX);
        match (freeze, running) {
            // The hour before is left out too: the rise began before it was called.
            (Some(Freeze::Begin), None) => self.frozen.push(Frozen::new(hour.saturating_sub(1), u32::MAX)),
            (Some(Freeze::Extend), Some(running)) => running.since = hour,
            (Some(Freeze::End), Some(running)) => running.to = hour + 1,
            _ => {}
        }
    }

    /// Nothing is learned from the hours `[from, to)`: too little of what happened was heard.
    pub(crate) fn leave_out(&mut self, from: u32, to: u32) {
        match self.frozen.iter_mut().rfind(|frozen| !frozen.is_incident) {
            Some(last) if last.from <= from && from <= last.to => last.to = last.to.max(to),
            _ => self.frozen.push(Frozen::new(from, to)),
        }
    }

    /// Whether incidents held the same hour on so many days before that it is usual. One that went on over
    /// several days counts once, and so do several of one day.
    pub(super) fn recurs(&self, hour: u32) -> bool {
        let on_day = |day: u32| {
            let then = hour.saturating_sub(24 * day);
            self.frozen.iter().position(|frozen| frozen.is_incident && frozen.held(then))
        };
        let mut incidents: Vec<usize> = (1..=RECURS_WITHIN_DAYS).filter_map(on_day).collect();
        incidents.dedup();
        incidents.len() >= RECURS_INCIDENTS
    }

    /// Whether nothing is learned from an hour, as is known `now`.
    pub(super) fn is_frozen(&self, hour: u32, now: u32, policy: &Policy) -> bool {
        let holds =
            |frozen: &Frozen| frozen.holds(hour, now, policy) && !(frozen.is_incident && self.recurs(hour));
        self.frozen.iter().any(holds)
    }

    /// Whether an hour is the first of what an incident that does not end, or several by turns, have made usual.
    pub(super) fn begins_anew(&self, hour: u32, now: u32, policy: &Policy) -> bool {
        self.frozen.iter().any(|frozen| frozen.new_normal(now, policy) == Some(hour))
            || self.anew_at == Some(hour)
    }

    /// Notes that an hour, the next to be learned, is the first of what recurs; not again within the days that
    /// it is told by.
    pub(super) fn note_recurring(&mut self, hour: u32) {
        let is_news = self.anew_at.is_none_or(|last| hour >= last + 24 * RECURS_WITHIN_DAYS);
        if is_news && self.recurs(hour) && !self.recurs(hour.saturating_sub(1)) {
            self.anew_at = Some(hour);
        }
    }

    /// Whether the incident that goes on has made usual what it brings.
    pub(crate) fn became_usual(&self, now: u32, policy: &Policy) -> bool {
        self.frozen.iter().any(|frozen| frozen.new_normal(now, policy).is_some())
    }

    /// Whether a series has counts that may not have become history yet, or a signal of such goes on.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty() || !self.settled.is_idle()
    }

    /// Series with recent counts, in no order that means anything.
    pub(crate) fn active(&self) -> impl ExactSizeIterator<Item = (&Facet, &Series)> {
        // Indices of series that exist; the first is only named so that nothing has to be refused.
        self.active
            .iter()
            .map(|index| self.series.get_index(*index as usize).unwrap_or((&Facet::All, &self.series[0])))
    }

    /// Hour in which the service came into the catalogue.
    pub(crate) fn born_hour(&self) -> u32 {
        self.born_hour
    }

    /// Whether anything waits to be looked at.
    pub(crate) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }
}
