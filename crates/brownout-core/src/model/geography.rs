//! Names, people and positions of places.

mod decode;
mod fold;

use std::fmt;
use std::sync::{Arc, OnceLock};

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
    internet_users_years: IndexMap<CountryCode, u16, FxBuildHasher>,
    names: Names,
    sources: String,
    digest: String,
}

/// The lists that a geography is made of.
#[derive(Default)]
struct Parts {
    countries: Vec<Country>,
    regions: Vec<Region>,
    cities: Vec<City>,
    /// Other names of the city with this place in the list.
    spellings: Vec<(usize, String)>,
    internet_users_years: Vec<(CountryCode, u16)>,
    sources: String,
}

/// Cities by folded name. All keys lie in one text, for there are some hundred thousand.
#[derive(Clone, Debug, Default)]
struct Names {
    keys: String,
    /// By country, key and place in the list of cities, which is largest first.
    entries: Vec<NameEntry>,
}

#[derive(Clone, Copy, Debug)]
struct NameEntry {
    country: CountryCode,
    start: u32,
    end: u32,
    city: u32,
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

/// Made by `cargo xtask data geography`; docs/data-sources.md names its sources.
static EMBEDDED: &[u8] = include_bytes!("../../data/geography.bin");

impl Geography {
    /// From lists of places; the cities of each country largest first.
    pub fn new(countries: Vec<Country>, regions: Vec<Region>, cities: Vec<City>, digest: String) -> Self {
        Geography::from_parts(Parts { countries, regions, cities, ..Parts::default() }, digest)
    }

    /// Reads the form that `cargo xtask data geography` writes.
    ///
    /// # Errors
    /// [`GeographyError::Malformed`] where the bytes are cut short or say what cannot be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GeographyError> {
        let digest = blake3::hash(bytes).to_hex().as_str()[..32].to_owned();
        Ok(Geography::from_parts(decode::decode(bytes)?, digest))
    }

    /// The geography that is part of this program, read once.
    pub fn embedded() -> Arc<Geography> {
        static READ: OnceLock<Arc<Geography>> = OnceLock::new();
        // A test reads the embedded bytes, so the default is never what a release serves.
        READ.get_or_init(|| Arc::new(Geography::from_bytes(EMBEDDED).unwrap_or_default())).clone()
    }

    fn from_parts(parts: Parts, digest: String) -> Self {
        let names = Names::of(&parts.cities, &parts.spellings);
        Geography {
            countries: parts.countries.into_iter().map(|country| (country.code, country)).collect(),
            regions: parts.regions.into_iter().map(|region| (region.code, region)).collect(),
            cities: parts.cities.into_iter().map(|city| (city.id, city)).collect(),
            internet_users_years: parts.internet_users_years.into_iter().collect(),
            names,
            sources: parts.sources,
            digest,
        }
    }

    /// The largest city of this name in a country, or in one region of it. Case, accents, hyphens
    /// and `St` for `Saint` make no difference; common other spellings are known too. A city whose
    /// region is unknown is found in any.
    pub fn find_city(&self, country: CountryCode, region: Option<RegionCode>, name: &str) -> Option<&City> {
        self.names
            .find(country, &fold::fold(name))
            .filter_map(|index| self.cities.get_index(index).map(|(_, city)| city))
            .find(|city| region.is_none() || city.region.is_none() || city.region == region)
    }

    /// The key under which a name is found: equal for names that are taken for one.
    pub fn name_key(name: &str) -> String {
        fold::fold(name)
    }

    /// The year of the figure in [`Country::internet_users`].
    pub fn internet_users_year(&self, code: CountryCode) -> Option<u16> {
        self.internet_users_years.get(&code).copied()
    }

    /// The sources and their licences, as text for a reader.
    pub fn sources(&self) -> &str {
        &self.sources
    }

    /// The country with this code.
    pub fn country(&self, code: CountryCode) -> Option<&Country> {
        self.countries.get(&code)
    }

    /// The region with this code.
    pub fn region(&self, code: RegionCode) -> Option<&Region> {
        self.regions.get(&code)
    }

    /// Whether a city of the region's country has its name, so that the name alone does not tell which
    /// of the two is meant.
    pub fn is_named_like_a_city(&self, region: &Region) -> bool {
        let country = region.code.country();
        let key = fold::fold(&region.name);
        let mut cities = self.names.find(country, &key).filter_map(|index| self.cities.get_index(index));
        cities.any(|(_, city)| fold::fold(&city.name) == key)
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

impl Names {
    fn of(cities: &[City], spellings: &[(usize, String)]) -> Self {
        let mut names = Names::default();
        for (index, city) in cities.iter().enumerate() {
            names.add(city.country, &city.name, index);
        }
        for (index, spelling) in spellings {
            if let Some(city) = cities.get(*index) {
                names.add(city.country, spelling, *index);
            }
        }
        names.keys.shrink_to_fit();
        let keys = std::mem::take(&mut names.keys);
        // Most comparisons end at the country and the first bytes, which one number holds.
        let mut ranked: Vec<(u64, NameEntry)> =
            names.entries.iter().map(|entry| (entry.prefix(&keys), *entry)).collect();
        ranked.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.rank(&keys).cmp(&b.1.rank(&keys))));
        names.entries.clear();
        names.entries.extend(ranked.into_iter().map(|(_, entry)| entry));
        names.entries.dedup_by(|a, b| a.rank(&keys) == b.rank(&keys));
        names.entries.shrink_to_fit();
        names.keys = keys;
        names
    }

    fn add(&mut self, country: CountryCode, name: &str, city: usize) {
        let start = self.keys.len();
        self.keys.push_str(&fold::fold(name));
        // Four billion bytes of names cannot come from an embedded file; such an entry is left out.
        if let (Ok(start), Ok(end), Ok(city)) =
            (start.try_into(), self.keys.len().try_into(), city.try_into())
            && start < end
        {
            self.entries.push(NameEntry { country, start, end, city });
        }
    }

    /// Places in the list of cities, ascending.
    fn find<'a>(&'a self, country: CountryCode, key: &'a str) -> impl Iterator<Item = usize> + 'a {
        let first = self.entries.partition_point(|entry| {
            let (its_country, its_key, _) = entry.rank(&self.keys);
            (its_country, its_key) < (country, key)
        });
        self.entries[first..]
            .iter()
            .take_while(move |entry| entry.country == country && entry.key(&self.keys) == key)
            .map(|entry| entry.city as usize)
    }
}

impl NameEntry {
    fn key<'a>(&self, keys: &'a str) -> &'a str {
        keys.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Orders like [`NameEntry::rank`] as far as it reaches: two bytes of country, six of the key.
    fn prefix(&self, keys: &str) -> u64 {
        let mut bytes = [0; 8];
        let parts = self.country.bytes().into_iter().chain(self.key(keys).bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        u64::from_be_bytes(bytes)
    }

    fn rank<'a>(&self, keys: &'a str) -> (CountryCode, &'a str, u32) {
        (self.country, self.key(keys), self.city)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> CountryCode {
        text.parse().expect("a country code")
    }

    fn region(text: &str) -> RegionCode {
        text.parse().expect("a region code")
    }

    #[test]
    fn the_embedded_places_are_whole() {
        let read = Geography::from_bytes(EMBEDDED).expect("the embedded bytes");
        assert_eq!(read.digest(), Geography::embedded().digest());
        assert!(read.countries().len() >= 249, "{}", read.countries().len());
        assert!(read.cities().len() > 30_000, "{}", read.cities().len());
        let mapped = read.cities().filter(|city| city.region.is_some()).count();
        assert!(mapped * 100 >= read.cities().len() * 95, "{mapped} cities have a region");
        assert!(read.cities().all(|city| city.region.is_none_or(|code| read.region(code).is_some())));
        for country in ["GB", "US", "PK", "IN", "BR", "DE"] {
            let (all, mapped) = read
                .cities()
                .filter(|city| city.country == code(country))
                .fold((0, 0), |(all, mapped), city| (all + 1, mapped + u32::from(city.region.is_some())));
            assert!(mapped * 100 >= all * 99, "{country}: {mapped} of {all}");
        }
        assert!(read.sources().contains("GeoNames (CC BY 4.0)"));
    }

    #[test]
    fn people_and_positions_are_plausible() {
        let places = Geography::embedded();
        let pakistan = places.country(code("PK")).expect("Pakistan");
        assert_eq!(pakistan.name, "Pakistan");
        let users = pakistan.internet_users.expect("a figure");
        assert!((40_000_000..pakistan.population).contains(&users), "{users}");
        assert!(places.internet_users_year(code("PK")).is_some_and(|year| year >= 2021));
        assert!((pakistan.latitude - 30.0).abs() < 2.0 && (pakistan.longitude - 70.0).abs() < 2.0);
        let lahore = places.find_city(code("PK"), None, "Lahore").expect("Lahore");
        assert!((lahore.latitude - 31.558).abs() < 0.01 && (lahore.longitude - 74.3507).abs() < 0.02);
        assert_eq!(lahore.region, Some(region("PK-PB")));
        assert_eq!(places.region(region("GB-SCT")).map(|region| region.name.as_str()), Some("Scotland"));
        for country in places.countries() {
            assert!(country.internet_users.unwrap_or(0) <= country.population, "{}", country.code);
        }
    }

    #[test]
    fn cities_are_found_as_people_write_them() {
        let places = Geography::embedded();
        let found = |country: &str, within: Option<&str>, name: &str| {
            places.find_city(code(country), within.map(region), name).map(|city| city.name.clone())
        };
        assert_eq!(found("US", Some("US-CA"), "CANYON COUNTRY").as_deref(), Some("Canyon Country"));
        assert_eq!(found("US", Some("US-MO"), "Saint Louis").as_deref(), Some("St. Louis"));
        assert_eq!(found("BR", None, "sao paulo").as_deref(), Some("São Paulo"));
        assert_eq!(found("DE", None, "Cologne"), found("DE", None, "Köln"));
        assert_eq!(found("GB", Some("GB-SCT"), "London"), None);
        assert_eq!(found("US", None, "New York").as_deref(), Some("New York City"));
        assert_eq!(found("US", None, "No Such Town"), None);
        assert_eq!(found("US", None, ""), None);
        let portland = places.find_city(code("US"), None, "Portland").expect("the larger one");
        assert_eq!(portland.region, Some(region("US-OR")));
        let portland = places.find_city(code("US"), Some(region("US-ME")), "Portland").expect("the other");
        assert_eq!(portland.region, Some(region("US-ME")));
    }

    #[test]
    fn cities_stand_largest_first_in_their_country() {
        let places = Geography::embedded();
        let cities: Vec<&City> = places.cities().collect();
        for pair in cities.windows(2) {
            assert!(pair[0].country != pair[1].country || pair[0].population >= pair[1].population);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut whole = b"brownout-geography 1\nsource\0".to_vec();
            whole.extend_from_slice(&bytes);
            let _ = Geography::from_bytes(&bytes);
            let _ = Geography::from_bytes(&whole);
        }

        #[test]
        fn damage_is_refused_or_read_but_never_panics(
            length in 28..6_000_usize,
            at in 0..6_000_usize,
            byte: u8,
        ) {
            let mut bytes = EMBEDDED[..length].to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            prop_assert!(Geography::from_bytes(&bytes).is_err(), "a part was taken for the whole");
        }
    }
}
