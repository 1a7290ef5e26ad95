//! Is a rise an echo of another service's failure? Clues, each weighed as a log likelihood ratio of
//! "an echo" against "a failure of its own", and each bounded, so that none decides alone.
//!
//! The sizes, mixes and shares assumed here are wide on purpose. They come from the published pairs
//! (AT&T 2024-02-22, Verizon 2024-09-30 and 2026-01-14, Google Cloud 2025-06-12), whose echoes run
//! from 1% to 38% of what they echo: no fixed share parts them from failures.

use libm::{exp, lgamma, log};

use super::parts::{Counted, UsualShares};
use super::rise::{COURSE_MINUTES, Rise};
use crate::model::{Category, CountryCode, ProblemKind, Service};
use crate::verdict::{Clue, ClueKind};

/// ln of the odds for an echo before any figure is looked at: of services that people take for each
/// other, of those that are related more loosely, and of all others. A failure of its own within the
/// same minutes is rare, and an echo of a failing competitor is common.
const RELATION_CLOSE: f64 = 2.0;
const RELATION_LOOSE: f64 = 1.0;
const RELATION_NONE: f64 = -6.0;
/// Size of echoes: the median share of reports that a bystander gets for each of the failing service,
/// and the standard deviation of its logarithm. The published pairs lie within two of it.
const SHARE_MEDIAN: f64 = 0.02;
const SHARE_DEVIATION: f64 = 1.5;
/// ln of the span of sizes of failures of its own, beside the other: a thousandth to a thousand times.
const LN_SIZES: f64 = 13.8;
const SIZE_NATS_MIN: f64 = -5.0;
/// A beginning that fits says this much; see [`onset`].
const TOGETHER_NATS: f64 = 1.5;
/// Beginnings of small rises in noisy counts are often seen too early, so that the course must confirm it.
const EARLIER_NATS_PER_MINUTE: f64 = 0.6;
const EARLIER_NATS_MIN: f64 = -4.5;
const LATER_NATS_MIN: f64 = -1.0;
/// Size of the noise of a minute's count around its course.
const COURSE_NOISE: f64 = 4.0;
/// Fewest sources in whole minutes from which their course is compared.
const COURSE_SOURCES_MIN: f64 = 6.0;
const COURSE_NATS: (f64, f64) = (-4.0, 3.0);
/// Minutes over which the noise of counts holds, at least.
const COURSE_TOGETHER: f64 = 3.0;
/// Minutes over which an echo may be spread, and by which it may come later.
const SPREADS: [usize; 6] = [1, 3, 6, 12, 20, 30];
const DELAY_MINUTES_MAX: u32 = 20;
const KINDS_NATS: f64 = 3.0;
/// Of the share of reports that usually name a function that fails, the part that is left in an echo; how
/// well such shares are known, in reports; and the fewest that tell.
const SPECIFIC_IN_ECHO: f64 = 0.5;
const KINDS_STRENGTH: f64 = 6.0;
const KINDS_SOURCES_MIN: f64 = 5.0;
const FUNCTIONS_NATS: f64 = 2.0;
const NETWORK_NATS: f64 = 4.0;
/// Of the reports that a network's fault brings, the part whose network is known to be that one; and for
/// how many reports such shares, and usual ones, are known.
const SHARE_OF_FAULT: f64 = 0.92;
const SHARE_STRENGTH: f64 = 12.0;
/// How often a failure of a service is one of a single country.
const ONE_COUNTRY: f64 = 0.2;
const PLACES_NATS: f64 = 3.5;
const SHARED_DEPENDENCY_NATS: f64 = -1.5;

/// What is known of a service whose reports rise.
#[derive(Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) service: &'a Service,
    pub(super) rise: &'a Rise,
}

/// The clues for `small` being an echo of `large`, and their sum in nats.
///
/// What is held as an echo already (`is_held`) is compared over the whole last hour, however its own
/// beginning is seen by now: an echo fades later than its cause.
pub(super) fn weigh(small: Party<'_>, large: Party<'_>, is_held: bool) -> (f64, Vec<Clue>) {
    let mut sum = 0.0;
    let mut clues = Vec::new();
    let mut take = |clue: Option<(ClueKind, f64)>| {
        if let Some((kind, nats)) = clue {
            sum += nats;
            clues.push(Clue::of_nats(kind, nats));
        }
    };
    take(Some((ClueKind::Relation, relation(small.service, large.service))));
    take(Some(size(small.rise, large.rise, if is_held { COURSE_MINUTES } else { small.rise.parts.minutes })));
    take((!is_held).then(|| onset(small.rise, large.rise)));
    take(course(small.rise, large.rise).map(|nats| (ClueKind::Course, nats)));
    take(kinds(small));
    take(own_network(small));
    take(their_network(small, large.service));
    take(places(small.rise, large.rise));
    let shared = small.service.depends_on.iter().any(|slug| large.service.depends_on.contains(slug));
    take(shared.then_some((ClueKind::SharedDependency, SHARED_DEPENDENCY_NATS)));
    (sum, clues)
}

/// What speaks for an echo only because both rise at once in the same places, in nats: that is so too
/// where both fail by something that they share.
pub(super) fn of_both(clues: &[Clue]) -> f64 {
    let is_of_both =
        |kind: ClueKind| matches!(kind, ClueKind::Onset { .. } | ClueKind::Course | ClueKind::Places { .. });
    let nats = clues.iter().filter(|clue| is_of_both(clue.kind)).map(|clue| clue.nats());
    nats.map(|nats| nats.max(0.0)).sum()
}

/// Whether people's way to everything leads through it, so that they also report others when they
/// cannot reach them.
pub(super) fn is_provider(service: &Service) -> bool {
    matches!(service.category, Category::Internet | Category::Mobile)
}

fn relation(small: &Service, large: &Service) -> f64 {
    let same_place = small.home.is_none() || large.home.is_none() || small.home == large.home;
    let both = |these: [Category; 2]| these.contains(&small.category) && these.contains(&large.category);
    if !same_place {
        RELATION_NONE
    } else if small.category == large.category || (is_provider(small) && is_provider(large)) {
        RELATION_CLOSE
    } else if both([Category::Social, Category::Messaging])
        || both([Category::Mail, Category::Work])
        || large.depends_on.contains(&small.slug)
        || is_provider(large)
    {
        // People blame what a failing service is built on, too, and what they use to reach it.
        RELATION_LOOSE
    } else {
        RELATION_NONE
    }
}

/// A log-normal share against one that may be anything.
fn size(small: &Rise, large: &Rise, minutes: u32) -> (ClueKind, f64) {
    let share = small.above(minutes).max(0.5) / large.above(minutes).max(0.5);
    let z = (log(share) - log(SHARE_MEDIAN)) / SHARE_DEVIATION;
    let ln_echo = -0.5 * z * z - log(SHARE_DEVIATION * 2.506_628);
    let nats = (ln_echo + log(LN_SIZES)).max(SIZE_NATS_MIN);
    (ClueKind::Size { share_percent: (share * 100.0) as f32 }, nats)
}

/// An echo begins in the same minutes or a little later. Beginnings are brackets: only what lies
/// outside both counts.
fn onset(small: &Rise, large: &Rise) -> (ClueKind, f64) {
    let (here, there) = (small.onset, large.onset);
    let lag_minutes = i64::from(here.likeliest.0) - i64::from(there.likeliest.0);
    let earlier = f64::from(large.first.since(here.latest));
    let later = f64::from(here.earliest.since(there.latest));
    let nats = if earlier > 0.0 {
        (0.5 - EARLIER_NATS_PER_MINUTE * earlier).max(EARLIER_NATS_MIN)
    } else {
        // Nothing is left of it after a quarter of an hour. Much later says little against: a weak echo
        // takes long to depart, and a failure of its own is no likelier then.
        (TOGETHER_NATS - 0.1 * later).max(LATER_NATS_MIN)
    };
    (ClueKind::Onset { lag_minutes: lag_minutes.clamp(-60, 60) as i32 }, nats)
}

/// Minute by minute: in proportion to the other's excess, or a step of its own at any minute.
fn course(small: &Rise, large: &Rise) -> Option<f64> {
    let (counts, theirs) = (&small.course, &large.course);
    let usual = small.usual_minute.max(1e-3);
    let excess: f64 = counts.iter().map(|count| count - usual).sum();
    let sources: f64 = counts.iter().sum();
    if sources < COURSE_SOURCES_MIN || excess < COURSE_SOURCES_MIN / 2.0 || counts.len() != theirs.len() {
        return None;
    }
    let above: Vec<f64> = theirs.iter().map(|count| (count - large.usual_minute).max(0.0)).collect();
    let fit = |shape: &dyn Fn(usize) -> f64| -> f64 {
        let total: f64 = (0..counts.len()).map(shape).sum();
        let scale = if total > 0.0 { excess / total } else { 0.0 };
        (0..counts.len()).map(|minute| ln_count(counts[minute], usual + scale * shape(minute))).sum()
    };
    // At once or as much later as it was seen to begin, and spread evenly over some minutes. The best of
    // several is taken on both sides, at the price of the choice.
    let spread = |(delay, over): (usize, usize), minute: usize| -> f64 {
        let Some(to) = minute.checked_sub(delay) else { return 0.0 };
        above[to.saturating_sub(over - 1)..=to].iter().sum::<f64>() / over as f64
    };
    let later = small.onset.likeliest.since(large.onset.likeliest).min(DELAY_MINUTES_MAX) as usize;
    let delays = if later > 1 { vec![0, later] } else { vec![0] };
    let ways = delays.iter().flat_map(|delay| SPREADS.map(|over| (*delay, over)));
    let best = |best: f64, fit: f64| best.max(fit);
    let echo = ways.map(|way| fit(&|minute| spread(way, minute))).fold(f64::MIN, best);
    let steps = 0..counts.len();
    let own = steps.map(|begin| fit(&|minute| f64::from(u8::from(minute >= begin)))).fold(f64::MIN, best);
    let choices = (delays.len() * SPREADS.len()) as f64;
    let (echo, own) = (echo - log(choices), own - log(counts.len() as f64));
    // Noise lasts for minutes, so neighbouring minutes say less than as many apart.
    Some(((echo - own) / COURSE_TOGETHER).clamp(COURSE_NATS.0, COURSE_NATS.1))
}

/// ln of the negative binomial probability of a count, without what does not depend on the mean.
fn ln_count(count: f64, mean: f64) -> f64 {
    count * log(mean) - (count + COURSE_NOISE) * log(COURSE_NOISE + mean)
}

/// What is said of a service that works but that others fail to reach, and of one that fails itself.
/// Both mixes are only roughly known, so both are Dirichlet-multinomial.
fn kinds(small: Party<'_>) -> Option<(ClueKind, f64)> {
    if !is_provider(small.service) {
        return functions(small.rise);
    }
    let above: Vec<(ProblemKind, f64)> =
        small.rise.parts.kinds.iter().map(|counted| (counted.what, counted.excess())).collect();
    let total: f64 = above.iter().map(|(_, count)| count).sum();
    if total < 2.0 {
        return None;
    }
    let of = |kind: ProblemKind| above.iter().find(|(known, _)| *known == kind).map_or(0.0, |(_, n)| *n);
    let lines = of(ProblemKind::Connection) + of(ProblemKind::Calls);
    let others = of(ProblemKind::OtherNetwork);
    let rest = total - lines - others;
    let counts = [others, lines, rest];
    let nats = ln_dirichlet(&counts, &[1.2, 1.2, 1.2]) - ln_dirichlet(&counts, &[0.25, 2.5, 1.0]);
    let kind = ClueKind::Kinds { cannot_reach_percent: percent(others, total) };
    Some((kind, nats.clamp(-KINDS_NATS, KINDS_NATS)))
}

/// Who only hears of a failure, or cannot reach a service for other reasons, says that it does not open,
/// is slow, or something else; who uses it says what of it fails, as usual.
fn functions(rise: &Rise) -> Option<(ClueKind, f64)> {
    let is_vague =
        |kind: ProblemKind| matches!(kind, ProblemKind::Unreachable | ProblemKind::Slow | ProblemKind::Other);
    let sum = |wanted: bool, of: &dyn Fn(&Counted<ProblemKind>) -> f64| -> f64 {
        rise.parts.kinds.iter().filter(|counted| is_vague(counted.what) == wanted).map(of).sum()
    };
    let above = [true, false].map(|wanted| sum(wanted, &|counted| counted.excess()));
    let usual = [true, false].map(|wanted| sum(wanted, &|counted| counted.usual));
    let (total, usual_total) = (above[0] + above[1], usual[0] + usual[1]);
    if total < KINDS_SOURCES_MIN || usual_total <= 0.0 {
        return None;
    }
    let own = (usual[0] / usual_total).clamp(0.05, 0.95);
    let echo = 1.0 - (1.0 - own) * SPECIFIC_IN_ECHO;
    let beta = |vague: f64| [KINDS_STRENGTH * vague, KINDS_STRENGTH * (1.0 - vague)];
    let nats = ln_dirichlet(&above, &beta(echo)) - ln_dirichlet(&above, &beta(own));
    Some((
        ClueKind::Functions { vague_percent: percent(above[0], total) },
        nats.clamp(-FUNCTIONS_NATS, FUNCTIONS_NATS),
    ))
}

/// Customers of a provider that fails are on its network, or fell back to another; those who report it
/// for what another does are mostly elsewhere.
fn own_network(small: Party<'_>) -> Option<(ClueKind, f64)> {
    if !is_provider(small.service) || small.service.networks.is_empty() {
        return None;
    }
    let (on, all) = small.rise.parts.on_networks(|asn| small.service.networks.contains(&asn));
    if all < 3.0 {
        return None;
    }
    let counts = [on, all - on];
    let nats = ln_dirichlet(&counts, &[0.8, 2.6]) - ln_dirichlet(&counts, &[2.4, 1.2]);
    Some((ClueKind::OwnNetwork { percent: percent(on, all) }, nats.clamp(-NETWORK_NATS, NETWORK_NATS)))
}

/// When a provider fails its customers report whatever they use: then nearly all are on its network,
/// far more than usual.
fn their_network(small: Party<'_>, large: &Service) -> Option<(ClueKind, f64)> {
    if !is_provider(large) || is_provider(small.service) || large.networks.is_empty() {
        return None;
    }
    let (on, all) = small.rise.parts.on_networks(|asn| large.networks.contains(&asn));
    let usual = small.rise.parts.usual_shares(|asn| large.networks.contains(&asn));
    let nats = concentration(on, all, usual).unwrap_or(0.0) - 2.0;
    Some((ClueKind::TheirNetwork { percent: percent(on, all) }, nats))
}

/// How much it says, in nats, that `on` of `all` sources above usual are of one network whose usual shares
/// are `usual`: a fault of that network against one of the service, which may fail in that network's
/// country only. `None` for too few.
pub(super) fn concentration(on: f64, all: f64, usual: UsualShares) -> Option<f64> {
    if all < 3.0 {
        return None;
    }
    let counts = [on, all - on];
    let beta = |share: f64| [share * SHARE_STRENGTH, (1.0 - share) * SHARE_STRENGTH];
    let own = |share: f64| ln_dirichlet(&counts, &beta(share.clamp(0.02, 0.8)));
    let fault = ln_dirichlet(&counts, &beta(SHARE_OF_FAULT));
    let [everywhere, at_home] = [usual.everywhere, usual.at_home].map(|share| exp(own(share) - fault));
    let odds = (1.0 - ONE_COUNTRY) * everywhere + ONE_COUNTRY * at_home;
    Some((-log(odds)).clamp(-6.0, 6.0))
}

/// An echo comes from where the other service fails.
fn places(small: &Rise, large: &Rise) -> Option<(ClueKind, f64)> {
    let all: f64 = small.parts.countries.iter().map(Counted::excess).sum();
    let theirs: f64 = large.parts.countries.iter().map(Counted::excess).sum();
    if all < 3.0 || theirs < 3.0 {
        return None;
    }
    let share_there = |country: CountryCode| {
        let found = large.parts.countries.iter().find(|counted| counted.what == country);
        found.map_or(0.0, Counted::excess) / theirs
    };
    let usual: f64 = small.parts.countries.iter().map(|counted| counted.usual).sum::<f64>().max(1e-6);
    let counts: Vec<f64> = small.parts.countries.iter().map(Counted::excess).collect();
    // Where a service has its people is also where most echoes come from.
    let prior = |weight: f64| -> Vec<f64> {
        let share = |counted: &Counted<CountryCode>| {
            let own = counted.usual / usual;
            4.0 * (weight * share_there(counted.what) + (1.0 - weight) * own) + 0.05
        };
        small.parts.countries.iter().map(share).collect()
    };
    let nats = ln_dirichlet(&counts, &prior(0.6)) - ln_dirichlet(&counts, &prior(0.0));
    let shared: f64 =
        small.parts.countries.iter().filter(|one| share_there(one.what) > 0.02).map(Counted::excess).sum();
    let nats = nats.clamp(-PLACES_NATS, PLACES_NATS) + foreign(1.0 - shared / all);
    Some((ClueKind::Places { percent: percent(shared, all) }, nats))
}

/// Reports from where the other service is calm are none that it caused.
fn foreign(share: f64) -> f64 {
    -4.0 * (share - 0.25).max(0.0)
}

/// ln of the Dirichlet-multinomial probability of counts, without what does not depend on `alpha`.
/// It takes fractions, for counts above usual are no whole numbers. (Johnson, Kotz and Balakrishnan,
/// "Discrete Multivariate Distributions", 1997, chapter 35.13.)
fn ln_dirichlet(counts: &[f64], alpha: &[f64]) -> f64 {
    let (mut total, mut strength, mut sum) = (0.0, 0.0, 0.0);
    for (count, alpha) in counts.iter().zip(alpha) {
        let count = count.max(0.0);
        total += count;
        strength += alpha;
        sum += lgamma(count + alpha) - lgamma(*alpha);
    }
    sum + lgamma(strength) - lgamma(strength + total)
}

pub(super) fn percent(part: f64, all: f64) -> u8 {
    if all > 0.0 { (100.0 * part / all).clamp(0.0, 100.0).round() as u8 } else { 0 }
}
