//! One producer, one consumer.
//!
//! Two positions only ever grow: `tail` belongs to the producer, `head` to the consumer, and each is written by its owner
//! with a plain store (Lamport, "Specifying concurrent program modules", 1983). Reading the other side's position costs a
//! cache miss, so each side keeps the last one it saw and looks again only when that one says full or empty (Lee, Bu and
//! Chandranmenon, the MCRingBuffer, IPDPS 2010).
//!
//! ```text
//!          head                 tail
//!           v                    v
//!   | free | value | value | ... | free | free |       index = position & mask
//!           consumer takes here   producer writes here
//! ```
//!
//! Invariants: `head <= tail <= head + capacity` (as wrapping distances); slots from `head` to `tail` hold a value and
//! belong to the consumer, the others hold none and belong to the producer.
//!
//! # Closing
//!
//! When the producer closes, `tail` is final. When the consumer closes, a push may be under way, and the two must agree on
//! whether it still counts, without a locked instruction in every push. The push publishes first and looks at the state
//! afterwards. If the state is open, the closing side sees the new tail, because it writes the state and then
//! runs the heavy half of the fence pair that the push ran the light half of. If not, both try to decide, with one
//! compare-and-swap: the producer that the ring ends after its value, or the consumer that it ends at the tail it saw. A
//! producer that loses with a value beyond the end takes it back and returns it with the error.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::error::{
    PopError, PopTimeoutError, PushError, PushTimeoutError, TryPopError, TryPushError,
};
use crate::slots::Slots;
use crate::sync::{Arc, AtomicUsize, acquire, fence, release, step};
use crate::wait::EventCount;

/// Both sides may go on.
const OPEN: usize = 0;
/// The consumer wants to close; where the ring ends is not decided.
const CLOSING: usize = 1;
/// Closed: the ring ends at `tail`, which will not move any more once the producer has looked at the state.
const ENDS_AT_TAIL: usize = 2;
/// Closed: the ring ends at `end`.
const ENDS_AT_END: usize = 3;

struct Ring<T> {
    /// Next position to write. Stored by the producer.
    tail: CachePadded<AtomicUsize>,
    /// Next position to read. Stored by the consumer.
    head: CachePadded<AtomicUsize>,
    /// One of the four states above; grows, and moves at most twice.
    state: AtomicUsize,
    /// Where the ring ends, if the state says so. Stored by the consumer, once, before that state.
    end: AtomicUsize,
    capacity: usize,
    slots: Slots<T, ()>,
    not_empty: EventCount,
    not_full: EventCount,
}

/// Makes a ring for at most `capacity` elements and returns its two ends.
///
/// Allocates once, for `capacity` rounded up to a power of two; pushing and popping allocate nothing.
///
/// # Panics
///
/// If `capacity` is 0, or so large that no machine could hold the ring.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = covet_queue::spsc::bounded(2);
/// producer.push("a")?;
/// producer.push("b")?;
/// assert!(producer.try_push("c").is_err());
/// assert_eq!(consumer.pop(), Ok("a"));
/// # Ok::<(), covet_queue::PushError<&str>>(())
/// ```
pub fn bounded<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    bounded_from(capacity, 0)
}

/// Makes a ring whose first position is `start`, so that a test can watch positions wrap.
#[doc(hidden)]
pub fn bounded_from<T>(capacity: usize, start: usize) -> (Producer<T>, Consumer<T>) {
    fence::prepare();
    let ring = Arc::new(Ring {
        tail: CachePadded::new(AtomicUsize::new(start)),
        head: CachePadded::new(AtomicUsize::new(start)),
        state: AtomicUsize::new(OPEN),
        end: AtomicUsize::new(start),
        capacity,
        slots: Slots::new(capacity, start, |_| ()),
        not_empty: EventCount::new(),
        not_full: EventCount::new(),
    });
    let producer = Producer {
        writer: Writer {
            tail: start,
            limit: start.wrapping_add(capacity),
        },
        ring: Arc::clone(&ring),
    };
    let consumer = Consumer {
        reader: Reader {
            head: start,
            tail: start,
        },
        ring,
    };
    (producer, consumer)
}

/// The writing end of a ring with one producer. Dropping it closes the ring.
pub struct Producer<T> {
    writer: Writer,
    ring: Arc<Ring<T>>,
}

/// What only the producer knows.
struct Writer {
    /// Equal to `Ring::tail`.
    tail: usize,
    /// The last head seen, plus the capacity: positions before it are free. Equal to `tail` for ever once closed.
    limit: usize,
}

impl<T> Producer<T> {
    /// Pushes a value if there is room now. Wait-free, except that waking a sleeping consumer takes a lock.
    ///
    /// # Errors
    ///
    /// Gives the value back: [`TryPushError::Full`] if the ring holds `capacity` elements, [`TryPushError::Closed`] if
    /// either side has closed it.
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), TryPushError<T>> {
        self.writer.try_push(&self.ring, value)
    }

    /// Pushes a value, waiting while the ring is full.
    ///
    /// # Errors
    ///
    /// Gives the value back if the ring is or becomes closed.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), PushError<T>> {
        match self.writer.try_push(&self.ring, value) {
            Ok(()) => Ok(()),
            Err(TryPushError::Closed(value)) => Err(PushError(value)),
            Err(TryPushError::Full(value)) => match self.push_slow(value, None) {
                Ok(()) => Ok(()),
                Err(error) => Err(PushError(error.into_inner())),
            },
        }
    }

    /// Pushes a value, waiting while the ring is full, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// Gives the value back: [`PushTimeoutError::Timeout`] if there was no room in time, [`PushTimeoutError::Closed`] if the
    /// ring is or becomes closed.
    pub fn push_timeout(&mut self, value: T, timeout: Duration) -> Result<(), PushTimeoutError<T>> {
        match self.writer.try_push(&self.ring, value) {
            Ok(()) => Ok(()),
            Err(TryPushError::Closed(value)) => Err(PushTimeoutError::Closed(value)),
            // A time too long for the clock is no limit.
            Err(TryPushError::Full(value)) => {
                self.push_slow(value, Instant::now().checked_add(timeout))
            }
        }
    }

    #[cold]
    fn push_slow(
        &mut self,
        value: T,
        deadline: Option<Instant>,
    ) -> Result<(), PushTimeoutError<T>> {
        let Self { writer, ring } = self;
        let mut waiting = Some(value);
        let result = ring.not_full.wait_until(deadline, || {
            if writer.is_full(ring) {
                return None;
            }
            match writer.try_push(ring, waiting.take()?) {
                Ok(()) => Some(Ok(())),
                Err(TryPushError::Closed(value)) => Some(Err(PushTimeoutError::Closed(value))),
                Err(TryPushError::Full(value)) => {
                    waiting = Some(value);
                    None
                }
            }
        });
        match (result, waiting) {
            (Some(result), _) => result,
            (None, Some(value)) => Err(PushTimeoutError::Timeout(value)),
            (None, None) => unreachable!("a value leaves only with a result"),
        }
    }

    /// Closes the ring: later pushes fail, and pops go on until it is drained. Closing again does nothing.
    pub fn close(&mut self) {
        let ring = &*self.ring;
        self.writer.limit = self.writer.tail;
        for state in [OPEN, CLOSING] {
            // Release: pairs with "spsc: pop sees close", so that whoever sees the end also sees all that was before it.
            let _ = ring.state.compare_exchange(
                state,
                ENDS_AT_TAIL,
                release!("spsc: producer closes"),
                Ordering::Relaxed,
            );
        }
        ring.not_empty.notify_all();
    }

    /// Returns whether the ring was closed, from either side.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// Returns how many elements are in the ring; the consumer may be taking some meanwhile.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Returns whether the ring holds no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the ring holds as many elements as it can.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Returns the most elements the ring ever holds: the number it was made with.
    pub fn capacity(&self) -> usize {
        self.ring.capacity
    }
}

impl Writer {
    #[inline(always)]
    fn try_push<T>(&mut self, ring: &Ring<T>, value: T) -> Result<(), TryPushError<T>> {
        if self.tail == self.limit {
            match self.refresh(ring) {
                Room::Free => {}
                Room::Full => return Err(TryPushError::Full(value)),
                Room::Closed => return Err(TryPushError::Closed(value)),
            }
        }
        // SAFETY: `tail` is before `limit`, so the consumer has taken what was here a lap ago, as "spsc: push sees head"
        // showed; it will not come here before the store below.
        unsafe { ring.slots.write(self.tail, value) };
        self.tail = self.tail.wrapping_add(1);
        // Release: pairs with "spsc: pop sees tail", which must also see the value.
        ring.tail.store(self.tail, release!("spsc: push publishes"));
        ring.not_empty.notify_one();
        // Relaxed: `notify_one` has run the light fence between the store of the tail and this load, which is what closing
        // relies on; what is found is looked at again in `settle`.
        if ring.state.load(Ordering::Relaxed) != OPEN {
            return self.settle(ring);
        }
        Ok(())
    }

    /// Looks at the consumer's position again.
    #[cold]
    fn refresh<T>(&mut self, ring: &Ring<T>) -> Room {
        // Acquire: pairs with "spsc: consumer closes" and "spsc: consumer decides", so that who is told sees what was done
        // before.
        if ring.state.load(acquire!("spsc: push sees close")) != OPEN {
            self.limit = self.tail;
            return Room::Closed;
        }
        // Acquire: pairs with "spsc: pop frees"; the consumer has read the value that the next push overwrites.
        let head = ring.head.load(acquire!("spsc: push sees head"));
        self.limit = head.wrapping_add(ring.capacity);
        if self.tail == self.limit {
            Room::Full
        } else {
            Room::Free
        }
    }

    /// Returns whether a push would find the ring full; a closed ring is not full.
    fn is_full<T>(&mut self, ring: &Ring<T>) -> bool {
        self.tail == self.limit && matches!(self.refresh(ring), Room::Full)
    }

    /// Decides, after a push that found the ring closed, whether its value is inside.
    #[cold]
    fn settle<T>(&mut self, ring: &Ring<T>) -> Result<(), TryPushError<T>> {
        self.limit = self.tail;
        let decided = ring.state.compare_exchange(
            CLOSING,
            ENDS_AT_TAIL,
            // Release: pairs with "spsc: pop sees close"; the consumer then sees the tail with this value. (The state
            // that this one replaces was released too, and a swap passes that on to "spsc: push sees close".)
            release!("spsc: push decides"),
            // Acquire: pairs with "spsc: consumer decides"; `end` is read next.
            acquire!("spsc: push sees end"),
        );
        if decided != Err(ENDS_AT_END) {
            return Ok(());
        }
        // Relaxed: stored before the state that was just acquired.
        let end = ring.end.load(Ordering::Relaxed);
        if end == self.tail {
            return Ok(());
        }
        self.tail = self.tail.wrapping_sub(1);
        debug_assert_eq!(end, self.tail, "only the last push can be beyond the end");
        self.limit = self.tail;
        // Relaxed: nothing is published by going back, and the consumer reads `end` now.
        ring.tail.store(self.tail, Ordering::Relaxed);
        // SAFETY: this thread has just written the value, and the consumer reads nothing from `end` on.
        Err(TryPushError::Closed(unsafe { ring.slots.take(self.tail) }))
    }
}

enum Room {
    Free,
    Full,
    Closed,
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The reading end of a ring with one consumer. Dropping it closes the ring.
pub struct Consumer<T> {
    reader: Reader,
    ring: Arc<Ring<T>>,
}

/// What only the consumer knows.
struct Reader {
    /// Equal to `Ring::head`.
    head: usize,
    /// The last tail seen: positions before it hold values.
    tail: usize,
}

impl<T> Consumer<T> {
    /// Pops the oldest element if there is one now. Wait-free, except that waking a sleeping producer takes a lock.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`] if there is none now, [`TryPopError::Closed`] if there will never be one again.
    #[inline]
    pub fn try_pop(&mut self) -> Result<T, TryPopError> {
        self.reader.try_pop(&self.ring)
    }

    /// Pops the oldest element, waiting while the ring is empty.
    ///
    /// # Errors
    ///
    /// [`PopError`] if the ring is closed and drained.
    #[inline]
    pub fn pop(&mut self) -> Result<T, PopError> {
        match self.reader.try_pop(&self.ring) {
            Ok(value) => Ok(value),
            Err(TryPopError::Closed) => Err(PopError),
            Err(TryPopError::Empty) => self.pop_slow(None).map_err(|_| PopError),
        }
    }

    /// Pops the oldest element, waiting while the ring is empty, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`PopTimeoutError::Timeout`] if nothing came in time, [`PopTimeoutError::Closed`] if the ring is closed and drained.
    pub fn pop_timeout(&mut self, timeout: Duration) -> Result<T, PopTimeoutError> {
        match self.reader.try_pop(&self.ring) {
            Ok(value) => Ok(value),
            Err(TryPopError::Closed) => Err(PopTimeoutError::Closed),
            // A time too long for the clock is no limit.
            Err(TryPopError::Empty) => self.pop_slow(Instant::now().checked_add(timeout)),
        }
    }

    #[cold]
    fn pop_slow(&mut self, deadline: Option<Instant>) -> Result<T, PopTimeoutError> {
        let Self { reader, ring } = self;
        let result = ring
            .not_empty
            .wait_until(deadline, || match reader.try_pop(ring) {
                Ok(value) => Some(Ok(value)),
                Err(TryPopError::Closed) => Some(Err(PopTimeoutError::Closed)),
                Err(TryPopError::Empty) => None,
            });
        result.unwrap_or(Err(PopTimeoutError::Timeout))
    }

    /// Closes the ring: later pushes fail. What was pushed successfully stays and can be popped. Closing again does nothing.
    pub fn close(&mut self) {
        let ring = &*self.ring;
        let asked = ring.state.compare_exchange(
            OPEN,
            CLOSING,
            // Release: pairs with "spsc: push sees close" and "spsc: push decides".
            release!("spsc: consumer closes"),
            Ordering::Relaxed,
        );
        if asked.is_ok() {
            step!("spsc: closing fence", fence::heavy());
            let end = Reader::see_tail(ring);
            // Relaxed: published by the next line.
            ring.end.store(end, Ordering::Relaxed);
            // If the producer was faster, the ring ends at its tail.
            let _ = ring.state.compare_exchange(
                CLOSING,
                ENDS_AT_END,
                // Release: pairs with "spsc: push sees end" and "spsc: push sees close".
                release!("spsc: consumer decides"),
                Ordering::Relaxed,
            );
        }
        ring.not_full.notify_all();
    }

    /// Returns whether the ring was closed, from either side. There may still be elements to pop.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// Returns how many elements are in the ring; the producer may be adding some meanwhile.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Returns whether the ring holds no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the ring holds as many elements as it can.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Returns the most elements the ring ever holds: the number it was made with.
    pub fn capacity(&self) -> usize {
        self.ring.capacity
    }
}

impl Reader {
    #[inline(always)]
    fn try_pop<T>(&mut self, ring: &Ring<T>) -> Result<T, TryPopError> {
        if self.head == self.tail {
            self.refresh(ring)?;
        }
        // SAFETY: `head` is before a tail that was acquired, so the value is there and its write happened before; the
        // producer comes back to this slot only after the store below.
        let value = unsafe { ring.slots.take(self.head) };
        self.head = self.head.wrapping_add(1);
        // Release: pairs with "spsc: push sees head"; the value has been read.
        ring.head.store(self.head, release!("spsc: pop frees"));
        ring.not_full.notify_one();
        Ok(value)
    }

    /// Looks at the producer's position again.
    #[cold]
    fn refresh<T>(&mut self, ring: &Ring<T>) -> Result<(), TryPopError> {
        // Acquire: pairs with "spsc: producer closes" and "spsc: push decides"; the tail read next is then the last.
        let state = ring.state.load(acquire!("spsc: pop sees close"));
        self.tail = if state == ENDS_AT_END {
            // Relaxed: this thread stored it.
            ring.end.load(Ordering::Relaxed)
        } else {
            Self::see_tail(ring)
        };
        if self.head != self.tail {
            Ok(())
        } else if state >= ENDS_AT_TAIL {
            Err(TryPopError::Closed)
        } else {
            Err(TryPopError::Empty)
        }
    }

    fn see_tail<T>(ring: &Ring<T>) -> usize {
        // Acquire: pairs with "spsc: push publishes"; the values before the tail may be read from now on.
        ring.tail.load(acquire!("spsc: pop sees tail"))
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> Ring<T> {
    fn is_closed(&self) -> bool {
        // Relaxed: an answer about now, which promises nothing about anything else.
        self.state.load(Ordering::Relaxed) != OPEN
    }

    fn len(&self) -> usize {
        // Relaxed: a snapshot of two moving positions. The head is read first, so that it is not beyond the tail; what was
        // pushed in between can make the distance too large.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        let distance = tail.wrapping_sub(head);
        if distance as isize <= 0 {
            0
        } else {
            distance.min(self.capacity)
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Relaxed: both handles are gone, and with the last reference came everything they did.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.load(Ordering::Relaxed);
        let left = tail.wrapping_sub(head);
        // SAFETY: the slots from head to tail are the ones that hold values, and they are fewer than a lap.
        unsafe {
            self.slots
                .drop_values((0..left).map(|offset| head.wrapping_add(offset)));
        }
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}
