//! What a service teaches, hour by hour.

use super::clocks::Clocks;
use super::gaps::Gaps;
use super::order::Order;
use super::recent::Series;
use super::subject::{RECURS_WITHIN_DAYS, Subject};
use crate::model::{Facet, Minute, Policy, UtcTime, minutes_ahead};
use crate::series::{Expected, Learned, LearningRates, Profile};

/// Sources an hour from which a country has a weekly shape of its own: with fewer, weeks of counts tell less
/// than the shape of the service does.
const SHAPED_PER_HOUR_MIN: f64 = 2.0;
/// When what is usual changes for good, what was known of the shape of the week keeps so much less weight than
/// what was known of the noise: more users of another kind have other days.
const SHAPE_ANEW: f32 = 0.25;
/// A place or network without a report for this many hours loses its series.
const EVICTED_AFTER_HOURS: u32 = 28 * 24;

fn middle_of(hour: u32) -> UtcTime {
    Minute(hour.saturating_mul(60)).start().plus_seconds(1800)
}

impl Subject {
    /// Once an hour: learns from hours that are old enough and puts idle series to rest.
    pub(crate) fn turn_hour(&mut self, hour: u32, policy: &Policy, rates: LearningRates, gaps: &Gaps) {
        let keep_per_week = libm::pow(rates.keep_per_hour, 168.0) as f32;
        self.set_clocks(hour, policy);
        self.note_recurring(hour.saturating_sub(rates.lag_hours));
        let mut clocks = Clocks::new(&policy.holidays);
        let active = std::mem::take(&mut self.active);
        for index in &active {
            self.shape_country(*index as usize, hour);
        }
        // What borrows a weekly shape learns before what it borrows from: a shape that has learned from an
        // hour already follows its noise, and the borrower would seem to have less than it has. The service
        // as a whole, the first, is moved by the shapes of its countries.
        let (mut lenders, borrowers): (Vec<u32>, Vec<u32>) =
            active.iter().partition(|index| self.own_profile(**index as usize).is_some());
        lenders.sort_unstable();
        for index in borrowers.into_iter().chain(lenders) {
            self.fold(index as usize, hour, policy, (rates, keep_per_week), (gaps, &mut clocks));
        }
        for index in active {
            let Some((facet, series)) = self.series.get_index_mut(index as usize) else { continue };
            let rests = series.recent.as_ref().is_some_and(|recent| {
                hour.saturating_sub(recent.last.hour()) > rates.lag_hours + 2
                    && !self.watched.contains_key(facet)
            });
            if rests {
                series.recent = None;
            } else {
                self.active.push(index);
            }
        }
        self.learn_views(hour, policy, rates, gaps);
        if self.active.is_empty() {
            self.sources.forget();
            self.late_sources.forget();
            self.order = Order::default();
            self.routes.clear();
            self.series.shrink_to_fit();
        }
        let horizon = Minute(hour.saturating_sub(24) * 60);
        self.candidates.retain(|_, waiting| waiting.last().is_some_and(|(minute, ..)| *minute >= horizon));
        let known_from = hour.saturating_sub(24 * (RECURS_WITHIN_DAYS + 2));
        self.frozen.retain(|frozen| frozen.to > known_from);
        if hour.is_multiple_of(24) {
            self.evict(hour);
        }
        self.note_countries(hour, rates);
    }

    /// A country that is known and busy enough to show a day of its own begins with that of the service.
    fn shape_country(&mut self, index: usize, hour: u32) {
        let Some((facet, series)) = self.series.get_index(index) else { return };
        let Facet::Country(country) = facet else { return };
        if series.profile.is_some() || series.learned.is_learning() {
            return;
        }
        if series.learned.level(self.prior(*facet).mean) < SHAPED_PER_HOUR_MIN {
            return;
        }
        let whole = self.series.get_index(0).and_then(|(_, whole)| whole.profile.as_deref());
        let day = whole.and_then(Profile::day).or(self.prior.day);
        let mut profile = day.as_ref().map(Profile::borrowed).unwrap_or_default();
        if self.clock.is_none() {
            profile.turn(minutes_ahead(*country, Minute(hour.saturating_mul(60)).start()));
        }
        if let Some((_, series)) = self.series.get_index_mut(index) {
            series.profile = Some(Box::new(profile));
        }
    }

    /// Learns from the hour before `hour` how often the service's page is opened.
    fn learn_views(&mut self, hour: u32, policy: &Policy, rates: LearningRates, gaps: &Gaps) {
        if self.views_learned.is_none() && self.page_views.total() == 0 {
            return;
        }
        let last = hour.saturating_sub(1);
        let mut learned = self.views_learned.unwrap_or_else(|| Learned::new(last));
        if self.is_frozen(last, hour, policy)
            || learned.folded_hour != last
            || gaps.touch(Minute(last.saturating_mul(60)), 60)
        {
            learned.leave_out(hour);
        } else {
            let views = self.page_views.sum(Minute(hour.saturating_mul(60)).minus(1), 60) as f64;
            let factor = self.week_of_whole().at(middle_of(last));
            let prior = Expected { mean: views.max(1.0), size: Learned::noise_size_default() };
            learned.learn(views, factor, prior, rates);
        }
        self.views_learned = Some(learned);
    }

    /// Series that have rested for four weeks go; what they knew has faded by half anyway.
    fn evict(&mut self, hour: u32) {
        let kept = |facet: &Facet, series: &Series| {
            !matches!(facet, Facet::City(_) | Facet::Network(_) | Facet::Region(_))
                || series.recent.is_some()
                || hour.saturating_sub(series.learned.folded_hour) < EVICTED_AFTER_HOURS
        };
        if self.series.iter().any(|(facet, series)| !kept(facet, series)) {
            let active: Vec<Facet> = self.active().map(|(facet, _)| *facet).collect();
            self.series.retain(|facet, series| kept(facet, series));
            let taught = self.series.values().filter(|series| series.learned.seen().0 > 0.0);
            self.settled.parts = taught.count() as u32;
            // Indices moved; whatever was touched is looked at again.
            let moved = active.iter().filter_map(|facet| self.series.get_index_of(facet));
            self.active = moved.map(|index| index as u32).collect();
            self.routes.clear();
            self.touched.clear();
            self.unsettled.clear();
            for (index, series) in self.series.values().enumerate() {
                let Some(recent) = &series.recent else { continue };
                if recent.touched {
                    self.touched.push(index as u32);
                }
                if recent.unsettled {
                    self.unsettled.push(index as u32);
                }
            }
        }
    }

    fn fold(
        &mut self,
        index: usize,
        hour: u32,
        policy: &Policy,
        (rates, keep_per_week): (LearningRates, f32),
        (gaps, clocks): (&Gaps, &mut Clocks<'_>),
    ) {
        let Some((facet, series)) = self.series.get_index_mut(index) else { return };
        let (facet, mut learned) = (*facet, series.learned);
        let mut own = series.profile.take();
        let prior = self.prior(facet);
        // While nothing is known a fresh hour is worth more than the caution of the lag, once it is settled.
        let lag = |learned: &Learned| if learned.is_learning() { 2 } else { rates.lag_hours };
        while learned.folded_hour.saturating_add(lag(&learned)) <= hour {
            let folding = learned.folded_hour;
            let Some((_, series)) = self.series.get_index(index) else { break };
            let Some(recent) = &series.recent else { break };
            if self.begins_anew(folding, hour, policy) {
                let hours = folding..hour;
                let counted = hours.clone().map(|hour| f64::from(recent.hour(hour)) / 100.0).sum();
                let week = self.week_with(facet, series, own.as_deref());
                let factors = hours.map(|hour| week.at(middle_of(hour))).sum();
                let kept = learned.begin_anew(counted, factors, prior.mean);
                if let (Some(kept), Some(profile)) = (kept, &mut own) {
                    profile.fade(SHAPE_ANEW * kept);
                }
            }
            if self.is_frozen(folding, hour, policy) || gaps.touch(Minute(folding.saturating_mul(60)), 60) {
                learned.leave_out(folding + 1);
                continue;
            }
            // By the clock that held then: an hour is learned a day later.
            let (middle, clock) = (middle_of(folding), self.clock_of(facet, series));
            let week = self.week_with(facet, series, own.as_deref());
            let factor = week.at_clocks(middle, clock, clocks);
            let counted = f64::from(recent.hour(folding)) / 100.0;
            let most = learned.most_usual(factor, prior);
            learned.learn(counted, factor, prior, rates);
            if let Some(profile) = &mut own {
                let level = learned.level(prior.mean).max(1e-6);
                let size = learned.noise_size(prior.size, level);
                let told = level * size / (level + size);
                let counted = counted.min(most);
                let local = clocks.local(clock, middle);
                // The whole learns what there would be if all clocks stood as they usually do; few reports tell
                // little of what would be many.
                let moved = if facet == Facet::All { self.moved_by_clocks(middle, clocks) } else { 1.0 };
                let (ratio, told) = ((counted / level) as f32 / moved, told as f32 * moved.min(1.0));
                profile.learn(local.minute(), ratio, told, keep_per_week);
            }
        }
        if let Some((_, series)) = self.series.get_index_mut(index) {
            let is_first = series.learned.seen().0 <= 0.0 && learned.seen().0 > 0.0;
            self.settled.parts += u32::from(is_first);
            series.learned = learned;
            series.profile = own;
        }
    }
}
