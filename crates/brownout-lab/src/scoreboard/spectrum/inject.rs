//! An outage of known size at a known place, among real reports.

use brownout_core::incident::{Extent, ExtentKind};
use brownout_core::model::{
    ChannelId, City, CountryCode, Facet, Place, ProblemKind, Report, ServiceId, SourceKeys, UtcTime, Weight,
};
use brownout_core::snapshot::{IncidentView, State};

use super::background::Background;
use crate::direct::Direct;
use crate::rng::Rng;

/// How long after an outage a call still is one of it, in seconds.
const AFTER_SECONDS: i64 = 1800;

/// What is injected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage<'a> {
    pub(super) city: &'a City,
    pub(super) sources: u32,
    pub(super) minutes: u32,
    pub(super) at: UtcTime,
}

/// What a call says of the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// The city, and nothing else.
    City,
    /// The city's region, or it with other places of it.
    Around,
    /// The country or more.
    Wide,
    /// Another place.
    Elsewhere,
    /// Nothing.
    Unclear,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    /// Minutes from its beginning to the call.
    pub(super) delay_minutes: f64,
    /// Injected sources up to the call.
    pub(super) sources: u32,
    /// What the extent says, at the call and at the end of the outage.
    pub(super) at_call: Placed,
    pub(super) at_end: Placed,
    /// What the list of parts that depart by themselves says at the end.
    pub(super) listed: Placed,
}

/// Runs an engine through an outage; `None` when nothing was called.
pub(super) fn run(
    background: &Background,
    from: &Direct,
    outage: &Outage<'_>,
    rng: &mut Rng,
) -> Option<Outcome> {
    let mut direct = from.fork()?;
    let end = outage.at.plus_seconds(60 * i64::from(outage.minutes));
    let last = end.plus_seconds(AFTER_SECONDS);
    let mut instants: Vec<UtcTime> = (0..outage.sources)
        .map(|_| outage.at.plus_millis((rng.unit() * f64::from(outage.minutes) * 60_000.0) as i64))
        .collect();
    instants.sort_unstable();
    let injected: Vec<Report> = instants.iter().map(|at| injected(*at, outage.city, rng)).collect();
    let real = background.reports.iter().filter(|r| r.occurred_at >= outage.at && r.occurred_at < last);
    let mut reports: Vec<&Report> = real.chain(&injected).collect();
    reports.sort_by_key(|report| report.occurred_at);
    let (mut first, mut view_at_end): (Option<(UtcTime, Placed)>, Option<IncidentView>) = (None, None);
    let mut see = |derived: &brownout_core::effect::Derived| {
        for view in &derived.incidents {
            let located = view.verdicts.last().and_then(|verdict| verdict.located.as_ref());
            first.get_or_insert_with(|| (view.opened_at, placed(located, outage.city)));
            if view.verdicts.last().is_none_or(|verdict| verdict.as_of <= end) || view_at_end.is_none() {
                view_at_end = Some((**view).clone());
            }
        }
    };
    for report in reports {
        direct.pass(report.occurred_at, |_, derived| see(derived));
        direct.tell_report(report);
    }
    direct.pass(last, |_, derived| see(derived));
    let ((called, at_call), view) = (first?, view_at_end?);
    let located = view.verdicts.last().and_then(|verdict| verdict.located.as_ref());
    Some(Outcome {
        delay_minutes: called.millis_since(outage.at) as f64 / 60_000.0,
        sources: instants.iter().filter(|at| **at <= called).count() as u32,
        at_call,
        at_end: placed(located, outage.city),
        listed: listed(&view, outage.city),
    })
}

fn injected(at: UtcTime, city: &City, rng: &mut Rng) -> Report {
    Report {
        service: ServiceId(0),
        kind: ProblemKind::Connection,
        channel: ChannelId::FIRST_PARTNER,
        occurred_at: at,
        place: Place { country: Some(city.country), region: city.region, city: Some(city.id) },
        network: None,
        source: SourceKeys { generation: 1, source: rng.bits(), subnet: rng.bits(), previous: None },
        weight: Weight::FULL,
    }
}

fn placed(located: Option<&Extent>, city: &City) -> Placed {
    let Some(extent) = located else { return Placed::Unclear };
    let around = |country: CountryCode| {
        let region = city.region.map(Facet::Region);
        let holds = |facet: &Facet| *facet == Facet::City(city.id) || Some(*facet) == region;
        match extent.kind {
            ExtentKind::World | ExtentKind::Several => Placed::Wide,
            ExtentKind::Country if extent.facets == [Facet::Country(country)] => Placed::Wide,
            _ if extent.facets.iter().any(holds) => Placed::Around,
            _ => Placed::Elsewhere,
        }
    };
    if extent.facets == [Facet::City(city.id)] { Placed::City } else { around(city.country) }
}

/// What could be said without the scan: the parts that depart by themselves, small ones only while no
/// country does.
fn listed(view: &IncidentView, city: &City) -> Placed {
    let open = view.scopes.iter().filter(|scope| matches!(scope.state, State::Possible | State::Confirmed));
    let facets: Vec<Facet> = open.map(|scope| scope.facet).filter(|facet| *facet != Facet::All).collect();
    let own =
        |facet: &Facet| *facet == Facet::City(city.id) || city.region.map(Facet::Region) == Some(*facet);
    if facets.is_empty() {
        Placed::Unclear
    } else if facets.iter().any(|facet| matches!(facet, Facet::Country(_))) {
        Placed::Wide
    } else if !facets.iter().any(own) {
        Placed::Elsewhere
    } else if facets.iter().all(own) && facets.contains(&Facet::City(city.id)) {
        Placed::City
    } else {
        Placed::Around
    }
}
