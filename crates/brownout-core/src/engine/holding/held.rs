//! One service whose rise is laid to another, or waits until that is decided.

use serde::{Deserialize, Serialize};

use super::super::causes::Explanation;
use super::super::correlator::{Circumstances, ServiceLook};
use super::super::looking::Signal;
use crate::model::UtcTime;
use crate::verdict::Bond;

/// How long a rise that may be another's waits for evidence before it is published, in milliseconds.
/// Only a rise beside a larger one of a related service ever waits.
///
/// It waits no more when it has not departed for as long: one that comes and goes with every minute would
/// begin to wait again and again.
const WAIT_MILLIS: i64 = 120_000;
/// The same where an echo is at least as likely as not.
const LONG_WAIT_MILLIS: i64 = 600_000;
/// The same where nearly all reporters are on one network: other services' reports from there tell
/// whether it is the network, and come by and by.
const NETWORK_WAIT_MILLIS: i64 = 600_000;
/// How long a rise that was laid to another speaks for itself before it is published: an echo with noise of
/// its own may outlast its cause for so long.
const ALONE_MILLIS: i64 = 600_000;
/// The same while the other is still above usual, but the clues have turned against an echo: noise of
/// five minutes must not turn them twice.
const UNLIKELY_MILLIS: i64 = 480_000;
/// Clues can turn so long after the rise was held, and no longer: then its beginning lies beyond the
/// minutes that counts are known of, and two plateaus tell nothing.
const TURNING_MILLIS: i64 = 3_600_000;
/// How long a rise that was only in doubt speaks for itself before it is published.
const DOUBT_MILLIS: i64 = 60_000;
/// What is held and brings, in so many minutes, less than this share of its fullest ones is an echo that
/// outlasts its cause: a failure of its own would go on when the other is over. The noise of ten minutes
/// alone makes no three of one.
const FADING_MINUTES: u32 = 10;
const FADING_SHARE: f64 = 0.33;
/// Windows by which what is held departs again, in minutes at most.
const FRESH_MINUTES: u32 = 60;

/// A service whose rise is laid to another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) since: UtcTime,
    pub(super) explanation: Explanation,
    last_elevated_at: UtcTime,
    last_departed_at: UtcTime,
    /// Since when it departs and nothing explains it any more.
    alone_since: Option<UtcTime>,
    /// Most sources above usual in `FADING_MINUTES` since it is held.
    fullest: f64,
    /// How long it waits: the longest that anything it was held for asked for.
    waits_millis: i64,
}

/// What becomes of a service that has no open incident.
pub(crate) enum Fate {
    /// It speaks for itself; true if it was held until now.
    Speaks(bool),
    /// It is held down; true if it was not until now.
    IsHeld(bool),
    /// It was held down and is calm again; true if it was laid to another for certain.
    IsOver(bool),
}

impl Held {
    pub(super) fn new(explanation: &Explanation, at: UtcTime) -> Self {
        Held {
            since: at,
            explanation: explanation.clone(),
            last_elevated_at: at,
            last_departed_at: at,
            alone_since: None,
            fullest: 0.0,
            waits_millis: wait_millis(explanation),
        }
    }

    /// Takes one more look; `innocent` is what explains it now, if that leaves it innocent.
    pub(super) fn step(
        &mut self,
        look: &ServiceLook,
        innocent: Option<&Explanation>,
        now: Circumstances<'_>,
    ) -> Fate {
        let departs = look.signals.iter().any(|signal| signal.departs);
        if look.signals.iter().any(|signal| signal.reading.elevated) {
            self.last_elevated_at = now.at;
        }
        if departs {
            self.last_departed_at = now.at;
        }
        let is_waiting = !self.explanation.is_certain;
        if let Some(found) = innocent {
            // Once certain, only other evidence undoes it, not less of the same.
            if found.is_certain || is_waiting {
                self.explanation = found.clone();
            }
        }
        self.waits_millis = self.waits_millis.max(wait_millis(&self.explanation));
        let is_turning = now.at.millis_since(self.since) < TURNING_MILLIS;
        let unlikely = is_turning && innocent.is_some_and(Explanation::is_unlikely);
        let alone_for = self.alone_for(look, innocent.is_none() || unlikely, is_waiting, now.at);
        let waited = now.at.millis_since(self.since) >= self.waits_millis;
        let speaks = match is_waiting {
            true => departs && !self.explanation.is_certain && (waited || alone_for >= DOUBT_MILLIS),
            // What was certain for an hour does not end with one look.
            false => alone_for >= if unlikely { UNLIKELY_MILLIS } else { ALONE_MILLIS },
        };
        let quiet = i64::from(now.policy.quiet_minutes) * 60_000;
        let is_over = now.at.millis_since(self.last_elevated_at) >= quiet
            || (is_waiting && now.at.millis_since(self.last_departed_at) >= WAIT_MILLIS);
        match (speaks, is_over) {
            (true, _) => Fate::Speaks(true),
            // What only waited was laid to nobody.
            (false, true) => Fate::IsOver(!is_waiting),
            (false, false) => Fate::IsHeld(false),
        }
    }

    /// For how long, in milliseconds, it departs without an explanation.
    fn alone_for(&mut self, look: &ServiceLook, is_unexplained: bool, is_waiting: bool, at: UtcTime) -> i64 {
        // Hours of what was laid to another are no news when that is over.
        let is_fresh = |signal: &Signal| signal.departs && signal.reading.window_minutes <= FRESH_MINUTES;
        // What others' failure brought fades after it; what goes on is a failure of its own.
        let last = look.rise.as_ref().map_or(0.0, |rise| rise.above(FADING_MINUTES));
        self.fullest = self.fullest.max(last);
        let fades = last < FADING_SHARE * self.fullest;
        let is_alone = is_unexplained && look.signals.iter().any(is_fresh) && (is_waiting || !fades);
        self.alone_since = is_alone.then(|| self.alone_since.unwrap_or(at));
        self.alone_since.map_or(0, |since| at.millis_since(since))
    }
}

fn wait_millis(found: &Explanation) -> i64 {
    match found.bond {
        Bond::Network => NETWORK_WAIT_MILLIS,
        _ if found.nats >= 0.0 => LONG_WAIT_MILLIS,
        _ => WAIT_MILLIS,
    }
}
