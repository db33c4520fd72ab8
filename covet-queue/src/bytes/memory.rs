//! The bytes of a ring: a power of two of them, aligned to 8, all 0 at first.
//!
//! The only file here that touches raw memory. It knows records only as offsets, and nothing about order: which bytes may be
//! touched, and when, is decided by the ring above, and every unsafe method names that duty. A position is any multiple
//! of 8; only its low bits count. `model.rs` is the same for loom.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ptr;
use core::slice;
use core::sync::atomic::AtomicI32;

use super::{ALIGNMENT, BYTES_OFFSET, KIND_OFFSET, LENGTH_OFFSET};

/// Eight bytes, aligned to eight on every machine.
#[repr(C, align(8))]
struct Unit(UnsafeCell<[u8; ALIGNMENT]>);

pub(super) struct Memory {
    units: Box<[Unit]>,
    /// `position & mask` is a byte's index.
    mask: usize,
}

// SAFETY: lengths are atomic; all else is touched only through unsafe methods whose callers promise that nobody writes
// meanwhile, or touches at all what they write.
unsafe impl Sync for Memory {}

impl Memory {
    /// Makes `capacity` bytes, a power of two and at least 8.
    pub(super) fn new(capacity: usize) -> Self {
        assert!(capacity.is_power_of_two() && capacity >= ALIGNMENT);
        let unit = || Unit(UnsafeCell::new([0; ALIGNMENT]));
        Self {
            units: (0..capacity / ALIGNMENT).map(|_| unit()).collect(),
            mask: capacity - 1,
        }
    }

    #[inline(always)]
    pub(super) fn capacity(&self) -> usize {
        self.mask + 1
    }

    /// Returns the length of the record at `position`.
    #[inline(always)]
    pub(super) fn length(&self, position: usize) -> &AtomicI32 {
        // SAFETY: the unit of a position is 8 bytes inside the allocation, aligned to 8, shared through a cell. Accesses to
        // these four bytes that are not atomic (`clear`) are ordered with all others by their caller's promise.
        unsafe { AtomicI32::from_ptr(self.unit(position).add(LENGTH_OFFSET).cast()) }
    }

    /// Returns the kind of the record at `position`.
    ///
    /// # Safety
    ///
    /// Nobody writes it meanwhile.
    #[inline(always)]
    pub(super) unsafe fn kind(&self, position: usize) -> i32 {
        // SAFETY: inside the unit and aligned to 4; nobody writes, says the caller.
        unsafe { self.unit(position).add(KIND_OFFSET).cast::<i32>().read() }
    }

    /// Sets the kind of the record at `position`.
    ///
    /// # Safety
    ///
    /// Nobody else touches it meanwhile.
    #[inline(always)]
    pub(super) unsafe fn set_kind(&self, position: usize, kind: i32) {
        // SAFETY: inside the unit and aligned to 4; the caller has it alone.
        unsafe {
            self.unit(position)
                .add(KIND_OFFSET)
                .cast::<i32>()
                .write(kind);
        }
    }

    /// Returns the bytes of a record at `position` that carries `len` bytes.
    ///
    /// # Safety
    ///
    /// The record does not cross the end, and nobody writes these bytes while the result lives.
    #[inline(always)]
    pub(super) unsafe fn bytes(&self, position: usize, len: usize) -> &[u8] {
        // SAFETY: inside the allocation, since the record does not cross its end; initialised since `new`.
        unsafe { slice::from_raw_parts(self.unit(position).add(BYTES_OFFSET), len) }
    }

    /// Returns the bytes of a record at `position` that carries `len` bytes, to be written.
    ///
    /// # Safety
    ///
    /// The record does not cross the end, and nobody else touches these bytes while the result lives.
    #[inline(always)]
    #[expect(
        clippy::mut_from_ref,
        reason = "the memory is a cell; exclusion is the caller's promise"
    )]
    pub(super) unsafe fn bytes_mut(&self, position: usize, len: usize) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the caller has them alone.
        unsafe { slice::from_raw_parts_mut(self.unit(position).add(BYTES_OFFSET), len) }
    }

    /// Clears `len` bytes from `position` on, over the end if need be. Both are multiples of 8.
    ///
    /// # Safety
    ///
    /// `len` is at most the capacity, and nobody else touches these bytes meanwhile, atomically or not.
    #[inline]
    pub(super) unsafe fn clear(&self, position: usize, len: usize) {
        let to_end = len.min(self.capacity() - (position & self.mask));
        // SAFETY: the two parts lie inside the allocation, and the caller has them alone.
        unsafe {
            ptr::write_bytes(self.unit(position), 0, to_end);
            ptr::write_bytes(self.unit(0), 0, len - to_end);
        }
    }

    /// Returns where the unit of `position` begins; good for everything up to the end of the allocation.
    #[inline(always)]
    fn unit(&self, position: usize) -> *mut u8 {
        let units: *const Unit = self.units.as_ptr();
        // SAFETY: the index is below the capacity, which is the size of the allocation in bytes; writing through it is
        // allowed because every byte lies in a cell.
        unsafe {
            units
                .cast::<u8>()
                .cast_mut()
                .add(position & self.mask & !(ALIGNMENT - 1))
        }
    }
}
