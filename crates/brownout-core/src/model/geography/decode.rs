//! The bytes a geography is embedded as.
//!
//! ```text
//! "brownout-geography 1\n"  then the sources as text, ended by a zero byte
//! countries: count, then for each
//!   code 2 bytes, name, population, internet users + 1 or 0, their year or 0, position
//!   regions: count, then for each: the part after the hyphen, name
//!   cities:  count, largest first, then for each:
//!     GeoNames number, name, region (place in the list above + 1, or 0), population, position,
//!     other spellings: count, then each
//! ```
//! Numbers are LEB128; text is its length and UTF-8; a position is latitude and longitude as
//! little-endian `i16` in 1/180 and 1/90 degree.

use super::{City, Country, GeographyError, Parts, Region};
use crate::model::{CityId, CountryCode, RegionCode};

const MAGIC: &[u8] = b"brownout-geography 1\n";

/// Most entries of one list. A count above it is a broken file and must not reserve memory.
const COUNT_MAX: u64 = 200_000;

pub(super) fn decode(bytes: &[u8]) -> Result<Parts, GeographyError> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(GeographyError::Malformed("it starts otherwise"))?;
    let end = rest.iter().position(|byte| *byte == 0).ok_or(GeographyError::Malformed("no sources"))?;
    let (sources, rest) = rest.split_at(end);
    let mut input = Input { rest: &rest[1..] };
    let mut parts = Parts { sources: text(sources)?.to_owned(), ..Parts::default() };
    for _ in 0..input.count()? {
        country(&mut input, &mut parts)?;
    }
    if input.rest.is_empty() { Ok(parts) } else { Err(GeographyError::Malformed("bytes after the end")) }
}

fn country(input: &mut Input<'_>, parts: &mut Parts) -> Result<(), GeographyError> {
    let code = CountryCode::new(input.array()?).ok_or(GeographyError::Malformed("a country's code"))?;
    let name = input.text()?.to_owned();
    let population = input.number()?;
    let internet_users = input.number()?.checked_sub(1);
    let year = u16::try_from(input.number()?).map_err(|_| GeographyError::Malformed("a year"))?;
    let (latitude, longitude) = input.position()?;
    parts.countries.push(Country { code, name, population, internet_users, latitude, longitude });
    if internet_users.is_some() && year > 0 {
        parts.internet_users_years.push((code, year));
    }
    let first_region = parts.regions.len();
    for _ in 0..input.count()? {
        let code = RegionCode::new(code, input.text()?);
        let code = code.ok_or(GeographyError::Malformed("a region's code"))?;
        parts.regions.push(Region { code, name: input.text()?.to_owned() });
    }
    for _ in 0..input.count()? {
        city(input, code, first_region, parts)?;
    }
    Ok(())
}

fn city(
    input: &mut Input<'_>,
    country: CountryCode,
    first_region: usize,
    parts: &mut Parts,
) -> Result<(), GeographyError> {
    let id = input.small()?;
    let id = CityId::new(id).ok_or(GeographyError::Malformed("a city's number"))?;
    let name = input.text()?.to_owned();
    let region = match input.small()? as usize {
        0 => None,
        nth => {
            let region = parts.regions.get(first_region + nth - 1);
            Some(region.ok_or(GeographyError::Malformed("a city's region"))?.code)
        }
    };
    let population = input.small()?;
    let (latitude, longitude) = input.position()?;
    let index = parts.cities.len();
    parts.cities.push(City { id, name, country, region, population, latitude, longitude });
    for _ in 0..input.count()? {
        parts.spellings.push((index, input.text()?.to_owned()));
    }
    Ok(())
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], GeographyError> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(GeographyError::Malformed("cut short"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], GeographyError> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or(GeographyError::Malformed("cut short"))?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u64, GeographyError> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(GeographyError::Malformed("a number too large"))
    }

    fn small(&mut self) -> Result<u32, GeographyError> {
        u32::try_from(self.number()?).map_err(|_| GeographyError::Malformed("a number too large"))
    }

    fn count(&mut self) -> Result<u64, GeographyError> {
        let count = self.number()?;
        if count > COUNT_MAX { Err(GeographyError::Malformed("a list too long")) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<&'a str, GeographyError> {
        let length = self.small()? as usize;
        text(self.take(length)?)
    }

    fn position(&mut self) -> Result<(f32, f32), GeographyError> {
        let latitude = f32::from(i16::from_le_bytes(self.array()?)) / 180.0;
        let longitude = f32::from(i16::from_le_bytes(self.array()?)) / 90.0;
        if latitude.abs() > 90.0 || longitude.abs() > 180.0 {
            return Err(GeographyError::Malformed("a position off the globe"));
        }
        Ok((latitude, longitude))
    }
}

fn text(bytes: &[u8]) -> Result<&str, GeographyError> {
    std::str::from_utf8(bytes).map_err(|_| GeographyError::Malformed("text that is not UTF-8"))
}
