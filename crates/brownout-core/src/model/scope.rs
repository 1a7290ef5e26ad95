//! Which part of the world a series, a signal or an incident speaks of.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use super::{Asn, ChannelId, CityId, CountryCode, ProblemKind, RegionCode, ServiceId};

/// The fixed list of marginals that are counted for every service (and no others).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Facet {
    /// The service as a whole, everywhere.
    All,
    /// One country.
    Country(CountryCode),
    /// One first-level division.
    Region(RegionCode),
    /// One city.
    City(CityId),
    /// One network.
    Network(Asn),
    /// One kind of problem.
    Kind(ProblemKind),
    /// One channel.
    Channel(ChannelId),
}

impl Facet {
    /// All of it in 48 bits: what is counted is looked up by it for every report.
    pub(crate) fn packed(self) -> u64 {
        let (tag, rest) = match self {
            Facet::All => (0, 0),
            Facet::Country(country) => (1, u64::from(u16::from_le_bytes(country.bytes()))),
            Facet::Region(region) => {
                let ([a, b], [c, d, e]) = (region.country().bytes(), region.part());
                (2, u64::from_le_bytes([a, b, c, d, e, 0, 0, 0]))
            }
            Facet::City(city) => (3, u64::from(city.0.get())),
            Facet::Network(asn) => (4, u64::from(asn.0.get())),
            Facet::Kind(kind) => (5, kind as u64),
            Facet::Channel(channel) => (6, u64::from(channel.0)),
        };
        tag << 40 | rest
    }
}

impl Hash for Facet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.packed());
    }
}

/// The name of one series of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SeriesKey {
    /// The service.
    pub service: ServiceId,
    /// Which marginal of it.
    pub facet: Facet,
}

/// Service x place x network, as an incident names its extent. `Scope::world` has neither place
/// nor network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The service.
    pub service: ServiceId,
    /// Where: `All`, a country, region, city or network. Never a kind or a channel.
    pub facet: Facet,
}

impl Scope {
    /// The whole service.
    pub const fn world(service: ServiceId) -> Self {
        Scope { service, facet: Facet::All }
    }
}
