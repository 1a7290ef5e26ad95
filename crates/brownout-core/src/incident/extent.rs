//! How far an incident reaches: one network, a city, a region, a country, several, or the world.
//!
//! Each level (countries, regions, cities, networks) is a partition of the same reports, and each is
//! scanned for the places that rose ([`scan`]). A level explains the incident when what lies outside
//! the places found is as usual; where it is not, the incident is wider than they are. Of the levels
//! that explain it the one wins that best fits: the same excess over less that is usual.
//!
//! Some reports name no city or network, and places with very few sources have no series. So levels are
//! compared on the share of the reports that they all locate.

use libm::{log, sqrt};
use serde::{Deserialize, Serialize};

use crate::model::{CountryCode, Facet};
use crate::series::Expected;
use crate::series::negative_binomial::glr;
use crate::series::scan::{Cell, STATISTIC_MIN, scan, shared_ratio};

/// A rest that is above usual makes an extent wider if it holds at least this share of what is above
/// usual: less is people on a second line, in a suburb, or with an address that is known wrongly.
const REST_SHARE_MIN: f64 = 0.2;
/// A level that locates less of the reports than this says nothing.
const LOCATED_SHARE_MIN: f64 = 0.25;
/// Standard deviations of a count on a smaller share that are doubt: two leave 2% on one side.
const LOCATED_DEVIATIONS: f64 = 2.0;
/// The rest of a partition is never expected to be less than this share of the whole.
const REST_USUAL_SHARE_MIN: f64 = 0.02;
/// More places than this below a country, or more networks, are no extent that a sentence can name.
const NAMED_MAX: usize = 3;
/// Countries from which on the world is a candidate.
const WORLD_COUNTRIES_MIN: usize = 3;
/// Countries that together hold less of what is usual do not tell whether the world is affected.
const WORLD_REST_SHARE_MIN: f64 = 0.05;
/// Most countries of one extent.
const COUNTRIES_MAX: usize = 50;
/// Most places that are named as the most affected ones.
const MOST_AFFECTED_MAX: usize = 5;
/// An extent in force gives way only to one that says this much: what is looked for every minute is found
/// by chance too, above all when little is left of the incident.
const REVISED_STATISTIC_MIN: f64 = 2.0 * STATISTIC_MIN;
/// It gives way when this many looks in a row, a minute apart, said something else ...
const LOOKS_TO_REVISE: u8 = 3;
/// ... and after this many revisions, for twice as many each time: what grows is followed at once, and of two
/// extents that describe the same counts as well one stays.
const REVISIONS_AT_ONCE: u8 = 3;
const DOUBLINGS_MAX: u8 = 4;

/// What kind of places an extent is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExtentKind {
    /// The customers of one network, or of a few.
    Network,
    /// One city, or a few.
    City,
    /// One region, or a few.
    Region,
    /// One country.
    Country,
    /// Several countries.
    Several,
    /// Everywhere that the service is used.
    World,
}

/// How far an incident reaches, and how well that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// What it is made of.
    pub kind: ExtentKind,
    /// The places or networks, most excess first; empty for the world.
    pub facets: Vec<Facet>,
    /// Where within it most is above usual, at most five; empty where nothing stands out.
    pub most_affected: Vec<Facet>,
    /// Its share of all that is above usual, in percent, on what is located at its level.
    pub explained_percent: u8,
    /// The window that it was read from, in minutes.
    pub window_minutes: u32,
    /// Log likelihood ratio against calm, in nats, with what naming it costs taken off.
    pub statistic: f64,
    /// What came next.
    pub runner_up: Option<RunnerUp>,
}

/// An extent that explains the counts too, and less well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerUp {
    /// What it is made of.
    pub kind: ExtentKind,
    /// The places or networks.
    pub facets: Vec<Facet>,
    /// By how many nats it falls behind; negative where it was not told apart and
    /// another rule decided.
    pub margin: f64,
}

impl Extent {
    /// Whether two extents name the same places, in whatever order.
    pub fn is_same_place(&self, other: &Extent) -> bool {
        self.kind == other.kind
            && self.facets.len() == other.facets.len()
            && self.facets.iter().all(|facet| other.facets.contains(facet))
    }
}

/// The count of one place or network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counted {
    /// A country, region, city or network; others are left out.
    pub facet: Facet,
    /// The country that it is in, or where a network was first seen.
    pub home: Option<CountryCode>,
    /// What was counted and what is usual.
    pub cell: Cell,
    /// It may be the extent. A service's own network says nothing of where it fails.
    pub tells: bool,
}

/// Counts that lie in places too small for a series, and how many places of a kind there are in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scattered {
    /// Sources in such cities.
    pub in_cities: f64,
    /// Sources in such networks.
    pub in_networks: f64,
    /// Countries, regions, cities and networks that are known of the service, also silent ones.
    pub known: [u32; 4],
}

/// All counts of one window.
#[derive(Clone, Copy, Debug)]
pub struct Counts<'a> {
    /// The service as a whole.
    pub whole: Cell,
    /// Its parts.
    pub parts: &'a [Counted],
    /// What the parts leave out.
    pub scattered: Scattered,
    /// Length of the window.
    pub window_minutes: u32,
    /// Fewest sources of a place that is named beside another.
    pub sources_min: u32,
}

/// Places and networks partition the same reports in four ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Countries,
    Regions,
    Cities,
    Networks,
}

impl Level {
    const ALL: [Level; 4] = [Level::Countries, Level::Regions, Level::Cities, Level::Networks];

    fn has(self, facet: Facet) -> bool {
        matches!(
            (self, facet),
            (Level::Countries, Facet::Country(_))
                | (Level::Regions, Facet::Region(_))
                | (Level::Cities, Facet::City(_))
                | (Level::Networks, Facet::Network(_))
        )
    }

    fn kind(self, members: usize) -> ExtentKind {
        match self {
            Level::Countries if members > 1 => ExtentKind::Several,
            Level::Countries => ExtentKind::Country,
            Level::Regions => ExtentKind::Region,
            Level::Cities => ExtentKind::City,
            Level::Networks => ExtentKind::Network,
        }
    }
}

/// What one level says.
struct Reading {
    level: Level,
    /// Places that rose, most excess first.
    members: Vec<Counted>,
    /// All of them as one.
    sum: Cell,
    /// What is located at this level and lies outside.
    rest: Cell,
    /// Share of the service's reports that are located at this level.
    located: f64,
    /// What naming the members costs.
    cost: f64,
    /// Nothing but them is needed to explain what is above usual.
    explains: bool,
}

/// The extent that explains the counts best; `None` when none does.
pub fn extent(counts: &Counts<'_>) -> Option<Extent> {
    let mut readings: Vec<Reading> = Level::ALL.into_iter().filter_map(|level| read(counts, level)).collect();
    if let Some(world) = world(counts, &readings) {
        readings.iter_mut().filter(|reading| reading.level == Level::Countries).for_each(|countries| {
            countries.explains = false;
        });
        if !readings.iter().any(|reading| reading.explains) {
            return Some(world);
        }
    }
    let explaining: Vec<&Reading> = readings.iter().filter(|reading| reading.explains).collect();
    let located = explaining.iter().map(|reading| reading.located).fold(1.0, f64::min);
    let size = explaining.iter().map(|reading| reading.sum.usual.size).fold(f64::INFINITY, f64::min);
    let mut ranked: Vec<(f64, &Reading)> = explaining
        .into_iter()
        .map(|reading| (reading.statistic(located / reading.located, size), reading))
        .collect();
    // Stable, so that of equals the widest place comes first.
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let best = ranked.first()?.0;
    // Of places that are not told apart the fewest are named, then the narrowest, for nothing outside it
    // speaks for the wider one; a network is named only when it is told apart from all of them.
    let close = ranked.iter().filter(|(statistic, _)| *statistic > best - STATISTIC_MIN);
    let rank = |reading: &Reading| {
        let is_place = reading.level != Level::Networks;
        (is_place, std::cmp::Reverse(reading.members.len()), reading.level as u8)
    };
    let (statistic, chosen) = *close.max_by_key(|(_, reading)| rank(reading))?;
    if statistic < STATISTIC_MIN {
        return None;
    }
    let rival = ranked.iter().find(|(_, reading)| reading.level != chosen.level);
    let facets: Vec<Facet> = chosen.members.iter().map(|member| member.facet).collect();
    let kind = chosen.level.kind(facets.len());
    Some(Extent {
        most_affected: most_affected(kind, &facets, &readings),
        kind,
        facets,
        explained_percent: chosen.explained_percent(),
        window_minutes: counts.window_minutes,
        statistic,
        runner_up: rival.map(|(other, reading)| RunnerUp {
            kind: reading.level.kind(reading.members.len()),
            facets: reading.members.iter().map(|member| member.facet).collect(),
            margin: statistic - other,
        }),
    })
}

/// Scans one level; `None` where it locates too little.
fn read(counts: &Counts<'_>, level: Level) -> Option<Reading> {
    let parts: Vec<Counted> = counts.parts.iter().copied().filter(|part| level.has(part.facet)).collect();
    let scattered = match level {
        Level::Cities => counts.scattered.in_cities,
        Level::Networks => counts.scattered.in_networks,
        Level::Countries | Level::Regions => 0.0,
    };
    let counted = parts.iter().map(|part| part.cell.counted).sum::<f64>() + scattered;
    let located = (counted / counts.whole.counted.max(1e-9)).min(1.0);
    if parts.is_empty() || located < LOCATED_SHARE_MIN {
        return None;
    }
    let telling: Vec<Counted> = parts.iter().copied().filter(|part| part.tells).collect();
    let known = (counts.scattered.known[level as usize] as usize).max(telling.len()).max(1);
    let naming_cost = log(known as f64);
    let (members, statistic) = rose(&telling, naming_cost, counts.sources_min);
    let sum = Cell::sum(members.iter().map(|member| member.cell));
    let usual = counts.whole.usual.mean * located;
    let outside = (usual - sum.usual.mean).max(REST_USUAL_SHARE_MIN * usual);
    let rest = Cell {
        counted: (counted - sum.counted).max(0.0),
        usual: Expected { mean: outside, size: counts.whole.usual.size },
    };
    let mut reading = Reading {
        level,
        sum,
        rest,
        located,
        cost: naming_cost * members.len() as f64,
        explains: false,
        members,
    };
    let named_max = if level == Level::Countries { COUNTRIES_MAX } else { NAMED_MAX };
    reading.explains = (1..=named_max).contains(&reading.members.len())
        && !reading.is_exceeded()
        && (level == Level::Countries || statistic >= reading.shared());
    Some(reading)
}

/// The places that rose, most excess first, and what that says.
///
/// Where nothing ever was, three sources are rare beyond measure, and somewhere they are every day. So
/// places with fewer sources than make a problem are named alone or not at all.
fn rose(parts: &[Counted], naming_cost: f64, sources_min: u32) -> (Vec<Counted>, f64) {
    let least = f64::from(sources_min);
    let many: Vec<Counted> = parts.iter().copied().filter(|part| part.cell.counted >= least).collect();
    let cells: Vec<Cell> = many.iter().map(|part| part.cell).collect();
    let found = scan(&cells, naming_cost);
    if !found.members.is_empty() {
        return (found.members.iter().map(|index| many[*index]).collect(), found.statistic);
    }
    let ratio = |part: &Counted| part.cell.best_ratio();
    let best = parts.iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b)).then(b.facet.cmp(&a.facet)));
    let best = best.filter(|part| ratio(part) - naming_cost >= STATISTIC_MIN);
    (best.copied().into_iter().collect(), best.map_or(0.0, |part| ratio(part) - naming_cost))
}

impl Reading {
    /// Whether what lies outside rose too, and by enough to matter.
    fn is_exceeded(&self) -> bool {
        let (inside, outside) = (self.sum.excess().max(0.0), self.rest.excess().max(0.0));
        outside >= REST_SHARE_MIN * (inside + outside) && self.rest.best_ratio() >= STATISTIC_MIN
    }

    /// What "inside and outside rose alike" is worth.
    fn shared(&self) -> f64 {
        let cells: Vec<Cell> = self.members.iter().map(|member| member.cell).chain([self.rest]).collect();
        shared_ratio(&cells)
    }

    /// On a share of what it locates, and at a noise that all extents are compared with: the noise of
    /// one is as little known as that of the others, and must not decide between them.
    fn statistic(&self, share: f64, size: f64) -> f64 {
        let usual = Expected { mean: self.sum.usual.mean * share, size };
        // How many a lower share would have located is binomial; the doubt goes against what locates more.
        let counted = self.sum.counted * share;
        let doubt = LOCATED_DEVIATIONS * sqrt(counted * (1.0 - share).max(0.0));
        glr((counted - doubt).max(0.0), usual) - self.cost
    }

    fn explained_percent(&self) -> u8 {
        let (inside, outside) = (self.sum.excess().max(0.0), self.rest.excess().max(0.0));
        if inside > 0.0 { libm::round(100.0 * inside / (inside + outside)) as u8 } else { 0 }
    }
}

/// The world, where no country or set of countries explains what is above usual: either the countries
/// that rose leave too much, or they are many and the others do not say otherwise.
fn world(counts: &Counts<'_>, readings: &[Reading]) -> Option<Extent> {
    let countries = readings.iter().find(|reading| reading.level == Level::Countries)?;
    let others = countries.members.len() < counts.scattered.known[Level::Countries as usize] as usize;
    let is_everywhere = countries.members.len() >= WORLD_COUNTRIES_MIN && !is_calm_elsewhere(countries);
    let statistic = counts.whole.best_ratio();
    if !(is_everywhere || (others && countries.is_exceeded())) || statistic < STATISTIC_MIN {
        return None;
    }
    Some(Extent {
        kind: ExtentKind::World,
        facets: Vec::new(),
        most_affected: most_affected(ExtentKind::World, &[], readings),
        explained_percent: 100,
        window_minutes: counts.window_minutes,
        statistic,
        runner_up: (!countries.members.is_empty()).then(|| RunnerUp {
            kind: countries.level.kind(countries.members.len()),
            facets: countries.members.iter().map(|member| member.facet).collect(),
            margin: statistic - countries.statistic(1.0, counts.whole.usual.size),
        }),
    })
}

/// Whether the countries that did not rise clearly stayed calm: even the factor of the least of those
/// that did is contradicted by their counts.
fn is_calm_elsewhere(countries: &Reading) -> bool {
    let usual = countries.rest.usual.mean;
    if usual < WORLD_REST_SHARE_MIN * (usual + countries.sum.usual.mean) {
        return false;
    }
    let factor = |member: &Counted| member.cell.counted / member.cell.usual.mean.max(1e-9);
    let least = countries.members.iter().map(factor).fold(f64::INFINITY, f64::min);
    least.is_finite() && countries.rest.ratio(least.max(1.0)) <= -STATISTIC_MIN
}

/// Where within an extent most is above usual: countries of the world, or the cities (where few are
/// known, the regions) of countries and regions.
fn most_affected(kind: ExtentKind, facets: &[Facet], readings: &[Reading]) -> Vec<Facet> {
    let within = |member: &&Counted| match kind {
        ExtentKind::Country | ExtentKind::Region => facets.iter().any(|facet| match facet {
            Facet::Country(country) => member.home == Some(*country),
            Facet::Region(region) => member.home == Some(region.country()),
            _ => false,
        }),
        _ => true,
    };
    let of = |level: Level| -> Vec<Facet> {
        let reading = readings.iter().find(|reading| reading.level == level);
        let members = reading.map_or(&[][..], |reading| &reading.members);
        members.iter().filter(within).map(|member| member.facet).take(MOST_AFFECTED_MAX).collect()
    };
    match kind {
        ExtentKind::World | ExtentKind::Several => of(Level::Countries),
        ExtentKind::City => Vec::new(),
        _ => [Level::Cities, Level::Regions]
            .into_iter()
            .map(of)
            .find(|places| !places.is_empty() && places != facets)
            .unwrap_or_default(),
    }
}

/// The extent of an open incident: it is estimated again and again, and does not flap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExtentTrack {
    in_force: Option<Extent>,
    /// Looks in a row that said something else.
    other_looks: u8,
    /// How often it was revised.
    revisions: u8,
}

impl ExtentTrack {
    /// The extent in force; `None` while it is not clear yet.
    pub fn get(&self) -> Option<&Extent> {
        self.in_force.as_ref()
    }

    /// Takes the next estimate; true when the extent in force names other places than before. An
    /// estimate that decides nothing changes nothing.
    pub fn follow(&mut self, estimate: Option<Extent>) -> bool {
        let Some(mut estimate) = estimate else { return false };
        let Some(known) = &mut self.in_force else {
            self.in_force = Some(estimate);
            return true;
        };
        if known.is_same_place(&estimate) {
            // The figures are new; the order of the names stays, for it changes all the time.
            estimate.facets = std::mem::take(&mut known.facets);
            *known = estimate;
            self.other_looks = 0;
            return false;
        }
        if estimate.statistic < REVISED_STATISTIC_MIN {
            return false;
        }
        self.other_looks += 1;
        let doublings = self.revisions.saturating_sub(REVISIONS_AT_ONCE).min(DOUBLINGS_MAX);
        if self.other_looks < LOOKS_TO_REVISE << doublings {
            return false;
        }
        *known = estimate;
        self.other_looks = 0;
        self.revisions = self.revisions.saturating_add(1);
        true
    }
}

#[cfg(test)]
#[path = "extent_tests.rs"]
mod tests;
