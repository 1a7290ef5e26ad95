//! The shape of a usual week: a factor for every hour, 1 on average.

use serde::{Deserialize, Serialize};

use crate::model::{Minute, UtcTime};

const HOURS: usize = 168;
/// Hours of a day.
pub const DAY_HOURS: usize = 24;
const DAY: usize = DAY_HOURS;
const WEEKDAYS: usize = 7;

/// Factors of the hours of a day, about 1 on average.
pub type DayShape = [f32; DAY_HOURS];

/// Hour-of-week factors, learned in three steps so that little data go far: an hour-of-day shape
/// shrunk to flat, a factor for each day of the week shrunk to 1, and each hour of the week shrunk to
/// their product as it is known now.
///
/// Each hour's observation carries weight u = m k / (m + k): with a mean of m counts and a noise
/// of size k, an hour tells as much as u independent counts, and never more than k.
///
/// All times are of the week that people live by (see `WeekClock`). The factors are worked out from the
/// sums when they are asked for: a million series hold these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Per hour of the day; empty before the first hour is learned.
    day: Vec<Seen>,
    /// Per day of the week; nothing on the first day.
    weekdays: [Seen; WEEKDAYS],
    /// Per hour of the week; empty on the first day, which tells nothing of the days of a week.
    week: Vec<Seen>,
    /// What the factors are divided by, so that they are 1 on average.
    mean: f32,
}

/// What was seen at one place of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Seen {
    ratio: f32,
    weight: f32,
}

impl Seen {
    fn add(&mut self, ratio: f32, weight: f32, decay: f32) {
        self.ratio = self.ratio * decay + ratio;
        self.weight = self.weight * decay + weight;
    }
}

/// Weight of the flat prior of an hour of the day: nights and evenings differ from the mean by a
/// factor of up to two or three, a relative deviation of about 0.6.
const DAY_PRIOR: f32 = 3.0;
/// Weight of a day like any other: days of a week differ by a relative deviation of about 0.3.
const WEEKDAY_PRIOR: f32 = 12.0;
/// The first day that is of a weekend somewhere: Friday.
const WEEKEND_FROM: usize = 4;
/// Weight of the product of day and hour in an hour of the week: that of about two noisy weeks.
const WEEK_PRIOR: f32 = 8.0;
/// Weight of a day that was learned elsewhere, of the parent or the category: services of one kind
/// differ from their mean by about a third at an hour of the day.
const BORROWED_DAY: f32 = 8.0;

/// What a day of the week keeps at each of its hours, so that it keeps as much over a week as an hour does.
fn decay_per_day(decay: f32) -> f32 {
    libm::powf(decay, 1.0 / DAY as f32)
}

impl Default for Profile {
    fn default() -> Self {
        Profile { day: Vec::new(), weekdays: [Seen::default(); WEEKDAYS], week: Vec::new(), mean: 1.0 }
    }
}

impl Profile {
    /// Begins with a day that its parent or category has taught.
    pub fn borrowed(day: &DayShape) -> Self {
        let seen = |factor: &f32| Seen { ratio: BORROWED_DAY * factor, weight: BORROWED_DAY };
        let mut profile = Profile { day: day.iter().map(seen).collect(), ..Profile::default() };
        profile.settle();
        profile
    }

    /// How the hours of its days differ, 1 on average; `None` before anything was learned.
    pub fn day(&self) -> Option<DayShape> {
        if self.day.is_empty() {
            return None;
        }
        let mut factors: DayShape = std::array::from_fn(|hour| self.day_factor(hour));
        let mean = factors.iter().sum::<f32>() / DAY as f32;
        factors.iter_mut().for_each(|factor| *factor /= mean);
        Some(factors)
    }

    /// What it has learned so far is by a clock from now on that is ahead of the one before by so much.
    pub fn turn(&mut self, minutes: i32) {
        let hours = (minutes + 30).div_euclid(60);
        let turn = |seen: &mut Vec<Seen>| {
            let places = seen.len().max(1) as i32;
            seen.rotate_right(hours.rem_euclid(places) as usize);
        };
        turn(&mut self.day);
        turn(&mut self.week);
    }

    /// Keeps a part, 0 to 1, of the weight of all that it has learned.
    pub fn fade(&mut self, keep: f32) {
        let seen = self.day.iter_mut().chain(&mut self.weekdays).chain(&mut self.week);
        seen.for_each(|seen| seen.add(0.0, 0.0, keep));
        self.settle();
    }

    /// Learns one hour of its own week, by any minute of it: `ratio` is its count over the level, `weight`
    /// is u (see the type), `decay` (0 to 1) what is left of older hours of the same place in the week.
    pub fn learn(&mut self, local: Minute, ratio: f32, weight: f32, decay: f32) {
        let hour_of_week = local.hour_of_week();
        if self.day.is_empty() {
            self.day = vec![Seen::default(); DAY];
        }
        let (day, week) = (hour_of_week % DAY, hour_of_week % HOURS);
        if self.week.is_empty() && self.day[day].weight > 0.0 {
            self.week = vec![Seen::default(); HOURS];
        }
        self.day[day].add(weight * ratio, weight, decay);
        let shape = self.day_factor(day).max(0.05);
        if let Some(seen) = self.week.get_mut(week) {
            let weekday = week / DAY;
            // Of sums: where the shape of the day is not known yet, a mean of ratios would be led by its nights.
            self.weekdays[weekday].add(weight * ratio, weight * shape, decay_per_day(decay));
            seen.add(weight * ratio, weight, decay);
        }
        self.settle();
    }

    fn day_factor(&self, day: usize) -> f32 {
        let Seen { ratio, weight } = self.day[day];
        (DAY_PRIOR + ratio) / (DAY_PRIOR + weight)
    }

    fn weekday_factor(&self, weekday: usize) -> f32 {
        let Seen { ratio, weight } = self.weekdays[weekday];
        (WEEKDAY_PRIOR + ratio) / (WEEKDAY_PRIOR + weight)
    }

    /// The factor of an hour of the week before it is scaled.
    fn raw(&self, hour: usize) -> f32 {
        let Seen { ratio, weight } = self.week.get(hour).copied().unwrap_or_default();
        let product = self.day_factor(hour % DAY) * self.weekday_factor(hour / DAY);
        ((WEEK_PRIOR * product + ratio) / (WEEK_PRIOR + weight)).max(0.02)
    }

    /// Scales the factors to 1 on average.
    fn settle(&mut self) {
        let mut total = 0.0;
        for hour in 0..HOURS {
            total += self.raw(hour);
        }
        self.mean = total / HOURS as f32;
    }

    /// How far the factor at an instant of its own week may be off: its squared relative deviation, from the
    /// weight of what was seen at that hour of the day. It adds to the inverse size of the noise.
    pub fn doubt(&self, local: UtcTime) -> f32 {
        let seen = self.day.get(local.minute().hour_of_week() % DAY);
        1.0 / (DAY_PRIOR + seen.map_or(0.0, |seen| seen.weight))
    }

    /// Whether an instant of its own week lies in an hour of the day that was seen on no day, while others
    /// were, or on a working day while only days about the weekend were.
    pub fn is_unseen(&self, local: UtcTime) -> bool {
        let hour = local.minute().hour_of_week() % HOURS;
        let is_new_hour = self.day.get(hour % DAY).is_some_and(|seen| seen.weight <= 0.0);
        is_new_hour || (hour / DAY < WEEKEND_FROM && self.knows_weekends_only())
    }

    fn knows_weekends_only(&self) -> bool {
        let (working, others) = self.weekdays.split_at(WEEKEND_FROM);
        let is_seen = |day: &Seen| day.weight > 0.0;
        !working.iter().any(is_seen) && others.iter().any(is_seen)
    }

    /// The factor of a whole hour of its own week.
    pub fn hour(&self, hour_of_week: usize) -> f32 {
        if self.day.is_empty() { 1.0 } else { self.raw(hour_of_week % HOURS) / self.mean }
    }

    /// The factor at an instant of its own week: between the middles of the hours before and after, and no less
    /// than that of the hour it is in. Where offices open at eight sharp, it is as busy at five past as at half
    /// past; half of that would be usual on the way from one middle to the next.
    pub fn at(&self, local: UtcTime) -> f32 {
        let shifted = local.plus_seconds(-1800);
        let hour = shifted.minute().hour_of_week();
        let (before, after) = (self.hour(hour), self.hour(hour + 1));
        let part = shifted.millis().rem_euclid(3_600_000) as f32 / 3_600_000.0;
        let own = if part < 0.5 { before } else { after };
        (before + part * (after - before)).max(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minute within an hour of the week.
    fn of_week(hour: u32) -> Minute {
        let monday: UtcTime = "2025-01-06T00:00:00Z".parse().expect("a time");
        Minute(monday.minute().0 + hour * 60 + 17)
    }

    #[test]
    fn what_was_learned_is_turned_to_a_clock() {
        let mut profile = Profile::default();
        for hour in 0..168 {
            profile.learn(of_week(hour), if hour % 24 == 20 { 6.0 } else { 0.8 }, 40.0, 1.0);
        }
        let evening: UtcTime = "2025-01-15T20:30:00Z".parse().expect("a time");
        let factor = profile.at(evening);
        profile.turn(300);
        // Days of the week begin at other hours now, and the first week knew some of them better.
        let turned = profile.at(evening.plus_seconds(300 * 60));
        assert!((turned / factor - 1.0).abs() < 0.1, "{factor} {turned}");
        assert!(profile.at(evening) < 0.5 * factor);
        Profile::default().turn(-300);
    }

    #[test]
    fn an_evening_peak_is_learned_and_the_mean_stays_one() {
        let mut profile = Profile::default();
        for week in 0..4 {
            for hour in 0..168u32 {
                let ratio = if hour % 24 == 20 { 3.0 } else { 0.9 };
                profile.learn(of_week(hour), ratio, 4.0, if week == 0 { 1.0 } else { 0.98 });
            }
        }
        assert!(profile.hour(20) > 2.0, "{}", profile.hour(20));
        assert!(profile.hour(4) < 1.0);
        let mean: f32 = (0..168).map(|hour| profile.hour(hour)).sum::<f32>() / 168.0;
        assert!((mean - 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_borrowed_day_is_a_beginning_that_own_counts_outgrow() {
        let mut evening = [0.8; DAY_HOURS];
        evening[20] = 5.6;
        let mut profile = Profile::borrowed(&evening);
        assert!(profile.hour(20) > 2.5 && profile.hour(44) > 2.5, "{}", profile.hour(20));
        let mean: f32 = (0..168).map(|hour| profile.hour(hour)).sum::<f32>() / 168.0;
        assert!((mean - 1.0).abs() < 1e-3);
        for week in 0..8 {
            for hour in 0..168 {
                profile.learn(of_week(hour), 1.0, 4.0, if week == 0 { 1.0 } else { 0.9 });
            }
        }
        assert!(profile.hour(20) < 1.6, "{}", profile.hour(20));
        assert_eq!(Profile::default().day(), None);
    }

    #[test]
    fn an_hour_or_a_working_day_that_was_not_seen_is_told() {
        let mut profile = Profile::default();
        let friday: UtcTime = "2025-03-07T00:30:00Z".parse().expect("a time");
        let at = |hour: i64| friday.plus_seconds(3600 * hour);
        assert!(!profile.is_unseen(at(0)), "nothing is known at all");
        let mut seen = 0..;
        let mut learn = |profile: &mut Profile, hours: usize| {
            seen.by_ref().take(hours).for_each(|hour| profile.learn(at(hour).minute(), 1.0, 4.0, 1.0));
        };
        learn(&mut profile, 8);
        assert!(!profile.is_unseen(at(24 + 7)) && profile.is_unseen(at(8)));
        // Sunday evening: Monday is another matter, the next Sunday is not.
        learn(&mut profile, 60);
        assert!(profile.is_unseen(at(72 + 10)) && !profile.is_unseen(at(48 + 168 + 10)));
        learn(&mut profile, 5);
        assert!(!profile.is_unseen(at(72 + 10)));
    }

    #[test]
    fn factors_run_on_from_hour_to_hour_and_an_hour_that_begins_sharp_is_whole() {
        let mut profile = Profile::default();
        for hour in 0..168 {
            let is_open = (8..18).contains(&(hour % 24));
            profile.learn(of_week(hour), if is_open { 2.0 } else { 0.2 }, 40.0, 1.0);
        }
        let monday: UtcTime = "2025-03-10T00:00:00Z".parse().expect("a time");
        let at = |minutes: i64| profile.at(monday.plus_seconds(60 * minutes));
        let (night, open) = (profile.hour(6), profile.hour(8));
        assert!(at(8 * 60 - 30) == profile.hour(7) && (at(8 * 60 - 1) - (night + open) / 2.0).abs() < 0.05);
        for minute in [0, 1, 29, 30, 59] {
            assert!((at(8 * 60 + minute) - open).abs() < 0.02, "{minute}: {} {open}", at(8 * 60 + minute));
            assert!((at(17 * 60 + minute) - open).abs() < 0.02, "{minute}: {} {open}", at(17 * 60 + minute));
        }
        assert!(at(18 * 60 + 1) < 0.6 * open && at(18 * 60 + 31) < 1.1 * night);
    }
}
