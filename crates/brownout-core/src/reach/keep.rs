//! What is kept of a measurement: all that its judgement rests on, and nothing that could name a volunteer.

use std::net::IpAddr;

use super::judge::http::is_challenge;
use super::{Fingerprints, Measurement, Resolver, Response, Signs};

/// Most entries of each stage that are kept.
const ENTRIES_MAX: usize = 64;
/// Most points of how a body came.
const CURVE_POINTS_MAX: usize = 80;
/// Most header fields of an answer.
const HEADERS_MAX: usize = 64;
/// Most bytes of a title, a URL, a name and the version of a probe.
const TITLE_BYTES_MAX: usize = 200;
const URL_BYTES_MAX: usize = 400;
const NAME_BYTES_MAX: usize = 253;
const SOFTWARE_BYTES_MAX: usize = 60;
/// What stands for an address in a text.
const HIDDEN: &str = "[address]";

impl Measurement {
    /// What is kept of it in the log. Pages are let go, for a block page or a portal shows its reader's address,
    /// and so may the values of header fields, the queries of URLs and titles; what was found in them is kept
    /// as [`Signs`], so that the judgement is the same.
    #[must_use]
    pub fn keep(mut self, known: &Fingerprints) -> Self {
        self.signs = self.find_signs(known);
        let run = &mut self.run;
        run.lookups.truncate(ENTRIES_MAX);
        run.connects.truncate(ENTRIES_MAX);
        run.handshakes.truncate(ENTRIES_MAX);
        run.fetches.truncate(ENTRIES_MAX);
        run.pings.truncate(ENTRIES_MAX);
        for lookup in &mut run.lookups {
            lookup.answers.truncate(ENTRIES_MAX);
            lookup.second.truncate(ENTRIES_MAX);
            shorten(&mut lookup.host, NAME_BYTES_MAX);
            if let Resolver::Plain(resolver) | Resolver::Https(resolver) = &mut lookup.resolver {
                shorten(resolver, URL_BYTES_MAX);
            }
        }
        for shake in &mut run.handshakes {
            shake.certificates.truncate(8);
            shorten(&mut shake.server_name, NAME_BYTES_MAX);
        }
        for fetch in &mut run.fetches {
            // The target's own is what everybody asks for.
            if fetch.hop > 0 {
                cut_query(&mut fetch.url);
            }
            shorten(&mut fetch.url, URL_BYTES_MAX);
            fetch.curve.truncate(CURVE_POINTS_MAX);
            fetch.response.iter_mut().for_each(Response::let_go);
        }
        if let super::Control::Found(control) = &mut self.control {
            control.addresses.truncate(ENTRIES_MAX);
            control.connects.truncate(ENTRIES_MAX);
            control.handshakes.truncate(ENTRIES_MAX);
            control.quic.truncate(ENTRIES_MAX);
            control.fetch.iter_mut().filter_map(|fetch| fetch.response.as_mut()).for_each(Response::let_go);
        }
        shorten(&mut self.vantage.software, SOFTWARE_BYTES_MAX);
        self
    }

    fn find_signs(&self, known: &Fingerprints) -> Signs {
        let country = self.vantage.country;
        let mut signs = Signs::default();
        for fetch in &self.run.fetches {
            let Some(response) = &fetch.response else { continue };
            if let Some(name) = known.of_page(response, country) {
                signs.block_pages.push((fetch.hop, name.to_owned()));
            }
            if is_challenge(response) {
                signs.challenges.push(fetch.hop);
            }
        }
        for answer in self.run.lookups.iter().flat_map(|lookup| &lookup.answers) {
            if let Some(name) = known.of_address(answer.address, country) {
                signs.addresses.push((answer.address, name.to_owned()));
            }
        }
        signs.block_pages.truncate(ENTRIES_MAX);
        signs.challenges.truncate(ENTRIES_MAX);
        signs.addresses.truncate(ENTRIES_MAX);
        signs
    }
}

impl Response {
    /// Names of header fields tell servers apart; of their values only where it sends on is needed.
    fn let_go(&mut self) {
        self.body = Vec::new();
        self.headers.truncate(HEADERS_MAX);
        for (name, value) in &mut self.headers {
            shorten(name, SOFTWARE_BYTES_MAX);
            if name.eq_ignore_ascii_case("location") {
                cut_query(value);
                shorten(value, URL_BYTES_MAX);
            } else {
                *value = String::new();
            }
        }
        if let Some(title) = &mut self.title {
            *title = without_addresses(title);
            shorten(title, TITLE_BYTES_MAX);
        }
    }
}

fn cut_query(url: &mut String) {
    if let Some(end) = url.find(['?', '#']) {
        url.truncate(end);
    }
}

fn shorten(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

/// A text in which every address is hidden.
fn without_addresses(text: &str) -> String {
    let is_part = |char: char| char.is_ascii_hexdigit() || char == '.' || char == ':';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(is_part) {
        out.push_str(&rest[..begin]);
        let end = rest[begin..].find(|char| !is_part(char)).map_or(rest.len(), |length| begin + length);
        let word = &rest[begin..end];
        let is_address =
            |text: &str| text.parse::<IpAddr>().is_ok() || text.parse::<std::net::SocketAddr>().is_ok();
        let bare = word.trim_matches(|char| char == '.' || char == ':');
        out.push_str(if is_address(word) || is_address(bare) { HIDDEN } else { word });
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hidden_in_texts() {
        for (text, hidden) in [
            ("Access denied for 203.0.113.9.", "Access denied for [address]"),
            ("Ihr Zugang: 2001:db8::7", "Ihr Zugang: [address]"),
            ("proxy 10.0.0.1:3128 says no", "proxy [address] says no"),
            ("Version 1.2.3 of a cafe: 12:30", "Version 1.2.3 of a cafe: 12:30"),
            ("", ""),
        ] {
            assert_eq!(without_addresses(text), hidden);
        }
    }

    #[test]
    fn texts_end_between_letters() {
        let mut text = "ابپ".to_owned();
        shorten(&mut text, 3);
        assert_eq!(text, "ا");
    }
}
