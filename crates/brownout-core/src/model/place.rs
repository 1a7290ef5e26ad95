//! Places and networks, as small values that fit in a record.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A country: ISO 3166-1 alpha-2, upper case, such as `PK`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// From two ASCII letters of either case.
    pub const fn new(letters: [u8; 2]) -> Option<Self> {
        let a = letters[0].to_ascii_uppercase();
        let b = letters[1].to_ascii_uppercase();
        if a.is_ascii_uppercase() && b.is_ascii_uppercase() { Some(CountryCode([a, b])) } else { None }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }

    /// The two letters as bytes.
    pub const fn bytes(self) -> [u8; 2] {
        self.0
    }
}

/// A first-level division of a country: ISO 3166-2, such as `PK-PB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionCode {
    country: CountryCode,
    /// One to three of A-Z and 0-9, padded with zero bytes.
    part: [u8; 3],
}

impl RegionCode {
    /// From a country and the one to three letters or digits after the hyphen.
    pub fn new(country: CountryCode, part: &str) -> Option<Self> {
        let bytes = part.as_bytes();
        if bytes.is_empty() || bytes.len() > 3 || !bytes.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut padded = [0; 3];
        for (to, from) in padded.iter_mut().zip(bytes) {
            *to = from.to_ascii_uppercase();
        }
        Some(RegionCode { country, part: padded })
    }

    /// From a country and the part as [`RegionCode::part`] gives it.
    #[inline]
    pub fn from_padded(country: CountryCode, part: [u8; 3]) -> Option<Self> {
        let written = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        let [a, b, c] = part;
        let sound = written(a) && (written(b) || (b == 0 && c == 0)) && (written(c) || c == 0);
        sound.then_some(RegionCode { country, part })
    }

    /// The country this region is part of.
    pub const fn country(self) -> CountryCode {
        self.country
    }

    /// The part after the hyphen, padded with zero bytes.
    pub const fn part(self) -> [u8; 3] {
        self.part
    }
}

/// A city: its GeoNames identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CityId(pub NonZeroU32);

/// An autonomous system number (RFC 6793). 0 is reserved (RFC 7607) and stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asn(pub NonZeroU32);

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AS{}", self.0)
    }
}

impl CityId {
    /// From a GeoNames number; `None` for 0.
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(CityId(id)),
            None => None,
        }
    }
}

impl Asn {
    /// From a number; `None` for 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Asn(number)),
            None => None,
        }
    }
}

/// Where a report comes from, as finely as is known. A finer part never stands without the
/// country; what is unknown stays `None` and is never guessed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The country.
    pub country: Option<CountryCode>,
    /// The first-level division.
    pub region: Option<RegionCode>,
    /// The city.
    pub city: Option<CityId>,
}

/// Text that is not a code of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceError {
    expected: &'static str,
    found: String,
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not {}", self.found, self.expected)
    }
}

impl std::error::Error for PlaceError {}

fn place_error(expected: &'static str, found: &str) -> PlaceError {
    PlaceError { expected, found: found.chars().take(32).collect() }
}

impl FromStr for CountryCode {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        <[u8; 2]>::try_from(text.as_bytes())
            .ok()
            .and_then(CountryCode::new)
            .ok_or_else(|| place_error("a two-letter country code such as PK", text))
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RegionCode {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let error = || place_error("a region code such as PK-PB", text);
        let (country, part) = text.split_once('-').ok_or_else(error)?;
        RegionCode::new(country.parse().map_err(|_| error())?, part).ok_or_else(error)
    }
}

impl fmt::Display for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = std::str::from_utf8(&self.part).unwrap_or("?").trim_end_matches('\0');
        write!(f, "{}-{part}", self.country)
    }
}

impl fmt::Debug for RegionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! serde_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(CountryCode, RegionCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_go_there_and_back() {
        let region: RegionCode = "pk-pb".parse().expect("a region");
        assert_eq!(region.to_string(), "PK-PB");
        assert_eq!(region.country().as_str(), "PK");
        assert_eq!(RegionCode::from_padded(region.country(), region.part()), Some(region));
        for wrong in [*b"\0\0\0", *b"A\0B", *b"pb\0", *b"A-B"] {
            assert_eq!(RegionCode::from_padded(region.country(), wrong), None);
        }
        assert_eq!("gb".parse::<CountryCode>().expect("a country").to_string(), "GB");
        assert_eq!(Asn::new(17557).expect("not zero").to_string(), "AS17557");
    }

    #[test]
    fn rubbish_is_refused() {
        for text in ["", "P", "PAK", "é", "1K"] {
            assert!(text.parse::<CountryCode>().is_err(), "{text}");
        }
        for text in ["PK", "PK-", "PK-ABCD", "PK-É"] {
            assert!(text.parse::<RegionCode>().is_err(), "{text}");
        }
        assert!(Asn::new(0).is_none());
    }
}
