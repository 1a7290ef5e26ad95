//! Measurements, from the log to what is said of services and countries.

use std::collections::BTreeSet;

use super::EngineState;
use crate::model::{CountryCode, Seq, ServiceId, UtcTime};
use crate::reach::{Fingerprints, Look, Measurement, ReachView, analyse};

impl EngineState {
    /// Judges a measurement and takes what it says. Its signs were looked for when it was taken in.
    pub(super) fn measure(&mut self, measurement: &Measurement, seq: Seq) {
        self.totals.measurements += 1;
        let service = self.catalogue.service_at(&measurement.target.host).map(|service| service.id);
        let analysis = analyse(measurement, &Fingerprints::default());
        let (Some(service), Some(look)) = (service, Look::of(measurement, &analysis)) else {
            self.totals.measurements_left_out += 1;
            return;
        };
        // A clock that is ahead is wrong: nothing was measured after it was received.
        let look = Look { at: look.at.min(self.now), ..look };
        let late = self.now.millis_since(look.at) > i64::from(self.policy.lateness_minutes) * 60_000;
        let shard = self.shard_of(service);
        let shard = &mut self.shards[shard];
        shard.measured.insert(service);
        let reach = shard.reach.entry(service).or_default();
        if late {
            self.totals.measurements_late += 1;
            reach.chart(&look);
            return;
        }
        reach.look(&measurement.target.host, &look, seq);
        self.countries.look(service, &look, seq);
    }

    /// Forgets places from which nothing came for long.
    pub(super) fn forget_idle_places(&mut self, at: UtcTime) {
        for reach in self.shards.iter_mut().flat_map(|shard| shard.reach.values_mut()) {
            reach.forget_idle(at);
        }
    }

    pub(super) fn reach_view(&self, service: ServiceId, at: UtcTime) -> Option<ReachView> {
        let reach = self.shards[self.shard_of(service)].reach.get(&service)?;
        let mut view = ReachView::draw(reach, &self.countries, at)?;
        let failing = view.signals.iter().filter(|one| one.is_open()).filter_map(|one| one.place.country());
        let failing: BTreeSet<CountryCode> = failing.collect();
        let shared = failing.into_iter().map(|country| (country, self.neighbours(service, country)));
        view.shared = shared.filter(|(_, neighbours)| !neighbours.is_empty()).collect();
        Some(view)
    }

    /// Other services that fail in a country at one of the same addresses.
    fn neighbours(&self, service: ServiceId, country: CountryCode) -> Vec<ServiceId> {
        let all = || self.shards.iter().flat_map(|shard| &shard.reach);
        let own =
            all().find(|(known, _)| **known == service).map_or(&[][..], |(_, reach)| reach.refused(country));
        if own.is_empty() {
            return Vec::new();
        }
        let others = all().filter(|(known, reach)| {
            **known != service && reach.refused(country).iter().any(|address| own.contains(address))
        });
        let mut others: Vec<ServiceId> = others.map(|(known, _)| *known).collect();
        others.sort_unstable();
        others
    }
}
