//! What was seen at a place, ten minutes by ten minutes, for the strip on the page.

use serde::{Deserialize, Serialize};

use super::{Layer, Reachability};
use crate::model::{Minute, UtcTime};

/// Length of one slot.
pub const SLOT_MINUTES: u32 = 10;
/// Slots that are remembered: a day.
const SLOTS: u32 = 24 * 60 / SLOT_MINUTES;

/// Measurements of ten minutes by what they said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// First minute of the slot, divided by [`SLOT_MINUTES`].
    pub number: u32,
    /// All measurements.
    pub measured: u32,
    /// Of these, how many could say nothing.
    pub insufficient: u32,
    /// Reached.
    pub ok: u32,
    /// Reached, but not as elsewhere.
    pub impaired: u32,
    /// Blocked, plainly or by all appearances.
    pub blocked: u32,
    /// Down for the control as well.
    pub down: u32,
    /// Of those that failed, at which stage: DNS, TCP, TLS, HTTP, QUIC.
    pub layers: [u32; 5],
}

impl Slot {
    /// When the slot ends.
    pub fn end(&self) -> UtcTime {
        Minute(self.number * SLOT_MINUTES).start().plus_seconds(60 * i64::from(SLOT_MINUTES))
    }

    /// Measurements that say anything.
    pub fn told(&self) -> u32 {
        self.measured.saturating_sub(self.insufficient)
    }

    /// Measurements that did not get what others get elsewhere.
    pub fn failed(&self) -> u32 {
        self.impaired.saturating_add(self.blocked).saturating_add(self.down)
    }

    /// The stage at which most of those failed that did.
    pub fn layer(&self) -> Option<Layer> {
        let most = Layer::ALL.iter().zip(self.layers).filter(|(_, count)| *count > 0);
        most.max_by_key(|(layer, count)| (*count, std::cmp::Reverse(**layer))).map(|(layer, _)| *layer)
    }

    /// Takes in what another slot counts.
    pub fn add(&mut self, other: &Slot) {
        let sum = |into: &mut u32, from: u32| *into = into.saturating_add(from);
        sum(&mut self.measured, other.measured);
        sum(&mut self.insufficient, other.insufficient);
        sum(&mut self.ok, other.ok);
        sum(&mut self.impaired, other.impaired);
        sum(&mut self.blocked, other.blocked);
        sum(&mut self.down, other.down);
        self.layers.iter_mut().zip(other.layers).for_each(|(into, from)| sum(into, from));
    }
}

/// The slots of the last day in which anything was measured, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Strip {
    slots: Vec<Slot>,
}

impl Strip {
    /// Counts a measurement; those of before the last day are left out.
    pub fn count(&mut self, at: UtcTime, state: Reachability, layer: Option<Layer>) {
        let number = at.minute().0 / SLOT_MINUTES;
        let newest = self.slots.last().map_or(number, |slot| slot.number.max(number));
        self.slots.retain(|slot| newest - slot.number < SLOTS);
        if newest - number >= SLOTS {
            return;
        }
        let index = match self.slots.binary_search_by_key(&number, |slot| slot.number) {
            Ok(index) => index,
            Err(index) => {
                self.slots.insert(index, Slot { number, ..Slot::default() });
                index
            }
        };
        let slot = &mut self.slots[index];
        slot.measured = slot.measured.saturating_add(1);
        let count = match state {
            Reachability::Ok => &mut slot.ok,
            Reachability::Impaired => &mut slot.impaired,
            Reachability::LikelyBlocked | Reachability::Blocked => &mut slot.blocked,
            Reachability::Down => &mut slot.down,
            Reachability::Insufficient => &mut slot.insufficient,
        };
        *count = count.saturating_add(1);
        if let Some(layer) =
            layer.filter(|_| state != Reachability::Ok && state != Reachability::Insufficient)
        {
            let count = &mut slot.layers[layer as usize];
            *count = count.saturating_add(1);
        }
    }

    /// The slots of the day up to an instant, oldest first.
    pub fn day(&self, at: UtcTime) -> impl Iterator<Item = &Slot> {
        let now = at.minute().0 / SLOT_MINUTES;
        self.slots.iter().filter(move |slot| slot.number <= now && now - slot.number < SLOTS)
    }

    /// The whole day up to an instant in one.
    pub fn sum(&self, at: UtcTime) -> Slot {
        let mut sum = Slot { number: at.minute().0 / SLOT_MINUTES, ..Slot::default() };
        self.day(at).for_each(|slot| sum.add(slot));
        sum
    }

    /// Whether nothing was measured in the day up to an instant.
    pub fn is_idle(&self, at: UtcTime) -> bool {
        self.day(at).next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_remembered_and_no_more() {
        let at = |minutes: i64| UtcTime::from_seconds(1_741_564_800 + 60 * minutes);
        let mut strip = Strip::default();
        strip.count(at(0), Reachability::Ok, None);
        strip.count(at(25), Reachability::Blocked, Some(Layer::Tls));
        strip.count(at(21), Reachability::Blocked, Some(Layer::Tls));
        strip.count(at(22), Reachability::Down, Some(Layer::Dns));
        strip.count(at(11), Reachability::Insufficient, Some(Layer::Dns));
        let slots: Vec<Slot> = strip.day(at(30)).copied().collect();
        assert_eq!(slots.len(), 3);
        assert_eq!((slots[2].failed(), slots[2].layer(), slots[1].told()), (3, Some(Layer::Tls), 0));
        assert_eq!(slots[1].layer(), None);
        assert_eq!((strip.sum(at(30)).measured, strip.sum(at(30)).told()), (5, 4));
        strip.count(at(24 * 60 + 5), Reachability::Ok, None);
        strip.count(at(0), Reachability::Ok, None);
        assert_eq!(strip.slots.len(), 3);
        assert!(strip.is_idle(at(3 * 24 * 60)) && !strip.is_idle(at(24 * 60 + 5)));
    }
}
