//! Departures of busy series of real values: response times, throughput, temperatures, queue lengths.
//!
//! Counts of few reports have a law of chance that can be written down; such values have none. So this
//! detector asks what needs no law: **has anything like this been seen before?** Every value is compared
//! with the nearest one that the series has shown, in three views:
//!
//! - the value itself;
//! - its distance from the slow level of the series, so that a level that drifts is not taken for news;
//! - the value among those of the same time of day, so that a noon at night is.
//!
//! How far away the nearest is counts only in comparison with how far away it used to be in this very
//! series and view (`Rarity`): the surprise is minus the decimal logarithm of that tail probability,
//! the same scale for milliseconds and for megabits. What has been seen once surprises no more, so a
//! detector of this kind falls silent by itself where a threshold on residuals would go on.
//!
//! It is a nearest-neighbour detector in the line of conformal ones (Laxhammar and Falkman, "Conformal
//! prediction for distribution-independent anomaly detection in streaming vessel data", 2010; Burnaev and
//! Ishimtsev, "Conformalized density- and distance-based anomaly detection in time-series data", 2016),
//! in one dimension and with an exponential tail (Pickands 1975) where ranks alone would end.

mod level;
mod memory;
mod rarity;

use libm::pow;

use self::level::Level;
use self::memory::Memory;
use self::rarity::Rarity;
use crate::model::UtcTime;

/// The score from which a row is called, where nothing else is wanted: as rare as one in a hundred of the
/// distances that this series has shown.
pub const CALL: f64 = 0.99;

/// Rows before the first answer over 0: fewer say nothing about how rare something is.
const LEARNED_FIRST: u64 = 50;
/// A time of day has few values of its own to be compared with, and there are many times of day. So what
/// it says needs twice the decimal orders to weigh as much as what the other two views say together.
const TIME_OF_DAY_WEIGHT: f64 = 0.5;
/// A departure is news only if it is stronger than everything in this part of the series' life ...
const NEWS_PART: f64 = 0.06;
/// ... and in no fewer rows than this ...
const NEWS_ROWS_MIN: u64 = 20;
/// ... nor more: three and a half days of five minutes each.
const NEWS_ROWS_MAX: usize = 1000;

/// Why a value was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Infinite, or not a number. Nothing was changed.
    NotANumber,
}

/// The view in which a value is most surprising.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// No such value was seen, nor one so far from the level.
    Value,
    /// No such value was seen at this time of day.
    TimeOfDay,
}

/// How surprising a row is in every view by itself, in decimal orders of rarity; 0 or more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Views {
    /// Among all values.
    pub value: f64,
    /// Its distance from the level, among those distances.
    pub residual: f64,
    /// Among the values of the same time of day.
    pub time_of_day: f64,
}

impl Views {
    /// All of them together, and what weighs most. Value and residual speak with one voice, their mean:
    /// what is new in one and common in the other is half as rare.
    fn together(self) -> (f64, View) {
        let value = 0.5 * (self.value + self.residual);
        let time_of_day = TIME_OF_DAY_WEIGHT * self.time_of_day;
        if time_of_day > value { (time_of_day, View::TimeOfDay) } else { (value, View::Value) }
    }
}

/// What is said of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// From 0 to 1: one less the probability of such a surprise, and 0 when a stronger one is fresh.
    pub score: f64,
    /// How surprising the row is by itself, in decimal orders of rarity; 0 or more.
    pub surprise: f64,
    /// What says so.
    pub view: View,
    /// What each view says.
    pub views: Views,
    /// The slow level of the series before this row, in its own unit: the median of the last 512 values.
    pub level: f64,
    /// How far away the nearest value is that was seen before, in the series' own unit; `None` at first.
    pub nearest: Option<f64>,
}

/// A detector for one series, fed one row after the other. Memory is bounded: 270 kB when full.
///
/// ```
/// use brownout_core::model::UtcTime;
/// use brownout_core::series::busy::{Busy, CALL};
///
/// let mut response_ms = Busy::default();
/// for minute in 0..2000 {
///     let usual = 80.0 + f64::from(minute * 37 % 11);
///     let answer = response_ms.step(UtcTime::from_seconds(i64::from(minute) * 60), usual)?;
///     assert!(answer.score < CALL);
/// }
/// let answer = response_ms.step(UtcTime::from_seconds(2000 * 60), 240.0)?;
/// assert!(answer.score >= CALL);
/// # Ok::<(), brownout_core::series::busy::Refused>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Busy {
    rows: u64,
    memory: Memory,
    level: Level,
    of_value: Rarity,
    of_residual: Rarity,
    of_time_of_day: Rarity,
    /// Surprises of the latest rows, a ring.
    recent: Vec<f64>,
}

impl Busy {
    /// Takes the next row. Rows are taken in the order in which they come; `at` says the time of day and
    /// how old a row is, and may stand still, jump or, when clocks are set back, return.
    ///
    /// # Errors
    /// When the value is not finite; the row is then as if it had not come.
    pub fn step(&mut self, at: UtcTime, value: f64) -> Result<Answer, Refused> {
        if !value.is_finite() {
            return Err(Refused::NotANumber);
        }
        let level = self.level.median().unwrap_or(value);
        let residual = value - level;
        let nearest = self.memory.nearest(at, value, residual);
        let views = self.views(&nearest);
        let (surprise, view) = views.together();
        self.memory.push(at, value, residual);
        self.level.push(value);
        let news = self.is_news(surprise);
        self.remember(surprise);
        self.rows += 1;
        let score = if news { 1.0 - pow(10.0, -surprise) } else { 0.0 };
        Ok(Answer { score, surprise, view, views, level, nearest: nearest.value })
    }

    /// How surprising distances are, and learns them.
    fn views(&mut self, nearest: &memory::Nearest) -> Views {
        let views = Views {
            value: self.of_value.step(nearest.value),
            residual: self.of_residual.step(nearest.residual),
            time_of_day: self.of_time_of_day.step(nearest.value_at_time_of_day),
        };
        if self.rows < LEARNED_FIRST { Views::default() } else { views }
    }

    /// Whether a surprise is over all of the recent ones.
    fn is_news(&self, surprise: f64) -> bool {
        let part = (self.rows as f64 * NEWS_PART) as u64;
        let rows = part.max(NEWS_ROWS_MIN).min(NEWS_ROWS_MAX as u64).min(self.rows);
        let before = |back: u64| self.recent[((self.rows - back) % NEWS_ROWS_MAX as u64) as usize];
        (1..=rows).all(|back| before(back) < surprise)
    }

    fn remember(&mut self, surprise: f64) {
        let place = (self.rows % NEWS_ROWS_MAX as u64) as usize;
        match self.recent.get_mut(place) {
            Some(recent) => *recent = surprise,
            None => self.recent.push(surprise),
        }
    }
}

#[cfg(test)]
mod tests;
