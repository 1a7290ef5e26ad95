//! What the crowd alone can say.

use super::{Confidence, Locus, Reason, Source, Verdict};
use crate::incident::{Cause, Doubt, Extent, ExtentKind};
use crate::model::{Facet, IncidentId, ServiceId, UtcTime};
use crate::snapshot::{Rarest, Silence, State};

/// Version of the rules in this file; a change of any of them raises it.
pub const RULESET: u32 = 6;

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
    /// What made it possible or confirmed it; nothing for the service as a whole where it did not depart.
    pub rarest: Rarest,
}

/// What ended brings at least this share of what has become usual, unless it fell.
const STILL_COMING_SHARE: f64 = 0.5;

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
    /// Where it fails, as far as that is clear.
    pub located: Option<&'a Extent>,
    /// Sources of the last hour.
    pub sources_hour: u32,
    /// Distinct subnets of the last hour or two.
    pub subnets: u32,
    /// The baseline is still a prior.
    pub learning: bool,
    /// Somebody has reported it before.
    pub reported: bool,
    /// Why next to nothing can be heard of it.
    pub silence: Option<Silence>,
    /// Why an operator holds it.
    pub held: Option<&'a str>,
    /// What else keeps it at "possible", the largest doubt first.
    pub doubts: &'a [Doubt],
    /// What is known of causes beyond the service.
    pub because: &'a [Reason],
    /// The incident went on for so long that what it brings counts as usual.
    pub became_usual: bool,
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
        located: facts.located.cloned(),
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
                rarest: part.rarest,
            }));
            if countries.len() >= MANY_COUNTRIES_MIN as usize {
                reasons.push(Reason::ManyCountries { countries: countries.len() as u32 });
            } else if let Some(only) = only_country(facts, countries) {
                reasons.push(Reason::OneCountry { facet: only });
            }
            // Who is doubted is no hint at where a fault lies.
            let strange =
                facts.doubts.iter().any(|doubt| matches!(doubt.cause, Cause::StrangeNetworks { .. }));
            let tells = |located: &&Extent| {
                !located.facets.is_empty() && (!strange || located.kind != ExtentKind::Network)
            };
            reasons.extend(facts.located.filter(tells).map(|located| Reason::Located {
                facets: located.facets.clone(),
                percent: located.explained_percent,
            }));
            let most = facts.located.map(|located| located.most_affected.clone());
            let most = most.filter(|facets| !facets.is_empty());
            reasons.extend(most.map(|facets| Reason::MostAffected { facets }));
            reasons.extend(facts.doubts.iter().map(|doubt| Reason::Doubted { doubt: *doubt }));
            let is_said = facts.doubts.iter().any(|doubt| matches!(doubt.cause, Cause::FewSubnets { .. }));
            if !is_said && facts.subnets * 100 < facts.sources_hour * FEW_SUBNETS_PERCENT {
                reasons.push(Reason::FewSubnets { subnets: facts.subnets, sources: facts.sources_hour });
            }
        }
        State::Ended if withdrawn(facts) => {}
        State::Ended => reasons.push(became_usual(facts).unwrap_or(Reason::BackToUsual)),
        State::Calm => reasons.push(Reason::ReportsAsUsual {
            observed: facts.whole.observed,
            expected: facts.whole.expected as f32,
        }),
        // What is usual is a guess, or what comes in is no measure: no yardstick to hand to readers.
        State::Insufficient if facts.reported => {
            reasons.push(Reason::ReportsCounted { observed: facts.whole.observed });
        }
        State::Insufficient => {}
    }
    if let Some(Silence { facet, since, expected, .. }) = facts.silence {
        reasons.push(Reason::NothingComesIn { facet, since, expected });
    }
    reasons.extend(facts.because.iter().cloned());
    if facts.learning && (facts.reported || facts.incident.is_some()) {
        reasons.push(Reason::StillLearning);
    }
    if let Some(reason) = facts.held {
        reasons.push(Reason::Held { reason: reason.to_owned() });
    }
    reasons
}

/// The one country that reports more than usual, where no narrower extent is known.
fn only_country(facts: &Facts<'_>, countries: &[Facet]) -> Option<Facet> {
    let narrower = |located: &Extent| located.kind < ExtentKind::Country;
    match countries {
        [only] if !facts.located.is_some_and(narrower) => Some(*only),
        _ => None,
    }
}

/// The counts did not fall, the yardstick moved.
fn became_usual(facts: &Facts<'_>) -> Option<Reason> {
    let observed = facts.whole.observed;
    let goes_on = f64::from(observed) >= STILL_COMING_SHARE * facts.whole.expected;
    let hours = facts.as_of.millis_since(facts.since?) / 3_600_000;
    (facts.became_usual && goes_on).then_some(Reason::BecameUsual { hours: hours as u32, observed })
}

/// Ended for another is to blame, and not for its reports fell.
fn withdrawn(facts: &Facts<'_>) -> bool {
    let innocent =
        |reason: &Reason| matches!(reason, Reason::LikelyCausedBy { bond, .. } if bond.is_innocent());
    facts.because.iter().any(innocent)
}

/// BLAKE3 over the verdict without its hash, in the compact binary form of `postcard`.
fn hash(verdict: &Verdict) -> String {
    postcard::to_allocvec(verdict).map(|bytes| blake3::hash(&bytes).to_hex().to_string()).unwrap_or_default()
}
