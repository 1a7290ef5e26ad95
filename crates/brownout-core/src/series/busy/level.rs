//! The slow level of a series.

/// Values that the level is taken from: at five minutes each, nearly two days.
const VALUES: usize = 512;

/// The median of the latest values. One value, however large, cannot move it far.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    /// In the order of arrival, a ring.
    latest: Vec<f64>,
    oldest: usize,
    sorted: Vec<f64>,
}

impl Level {
    /// `None` before the first value; the mean of the middle two where their number is even.
    pub(super) fn median(&self) -> Option<f64> {
        let upper = *self.sorted.get(self.sorted.len() / 2)?;
        if self.sorted.len() % 2 == 1 {
            return Some(upper);
        }
        // Halves first: the sum of two huge values is infinite.
        Some(0.5 * self.sorted[self.sorted.len() / 2 - 1] + 0.5 * upper)
    }

    /// Takes a finite value.
    pub(super) fn push(&mut self, value: f64) {
        if self.latest.len() < VALUES {
            self.latest.push(value);
        } else {
            let leaving = std::mem::replace(&mut self.latest[self.oldest], value);
            self.oldest = (self.oldest + 1) % VALUES;
            let place = self.sorted.partition_point(|sorted| *sorted < leaving);
            self.sorted.remove(place);
        }
        let place = self.sorted.partition_point(|sorted| *sorted < value);
        self.sorted.insert(place, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_median_of_the_latest_values() {
        let mut level = Level::default();
        assert_eq!(level.median(), None);
        let values: Vec<f64> = (0..2000).map(|step| f64::from(step * 7919 % 1009)).collect();
        for (count, value) in values.iter().enumerate() {
            level.push(*value);
            let mut latest = values[(count + 1).saturating_sub(VALUES)..=count].to_vec();
            latest.sort_by(f64::total_cmp);
            let middle = latest.len() / 2;
            let median = if latest.len() % 2 == 1 {
                latest[middle]
            } else {
                (latest[middle - 1] + latest[middle]) / 2.0
            };
            assert_eq!(level.median(), Some(median), "after {count}");
        }
    }
}
