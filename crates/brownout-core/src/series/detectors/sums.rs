//! Sums over the latest intervals.

/// Running sums of counts and usual means, over windows that end now.
#[derive(Clone, Debug)]
pub struct Sums {
    /// Sums since the beginning, before each of the latest intervals and after the last.
    since_begin: Vec<(u64, f64)>,
    /// Intervals so far.
    taken: usize,
}

impl Sums {
    /// For windows of at most `intervals`.
    pub fn new(intervals: usize) -> Self {
        Sums { since_begin: vec![(0, 0.0); intervals + 1], taken: 0 }
    }

    /// Takes the next interval.
    pub fn push(&mut self, count: u32, mean: f64) {
        let places = self.since_begin.len();
        let (counts, means) = self.since_begin[self.taken % places];
        self.taken += 1;
        self.since_begin[self.taken % places] = (counts + u64::from(count), means + mean);
    }

    /// Count and usual mean of the latest `intervals`, or of as many as there were.
    pub fn latest(&self, intervals: usize) -> (u64, f64) {
        let places = self.since_begin.len();
        let back = intervals.min(self.taken).min(places - 1);
        let (now, before) =
            (self.since_begin[self.taken % places], self.since_begin[(self.taken - back) % places]);
        (now.0 - before.0, now.1 - before.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_end_now() {
        let mut sums = Sums::new(3);
        assert_eq!(sums.latest(3), (0, 0.0));
        for count in 1..=5 {
            sums.push(count, 0.5);
        }
        assert_eq!(sums.latest(1), (5, 0.5));
        assert_eq!(sums.latest(3), (12, 1.5));
        assert_eq!(sums.latest(9), (12, 1.5));
    }
}
