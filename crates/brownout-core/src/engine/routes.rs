//! Where the series of a facet is, remembered from the last time it was asked for.

use crate::model::Facet;

/// A small table in front of the map of a subject's series, because a report asks for seven of
/// them. It is no part of the state: what it says, the map says too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    /// 48 bits of facet, then 16 bits of index, plus one so that 0 is free; empty before the first.
    slots: Vec<u64>,
}

impl Routes {
    const SLOTS: usize = 256;
    const INDEX_BITS: u32 = 16;

    /// The index of the facet's series, if it was remembered.
    #[inline]
    pub(crate) fn find(&self, facet: Facet) -> Option<usize> {
        let key = facet.packed();
        let slot = *self.slots.get(Self::place(key))?;
        let index = (slot & ((1 << Self::INDEX_BITS) - 1)) as usize;
        (slot >> Self::INDEX_BITS == key && index > 0).then(|| index - 1)
    }

    /// Remembers an index; one that does not fit stays for the map to tell.
    pub(crate) fn remember(&mut self, facet: Facet, index: usize) {
        if self.slots.is_empty() {
            self.slots = vec![0; Self::SLOTS];
        }
        let key = facet.packed();
        if index + 1 < 1 << Self::INDEX_BITS {
            self.slots[Self::place(key)] = key << Self::INDEX_BITS | (index + 1) as u64;
        }
    }

    /// Forgets everything, because indices moved or nothing happens any more.
    pub(crate) fn clear(&mut self) {
        self.slots = Vec::new();
    }

    /// The high bits of a product with an odd number depend on all bits.
    fn place(key: u64) -> usize {
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - Self::SLOTS.trailing_zeros())) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Asn, CityId};

    #[test]
    fn what_is_found_is_what_was_remembered() {
        let mut routes = Routes::default();
        assert_eq!(routes.find(Facet::All), None);
        for number in 1..2000 {
            let facets = [Asn::new(number).map(Facet::Network), CityId::new(number).map(Facet::City)];
            for (facet, index) in facets.into_iter().flatten().zip([number, 40_000 + number]) {
                routes.remember(facet, index as usize);
                assert_eq!(routes.find(facet), Some(index as usize));
            }
        }
        // Of those that were pushed out nothing wrong is said.
        let wrong = |number: u32| Asn::new(number).and_then(|asn| routes.find(Facet::Network(asn)));
        assert!((1..2000).all(|number| wrong(number).is_none_or(|index| index == number as usize)));
        assert_eq!(routes.find(Facet::All), None);
        routes.remember(Facet::All, 70_000);
        assert_eq!(routes.find(Facet::All), None);
    }
}
