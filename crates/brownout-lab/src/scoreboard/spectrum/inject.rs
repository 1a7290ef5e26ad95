//! An outage of known size at a known place, among real reports.

use brownout_core::incident::{Extent, ExtentKind};
use brownout_core::model::{
    ChannelId, City, Facet, Place, ProblemKind, Report, ServiceId, SourceKeys, UtcTime, Weight,
};
use brownout_core::snapshot::{IncidentView, State};

use super::background::Background;
use crate::direct::Direct;
use crate::rng::Rng;

/// How long after an outage a call still is one of it, in seconds.
const AFTER_SECONDS: i64 = 1800;

/// Where it is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Where<'a> {
    /// In one city.
    City(&'a City),
    /// Wherever the real reports come from.
    Country,
}

/// What is injected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outage<'a> {
    pub(super) place: Where<'a>,
    pub(super) sources: u32,
    pub(super) minutes: u32,
    pub(super) at: UtcTime,
}

/// What a call says of the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// Exactly where it is.
    Right,
    /// The city's region, or the city with other places.
    Around,
    /// More than it is: the country of a city, or the world.
    Wide,
    /// Another place, or less than it is.
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
    let injected: Vec<Report> = instants.iter().map(|at| injected(background, *at, outage, rng)).collect();
    let real = background.reports.iter().filter(|r| r.occurred_at >= outage.at && r.occurred_at < last);
    let mut reports: Vec<&Report> = real.chain(&injected).collect();
    reports.sort_by_key(|report| report.occurred_at);
    let (mut first, mut view_at_end): (Option<(UtcTime, Placed)>, Option<IncidentView>) = (None, None);
    let mut see = |derived: &brownout_core::effect::Derived| {
        for view in &derived.incidents {
            let located = view.verdicts.last().and_then(|verdict| verdict.located.as_ref());
            first.get_or_insert_with(|| (view.opened_at, placed(located, outage.place)));
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
        at_end: placed(located, outage.place),
        listed: listed(&view, outage.place),
    })
}

fn injected(background: &Background, at: UtcTime, outage: &Outage<'_>, rng: &mut Rng) -> Report {
    let other = background.reports[rng.below(background.reports.len() as u32) as usize].place;
    let place = match outage.place {
        // As many name no city as of the real ones.
        Where::City(city) => {
            Place { country: Some(city.country), region: city.region, city: other.city.and(Some(city.id)) }
        }
        Where::Country => other,
    };
    Report {
        service: ServiceId(0),
        kind: ProblemKind::Connection,
        channel: ChannelId::FIRST_PARTNER,
        occurred_at: at,
        place,
        network: None,
        source: SourceKeys { generation: 1, source: rng.bits(), subnet: rng.bits(), previous: None },
        weight: Weight::FULL,
    }
}

fn placed(located: Option<&Extent>, place: Where<'_>) -> Placed {
    let Some(extent) = located else { return Placed::Unclear };
    match place {
        Where::Country if extent.kind == ExtentKind::Country => Placed::Right,
        Where::Country if extent.kind > ExtentKind::Country => Placed::Wide,
        Where::Country => Placed::Elsewhere,
        Where::City(city) if extent.facets == [Facet::City(city.id)] => Placed::Right,
        Where::City(_) if extent.kind >= ExtentKind::Country => Placed::Wide,
        Where::City(city) if extent.facets.iter().any(|facet| is_around(*facet, city)) => Placed::Around,
        Where::City(_) => Placed::Elsewhere,
    }
}

fn is_around(facet: Facet, city: &City) -> bool {
    facet == Facet::City(city.id) || Some(facet) == city.region.map(Facet::Region)
}

/// What could be said without the scan: the parts that depart by themselves, small ones only while no
/// country does.
fn listed(view: &IncidentView, place: Where<'_>) -> Placed {
    let open = view.scopes.iter().filter(|scope| matches!(scope.state, State::Possible | State::Confirmed));
    let facets: Vec<Facet> = open.map(|scope| scope.facet).filter(|facet| *facet != Facet::All).collect();
    let country = facets.iter().any(|facet| matches!(facet, Facet::Country(_)));
    match place {
        _ if facets.is_empty() => Placed::Unclear,
        Where::Country if country => Placed::Right,
        Where::Country => Placed::Elsewhere,
        Where::City(_) if country => Placed::Wide,
        Where::City(city) if !facets.iter().any(|facet| is_around(*facet, city)) => Placed::Elsewhere,
        // A list that also has the region around the city is as good.
        Where::City(city) if facets.iter().all(|facet| is_around(*facet, city)) => Placed::Right,
        Where::City(_) => Placed::Around,
    }
}
