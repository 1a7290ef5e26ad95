//! What the crowd alone can say.

use super::{Confidence, Locus, Reason, Source, Verdict};
use crate::incident::{Cause, Doubt};
use crate::model::{Facet, IncidentId, ServiceId, UtcTime};
use crate::snapshot::State;

/// Version of the rules in this file; a change of any of them raises it.
pub const RULESET: u32 = 3;

/// One network with at least this share of the last hour's sources is named, in percent.
const ONE_NETWORK_PERCENT: u32 = 80;
/// Fewer subnets than this share of the sources is a reason for doubt, in percent.
const FEW_SUBNETS_PERCENT: u32 = 20;
/// Countries above usual from which "many" is said.
pub(super) const MANY_COUNTRIES_MIN: u32 = 3;
/// Sources of 15 minutes from which reports alone, from that many countries, give moderate confidence
/// that something is wrong; of an hour, twice as many.
pub(super) const MODERATE_SOURCES_MIN: u32 = 500;
pub(super) const MODERATE_SOURCES_HOUR_MIN: u32 = 2 * MODERATE_SOURCES_MIN;

/// One affected part and its figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// The part.
    pub facet: Facet,
    /// Sources in the last 15 minutes.
    pub observed: u32,
    /// Usual mean of these 15 minutes.
    pub expected: f64,
    /// How rarely chance alone does this, in years.
    pub recurrence_years: f64,
}

/// Everything a judgement rests on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The service.
    pub service: ServiceId,
    /// Its incident.
    pub incident: Option<IncidentId>,
    /// Revision to give.
    pub revision: u32,
    /// The present.
    pub as_of: UtcTime,
    /// How it stands.
    pub state: State,
    /// Since when it is not calm.
    pub since: Option<UtcTime>,
    /// The service as a whole.
    pub whole: Part,
    /// Parts that are above usual now, worst first; `All` first if the service as a whole departs.
    pub parts: &'a [Part],
    /// Network with the most sources in the last hour, and how many.
    pub top_network: Option<(Facet, u32)>,
    /// Sources of the last hour.
    pub sources_hour: u32,
    /// Distinct subnets of the last hour or two.
    pub subnets: u32,
    /// The baseline is still a prior.
    pub learning: bool,
    /// Why an operator holds it.
    pub held: Option<&'a str>,
    /// What else keeps it at "possible", the largest doubt first.
    pub doubts: &'a [Doubt],
    /// Digest of the policy.
    pub policy: &'a str,
}

/// Judges. The same facts always give the same verdict, hash included.
pub fn judge(facts: &Facts<'_>) -> Verdict {
    let countries =
        facts.parts.iter().filter(|part| matches!(part.facet, Facet::Country(_))).map(|part| part.facet);
    let countries: Vec<Facet> = countries.collect();
    let mut verdict = Verdict {
        service: facts.service,
        incident: facts.incident,
        revision: facts.revision,
        as_of: facts.as_of,
        state: facts.state,
        since: facts.since,
        extent: facts.parts.iter().map(|part| part.facet).collect(),
        locus: if facts.incident.is_some() { Locus::Undetermined } else { Locus::NoIncident },
        confidence: confidence(facts, countries.len()),
        reasons: reasons(facts, &countries),
        looked_at: vec![Source::Crowd],
        not_looked_at: vec![Source::Reachability, Source::Routing, Source::Traffic, Source::Statements],
        ruleset: RULESET,
        policy: facts.policy.to_owned(),
        hash: String::new(),
    };
    verdict.hash = hash(&verdict);
    verdict
}

/// Reports are one group of evidence, so they never give more than moderate confidence, and that
/// only when many people in several countries agree on a service whose usual is known.
fn confidence(facts: &Facts<'_>, countries: usize) -> Confidence {
    let many =
        facts.whole.observed >= MODERATE_SOURCES_MIN || facts.sources_hour >= MODERATE_SOURCES_HOUR_MIN;
    if facts.state == State::Confirmed
        && many
        && countries >= MANY_COUNTRIES_MIN as usize
        && !facts.learning
        && facts.held.is_none()
    {
        Confidence::Moderate
    } else {
        Confidence::Weak
    }
}

fn reasons(facts: &Facts<'_>, countries: &[Facet]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    match facts.state {
        State::Possible | State::Confirmed if facts.parts.is_empty() => {
            let (observed, expected) = (facts.whole.observed, facts.whole.expected as f32);
            reasons.push(Reason::Easing { observed, expected });
        }
        State::Possible | State::Confirmed => {
            reasons.extend(facts.parts.iter().take(4).map(|part| Reason::ReportsAboveUsual {
                facet: part.facet,
                observed: part.observed,
                expected: part.expected as f32,
                recurrence_years: part.recurrence_years,
            }));
            if countries.len() >= MANY_COUNTRIES_MIN as usize {
                reasons.push(Reason::ManyCountries { countries: countries.len() as u32 });
            } else if let [only] = countries {
                reasons.push(Reason::OneCountry { facet: *only });
            }
            reasons.extend(facts.doubts.iter().map(|doubt| Reason::Doubted { doubt: *doubt }));
            // Who is doubted is no hint at where a fault lies.
            if !facts.doubts.iter().any(|doubt| matches!(doubt.cause, Cause::StrangeNetworks { .. })) {
                reasons.extend(network_reason(facts));
            }
            let is_said = facts.doubts.iter().any(|doubt| matches!(doubt.cause, Cause::FewSubnets { .. }));
            if !is_said && facts.subnets * 100 < facts.sources_hour * FEW_SUBNETS_PERCENT {
                reasons.push(Reason::FewSubnets { subnets: facts.subnets, sources: facts.sources_hour });
            }
        }
        State::Ended => reasons.push(Reason::BackToUsual),
        // A guess at what is usual is no yardstick to hand to readers.
        State::Calm if facts.learning => {
            reasons.push(Reason::ReportsCounted { observed: facts.whole.observed });
        }
        State::Calm => reasons.push(Reason::ReportsAsUsual {
            observed: facts.whole.observed,
            expected: facts.whole.expected as f32,
        }),
        State::Insufficient => {}
    }
    if facts.learning {
        reasons.push(Reason::StillLearning);
    }
    if let Some(reason) = facts.held {
        reasons.push(Reason::Held { reason: reason.to_owned() });
    }
    reasons
}

fn network_reason(facts: &Facts<'_>) -> Option<Reason> {
    let (facet, sources) = facts.top_network?;
    let share = u64::from(sources) * 100 / u64::from(facts.sources_hour.max(1));
    (share >= u64::from(ONE_NETWORK_PERCENT))
        .then_some(Reason::OneNetwork { facet, share_percent: share.min(100) as u8 })
}

/// BLAKE3 over the verdict without its hash, in the compact binary form of `postcard`.
fn hash(verdict: &Verdict) -> String {
    postcard::to_allocvec(verdict).map(|bytes| blake3::hash(&bytes).to_hex().to_string()).unwrap_or_default()
}
