//! Reports that come in another order than they happened in.
//!
//! A report is counted when it comes. Where two are of one source only the first counts, and of one subnet
//! only so many do, so that what one is worth may hang on another that happened before it and comes after
//! it. Reports are therefore held as long as one can come that happened before them; once a minute those of
//! subnets in which it mattered are looked at again, in the order in which they happened. What counts once
//! the lateness bound has passed is the same in whatever order they came.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::sources::{Admission, Standing};
use super::subject::Subject;
use crate::model::{Policy, Report, SourceKeys, UtcTime};
use crate::series::LearningRates;

/// Most reports of one service that are held; the oldest stay as they were counted then.
const HELD_MAX: usize = 1 << 17;
/// Disorder is mended once a minute.
const MENDED_AFTER_MILLIS: i64 = 60_000;

/// Reports of one service whose order may still change, as they came or, where they were put in order, as
/// they happened.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Order {
    held: VecDeque<Held>,
    /// Subnets in which the order mattered.
    disordered: BTreeSet<u64>,
    /// Reports whose order was settled before the lateness bound, for want of room.
    settled_early: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Held {
    report: Report,
    admission: Admission,
}

impl Order {
    /// Holds a report. `received_at` is the present.
    pub(crate) fn hold(
        &mut self,
        report: &Report,
        admission: Admission,
        received_at: UtcTime,
        policy: &Policy,
    ) {
        if admission.is_disordered {
            self.disordered.insert(report.source.subnet);
        }
        if self.disordered.is_empty() {
            let bound = i64::from(policy.lateness_minutes) * 60_000 + MENDED_AFTER_MILLIS;
            let horizon = received_at.plus_millis(-bound);
            while self.held.front().is_some_and(|held| held.report.occurred_at < horizon) {
                self.held.pop_front();
            }
        }
        if self.held.len() >= HELD_MAX {
            self.held.pop_front();
            self.settled_early += 1;
        }
        self.held.push_back(Held { report: *report, admission });
    }

    /// Reports whose order was settled before the lateness bound, for want of room.
    pub(crate) fn settled_early(&self) -> u64 {
        self.settled_early
    }

    /// Whether anything is to be put in order.
    pub(crate) fn is_disordered(&self) -> bool {
        !self.disordered.is_empty()
    }

    /// Where the reports of disordered subnets are held, and of subnets that had or got another key there.
    fn places(&mut self) -> Vec<usize> {
        let mut subnets = std::mem::take(&mut self.disordered);
        for held in &self.held {
            let keys = &held.report.source;
            let Some(previous) = keys.previous else { continue };
            if subnets.contains(&keys.subnet) || subnets.contains(&previous.subnet) {
                subnets.extend([keys.subnet, previous.subnet]);
            }
        }
        let is_of_them = |held: &Held| subnets.contains(&held.report.source.subnet);
        self.held.iter().enumerate().filter(|(_, held)| is_of_them(held)).map(|(place, _)| place).collect()
    }
}

/// Gives reports from before a rotation of salts the keys that their sources have now, where those are
/// known: a source is then the same whichever of its reports is looked at first.
fn renew_keys(reports: &mut [Held]) {
    let keys = reports.iter().map(|held| held.report.source);
    let renewed = keys.filter_map(|keys| Some(((keys.previous?.source, keys.previous?.subnet), keys)));
    let renewed: BTreeMap<(u64, u64), SourceKeys> = renewed.collect();
    for held in reports {
        let keys = &mut held.report.source;
        if let Some(now) = renewed.get(&(keys.source, keys.subnet)) {
            *keys = *now;
        }
    }
}

/// The order in which reports happened, and one that everybody would choose among those that happened at
/// once.
fn before_others(report: &Report) -> impl Ord + use<> {
    let keys = &report.source;
    let what = (report.kind, report.channel, report.weight, report.place, report.network);
    (report.occurred_at, keys.subnet, keys.source, what)
}

impl Subject {
    /// Counts the reports of disordered subnets as if they had come in the order in which they happened.
    pub(crate) fn put_in_order(&mut self, policy: &Policy, rates: LearningRates) {
        if !self.order.is_disordered() {
            return;
        }
        let places = self.order.places();
        let mut again: Vec<Held> = Vec::with_capacity(places.len());
        for place in places.iter().rev() {
            let held = self.order.held[*place];
            self.sources.take_back(&held.report.source, &held.admission);
            again.push(held);
        }
        renew_keys(&mut again);
        again.sort_by_cached_key(|held| before_others(&held.report));
        // How reports are spread over subnets was told when they came.
        let tally = self.sources.tally();
        for (place, held) in places.into_iter().zip(again) {
            let report = held.report;
            let admission = self.sources.admit(&report.source, report.occurred_at, policy);
            match (held.admission.standing == Standing::New, admission.standing == Standing::New) {
                (true, false) => self.take_all(&report),
                (false, true) => self.add_all(&report, policy, rates),
                _ => {}
            }
            self.order.held[place] = Held { report, admission };
        }
        self.sources.put_back_tally(tally);
        self.dirty = true;
    }
}
