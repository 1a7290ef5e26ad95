//! The intake decision: what a client said becomes a [`Report`], or a reason why not.
//!
//! Nothing here reads a socket or a clock. Duplicates are the engine's business: intake only
//! makes the keys by which the engine knows a source again.

mod counting;
mod place;
mod reject;
mod source;

pub use counting::Counting;
pub use place::{CityName, Places, StatedPlace};
pub use reject::RejectReason;
pub use source::{PartnerKey, Prefix, Salt, partner_keys, plain_address, source_keys};

use crate::model::{
    Asn, Catalogue, ChannelId, Place, ProblemKind, Report, ServiceId, SourceKeys, UtcTime, Weight,
};

/// How far a partner's clock may run ahead of ours, in minutes.
///
/// There is no bound into the past: late reports are still evidence, which the engine counts as
/// late.
pub const FUTURE_MINUTES_MAX: i64 = 10;

/// The longest comment, in characters.
pub const COMMENT_CHARS_MAX: usize = 500;

/// What a person said, as text that nobody has checked yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Draft<'a> {
    /// Slug of the service.
    pub service: &'a str,
    /// Slug of the kind of problem.
    pub kind: &'a str,
    /// Where the reporter says to be.
    pub place: StatedPlace<'a>,
    /// Free text.
    pub comment: Option<&'a str>,
}

/// A draft whose words all mean something.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// The service that fails.
    pub service: ServiceId,
    /// What is wrong.
    pub kind: ProblemKind,
    /// Where the reporter is: see [`Places::settle`] for who is believed.
    pub place: Place,
    /// The comment without surrounding white space; `None` when nothing is left.
    pub comment: Option<String>,
}

/// Checks a person's draft against the catalogue and the places that exist.
///
/// `seen` is where the client's address says the reporter is. A city name that nobody knows is an
/// error only when `strict_city` is set: a program can be told, a person in a hurry is believed to
/// be where the address says.
pub fn check(
    draft: &Draft<'_>,
    catalogue: &Catalogue,
    places: &Places,
    seen: Place,
    strict_city: bool,
) -> Result<Checked, RejectReason> {
    let service = catalogue.find(draft.service).ok_or(RejectReason::UnknownService)?.id;
    let kind = ProblemKind::from_slug(draft.kind).ok_or(RejectReason::UnknownKind)?;
    let stated = match places.resolve(&draft.place, seen.country) {
        Err(RejectReason::UnknownCity) if !strict_city => {
            places.resolve(&StatedPlace { city: None, ..draft.place }, seen.country)?
        }
        other => other?,
    };
    let comment = draft.comment.map(str::trim).filter(|text| !text.is_empty());
    if comment.is_some_and(|text| text.chars().count() > COMMENT_CHARS_MAX) {
        return Err(RejectReason::CommentTooLong);
    }
    Ok(Checked { service, kind, place: places.settle(stated, seen), comment: comment.map(String::from) })
}

impl Checked {
    /// The report, once it is known when, from which network and from whom it comes.
    pub fn into_report(
        self,
        at: UtcTime,
        network: Option<Asn>,
        source: SourceKeys,
        weight: Weight,
    ) -> Report {
        Report {
            service: self.service,
            kind: self.kind,
            channel: ChannelId::WEB,
            occurred_at: at,
            place: self.place,
            network,
            source,
            weight,
        }
    }
}

#[cfg(test)]
mod tests;
