//! What is known to be shown, or answered, in place of what is blocked.

use std::net::IpAddr;

use super::Response;
use crate::model::CountryCode;

/// Known signs of blocking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// Addresses that resolvers give for what is blocked.
    pub addresses: Vec<Fingerprint<IpAddr>>,
    /// What block pages hold.
    pub pages: Vec<Fingerprint<(Shown, Pattern)>>,
}

/// One known sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint<T> {
    /// Its name in the list that it is from.
    pub name: String,
    /// Countries where it is expected; empty where it may be anywhere.
    pub countries: Vec<CountryCode>,
    /// The sign.
    pub sign: T,
}

/// Where in an answer a sign is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// In the body.
    Body,
    /// In a header field of this name.
    Header(String),
}

/// How a sign is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// The whole of it is this.
    Full(String),
    /// It begins with this.
    Prefix(String),
    /// It holds this.
    Contains(String),
}

impl<T> Fingerprint<T> {
    /// Whether it may be met in a country. What is met elsewhere is a coincidence.
    fn is_expected(&self, country: Option<CountryCode>) -> bool {
        self.countries.is_empty() || country.is_some_and(|country| self.countries.contains(&country))
    }
}

impl Pattern {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Pattern::Full(sign) => text == sign.as_bytes(),
            Pattern::Prefix(sign) => text.starts_with(sign.as_bytes()),
            Pattern::Contains(sign) => contains(text, sign.as_bytes()),
        }
    }
}

fn contains(text: &[u8], sign: &[u8]) -> bool {
    !sign.is_empty() && text.windows(sign.len()).any(|part| part == sign)
}

impl Fingerprints {
    /// The sign that an address is, where it is expected.
    pub fn of_address(&self, address: IpAddr, country: Option<CountryCode>) -> Option<&str> {
        let known =
            self.addresses.iter().find(|known| known.sign == address && known.is_expected(country))?;
        Some(&known.name)
    }

    /// The sign that an answer bears, where it is expected.
    pub fn of_page(&self, response: &Response, country: Option<CountryCode>) -> Option<&str> {
        let bears = |(shown, pattern): &(Shown, Pattern)| match shown {
            Shown::Body => pattern.matches(&response.body),
            Shown::Header(name) => {
                response.header(name).is_some_and(|value| pattern.matches(value.as_bytes()))
            }
        };
        let known = self.pages.iter().find(|known| known.is_expected(country) && bears(&known.sign))?;
        Some(&known.name)
    }
}
