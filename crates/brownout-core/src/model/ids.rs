//! Identifiers. Each is its own type, so that one can never be passed for another.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Minute;

/// Position of a record in the one global order of the evidence log. The first record has 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A service's number inside one data folder. It is given on first sight, written to the log with
/// the catalogue, and never given again; people and interfaces use the slug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServiceId(pub u32);

/// A channel's number inside one data folder: the form, a partner, page views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub u16);

impl ChannelId {
    /// Reports from people on this observatory's own form and public interface.
    pub const WEB: ChannelId = ChannelId(0);
    /// Views of a service's page. Never summed with reports.
    pub const PAGE_VIEWS: ChannelId = ChannelId(1);
    /// The first number that a partner's channel may have.
    pub const FIRST_PARTNER: ChannelId = ChannelId(16);
}

/// An incident's stable name: the service and the minute it was opened, for at most one incident
/// of a service can open in a minute. Written `x-2025-03-10-0947`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IncidentId {
    /// The service that is affected.
    pub service: ServiceId,
    /// The minute in which it was opened.
    pub opened: Minute,
}

impl IncidentId {
    /// The incident's public name, from its service's slug.
    pub fn name(&self, slug: &str) -> String {
        let at = self.opened.start().to_string();
        format!("{slug}-{}-{}{}", &at[..10], &at[11..13], &at[14..16])
    }

    /// Splits a public name into the slug and the opening minute.
    pub fn parse_name(name: &str) -> Result<(&str, Minute), IncidentIdError> {
        let cut = name.len().checked_sub(16).ok_or(IncidentIdError)?;
        let (slug, tail) = name.split_at_checked(cut).ok_or(IncidentIdError)?;
        let time = tail.strip_prefix('-').ok_or(IncidentIdError)?;
        if slug.is_empty() || !time.is_ascii() || time.as_bytes()[10] != b'-' {
            return Err(IncidentIdError);
        }
        let text = format!("{}T{}:{}:00Z", &time[..10], &time[11..13], &time[13..15]);
        let at: super::UtcTime = text.parse().map_err(|_| IncidentIdError)?;
        Ok((slug, at.minute()))
    }
}

/// Text that is not an incident's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentIdError;

impl fmt::Display for IncidentIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an incident's name such as x-2025-03-10-0947")
    }
}

impl std::error::Error for IncidentIdError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_name_goes_there_and_back() {
        let opened = "2025-03-10T09:47:00Z".parse::<crate::model::UtcTime>().expect("a time").minute();
        let id = IncidentId { service: ServiceId(3), opened };
        let name = id.name("t-mobile");
        assert_eq!(name, "t-mobile-2025-03-10-0947");
        assert_eq!(IncidentId::parse_name(&name), Ok(("t-mobile", opened)));
    }

    #[test]
    fn rubbish_is_not_an_incident_name() {
        for name in ["", "x", "-2025-03-10-0947", "x-2025-03-10-09é", "x-2025-13-10-0947", "éééééééééééé"]
        {
            assert_eq!(IncidentId::parse_name(name), Err(IncidentIdError), "{name}");
        }
    }
}
