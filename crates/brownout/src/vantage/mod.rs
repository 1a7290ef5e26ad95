//! A vantage point: a probe that an observatory has enrolled. It pulls a signed schedule, measures what is on it
//! and nothing else, and brings signed measurements; while the observatory cannot be reached they wait on disk.

mod client;
mod queue;
mod rounds;
mod state;

pub use client::{Client, Trouble};
pub use queue::{QUEUED_MAX, Queue, Sending};
pub use rounds::Rounds;
pub use state::{Enrolment, State};
