//! The pages. Each is a function of a [`View`](crate::view::View) and gives the whole HTML.

pub(crate) mod country;
pub(crate) mod incident;
pub(crate) mod info;
pub(crate) mod reach;
pub(crate) mod report;
pub(crate) mod service;
pub(crate) mod world;

use askama::Template;

use crate::respond::Failure;

/// The HTML of a template; a template that cannot be written is our own fault.
pub(crate) fn render(template: &impl Template) -> Result<String, Failure> {
    template.render().map_err(|_| Failure::Internal)
}

/// The diamond of "not enough data" with its words.
pub(crate) fn unknown() -> String {
    crate::marks::mark(brownout_core::snapshot::State::Insufficient)
}
