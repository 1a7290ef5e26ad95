//! Whether two pages are the same.

use super::Response;

/// What two answers to the same request have in common; `None` where it cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Likeness {
    /// The same status, or both of a redirect or both an error of the server.
    pub status: Option<bool>,
    /// The shorter body is at least 7 tenths of the longer.
    pub length: Option<bool>,
    /// They have a header field in common that not every server sends.
    pub headers: Option<bool>,
    /// Their titles have the same first word of five letters or more.
    pub title: Option<bool>,
}

/// The least part of the longer body that the shorter must be (OONI web connectivity, specification ts-017).
const LENGTH_PART_MIN: f64 = 0.7;
/// Words of a title that are shorter say nothing (the same).
const WORD_LETTERS_MIN: usize = 5;
/// Header fields that every server sends, or everything in between adds (the same specification names the
/// first of them).
const COMMON_HEADERS: [&str; 24] = [
    "date",
    "content-type",
    "server",
    "cache-control",
    "vary",
    "set-cookie",
    "location",
    "expires",
    "x-powered-by",
    "content-encoding",
    "last-modified",
    "accept-ranges",
    "pragma",
    "x-frame-options",
    "etag",
    "x-content-type-options",
    "age",
    "via",
    "p3p",
    "x-xss-protection",
    "content-language",
    "strict-transport-security",
    "link",
    "connection",
];

impl Likeness {
    /// Whether the two are the same page: by their status and one of the others.
    pub fn is_same(self) -> bool {
        self.status == Some(true)
            && [self.length, self.headers, self.title].into_iter().any(|part| part == Some(true))
    }

    /// Whether the same server seems to have written both, whatever they say.
    pub fn is_same_server(self) -> bool {
        self.headers == Some(true)
    }
}

/// What an answer has in common with the control's.
pub fn likeness(ours: &Response, theirs: &Response) -> Likeness {
    Likeness {
        status: same_status(ours.status, theirs.status),
        length: same_length(ours, theirs),
        headers: same_headers(ours, theirs),
        title: same_title(ours, theirs),
    }
}

fn same_status(ours: u16, theirs: u16) -> Option<bool> {
    let is_status = |status: u16| (100..600).contains(&status);
    if !is_status(ours) || !is_status(theirs) {
        return None;
    }
    // An error of the control's may be of its own place in the network.
    Some(ours == theirs).filter(|same| *same || theirs / 100 == 2 || theirs / 100 == 3)
}

fn same_length(ours: &Response, theirs: &Response) -> Option<bool> {
    if ours.is_truncated || theirs.is_truncated {
        return None;
    }
    let (ours, theirs) = (ours.body_length?, theirs.body_length?);
    if ours == theirs {
        return Some(true);
    }
    Some(ours.min(theirs) as f64 >= LENGTH_PART_MIN * ours.max(theirs) as f64)
}

fn same_headers(ours: &Response, theirs: &Response) -> Option<bool> {
    let names = |response: &Response| -> Vec<String> {
        let mut names: Vec<String> =
            response.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let (ours, theirs) = (names(ours), names(theirs));
    if ours.is_empty() || theirs.is_empty() {
        return (!theirs.is_empty()).then_some(false);
    }
    let is_uncommon = |name: &&String| !COMMON_HEADERS.contains(&name.as_str());
    Some(ours == theirs || ours.iter().filter(is_uncommon).any(|name| theirs.contains(name)))
}

fn same_title(ours: &Response, theirs: &Response) -> Option<bool> {
    let words = |response: &Response| -> Option<Vec<String>> {
        let title = response.title.as_deref().filter(|title| !title.is_empty())?;
        Some(title.split_whitespace().map(str::to_lowercase).collect())
    };
    let (ours, theirs) = (words(ours)?, words(theirs)?);
    let mut pairs = ours.iter().zip(&theirs);
    let long = |word: &String| word.chars().count() >= WORD_LETTERS_MIN;
    // The first words that say something decide; a title of short words is compared as a whole.
    match pairs.find(|(a, b)| long(a) && long(b)) {
        Some((a, b)) => Some(a == b),
        None => Some(ours == theirs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(status: u16, title: &str, length: u64, headers: &[&str]) -> Response {
        Response {
            status,
            title: Some(title.to_owned()),
            body_length: Some(length),
            headers: headers.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect(),
            ..Response::default()
        }
    }

    #[test]
    fn pages_are_the_same_by_status_and_one_of_the_rest() {
        let site = page(200, "Example of a site", 1000, &["Date", "X-Site"]);
        let is_same = |other: &Response| likeness(other, &site).is_same();
        assert!(is_same(&page(200, "Example of a site, anew", 100, &["Date"])));
        assert!(is_same(&page(200, "Denied", 900, &["Date"])));
        assert!(is_same(&page(200, "Denied", 100, &["x-site"])));
        assert!(!is_same(&page(200, "Denied", 100, &["Date", "Server"])));
        assert!(!is_same(&page(403, "Example of a site", 1000, &["Date", "X-Site"])));
    }

    #[test]
    fn what_was_cut_off_has_no_length() {
        let site = page(200, "", 1000, &["X-Site"]);
        let cut = Response { is_truncated: true, ..page(200, "", 10, &["Date"]) };
        assert_eq!(likeness(&cut, &site).length, None);
        assert_eq!(likeness(&cut, &site).title, None);
    }
}
