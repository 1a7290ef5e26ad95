//! Draws snapshots: what changed anew, what did not by reference.

use std::collections::VecDeque;
use std::sync::Arc;

use indexmap::IndexMap;
use libm::log;
use rustc_hash::FxBuildHasher;

use super::EngineState;
use super::gaps::Gaps;
use super::recent::Series;
use super::subject::Subject;
use crate::model::{CountryCode, Facet, Minute, Policy, ServiceId, UtcTime};
use crate::reach::ServiceReach;
use crate::series::ln_per_year;
use crate::series::negative_binomial::quantile;
use crate::series::{DayRing, Expected, whole};
use crate::snapshot::{Band, Bar, Chart, CountryView, PlaceView, Rarest, ServiceView, Snapshot, State};
use crate::verdict::{Facts, Part, judge};

/// Most rows of one list of places or networks.
const ROWS_MAX: usize = 50;
/// Bars of a day's chart.
const BARS: u32 = DayRing::STEPS;

/// What is kept between snapshots so that each costs only what changed.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    serial: u64,
    step: u32,
    views: IndexMap<ServiceId, Arc<ServiceView>, FxBuildHasher>,
    /// Of each view, the countries with reports, also those that it does not show.
    countries: IndexMap<ServiceId, Vec<CountryCount>, FxBuildHasher>,
    /// Usual per hour, newest last: the usual of an hour is drawn once and stays as it was.
    usual: IndexMap<ServiceId, VecDeque<(u32, Band, f32)>, FxBuildHasher>,
    incidents: IndexMap<ServiceId, (u64, Arc<crate::snapshot::IncidentView>), FxBuildHasher>,
}

impl Publisher {
    pub(super) fn publish(&mut self, state: &mut EngineState) -> Arc<Snapshot> {
        let at = state.now;
        // Serials must grow over restarts too, for readers keep them.
        self.serial = (self.serial + 1).max(u64::try_from(state.now.millis() / 100).unwrap_or(0));
        let step = at.minute().0 / 5;
        let all_new = step != self.step;
        self.step = step;
        let catalogue = state.catalogue.clone();
        let mut services = Vec::with_capacity(catalogue.len());
        for service in catalogue.iter() {
            let known = self.views.get(&service.id);
            let shard = state.shard_of(service.id);
            let measured = state.shards[shard].measured.remove(&service.id);
            let subject = state.shards[shard].subjects.get_mut(&service.id);
            let dirty = subject.is_some_and(|subject| std::mem::take(&mut subject.dirty))
                || measured
                || state.correlator.open(service.id).is_some()
                || state.correlator.holding().is_held(service.id);
            match known {
                Some(view) if !dirty && !all_new => services.push(view.clone()),
                _ => {
                    let view = Arc::new(self.draw(state, service.id, at));
                    self.views.insert(service.id, view.clone());
                    services.push(view);
                }
            }
        }
        self.snapshot(state, at, services)
    }

    fn snapshot(
        &mut self,
        state: &EngineState,
        at: UtcTime,
        services: Vec<Arc<ServiceView>>,
    ) -> Arc<Snapshot> {
        let mut incidents = Vec::new();
        self.incidents.retain(|service, _| state.correlator.open(*service).is_some());
        for service in state.correlator.open_services() {
            let Some(incident) = state.correlator.open(service) else { continue };
            let kept = self.incidents.get(&service).filter(|(changes, _)| *changes == incident.changes());
            let view = match kept {
                Some((_, view)) => view.clone(),
                None => {
                    let view = Arc::new(incident.view());
                    self.incidents.insert(service, (incident.changes(), view.clone()));
                    view
                }
            };
            incidents.push(view);
        }
        incidents.sort_by_key(|view| {
            (std::cmp::Reverse(view.scopes.first().map_or(0, |scope| scope.observed)), view.id)
        });
        incidents.extend(state.correlator.ended().iter().cloned());
        let mut totals = state.totals;
        totals.sources_15_minutes = services.iter().map(|view| u64::from(view.observed)).sum();
        for subject in state.shards.iter().flat_map(|shard| shard.subjects.values()) {
            totals.settled_early += subject.order.settled_early();
            totals.series += subject.series.len() as u64;
            totals.series_active += subject.active().len() as u64;
        }
        let reach = state.shards.iter().flat_map(|shard| shard.reach.values());
        totals.measurements_crowded_out = reach.map(ServiceReach::crowded_out).sum();
        Arc::new(Snapshot {
            serial: self.serial,
            at,
            seq: state.seq,
            last_report_at: state.last_report_at,
            catalogue: state.catalogue.clone(),
            channels: state.channels.iter().map(|(id, name)| (*id, name.clone())).collect(),
            causes: state.correlator.holding().views(|service| state.correlator.open(service)),
            countries: self.countries(&services, state.policy.materialise_sources),
            silences: state.arrivals.silent(),
            disruptions: state.countries.disruptions().to_vec(),
            place_sources_min: state.policy.materialise_sources,
            services,
            incidents,
            totals,
        })
    }

    fn countries(&self, services: &[Arc<ServiceView>], sources_min: u32) -> Vec<CountryView> {
        let counts = |view: &ServiceView| self.countries.get(&view.service).map_or(&[][..], Vec::as_slice);
        countries(services.iter().map(|view| (&**view, counts(view))), sources_min)
    }

    fn draw(&mut self, state: &EngineState, service: ServiceId, at: UtcTime) -> ServiceView {
        let subject = state.shards[state.shard_of(service)].subjects.get(&service);
        let incident = state.correlator.open(service);
        let whole_series = subject.and_then(|subject| Some((subject, subject.series.get(&Facet::All)?)));
        let windows = whole_series.and_then(|(_, series)| Some(series.recent.as_deref()?.windows(at)));
        let windows = windows.unwrap_or_default();
        let expected = whole_series.map(|(subject, series)| subject.usual(Facet::All, series, at).of(15.0));
        let usual = expected.map(band).unwrap_or_default();
        let places = subject.map(|subject| Places::of(subject, state, at)).unwrap_or_default();
        self.countries.insert(service, places.counts);
        let observed = windows.shown();
        // Nobody can say "no problems" of what was never reported, or not for long enough to be known.
        let learning = subject.is_none_or(Subject::is_learning);
        let reported = subject.is_some_and(|subject| subject.last_report_at.is_some());
        let silence = subject.and_then(|subject| state.arrivals.deafens(subject));
        let known = reported && !learning && silence.is_none();
        let calm = if known { State::Calm } else { State::Insufficient };
        let verdict = incident.and_then(|incident| incident.verdict().cloned()).unwrap_or_else(|| {
            let whole = Part {
                facet: Facet::All,
                observed,
                expected: f64::from(usual.mean),
                rarest: Rarest::default(),
            };
            Arc::new(judge(&Facts {
                service,
                incident: None,
                revision: 0,
                as_of: at,
                state: calm,
                since: None,
                whole,
                parts: &[],
                located: None,
                sources_hour: windows.hour(),
                subnets: 0,
                learning,
                reported,
                silence,
                held: None,
                doubts: &[],
                because: &state.correlator.holding().reasons(service),
                became_usual: false,
                policy: &state.policy_digest,
            }))
        });
        let ended =
            state.correlator.ended().iter().filter(|view| view.id.service == service).map(|view| view.id);
        ServiceView {
            service,
            version: self.serial,
            state: incident.map_or(calm, super::ongoing::Incident::state),
            learning,
            incident: incident.map(super::ongoing::Incident::id),
            since: incident.map(super::ongoing::Incident::opened_at),
            observed,
            usual,
            verdict,
            chart: self.chart(service, whole_series, at, (&state.policy, &state.gaps)),
            kinds: places.kinds,
            channels: places.channels,
            page_views: subject.map_or(0, |subject| {
                u32::try_from(subject.page_views.sum(at.minute(), 60)).unwrap_or(u32::MAX)
            }),
            countries: places.countries,
            regions: places.regions,
            cities: places.cities,
            networks: places.networks,
            incidents: incident.map(super::ongoing::Incident::id).into_iter().chain(ended).collect(),
            last_report_at: subject.and_then(|subject| subject.last_report_at),
            reach: state.reach_view(service, at).map(Arc::new),
        }
    }

    /// The last 24 hours. Before the first report there is nothing to show, which is a gap.
    fn chart(
        &mut self,
        service: ServiceId,
        whole_series: Option<(&Subject, &Series)>,
        at: UtcTime,
        (policy, gaps): (&Policy, &Gaps),
    ) -> Chart {
        let step = at.minute().0 / 5;
        let first = (step + 1).saturating_sub(BARS);
        let mut chart =
            Chart { start: Minute(first * 5), step_minutes: 5, bars: Vec::new(), incomplete: true };
        let Some((subject, series)) = whole_series else {
            chart.bars = vec![Bar::default(); (step + 1 - first) as usize];
            return chart;
        };
        let usual = self.usual.entry(service).or_default();
        for hour in first / 12..=step / 12 {
            if usual.back().is_none_or(|(last, ..)| *last < hour) {
                let (band, threshold) = usual_of_hour(subject, series, hour, policy);
                usual.push_back((hour, band, threshold));
            }
        }
        while usual.front().is_some_and(|(hour, ..)| *hour < first / 12) {
            usual.pop_front();
        }
        let oldest = usual.front().map_or(0, |(hour, ..)| *hour);
        chart.bars = (first..=step)
            .map(|step| {
                let (_, band, threshold) =
                    usual.get((step / 12 - oldest) as usize).copied().unwrap_or_default();
                Bar { count: count_of(subject, step, gaps), usual: band, threshold }
            })
            .collect();
        chart
    }
}

/// One bar of the service as a whole, drawn from scratch: the same whenever it is asked for.
pub(super) fn bar((subject, series): (&Subject, &Series), step: u32, policy: &Policy, gaps: &Gaps) -> Bar {
    let (usual, threshold) = usual_of_hour(subject, series, step / 12, policy);
    Bar { count: count_of(subject, step, gaps), usual, threshold }
}

/// The count of five minutes; `None` where nobody was there to count.
fn count_of(subject: &Subject, step: u32, gaps: &Gaps) -> Option<u32> {
    let count = whole(u64::from(subject.day.get(step)));
    let collected = step / 12 >= subject.born_hour() && !gaps.touch(Minute(step.saturating_mul(5)), 5);
    (collected || count > 0).then_some(count)
}

/// What is usual for five minutes in the middle of an hour, and from which count they depart.
fn usual_of_hour(subject: &Subject, series: &Series, hour: u32, policy: &Policy) -> (Band, f32) {
    let middle = Minute(hour.saturating_mul(60)).start().plus_seconds(1800 + 150);
    let expected = subject.usual(Facet::All, series, middle).of(5.0);
    (band(expected), threshold(expected, policy))
}

fn band(expected: Expected) -> Band {
    Band {
        p10: quantile(0.1, expected) as f32,
        median: quantile(0.5, expected) as f32,
        p90: quantile(0.9, expected) as f32,
        mean: expected.mean as f32,
    }
}

/// The smallest count of five minutes that is a departure on its own.
fn threshold(expected: Expected, policy: &Policy) -> f32 {
    let allowed = log(policy.possible_per_service_year * 0.5);
    let is_usual = |count| ln_per_year(count, 5, expected) > allowed;
    let (mut low, mut high) = (policy.possible_sources_min, policy.possible_sources_min);
    while is_usual(high) && high < u32::MAX / 4 {
        low = high;
        high *= 2;
    }
    while low < high {
        let middle = low + (high - low) / 2;
        if is_usual(middle) { low = middle + 1 } else { high = middle }
    }
    low as f32
}

/// What one service has in a country. It is never shown by itself.
#[derive(Clone, Copy, Debug)]
struct CountryCount {
    country: CountryCode,
    /// Distinct sources of the last hour.
    hour: u32,
    /// Distinct sources of the last 15 minutes.
    observed: u32,
}

/// The lists of one service.
#[derive(Default)]
struct Places {
    kinds: Vec<(crate::model::ProblemKind, u32)>,
    channels: Vec<(crate::model::ChannelId, u32)>,
    /// Countries before any is left out.
    counts: Vec<CountryCount>,
    countries: Vec<PlaceView>,
    regions: Vec<PlaceView>,
    cities: Vec<PlaceView>,
    networks: Vec<PlaceView>,
}

impl Places {
    fn of(subject: &Subject, state: &EngineState, at: UtcTime) -> Self {
        let mut places = Places::default();
        let incident = state.correlator.open(subject.service);
        for (facet, series) in subject.active() {
            let Some(recent) = series.recent.as_deref() else { continue };
            let windows = recent.windows(at);
            let hour = windows.hour();
            if hour == 0 {
                continue;
            }
            match facet {
                Facet::All => continue,
                Facet::Kind(kind) => places.kinds.push((*kind, hour)),
                Facet::Channel(channel) => places.channels.push((*channel, hour)),
                Facet::Country(country) => {
                    let observed = windows.shown();
                    places.counts.push(CountryCount { country: *country, hour, observed });
                }
                _ => {}
            }
            // A place with very few sources could point at a person.
            let list = match facet {
                _ if hour < state.policy.materialise_sources => continue,
                Facet::Country(_) => &mut places.countries,
                Facet::Region(_) => &mut places.regions,
                Facet::City(_) => &mut places.cities,
                Facet::Network(_) => &mut places.networks,
                _ => continue,
            };
            let scope = incident.and_then(|incident| incident.scope(*facet)).filter(|scope| scope.is_open());
            list.push(PlaceView {
                facet: *facet,
                state: scope.map_or(State::Calm, |scope| scope.state()),
                since: scope.map(|scope| scope.since()),
                observed: windows.shown(),
                expected: subject.usual(*facet, series, at).of(15.0).mean as f32,
            });
        }
        places.kinds.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
        places.channels.sort_by_key(|(channel, count)| (std::cmp::Reverse(*count), *channel));
        for list in [&mut places.countries, &mut places.regions, &mut places.cities, &mut places.networks] {
            list.sort_by_key(|row| (row.state == State::Calm, std::cmp::Reverse(row.observed), row.facet));
            list.truncate(ROWS_MAX);
        }
        places
    }
}

/// Countries over all services that have enough sources together, most sources first. They are summed
/// before any is left out: many services with two sources each are not silence.
fn countries<'a>(
    services: impl Iterator<Item = (&'a ServiceView, &'a [CountryCount])>,
    sources_min: u32,
) -> Vec<CountryView> {
    let mut sums: IndexMap<CountryCode, (u32, CountryView), FxBuildHasher> = IndexMap::default();
    for (view, counts) in services {
        for count in counts {
            let empty = CountryView { country: count.country, observed: 0, services: Vec::new() };
            let (hour, sum) = sums.entry(count.country).or_insert((0, empty));
            *hour = hour.saturating_add(count.hour);
            sum.observed = sum.observed.saturating_add(count.observed);
        }
        for row in view.countries.iter().filter(|row| matches!(row.state, State::Possible | State::Confirmed))
        {
            let Facet::Country(country) = row.facet else { continue };
            if let Some((_, sum)) = sums.get_mut(&country) {
                sum.services.push((view.service, row.state));
            }
        }
    }
    let shown = sums.into_values().filter(|(hour, _)| *hour >= sources_min);
    let mut countries: Vec<CountryView> = shown.map(|(_, sum)| sum).collect();
    for country in &mut countries {
        country.services.sort_by_key(|(service, state)| (std::cmp::Reverse(*state), *service));
    }
    countries.sort_by_key(|country| (std::cmp::Reverse(country.observed), country.country));
    countries
}
