//! Real reports as the calm that outages are injected into.

use std::collections::BTreeMap;
use std::path::PathBuf;

use brownout_core::model::{
    Catalogue, Category, City, CityId, CountryCode, Facet, Geography, IncidentId, Policy, RegionCode, Report,
    Service, ServiceId, UtcTime,
};
use brownout_core::snapshot::IncidentView;

use crate::direct::{Direct, report};
use crate::import;

/// Up to here the reports are learned from; after it they are judged and outages are injected.
pub(super) const SPLIT: UtcTime = UtcTime::from_millis(1_781_913_600_000);

/// Up to here an outage that is known from elsewhere comes and goes in the judged reports, that of San
/// Antonio on 20 and 21 June 2026.
pub(super) const KNOWN_UNTIL: UtcTime = UtcTime::from_millis(SPLIT.millis() + 2 * 86_400_000);

/// Real reports, and the cities that they come from.
pub(super) struct Background {
    pub(super) reports: Vec<Report>,
    catalogue: Catalogue,
    /// Reports of each city of the country that the geography knows.
    pub(super) cities: Vec<(City, u32)>,
    /// Cities by the names that are in the data.
    pub(super) names: usize,
}

/// What was called over the reports alone.
pub(super) struct Calm {
    /// Incidents of the judged part.
    pub(super) incidents: Vec<IncidentView>,
    /// The engine at some instants.
    pub(super) forks: Vec<(UtcTime, Direct)>,
}

impl Background {
    /// Reads all tables of the data folder; `None` when it is not there.
    pub(super) fn read() -> Option<Self> {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/spectrum"));
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|end| end == "csv"));
        files.sort();
        let geography = Geography::embedded();
        let find = |country: CountryCode, region: Option<RegionCode>, name: &str| {
            geography.find_city(country, region, name).map(|city| city.id)
        };
        let mut imported = import::Imported::default();
        for file in files {
            imported.merge(import::spectrum(std::fs::File::open(file).ok()?, &find).ok()?);
        }
        let service = Service::new(ServiceId(0), "spectrum", "Spectrum", Category::Internet);
        let catalogue = Catalogue::new(vec![service]).ok()?;
        let lines = imported.rows.iter().map(|row| row.line.as_bytes());
        let reports: Vec<Report> = lines.filter_map(|line| report(line, &catalogue)).collect();
        let mut counts: BTreeMap<CityId, u32> = BTreeMap::new();
        for city in reports.iter().filter_map(|report| report.place.city) {
            *counts.entry(city).or_default() += 1;
        }
        let country: CountryCode = "US".parse().ok()?;
        let cities = geography.cities().filter(|city| city.country == country && city.region.is_some());
        let cities = cities.map(|city| (city.clone(), counts.get(&city.id).copied().unwrap_or(0))).collect();
        let place = |row: &import::Row| row.source.split('|').next().unwrap_or_default().to_owned();
        let names: std::collections::BTreeSet<String> = imported.rows.iter().map(place).collect();
        (!reports.is_empty()).then_some(Background { reports, catalogue, cities, names: names.len() })
    }

    /// The last instant of the reports.
    pub(super) fn end(&self) -> UtcTime {
        self.reports.last().map_or(SPLIT, |report| report.occurred_at)
    }

    /// Days of the judged part.
    pub(super) fn judged_days(&self) -> f64 {
        self.end().millis_since(SPLIT) as f64 / 86_400_000.0
    }

    /// All reports through the engine, which is kept as it is at some instants.
    pub(super) fn play(&self, policy: &Policy, at: &[UtcTime]) -> Calm {
        let begin = self.reports.first().map_or(SPLIT, |report| report.occurred_at.plus_seconds(-60));
        let mut direct = Direct::new(self.catalogue.clone(), policy, begin);
        let mut incidents: BTreeMap<IncidentId, IncidentView> = BTreeMap::new();
        let mut see = |derived: &brownout_core::effect::Derived| {
            for view in &derived.incidents {
                incidents.insert(view.id, (**view).clone());
            }
        };
        let (mut forks, mut wanted) = (Vec::new(), at.iter().copied().peekable());
        for report in &self.reports {
            while let Some(at) = wanted.next_if(|at| *at <= report.occurred_at) {
                direct.pass(at, |_, derived| see(derived));
                forks.extend(direct.fork().map(|fork| (at, fork)));
            }
            direct.pass(report.occurred_at, |_, derived| see(derived));
            direct.tell_report(report);
        }
        direct.pass(self.end().plus_seconds(6 * 3600), |_, derived| see(derived));
        let is_judged = |view: &IncidentView| view.ended_at.is_none_or(|ended| ended >= SPLIT);
        Calm { incidents: incidents.into_values().filter(is_judged).collect(), forks }
    }
}

/// Whether an incident is the known outage of San Antonio. That of New York is not judged.
pub(super) fn is_known(view: &IncidentView) -> bool {
    let there =
        |city: CityId| Geography::embedded().city(city).is_some_and(|city| city.name == "San Antonio");
    (SPLIT..KNOWN_UNTIL).contains(&view.opened_at)
        && view.scopes.iter().any(|scope| matches!(scope.facet, Facet::City(city) if there(city)))
}
