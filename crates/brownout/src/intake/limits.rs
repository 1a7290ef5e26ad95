//! Rate limits by network prefix, with bounded memory.
//!
//! Limiters know prefixes, not reports: what they hold is forgotten as soon as the prefix is quiet.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use brownout_core::report::Prefix;

/// Prefixes that one limiter remembers at most.
const PREFIXES_MAX: usize = 200_000;
/// Checks between two looks at how full a limiter is.
const CHECKS_PER_SWEEP: u64 = 4_096;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run.
    pub per_minute: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Rate {
    /// A rate; zeros count as one.
    pub fn new(per_minute: u32, burst: u32) -> Self {
        let at_least_one = |figure| NonZeroU32::new(figure).unwrap_or(NonZeroU32::MIN);
        Rate { per_minute: at_least_one(per_minute), burst: at_least_one(burst) }
    }
}

/// A limiter over prefixes. Overflow policy: when it is full of busy prefixes, new ones share one
/// bucket.
pub(super) struct PrefixLimiter {
    limiter: DefaultKeyedRateLimiter<Option<Prefix>>,
    clock: DefaultClock,
    checks: AtomicU64,
    full: std::sync::atomic::AtomicBool,
}

/// What a limiter says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Within the rate.
    Fine,
    /// Beyond it; worth trying again after this.
    TooFast(Duration),
}

impl PrefixLimiter {
    pub(super) fn new(rate: Rate) -> Self {
        let quota = Quota::per_minute(rate.per_minute).allow_burst(rate.burst);
        PrefixLimiter {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            checks: AtomicU64::new(1),
            full: std::sync::atomic::AtomicBool::new(false),
        }
    }

    /// Counts one request of a prefix; the second value tells that it went to the shared bucket.
    pub(super) fn check(&self, prefix: Prefix) -> (Pace, bool) {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(CHECKS_PER_SWEEP) {
            self.sweep();
        }
        let shared = self.full.load(Ordering::Relaxed);
        let key = if shared { None } else { Some(prefix) };
        let pace = match self.limiter.check_key(&key) {
            Ok(()) => Pace::Fine,
            Err(until) => Pace::TooFast(until.wait_time_from(self.clock.now())),
        };
        (pace, shared)
    }

    /// Forgets quiet prefixes. Called on schedule, and by itself under a flood of new ones.
    pub(super) fn sweep(&self) {
        let was_full = self.limiter.len() >= PREFIXES_MAX;
        self.limiter.retain_recent();
        if was_full {
            self.limiter.shrink_to_fit();
        }
        self.full.store(self.limiter.len() >= PREFIXES_MAX, Ordering::Relaxed);
    }
}

/// The two limits that every single report passes.
pub(super) struct Limits {
    source: PrefixLimiter,
    subnet: PrefixLimiter,
}

impl Limits {
    pub(super) fn new(source: Rate, subnet: Rate) -> Self {
        Limits { source: PrefixLimiter::new(source), subnet: PrefixLimiter::new(subnet) }
    }

    /// Counts a request of an address.
    pub(super) fn check(&self, address: IpAddr) -> (Pace, bool) {
        match self.source.check(Prefix::source(address)) {
            (Pace::Fine, shared) => {
                let (pace, also) = self.subnet.check(Prefix::subnet(address));
                (pace, shared || also)
            }
            refused => refused,
        }
    }

    pub(super) fn sweep(&self) {
        self.source.sweep();
        self.subnet.sweep();
    }
}

/// How many reports come in a second, over the last ten or so. Time is an argument.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    /// The second that is being counted.
    second: AtomicI64,
    count: AtomicU64,
    /// Mean of the seconds before, in thousandths of a report.
    mean_milli: AtomicU64,
}

impl Gauge {
    /// Counts one report and gives the reports per second. Races between threads cost a count or
    /// two, which does not matter for a threshold.
    pub(super) fn count(&self, monotonic: Duration) -> u64 {
        let now = monotonic.as_secs() as i64;
        let last = self.second.load(Ordering::Relaxed);
        if now > last && self.second.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let counted = self.count.swap(0, Ordering::Relaxed) * 1000;
            // A tenth of each new second, and nothing for the seconds in which none came.
            let mut mean = self.mean_milli.load(Ordering::Relaxed);
            mean = mean - mean / 10 + counted / 10;
            for _ in 1..(now - last).min(100) {
                mean -= mean / 10;
            }
            self.mean_milli.store(mean, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.rate()
    }

    /// Reports per second as of the last one that was counted.
    pub(super) fn rate(&self) -> u64 {
        // A flood shows within its first second.
        let running = self.count.load(Ordering::Relaxed);
        (self.mean_milli.load(Ordering::Relaxed) / 1000).max(running / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    #[test]
    fn one_source_is_slowed_down_and_its_neighbour_is_not() {
        let limits = Limits::new(Rate::new(1, 3), Rate::new(1, 5));
        for _ in 0..3 {
            assert_eq!(limits.check(address(1)).0, Pace::Fine);
        }
        let (Pace::TooFast(wait), false) = limits.check(address(1)) else { panic!("too fast") };
        assert!((50..=60).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(limits.check(address(2)).0, Pace::Fine);
        assert_eq!(limits.check(address(2)).0, Pace::Fine);
        assert_ne!(limits.check(address(3)).0, Pace::Fine, "the subnet as a whole");
        assert_eq!(limits.check(address(1 << 8)).0, Pace::Fine, "another subnet");
    }

    #[test]
    fn a_flood_of_prefixes_shares_one_bucket_and_stays_bounded() {
        let limiter = PrefixLimiter::new(Rate::new(1, 1));
        let mut shared = 0;
        for number in 0..(PREFIXES_MAX as u32 + 3 * CHECKS_PER_SWEEP as u32) {
            shared += u64::from(limiter.check(Prefix::source(address(number))).1);
        }
        assert!(limiter.limiter.len() <= PREFIXES_MAX + CHECKS_PER_SWEEP as usize);
        assert!(shared > 0);
    }

    #[test]
    fn quiet_prefixes_are_forgotten() {
        let limiter = PrefixLimiter::new(Rate::new(60_000, 1));
        for number in 0..100 {
            limiter.check(Prefix::source(address(number)));
        }
        std::thread::sleep(Duration::from_millis(20));
        limiter.sweep();
        assert_eq!(limiter.limiter.len(), 0);
    }

    #[test]
    fn the_gauge_rises_at_once_and_falls_slowly() {
        let gauge = Gauge::default();
        let mut rate = 0;
        for _ in 0..400 {
            rate = gauge.count(Duration::from_secs(100));
        }
        assert_eq!(rate, 200);
        for second in 101..130 {
            for _ in 0..100 {
                rate = gauge.count(Duration::from_secs(second));
            }
        }
        assert!((90..=100).contains(&rate), "{rate}");
        assert!(gauge.count(Duration::from_secs(300)) <= 1);
    }
}
