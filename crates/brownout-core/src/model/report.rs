//! One person's statement that a service fails, after intake has accepted it.

use serde::{Deserialize, Serialize};

use super::{Asn, ChannelId, Place, ProblemKind, ServiceId, UtcTime};

/// Who reported, as keyed hashes that mean nothing outside one salt generation.
///
/// `source` covers (generation, service, address by /32 or /64), `subnet` the same by /24 or /48.
/// For a while after a rotation the keys under the generation before are written too, so that a
/// source is not counted again only because its key changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourceKeys {
    /// Salt generation under which `source` and `subnet` were made.
    pub generation: u32,
    /// Key of the single source.
    pub source: u64,
    /// Key of the source's subnet.
    pub subnet: u64,
    /// The same two under the generation before, while rotations overlap.
    pub previous: Option<PreviousKeys>,
}

/// The keys that a reporter had under the generation before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PreviousKeys {
    /// Key of the single source.
    pub source: u64,
    /// Key of the source's subnet.
    pub subnet: u64,
}

/// How much one report counts, in hundredths: 100 is a full report, 0 is counted nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weight(u8);

impl Weight {
    /// A report that counts in full.
    pub const FULL: Weight = Weight(100);

    /// From hundredths; above 100 it is 100.
    pub const fn from_percent(percent: u8) -> Self {
        Weight(if percent > 100 { 100 } else { percent })
    }

    /// In hundredths, 0 to 100.
    pub const fn percent(self) -> u8 {
        self.0
    }
}

/// An accepted report. It holds no address, no user agent and no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The service that fails.
    pub service: ServiceId,
    /// What is wrong.
    pub kind: ProblemKind,
    /// How the report came in.
    pub channel: ChannelId,
    /// When it happened: the time of receipt, or a partner's own clock.
    pub occurred_at: UtcTime,
    /// Where the reporter is, as far as known.
    pub place: Place,
    /// The reporter's network, as far as known.
    pub network: Option<Asn>,
    /// Who reported, as keyed hashes.
    pub source: SourceKeys,
    /// How much the report counts.
    pub weight: Weight,
}
