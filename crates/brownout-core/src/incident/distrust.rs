//! Reasons to doubt that a rise is a crowd's: each is a test with a stated error, never a bare share.
//!
//! Every test asks one question: would an honest crowd look like this as rarely as the policy allows an
//! honest incident to be held? Each says how many sources it doubts, so that the rest can be looked at
//! as if they had come alone. A test that knows too little says nothing.

use libm::{log, sqrt};
use serde::{Deserialize, Serialize};

use crate::model::{ChannelId, Facet, Minute, Policy, ProblemKind};
use crate::series::{ln_lower, ln_upper};

/// Tests that each look at a rise.
const TESTS: f64 = 8.0;
/// Looks that a rise is given before it is confirmed or over, as far as they know nothing of each
/// other: they are a minute apart, and each sees most of what the one before saw.
const LOOKS: f64 = 10.0;

/// Fewest sources that are worth a doubt.
const DOUBTFUL_MIN: f64 = 8.0;

/// Sources of one subnet (/24 or /48) of which nothing is thought: a household or two.
pub(crate) const NEIGHBOURS: u32 = 3;
/// Share of a crowd that comes from a subnet which so many sources came from before, at most. Where more
/// people share addresses (RFC 6888) the rest is a crowd by itself.
const CROWDED_SHARE: f64 = 0.15;

/// How many times their usual reports may rise where something fails, at most. Published counts of one
/// service in one country rose from 20 to 700 times (X, 10 March 2025: 60 to 40,000 in 15 minutes).
const RISE_MAX: f64 = 1000.0;

/// Reports an hour that a network can have sent for weeks without being known for it: networks get a
/// series with the third source of a day or so.
const UNKNOWN_PER_HOUR: f64 = 0.02;

/// Share of a service's known sources below which a country or network is hardly known for it. Who has
/// more is no stranger, however much comes from there.
const STRANGE_SHARE: f64 = 0.01;
/// Sources that are few in any case.
const STRANGE_FEW: f64 = 3.0;

/// Sources of a service that have to be known before it can be said where it is not used.
const KNOWN_MIN: f64 = 50.0;

/// People choose all the usual kinds of problem also when one of them stands out: the others keep at
/// least this part of their usual share ...
const KINDS_KEPT: f64 = 1.0 / 12.0;
/// ... and come by all the usual channels, as above ...
const CHANNELS_KEPT: f64 = 1.0 / 10.0;
/// ... where it is at least this much.
const SHARE_MIN: f64 = 0.2;

/// Two people who report by the form open the service's page once, at least.
const VIEWS_PER_SOURCE: f64 = 0.5;
/// Views that are usual in a quarter of an hour where views say anything.
const VIEWS_MIN: f64 = 5.0;

/// Part of what is usual that comes at least, whatever the noise: one hour in a thousand has less when
/// its noise is a Gamma factor of shape 4.
const USUAL_MIN: f64 = 0.1;

/// Degrees of freedom from which a table can be told to be too smooth: below, counts that are whole
/// numbers come out exactly alike too often.
const DEGREES_MIN: f64 = 12.0;

/// Why a rise is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Fewer subnets stand behind the sources than people would have.
    FewSubnets {
        /// How many.
        subnets: u32,
        /// Reports beyond what one subnet may contribute, which are not among the sources.
        refused: u32,
    },
    /// The rise comes from networks that hardly ever reported the service before.
    StrangeNetworks {
        /// How many.
        networks: u32,
        /// The one with the most sources, where they are too many to point at anybody.
        most: Option<Facet>,
    },
    /// It comes from countries in which the service is hardly used.
    StrangeCountries {
        /// How many.
        countries: u32,
        /// The one with the most sources, where they are too many to point at anybody.
        most: Option<Facet>,
    },
    /// All name one kind of problem, where people name several.
    OneKind {
        /// Which.
        kind: ProblemKind,
    },
    /// The kinds of problem keep to their shares from minute to minute more closely than chance lets
    /// people.
    FrozenKinds {
        /// How much they vary, in percent of what chance gives.
        varies_percent: u8,
    },
    /// One partner's channel brings it, while the others are calm.
    OneChannel {
        /// Which.
        channel: ChannelId,
    },
    /// Nobody opens the service's page, which people do who report by it.
    NoPageViews {
        /// Views in 15 minutes.
        views: u32,
    },
    /// Minute for minute the same as an earlier rise.
    Replayed {
        /// When that began.
        at: Minute,
    },
}

impl Cause {
    /// Whether it is the same reason, whatever its figures.
    pub fn is_like(&self, other: &Cause) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// A reason to doubt a rise, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// Why.
    pub cause: Cause,
    /// Sources that are doubted.
    pub doubtful: u32,
    /// Of so many that were looked at: those of 15 minutes for page views, of an hour or two for
    /// subnets, of an hour otherwise.
    pub sources: u32,
}

impl Doubt {
    fn new(cause: Cause, doubtful: f64, sources: f64) -> Option<Doubt> {
        let (doubtful, sources) = (libm::round(doubtful.min(sources)), libm::round(sources));
        (doubtful >= DOUBTFUL_MIN).then_some(Doubt {
            cause,
            doubtful: doubtful as u32,
            sources: sources as u32,
        })
    }

    /// The part of a rise that is not doubted, from 0 to 1, where `risen` is the part of the sources that
    /// is above usual.
    pub fn sound(&self, risen: f64) -> f64 {
        (1.0 - f64::from(self.doubtful) / (f64::from(self.sources) * risen).max(1.0)).max(0.0)
    }
}

/// How rare an honest crowd has to be that looks like this: the logarithm of a probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rarity(f64);

impl Rarity {
    /// What the policy allows, shared by all tests and looks; `None` where nothing is to be held.
    pub(crate) fn allowed(policy: &Policy) -> Option<Rarity> {
        let one_in = f64::from(policy.honest_held_one_in);
        (one_in > 0.0).then(|| Rarity(-log(one_in * TESTS * LOOKS)))
    }

    /// The same for one of `tries` comparisons.
    #[must_use]
    pub(crate) fn shared_by(self, tries: usize) -> Rarity {
        Rarity(self.0 - log(tries.max(1) as f64))
    }

    /// Standard deviations that chance reaches less often: Chernoff's bound of the normal tail.
    pub(crate) fn deviations(self) -> f64 {
        sqrt(-2.0 * self.0)
    }

    /// Whether more than `count` of `all` come out more rarely, each with a probability of `share`: by
    /// Chernoff's bound.
    fn is_too_many(self, count: f64, all: f64, share: f64) -> bool {
        let part = count / all.max(1.0);
        if part <= share {
            return false;
        }
        let rest = if part < 1.0 { (1.0 - part) * log((1.0 - part) / (1.0 - share)) } else { 0.0 };
        -all * (part * log(part / share) + rest) < self.0
    }

    /// Whether a Poisson count of this mean comes out at `count` or less more rarely.
    fn is_too_few(self, count: f64, mean: f64) -> bool {
        mean > count && ln_upper(count + 1.0, mean) < self.0
    }
}

/// How reports are spread over subnets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// Sources that counted.
    pub(crate) sources: u32,
    /// Of these, those whose subnet had [`NEIGHBOURS`] already.
    pub(crate) crowded: u32,
    /// Subnets.
    pub(crate) subnets: u32,
    /// Reports beyond what their subnets may contribute, which are not among the sources.
    pub(crate) refused: u32,
}

/// Too many sources in subnets that had some already.
pub(crate) fn few_subnets(spread: &Spread, rarity: Rarity) -> Option<Doubt> {
    let (sources, crowded) = (f64::from(spread.sources), f64::from(spread.crowded));
    if !rarity.is_too_many(crowded, sources, CROWDED_SHARE) {
        return None;
    }
    let cause = Cause::FewSubnets { subnets: spread.subnets, refused: spread.refused };
    Doubt::new(cause, crowded, sources)
}

/// One country or network: what it reports now and what it ever reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// Which.
    pub(crate) facet: Facet,
    /// Sources of the last hour.
    pub(crate) sources: f64,
    /// Sources that were learned from, old ones faded.
    pub(crate) known: f64,
    /// Hours over which, likewise.
    pub(crate) hours: f64,
}

/// Countries, or networks, of which so little is known that no failure would make them report so much:
/// what now comes from them, even if it is [`RISE_MAX`] times usual, would have been seen before. They
/// are judged together, so that a rise that is spread thinly over many is seen too.
///
/// `all` is the service as a whole.
///
/// They are named beside the doubt.
pub(crate) fn strangers(all: &Known, parts: &[Known], rarity: Rarity) -> Option<(Doubt, Vec<Facet>)> {
    if all.known < KNOWN_MIN {
        return None;
    }
    let (mut expected, mut known, mut sources) = (0.0, 0.0, 0.0);
    let mut strange = Vec::new();
    let mut most: Option<&Known> = None;
    for part in parts {
        let slack = if matches!(part.facet, Facet::Network(_)) { UNKNOWN_PER_HOUR * part.hours } else { 0.0 };
        let should_be_known = part.sources * part.hours / RISE_MAX;
        let is_known = part.known > (STRANGE_SHARE * all.known).max(STRANGE_FEW);
        if is_known || should_be_known <= part.known + slack {
            continue;
        }
        expected += should_be_known;
        known += part.known + slack;
        sources += part.sources;
        strange.push(part.facet);
        if most.is_none_or(|most| (most.sources, most.facet) < (part.sources, part.facet)) {
            most = Some(part);
        }
    }
    let most = most?;
    if !rarity.is_too_few(known, expected) {
        return None;
    }
    let named = (most.sources >= DOUBTFUL_MIN).then_some(most.facet);
    let count = strange.len() as u32;
    let cause = match most.facet {
        Facet::Network(_) => Cause::StrangeNetworks { networks: count, most: named },
        _ => Cause::StrangeCountries { countries: count, most: named },
    };
    Some((Doubt::new(cause, sources, all.sources)?, strange))
}

/// One part of a mix: what it brings in an hour and what is usual.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Sources of the last hour.
    pub(crate) sources: f64,
    /// Usual of that hour.
    pub(crate) usual: f64,
}

/// How many sources of one part of a mix are doubted because the others, which are usual too, stay away.
fn alone(one: Share, others: Share, kept: f64, rarity: Rarity) -> Option<f64> {
    let share = others.usual / (one.usual + others.usual).max(1e-9);
    let rise = one.sources - one.usual;
    let least = USUAL_MIN * others.usual + kept * share * rise;
    (share >= SHARE_MIN && rise > 0.0 && rarity.is_too_few(others.sources, least)).then_some(rise)
}

/// One kind of problem, and all other kinds together.
pub(crate) fn one_kind(kind: ProblemKind, one: Share, others: Share, rarity: Rarity) -> Option<Doubt> {
    let rise = alone(one, others, KINDS_KEPT, rarity)?;
    // The others speak for as many of this kind as they usually come with.
    let spoken_for = others.sources * one.usual / others.usual.max(1e-9);
    Doubt::new(Cause::OneKind { kind }, rise - spoken_for, one.sources + others.sources)
}

/// One partner's channel, and all other channels together.
pub(crate) fn one_channel(channel: ChannelId, one: Share, others: Share, rarity: Rarity) -> Option<Doubt> {
    let rise = alone(one, others, CHANNELS_KEPT, rarity)?;
    Doubt::new(Cause::OneChannel { channel }, rise, one.sources + others.sources)
}

/// Kinds of problem over time, a row a kind, in hundredths of sources per minute. `weight_min` is the
/// smallest weight of a report, from 0 to 1.
///
/// People who know nothing of each other make the table vary by Pearson's chi-square; a tool that goes
/// round its list makes it vary less.
pub(crate) fn frozen_kinds(rows: &[Vec<u32>], weight_min: f64, rarity: Rarity) -> Option<Doubt> {
    let total: f64 = rows.iter().flatten().map(|count| f64::from(*count)).sum::<f64>() / 100.0;
    let minutes = rows.first().map_or(0, Vec::len);
    let rows: Vec<&Vec<u32>> =
        rows.iter().filter(|row| row.iter().map(|count| u64::from(*count)).sum::<u64>() >= 1000).collect();
    // Cells of five or more, for smaller ones do not follow the chi-square distribution.
    let bins = ((total / (5.0 * rows.len() as f64)) as usize).min(minutes);
    if rows.len() < 2 || bins < 2 || weight_min <= 0.0 {
        return None;
    }
    let mut cells = vec![vec![0.0; bins]; rows.len()];
    for (row, cells) in rows.iter().zip(&mut cells) {
        for (minute, count) in row.iter().enumerate() {
            cells[minute * bins / minutes] += f64::from(*count) / 100.0;
        }
    }
    let (square, degrees) = chi_square(&cells)?;
    if degrees < DEGREES_MIN {
        return None;
    }
    // Counts of half a source each vary half as much.
    let square = square / weight_min;
    if ln_lower(degrees / 2.0, square / 2.0) >= rarity.0 {
        return None;
    }
    let varies = square / degrees;
    let cause = Cause::FrozenKinds { varies_percent: libm::round(varies * 100.0).min(100.0) as u8 };
    // What varies as people's do is people's, give or take a factor of two.
    Doubt::new(cause, total * (1.0 - 2.0 * varies).max(0.0), total)
}

fn chi_square(cells: &[Vec<f64>]) -> Option<(f64, f64)> {
    let columns: Vec<f64> =
        (0..cells.first()?.len()).map(|column| cells.iter().map(|row| row[column]).sum()).collect();
    let total: f64 = columns.iter().sum();
    let mut square = 0.0;
    for row in cells {
        let sum: f64 = row.iter().sum();
        for (cell, column) in row.iter().zip(&columns) {
            let expected = sum * column / total;
            if expected > 0.0 {
                square += (cell - expected) * (cell - expected) / expected;
            }
        }
    }
    let used = columns.iter().filter(|column| **column > 0.0).count();
    (used > 1).then_some((square, ((used - 1) * (cells.len() - 1)) as f64))
}

/// Views of the service's page beside sources that reported by it, both of 15 minutes.
pub(crate) fn no_page_views(views: Share, reports: Share, rarity: Rarity) -> Option<Doubt> {
    let rise = reports.sources - reports.usual;
    let least = USUAL_MIN * views.usual + VIEWS_PER_SOURCE * rise;
    if views.usual < VIEWS_MIN || rise <= 0.0 || !rarity.is_too_few(views.sources, least) {
        return None;
    }
    let seen = ((views.sources - views.usual) / VIEWS_PER_SOURCE).max(0.0);
    let cause = Cause::NoPageViews { views: libm::round(views.sources) as u32 };
    Doubt::new(cause, rise - seen, reports.sources)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asn, CountryCode};

    fn rarity() -> Rarity {
        Rarity::allowed(&Policy::default()).expect("something is held")
    }

    fn spread(sources: u32, crowded: u32) -> Spread {
        Spread { sources, crowded, subnets: 30, refused: 7 }
    }

    #[test]
    fn a_policy_may_hold_nothing() {
        assert_eq!(Rarity::allowed(&Policy { honest_held_one_in: 0, ..Policy::default() }), None);
    }

    #[test]
    fn many_from_few_subnets_are_doubted_and_a_household_is_not() {
        let doubt = few_subnets(&spread(240, 150), rarity()).expect("a doubt");
        assert_eq!((doubt.doubtful, doubt.sources), (150, 240));
        assert_eq!(doubt.cause, Cause::FewSubnets { subnets: 30, refused: 7 });
        assert_eq!(few_subnets(&spread(240, 45), rarity()), None);
        assert_eq!(few_subnets(&spread(12, 9), rarity()), None, "too few to say");
        assert_eq!(few_subnets(&spread(0, 0), rarity()), None);
    }

    fn known(facet: Facet, sources: f64, known: f64) -> Known {
        Known { facet, sources, known, hours: 600.0 }
    }

    fn country(code: &str) -> Facet {
        Facet::Country(code.parse::<CountryCode>().expect("a code"))
    }

    #[test]
    fn a_country_that_never_reported_is_strange_and_one_that_did_is_not() {
        let all = known(Facet::All, 320.0, 6000.0);
        let strange = |seen: f64| strangers(&all, &[known(country("PK"), 300.0, seen)], rarity());
        let (doubt, places) = strange(0.0).expect("a doubt");
        assert_eq!((doubt.doubtful, doubt.sources, places), (300, 320, vec![country("PK")]));
        // One report a week was known: it may be an outage there, three thousand times usual or not.
        assert_eq!(strange(200.0), None);
        // Of a service of which nothing is known nobody can be a stranger.
        let new = known(Facet::All, 320.0, 20.0);
        assert_eq!(strangers(&new, &[known(country("PK"), 300.0, 0.0)], rarity()), None);
    }

    #[test]
    fn a_rise_spread_thinly_over_the_world_is_seen_and_no_place_with_few_is_named() {
        let all = known(Facet::All, 90.0, 6000.0);
        let codes = (b'A'..=b'Z').flat_map(|a| (b'A'..=b'B').map(move |b| [a, b]));
        let parts: Vec<Known> =
            codes.filter_map(|code| Some(known(Facet::Country(CountryCode::new(code)?), 2.0, 0.0))).collect();
        let (doubt, _) = strangers(&all, &parts, rarity()).expect("a doubt");
        let Cause::StrangeCountries { countries, most } = doubt.cause else { panic!("{doubt:?}") };
        assert!(countries > 30 && most.is_none(), "{doubt:?}");
    }

    #[test]
    fn a_network_that_waits_for_its_series_is_given_the_benefit() {
        let all = known(Facet::All, 320.0, 6000.0);
        let network = |sources| known(Facet::Network(Asn::new(64_496).expect("a number")), sources, 0.0);
        assert_eq!(strangers(&all, &[network(20.0)], rarity()), None);
        assert!(strangers(&all, &[network(300.0)], rarity()).is_some());
    }

    #[test]
    fn one_kind_alone_is_doubted_only_where_others_are_usual() {
        let share = |sources, usual| Share { sources, usual };
        let kind = ProblemKind::Login;
        let doubt = one_kind(kind, share(900.0, 4.0), share(4.0, 6.0), rarity()).expect("a doubt");
        assert!(doubt.doubtful > 850, "{doubt:?}");
        // One in eight names something else: that is how outages look.
        assert_eq!(one_kind(kind, share(900.0, 4.0), share(120.0, 6.0), rarity()), None);
        // Nobody ever names anything else.
        assert_eq!(one_kind(kind, share(900.0, 10.0), share(0.0, 0.5), rarity()), None);
        assert_eq!(one_kind(kind, share(40.0, 4.0), share(0.0, 6.0), rarity()), None, "too few to say");
    }

    #[test]
    fn kinds_in_turn_are_frozen_and_kinds_at_random_are_not() {
        let mut random = 7u64;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % 4
        };
        let table = |kind: &mut dyn FnMut(u64) -> u64| {
            let mut rows = vec![vec![0; 30]; 4];
            for number in 0..600u64 {
                rows[kind(number) as usize][number as usize / 20] += 100;
            }
            rows
        };
        let frozen = table(&mut |number| number % 4);
        let doubt = frozen_kinds(&frozen, 1.0, rarity()).expect("a doubt");
        assert_eq!((doubt.doubtful, doubt.sources), (600, 600));
        for _ in 0..200 {
            assert_eq!(frozen_kinds(&table(&mut |_| next()), 1.0, rarity()), None);
        }
        assert_eq!(frozen_kinds(&[], 1.0, rarity()), None);
        assert_eq!(frozen_kinds(&frozen, 0.0, rarity()), None);
    }

    #[test]
    fn reports_by_the_form_without_a_view_of_the_page_are_doubted() {
        let share = |sources, usual| Share { sources, usual };
        let doubt = no_page_views(share(20.0, 25.0), share(500.0, 3.0), rarity()).expect("a doubt");
        assert_eq!(doubt.cause, Cause::NoPageViews { views: 20 });
        assert_eq!(no_page_views(share(400.0, 25.0), share(500.0, 3.0), rarity()), None);
        assert_eq!(no_page_views(share(0.0, 1.0), share(500.0, 3.0), rarity()), None, "views are not usual");
    }

    #[test]
    fn what_is_left_is_that_of_the_rise() {
        let doubt = Doubt { cause: Cause::OneKind { kind: ProblemKind::App }, doubtful: 50, sources: 100 };
        assert!((doubt.sound(1.0) - 0.5).abs() < 1e-9);
        assert!(doubt.sound(0.5) < 1e-9);
        assert!(doubt.sound(0.0) < 1e-9);
    }
}
