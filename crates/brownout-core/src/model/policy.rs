//! The one place where thresholds live, in terms of false alarms that an operator can promise.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Holiday;

/// How eagerly problems are called, and how long things are remembered.
///
/// Everything a replay needs to repeat a judgement is here, so it is a record of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// False "possible problems" allowed per service and year. Greater than 0.
    pub possible_per_service_year: f64,
    /// False "detected problems" allowed per service and *decade*. Greater than 0.
    pub detected_per_service_decade: f64,
    /// False silences allowed per year, over all channels and countries together. Greater than 0.
    pub false_silences_per_year: f64,
    /// Fewest distinct sources, within the detecting window, for "possible problems".
    ///
    /// On real sparse reports a statistic alone fires on three; the floor matters more.
    pub possible_sources_min: u32,
    /// Fewest distinct subnets (/24 or /48) among the last hour's sources for "possible problems".
    pub possible_subnets_min: u32,
    /// "Detected" at once for many: this many sources in 15 minutes ...
    pub detected_many_sources_min: u32,
    /// ... for this many minutes since "possible".
    pub detected_many_minutes: u32,
    /// "Detected" in time for few: this many sources above usual in six hours ...
    pub detected_few_sources_min: u32,
    /// ... for this many minutes since "possible".
    pub detected_few_minutes: u32,
    /// Minutes without a departure after which an incident has ended.
    pub quiet_minutes: u32,
    /// A departure within this many minutes after an incident ended is another wave of it.
    pub same_incident_minutes: u32,
    /// A source that reports the same service again within this many minutes of its last report,
    /// which may be a repeat itself, is a repeat and is not counted.
    pub repeat_minutes: u32,
    /// Most sources of one subnet that are counted for one service within `repeat_minutes`, 1 to 1,000:
    /// a look at a source passes by all that are known of its subnet.
    pub subnet_sources_max: u32,
    /// How late a report may be and still be counted in its minute.
    pub lateness_minutes: u32,
    /// Sources that a city or network needs before it has a series of its own.
    pub materialise_sources: u32,
    /// Hours before an hour's count is learned from, so that an outage is not learned as normal.
    pub learning_lag_hours: u32,
    /// Half-life of what was learned, in days.
    pub learning_half_life_days: u32,
    /// Longest time that an incident may keep its service from learning, in hours.
    pub freeze_hours_max: u32,
    /// One honest incident in this many may be held at "possible" by chance because its reports look
    /// made up: 10 to 1,000,000, or 0 to hold none.
    pub honest_held_one_in: u32,
    /// Weight of a report without a proof of work while proofs are asked for, in percent.
    pub weight_without_proof_percent: u8,
    /// Days on which people behave as on a Sunday, such as `["US 2025-07-04", "2025-12-25"]`; at most
    /// 10,000.
    pub holidays: Vec<Holiday>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            possible_per_service_year: 0.02,
            detected_per_service_decade: 0.02,
            false_silences_per_year: 0.1,
            possible_sources_min: 8,
            possible_subnets_min: 4,
            detected_many_sources_min: 100,
            detected_many_minutes: 5,
            detected_few_sources_min: 30,
            detected_few_minutes: 30,
            quiet_minutes: 30,
            same_incident_minutes: 180,
            repeat_minutes: 60,
            subnet_sources_max: 16,
            lateness_minutes: 15,
            materialise_sources: 3,
            learning_lag_hours: 24,
            learning_half_life_days: 28,
            freeze_hours_max: 72,
            honest_held_one_in: 1000,
            weight_without_proof_percent: 50,
            holidays: Vec::new(),
        }
    }
}

impl Policy {
    /// Refuses figures outside the range in which the engine means anything.
    pub fn check(&self) -> Result<(), PolicyError> {
        let in_range = [
            ("possible_per_service_year", (1e-3..=1e3).contains(&self.possible_per_service_year)),
            ("detected_per_service_decade", (1e-3..=1e3).contains(&self.detected_per_service_decade)),
            ("false_silences_per_year", (1e-3..=1e3).contains(&self.false_silences_per_year)),
            ("possible_sources_min", (1..=10_000).contains(&self.possible_sources_min)),
            ("possible_subnets_min", (1..=10_000).contains(&self.possible_subnets_min)),
            ("detected_many_sources_min", (1..=1_000_000).contains(&self.detected_many_sources_min)),
            ("detected_many_minutes", self.detected_many_minutes <= 1440),
            ("detected_few_sources_min", (1..=1_000_000).contains(&self.detected_few_sources_min)),
            ("detected_few_minutes", self.detected_few_minutes <= 1440),
            ("quiet_minutes", (5..=1440).contains(&self.quiet_minutes)),
            ("same_incident_minutes", self.same_incident_minutes <= 1440),
            ("repeat_minutes", (1..=240).contains(&self.repeat_minutes)),
            ("subnet_sources_max", (1..=1_000).contains(&self.subnet_sources_max)),
            ("lateness_minutes", (1..=30).contains(&self.lateness_minutes)),
            ("materialise_sources", (1..=1000).contains(&self.materialise_sources)),
            ("learning_lag_hours", (1..=24).contains(&self.learning_lag_hours)),
            ("learning_half_life_days", (1..=365).contains(&self.learning_half_life_days)),
            ("freeze_hours_max", (1..=72).contains(&self.freeze_hours_max)),
            ("holidays", self.holidays.len() <= 10_000),
            ("honest_held_one_in", matches!(self.honest_held_one_in, 0 | 10..=1_000_000)),
            ("weight_without_proof_percent", self.weight_without_proof_percent <= 100),
        ];
        match in_range.iter().find(|(_, fine)| !fine) {
            Some((field, _)) => Err(PolicyError { field }),
            None => Ok(()),
        }
    }
}

/// A figure outside its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// The name of the figure.
    pub field: &'static str,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is outside its range", self.field)
    }
}

impl std::error::Error for PolicyError {}
