//! Where a service fails: the counts of its places and networks, made ready for the scan.

use super::recent::Series;
use super::subject::Subject;
use crate::incident::{Counted, Counts, Extent, Scattered, extent};
use crate::model::{Category, Facet, Minute, Policy, Service, UtcTime};
use crate::series::scan::Cell;
use crate::series::{WINDOWS_MINUTES, Windows};

/// The windows that are read, by index into [`WINDOWS_MINUTES`]: 15 and 60 minutes and 3 hours. An
/// incident before this one ended longer ago, or this one goes on with it.
const LOOKED_AT: [usize; 3] = [2, 4, 5];
/// The shortest window with this much above usual is taken, in sources: what happens now counts, not
/// what happened hours ago. Of windows with less the one that says most is taken.
const ENOUGH_EXCESS: f64 = 25.0;
/// Most places or networks of a kind that are scanned, those with most sources of the last hour.
const PLACES_MAX: usize = 256;

/// A place or network with recent counts.
struct Seen<'a> {
    facet: Facet,
    series: &'a Series,
    windows: Windows,
}

impl Subject {
    /// Estimates the extent of what goes on at `at`; `None` when the counts do not decide it.
    ///
    /// It costs what is active: one pass over the series, then a scan of at most [`PLACES_MAX`] places a
    /// kind in each window that is read.
    pub(crate) fn locate(&self, service: Option<&Service>, at: UtcTime, policy: &Policy) -> Option<Extent> {
        let (_, whole) = self.series.get_index(0)?;
        let of_whole = whole.recent.as_deref()?.uncut_windows(at);
        let (seen, known) = self.seen(at);
        let mut best: Option<Extent> = None;
        for index in LOOKED_AT {
            let minutes = WINDOWS_MINUTES[index];
            let cell = |facet: Facet, series: &Series, windows: &Windows| Cell {
                counted: windows.hundredths[index] as f64 / 100.0,
                usual: self.usual(facet, series, at).of(windows.minutes[index].max(1.0)),
            };
            let parts: Vec<Counted> = seen
                .iter()
                .map(|seen| Counted {
                    facet: seen.facet,
                    home: match seen.facet {
                        Facet::Country(country) => Some(country),
                        Facet::Region(region) => Some(region.country()),
                        _ => seen.series.home,
                    },
                    cell: cell(seen.facet, seen.series, &seen.windows),
                    tells: tells(seen.facet, service),
                })
                .collect();
            let whole = cell(Facet::All, whole, &of_whole);
            let scattered = self.scattered(at.minute().minus(minutes), known);
            let found = extent(&Counts {
                whole,
                parts: &parts,
                scattered,
                window_minutes: minutes,
                sources_min: policy.possible_sources_min,
            });
            let excess = |extent: &Extent| {
                let named = parts.iter().filter(|part| extent.facets.contains(&part.facet));
                let named: f64 = named.map(|part| part.cell.excess()).sum();
                if extent.facets.is_empty() { whole.excess() } else { named }
            };
            if let Some(found) = found {
                if excess(&found) >= ENOUGH_EXCESS {
                    return Some(found);
                }
                if best.as_ref().is_none_or(|best| found.statistic > best.statistic) {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// What was counted since a minute in places too small for a series; `known` are those with one.
    fn scattered(&self, since: Minute, known: [u32; 4]) -> Scattered {
        let mut scattered = Scattered { known, ..Scattered::default() };
        for (facet, waiting) in &self.candidates {
            let recent = waiting.iter().filter(|(minute, ..)| *minute >= since);
            let counted = recent.map(|(_, hundredths, _)| f64::from(*hundredths)).sum::<f64>() / 100.0;
            if matches!(facet, Facet::City(_)) {
                scattered.in_cities += counted;
                scattered.known[2] += 1;
            } else {
                scattered.in_networks += counted;
                scattered.known[3] += 1;
            }
        }
        scattered
    }

    /// Places and networks with recent counts, by facet, and how many there are of each kind.
    fn seen(&self, at: UtcTime) -> (Vec<Seen<'_>>, [u32; 4]) {
        let mut known = [0; 4];
        for kind in self.series.keys().filter_map(|facet| kind_of(*facet)) {
            known[kind] += 1;
        }
        let mut kinds: [Vec<Seen<'_>>; 4] = Default::default();
        for (facet, series) in self.active() {
            let (Some(kind), Some(recent)) = (kind_of(*facet), series.recent.as_deref()) else { continue };
            kinds[kind].push(Seen { facet: *facet, series, windows: recent.uncut_windows(at) });
        }
        let mut seen = Vec::new();
        for mut of_kind in kinds {
            if of_kind.len() > PLACES_MAX {
                let rank = |seen: &Seen<'_>| (std::cmp::Reverse(seen.windows.hour()), seen.facet);
                of_kind.sort_unstable_by_key(rank);
                of_kind.truncate(PLACES_MAX);
            }
            seen.append(&mut of_kind);
        }
        // Sums are made in this order, whatever order the series came to be in.
        seen.sort_unstable_by_key(|seen| seen.facet);
        (seen, known)
    }
}

/// Position of a facet's kind among countries, regions, cities and networks.
fn kind_of(facet: Facet) -> Option<usize> {
    match facet {
        Facet::Country(_) => Some(0),
        Facet::Region(_) => Some(1),
        Facet::City(_) => Some(2),
        Facet::Network(_) => Some(3),
        Facet::All | Facet::Kind(_) | Facet::Channel(_) => None,
    }
}

/// Whether a part may be the extent. "Customers of a provider at that provider" says nothing, and where
/// a provider's own networks are not known, any could be its own.
fn tells(facet: Facet, service: Option<&Service>) -> bool {
    let (Facet::Network(asn), Some(service)) = (facet, service) else { return true };
    let is_unknown = service.networks.is_empty();
    let provider = matches!(service.category, Category::Internet | Category::Mobile);
    let may_be_own = service.networks.contains(&asn) || (provider && is_unknown);
    !may_be_own
}
