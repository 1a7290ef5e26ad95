//! One line of a batch: found without copying when it has the usual shape, by serde otherwise.
//!
//! The scanner takes flat objects of known fields, unescaped strings and plain whole numbers, which
//! is what every exporter writes. Whatever else comes (escapes, exponents, unknown or repeated
//! fields) goes to `serde_json`, which also finds the words for what is wrong. So the scanner never
//! has to refuse, and both ways give the same answer: a property test holds them to it.

use std::borrow::Cow;

use serde::Deserialize;

use super::problem::Problem;
use super::single::{CityField, json_problem};

/// A line as text, before its words are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// Slug of the service.
    pub service: Cow<'a, str>,
    /// Slug of the kind of problem.
    pub kind: Cow<'a, str>,
    /// When it happened, RFC 3339.
    pub at: Cow<'a, str>,
    /// The partner's name for the source.
    pub source: Cow<'a, str>,
    /// The partner's name for the source's subnet.
    pub subnet: Option<Cow<'a, str>>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<Cow<'a, str>>,
    /// ISO 3166-2.
    pub region: Option<Cow<'a, str>>,
    /// A city.
    pub city: Option<City<'a>>,
    /// The reporter's network.
    pub asn: Option<u32>,
    /// How much it counts, in percent.
    pub weight: Option<u32>,
}

/// A city by number or name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum City<'a> {
    /// GeoNames number.
    Number(u32),
    /// Name.
    Name(Cow<'a, str>),
}

/// The same shape for serde, and for the description of the interface.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchLine<'a> {
    /// Slug of the service.
    #[serde(borrow)]
    service: Cow<'a, str>,
    /// What is wrong, as for a single report.
    #[serde(borrow)]
    kind: Cow<'a, str>,
    /// When it happened, RFC 3339.
    #[serde(borrow)]
    at: Cow<'a, str>,
    /// Your name for the source, 1 to 128 bytes that mean nothing to us; only its keyed hash stays.
    #[serde(borrow)]
    source: Cow<'a, str>,
    /// Your name for the source's subnet. Without it every source is its own subnet.
    #[serde(borrow, default)]
    subnet: Option<Cow<'a, str>>,
    /// ISO 3166-1 alpha-2.
    #[serde(borrow, default)]
    country: Option<Cow<'a, str>>,
    /// ISO 3166-2.
    #[serde(borrow, default)]
    region: Option<Cow<'a, str>>,
    /// A city, by name (with its country) or GeoNames number.
    #[serde(borrow, default)]
    city: Option<CityField<'a>>,
    /// Number of the reporter's network.
    #[serde(default)]
    asn: Option<u32>,
    /// How much it counts in percent, 0 to 100; 100 if absent.
    #[serde(default)]
    weight: Option<u32>,
}

impl<'a> Line<'a> {
    /// Reads a line in either way.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        match Line::scan(text) {
            Some(line) => Ok(line),
            None => Line::parse_slowly(text),
        }
    }

    /// Reads a line with serde.
    pub fn parse_slowly(text: &'a str) -> Result<Self, Problem> {
        let line: BatchLine<'a> = serde_json::from_str(text).map_err(|error| json_problem(&error))?;
        Ok(Line {
            service: line.service,
            kind: line.kind,
            at: line.at,
            source: line.source,
            subnet: line.subnet,
            country: line.country,
            region: line.region,
            city: line.city.map(|city| match city {
                CityField::Number(number) => City::Number(number),
                CityField::Name(name) => City::Name(name),
            }),
            asn: line.asn,
            weight: line.weight,
        })
    }

    /// Reads a line of the usual shape; `None` says nothing about the line.
    pub fn scan(text: &'a str) -> Option<Self> {
        let mut scanner = Scanner { text, at: 0 };
        let mut line = Line::default();
        let mut seen = 0_u16;
        scanner.expect(b'{')?;
        loop {
            let field = scanner.string()?;
            scanner.expect(b':')?;
            let bit = match field.as_bytes() {
                b"service" => put(&mut line.service, scanner.string()?, 0),
                b"kind" => put(&mut line.kind, scanner.string()?, 1),
                b"at" => put(&mut line.at, scanner.string()?, 2),
                b"source" => put(&mut line.source, scanner.string()?, 3),
                b"subnet" => put(&mut line.subnet, scanner.text_or_null()?, 4),
                b"country" => put(&mut line.country, scanner.text_or_null()?, 5),
                b"region" => put(&mut line.region, scanner.text_or_null()?, 6),
                b"city" => put(&mut line.city, scanner.city_or_null()?, 7),
                b"asn" => put(&mut line.asn, scanner.number_or_null()?, 8),
                b"weight" => put(&mut line.weight, scanner.number_or_null()?, 9),
                _ => return None,
            };
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            match scanner.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        // The first four fields have to be there.
        (scanner.is_done() && seen & 0b1111 == 0b1111).then_some(line)
    }
}

/// Stores a field and gives the bit by which it is known to be there.
fn put<'a, T: From<V>, V: 'a>(field: &mut T, value: V, bit: u32) -> u16 {
    *field = value.into();
    1 << bit
}

/// Walks over a line's bytes; every step gives `None` where serde should look instead.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The next byte that is not white space.
    #[inline]
    fn next(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            self.at += 1;
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                return Some(byte);
            }
        }
    }

    #[inline]
    fn expect(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    /// Whether only white space is left.
    fn is_done(&mut self) -> bool {
        self.next().is_none()
    }

    #[inline]
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        self.string_rest()
    }

    /// A string after its opening quote, if it has no escapes and no control characters.
    #[inline]
    fn string_rest(&mut self) -> Option<&'a str> {
        let start = self.at;
        let rest = self.text.as_bytes().get(start..)?;
        let length = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F))?;
        if rest[length] != b'"' {
            return None;
        }
        self.at = start + length + 1;
        // Both ends are next to an ASCII quote, so they are character boundaries.
        self.text.get(start..start + length)
    }

    #[inline]
    fn null_rest(&mut self) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        rest.starts_with(b"ull").then(|| self.at += 3)
    }

    #[inline]
    fn text_or_null(&mut self) -> Option<Option<Cow<'a, str>>> {
        match self.next()? {
            b'"' => self.string_rest().map(|text| Some(Cow::Borrowed(text))),
            b'n' => self.null_rest().map(|()| None),
            _ => None,
        }
    }

    #[inline]
    fn city_or_null(&mut self) -> Option<Option<City<'a>>> {
        match self.next()? {
            b'"' => self.string_rest().map(|text| Some(City::Name(Cow::Borrowed(text)))),
            b'n' => self.null_rest().map(|()| None),
            digit => self.number_rest(digit).map(|number| Some(City::Number(number))),
        }
    }

    #[inline]
    fn number_or_null(&mut self) -> Option<Option<u32>> {
        match self.next()? {
            b'n' => self.null_rest().map(|()| None),
            digit => self.number_rest(digit).map(Some),
        }
    }

    /// A whole number after its first digit. What follows it is the caller's to judge, so that
    /// `1.5` and `1e3` fail there and go to serde.
    #[inline]
    fn number_rest(&mut self, first: u8) -> Option<u32> {
        if !first.is_ascii_digit() {
            return None;
        }
        let mut number = u32::from(first - b'0');
        while let Some(digit @ b'0'..=b'9') = self.text.as_bytes().get(self.at) {
            // JSON has no leading zeros.
            if number == 0 {
                return None;
            }
            number = number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
            self.at += 1;
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = r#"{"service":"x","kind":"login","at":"2025-03-10T10:00:12Z","source":"abc","subnet":"d",
        "country":"PK","region":"PK-PB","city":1172451,"asn":17557,"weight":100}"#;

    #[test]
    fn the_usual_shape_is_scanned_and_means_the_same_to_serde() {
        for text in [
            FULL,
            r#"{"service":"x","kind":"login","at":"z","source":"s"}"#,
            r#" { "source" : "é<b>" , "at":"","kind":"","service":"" } "#,
            r#"{"service":"x","kind":"k","at":"a","source":"s","subnet":null,"city":"Lahore","asn":0,"weight":null}"#,
        ] {
            let scanned = Line::scan(text);
            assert!(scanned.is_some(), "{text}");
            assert_eq!(scanned, Line::parse_slowly(text).ok(), "{text}");
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_serde() {
        for (text, fine) in [
            (r#"{"service":"x\u0041","kind":"k","at":"a","source":"s"}"#, true),
            (r#"{"service":"x","kind":"k","at":"a","source":"s","asn":4294967296}"#, false),
            (r#"{"service":"x","kind":"k","at":"a","source":"s","asn":01}"#, false),
            (r#"{"service":"x","kind":"k","at":"a","source":"s","asn":1.5}"#, false),
            (r#"{"service":"x","kind":"k","at":"a","source":"s","weight":-1}"#, false),
            (r#"{"service":"x","kind":"k","at":"a"}"#, false),
            (r#"{"service":"x","service":"y","kind":"k","at":"a","source":"s"}"#, false),
            (r#"{"service":"x","kind":"k","at":"a","source":"s","extra":1}"#, false),
            (r#"{"service":"x","kind":"k","at":"a","source":"s"} {}"#, false),
            (r#"{"service":"x","kind":"k","at":"a","source":"s",}"#, false),
            (r#"{"service":null,"kind":"k","at":"a","source":"s"}"#, false),
            ("{}", false),
            ("", false),
            ("[]", false),
        ] {
            assert_eq!(Line::scan(text), None, "{text}");
            assert_eq!(Line::parse(text).is_ok(), fine, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in ".{0,300}") {
            prop_assert!(Line::parse(&text).is_err());
        }

        /// Whatever the scanner takes, serde takes too, and understands the same.
        #[test]
        fn both_ways_agree(cuts in proptest::collection::vec((0..FULL.len(), ".?"), 1..4)) {
            let mut text = FULL.to_owned();
            for (cut, put) in cuts {
                let cut = cut.min(text.len() - 1);
                if text.is_char_boundary(cut) && text.is_char_boundary(cut + 1) {
                    text.replace_range(cut..=cut, &put);
                }
            }
            if let Some(line) = Line::scan(&text) {
                prop_assert_eq!(Some(line), Line::parse_slowly(&text).ok());
            }
        }
    }
}
