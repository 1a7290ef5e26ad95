//! The time of a folder, which only moves forward.
//!
//! A machine's clock may be set back. The log's time never goes back, and it must not stand still
//! either: reports would pile up in one minute and detection would wait until the clock is there
//! again. So a live folder's time runs on by the monotonic clock from where it was, a tenth slower
//! than the machine's until the two have met, or at once when the machine's is set forward again.
//!
//! The machine's clock is only read at a look, together with the monotonic one. Between two looks
//! time goes by the monotonic clock: whoever added what the machine's clock says just after it was
//! set forward to a lead that nobody had corrected yet would be ahead by both, for good.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use brownout_core::model::UtcTime;

use super::wall_clock;

/// A step of the machine's clock smaller than this, in milliseconds, is waited out.
const STEP_MILLIS_MIN: i64 = 1000;
/// While the log is ahead, one millisecond in this many is given back: counts by the minute are
/// raised by a ninth at most, which no threshold takes for a problem.
const GIVE_BACK: i64 = 10;

/// Time of a folder in milliseconds, shared between its threads.
#[derive(Debug)]
pub(crate) struct Time {
    /// The latest time that was given; on a virtual clock, the time.
    latest: AtomicI64,
    /// How far the folder is ahead of the machine; never below zero.
    ahead: AtomicI64,
    /// `None` on a virtual clock.
    looked: Option<ArcSwap<Look>>,
}

/// What the clocks said at the last look, and the folder's time then.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    wall: i64,
    folder: i64,
}

/// The monotonic and the machine's clock, read together: a thread that had to wait in between would
/// take its wait for a step of the machine's.
fn both_clocks() -> (Instant, i64) {
    const APART_MAX: Duration = Duration::from_millis(50);
    const TRIES: usize = 100;
    let read = || (Instant::now(), wall_clock().millis());
    (0..TRIES).map(|_| read()).find(|(at, _)| at.elapsed() < APART_MAX).unwrap_or_else(read)
}

impl Time {
    /// The machine's time, but not before `last`. The second is how far the machine's clock is
    /// behind that, in milliseconds, when it was set back.
    pub(super) fn live(last: Option<UtcTime>) -> (Self, Option<i64>) {
        let (at, wall) = both_clocks();
        let last = last.map_or(i64::MIN, UtcTime::millis);
        let behind = last.saturating_sub(wall).max(0);
        let behind = if behind >= STEP_MILLIS_MIN { behind } else { 0 };
        let time = Time {
            latest: AtomicI64::new(last),
            ahead: AtomicI64::new(behind),
            looked: Some(ArcSwap::from_pointee(Look { at, wall, folder: wall.saturating_add(behind) })),
        };
        (time, (behind > 0).then_some(behind))
    }

    /// A time that is moved by batches.
    pub(super) fn at(time: UtcTime) -> Self {
        Time { latest: AtomicI64::new(time.millis()), ahead: AtomicI64::new(0), looked: None }
    }

    pub(crate) fn now(&self) -> UtcTime {
        let Some(looked) = &self.looked else {
            return UtcTime::from_millis(self.latest.load(Ordering::Acquire));
        };
        let look = **looked.load();
        let since = i64::try_from(look.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = look.folder.saturating_add(since);
        // Within one millisecond threads only look at what they share.
        let mut latest = self.latest.load(Ordering::Acquire);
        if latest < now {
            latest = self.latest.fetch_max(now, Ordering::AcqRel);
        }
        UtcTime::from_millis(latest.max(now))
    }

    pub(crate) fn is_virtual(&self) -> bool {
        self.looked.is_none()
    }

    /// Moves a virtual clock on.
    pub(crate) fn advance(&self, to: UtcTime) {
        if self.is_virtual() {
            self.latest.fetch_max(to.millis(), Ordering::AcqRel);
        }
    }

    /// How far the folder's time is ahead of the machine's, in milliseconds.
    pub(super) fn ahead_millis(&self) -> i64 {
        self.ahead.load(Ordering::Acquire)
    }

    /// Compares the machine's clock with the monotonic one, which the log's thread does about once
    /// a second. Gives by how many milliseconds the machine's was set, when it was: below zero is
    /// back.
    pub(super) fn look(&self) -> Option<i64> {
        let shared = self.looked.as_ref()?;
        let looked = **shared.load();
        let (at, wall) = both_clocks();
        let elapsed = i64::try_from(at.duration_since(looked.at).as_millis()).unwrap_or(i64::MAX);
        let step = wall.saturating_sub(looked.wall).saturating_sub(elapsed);
        if elapsed < STEP_MILLIS_MIN && step.abs() < STEP_MILLIS_MIN {
            return None;
        }
        let ahead = follow(self.ahead.load(Ordering::Acquire), step, elapsed);
        shared.store(Arc::new(Look { at, wall, folder: wall.saturating_add(ahead) }));
        self.ahead.store(ahead, Ordering::Release);
        (step.abs() >= STEP_MILLIS_MIN).then_some(step)
    }
}

/// How far ahead the folder is after `elapsed` in which the machine's clock was set by `step`.
fn follow(ahead: i64, step: i64, elapsed: i64) -> i64 {
    let step = if step.abs() >= STEP_MILLIS_MIN { step } else { 0 };
    ahead.saturating_sub(step).saturating_sub(elapsed.max(0) / GIVE_BACK).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_clock_set_back_is_made_up_for_and_given_back_slowly() {
        let mut ahead = follow(0, -HOUR, 1000);
        assert_eq!(ahead, HOUR - 100);
        let mut seconds = 1;
        while ahead > 0 {
            ahead = follow(ahead, 0, 1000);
            seconds += 1;
        }
        assert_eq!(seconds, 36_000, "an hour is given back in ten");
    }

    #[test]
    fn a_clock_set_forward_again_leaves_nothing_to_give_back() {
        let ahead = follow(0, -HOUR, 0);
        assert_eq!(follow(ahead, HOUR, 0), 0);
        assert_eq!(follow(0, HOUR, 1000), 0, "a clock set forward is followed at once");
        assert_eq!(follow(0, -999, 1000), 0, "a small step is waited out");
    }

    #[test]
    fn a_clock_set_forward_between_two_looks_does_not_run_away() {
        let (time, _) = Time::live(None);
        // As after a look while the machine's clock was an hour behind; it was set right since.
        let folder = wall_clock().millis();
        time.ahead.store(HOUR, Ordering::Release);
        let looked = time.looked.as_ref().expect("it is live");
        looked.store(Arc::new(Look { at: Instant::now(), wall: folder - HOUR, folder }));
        let is_now = |time: &Time| (0..5000).contains(&(time.now().millis() - folder));
        assert!(is_now(&time), "before the next look");
        assert!((HOUR - 5000..HOUR + 5000).contains(&time.look().expect("a step")));
        assert!(is_now(&time) && time.ahead_millis() == 0, "and after it");
    }

    #[test]
    fn time_goes_on_from_a_log_that_is_ahead_of_the_machine() {
        let last = UtcTime::from_millis(wall_clock().millis() + HOUR);
        let (time, behind) = Time::live(Some(last));
        assert!((HOUR - 1000..=HOUR).contains(&behind.expect("behind")));
        let first = time.now();
        assert!(first >= last);
        std::thread::sleep(std::time::Duration::from_millis(20));
        let second = time.now();
        assert!((5..5000).contains(&second.millis_since(first)), "{first} to {second}");
        assert_eq!(Time::live(None).1, None);
    }
}
