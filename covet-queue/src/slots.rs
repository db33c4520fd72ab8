//! The memory of a ring: a power of two of slots, each a mark and room for one value.
//!
//! This is the only file that touches raw memory. It knows nothing about order: which position may be written or taken,
//! and when, is decided by the ring above, and every unsafe method names that duty. An index is any number; only its
//! low bits count, so no index can leave the allocation.

use std::mem::MaybeUninit;

use crate::sync::UnsafeCell;

/// The largest capacity: positions advance by two and are compared as signed distances.
const MAX_CAPACITY: usize = 1 << (usize::BITS - 3);

/// A ring's slots. `M` is what a ring keeps beside each value: a sequence number, or nothing.
pub(crate) struct Slots<T, M> {
    slots: Box<[Slot<T, M>]>,
    /// `index & mask` is a slot's number.
    mask: usize,
}

struct Slot<T, M> {
    mark: M,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: values only enter and leave through `write`, `take` and `drop_values`, whose callers promise that no two threads
// touch one value at a time; what crosses is ownership, so `T: Send` suffices. Marks are shared by reference: `M: Sync`.
unsafe impl<T: Send, M: Sync> Sync for Slots<T, M> {}

impl<T, M> Slots<T, M> {
    /// Makes the smallest power of two of slots that hold `capacity` values. `mark` gives the mark of the slot of each
    /// index in the lap from `start` on.
    pub(crate) fn new(capacity: usize, start: usize, mut mark: impl FnMut(usize) -> M) -> Self {
        assert!(capacity > 0, "capacity must be at least 1, found 0");
        assert!(
            capacity <= MAX_CAPACITY,
            "capacity must be at most {MAX_CAPACITY}, found {capacity}"
        );
        let len = capacity.next_power_of_two();
        let mask = len - 1;
        let slots = (0..len)
            .map(|number| {
                let offset = number.wrapping_sub(start) & mask;
                Slot {
                    mark: mark(start.wrapping_add(offset)),
                    value: UnsafeCell::new(MaybeUninit::uninit()),
                }
            })
            .collect();
        Self { slots, mask }
    }

    /// Returns how many slots one lap has.
    pub(crate) fn len(&self) -> usize {
        self.mask + 1
    }

    /// Returns the mark of the slot of `index`.
    #[inline(always)]
    pub(crate) fn mark(&self, index: usize) -> &M {
        &self.slot(index).mark
    }

    /// Moves `value` into the slot of `index`.
    ///
    /// # Safety
    ///
    /// The slot holds no value (it would be forgotten), and until the call returns no other thread touches its value.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, index: usize, value: T) {
        self.slot(index).value.with_mut(|slot| {
            // SAFETY: the caller promises that nobody else touches this value now; the pointer comes from a live cell.
            unsafe { (*slot).write(value) };
        });
    }

    /// Moves the value out of the slot of `index`.
    ///
    /// # Safety
    ///
    /// The slot holds a value whose write happened before this call, and until the call returns no other thread touches
    /// it. Afterwards the slot holds none.
    #[inline(always)]
    pub(crate) unsafe fn take(&self, index: usize) -> T {
        self.slot(index).value.with_mut(|slot| {
            // SAFETY: the caller promises an initialised value that nobody else touches, and gives it up in the slot.
            unsafe { (*slot).assume_init_read() }
        })
    }

    /// Drops the values in the slots of all `indices`, the rest of them too if one drop panics.
    ///
    /// # Safety
    ///
    /// Each index names a slot that holds a value, no two of them the same slot. Afterwards these slots hold none.
    pub(crate) unsafe fn drop_values(&mut self, indices: impl Iterator<Item = usize>) {
        struct Rest<'a, T, M, I: Iterator<Item = usize>> {
            slots: &'a mut Slots<T, M>,
            indices: I,
        }

        impl<T, M, I: Iterator<Item = usize>> Rest<'_, T, M, I> {
            fn drop_each(&mut self) {
                for index in self.indices.by_ref() {
                    // SAFETY: the caller of `drop_values` promises a value; the iterator is past it before the value's
                    // own drop runs, so none is dropped twice even if that panics.
                    drop(unsafe { self.slots.take(index) });
                }
            }
        }

        impl<T, M, I: Iterator<Item = usize>> Drop for Rest<'_, T, M, I> {
            fn drop(&mut self) {
                self.drop_each();
            }
        }

        Rest {
            slots: self,
            indices,
        }
        .drop_each();
    }

    #[inline(always)]
    fn slot(&self, index: usize) -> &Slot<T, M> {
        // SAFETY: `index & mask` is below the power of two `mask + 1`, which is how many slots `new` made.
        unsafe { self.slots.get_unchecked(index & self.mask) }
    }
}
