//! Names, people and positions of places.

use std::fmt;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::{CityId, CountryCode, RegionCode};

/// A country of ISO 3166-1.
#[derive(Clone, Debug, PartialEq)]
pub struct Country {
    /// ISO 3166-1 alpha-2.
    pub code: CountryCode,
    /// Short English name.
    pub name: String,
    /// Inhabitants; 0 where the source gives none.
    pub population: u64,
    /// People who use the internet, where the source gives a figure.
    pub internet_users: Option<u64>,
    /// Rough centre, degrees north.
    pub latitude: f32,
    /// Rough centre, degrees east.
    pub longitude: f32,
}

/// A first-level division of ISO 3166-2.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// ISO 3166-2 code.
    pub code: RegionCode,
    /// English or local name.
    pub name: String,
}

/// A city of at least 15,000 people.
#[derive(Clone, Debug, PartialEq)]
pub struct City {
    /// GeoNames identifier.
    pub id: CityId,
    /// Name.
    pub name: String,
    /// Its country.
    pub country: CountryCode,
    /// Its region, where it could be matched to ISO 3166-2.
    pub region: Option<RegionCode>,
    /// Inhabitants.
    pub population: u32,
    /// Degrees north.
    pub latitude: f32,
    /// Degrees east.
    pub longitude: f32,
}

/// All places, found by code or name.
#[derive(Clone, Debug, Default)]
pub struct Geography {
    countries: IndexMap<CountryCode, Country, FxBuildHasher>,
    regions: IndexMap<RegionCode, Region, FxBuildHasher>,
    cities: IndexMap<CityId, City, FxBuildHasher>,
    digest: String,
}

/// Why bytes are not a geography.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GeographyError {
    /// The data are cut short or not of this format.
    Malformed(&'static str),
}

impl fmt::Display for GeographyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GeographyError::Malformed(what) => write!(f, "not a geography: {what}"),
        }
    }
}

impl std::error::Error for GeographyError {}

impl Geography {
    /// From lists of places.
    pub fn new(countries: Vec<Country>, regions: Vec<Region>, cities: Vec<City>, digest: String) -> Self {
        Geography {
            countries: countries.into_iter().map(|country| (country.code, country)).collect(),
            regions: regions.into_iter().map(|region| (region.code, region)).collect(),
            cities: cities.into_iter().map(|city| (city.id, city)).collect(),
            digest,
        }
    }

    /// The country with this code.
    pub fn country(&self, code: CountryCode) -> Option<&Country> {
        self.countries.get(&code)
    }

    /// The region with this code.
    pub fn region(&self, code: RegionCode) -> Option<&Region> {
        self.regions.get(&code)
    }

    /// The city with this number.
    pub fn city(&self, id: CityId) -> Option<&City> {
        self.cities.get(&id)
    }

    /// All countries, by code.
    pub fn countries(&self) -> impl ExactSizeIterator<Item = &Country> {
        self.countries.values()
    }

    /// All regions, by code.
    pub fn regions(&self) -> impl ExactSizeIterator<Item = &Region> {
        self.regions.values()
    }

    /// All cities, the largest of each country first.
    pub fn cities(&self) -> impl ExactSizeIterator<Item = &City> {
        self.cities.values()
    }

    /// Hex digest of the data these places were read from.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}
