//! What stands behind a rise that is not a service's own fault, and the clues that tell.

use serde::{Deserialize, Serialize};

use crate::model::{Asn, ServiceId};

/// What several services' rises have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A service of the catalogue: one whose failure others echo, an internet provider, or what
    /// others are built on.
    Service(ServiceId),
    /// A network that belongs to no service of the catalogue.
    Network(Asn),
    /// Something that nobody wrote down: proposed from the pattern alone.
    Unnamed,
}

/// How a cause reaches a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bond {
    /// People report the wrong service: it works, and its own state is held down.
    Echo,
    /// Customers of one network reach nothing: the service works, and its own state is held down.
    Network,
    /// The service is built on the cause, by the catalogue: it fails, and the fault lies there.
    Dependency,
    /// Services without any relation rise together in the same places: they fail, and what they
    /// share is only proposed.
    Pattern,
}

impl Bond {
    /// Whether the service itself is most likely well.
    pub const fn is_innocent(self) -> bool {
        matches!(self, Bond::Echo | Bond::Network)
    }
}

/// What one clue looks at, with its figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClueKind {
    /// How the two services are related, by the catalogue.
    Relation,
    /// How many reports came here for a hundred there, above what is usual of either.
    Size {
        /// In percent.
        share_percent: f32,
    },
    /// When it began here after it began there; negative is before.
    Onset {
        /// In minutes, by the likeliest beginnings.
        lag_minutes: i32,
    },
    /// Whether the counts of the last hour run alike, minute by minute.
    Course,
    /// What people say is wrong: as they do of a service that others fail to reach, or of one that
    /// fails itself.
    Kinds {
        /// Of the rise, "cannot reach others", in percent.
        cannot_reach_percent: u8,
    },
    /// What people say is wrong: functions of the service, as they usually do, or only that it does not
    /// open or is slow.
    Functions {
        /// Of the rise, those that name no function, in percent.
        vague_percent: u8,
    },
    /// How many of the reporters are on the service's own network.
    OwnNetwork {
        /// In percent of those whose network is known.
        percent: u8,
    },
    /// How many of the reporters are on the network of the other service.
    TheirNetwork {
        /// In percent of those whose network is known.
        percent: u8,
    },
    /// Whether reports come from where the other service fails.
    Places {
        /// Of the rise, the part from countries where the other rises too, in percent.
        percent: u8,
    },
    /// Both are built on the same thing, which may be what fails.
    SharedDependency,
}

/// One piece of evidence for a service being well and another being the cause.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clue {
    /// What it looks at.
    pub kind: ClueKind,
    /// How much it says, in decibans (ten times the decimal logarithm of the likelihood ratio):
    /// positive for, negative against.
    pub decibans: f32,
}

impl Clue {
    /// A clue whose weight is given in nats.
    pub fn of_nats(kind: ClueKind, nats: f64) -> Self {
        Clue { kind, decibans: (nats * DECIBANS_PER_NAT) as f32 }
    }

    /// Its weight in nats.
    pub fn nats(&self) -> f64 {
        f64::from(self.decibans) / DECIBANS_PER_NAT
    }
}

/// 10 / ln 10.
const DECIBANS_PER_NAT: f64 = 4.342_944_819_032_518;

/// The odds, to one, that nats of evidence give; at least 1, at most a million.
pub fn odds(nats: f64) -> u32 {
    libm::exp(nats.clamp(0.0, 13.8)).round() as u32
}
