//! On the wire: what several services have in common.

use brownout_core::model::Facet;
use brownout_core::snapshot::{CauseMember, CauseView};
use brownout_core::verdict::{Bond as CoreBond, Cause as CoreCause, cause_name};
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::{Scope, State};
use crate::view::View;

/// How a cause reaches services.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bond {
    /// People report the wrong service: it works, and its own state is held down.
    Echo,
    /// Customers of one network reach nothing: the services work, and their states are held down.
    Network,
    /// The services are built on the cause, by the catalogue.
    Dependency,
    /// Proposed from the pattern alone: services without a known relation began to rise within minutes
    /// of each other in the same countries.
    Pattern,
}

/// One thing to blame, with the services whose reports rise because of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Cause {
    /// Its name in English.
    name: String,
    /// Slug of the service of the catalogue that it is; null for any other thing.
    service: Option<String>,
    /// The network that it is, where it belongs to no service of the catalogue.
    network: Option<Scope>,
    bond: Bond,
    /// How the cause itself stands.
    state: State,
    since: String,
    /// Name of the cause's own incident, where it has one.
    incident: Option<String>,
    /// How many services there are; at most 200 are listed.
    count: u32,
    services: Vec<Member>,
}

/// One service whose reports rise because of something else.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Member {
    slug: String,
    since: String,
    /// It most likely works, and its own state is held down.
    held: bool,
    /// Distinct sources in the last 15 minutes; where a network is to blame, those on it.
    observed: u32,
    /// Odds for the cause, to one; 1 where they are not known.
    odds: u32,
}

/// Everything that reports are laid to now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Causes {
    serial: u64,
    at: String,
    causes: Vec<Cause>,
}

impl Causes {
    pub(crate) fn new(view: &View) -> Self {
        let snapshot = &view.snapshot;
        let causes = snapshot.causes.iter().map(|cause| Cause::new(view, cause)).collect();
        Causes { serial: snapshot.serial, at: snapshot.at.to_string(), causes }
    }
}

impl Cause {
    fn new(view: &View, cause: &CauseView) -> Self {
        let slug = |service| view.snapshot.catalogue.get(service).map(|known| known.slug.clone());
        let (service, network) = match cause.cause {
            CoreCause::Service(service) => (slug(service), None),
            CoreCause::Network(asn) => (None, Some(Scope::new(view, Facet::Network(asn)))),
            CoreCause::Unnamed => (None, None),
        };
        let member = |member: &CauseMember| {
            Some(Member {
                slug: slug(member.service)?,
                since: member.since.to_string(),
                held: member.is_held,
                observed: member.observed,
                odds: member.odds,
            })
        };
        Cause {
            name: cause_name(cause.cause, view.names()),
            service,
            network,
            bond: match cause.bond {
                CoreBond::Echo => Bond::Echo,
                CoreBond::Network => Bond::Network,
                CoreBond::Dependency => Bond::Dependency,
                CoreBond::Pattern => Bond::Pattern,
            },
            state: cause.state.into(),
            since: cause.since.to_string(),
            incident: cause.incident.and_then(|id| view.incident_name(id)),
            count: cause.count,
            services: cause.members.iter().filter_map(member).collect(),
        }
    }
}
