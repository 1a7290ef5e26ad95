//! What readers see: an immutable picture of everything, replaced as a whole and never edited.
//!
//! A service that did not change keeps the same `Arc` from one snapshot to the next, so building
//! and comparing snapshots costs what is active, and a page can be cached by `version`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::incident::Doubt;
use crate::model::{Catalogue, ChannelId, Facet, IncidentId, Minute, ProblemKind, Seq, ServiceId, UtcTime};
use crate::reach::{Disruption, ReachView};
use crate::verdict::{Bond, Cause, Verdict};

/// Everything that pages and interfaces show.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Grows by one with every snapshot of one engine.
    pub serial: u64,
    /// The time up to which the engine has been told.
    pub at: UtcTime,
    /// The last record that is in it.
    pub seq: Seq,
    /// When the last report came in, on any service.
    pub last_report_at: Option<UtcTime>,
    /// The catalogue in force.
    pub catalogue: Arc<Catalogue>,
    /// Names of channels.
    pub channels: Vec<(ChannelId, String)>,
    /// One view per service, in catalogue order.
    pub services: Vec<Arc<ServiceView>>,
    /// Ongoing incidents (most reports first), then those ended within the last seven days
    /// (latest first).
    pub incidents: Vec<Arc<IncidentView>>,
    /// What several services have in common, and what others echo, oldest first.
    pub causes: Vec<CauseView>,
    /// Countries with enough sources in the last hour to be shown, most sources first.
    pub countries: Vec<CountryView>,
    /// Channels and countries from which next to nothing comes in, or everything.
    pub silences: Vec<Silence>,
    /// Countries and networks that are or were cut off by their measurements, oldest first.
    pub disruptions: Vec<Disruption>,
    /// Sources in an hour from which a place or network is shown, for fewer could point at a person.
    pub place_sources_min: u32,
    /// Counts over everything.
    pub totals: Totals,
}

impl Snapshot {
    /// The view of a service, by slug.
    pub fn service(&self, slug: &str) -> Option<&Arc<ServiceView>> {
        let id = self.catalogue.find(slug)?.id;
        self.services.iter().find(|view| view.service == id)
    }

    /// The view of an incident that is ongoing or ended within seven days.
    pub fn incident(&self, id: IncidentId) -> Option<&Arc<IncidentView>> {
        self.incidents.iter().find(|view| view.id == id)
    }
}

/// Counts over all services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Reports taken since the log began, repeats and late ones included.
    pub reports: u64,
    /// Of these, repeats of a source within the repeat window.
    pub repeats: u64,
    /// Of these, older than the lateness bound: logged and counted here, never detected on.
    pub late: u64,
    /// Of these, beyond what one subnet may contribute.
    pub over_subnet_cap: u64,
    /// Reports of so busy a service that their order was settled before the lateness bound, for want of room.
    pub settled_early: u64,
    /// Distinct sources counted in the last 15 minutes, over all services.
    pub sources_15_minutes: u64,
    /// Measurements taken, late ones included.
    pub measurements: u64,
    /// Of these, older than the lateness bound: in the strips, never judged on.
    pub measurements_late: u64,
    /// Of these, of a host that is no target of any service, or from nobody knows where.
    pub measurements_left_out: u64,
    /// How often a measurement found no room for its place: more hosts or places than a service may have.
    pub measurements_crowded_out: u64,
    /// Series that exist.
    pub series: u64,
    /// Series that hold counts of the last hour.
    pub series_active: u64,
}

/// Reports that did not come: a collector that died, a form that broke, a country that was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// `All` when nothing comes in from anywhere, else a channel or a country.
    pub facet: Facet,
    /// When the last report came, or since when it is next to nothing.
    pub since: UtcTime,
    /// Reports that came since, when the silence was found.
    pub observed: u32,
    /// How many would be usual since then.
    pub expected: f32,
    /// How rarely chance alone brings such a silence, in years.
    pub recurrence_years: f32,
}

/// How things stand, in the three public words and "nobody knows".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not enough data to say anything: a new series, or a silent collector.
    Insufficient,
    /// Reports are within their usual band.
    Calm,
    /// "Possible problems".
    Possible,
    /// "Detected problems".
    Confirmed,
    /// An incident that is over.
    Ended,
}

/// What is usual for an interval: the median and the band that holds four intervals of five.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// 10th percentile, in sources.
    pub p10: f32,
    /// 50th percentile, in sources.
    pub median: f32,
    /// 90th percentile, in sources.
    pub p90: f32,
    /// Mean, in sources.
    pub mean: f32,
}

/// One bar of a chart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// Distinct sources counted in the interval; `None` before the series existed or while
    /// nothing was collected: a gap, never a zero.
    pub count: Option<u32>,
    /// What is usual for this interval.
    pub usual: Band,
    /// Sources from which the interval alone would be a departure.
    pub threshold: f32,
}

/// Counts over time with their usual band.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// First minute of the first bar.
    pub start: Minute,
    /// Minutes per bar: 1, 5 or 15.
    pub step_minutes: u32,
    /// Bars, oldest first. The last one is incomplete when `incomplete` is set.
    pub bars: Vec<Bar>,
    /// The last bar's interval has not ended yet.
    pub incomplete: bool,
}

/// One row of "where" or "which network".
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlaceView {
    /// A country, region, city or network.
    pub facet: Facet,
    /// How it stands.
    pub state: State,
    /// Since when it is not calm.
    pub since: Option<UtcTime>,
    /// Distinct sources in the last 15 minutes.
    pub observed: u32,
    /// Usual mean for these 15 minutes.
    pub expected: f32,
}

/// The status of one service.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// Which service.
    pub service: ServiceId,
    /// Snapshot serial at which this view was made; a cache key.
    pub version: u64,
    /// How it stands.
    pub state: State,
    /// The baseline is still the category's prior.
    pub learning: bool,
    /// The ongoing incident.
    pub incident: Option<IncidentId>,
    /// Since when it is not calm.
    pub since: Option<UtcTime>,
    /// Distinct sources in the last 15 minutes.
    pub observed: u32,
    /// Usual for these 15 minutes.
    pub usual: Band,
    /// The judgement in force.
    pub verdict: Arc<Verdict>,
    /// The last 24 h in bars of 5 minutes.
    pub chart: Chart,
    /// Sources of the last hour by kind of problem, most first. The part that is not known to be
    /// of a kind is not in it.
    pub kinds: Vec<(ProblemKind, u32)>,
    /// Sources of the last hour by channel, most first.
    pub channels: Vec<(ChannelId, u32)>,
    /// Views of the service's page in the last hour: never a part of the counts above.
    pub page_views: u32,
    /// Countries by departure, then by sources. Only with sources in the last hour.
    pub countries: Vec<PlaceView>,
    /// Regions, likewise.
    pub regions: Vec<PlaceView>,
    /// Cities, likewise.
    pub cities: Vec<PlaceView>,
    /// Networks, likewise.
    pub networks: Vec<PlaceView>,
    /// Incidents of the last seven days, latest first, the ongoing one included.
    pub incidents: Vec<IncidentId>,
    /// When the last report on it came in.
    pub last_report_at: Option<UtcTime>,
    /// How it is reached, where that is measured.
    pub reach: Option<Arc<ReachView>>,
}

/// A contiguous burst within an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// First minute of the rise.
    pub start: Minute,
    /// Minute at which the trailing 15 minutes held the most.
    pub peak_at: Minute,
    /// Sources in the 15 minutes up to the peak.
    pub peak: u32,
    /// Last minute of the fall; `None` while it lasts.
    pub end: Option<Minute>,
}

/// How one place or network fared within an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeView {
    /// `All` for the service as a whole, else a country, region, city or network.
    pub facet: Facet,
    /// How it stands.
    pub state: State,
    /// When it became possible.
    pub since: UtcTime,
    /// When it was confirmed.
    pub confirmed_at: Option<UtcTime>,
    /// When it ended.
    pub ended_at: Option<UtcTime>,
    /// Distinct sources in the last 15 minutes.
    pub observed: u32,
    /// Usual mean for these 15 minutes.
    pub expected: f32,
    /// The most sources in any 15 minutes so far.
    pub peak: u32,
    /// When these 15 minutes ended.
    pub peak_at: Minute,
    /// What made it possible, or confirmed it where that was rarer.
    pub rarest: Rarest,
    /// Earliest and latest minute in which it can have begun, and the likeliest.
    pub onset: Onset,
    /// The same figures when nothing could come to them any more; nothing before that.
    pub settled: Option<SettledSignal>,
    /// Bursts, oldest first.
    pub waves: Vec<Wave>,
}

/// The window by which a count was the rarest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rarest {
    /// How long it is, in minutes.
    pub minutes: u32,
    /// Distinct sources in it.
    pub observed: u32,
    /// Usual mean for it.
    pub expected: f32,
    /// How rarely chance alone brings any window to a count as rare, in years.
    pub recurrence_years: f64,
}

/// A departure of counts to which nothing can come any more: it hangs on what happened, and not on the
/// order in which it was told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettledSignal {
    /// `All` for the service as a whole, else a country, region, city or network.
    pub facet: Facet,
    /// End of the windows in which it was first seen, on a grid of five minutes.
    pub as_of: Minute,
    /// Distinct sources in the 15 minutes up to then.
    pub observed: u32,
    /// Usual mean for these 15 minutes.
    pub expected: f32,
    /// The window in which it was the rarest, in minutes.
    pub window_minutes: u32,
    /// Distinct sources in that window.
    pub window_sources: u32,
    /// How rarely chance alone does this, in years.
    pub recurrence_years: f64,
    /// Earliest and latest minute in which it can have begun, and the likeliest.
    pub onset: Onset,
    /// The most sources in any 15 minutes that end on the grid.
    pub peak: u32,
    /// When these 15 minutes ended.
    pub peak_at: Minute,
    /// When it was last above usual, once it has been calm for long enough.
    pub ended_at: Option<Minute>,
}

/// When something began, as far as counts can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onset {
    /// Not before this minute.
    pub earliest: Minute,
    /// Most likely this minute.
    pub likeliest: Minute,
    /// Not after this minute.
    pub latest: Minute,
}

/// One line of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// When.
    pub at: UtcTime,
    /// Which part.
    pub facet: Facet,
    /// What happened.
    pub change: Change,
    /// Distinct sources in the 15 minutes up to then.
    pub observed: u32,
    /// Usual mean for these 15 minutes.
    pub expected: f32,
}

/// What a timeline line tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Became possible.
    Possible,
    /// Became confirmed.
    Confirmed,
    /// A wave's peak was passed.
    Peak,
    /// Ended.
    Ended,
    /// Withdrawn: another is to blame, by evidence that came later.
    Explained,
    /// An operator wrote a note, or held or closed the incident.
    Operator(String),
    /// It is held at "possible" for a doubt.
    Held(Doubt),
    /// Nothing holds it any more.
    Released,
}

/// An incident with everything its page shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentView {
    /// Stable name.
    pub id: IncidentId,
    /// Grows with every change of this incident; a cache key.
    pub version: u64,
    /// Possible, confirmed or ended.
    pub state: State,
    /// When it became possible.
    pub opened_at: UtcTime,
    /// When it was confirmed.
    pub confirmed_at: Option<UtcTime>,
    /// When it ended.
    pub ended_at: Option<UtcTime>,
    /// Why an operator holds it at "possible".
    pub held: Option<String>,
    /// What else holds it there now: reasons to doubt that the reports are people's.
    pub doubts: Vec<Doubt>,
    /// The service as a whole first, then places and networks, most sources at peak first.
    pub scopes: Vec<ScopeView>,
    /// Oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Published judgements, oldest first; the last is in force.
    pub verdicts: Vec<Arc<Verdict>>,
    /// From an hour before it opened, in bars of 5 minutes (of 15 when it is long).
    pub chart: Chart,
}

/// One thing to blame, with the services whose reports rise because of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CauseView {
    /// What is to blame.
    pub cause: Cause,
    /// How it reaches the services.
    pub bond: Bond,
    /// Since when a service is laid to it.
    pub since: UtcTime,
    /// How the cause itself stands: possible or confirmed.
    pub state: State,
    /// The cause's own incident, where it is a service of the catalogue that has one.
    pub incident: Option<IncidentId>,
    /// How many services there are.
    pub count: u32,
    /// The services, most reports first, at most 200.
    pub members: Vec<CauseMember>,
}

/// One service whose rise is laid to something else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CauseMember {
    /// Which.
    pub service: ServiceId,
    /// Since when it is laid to the cause.
    pub since: UtcTime,
    /// Its own state is held down, for it most likely works.
    pub is_held: bool,
    /// Distinct sources in the last 15 minutes; of a network's fault, on that network.
    pub observed: u32,
    /// Usual mean for these 15 minutes.
    pub expected: f32,
    /// Odds for the cause, to one.
    pub odds: u32,
}

/// One country over all services.
#[derive(Clone, Debug, PartialEq)]
pub struct CountryView {
    /// Which.
    pub country: crate::model::CountryCode,
    /// Distinct sources of the last 15 minutes, summed over services.
    pub observed: u32,
    /// Services that are not calm there: (service, state), worst first.
    pub services: Vec<(ServiceId, State)>,
}
