//! The memory of a ring: a power of two of slots, each room for one value, and marks that say what the slots hold.
//!
//! Values lie next to each other, so that a claim can lend them as slices; marks are in arrays of their own. Each array begins
//! with a cache line, so that values as large as a line do not lie across two of them. This is the only file that touches raw
//! memory. It knows nothing about order: which position may be written or taken, and when, is decided by the ring above, and
//! every unsafe method names that duty. An index is any number; only its low bits count, so no index can leave the allocation.

use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicUsize, UnsafeCell, first_of};

/// A ring's slots.
pub(crate) struct Slots<T> {
    values: Array<Slot<T>>,
    /// `index & mask` is a slot's number.
    mask: usize,
}

/// Room for one value.
#[repr(transparent)]
pub(crate) struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: values only enter and leave through the unsafe methods below, whose callers promise that no two threads touch
// one value at a time; what crosses is ownership, so `T: Send` suffices.
unsafe impl<T: Send> Sync for Slot<T> {}

/// A word for each slot of a ring.
pub(crate) struct Marks {
    marks: Array<AtomicUsize>,
    /// `index & mask` is a mark's number.
    mask: usize,
}

impl Marks {
    /// Makes a mark for each of `len` slots, a power of two. `mark` gives the first one of each index in the lap from
    /// `start` on.
    pub(crate) fn new(len: usize, start: usize, mark: impl Fn(usize) -> usize) -> Self {
        assert!(len.is_power_of_two(), "slots are a power of two");
        let mask = len - 1;
        let first = |number: usize| start.wrapping_add(number.wrapping_sub(start) & mask);
        Self {
            marks: Array::new(len, |number| AtomicUsize::new(mark(first(number)))),
            mask,
        }
    }

    /// Returns the mark of the slot of `index`.
    #[inline(always)]
    pub(crate) fn of(&self, index: usize) -> &AtomicUsize {
        // SAFETY: `index & mask` is below the power of two `mask + 1`, which is how many marks `new` made.
        unsafe { self.marks.get_unchecked(index & self.mask) }
    }

    /// Returns the marks of `len` indices from `index` on, in two runs, which end where those of [`Slots::runs`] do.
    ///
    /// # Panics
    ///
    /// If `len` is more than a lap.
    #[inline]
    pub(crate) fn runs(&self, index: usize, len: usize) -> [&[AtomicUsize]; 2] {
        runs(&self.marks, index & self.mask, len)
    }
}

impl<T> Slots<T> {
    /// Makes the smallest power of two of slots that hold `capacity` values.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0 or more than `most`.
    pub(crate) fn new(capacity: usize, most: usize) -> Self {
        assert!(capacity > 0, "capacity must be at least 1, found 0");
        assert!(
            capacity <= most,
            "capacity must be at most {most}, found {capacity}"
        );
        let len = capacity.next_power_of_two();
        Self {
            values: Array::new(len, |_| Slot(UnsafeCell::new(MaybeUninit::uninit()))),
            mask: len - 1,
        }
    }

    /// Returns how many slots one lap has.
    pub(crate) fn len(&self) -> usize {
        self.mask + 1
    }

    /// Returns the slot of `index`.
    #[inline(always)]
    pub(crate) fn slot(&self, index: usize) -> &Slot<T> {
        // SAFETY: `index & mask` is below the power of two `mask + 1`, which is how many slots `new` made.
        unsafe { self.values.get_unchecked(index & self.mask) }
    }

    /// Returns the slots of `len` indices from `index` on, in two runs: up to the end of the memory, and from its start.
    ///
    /// # Panics
    ///
    /// If `len` is more than a lap.
    #[inline]
    pub(crate) fn runs(&self, index: usize, len: usize) -> [&[Slot<T>]; 2] {
        runs(&self.values, index & self.mask, len)
    }

    /// Drops the values in the slots of these `indices`, the rest of them too if one drop panics.
    ///
    /// # Safety
    ///
    /// Each index names a slot that holds a value and that nobody else touches, no two of them the same slot. Afterwards these
    /// slots hold none.
    pub(crate) unsafe fn drop_values(&self, indices: impl Iterator<Item = usize>) {
        struct Rest<I: Iterator<Item = usize>, F: FnMut(usize)>(I, F);

        impl<I: Iterator<Item = usize>, F: FnMut(usize)> Rest<I, F> {
            fn drop_each(&mut self) {
                self.0.by_ref().for_each(&mut self.1);
            }
        }

        impl<I: Iterator<Item = usize>, F: FnMut(usize)> Drop for Rest<I, F> {
            fn drop(&mut self) {
                self.drop_each();
            }
        }

        let mut rest = Rest(indices, |index| {
            // SAFETY: the caller promises a value; the iterator is past it before the value's own drop runs, so none is
            // dropped twice even if that panics.
            drop(unsafe { self.slot(index).take() });
        });
        rest.drop_each();
    }
}

#[inline]
fn runs<E>(elements: &[E], start: usize, len: usize) -> [&[E]; 2] {
    let first = len.min(elements.len() - start);
    [&elements[start..start + first], &elements[..len - first]]
}

impl<T> Slot<T> {
    /// Moves `value` in.
    ///
    /// # Safety
    ///
    /// The slot holds no value (it would be forgotten), and until the call returns no other thread touches it.
    #[inline(always)]
    pub(crate) unsafe fn write(&self, value: T) {
        self.0.with_mut(|slot| {
            // SAFETY: the caller promises that nobody else touches this value now; the pointer comes from a live cell.
            unsafe { (*slot).write(value) };
        });
    }

    /// Moves the value out.
    ///
    /// # Safety
    ///
    /// The slot holds a value whose write happened before this call, and until the call returns no other thread touches
    /// it. Afterwards the slot holds none.
    #[inline(always)]
    pub(crate) unsafe fn take(&self) -> T {
        self.0.with_mut(|slot| {
            // SAFETY: the caller promises an initialised value that nobody else touches, and gives it up in the slot.
            unsafe { (*slot).assume_init_read() }
        })
    }

    /// Lends the value.
    ///
    /// # Safety
    ///
    /// The slot holds a value whose write happened before this call, and as long as the reference lives no thread writes
    /// or takes it.
    #[inline(always)]
    pub(crate) unsafe fn get(&self) -> &T {
        // SAFETY: the caller promises an initialised value that stays.
        self.0.with(|slot| unsafe { (*slot).assume_init_ref() })
    }

    /// Asks for the cache line where the slot begins, and does not wait for it. A hint, for which it does not matter who
    /// touches the slot meanwhile; nothing but on x86-64.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: every x86-64 has the instruction, which gives the program nothing to see and cannot fault.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(self).cast()) };
        }
    }

    /// Lends the memory of `run`.
    ///
    /// # Safety
    ///
    /// As long as the slice lives, no thread touches these slots in any other way.
    #[allow(clippy::mut_from_ref)] // The duty of the caller.
    pub(crate) unsafe fn slice(run: &[Self]) -> &mut [MaybeUninit<T>] {
        // SAFETY: `Slot` is a transparent cell, so a run of slots is a run of their contents; the caller promises that
        // nobody else touches them.
        unsafe { core::slice::from_raw_parts_mut(first_of(run.as_ptr().cast()), run.len()) }
    }
}

/// As many elements as it was made with, the first at the beginning of a cache line.
struct Array<E> {
    first: NonNull<E>,
    len: usize,
    owns: PhantomData<E>,
}

// SAFETY: an array owns its elements as a boxed slice does.
unsafe impl<E: Send> Send for Array<E> {}
// SAFETY: as above; a shared array only lends shared elements.
unsafe impl<E: Sync> Sync for Array<E> {}

impl<E> Array<E> {
    /// Makes each element from its number. Memory that was taken is lost if `element` panics.
    fn new(len: usize, element: impl Fn(usize) -> E) -> Self {
        let layout = Self::layout(len);
        let first = if layout.size() == 0 {
            NonNull::dangling()
        } else {
            // SAFETY: the size is not 0.
            let memory = unsafe { alloc(layout) };
            NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout))
        };
        for number in 0..len {
            // SAFETY: below `len`, so inside the allocation, which is aligned for elements.
            unsafe { first.add(number).write(element(number)) };
        }
        Self {
            first,
            len,
            owns: PhantomData,
        }
    }

    fn layout(len: usize) -> Layout {
        Layout::array::<E>(len)
            .and_then(|layout| layout.align_to(align_of::<CachePadded<E>>()))
            .expect("a ring has to fit into memory")
    }
}

impl<E> Deref for Array<E> {
    type Target = [E];

    #[inline(always)]
    fn deref(&self) -> &[E] {
        // SAFETY: `new` wrote so many elements there, and they stay until the array is dropped.
        unsafe { core::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<E> Drop for Array<E> {
    fn drop(&mut self) {
        let elements = ptr::slice_from_raw_parts_mut(self.first.as_ptr(), self.len);
        // SAFETY: the elements are there, and nobody uses them any more.
        unsafe { ptr::drop_in_place(elements) };
        let layout = Self::layout(self.len);
        if layout.size() > 0 {
            // SAFETY: allocated by `new` with this layout.
            unsafe { dealloc(self.first.as_ptr().cast(), layout) };
        }
    }
}
