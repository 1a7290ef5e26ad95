//! What reports are checked against; replaced as a whole when the catalogue or policy changes.

use std::sync::Arc;

use brownout_core::model::{Catalogue, Geography, Policy, Service, Weight};
use brownout_core::report::{Counting, Places};

/// Services that are compared with a misspelt one at most, so that inventing names stays cheap
/// for us.
const COMPARED_MAX: usize = 5_000;

/// Catalogue, places and the figures of the policy that intake needs.
#[derive(Clone, Debug)]
pub struct World {
    /// Services that can be reported.
    pub catalogue: Arc<Catalogue>,
    /// Places that exist.
    pub places: Places,
    /// Weight of a report without the proof of work that was asked for.
    pub weight_without_proof: Weight,
    /// How often a source counts.
    pub counting: Counting,
    /// For how long the salt before is still needed: the repeat window plus lateness.
    pub salt_overlap_minutes: u32,
    /// What reporters are told of it, made once for all of them.
    pub notes: CountedNotes,
}

/// What a reporter is told of how the report is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedNotes {
    /// Of a report that weighs in full.
    pub in_full: Box<str>,
    /// Of one without the proof of work that was asked for.
    pub less: Box<str>,
}

impl CountedNotes {
    /// What is told of a report that weighs so much.
    pub fn of(&self, weight: Weight) -> &str {
        if weight == Weight::FULL { &self.in_full } else { &self.less }
    }
}

impl From<Counting> for CountedNotes {
    fn from(counting: Counting) -> Self {
        let silence = counting.silence();
        let note = |weight: &str| {
            let often = "A source counts once for a service, and again only after";
            format!("{weight} {often} {silence} without a report from it.").into()
        };
        CountedNotes {
            in_full: note("It weighs in full."),
            less: note("It weighs less, because it came without the proof of work that is asked for now."),
        }
    }
}

impl World {
    /// Puts the parts together. Indexing the city names takes some milliseconds.
    pub fn new(catalogue: Arc<Catalogue>, geography: Arc<Geography>, policy: &Policy) -> Self {
        let counting = Counting::from(policy);
        World {
            catalogue,
            places: Places::new(geography),
            weight_without_proof: Weight::from_percent(policy.weight_without_proof_percent),
            counting,
            salt_overlap_minutes: policy.repeat_minutes + policy.lateness_minutes,
            notes: counting.into(),
        }
    }

    /// The slug that was probably meant: the service is called what was written, or its slug or an
    /// alias is at most two slips away from it.
    pub fn did_you_mean(&self, written: &str) -> Option<String> {
        let written = written.trim().to_lowercase();
        if written.is_empty() || written.len() > 48 {
            return None;
        }
        let slips_max = if written.chars().count() <= 4 { 1 } else { 2 };
        let slips = |known: &str| match known.len().abs_diff(written.len()) {
            0..=2 => strsim::osa_distance(known, &written),
            _ => usize::MAX,
        };
        // A short alias is a slip away from nearly anything that is short.
        let aliases = |service: &Service| {
            let long = service.aliases.iter().filter(|alias| alias.chars().count() > 4);
            long.map(|alias| slips(alias)).min().unwrap_or(usize::MAX)
        };
        self.catalogue
            .iter()
            .take(COMPARED_MAX)
            .map(|service| match service.is_called(&written) {
                true => (0, service),
                false => (slips(&service.slug).min(aliases(service)), service),
            })
            .filter(|(slips, _)| *slips <= slips_max)
            .min_by_key(|(slips, _)| *slips)
            .map(|(_, service)| service.slug.clone())
    }
}
