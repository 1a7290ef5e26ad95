//! The page about the observatory, and pages that say what went wrong.

use askama::Template;
use brownout_core::snapshot::State;
use brownout_core::verdict::{Confidence, confidence_meaning, confidence_words};

use super::render;
use crate::marks;
use crate::respond::Failure;
use crate::view::{Shell, View};

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    shell: Shell,
    subnet_sources_max: u32,
    words: Vec<(String, &'static str)>,
    /// Each confidence as pages call it, and what it means.
    confidence: [(String, String); 3],
    data_licence: &'static str,
    contact: Option<Contact>,
}

/// Whom to turn to.
struct Contact {
    text: String,
    href: Option<String>,
}

impl Contact {
    fn new(told: &str) -> Option<Self> {
        let told = told.trim();
        // An operator's slip must not become a link that runs a script.
        let is_link = told.starts_with("https://") || told.starts_with("mailto:");
        let text = told.strip_prefix("mailto:").unwrap_or(told).to_owned();
        (!told.is_empty()).then(|| Contact { text, href: is_link.then(|| told.to_owned()) })
    }
}

/// The page about the observatory.
pub(crate) fn about(view: &View) -> Result<String, Failure> {
    let words = [
        (State::Calm, "Reports are within their usual band."),
        (State::Possible, "More people report than chance explains; it may still be nothing."),
        (State::Confirmed, "Many people, over some time: something is wrong."),
        (State::Ended, "Reports are back to their usual band."),
        (
            State::Insufficient,
            "Nobody has reported it yet, nothing was collected, or it is not measured here. This is not calm.",
        ),
    ];
    render(&About {
        shell: view.shell(&format!("How {} works", view.site.options.title), ""),
        subnet_sources_max: view.counting().subnet_sources_max,
        words: words.into_iter().map(|(state, text)| (marks::mark(state), text)).collect(),
        confidence: [Confidence::Weak, Confidence::Moderate, Confidence::Strong]
            .map(|one| (marks::capital(confidence_words(one)), confidence_meaning(one))),
        contact: Contact::new(&view.site.options.contact),
        data_licence: "CC BY 4.0, unless the operator says otherwise.",
    })
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    shell: Shell,
    heading: &'static str,
    text: &'static str,
}

/// A page that says what went wrong.
pub(crate) fn error(view: &View, failure: Failure) -> String {
    let page = ErrorPage {
        shell: view.shell(failure.title(), ""),
        heading: failure.title(),
        text: failure.detail(),
    };
    page.render().unwrap_or_else(|_| failure.title().to_owned())
}
