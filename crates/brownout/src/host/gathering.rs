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
/// Longest wait: no more than the shortest flush that is waited for.
const WAIT_MAX: Duration = Duration::from_millis(1);
/// Time in which clients that come back at all bring at least one submission.
const PAUSE: Duration = Duration::from_micros(150);

/// The wait of one group.
pub(super) struct Gathering {
    until: Instant,
    paused: bool,
}

impl Gathering {
    /// `flush` is the time that the last one took; `None` when it is not worth waiting.
    pub(super) fn new(flush: Duration) -> Option<Self> {
        (flush >= SLOW_FLUSH).then(|| Gathering { until: Instant::now() + WAIT_MAX, paused: false })
    }

    /// Pauses once more, unless the pause before brought nothing or the time is over; whether it
    /// did. `arrived` came since the last pause.
    pub(super) fn goes_on(&mut self, arrived: usize) -> bool {
        if (self.paused && arrived == 0) || Instant::now() >= self.until {
            return false;
        }
        self.paused = true;
        std::thread::sleep(PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_medium_is_not_waited_for() {
        assert!(Gathering::new(Duration::from_micros(130)).is_none());
    }

    #[test]
    fn a_group_waits_as_long_as_some_come_and_never_for_ever() {
        let slow = Duration::from_millis(5);
        let mut gathering = Gathering::new(slow).expect("it is slow");
        assert!(gathering.goes_on(0), "the first pause is given");
        assert!(!gathering.goes_on(0), "and brought nothing");
        let mut gathering = Gathering::new(slow).expect("it is slow");
        let pauses = std::iter::repeat_with(|| gathering.goes_on(1)).take_while(|more| *more).count();
        assert!((1..=7).contains(&pauses), "{pauses}");
    }
}
