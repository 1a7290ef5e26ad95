//! The series.

use brownout_core::model::Policy;
use brownout_core::series::crossings::SIZE_WITHIN_HOUR;
use brownout_core::series::detectors::{Detector, Usual};
use brownout_core::series::{Expected, Learned, LearningRates};

use crate::rng::Rng;
use crate::scoreboard::{NOISE_SIZE, shape_of_week};

/// Length of an interval.
pub(super) const INTERVAL_HOURS: f64 = 1.0 / 12.0;
pub(super) const INTERVALS_PER_HOUR: usize = 12;
pub(super) const INTERVALS_PER_DAY: usize = 24 * INTERVALS_PER_HOUR;
pub(super) const WARM_DAYS: u32 = 10;
pub(super) const JUDGED_DAYS: u32 = 14;
/// The first interval that is judged.
pub(super) const JUDGED_FROM: usize = WARM_DAYS as usize * INTERVALS_PER_DAY;
const INTERVALS: usize = JUDGED_FROM + JUDGED_DAYS as usize * INTERVALS_PER_DAY;
/// Between these lie the shapes where they are not told, evenly by their logarithms.
pub(super) const UNTOLD: (f64, f64) = (2.0, 16.0);
pub(super) const EVENT_HOURS: f64 = 2.0;
/// An event begins within the first so many hours of every second day.
const EVENT_BEGINS_WITHIN_HOURS: f64 = 40.0;

/// How busy a series is, and how strong its events.
pub(super) struct Class {
    pub(super) per_hour: f64,
    pub(super) event_per_hour: f64,
    /// Of the population, most of which is sparse.
    pub(super) share: f64,
}

pub(super) const CLASSES: [Class; 5] = [
    Class { per_hour: 0.2, event_per_hour: 12.0, share: 0.50 },
    Class { per_hour: 1.0, event_per_hour: 16.0, share: 0.25 },
    Class { per_hour: 10.0, event_per_hour: 60.0, share: 0.15 },
    Class { per_hour: 100.0, event_per_hour: 300.0, share: 0.07 },
    Class { per_hour: 1000.0, event_per_hour: 1500.0, share: 0.03 },
];

/// What is known of the noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noise {
    /// Every series has the same, and detectors are told its size.
    Told,
    /// Each series has another, and detectors go by what its own past teaches.
    Learned,
}

impl Noise {
    /// The shape of a series' Gamma factor.
    fn shape(self, rng: &mut Rng) -> f64 {
        match self {
            Noise::Told => NOISE_SIZE,
            Noise::Learned => libm::exp(libm::log(UNTOLD.0) + rng.unit() * libm::log(UNTOLD.1 / UNTOLD.0)),
        }
    }
}

/// One series, with what detectors are told of it.
pub(super) struct Series {
    counts: Vec<u32>,
    usual: Vec<Usual>,
    /// Begin and end of events, in intervals.
    pub(super) events: Vec<(f64, f64)>,
}

impl Class {
    /// One series of the class.
    pub(super) fn series(&self, rng: &mut Rng, eventful: bool, noise: Noise) -> Series {
        let size = noise.shape(rng);
        let phase = rng.below(INTERVALS_PER_HOUR as u32) as usize;
        let begin = rng.below(7 * INTERVALS_PER_DAY as u32) as usize;
        let events = if eventful { events(rng) } else { Vec::new() };
        let mut factor = rng.gamma_factor(size);
        let (mut counts, mut usual) = (Vec::with_capacity(INTERVALS), Vec::with_capacity(INTERVALS));
        let mut learner = Learner::new(self.per_hour);
        let mut next = events.iter().copied().peekable();
        for interval in 0..INTERVALS {
            if (interval + phase).is_multiple_of(INTERVALS_PER_HOUR) {
                factor = rng.gamma_factor(size);
            }
            let mean = self.per_hour * INTERVAL_HOURS * shape(begin + interval);
            let mut rate = mean * factor;
            if let Some((from, to)) = next.peek() {
                let (start, end) = (interval as f64, interval as f64 + 1.0);
                rate += (end.min(*to) - start.max(*from)).max(0.0) * self.event_per_hour * INTERVAL_HOURS;
                if *to <= end {
                    next.next();
                }
            }
            let count = rng.poisson(rate);
            let noise_size = if noise == Noise::Told { size } else { learner.size };
            counts.push(count);
            usual.push(Usual { mean, noise_size });
            learner.take(interval, count, mean);
        }
        Series { counts, usual, events }
    }
}

/// Learns the size of the noise from whole hours, as the engine does.
struct Learner {
    per_hour: f64,
    rates: LearningRates,
    learned: Learned,
    /// Count and mean of the running hour.
    hour: (u32, f64),
    /// What it says of the noise within an hour.
    size: f64,
}

impl Learner {
    fn new(per_hour: f64) -> Self {
        let size = Learned::noise_size_default() * SIZE_WITHIN_HOUR;
        let rates = LearningRates::new(&Policy::default());
        Learner { per_hour, rates, learned: Learned::new(0), hour: (0, 0.0), size }
    }

    fn take(&mut self, interval: usize, count: u32, mean: f64) {
        self.hour = (self.hour.0 + count, self.hour.1 + mean);
        if (interval + 1).is_multiple_of(INTERVALS_PER_HOUR) {
            let (counted, mean) = std::mem::take(&mut self.hour);
            let prior = Expected { mean: self.per_hour, size: Learned::noise_size_default() };
            self.learned.learn(f64::from(counted), mean / self.per_hour, prior, self.rates);
            self.size = self.learned.noise_size(prior.size, self.per_hour) * SIZE_WITHIN_HOUR;
        }
    }
}

impl Series {
    /// What a detector says after every interval.
    pub(super) fn through(&self, detector: &mut dyn Detector) -> Vec<f64> {
        self.counts.iter().zip(&self.usual).map(|(count, usual)| detector.step(*count, *usual)).collect()
    }
}

fn events(rng: &mut Rng) -> Vec<(f64, f64)> {
    let pairs = (WARM_DAYS..WARM_DAYS + JUDGED_DAYS).step_by(2);
    let begins = pairs.map(|day| {
        let hours = f64::from(day) * 24.0 + rng.unit() * EVENT_BEGINS_WITHIN_HOURS;
        hours / INTERVAL_HOURS
    });
    begins.map(|begin| (begin, begin + EVENT_HOURS / INTERVAL_HOURS)).collect()
}

/// Factor of day and week of an interval, which is highest at 0.6 of the day.
fn shape(interval: usize) -> f64 {
    let of_day = (interval % INTERVALS_PER_DAY) as f64 / INTERVALS_PER_DAY as f64;
    shape_of_week(of_day - 0.6, interval / INTERVALS_PER_DAY % 7 >= 5)
}
