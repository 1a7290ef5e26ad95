//! Which part of the world a series, a signal or an incident speaks of.

use serde::{Deserialize, Serialize};

use super::{Asn, ChannelId, CityId, CountryCode, ProblemKind, RegionCode, ServiceId};

/// The fixed list of marginals that are counted for every service (and no others).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
