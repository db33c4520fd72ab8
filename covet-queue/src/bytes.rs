//! Records of bytes, written in place: one consumer, one producer or many.
//!
//! A producer claims room for a record, writes into it where it lies, and commits it; the consumer reads it where it lies.
//! Nothing is allocated or moved on the way. The scheme is the one of Aeron's ring buffers (Thompson and Montgomery, the
//! Agrona library: `OneToOneRingBuffer`, `ManyToOneRingBuffer`), written anew from its description.
//!
//! ```text
//!            0               4               8              8 + len      next multiple of 8
//!            +---------------+---------------+-----------------+---------+
//!   record   | length: i32   | kind: i32     | the bytes       | unused  |
//!            +---------------+---------------+-----------------+---------+
//!            LENGTH_OFFSET   KIND_OFFSET     BYTES_OFFSET
//! ```
//!
//! `length` counts the header and the bytes, and is the last word to be written: 0 where nothing was claimed yet, negative
//! while the record is being written, positive once it may be read. A record never crosses the end of the ring: what is
//! left there is filled with a padding record, which the consumer steps over. A claim that is given up becomes padding too;
//! in fact every claim says padding until it is committed. Integers are in the machine's own byte order.
//!
//! ```text
//!             head                           tail
//!              v                              v
//!   | 0 0 0 0 | record | record | claimed -72 | 0 0 0 |       index = position & (capacity - 1)
//! ```
//!
//! Positions count bytes and only grow. Invariants: `head <= tail <= head + capacity` (as wrapping distances); every byte
//! from tail to head + capacity is 0, because the consumer clears what it has read before it frees it; the bytes of a record
//! belong to its producer until the length is positive, and then to the consumer until the head has passed them.
//!
//! # Closing
//!
//! `close` of any handle, the drop of the consumer and the drop of the last producer close the ring: later claims fail, a
//! claim that was made before can still be committed and will be read. A claim moves the tail and looks at the state
//! afterwards; closing changes the state and then makes sure, by the heavy half of a fence pair of which every claim runs
//! the light half, that the tails of all claims that missed the change can be seen. A claim that notices it has come too
//! late leaves padding behind.
//!
//! # Dead producers
//!
//! A claim that is dropped, by a panic for example, is aborted. One that was forgotten (`mem::forget`) is aborted by the
//! next use of its producer, or by the drop of it. Where the producer is gone without being dropped, records behind its
//! claim can be reached by [`Consumer::unblock`].
//!
//! # Progress
//!
//! With one producer `try_claim` is wait-free. With many, it retries after a lost compare-and-swap. `try_read` is wait-free
//! apart from the closure it calls; it cannot overtake a record that is still being written. Waking a thread that sleeps takes
//! a lock. On 32-bit machines positions wrap after 4 GiB: a producer among many that stalls between two instructions for an
//! exact multiple of that would go on with an old position.

mod consumer;
mod error;
#[cfg(not(any(loom, shuttle)))]
mod memory;
#[cfg(any(loom, shuttle))]
#[path = "bytes/model.rs"]
mod memory;
mod producer;

use core::sync::atomic::Ordering;

use crossbeam_utils::{Backoff, CachePadded};

use self::memory::Memory;
use crate::sync::{Arc, AtomicUsize, acquire, fence, release, step};
use crate::wait::EventCount;

pub use self::consumer::Consumer;
pub use self::error::ClaimError;
pub use self::producer::{Claim, Many, Mode, One, Producer};

/// Where the length lies in a record.
pub const LENGTH_OFFSET: usize = 0;
/// Where the kind lies in a record.
pub const KIND_OFFSET: usize = 4;
/// Where the bytes begin in a record.
pub const BYTES_OFFSET: usize = 8;
/// Records begin at multiples of this.
pub const ALIGNMENT: usize = 8;

/// The kind of records that the consumer steps over.
const PADDING: i32 = -1;

/// Lengths are positive `i32`, and positions are compared as signed distances of `usize`.
const MAX_CAPACITY: usize = 1 << 30;
/// Room for two headers.
const MIN_CAPACITY: usize = 2 * BYTES_OFFSET;

/// Claims may go on.
const OPEN: usize = 0;
/// No later claim succeeds; tails of claims that did may not be visible yet.
const CLOSING: usize = 1;
/// The tail is final, but for padding.
const CLOSED: usize = 2;

/// Makes a ring of records for one producer and one consumer.
///
/// Allocates once: `capacity` bytes rounded up to a power of two, and at least 16. Records take 8 bytes more than they carry,
/// rounded up to a multiple of 8.
///
/// # Panics
///
/// If `capacity` is 0 or above 2^30.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = covet_queue::bytes::spsc(1024);
/// let mut claim = producer.try_claim(5, 7)?;
/// claim.copy_from_slice(b"hello");
/// claim.commit();
/// producer.write(8, b"world")?;
///
/// let mut seen = Vec::new();
/// let count = consumer.try_read(10, |kind, bytes| seen.push((kind, bytes.to_vec())));
/// assert_eq!(count, Ok(2));
/// assert_eq!(seen, [(7, b"hello".to_vec()), (8, b"world".to_vec())]);
/// # Ok::<(), covet_queue::bytes::ClaimError>(())
/// ```
pub fn spsc(capacity: usize) -> (Producer<One>, Consumer) {
    from(capacity, 0)
}

/// Makes a ring of records for many producers, which are clones of the one returned, and one consumer.
///
/// Everything else is as for [`spsc`]. Records come out in the order in which they were claimed.
///
/// # Panics
///
/// If `capacity` is 0 or above 2^30.
///
/// # Examples
///
/// ```
/// let (producer, mut consumer) = covet_queue::bytes::mpsc(1024);
/// std::thread::scope(|scope| {
///     for kind in 1..=4 {
///         let mut producer = producer.clone();
///         scope.spawn(move || producer.write(kind, &[0; 100]));
///     }
///     drop(producer);
///     let mut kinds = 0;
///     while consumer.read(16, |kind, _| kinds += kind).is_ok() {}
///     assert_eq!(kinds, 10);
/// });
/// ```
pub fn mpsc(capacity: usize) -> (Producer<Many>, Consumer) {
    from(capacity, 0)
}

/// Like [`spsc`], with `start` as the first position, so that a test can watch positions wrap.
#[doc(hidden)]
pub fn spsc_from(capacity: usize, start: usize) -> (Producer<One>, Consumer) {
    from(capacity, start)
}

/// Like [`mpsc`], with `start` as the first position, so that a test can watch positions wrap.
#[doc(hidden)]
pub fn mpsc_from(capacity: usize, start: usize) -> (Producer<Many>, Consumer) {
    from(capacity, start)
}

fn from<M: Mode>(capacity: usize, start: usize) -> (Producer<M>, Consumer) {
    assert!(capacity > 0, "capacity must be at least 1 byte, found 0");
    assert!(
        capacity <= MAX_CAPACITY,
        "capacity must be at most {MAX_CAPACITY} bytes, found {capacity}"
    );
    assert!(
        start.is_multiple_of(ALIGNMENT),
        "positions are multiples of {ALIGNMENT}, found {start}"
    );
    fence::prepare();
    let capacity = capacity.max(MIN_CAPACITY).next_power_of_two();
    let ring = Arc::new(Ring {
        tail: CachePadded::new(AtomicUsize::new(start)),
        head: CachePadded::new(AtomicUsize::new(start)),
        state: CachePadded::new(AtomicUsize::new(OPEN)),
        memory: Memory::new(capacity),
        not_empty: EventCount::new(),
        not_full: EventCount::new(),
    });
    (
        Producer::new(Arc::clone(&ring), start),
        Consumer::new(ring, start),
    )
}

struct Ring {
    /// Next position to claim.
    tail: CachePadded<AtomicUsize>,
    /// Next position to read, once what lies before it was cleared. Stored by the consumer.
    head: CachePadded<AtomicUsize>,
    /// One of the three states above; only grows.
    state: CachePadded<AtomicUsize>,
    memory: Memory,
    not_empty: EventCount,
    not_full: EventCount,
}

impl Ring {
    /// Claims room for a record of `length` bytes, header included, and returns its position. It reads as padding once it
    /// is finished. `head_seen` is a head that the calling producer saw before.
    #[inline]
    fn claim<M: Mode>(&self, head_seen: &mut usize, length: i32) -> Result<usize, ClaimError> {
        // Relaxed: what is found is looked at again in `refuse`.
        if self.state.load(Ordering::Relaxed) != OPEN {
            return self.refuse();
        }
        let size = aligned(length);
        let capacity = self.memory.capacity();
        let backoff = Backoff::new();
        loop {
            // Relaxed: the head says what may be written; the tail only says where.
            let tail = self.tail.load(Ordering::Relaxed);
            let to_end = capacity - (tail & (capacity - 1));
            let padding = if size <= to_end { 0 } else { to_end };
            let room = capacity - padding - size;
            // A head seen long ago must not be taken for one that is a whole round of positions newer.
            let too_old = M::MANY && usize::BITS < 64;
            if too_old || tail.wrapping_sub(*head_seen) > room {
                // Acquire: pairs with "bytes: read frees"; what lay here was read, and cleared.
                *head_seen = self.head.load(acquire!("bytes: claim sees head"));
                let used = tail.wrapping_sub(*head_seen);
                if used > room {
                    // Relaxed: a tail that was passed meanwhile says nothing.
                    if M::MANY && self.tail.load(Ordering::Relaxed) != tail {
                        continue;
                    }
                    return Err(ClaimError::Full);
                }
            }
            if !M::advance(&self.tail, tail, tail.wrapping_add(padding + size)) {
                backoff.spin();
                continue;
            }
            if padding > 0 {
                // SAFETY: moving the tail made everything up to the new tail this thread's alone.
                unsafe { self.memory.set_kind(tail, PADDING) };
                self.memory.length(tail).store(
                    padding as i32,
                    // Release: pairs with "bytes: read sees length", which must also see the kind.
                    release!("bytes: padding publishes"),
                );
            }
            let position = tail.wrapping_add(padding);
            // SAFETY: as above.
            unsafe { self.memory.set_kind(position, PADDING) };
            // Relaxed: the consumer only learns that it must wait; a caller of `unblock` orders more than this store.
            self.memory
                .length(position)
                .store(-length, Ordering::Relaxed);
            step!("bytes: claim's fence", fence::light());
            // Relaxed: the fence puts this after the store of the tail, which is what closing relies on.
            if self.state.load(Ordering::Relaxed) != OPEN {
                self.finish(position, length);
                return self.refuse();
            }
            return Ok(position);
        }
    }

    /// Makes a claimed record readable.
    #[inline]
    fn finish(&self, position: usize, length: i32) {
        // Release: pairs with "bytes: read sees length", which must also see the kind and the bytes.
        let publish = release!("bytes: commit publishes");
        self.memory.length(position).store(length, publish);
        self.not_empty.notify_one();
    }

    /// Returns the error of a closed ring, and makes what was done before closing visible to who is told.
    #[cold]
    fn refuse(&self) -> Result<usize, ClaimError> {
        // Acquire: pairs with "bytes: close begins".
        self.state.load(acquire!("bytes: claim sees close"));
        Err(ClaimError::Closed)
    }

    fn close(&self) {
        let begun = self.state.compare_exchange(
            OPEN,
            CLOSING,
            // Release: pairs with "bytes: claim sees close".
            release!("bytes: close begins"),
            Ordering::Relaxed,
        );
        if begun.is_ok() {
            step!("bytes: closing fence", fence::heavy());
            // Release: pairs with "bytes: read sees close": the tails of all claims are visible behind the fence.
            self.state.store(CLOSED, release!("bytes: close ends"));
        }
        self.not_empty.notify_one();
        self.not_full.notify_all();
    }

    fn is_closed(&self) -> bool {
        // Relaxed: an answer about now, which promises nothing about anything else.
        self.state.load(Ordering::Relaxed) != OPEN
    }

    fn len(&self) -> usize {
        // Relaxed: a snapshot of two moving positions. The head is read first, so that it is not beyond the tail; what was
        // claimed in between can make the distance too large.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        let distance = tail.wrapping_sub(head);
        if distance as isize <= 0 {
            0
        } else {
            distance.min(self.memory.capacity())
        }
    }

    fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// A record of this many bytes finds room in an empty ring wherever its tail is: the padding before it is shorter
    /// than the record itself.
    fn max_record(&self) -> usize {
        self.memory.capacity() / 2 - BYTES_OFFSET
    }
}

/// Returns how far a record of `length` bytes, header included, moves the position.
#[inline(always)]
fn aligned(length: i32) -> usize {
    (length as usize).next_multiple_of(ALIGNMENT)
}
