//! Up to three user agents behind one address: a household or an office is more than one person,
//! but nobody can be more than three by changing a header.
//!
//! The first agent seen for a source has slot 0, the next two have 1 and 2; later ones share these
//! three. Only the slot's number goes into the key, never the agent. The map is in memory alone:
//! after a restart or a rotation of salts slots are given anew, so an agent may find another's slot and count as its
//! repeat, but a source still has three at most.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Sources that are remembered at most. Overflow policy: of further sources all agents are one.
const SOURCES_MAX: usize = 200_000;
/// Agents that are told apart for one source.
const SLOTS: usize = 3;

/// Which agents were seen, by the key that a source has for its service.
#[derive(Default)]
pub(super) struct Agents {
    seen: Mutex<HashMap<u64, Seen>>,
}

#[derive(Clone, Copy)]
struct Seen {
    agents: [u32; SLOTS],
    known: u8,
    at_seconds: i64,
}

impl Agents {
    /// The slot of an agent of this source; the second value tells that there was no room to know.
    pub(super) fn slot(&self, source: u64, agent: u32, now_seconds: i64) -> (u8, bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains_key(&source) && seen.len() >= SOURCES_MAX {
            return (0, true);
        }
        let entry = seen.entry(source).or_insert(Seen { agents: [0; SLOTS], known: 0, at_seconds: 0 });
        entry.at_seconds = now_seconds;
        let known = usize::from(entry.known);
        if let Some(slot) = entry.agents[..known].iter().position(|other| *other == agent) {
            return (slot as u8, false);
        }
        if known < SLOTS {
            entry.agents[known] = agent;
            entry.known += 1;
            return (known as u8, false);
        }
        ((agent % SLOTS as u32) as u8, false)
    }

    /// Forgets sources that were last seen more than `keep_seconds` ago: longer than the window in
    /// which a repeat is recognised, or a new slot would be a new source.
    pub(super) fn sweep(&self, now_seconds: i64, keep_seconds: i64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retain(|_, entry| now_seconds - entry.at_seconds <= keep_seconds);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_thousand_agents_are_three_sources() {
        let agents = Agents::default();
        let slots: BTreeSet<u8> = (0..1000).map(|agent| agents.slot(7, agent, 0).0).collect();
        assert_eq!(slots, BTreeSet::from([0, 1, 2]));
        assert_eq!(agents.slot(7, 1, 0), (1, false), "the first three keep their slots");
        assert_eq!(agents.slot(8, 999, 0), (0, false), "another source");
    }

    #[test]
    fn the_map_is_bounded_and_forgets() {
        let agents = Agents::default();
        for source in 0..SOURCES_MAX as u64 {
            agents.slot(source, 1, 0);
        }
        assert_eq!(agents.slot(u64::MAX, 1, 0), (0, true));
        assert_eq!(agents.slot(5, 2, 60), (1, false), "known sources go on");
        agents.sweep(100, 60);
        assert_eq!(agents.slot(5, 2, 100), (1, false));
        assert_eq!(agents.seen.lock().unwrap().len(), 1);
    }
}
