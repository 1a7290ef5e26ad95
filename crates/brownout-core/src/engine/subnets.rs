//! How many subnets stand behind a series.

use serde::{Deserialize, Serialize};

/// A subnet, by a key that means something within one generation of salts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) key: u64,
    pub(crate) generation: u16,
}

impl Subnet {
    pub(crate) fn new(generation: u32, key: u64) -> Self {
        // Generations are minutes and a day apart, so those that follow each other differ.
        Subnet { key, generation: generation as u16 }
    }
}

/// A rough count of distinct subnets in 128 bits: linear counting (Whang et al. 1990) over the
/// running hour and the one before. It saturates at about 260, far above any floor.
///
/// A subnet has another key after a rotation of salts. Keys of two generations are never added up:
/// the larger count holds, so that no subnet is counted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubnetSketch {
    bits: [u64; 2],
    generations: [u16; 2],
    hour: u32,
}

impl SubnetSketch {
    /// An empty one whose newest hour is `hour`.
    pub(crate) fn new(hour: u32) -> Self {
        SubnetSketch { bits: [0, 0], generations: [0, 0], hour }
    }

    pub(crate) fn add(&mut self, subnet: Subnet, hour: u32) {
        self.turn(hour);
        self.add_to_newest(subnet);
    }

    /// Adds in the hour of the last addition.
    pub(crate) fn add_to_newest(&mut self, subnet: Subnet) {
        if subnet.generation != self.generations[0] {
            self.change(subnet.generation);
        }
        self.bits[0] |= 1 << (subnet.key % 64);
    }

    /// Begins the keys of another generation.
    fn change(&mut self, generation: u16) {
        // A batch that was hashed before a rotation may come after a report that was hashed behind it.
        if generation == self.generations[1] {
            self.bits.swap(0, 1);
            self.generations.swap(0, 1);
            return;
        }
        if self.bits[0] != 0 {
            let same = self.generations[0] == self.generations[1];
            let older = if same { self.bits[1] } else { 0 };
            self.bits[1] = self.bits[0] | older;
            self.generations[1] = self.generations[0];
            self.bits[0] = 0;
        }
        self.generations[0] = generation;
    }

    fn turn(&mut self, hour: u32) {
        match hour.saturating_sub(self.hour) {
            0 => {}
            1 => {
                self.bits = [0, self.bits[0]];
                self.generations[1] = self.generations[0];
            }
            _ => self.bits = [0, 0],
        }
        self.hour = self.hour.max(hour);
    }

    /// Estimated number of distinct subnets.
    pub(crate) fn estimate(&self, hour: u32) -> u32 {
        let mut now = *self;
        now.turn(hour);
        let [newest, older] = now.bits;
        if now.generations[0] == now.generations[1] {
            return estimate(newest | older);
        }
        estimate(newest).max(estimate(older))
    }
}

fn estimate(bits: u64) -> u32 {
    match bits.count_zeros() {
        0 => 266,
        empty => libm::round(64.0 * libm::log(64.0 / f64::from(empty))) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(generation: u32, number: u64) -> Subnet {
        let hash = blake3::hash(&[u64::from(generation), number].map(u64::to_le_bytes).concat());
        Subnet::new(generation, u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("eight bytes")))
    }

    #[test]
    fn the_sketch_is_near_the_truth_where_it_matters() {
        let mut sketch = SubnetSketch::new(5);
        for number in 0..10 {
            sketch.add(subnet(1, number), 5);
        }
        assert!((8..=12).contains(&sketch.estimate(5)), "{}", sketch.estimate(5));
        assert!(sketch.estimate(6) >= 8);
        assert_eq!(sketch.estimate(7), 0);
    }

    #[test]
    fn a_subnet_that_got_another_key_is_not_two() {
        let mut sketch = SubnetSketch::new(5);
        let three = |sketch: &mut SubnetSketch, generation, hour| {
            (0..3).for_each(|number| sketch.add(subnet(generation, number), hour));
        };
        three(&mut sketch, 100, 5);
        assert_eq!(sketch.estimate(5), 3);
        three(&mut sketch, 1540, 5);
        assert_eq!(sketch.estimate(5), 3);
        // Also across the hour, and when the one before comes again.
        three(&mut sketch, 1540, 6);
        assert_eq!(sketch.estimate(6), 3);
        three(&mut sketch, 100, 6);
        assert_eq!(sketch.estimate(6), 3);
        three(&mut sketch, 100, 7);
        assert_eq!(sketch.estimate(7), 3);
    }

    #[test]
    fn what_comes_out_of_turn_at_a_rotation_costs_nothing() {
        let mut sketch = SubnetSketch::new(5);
        for number in 0..8 {
            sketch.add(subnet(100, number), 5);
        }
        let before = sketch.estimate(5);
        sketch.add(subnet(1540, 0), 5);
        sketch.add(subnet(100, 1), 5);
        assert_eq!(sketch.estimate(5), before);
    }
}
