//! Where a reporter is: what is stated, what the address says, and who is believed.

use std::sync::Arc;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;

use super::RejectReason;
use crate::model::{City, CityId, CountryCode, Geography, Place, RegionCode};

/// A city as clients name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CityName<'a> {
    /// By GeoNames number.
    Number(u32),
    /// By name, in any case.
    Name(&'a str),
}

/// A place as a client states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatedPlace<'a> {
    /// ISO 3166-1 alpha-2.
    pub country: Option<&'a str>,
    /// ISO 3166-2, such as `PK-PB`.
    pub region: Option<&'a str>,
    /// A city of at least 15,000 people.
    pub city: Option<CityName<'a>>,
}

/// Longest city name that is looked up, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// The geography with an index of city names.
#[derive(Clone, Debug, Default)]
pub struct Places {
    geography: Arc<Geography>,
    /// Country, then lower-case name, to the cities of that name, the largest first; a quick way to most
    /// of what [`Geography::find_city`] knows.
    names: IndexMap<CountryCode, IndexMap<Box<str>, Vec<CityId>, FxBuildHasher>, FxBuildHasher>,
}

impl Places {
    /// Indexes the names of a geography.
    pub fn new(geography: Arc<Geography>) -> Self {
        let mut cities: Vec<&City> = geography.cities().collect();
        cities.sort_by_key(|city| (std::cmp::Reverse(city.population), city.id));
        let mut names: IndexMap<_, IndexMap<Box<str>, Vec<CityId>, _>, _> = IndexMap::default();
        for city in cities {
            let of_country = names.entry(city.country).or_default();
            let name = city.name.to_lowercase().into_boxed_str();
            let entry: &mut Vec<CityId> = of_country.entry(name).or_default();
            entry.push(city.id);
        }
        Places { geography, names }
    }

    /// The places behind the names.
    pub fn geography(&self) -> &Arc<Geography> {
        &self.geography
    }

    /// Turns a stated place into codes that exist and fit each other.
    ///
    /// A region or city brings its country with it, and a city its region. A city's bare name is
    /// looked up in the stated country, else in `presumed`; of several cities of that name in the
    /// stated region, else the country, the largest is meant.
    pub fn resolve(
        &self,
        stated: &StatedPlace<'_>,
        presumed: Option<CountryCode>,
    ) -> Result<Place, RejectReason> {
        let mut place = Place::default();
        if let Some(code) = stated.country {
            let code: CountryCode = code.parse().map_err(|_| RejectReason::UnknownCountry)?;
            self.geography.country(code).ok_or(RejectReason::UnknownCountry)?;
            place.country = Some(code);
        }
        if let Some(code) = stated.region {
            let code: RegionCode = code.parse().map_err(|_| RejectReason::UnknownRegion)?;
            self.geography.region(code).ok_or(RejectReason::UnknownRegion)?;
            if place.country.is_some_and(|country| country != code.country()) {
                return Err(RejectReason::PlaceContradicts);
            }
            place.country = Some(code.country());
            place.region = Some(code);
        }
        if let Some(name) = stated.city {
            let city = match name {
                CityName::Number(number) => CityId::new(number).and_then(|id| self.geography.city(id)),
                CityName::Name(name) => {
                    let country = place.country.or(presumed).ok_or(RejectReason::UnknownCity)?;
                    self.city_named(name, country, place.region)
                }
            };
            self.refine(&mut place, city.ok_or(RejectReason::UnknownCity)?)?;
        }
        Ok(place)
    }

    /// Puts a city into a place that it must fit.
    fn refine(&self, place: &mut Place, city: &City) -> Result<(), RejectReason> {
        let other_country = place.country.is_some_and(|country| country != city.country);
        let other_region = matches!((place.region, city.region), (Some(said), Some(is)) if said != is);
        if other_country || other_region {
            return Err(RejectReason::PlaceContradicts);
        }
        *place =
            Place { country: Some(city.country), region: city.region.or(place.region), city: Some(city.id) };
        Ok(())
    }

    /// The largest city of this name in a region, or anywhere in the country, as people write it.
    fn city_named(&self, name: &str, country: CountryCode, region: Option<RegionCode>) -> Option<&City> {
        let name = name.trim();
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let inside = self
            .city_exactly(name, country, region)
            .or_else(|| self.geography.find_city(country, region, name));
        inside.or_else(|| self.geography.find_city(country, None, name))
    }

    /// By the very name that it has, but for capitals: without allocation, because batches name a city
    /// on every line.
    fn city_exactly(&self, name: &str, country: CountryCode, region: Option<RegionCode>) -> Option<&City> {
        let mut lower = [0; NAME_BYTES_MAX];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        let ids = self.names.get(&country)?.get(std::str::from_utf8(lower).ok()?)?;
        let mut cities = ids.iter().filter_map(|id| self.geography.city(*id));
        let Some(region) = region else { return cities.next() };
        let inside = cities.clone().find(|city| city.region == Some(region));
        inside.or_else(|| cities.find(|city| city.region.is_none()))
    }

    /// Who is believed about where a reporter is.
    ///
    /// 1. The address decides the country. What was stated stands alone only where the address says
    ///    nothing.
    /// 2. A statement about another country is dropped whole: anybody can claim to be anywhere.
    /// 3. Within the address's country a statement refines: a stated region or city replaces the
    ///    address's, whose finer parts are kept only where they do not contradict it.
    pub fn settle(&self, stated: Place, seen: Place) -> Place {
        let (Some(said), Some(is)) = (stated.country, seen.country) else {
            return if seen.country.is_some() { seen } else { stated };
        };
        if said != is || stated.region.is_none() && stated.city.is_none() {
            return seen;
        }
        let same_region = stated.region == seen.region;
        let city = stated.city.or(if same_region { seen.city } else { None });
        Place { country: seen.country, region: stated.region, city }
    }
}
