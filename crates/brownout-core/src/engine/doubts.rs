//! What is known of a rise, laid before the tests of [`crate::incident::distrust`].
//!
//! Nothing is counted for them that is not counted anyway, and nothing is worked out for a report: a
//! rising service is looked at once a minute.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::recent::Series;
use super::subject::Subject;
use crate::incident::distrust::{
    Doubt, Known, Rarity, Share, few_subnets, frozen_kinds, no_page_views, one_channel, one_kind, strangers,
};
use crate::incident::replayed::{COURSE_MINUTES, Course, PARTS_MAX, Part, replayed};
use crate::model::{ChannelId, Facet, Minute, Policy, Service, UtcTime};
use crate::series::onset;

/// A doubt that was not found for so long has passed.
const DOUBT_SECONDS: i64 = 15 * 60;
/// Hours of the longest window that is looked at.
const HOURS_MAX: u32 = 6;
/// Earlier rises that are remembered for each service.
const COURSES_MAX: usize = 4;
/// Fewest sources of a rise that is worth remembering.
const COURSE_SOURCES_MIN: u64 = 60;
/// Page views are told once a minute, for the minute that is over.
const VIEWS_LATE_MINUTES: u32 = 1;

/// Doubts about the rise of one service, and what is remembered of earlier rises.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Doubts {
    /// With the time at which each was last found, and the part of the rise that it leaves. The largest
    /// doubt is the first.
    found: Vec<(Doubt, UtcTime, f64)>,
    /// The least part that was left in each of the last hours in which there was a doubt.
    hours: Vec<(u32, f64)>,
    /// Countries and networks that no part of the rise is believed in.
    strange: BTreeSet<Facet>,
    /// Begin of the running rise, until its course is kept.
    rise: Option<Minute>,
    /// Oldest first.
    courses: Vec<Course>,
}

impl Doubts {
    /// Doubts in force, the largest first.
    pub(crate) fn in_force(&self) -> Vec<Doubt> {
        self.found.iter().map(|(doubt, ..)| *doubt).collect()
    }

    /// The part of the rise that no doubt touches: that of the largest doubt, not of their sum, for they
    /// may doubt the same sources, and junk of many kinds must not hide those who are left.
    ///
    /// Where a doubt names the place itself, nothing of it is left.
    /// The second figure is that of the last six hours, for which `hour` gives what was counted in each:
    /// what was doubted then is no more to be believed when the doubt has passed.
    pub(crate) fn sound(&self, facet: Facet, at: UtcTime, hour: impl Fn(u32) -> u32) -> (f64, f64) {
        if self.strange.contains(&facet) {
            return (0.0, 0.0);
        }
        let last = at.plus_millis(-1).minute().hour();
        let (mut all, mut believed) = (0.0, 0.0);
        for hour_number in last.saturating_sub(HOURS_MAX - 1)..=last {
            let counted = f64::from(hour(hour_number));
            let known = self.hours.iter().find(|(known, _)| *known == hour_number);
            all += counted;
            believed += counted * known.map_or(1.0, |(_, sound)| *sound);
        }
        (self.least(), if all > 0.0 { believed / all } else { 1.0 })
    }

    /// Whether there was any doubt that still counts.
    pub(crate) fn is_any(&self) -> bool {
        !self.hours.is_empty()
    }

    fn least(&self) -> f64 {
        self.found.iter().map(|(.., sound)| *sound).fold(1.0, f64::min)
    }

    /// The rise is over.
    pub(crate) fn clear(&mut self) {
        self.found.clear();
        self.hours.clear();
        self.strange.clear();
        self.rise = None;
    }

    /// Takes what was found at `at`. A doubt stays for a while after it was last found, for a rise that
    /// is confirmed by chance in between would stay so.
    fn take(&mut self, found: Vec<Doubt>, risen: f64, at: UtcTime) {
        self.found.retain(|(old, last, _)| {
            at.millis_since(*last) < DOUBT_SECONDS * 1000
                && !found.iter().any(|new| new.cause.is_like(&old.cause))
        });
        self.found.extend(found.into_iter().map(|doubt| (doubt, at, doubt.sound(risen))));
        self.found.sort_by(|(.., a), (.., b)| a.total_cmp(b));
        let (hour, sound) = (at.plus_millis(-1).minute().hour(), self.least());
        self.hours.retain(|(known, _)| known + HOURS_MAX > hour);
        match self.hours.iter_mut().find(|(known, _)| *known == hour) {
            Some((_, known)) => *known = known.min(sound),
            None if sound < 1.0 => self.hours.push((hour, sound)),
            None => {}
        }
    }
}

impl Subject {
    /// Looks for reasons to doubt the rise that goes on at `at`, a full minute or the first look at it.
    pub(crate) fn doubt(&mut self, at: UtcTime, policy: &Policy, service: Option<&Service>) {
        let Some(rarity) = Rarity::allowed(policy) else { return self.doubts.clear() };
        let begin = match self.doubts.rise {
            Some(begin) => begin,
            None => self.begin_of_rise(at),
        };
        self.doubts.rise = Some(begin);
        let course = self.course(begin, at);
        // What is remembered of this rise itself, or of the wave before it, is no earlier one.
        let is_earlier = |known: &&Course| known.begin.plus(2 * COURSE_MINUTES as u32) <= begin;
        let earlier: Vec<Course> = self.doubts.courses.iter().filter(is_earlier).cloned().collect();
        let hour = self.hour(Facet::All, at);
        let countries = self.strange(at, service, rarity, |facet| matches!(facet, Facet::Country(_)));
        let networks = self.strange(at, service, rarity, |facet| matches!(facet, Facet::Network(_)));
        let (strange, places): (Vec<Doubt>, Vec<Vec<Facet>>) = countries.into_iter().chain(networks).unzip();
        let others = [
            few_subnets(&self.sources.spread(), rarity),
            self.of_one_kind(at, rarity),
            self.of_one_channel(at, rarity),
            self.of_frozen_kinds((begin, at), policy, rarity),
            self.without_views(at, rarity),
            replayed(&course, &earlier, hour.sources, rarity),
        ];
        self.doubts.strange.extend(places.into_iter().flatten());
        let risen = (1.0 - hour.usual / hour.sources.max(1.0)).max(0.0);
        self.doubts.take(strange.into_iter().chain(others.into_iter().flatten()).collect(), risen, at);
        self.remember(course, at);
    }

    fn begin_of_rise(&self, at: UtcTime) -> Minute {
        let whole = self.series.get(&Facet::All);
        let known = whole.and_then(|series| Some((series, series.recent.as_deref()?)));
        known.map_or(at.minute(), |(series, recent)| {
            let usual = self.usual(Facet::All, series, at);
            onset(&recent.ring, at, |minutes| usual.of(minutes)).likeliest
        })
    }

    /// Keeps the course of a rise once it is long enough to be known again; the oldest is forgotten.
    fn remember(&mut self, course: Course, at: UtcTime) {
        let is_whole = at.minute().since(course.begin) as usize >= COURSE_MINUTES;
        let is_kept = self.doubts.courses.iter().any(|known| known.begin == course.begin);
        let kinds = course.parts.iter().filter(|part| matches!(part.facet, Facet::Kind(_)));
        let sources: u64 = kinds.flat_map(|part| &part.minutes).map(|count| u64::from(*count)).sum::<u64>();
        if is_whole && !is_kept && sources >= COURSE_SOURCES_MIN * 100 {
            if self.doubts.courses.len() >= COURSES_MAX {
                self.doubts.courses.remove(0);
            }
            self.doubts.courses.push(course);
        }
    }

    /// The minutes from `begin` to the last whole one, of the parts with the most sources.
    fn course(&self, begin: Minute, at: UtcTime) -> Course {
        let minutes = (at.minute().since(begin) as usize).min(COURSE_MINUTES) as u32;
        let part = |facet: Facet, series: &Series| {
            let ring = &series.recent.as_deref()?.ring;
            let minutes: Vec<u32> = (0..minutes).map(|minute| ring.get(begin.plus(minute))).collect();
            let sum: u64 = minutes.iter().map(|count| u64::from(*count)).sum();
            (sum > 0).then_some((sum, Part { facet, minutes }))
        };
        let sorts: [fn(&Facet) -> bool; 3] = [
            |facet| matches!(facet, Facet::Kind(_)),
            |facet| matches!(facet, Facet::City(_)),
            |facet| matches!(facet, Facet::Network(_)),
        ];
        let mut parts = Vec::new();
        for is_of_sort in sorts {
            let of_sort = self.active().filter(|(facet, _)| is_of_sort(facet));
            let mut most: Vec<(u64, Part)> =
                of_sort.filter_map(|(facet, series)| part(*facet, series)).collect();
            most.sort_by_key(|(sum, part)| (Reverse(*sum), part.facet));
            parts.extend(most.into_iter().take(PARTS_MAX).map(|(_, part)| part));
        }
        Course { begin, parts }
    }

    /// Sources of the last hour beside what is usual.
    fn hour(&self, facet: Facet, at: UtcTime) -> Share {
        let Some(series) = self.series.get(&facet) else { return Share { sources: 0.0, usual: 0.0 } };
        let windows = series.recent.as_deref().map(|recent| recent.windows(at)).unwrap_or_default();
        let usual = self.usual(facet, series, at).of(60.0).mean;
        Share { sources: f64::from(windows.hour()), usual }
    }

    fn strange(
        &self,
        at: UtcTime,
        service: Option<&Service>,
        rarity: Rarity,
        is_of_sort: fn(&Facet) -> bool,
    ) -> Option<(Doubt, Vec<Facet>)> {
        let own = service.map_or(&[][..], |service| &service.networks);
        let known = |facet: Facet, series: &Series| {
            let (known, hours) = series.learned.seen();
            let sources = f64::from(series.recent.as_deref()?.windows(at).hour());
            Some(Known { facet, sources, known, hours })
        };
        let all = known(Facet::All, self.series.get(&Facet::All)?)?;
        // Who is the internet provider itself is no stranger, however calm it was.
        let parts = self
            .active()
            .filter(|(facet, _)| is_of_sort(facet) && !own.iter().any(|asn| **facet == Facet::Network(*asn)));
        let mut parts: Vec<Known> = parts.filter_map(|(facet, series)| known(*facet, series)).collect();
        // In an order of their own, for sums are of floating point.
        parts.sort_by_key(|part| part.facet);
        strangers(&all, &parts, rarity)
    }

    /// The part of one sort with the most sources, and the others together.
    fn first_and_others(
        &self,
        at: UtcTime,
        is_of_sort: impl Fn(Facet) -> bool,
        may_be_first: impl Fn(Facet) -> bool,
    ) -> Option<(Facet, Share, Share)> {
        // Also those that are silent now: that they are is the point.
        let facets = self.series.keys().copied().filter(|facet| is_of_sort(*facet));
        let mut parts: Vec<(Facet, Share)> = facets.map(|facet| (facet, self.hour(facet, at))).collect();
        parts.sort_by_key(|(facet, share)| (Reverse(share.sources as u64), *facet));
        let first = parts.iter().position(|(facet, _)| may_be_first(*facet))?;
        let (facet, one) = parts.remove(first);
        let others = parts.iter().fold(Share { sources: 0.0, usual: 0.0 }, |sum, (_, part)| Share {
            sources: sum.sources + part.sources,
            usual: sum.usual + part.usual,
        });
        Some((facet, one, others))
    }

    fn of_one_kind(&self, at: UtcTime, rarity: Rarity) -> Option<Doubt> {
        let (first, one, others) =
            self.first_and_others(at, |facet| matches!(facet, Facet::Kind(_)), |_| true)?;
        let Facet::Kind(kind) = first else { return None };
        one_kind(kind, one, others, rarity)
    }

    fn of_one_channel(&self, at: UtcTime, rarity: Rarity) -> Option<Doubt> {
        let is_partner =
            |facet| matches!(facet, Facet::Channel(channel) if channel >= ChannelId::FIRST_PARTNER);
        let (first, one, others) =
            self.first_and_others(at, |facet| matches!(facet, Facet::Channel(_)), is_partner)?;
        let Facet::Channel(channel) = first else { return None };
        one_channel(channel, one, others, rarity)
    }

    fn of_frozen_kinds(
        &self,
        (begin, at): (Minute, UtcTime),
        policy: &Policy,
        rarity: Rarity,
    ) -> Option<Doubt> {
        let from = begin.0.max(at.minute().minus(60).0);
        let row = |(facet, series): (&Facet, &Series)| {
            let ring = matches!(facet, Facet::Kind(_)).then_some(&series.recent.as_deref()?.ring)?;
            Some((*facet, (from..at.minute().0).map(|minute| ring.get(Minute(minute))).collect::<Vec<u32>>()))
        };
        let mut rows: Vec<(Facet, Vec<u32>)> = self.active().filter_map(row).collect();
        rows.sort_by_key(|(facet, _)| *facet);
        let rows: Vec<Vec<u32>> = rows.into_iter().map(|(_, row)| row).collect();
        // Reports without a proof count in part, or nowhere.
        let weight_min = match policy.weight_without_proof_percent {
            0 => 1.0,
            percent => f64::from(percent) / 100.0,
        };
        frozen_kinds(&rows, weight_min, rarity)
    }

    fn without_views(&self, at: UtcTime, rarity: Rarity) -> Option<Doubt> {
        let learned = self.views_learned.as_ref().filter(|learned| !learned.is_learning())?;
        let until = at.minute().minus(1 + VIEWS_LATE_MINUTES);
        let factor = self.week_of_whole().at(at);
        let seen = self.page_views.sum(until.plus(VIEWS_LATE_MINUTES), 15) as f64;
        let views = Share { sources: seen, usual: learned.level(1.0) * factor * 0.25 };
        let web = self.series.get(&Facet::Channel(ChannelId::WEB))?;
        let ring = &web.recent.as_deref()?.ring;
        let usual = self.usual(Facet::Channel(ChannelId::WEB), web, at).of(15.0).mean;
        let reports = Share { sources: ring.sum(until, 15) as f64 / 100.0, usual };
        no_page_views(views, reports, rarity)
    }
}
