//! When nothing was collected: silence then says nothing about a service.

use serde::{Deserialize, Serialize};

use crate::model::{Minute, UtcTime};

/// Ticks come every minute at the least; when none came for longer, nobody was collecting.
const GAP_MILLIS: i64 = 180_000;
/// How long gaps are remembered after they end, in minutes: longer than charts and learning look back.
const KEPT_MINUTES: u32 = 30 * 60;

/// Stretches of time without a tick, `[from, to)`, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Gaps {
    gaps: Vec<(Minute, Minute)>,
}

impl Gaps {
    /// Takes in a tick after the one at `last`; before the first there was nothing.
    pub(crate) fn tick(&mut self, last: Option<UtcTime>, at: UtcTime) {
        match last {
            None => self.gaps.push((Minute(0), at.minute())),
            Some(last) if at.millis_since(last) > GAP_MILLIS => {
                self.gaps.push((last.minute().plus(1), at.minute()));
            }
            Some(_) => return,
        }
        let horizon = at.minute().minus(KEPT_MINUTES);
        self.gaps.retain(|(_, to)| *to >= horizon);
    }

    /// Nothing came in from one minute to another, although somebody was there to collect it.
    pub(crate) fn extend(&mut self, from: Minute, to: Minute) {
        match self.gaps.last_mut() {
            Some(last) if last.0 <= from && from <= last.1 => last.1 = last.1.max(to),
            Some(last) if from < last.0 && last.0 <= to => *last = (from, last.1.max(to)),
            _ if from < to => self.gaps.push((from, to)),
            _ => {}
        }
    }

    /// Whether any of the `minutes` from `start` on lies in a gap.
    pub(crate) fn touch(&self, start: Minute, minutes: u32) -> bool {
        self.gaps.iter().any(|(from, to)| start < *to && start.plus(minutes) > *from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_that_lasts_is_one_gap() {
        let mut gaps = Gaps::default();
        gaps.extend(Minute(100), Minute(110));
        gaps.extend(Minute(100), Minute(111));
        gaps.extend(Minute(98), Minute(112));
        gaps.extend(Minute(200), Minute(200));
        assert_eq!(gaps.gaps, [(Minute(98), Minute(112))]);
        gaps.extend(Minute(200), Minute(205));
        assert_eq!(gaps.gaps.len(), 2);
    }

    #[test]
    fn a_pause_is_a_gap_and_a_minute_is_none() {
        let at = |minute: u32| Minute(10_000 + minute).start();
        let mut gaps = Gaps::default();
        gaps.tick(None, at(2));
        gaps.tick(Some(at(2)), at(3));
        gaps.tick(Some(at(3)), at(13));
        let step = |minute: u32| gaps.touch(Minute(10_000 + minute), 5);
        assert!(gaps.touch(Minute(0), 5) && gaps.touch(Minute(10_001), 1));
        assert!(!gaps.touch(Minute(10_002), 2) && step(0) && step(5) && step(10) && !step(13));
        gaps.tick(Some(at(13)), at(13 + KEPT_MINUTES + 60));
        assert!(!gaps.touch(Minute(10_005), 5));
    }
}
