//! Why what a client said is not a report.

use std::fmt;

/// Why a draft is not a report. Each has a stable name, which interfaces and counters use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    /// The catalogue has no such service: the catalogue decides, never a client.
    UnknownService,
    /// No such kind of problem.
    UnknownKind,
    /// No such country.
    UnknownCountry,
    /// No such region.
    UnknownRegion,
    /// No such city in that country.
    UnknownCity,
    /// The stated region or city is not in the stated country.
    PlaceContradicts,
    /// The comment is longer than [`super::COMMENT_CHARS_MAX`] characters.
    CommentTooLong,
    /// The time is further ahead than [`super::FUTURE_MINUTES_MAX`].
    InTheFuture,
}

impl RejectReason {
    /// The name used in interfaces and counters.
    pub const fn slug(self) -> &'static str {
        match self {
            RejectReason::UnknownService => "unknown_service",
            RejectReason::UnknownKind => "unknown_kind",
            RejectReason::UnknownCountry => "unknown_country",
            RejectReason::UnknownRegion => "unknown_region",
            RejectReason::UnknownCity => "unknown_city",
            RejectReason::PlaceContradicts => "place_contradicts",
            RejectReason::CommentTooLong => "comment_too_long",
            RejectReason::InTheFuture => "in_the_future",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RejectReason::UnknownService => "no service of this name is in the catalogue",
            RejectReason::UnknownKind => "there is no such kind of problem",
            RejectReason::UnknownCountry => "there is no country with this code",
            RejectReason::UnknownRegion => "there is no region with this code",
            RejectReason::UnknownCity => "no city of this name or number is known there",
            RejectReason::PlaceContradicts => "the region or city is not in the stated country",
            RejectReason::CommentTooLong => "the comment is longer than 500 characters",
            RejectReason::InTheFuture => "the time is more than 10 minutes ahead of this observatory's clock",
        })
    }
}

impl std::error::Error for RejectReason {}
