//! Where measurements are taken together: everywhere, in a country, in one of its networks.

use serde::{Deserialize, Serialize};

use crate::model::{Asn, CountryCode};

/// A part of the world that measurements are taken from. A network that spans countries is one in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spot {
    /// Everywhere; its vantage points are countries.
    World,
    /// One country; its vantage points are networks.
    Country(CountryCode),
    /// One network in one country.
    Network(CountryCode, Asn),
}

impl Spot {
    /// The country that it is or lies in.
    pub const fn country(self) -> Option<CountryCode> {
        match self {
            Spot::World => None,
            Spot::Country(country) | Spot::Network(country, _) => Some(country),
        }
    }

    /// The network that it is.
    pub const fn network(self) -> Option<Asn> {
        match self {
            Spot::Network(_, network) => Some(network),
            _ => None,
        }
    }
}
