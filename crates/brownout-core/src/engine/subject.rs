//! Everything that is counted about one service.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use libm::log;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::clocks::Clocks;
use super::doubts::Doubts;
use super::gaps::Gaps;
use super::priors::Prior;
use super::recent::{Count, Recent, Series};
use super::routes::Routes;
use super::sources::{SourceWindow, Standing};
use super::subnets::Subnet;
use super::usual::Means;
use crate::effect::RollUp;
use crate::model::{CountryCode, Facet, Minute, Policy, Report, SeriesKey, Service, ServiceId, UtcTime};
use crate::series::{
    Budget, DayRing, Expected, Learned, LearningRates, MinuteRing, Profile, Reading, is_elevated, onset,
    read, whole,
};
use crate::snapshot::Onset;

/// Most series of one service; what is beyond is counted in its parents only.
const SERIES_MAX: usize = 20_000;
/// Most places and networks that wait for enough sources to become a series.
const CANDIDATES_MAX: usize = 20_000;
/// Sources an hour from which a country has a weekly shape of its own: with fewer, weeks of counts tell less
/// than the shape of the service does.
const SHAPED_PER_HOUR_MIN: f64 = 2.0;
/// A place or network without a report for this many hours loses its series.
const EVICTED_AFTER_HOURS: u32 = 28 * 24;

/// What is to be known of a part of an open incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Watch {
    /// How it goes on: nothing that departs would change anything any more.
    Course,
    /// Also whether it departs, and how strongly.
    Departures,
}

/// What one look at a part of the service gave.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub(crate) facet: Facet,
    pub(crate) reading: Reading,
    /// A departure by the budget of "possible problems".
    pub(crate) departs: bool,
    /// Sources in 15 minutes, and those above usual in six hours, that no doubt touches.
    pub(crate) sound: (u32, u32),
    /// A departure of these by the budget of "detected problems".
    pub(crate) departs_strongly: bool,
    /// When it began; only for departures of parts that are not watched yet.
    pub(crate) onset: Option<Onset>,
}

/// Everything counted about one service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) service: ServiceId,
    born_hour: u32,
    /// What was assumed of it before it taught anything.
    pub(crate) prior: Prior,
    /// The country by whose clock the service as a whole is used; `None` is UTC.
    pub(super) clock: Option<CountryCode>,
    pub(crate) sources: SourceWindow,
    /// Sources of reports that came too late to be counted.
    late_sources: SourceWindow,
    /// Index 0 is the service as a whole.
    pub(crate) series: IndexMap<Facet, Series, FxBuildHasher>,
    #[serde(skip)]
    routes: Routes,
    pub(super) candidates: IndexMap<Facet, Vec<(Minute, u32, Subnet)>, FxBuildHasher>,
    /// Indices of series that have recent counts.
    active: Vec<u32>,
    /// Indices of series that got counts since the last look.
    touched: Vec<u32>,
    /// Indices of series with counts that may not have become history yet.
    unsettled: Vec<u32>,
    /// Parts of an open incident: read at every look.
    watched: BTreeMap<Facet, Watch>,
    /// Hours during which nothing is learned, `[from, to)`, oldest first; the last may be open.
    frozen: Vec<(u32, u32)>,
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

impl Subject {
    pub(crate) fn new(service: ServiceId, born_hour: u32, prior: Prior) -> Self {
        let mut subject = Subject {
            service,
            born_hour,
            prior,
            clock: None,
            sources: SourceWindow::default(),
            late_sources: SourceWindow::default(),
            series: IndexMap::default(),
            routes: Routes::default(),
            candidates: IndexMap::default(),
            active: Vec::new(),
            touched: Vec::new(),
            unsettled: Vec::new(),
            watched: BTreeMap::new(),
            frozen: Vec::new(),
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
        Series { learned: Learned::new(self.born_hour), home, recent: None, profile }
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
        let at = report.occurred_at.min(received_at);
        let standing = self.sources.admit(&report.source, at, policy);
        let hundredths = u32::from(report.weight.percent());
        if standing != Standing::New || hundredths == 0 {
            return standing;
        }
        let minute = at.minute();
        let count = Count {
            minute,
            hour: minute.hour(),
            hundredths,
            subnet: Subnet::new(report.source.generation, report.source.subnet),
            home: report.place.country,
        };
        self.day.add(minute, hundredths);
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
        standing
    }

    /// Draws a report that came too late into the chart of the last day; it is never detected on, and
    /// takes nothing away from those that are.
    pub(crate) fn chart_late(&mut self, report: &Report, policy: &Policy) -> Standing {
        let standing = self.late_sources.admit(&report.source, report.occurred_at, policy);
        if standing != Standing::New {
            return standing;
        }
        self.dirty = true;
        self.day.add(report.occurred_at.minute(), u32::from(report.weight.percent()));
        standing
    }

    /// Where the series of a facet is.
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
                self.series.insert_full(facet, self.new_series(facet, home)).0
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

    /// Looks at what got counts since the last look and at what is watched; signals by facet.
    pub(crate) fn look(&mut self, at: UtcTime, policy: &Policy, service: Option<&Service>) -> Vec<Signal> {
        let is_minute = at == at.minute().start();
        if is_minute && !self.watched.is_empty() {
            self.doubt(at, policy, service);
        }
        let mut signals = Vec::new();
        // Which share of a service comes from a part is a guess as long as the service is one, and a newcomer
        // whose reports all come from one country is no outage there.
        let whole_only = self.is_learning() && self.watched.is_empty();
        let mut touched = std::mem::take(&mut self.touched);
        for index in touched.drain(..) {
            let Some((facet, series)) = self.series.get_index_mut(index as usize) else { continue };
            let Some(recent) = &mut series.recent else { continue };
            recent.touched = false;
            // Most series never reach the floor, so nothing more is worked out for them.
            if whole(recent.ring.total()) >= policy.possible_sources_min
                && !matches!(facet, Facet::Kind(_) | Facet::Channel(_))
                && !self.watched.contains_key(facet)
                && (index == 0 || !whole_only)
            {
                signals.extend(self.look_at(index as usize, at, policy));
            }
        }
        self.touched = touched;
        let watched = self.watched.iter();
        signals.extend(watched.filter_map(|(facet, watch)| self.look_at_watched(*facet, *watch, at, policy)));
        signals.sort_unstable_by_key(|signal| signal.facet);
        if self.watched.is_empty() && !signals.is_empty() {
            self.doubt(at, policy, service);
        }
        signals
    }

    /// A departure that is not part of an incident yet.
    fn look_at(&self, index: usize, at: UtcTime, policy: &Policy) -> Option<Signal> {
        let (facet, series) = self.series.get_index(index)?;
        let (facet, recent) = (*facet, series.recent.as_deref()?);
        let usual = |minutes| self.usual(facet, series, at, minutes);
        // What departs must also be going on; a long window still departs hours after it is over.
        if !is_elevated(&recent.ring, at, usual)
            || recent.subnets.estimate(at.minute().hour()) < policy.possible_subnets_min
        {
            return None;
        }
        let (possible, detected) = self.budgets(facet, policy);
        let reading = read(&recent.windows(at), usual);
        reading.exceeds(possible).then(|| Signal {
            facet,
            reading,
            departs: true,
            sound: (reading.observed, reading.risen_longest),
            departs_strongly: reading.exceeds(detected),
            onset: Some(onset(&recent.ring, at, usual)),
        })
    }

    /// How a part of an incident stands.
    fn look_at_watched(&self, facet: Facet, watch: Watch, at: UtcTime, policy: &Policy) -> Option<Signal> {
        let series = self.series.get(&facet)?;
        let recent = series.recent.as_deref();
        let windows = recent.map(|recent| recent.windows(at)).unwrap_or_default();
        let usual = |minutes| self.usual(facet, series, at, minutes);
        if watch == Watch::Course {
            let reading = Reading::of_course(&windows, usual);
            let sound = (reading.observed, reading.risen_longest);
            return Some(Signal {
                facet,
                reading,
                departs: false,
                sound,
                departs_strongly: false,
                onset: None,
            });
        }
        let reading = read(&windows, usual);
        let subnets = recent.map_or(0, |recent| recent.subnets.estimate(at.minute().hour()));
        let (possible, detected) = self.budgets(facet, policy);
        let departs = reading.elevated && reading.exceeds(possible) && subnets >= policy.possible_subnets_min;
        // What is doubted does not confirm: the rest has to be enough by itself.
        let rest = match recent.filter(|_| departs && self.doubts.is_any()) {
            Some(recent) => {
                let sound = self.doubts.sound(facet, at, |hour| recent.hour(hour));
                read(&windows.of_rise(sound, usual), usual)
            }
            None => reading,
        };
        let sound = (rest.observed, rest.risen_longest);
        let departs_strongly = departs && rest.exceeds(detected);
        Some(Signal { facet, reading, departs, sound, departs_strongly, onset: None })
    }

    /// Half of the service's budget goes to the service as a whole, half is shared by its parts.
    fn budgets(&self, facet: Facet, policy: &Policy) -> (Budget, Budget) {
        let share = if facet == Facet::All { 0.5 } else { 0.5 / self.series.len().max(1) as f64 };
        let budget = |per_year: f64| Budget {
            ln_per_year: log(per_year * share),
            sources_min: policy.possible_sources_min,
        };
        (budget(policy.possible_per_service_year), budget(policy.detected_per_service_decade / 10.0))
    }

    /// Whether the service as a whole still goes by the prior.
    pub(crate) fn is_learning(&self) -> bool {
        self.series.get_index(0).is_none_or(|(_, whole)| whole.learned.is_learning())
    }

    /// The correlator's decisions of the tick before: what to watch, whether to learn.
    pub(crate) fn obey(&mut self, watched: BTreeMap<Facet, Watch>, freeze: Option<bool>, hour: u32) {
        for facet in self.watched.keys().filter(|facet| !watched.contains_key(*facet)) {
            if let Some(recent) = self.series.get_mut(facet).and_then(|series| series.recent.as_mut()) {
                recent.over_hour = hour;
            }
        }
        if watched.is_empty() {
            self.doubts.clear();
        }
        self.watched = watched;
        self.dirty = true;
        match freeze {
            // The hour before is left out too: the rise began before it was called.
            Some(true) => self.frozen.push((hour.saturating_sub(1), u32::MAX)),
            Some(false) => {
                if let Some(last) = self.frozen.last_mut().filter(|last| last.1 == u32::MAX) {
                    last.1 = hour + 1;
                }
            }
            None => {}
        }
    }

    /// Nothing is learned from the hours `[from, to)`: too little of what happened was heard.
    pub(crate) fn leave_out(&mut self, from: u32, to: u32) {
        match self.frozen.last_mut() {
            Some(last) if last.0 <= from && from <= last.1 => last.1 = last.1.max(to),
            _ => self.frozen.push((from, to)),
        }
    }

    /// Long windows do not reach back to what another was to blame for.
    pub(crate) fn leave_behind(&mut self, hour: u32) {
        for index in &self.active {
            if let Some(recent) = self.series[*index as usize].recent.as_mut() {
                recent.over_hour = hour;
            }
        }
    }

    fn is_frozen(&self, hour: u32, policy: &Policy) -> bool {
        self.frozen.iter().any(|(from, to)| {
            hour >= *from && hour < (*to).min(from.saturating_add(policy.freeze_hours_max + 1))
        })
    }

    /// Once an hour: learns from hours that are old enough and puts idle series to rest.
    pub(crate) fn turn_hour(&mut self, hour: u32, policy: &Policy, rates: LearningRates, gaps: &Gaps) {
        let keep_per_week = libm::pow(rates.keep_per_hour, 168.0) as f32;
        self.set_clocks(hour, policy);
        let mut clocks = Clocks::default();
        for index in std::mem::take(&mut self.active) {
            self.shape_country(index as usize);
            self.fold(index as usize, hour, policy, (rates, keep_per_week), (gaps, &mut clocks));
            let Some((facet, series)) = self.series.get_index_mut(index as usize) else { continue };
            let rests = series.recent.as_ref().is_some_and(|recent| {
                hour.saturating_sub(recent.last.hour()) > rates.lag_hours + 2
                    && !self.watched.contains_key(facet)
            });
            if rests {
                series.recent = None;
            } else {
                self.active.push(index);
            }
        }
        self.learn_views(hour, policy, rates, gaps);
        if self.active.is_empty() {
            self.sources.forget();
            self.late_sources.forget();
            self.routes.clear();
            self.series.shrink_to_fit();
        }
        let horizon = Minute(hour.saturating_sub(24) * 60);
        self.candidates.retain(|_, waiting| waiting.last().is_some_and(|(minute, ..)| *minute >= horizon));
        self.frozen.retain(|(_, to)| *to > hour.saturating_sub(48));
        if hour.is_multiple_of(24) {
            self.evict(hour);
        }
    }

    /// A country that is known and busy enough to show a day of its own begins with that of the service.
    fn shape_country(&mut self, index: usize) {
        let Some((facet, series)) = self.series.get_index(index) else { return };
        if series.profile.is_some() || !matches!(facet, Facet::Country(_)) || series.learned.is_learning() {
            return;
        }
        if series.learned.level(self.prior(*facet).mean) < SHAPED_PER_HOUR_MIN {
            return;
        }
        let whole = self.series.get_index(0).and_then(|(_, whole)| whole.profile.as_deref());
        let day = whole.and_then(Profile::day).or(self.prior.day);
        let profile = day.as_ref().map(Profile::borrowed).unwrap_or_default();
        if let Some((_, series)) = self.series.get_index_mut(index) {
            series.profile = Some(Box::new(profile));
        }
    }

    /// Learns from the hour before `hour` how often the service's page is opened.
    fn learn_views(&mut self, hour: u32, policy: &Policy, rates: LearningRates, gaps: &Gaps) {
        if self.views_learned.is_none() && self.page_views.total() == 0 {
            return;
        }
        let last = hour.saturating_sub(1);
        let mut learned = self.views_learned.unwrap_or_else(|| Learned::new(last));
        if self.is_frozen(last, policy)
            || learned.folded_hour != last
            || gaps.touch(Minute(last.saturating_mul(60)), 60)
        {
            learned.leave_out(hour);
        } else {
            let views = self.page_views.sum(Minute(hour.saturating_mul(60)).minus(1), 60) as f64;
            let profile = self.series.get_index(0).and_then(|(_, whole)| whole.profile.as_deref());
            let middle = Minute(last.saturating_mul(60)).start().plus_seconds(1800);
            let factor = profile.map_or(1.0, |profile| f64::from(profile.at(middle)));
            let prior = Expected { mean: views.max(1.0), size: Learned::noise_size_default() };
            learned.learn(views, factor, prior, rates);
        }
        self.views_learned = Some(learned);
    }

    /// Series that have rested for four weeks go; what they knew has faded by half anyway.
    fn evict(&mut self, hour: u32) {
        let kept = |facet: &Facet, series: &Series| {
            !matches!(facet, Facet::City(_) | Facet::Network(_) | Facet::Region(_))
                || series.recent.is_some()
                || hour.saturating_sub(series.learned.folded_hour) < EVICTED_AFTER_HOURS
        };
        if self.series.iter().any(|(facet, series)| !kept(facet, series)) {
            let active: Vec<Facet> = self.active().map(|(facet, _)| *facet).collect();
            self.series.retain(|facet, series| kept(facet, series));
            // Indices moved; whatever was touched is looked at again.
            let moved = active.iter().filter_map(|facet| self.series.get_index_of(facet));
            self.active = moved.map(|index| index as u32).collect();
            self.routes.clear();
            self.touched.clear();
            self.unsettled.clear();
            for (index, series) in self.series.values().enumerate() {
                let Some(recent) = &series.recent else { continue };
                if recent.touched {
                    self.touched.push(index as u32);
                }
                if recent.unsettled {
                    self.unsettled.push(index as u32);
                }
            }
        }
    }

    fn fold(
        &mut self,
        index: usize,
        hour: u32,
        policy: &Policy,
        (rates, keep_per_week): (LearningRates, f32),
        (gaps, clocks): (&Gaps, &mut Clocks),
    ) {
        let Some((facet, series)) = self.series.get_index_mut(index) else { return };
        let (facet, mut learned) = (*facet, series.learned);
        let mut own = series.profile.take();
        let prior = self.prior(facet);
        // While nothing is known a fresh hour is worth more than the caution of the lag.
        let lag = |learned: &Learned| if learned.is_learning() { 1 } else { rates.lag_hours };
        while learned.folded_hour.saturating_add(lag(&learned)) <= hour {
            let folding = learned.folded_hour;
            let Some((_, series)) = self.series.get_index(index) else { break };
            let Some(recent) = &series.recent else { break };
            if self.is_frozen(folding, policy) || gaps.touch(Minute(folding.saturating_mul(60)), 60) {
                learned.leave_out(folding + 1);
                continue;
            }
            // By the clock that held then: an hour is learned a day later.
            let middle = Minute(folding.saturating_mul(60)).start().plus_seconds(1800);
            let ahead = clocks.ahead(self.clock_of(facet, series), middle, &policy.holidays);
            let local = middle.plus_seconds(i64::from(ahead) * 60);
            let profile = own.as_deref().or_else(|| self.profile(series));
            let factor = profile.map_or(1.0, |profile| profile.at_local(local));
            let counted = f64::from(recent.hour(folding)) / 100.0;
            let weight = learned.learn(counted, f64::from(factor), prior, rates);
            if let Some(profile) = &mut own {
                let level = learned.level(prior.mean).max(1e-6);
                let size = learned.noise_size(prior.size, level);
                let told = weight * level * size / (level + size);
                profile.learn(local.minute(), (counted / level) as f32, told as f32, keep_per_week);
            }
        }
        if let Some((_, series)) = self.series.get_index_mut(index) {
            series.learned = learned;
            series.profile = own;
        }
    }

    /// Counts of the five minutes that begin with `start`, for the history, by facet; nothing can
    /// come to them any more.
    pub(crate) fn roll_up(&mut self, start: Minute, into: &mut Vec<RollUp>) {
        let next = start.plus(5);
        let from = into.len();
        let mut unsettled = std::mem::take(&mut self.unsettled);
        let mut means = Means::new(self, next.start(), 5.0);
        let mut settled = Vec::new();
        unsettled.retain(|index| {
            let Some((facet, series)) = self.series.get_index(*index as usize) else { return false };
            let Some(recent) = &series.recent else { return false };
            let sum = recent.ring.sum(start.plus(4), 5);
            if sum > 0 {
                into.push(RollUp {
                    key: SeriesKey { service: self.service, facet: *facet },
                    start,
                    hundredths: u32::try_from(sum).unwrap_or(u32::MAX),
                    expected: means.mean(*facet, series) as f32,
                });
            }
            if recent.last < next {
                settled.push(*index);
            }
            recent.last >= next
        });
        self.unsettled = unsettled;
        for index in settled {
            if let Some(recent) = self.series[index as usize].recent.as_mut() {
                recent.unsettled = false;
            }
        }
        into[from..].sort_unstable_by_key(|row| row.key.facet.packed());
    }

    /// Whether a series has counts that may not have become history yet.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
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
