//! Page views: a channel of their own, counted in memory and written once a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use brownout_core::model::{CountryCode, Evidence, PageViews, ServiceId};

use super::metrics::IntakeMetrics;

/// Distinct services and countries that one minute may have. Overflow policy: further ones are not
/// counted.
const CELLS_MAX: usize = 50_000;

/// Counts views of services' pages until they are taken out.
#[derive(Debug, Default)]
pub struct PageViewCounter {
    cells: Mutex<BTreeMap<(ServiceId, Option<CountryCode>), u32>>,
    metrics: IntakeMetrics,
}

impl PageViewCounter {
    /// A counter that tells `metrics` what it counted and dropped.
    pub fn new(metrics: IntakeMetrics) -> Self {
        PageViewCounter { cells: Mutex::default(), metrics }
    }

    /// Counts one view.
    pub fn count(&self, service: ServiceId, country: Option<CountryCode>) {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let room = cells.len() < CELLS_MAX;
        match cells.get_mut(&(service, country)) {
            Some(count) => *count = count.saturating_add(1),
            None if room => drop(cells.insert((service, country), 1)),
            None => {
                self.metrics.page_views_dropped.inc();
                return;
            }
        }
        self.metrics.page_views.inc();
    }

    /// Takes out what was counted, as evidence in a fixed order.
    pub fn drain(&self) -> Vec<Evidence> {
        let cells = std::mem::take(&mut *self.cells.lock().unwrap_or_else(PoisonError::into_inner));
        let views = |((service, country), count)| Evidence::PageViews(PageViews { service, country, count });
        cells.into_iter().map(views).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_counted_by_service_and_country_and_taken_once() {
        let counter = PageViewCounter::default();
        let pakistan = Some("PK".parse().unwrap());
        for (service, country) in [(2, pakistan), (1, None), (2, pakistan), (2, None)] {
            counter.count(ServiceId(service), country);
        }
        let views = |service, country, count| {
            Evidence::PageViews(PageViews { service: ServiceId(service), country, count })
        };
        assert_eq!(counter.drain(), [views(1, None, 1), views(2, None, 1), views(2, pakistan, 2)]);
        assert_eq!(counter.drain(), []);
    }

    #[test]
    fn a_minute_is_bounded() {
        let counter = PageViewCounter::default();
        for service in 0..CELLS_MAX as u32 + 5 {
            counter.count(ServiceId(service), None);
        }
        counter.count(ServiceId(0), None);
        assert_eq!(counter.metrics.page_views_dropped.get(), 5);
        assert_eq!(counter.metrics.page_views.get(), CELLS_MAX as u64 + 1);
        assert_eq!(counter.drain().len(), CELLS_MAX);
    }
}
