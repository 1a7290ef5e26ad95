//! The page about the observatory, and pages that say what went wrong.

use askama::Template;
use brownout_core::snapshot::State;

use super::render;
use crate::marks;
use crate::respond::Failure;
use crate::view::{Shell, View};

#[derive(Template)]
#[template(path = "about.html")]
struct About {
    shell: Shell,
    words: Vec<(String, &'static str)>,
    data_licence: &'static str,
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
            "Nothing was collected, or the usual level is not known yet. This is not calm.",
        ),
    ];
    render(&About {
        shell: view.shell(&format!("How {} works", view.site.options.title), ""),
        words: words.into_iter().map(|(state, text)| (marks::mark(state), text)).collect(),
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
