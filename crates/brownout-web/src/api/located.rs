//! How far an incident reaches, on the wire.

use brownout_core::incident;
use brownout_core::model::Facet;
use brownout_core::verdict::extent_words;
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::Scope;
use crate::view::View;

/// How far an incident reaches, by a scan over places and networks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Located {
    /// `network`, `city`, `region`, `country`, `several` countries, or `world`.
    kind: ExtentKind,
    /// Such as `in Milwaukee` or `among customers of Deutsche Telekom (AS3320)`.
    words: String,
    /// The places or networks, most above usual first; empty for the world.
    places: Vec<Scope>,
    /// Where within it most is above usual, at most five.
    most_affected: Vec<Scope>,
    /// Its share of what is above usual, in percent.
    explained_percent: u8,
    /// The window that it was read from, in minutes.
    window_minutes: u32,
    /// Log likelihood ratio against calm, in nats.
    statistic: f64,
    /// What explains the counts too, and less well.
    runner_up: Option<RunnerUp>,
}

/// An extent that explains the counts less well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunnerUp {
    kind: ExtentKind,
    places: Vec<Scope>,
    /// By how many nats it falls behind.
    margin: f64,
}

/// What kind of places an extent is made of.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExtentKind {
    /// The customers of one network, or of a few.
    Network,
    /// One city, or a few.
    City,
    /// One region, or a few.
    Region,
    /// One country.
    Country,
    /// Several countries.
    Several,
    /// Everywhere that the service is used.
    World,
}

impl From<incident::ExtentKind> for ExtentKind {
    fn from(kind: incident::ExtentKind) -> Self {
        match kind {
            incident::ExtentKind::Network => ExtentKind::Network,
            incident::ExtentKind::City => ExtentKind::City,
            incident::ExtentKind::Region => ExtentKind::Region,
            incident::ExtentKind::Country => ExtentKind::Country,
            incident::ExtentKind::Several => ExtentKind::Several,
            incident::ExtentKind::World => ExtentKind::World,
        }
    }
}

impl Located {
    pub(super) fn new(view: &View, extent: &incident::Extent) -> Self {
        let scopes = |facets: &[Facet]| facets.iter().map(|facet| Scope::new(view, *facet)).collect();
        let tenth = |nats: f64| (nats * 10.0).round() / 10.0;
        Located {
            kind: extent.kind.into(),
            words: extent_words(extent, view.names()),
            places: scopes(&extent.facets),
            most_affected: scopes(&extent.most_affected),
            explained_percent: extent.explained_percent,
            window_minutes: extent.window_minutes,
            statistic: tenth(extent.statistic),
            runner_up: extent.runner_up.as_ref().map(|other| RunnerUp {
                kind: other.kind.into(),
                places: scopes(&other.facets),
                margin: tenth(other.margin),
            }),
        }
    }
}
