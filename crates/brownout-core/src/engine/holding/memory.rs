//! What earlier looks showed of rises, beyond what one look can.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::causes::{Explanation, Rise};
use super::super::correlator::ServiceLook;
use crate::model::{Minute, ServiceId, UtcTime};
use crate::snapshot::Onset;

/// How long a beginning is remembered; counts by the minute are known for as long.
const BEGAN_MINUTES: u32 = 60;
/// What falls back into its usual band for less than this was above it all the time.
const PAUSE_MINUTES: u32 = 10;
/// How long it is remembered that something was more likely another's than not: the noise of five minutes
/// must not undo it.
const SUSPECTED_MILLIS: i64 = 300_000;

/// Beginnings and suspicions of the last minutes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    /// When what departs was first seen to begin.
    began: BTreeMap<ServiceId, Onset>,
    /// Since when, and when last, each was above its usual band.
    above: BTreeMap<ServiceId, (Minute, Minute)>,
    /// What was lately more likely another's than not, and when that was last so.
    suspected: BTreeMap<ServiceId, (UtcTime, Explanation)>,
}

impl Memory {
    /// Puts the first sight of a beginning in the place of later ones.
    ///
    /// A beginning is looked for as one step. What grows for long looks like a step of the last
    /// minutes, and would seem to begin after its own echoes.
    pub(super) fn remember_beginnings(&mut self, looks: &mut [ServiceLook], now: Minute) {
        let mut began = BTreeMap::new();
        self.above.retain(|_, (_, last)| now.since(*last) <= PAUSE_MINUTES);
        for look in looks {
            let departs = look.signals.iter().any(|signal| signal.departs);
            let Some(Rise { onset, first, .. }) = look.rise.as_mut() else { continue };
            let above = self.above.entry(look.service).or_insert((onset.earliest, now));
            if now.since(above.0) > BEGAN_MINUTES {
                above.0 = onset.earliest;
            }
            *above = (above.0.min(onset.earliest), now);
            *first = above.0;
            let old = self.began.get(&look.service).filter(|old| now.since(old.earliest) <= BEGAN_MINUTES);
            match old {
                Some(old) if onset.earliest > old.latest => *onset = *old,
                None if !departs => continue,
                _ => {}
            }
            began.insert(look.service, *onset);
        }
        self.began = began;
    }

    /// Remembers what is more likely another's than not, departing or not.
    pub(super) fn suspect<'a>(
        &mut self,
        explained: impl Iterator<Item = (ServiceId, &'a Explanation)>,
        at: UtcTime,
    ) {
        self.suspected.retain(|_, (last, _)| at.millis_since(*last) < SUSPECTED_MILLIS);
        for (service, found) in explained.filter(|(_, found)| found.bond.is_innocent() && found.nats >= 0.0) {
            self.suspected.insert(service, (at, Explanation { is_certain: false, ..found.clone() }));
        }
    }

    /// What a service was more likely an echo of, or held for, within the last minutes.
    pub(super) fn suspected(&self, service: ServiceId) -> Option<&Explanation> {
        self.suspected.get(&service).map(|(_, found)| found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{Bond, Cause};

    fn explanation(bond: Bond, nats: f64) -> Explanation {
        let cause = Cause::Service(ServiceId(9));
        Explanation { bond, cause, nats, is_certain: true, here: 1, there: 100, clues: Vec::new() }
    }

    #[test]
    fn a_suspicion_lasts_five_minutes_and_decides_nothing_by_itself() {
        let mut memory = Memory::default();
        let at = UtcTime::from_millis(1_000_000);
        let found = [
            (ServiceId(1), explanation(Bond::Echo, 0.5)),
            (ServiceId(2), explanation(Bond::Echo, -0.5)),
            (ServiceId(3), explanation(Bond::Dependency, 5.0)),
        ];
        memory.suspect(found.iter().map(|(service, found)| (*service, found)), at);
        assert!(memory.suspected(ServiceId(1)).is_some_and(|found| !found.is_certain));
        // Neither what is less likely than not, nor what leaves nobody innocent.
        assert_eq!(memory.suspected(ServiceId(2)), None);
        assert_eq!(memory.suspected(ServiceId(3)), None);
        memory.suspect(std::iter::empty(), at.plus_seconds(299));
        assert!(memory.suspected(ServiceId(1)).is_some());
        memory.suspect(std::iter::empty(), at.plus_seconds(300));
        assert_eq!(memory.suspected(ServiceId(1)), None);
    }
}
