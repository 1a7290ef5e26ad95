//! How long a group waits for more before it is flushed.
//!
//! On a slow medium two halves of the clients would take turns: those that are answered with one
//! flush come back just after the next has begun, and each of them pays for two. So a group waits a
//! little for them, as long as each pause brings some. On a fast medium that only costs: while one
//! group is flushed, the processors are busy with the next.

use std::time::{Duration, Instant};

/// Submissions in the groups before from which on a group waits at all.
pub(super) const GATHER_FROM: usize = 8;
/// A flush that takes less is not waited for.
const SLOW_FLUSH: Duration = Duration::from_millis(1);
/// Longest wait, which is half a flush where that is shorter.
const WAIT_MAX: Duration = Duration::from_millis(5);
/// Time in which clients that come back at all bring at least one submission.
pub(super) const PAUSE: Duration = Duration::from_micros(150);

/// The wait of one group. Time is an argument.
pub(super) struct Gathering {
    until: Instant,
    paused: bool,
}

impl Gathering {
    /// `flush` is the time that the last one took; `None` when it is not worth waiting.
    pub(super) fn new(flush: Duration, now: Instant) -> Option<Self> {
        (flush >= SLOW_FLUSH).then(|| Gathering { until: now + (flush / 2).min(WAIT_MAX), paused: false })
    }

    /// Whether to pause once more: the time is not over, and the pause before, if there was one,
    /// brought something. `arrived` came since then.
    pub(super) fn goes_on(&mut self, arrived: usize, now: Instant) -> bool {
        if (self.paused && arrived == 0) || now >= self.until {
            return false;
        }
        self.paused = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_medium_is_not_waited_for() {
        assert!(Gathering::new(Duration::from_micros(130), Instant::now()).is_none());
    }

    #[test]
    fn a_group_waits_as_long_as_some_come_and_never_for_ever() {
        let (slow, begun) = (Duration::from_millis(3), Instant::now());
        let gathering = || Gathering::new(slow, begun).expect("it is slow");
        let mut nobody = gathering();
        assert!(nobody.goes_on(0, begun), "the first pause is given");
        assert!(!nobody.goes_on(0, begun + PAUSE), "and brought nothing");
        let mut many = gathering();
        let pauses = (0..100).take_while(|pause| many.goes_on(1, begun + PAUSE * *pause)).count();
        assert_eq!(pauses, 10, "half a flush");
    }
}
