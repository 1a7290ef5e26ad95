//! One line of a batch: found without copying when it has the usual shape, by serde otherwise.
//!
//! The scanner takes flat objects of known fields, unescaped strings and plain whole numbers, which
//! is what every exporter writes. Whatever else comes (escapes, exponents, unknown or repeated
//! fields) goes to `serde_json`, which also finds the words for what is wrong. So the scanner never
//! has to refuse, and both ways give the same answer: a property test holds them to it.

use std::borrow::Cow;

use serde::Deserialize;

use brownout_core::report::{CityName, StatedPlace};

use super::problem::Problem;
use super::single::{CityField, json_problem};

/// A line as text, before its words are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line<'a> {
    /// Slug of the service.
    pub service: &'a str,
    /// Slug of the kind of problem.
    pub kind: &'a str,
    /// When it happened, RFC 3339.
    pub at: &'a str,
    /// The partner's name for the source.
    pub source: &'a str,
    /// The partner's name for the source's subnet.
    pub subnet: Option<&'a str>,
    /// Where, as the partner says.
    pub place: StatedPlace<'a>,
    /// The reporter's network.
    pub asn: Option<u32>,
    /// How much it counts, in percent.
    pub weight: Option<u32>,
}

/// One line of a batch: a report that a partner vouches for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchLine<'a> {
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

impl<'a> BatchLine<'a> {
    /// Reads a line with serde.
    pub fn parse(text: &'a str) -> Result<Self, Problem> {
        serde_json::from_str(text).map_err(|error| json_problem(&error))
    }

    /// The same as text.
    pub fn as_line(&self) -> Line<'_> {
        let city = self.city.as_ref().map(|city| match city {
            CityField::Number(number) => CityName::Number(*number),
            CityField::Name(name) => CityName::Name(name),
        });
        Line {
            service: &self.service,
            kind: &self.kind,
            at: &self.at,
            source: &self.source,
            subnet: self.subnet.as_deref(),
            place: StatedPlace { country: self.country.as_deref(), region: self.region.as_deref(), city },
            asn: self.asn,
            weight: self.weight,
        }
    }
}

impl<'a> Line<'a> {
    /// Reads a line of the usual shape; `None` says nothing about the line.
    pub fn scan(text: &'a str) -> Option<Self> {
        let mut scanner = Scanner { text, at: 0 };
        let mut line = Line::default();
        let mut seen = 0_u16;
        scanner.expect(b'{')?;
        loop {
            scanner.expect(b'"')?;
            let bit = match scanner.field()? {
                0 => put(&mut line.service, scanner.string()?, 0),
                1 => put(&mut line.kind, scanner.string()?, 1),
                2 => put(&mut line.at, scanner.string()?, 2),
                3 => put(&mut line.source, scanner.string()?, 3),
                4 => put(&mut line.subnet, scanner.text_or_null()?, 4),
                5 => put(&mut line.place.country, scanner.text_or_null()?, 5),
                6 => put(&mut line.place.region, scanner.text_or_null()?, 6),
                7 => put(&mut line.place.city, scanner.city_or_null()?, 7),
                8 => put(&mut line.asn, scanner.number_or_null()?, 8),
                _ => put(&mut line.weight, scanner.number_or_null()?, 9),
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
#[inline]
fn put<T>(field: &mut T, value: T, number: u32) -> u16 {
    *field = value;
    1 << number
}

/// Finds the first byte that may not stand in a plain string: a quote, a backslash or a control
/// character. Eight bytes at a time, because strings are most of a line; the trick is the classic
/// one of finding a zero byte in a word, whose lowest hit is always a true one.
#[inline]
fn plain_length(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let quotes = zeros(word ^ (ONES * u64::from(b'"')));
        let backslashes = zeros(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let hits = quotes | backslashes | controls;
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F)).map(|length| at + length)
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

    /// The number of the field whose opening quote was just read, and its colon.
    #[inline]
    fn field(&mut self) -> Option<usize> {
        let rest = self.text.as_bytes().get(self.at..)?;
        // Each comparison is with a constant, which becomes one or two of whole words.
        let (field, length) = match rest.first()? {
            b's' if rest.starts_with(b"service\"") => (0, 8),
            b'k' if rest.starts_with(b"kind\"") => (1, 5),
            b'a' if rest.starts_with(b"at\"") => (2, 3),
            b's' if rest.starts_with(b"source\"") => (3, 7),
            b's' if rest.starts_with(b"subnet\"") => (4, 7),
            b'c' if rest.starts_with(b"country\"") => (5, 8),
            b'r' if rest.starts_with(b"region\"") => (6, 7),
            b'c' if rest.starts_with(b"city\"") => (7, 5),
            b'a' if rest.starts_with(b"asn\"") => (8, 4),
            b'w' if rest.starts_with(b"weight\"") => (9, 7),
            _ => return None,
        };
        self.at += length;
        self.expect(b':')?;
        Some(field)
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
        let length = plain_length(rest)?;
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
    fn text_or_null(&mut self) -> Option<Option<&'a str>> {
        match self.next()? {
            b'"' => self.string_rest().map(Some),
            b'n' => self.null_rest().map(|()| None),
            _ => None,
        }
    }

    #[inline]
    fn city_or_null(&mut self) -> Option<Option<CityName<'a>>> {
        match self.next()? {
            b'"' => self.string_rest().map(|text| Some(CityName::Name(text))),
            b'n' => self.null_rest().map(|()| None),
            digit => self.number_rest(digit).map(|number| Some(CityName::Number(number))),
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
            let slowly = BatchLine::parse(text).ok();
            assert_eq!(scanned, slowly.as_ref().map(BatchLine::as_line), "{text}");
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
            assert_eq!(BatchLine::parse(text).is_ok(), fine, "{text}");
        }
    }

    proptest! {
        #[test]
        fn plain_length_is_what_a_loop_finds(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            // High bytes and their neighbours are where the trick could go wrong.
            for bytes in [bytes.clone(), bytes.iter().map(|byte| byte | 0x80).collect(), [&bytes[..], b"\""].concat()] {
                let found = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F));
                prop_assert_eq!(plain_length(&bytes), found);
            }
        }

        #[test]
        fn any_text_gives_an_answer(text in ".{0,300}") {
            prop_assert!(Line::scan(&text).is_none() && BatchLine::parse(&text).is_err());
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
                let slowly = BatchLine::parse(&text).ok();
                prop_assert_eq!(Some(line), slowly.as_ref().map(BatchLine::as_line));
            }
        }
    }
}
