//! What is assumed of a service of which nothing is known yet: what its category has taught.

use serde::{Deserialize, Serialize};

use super::shard::Shard;
use crate::model::{Catalogue, Category};
use crate::series::DayShape;

/// Sources per hour that a service is given before anything is known of it or of any other. With the
/// prior's wide shape (see `LEVEL_SHAPE`) any level from none to some thousands is possible then, and
/// after an hour or two of counting, even of nothing, the figure hardly matters.
pub(crate) const PER_HOUR: f32 = 400.0;
/// However calm its category is, a new service may be as busy as this.
const PER_HOUR_MIN: f32 = 20.0;
/// How many times as busy as the busiest of its category a new service is taken to be. A prior that is
/// too low calls problems where a busy service was only added; one that is too high misses a burst in
/// its first hour.
const TIMES_BUSIEST: f32 = 2.0;
/// Services whose days must be known before their mean is taken for the day of others.
const DAYS_MIN: u32 = 3;

/// What is assumed of a service before its own counts teach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prior {
    /// Sources per hour.
    pub(crate) per_hour: f32,
    /// How the hours of a day differ, where enough services have shown it.
    pub(crate) day: Option<DayShape>,
}

impl Default for Prior {
    fn default() -> Self {
        Prior { per_hour: PER_HOUR, day: None }
    }
}

/// Priors by category. They change once a day, from what the services have learned by then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Priors {
    /// In the order of [`Category::ALL`]; empty before the first day.
    categories: Vec<Prior>,
}

impl Priors {
    /// What is assumed of a new service.
    pub(crate) fn of(&self, category: Category) -> Prior {
        self.categories.get(category as usize).cloned().unwrap_or_default()
    }

    /// Works them out anew. The order of shards and services does not matter to the busiest, and the
    /// days are summed in the catalogue's order.
    pub(crate) fn work_out(catalogue: &Catalogue, shards: &[Shard]) -> Self {
        let mut sums = vec![Sum::default(); Category::ALL.len()];
        let mut all = Sum::default();
        for service in catalogue.iter() {
            let shard = service.id.0 as usize % shards.len().max(1);
            let known = shards.get(shard).and_then(|shard| shard.subjects.get(&service.id));
            let Some((per_hour, day)) = known.and_then(super::subject::Subject::taught) else { continue };
            sums[service.category as usize].add(per_hour, day.as_ref());
            all.add(per_hour, day.as_ref());
        }
        Priors { categories: sums.iter().map(|sum| sum.prior(&all)).collect() }
    }
}

#[derive(Clone, Default)]
struct Sum {
    busiest: Option<f32>,
    days: u32,
    day: DayShape,
}

impl Sum {
    fn add(&mut self, per_hour: f32, day: Option<&DayShape>) {
        self.busiest = Some(self.busiest.map_or(per_hour, |busiest| busiest.max(per_hour)));
        if let Some(day) = day {
            self.days += 1;
            self.day.iter_mut().zip(day).for_each(|(sum, factor)| *sum += factor);
        }
    }

    /// Of its own services, or of all where its own are too few to tell.
    fn prior(&self, all: &Sum) -> Prior {
        let busiest = self.busiest.or(all.busiest).map(|busiest| busiest * TIMES_BUSIEST);
        let days = if self.days >= DAYS_MIN { self } else { all };
        Prior {
            per_hour: busiest.unwrap_or(PER_HOUR).clamp(PER_HOUR_MIN, PER_HOUR),
            day: (days.days >= DAYS_MIN).then(|| days.day.map(|sum| sum / days.days as f32)),
        }
    }
}
