//! The bytes of a ring for loom and shuttle, which cannot see into raw memory: each unit of 8 bytes has an atomic length
//! beside it and a cell that stands for the rest, so that loom finds every access that is not ordered.

use std::boxed::Box;
use std::cell;
use std::slice;
use std::sync::atomic::Ordering;

use super::{ALIGNMENT, BYTES_OFFSET};
use crate::sync::{AtomicI32, UnsafeCell};

pub(super) struct Memory {
    units: Box<[Unit]>,
    bytes: Box<[cell::UnsafeCell<u8>]>,
    mask: usize,
}

struct Unit {
    length: AtomicI32,
    /// The kind, if a record begins here. Touched with the bytes of the unit too, as their witness.
    kind: UnsafeCell<i32>,
}

// SAFETY: as for the real memory; and loom's threads take turns on one.
unsafe impl Sync for Memory {}
// SAFETY: as above.
unsafe impl Send for Memory {}

impl Memory {
    pub(super) fn new(capacity: usize) -> Self {
        let unit = || Unit {
            length: AtomicI32::new(0),
            kind: UnsafeCell::new(0),
        };
        Self {
            units: (0..capacity / ALIGNMENT).map(|_| unit()).collect(),
            bytes: (0..capacity).map(|_| cell::UnsafeCell::new(0)).collect(),
            mask: capacity - 1,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        self.mask + 1
    }

    pub(super) fn length(&self, position: usize) -> &AtomicI32 {
        &self.unit(position).length
    }

    pub(super) unsafe fn kind(&self, position: usize) -> i32 {
        // SAFETY: the pointer comes from a live cell; loom fails on a concurrent write.
        self.unit(position).kind.with(|kind| unsafe { *kind })
    }

    pub(super) unsafe fn set_kind(&self, position: usize, kind: i32) {
        // SAFETY: the pointer comes from a live cell; loom fails on a concurrent access.
        self.unit(position)
            .kind
            .with_mut(|place| unsafe { *place = kind });
    }

    pub(super) unsafe fn bytes(&self, position: usize, len: usize) -> &[u8] {
        for offset in (0..len).step_by(ALIGNMENT) {
            self.unit(position + BYTES_OFFSET + offset)
                .kind
                .with(|_| ());
        }
        // SAFETY: inside the allocation, since the record does not cross its end; the cells just touched stand for it.
        unsafe { slice::from_raw_parts(self.start(position + BYTES_OFFSET), len) }
    }

    #[expect(
        clippy::mut_from_ref,
        reason = "the memory is a cell; exclusion is the caller's promise"
    )]
    pub(super) unsafe fn bytes_mut(&self, position: usize, len: usize) -> &mut [u8] {
        for offset in (0..len).step_by(ALIGNMENT) {
            self.unit(position + BYTES_OFFSET + offset)
                .kind
                .with_mut(|_| ());
        }
        // SAFETY: as in `bytes`.
        unsafe { slice::from_raw_parts_mut(self.start(position + BYTES_OFFSET), len) }
    }

    pub(super) unsafe fn clear(&self, position: usize, len: usize) {
        for offset in (0..len).step_by(ALIGNMENT) {
            let position = position.wrapping_add(offset);
            self.unit(position).length.store(0, Ordering::Relaxed);
            // SAFETY: the pointers come from live cells; loom fails on a concurrent access to the first.
            self.unit(position).kind.with_mut(|kind| unsafe {
                *kind = 0;
                self.start(position).write_bytes(0, ALIGNMENT);
            });
        }
    }

    fn unit(&self, position: usize) -> &Unit {
        &self.units[(position & self.mask) / ALIGNMENT]
    }

    fn start(&self, position: usize) -> *mut u8 {
        // SAFETY: the index is below the capacity, which is how many cells there are; or, for no bytes at the very end, it is
        // wrapped and nothing is read.
        unsafe { cell::UnsafeCell::raw_get(self.bytes.as_ptr().add(position & self.mask)) }
    }
}
