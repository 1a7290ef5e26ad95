//! Measurements as OONI keeps them: one JSON document each, in files of one a line
//! (<https://github.com/ooni/spec/tree/master/data-formats>, df-000 to df-009).

mod body;
mod control;
mod documents;
mod failure;
mod fields;
mod read;
mod write;

pub use documents::{DOCUMENT_BYTES_MAX, Document, Documents};
pub use failure::failure_of;
pub use read::{Refusal, read};
pub use write::write;
