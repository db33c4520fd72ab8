//! A table from tags to fields, for heads with so many fields that looking at each costs more than one table.

use crate::headers::Slot;

/// Fields by tag: chains of places in the order, one for each of 64 groups of tags.
#[derive(Debug)]
pub(crate) struct Index {
    /// The place of each group's first field, plus one; 0 where there is none.
    first: [u16; GROUPS],
    /// For each field, the place of the next one in its group, plus one.
    next: Box<[u16]>,
}

const GROUPS: usize = 64;

impl Index {
    /// From how many fields on a table is worth its making: four look-ups among 15 fields take 126 ns without one,
    /// and 500 ns among 100.
    pub(crate) const WORTH: usize = 25;

    /// `None` for more slots than places can be counted.
    pub(crate) fn new(slots: &[Slot]) -> Option<Self> {
        let mut index = Self {
            first: [0; GROUPS],
            next: vec![0; slots.len()].into(),
        };
        // From the last to the first, so that each chain is in order.
        for (place, slot) in slots.iter().enumerate().rev() {
            let first = &mut index.first[slot.tag() as usize % GROUPS];
            index.next[place] = *first;
            *first = u16::try_from(place + 1).ok()?;
        }
        Some(index)
    }

    /// The fields that may have this tag, in order.
    pub(crate) fn slots<'a>(&self, tag: u8, slots: &'a [Slot]) -> impl Iterator<Item = &'a Slot> {
        let mut next = self.first[tag as usize % GROUPS];
        std::iter::from_fn(move || {
            let place = (next as usize).checked_sub(1)?;
            next = self.next[place];
            Some(&slots[place])
        })
    }
}
