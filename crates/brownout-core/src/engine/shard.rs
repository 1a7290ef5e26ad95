//! A share of the services; shards never see each other.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::arrivals::Arrivals;
use super::causes::Rise;
use super::correlator::{Decision, ServiceLook};
use super::gaps::Gaps;
use super::looking::Signal;
use super::recent::Series;
use super::sources::Standing;
use super::subject::Subject;
use crate::effect::RollUp;
use crate::model::{Catalogue, Facet, Minute, PageViews, Policy, Report, ServiceId, UtcTime};
use crate::reach::ServiceReach;
use crate::series::LearningRates;
use crate::snapshot::Rarest;
use crate::verdict::Part;

/// The services of one shard, by number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Shard {
    pub(crate) subjects: IndexMap<ServiceId, Subject, FxBuildHasher>,
    /// Services with an open incident.
    watched: BTreeSet<ServiceId>,
    /// Services with reports since the last look.
    reported: BTreeSet<ServiceId>,
    /// Measurements of services.
    pub(crate) reach: BTreeMap<ServiceId, ServiceReach>,
    /// Services with measurements since they were last drawn.
    #[serde(skip)]
    pub(crate) measured: BTreeSet<ServiceId>,
    /// Services with reports that came after others that they may have to stand before.
    disordered: BTreeSet<ServiceId>,
}

impl Shard {
    /// Counts one report of the subject at an index.
    pub(crate) fn count(
        &mut self,
        index: usize,
        report: &Report,
        received_at: UtcTime,
        (policy, rates): (&Policy, LearningRates),
    ) -> Standing {
        let subject = &mut self.subjects[index];
        if !subject.is_touched() {
            self.reported.insert(report.service);
        }
        let standing = subject.count(report, received_at, policy, rates);
        if subject.order.is_disordered() {
            self.disordered.insert(report.service);
        }
        standing
    }

    /// Puts reports into the order in which they happened, where that matters.
    pub(crate) fn put_in_order(&mut self, policy: &Policy, rates: LearningRates) {
        for service in std::mem::take(&mut self.disordered) {
            if let Some(subject) = self.subjects.get_mut(&service) {
                subject.put_in_order(policy, rates);
                if subject.is_touched() {
                    self.reported.insert(service);
                }
            }
        }
    }

    /// Charts a report that came too late to be counted.
    pub(crate) fn chart_late(&mut self, index: usize, report: &Report, policy: &Policy) -> Standing {
        self.subjects[index].chart_late(report, policy)
    }

    pub(crate) fn view(&mut self, index: usize, views: &PageViews, at: UtcTime) {
        let subject = &mut self.subjects[index];
        subject.page_views.add(at.minute(), views.count);
        subject.dirty = true;
    }

    /// Carries out the correlator's decisions of the tick before.
    pub(crate) fn obey(&mut self, decision: &Decision, now: Minute) {
        let Some(subject) = self.subjects.get_mut(&decision.service) else { return };
        subject.obey(decision.watched.clone(), decision.freeze, decision.behind, now);
        if decision.watched.is_empty() {
            self.watched.remove(&decision.service);
        } else {
            self.watched.insert(decision.service);
        }
    }

    /// Whether anything waits to be looked at.
    pub(crate) fn is_busy(&self) -> bool {
        !self.reported.is_empty() || !self.watched.is_empty()
    }

    /// Looks at what changed and at what is watched, by service. Where it fails is asked when something
    /// departs, and once a minute while an incident is open.
    pub(crate) fn look(
        &mut self,
        at: UtcTime,
        full_minute: bool,
        (policy, catalogue, arrivals): (&Policy, &Catalogue, &Arrivals),
    ) -> Vec<ServiceLook> {
        let mut services = std::mem::take(&mut self.reported);
        services.extend(self.watched.iter().copied());
        let mut looks = Vec::new();
        for service in services {
            let Some(subject) = self.subjects.get_mut(&service) else { continue };
            let signals = subject.look(at, policy, catalogue.get(service));
            let rise = Rise::of(subject, at, &signals);
            if !signals.is_empty() || rise.is_some() {
                let asks = match self.watched.contains(&service) {
                    true => full_minute,
                    false => signals.iter().any(|signal| signal.departs),
                };
                let extent = asks.then(|| subject.locate(catalogue.get(service), at, policy)).flatten();
                looks.push(ServiceLook { extent, rise, ..look_of(subject, signals, at, (policy, arrivals)) });
            }
        }
        looks
    }

    /// Nothing is learned from the last hour where too little of it was heard.
    pub(crate) fn leave_out(&mut self, hour: u32, arrivals: &Arrivals) {
        for subject in self.subjects.values_mut() {
            if let Some(silence) = arrivals.deafens(subject) {
                let from = silence.since.minute().hour().max(hour.saturating_sub(2));
                subject.leave_out(from, hour);
            }
        }
    }

    pub(crate) fn turn_hour(&mut self, hour: u32, policy: &Policy, rates: LearningRates, gaps: &Gaps) {
        for subject in self.subjects.values_mut() {
            subject.turn_hour(hour, policy, rates, gaps);
        }
    }

    pub(crate) fn roll_up(&mut self, start: Minute, policy: &Policy, into: &mut Vec<RollUp>) {
        // By service, as they are stored.
        let unsettled = self.subjects.iter().enumerate().filter(|(_, (_, subject))| subject.is_unsettled());
        let mut order: Vec<(ServiceId, usize)> = unsettled.map(|(index, (id, _))| (*id, index)).collect();
        order.sort_unstable();
        for (_, index) in order {
            self.subjects[index].roll_up(start, policy, into);
        }
    }
}

fn look_of(
    subject: &Subject,
    signals: Vec<Signal>,
    at: UtcTime,
    (policy, arrivals): (&Policy, &Arrivals),
) -> ServiceLook {
    let windows = |series: &Series| Some(series.recent.as_deref()?.windows(at));
    let all = subject.series.get(&Facet::All);
    let whole = all.and_then(windows).unwrap_or_default();
    let usual =
        all.map_or(0.0, |series| subject.usual(Facet::All, series, at).of(whole.minutes[2].max(14.0)).mean);
    ServiceLook {
        service: subject.service,
        signals,
        rise: None,
        whole: Part {
            facet: Facet::All,
            observed: whole.shown(),
            expected: usual,
            rarest: Rarest::default(),
        },
        sources_hour: whole.hour(),
        subnets: subject.sources.subnets(),
        extent: None,
        learning: subject.is_learning(),
        became_usual: subject.became_usual(at.minute().hour(), policy),
        silence: arrivals.deafens(subject),
        doubts: subject.doubts.in_force(),
        settled: subject.settled.signals().cloned().collect(),
    }
}
