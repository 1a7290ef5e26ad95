//! What intake does to a report before the engine sees it, on a clock of its own: rates by source and by
//! subnet, proofs of work in a flood, keys under salts that rotate. The figures are the program's.

use std::collections::BTreeMap;

use brownout_core::model::{ChannelId, Policy, Report, ServiceId, UtcTime, Weight};
use brownout_core::report::{PartnerKey, Prefix, Salt, partner_keys, source_keys};

use super::world::Sent;

const SERVICE: ServiceId = ServiceId(0);
/// Requests of one source a minute, and at once; beyond, they are refused.
const SOURCE_RATE: (f64, f64) = (6.0, 12.0);
/// The same for its subnet.
const SUBNET_RATE: (f64, f64) = (120.0, 240.0);
/// Rates from which a proof of work is asked for.
const CALM_SOURCE_RATE: (f64, f64) = (2.0, 6.0);
const CALM_SUBNET_RATE: (f64, f64) = (20.0, 40.0);
/// Reports a second, over all, from which everybody is asked for one.
const FLOOD_PER_SECOND: f64 = 50.0;
/// For so long after a rotation both keys are written, in seconds.
const OVERLAP_SECONDS: i64 = 75 * 60;
const DAY_SECONDS: i64 = 86_400;

/// One intake, from the beginning of an attack on.
#[derive(Debug, Default)]
pub(super) struct Intake {
    rates: [BTreeMap<Prefix, Bucket>; 4],
    /// The running second, its reports, and the mean of those before.
    second: (i64, f64, f64),
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: UtcTime,
}

impl Intake {
    /// The report that is counted, or nothing where it is refused.
    pub(super) fn take(&mut self, sent: &Sent, policy: &Policy) -> Option<Report> {
        let Sent { at, from, kind, by_partner, proof, .. } = *sent;
        let (source, subnet) = (Prefix::source(from.address), Prefix::subnet(from.address));
        let mut weight = Weight::FULL;
        if !by_partner {
            let [fast_source, fast_subnet, busy_source, busy_subnet] = &mut self.rates;
            if !allows(fast_source, source, at, SOURCE_RATE) || !allows(fast_subnet, subnet, at, SUBNET_RATE)
            {
                return None;
            }
            let is_calm = allows(busy_source, source, at, CALM_SOURCE_RATE)
                & allows(busy_subnet, subnet, at, CALM_SUBNET_RATE);
            if (self.is_flood(at) || !is_calm) && !proof {
                weight = Weight::from_percent(policy.weight_without_proof_percent);
            }
        }
        let day = at.seconds().div_euclid(DAY_SECONDS);
        let salt = |day: i64| Salt::new(day as u32, [day as u8; 32]);
        let is_overlap = at.seconds().rem_euclid(DAY_SECONDS) < OVERLAP_SECONDS;
        let (now, before) = (salt(day), is_overlap.then(|| salt(day - 1)));
        let channel = if by_partner { ChannelId::FIRST_PARTNER } else { ChannelId::WEB };
        let keys = if by_partner {
            // A partner names its sources as it likes; their subnets it does not tell.
            let key = PartnerKey::live(&now, before.as_ref(), channel);
            partner_keys(&key, SERVICE, from.address.to_string().as_bytes(), None)
        } else {
            source_keys(&now, before.as_ref(), SERVICE, from.address, 0)
        };
        Some(Report {
            service: SERVICE,
            kind,
            channel,
            occurred_at: at,
            place: from.place,
            network: from.network,
            source: keys,
            weight,
        })
    }

    fn is_flood(&mut self, at: UtcTime) -> bool {
        let (second, count, mean) = &mut self.second;
        if at.seconds() > *second {
            let seconds = at.seconds() - *second;
            *mean = *mean * 0.9 + *count * 0.1;
            *mean *= libm::pow(0.9, (seconds - 1).min(1000) as f64);
            (*second, *count) = (at.seconds(), 0.0);
        }
        *count += 1.0;
        mean.max(*count / 2.0) >= FLOOD_PER_SECOND
    }
}

fn allows(
    buckets: &mut BTreeMap<Prefix, Bucket>,
    prefix: Prefix,
    at: UtcTime,
    (per_minute, burst): (f64, f64),
) -> bool {
    let bucket = buckets.entry(prefix).or_insert(Bucket { tokens: burst, at });
    let minutes = at.millis_since(bucket.at) as f64 / 60_000.0;
    bucket.tokens = (bucket.tokens + minutes * per_minute).min(burst);
    bucket.at = at;
    let is_allowed = bucket.tokens >= 1.0;
    if is_allowed {
        bucket.tokens -= 1.0;
    }
    is_allowed
}
