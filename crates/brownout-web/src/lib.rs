//! What the public sees of Brownout: pages, charts, a JSON interface and a stream of changes.
//!
//! Readers never touch the engine. Everything here is made from an immutable
//! [`Snapshot`](brownout_core::snapshot::Snapshot) behind an `ArcSwap`; what is older comes from the
//! store's read-only [`History`](brownout_store::port::History). A page is rendered and packed at
//! most once per version and then handed out as ready bytes.
//!
//! A host makes a [`WebState`] per site and merges the [`router`] of each; several sites, such as a
//! replayed scenario and a live observatory, stand side by side under different base paths.

#![forbid(unsafe_code)]

mod api;
mod asked;
mod assets;
mod cache;
mod chart;
mod events;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
mod map;
mod marks;
mod pages;
#[cfg(test)]
mod reading;
mod respond;
mod router;
mod site;
mod strip;
#[cfg(test)]
mod tests;
mod view;
mod zone;

pub use api::openapi;
pub use cache::{CacheLimits, CacheStats};
pub use pages::report::{
    FormField, FormProblem, render_report_done, render_report_form, render_report_refused,
};
pub use respond::{PAGE_POLICY, html, problem};
pub use router::{not_found, render_not_found, router};
pub use site::{Challenge, Hooks, Mode, Site, SiteOptions, SiteParts, ViewedHook, WebState, WebStats};
