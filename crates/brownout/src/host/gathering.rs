//! How long a group waits for more before it is flushed.
//!
//! On a slow medium two halves of the clients would take turns: those that are answered with one
//! flush come back just after the next has begun, and each of them pays for two. So a group waits a
//! little for them: for the time of their way back in any case, then as long as each pause brings
//! some. On a fast medium that only costs: while one group is flushed, the processors are busy with the
//! next.

use std::time::{Duration, Instant};

/// Submissions in the two groups before from which on a group waits at all.
pub(super) const GATHER_FROM: usize = 16;
/// A flush that takes less is not waited for.
const SLOW_FLUSH: Duration = Duration::from_millis(1);
/// Longest wait, which is half a flush where that is shorter.
const WAIT_MAX: Duration = Duration::from_millis(5);
/// The part of a flush in which nobody may have come back yet, and the group waits all the same.
const WAY_BACK: u32 = 8;
/// Time in which, later, clients that still come bring at least one submission.
pub(super) const PAUSE: Duration = Duration::from_micros(150);

/// The wait of one group. Time is an argument.
pub(super) struct Gathering {
    /// Until here without asking what came.
    surely: Instant,
    until: Instant,
}

impl Gathering {
    /// `flush` is the time that the last one took; `None` when it is not worth waiting.
    pub(super) fn new(flush: Duration, now: Instant) -> Option<Self> {
        let longest = (flush / 2).min(WAIT_MAX);
        let surely = (flush / WAY_BACK).min(longest);
        (flush >= SLOW_FLUSH).then(|| Gathering { surely: now + surely, until: now + longest })
    }

    /// Whether to pause once more: the time is not over, and the pause before brought something or
    /// came too soon to. `arrived` came since then.
    pub(super) fn goes_on(&self, arrived: usize, now: Instant) -> bool {
        now < self.until && (arrived > 0 || now < self.surely)
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
        let begun = Instant::now();
        let gathering = Gathering::new(Duration::from_millis(3), begun).expect("it is slow");
        let pauses =
            |arrived| (0..100).take_while(|pause| gathering.goes_on(arrived, begun + PAUSE * *pause)).count();
        assert_eq!(pauses(0), 3, "the way back, an eighth of a flush");
        assert_eq!(pauses(1), 10, "half a flush");
    }
}
