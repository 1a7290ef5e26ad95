//! Whatever the engine takes in, in the one global order of the evidence log.

use serde::{Deserialize, Serialize};

use super::{Catalogue, ChannelId, CountryCode, IncidentId, Policy, Report, Seq, ServiceId, UtcTime};
use crate::reach::Measurement;

/// One entry of the evidence log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Position in the one global order.
    pub seq: Seq,
    /// When the log took it; never decreases along `seq`.
    pub received_at: UtcTime,
    /// What it says.
    pub evidence: Evidence,
}

/// What a record says. Rare and large kinds are boxed so that a report stays small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A person's report.
    Report(Report),
    /// Views of a service's page: a channel of its own, never summed with reports.
    PageViews(PageViews),
    /// What one run of a probe found of a target, beside its control: what is kept of it.
    Measurement(Box<Measurement>),
    /// Nothing but time: it moves to the record's `received_at`.
    Tick,
    /// The catalogue in force from here on.
    Catalogue(Box<Catalogue>),
    /// The policy in force from here on.
    Policy(Box<Policy>),
    /// The geography that intake uses from here on, by the digest of its data.
    Geography {
        /// Hex digest of the embedded data.
        digest: String,
    },
    /// A channel's name, before its first report.
    Channel {
        /// Its number in this folder.
        id: ChannelId,
        /// Its name.
        name: String,
    },
    /// The engine that handles what follows.
    Engine {
        /// Version of the program.
        version: String,
    },
    /// Something an operator did.
    Operator(Box<OperatorAction>),
}

/// Views of a service's page in one country since the last such record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageViews {
    /// The service.
    pub service: ServiceId,
    /// The readers' country.
    pub country: Option<CountryCode>,
    /// How many views.
    pub count: u32,
}

/// Something an operator did; a part of the order like any evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorAction {
    /// Keep an incident at "possible" whatever the counts say.
    Hold {
        /// Which incident.
        incident: IncidentId,
        /// Why, for the page.
        reason: String,
    },
    /// End an incident now.
    Close {
        /// Which incident.
        incident: IncidentId,
        /// Why, for the page.
        reason: String,
    },
    /// A note for an incident's timeline.
    Note {
        /// Which incident.
        incident: IncidentId,
        /// The text.
        text: String,
    },
    /// Keep what an incident brings from becoming usual: it is learned no sooner than if it had begun now.
    Extend {
        /// Which incident.
        incident: IncidentId,
        /// Why, for the page.
        reason: String,
    },
}
