//! Rounds: which target is due when.

use std::collections::BTreeMap;

use brownout_core::model::UtcTime;
use brownout_core::reach::Target;
use brownout_probe::wire::Schedule;
use brownout_probe::{Guard, parse_target};

/// When each target of a schedule is due. Targets are spread over the whole interval, each probe in an order of its
/// own, and each time is moved a little: no site is met by all probes at once, and no filter learns the beat.
#[derive(Debug, Default)]
pub struct Rounds {
    due: BTreeMap<String, (UtcTime, Target)>,
    every_seconds: u32,
}

/// How far a time is moved at most, as a part of the interval: a tenth.
const JITTER_PART: u64 = 10;

impl Rounds {
    /// Takes a schedule: what is new is due within its interval, what is gone is forgotten. `random` gives
    /// numbers of any size. What is no target that may be measured is left out; how many are is told.
    pub fn take(
        &mut self,
        schedule: &Schedule,
        guard: Guard,
        now: UtcTime,
        random: &mut dyn FnMut() -> u64,
    ) -> usize {
        self.every_seconds = schedule.every_seconds.max(60);
        let mut due = BTreeMap::new();
        let mut left_out = 0;
        for url in &schedule.targets {
            let Ok(target) = parse_target(url, guard) else {
                left_out += 1;
                continue;
            };
            let known = self.due.remove(url).map(|(at, _)| at);
            let within = i64::try_from(random() % u64::from(self.every_seconds)).unwrap_or(0);
            let latest = now.plus_seconds(self.every_seconds.into());
            let at = known.unwrap_or_else(|| now.plus_seconds(within)).min(latest);
            due.insert(url.clone(), (at, target));
        }
        self.due = due;
        left_out
    }

    /// The targets that are due, the longest due first; each is due again one interval later.
    pub fn due(&mut self, now: UtcTime, random: &mut dyn FnMut() -> u64) -> Vec<Target> {
        let mut found: Vec<(UtcTime, Target)> = Vec::new();
        let every = u64::from(self.every_seconds);
        for (at, target) in self.due.values_mut() {
            if *at > now {
                continue;
            }
            found.push((*at, target.clone()));
            let jitter = random() % (2 * every / JITTER_PART + 1);
            let after = every - every / JITTER_PART + jitter;
            *at = now.plus_seconds(i64::try_from(after).unwrap_or(3600));
        }
        found.sort_by_key(|(at, _)| *at);
        found.into_iter().map(|(_, target)| target).collect()
    }

    /// When the next one is due; `None` where there is none.
    pub fn next(&self) -> Option<UtcTime> {
        self.due.values().map(|(at, _)| *at).min()
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.due.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> UtcTime {
        UtcTime::from_seconds(1_741_600_000 + second)
    }

    fn schedule(targets: &[&str]) -> Schedule {
        Schedule {
            probe: 1,
            issued_at: at(0),
            expires_at: at(86_400),
            every_seconds: 600,
            targets: targets.iter().map(|url| (*url).to_owned()).collect(),
            control: None,
            innocent_name: "example.org".to_owned(),
            other_resolvers: Vec::new(),
            https_resolvers: Vec::new(),
        }
    }

    fn numbers() -> impl FnMut() -> u64 {
        let mut state = 7_u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 16
        }
    }

    #[test]
    fn each_target_comes_once_in_an_interval() {
        let mut random = numbers();
        let mut rounds = Rounds::default();
        let urls: Vec<String> = (0..50).map(|number| format!("https://site{number}.example/")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        assert_eq!(rounds.take(&schedule(&urls), Guard::Public, at(0), &mut random), 0);
        let mut counts = BTreeMap::new();
        let mut at_once = 0;
        for second in 0..6_000 {
            let due = rounds.due(at(second), &mut random);
            at_once = at_once.max(due.len());
            for target in due {
                *counts.entry(target.host).or_insert(0) += 1;
            }
        }
        assert_eq!(counts.len(), 50);
        assert!(counts.values().all(|count| (9..=11).contains(count)), "{counts:?}");
        assert!(at_once <= 5, "{at_once} at once");
    }

    #[test]
    fn a_new_schedule_takes_the_place_of_the_old_and_private_targets_are_left_out() {
        let mut random = numbers();
        let mut rounds = Rounds::default();
        rounds.take(
            &schedule(&["https://a.example/", "https://b.example/"]),
            Guard::Public,
            at(0),
            &mut random,
        );
        let before = rounds.due.get("https://a.example/").map(|(at, _)| *at);
        let left_out = rounds.take(
            &schedule(&["https://a.example/", "http://192.168.0.1/", "rubbish"]),
            Guard::Public,
            at(1),
            &mut random,
        );
        assert_eq!((rounds.len(), left_out), (1, 2));
        assert_eq!(rounds.due.get("https://a.example/").map(|(at, _)| *at), before, "its turn stays");
    }
}
