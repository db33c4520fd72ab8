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
//! A consumer that is faster than the producer ends up right behind it, where it takes away each cache line that is still
//! being written, and slows both down. So when it finds a few elements where it has just found some, it pauses as long as
//! that brings more, but not for long ("temporal slipping" in Giacomoni, Moseley and Vachharajani, FastForward, PPoPP 2008).
//! One that found nothing before is waiting for this element, and takes it at once.
//!
//! # Closing
//!
//! When the producer closes, `tail` is final. When the consumer closes, a push may be under way, and the two must agree on
//! whether it still counts, without a locked instruction in every push. The push publishes first and looks at the state
//! afterwards. If the state is open, the closing side sees the new tail, because it writes the state and then
//! runs the heavy half of the fence pair that the push ran the light half of. If not, both try to decide, with one
//! compare-and-swap: the producer that the ring ends after its value, or the consumer that it ends at the tail it saw. A
//! producer that loses with a value beyond the end takes it back and returns it with the error.
//!
//! A batch could not be taken back, since its values may have come from an iterator. So a claim says in `claiming`, which
//! only the producer writes, that it is under way, and looks at the state after that. A consumer that closes and finds a claim
//! under way leaves the decision to the producer: the claim counts if it is committed, and until it has ended the ring
//! is empty rather than closed.

use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::hint;
use core::mem;
use core::sync::atomic::Ordering;
#[cfg(feature = "std")]
use core::time::Duration;

use crossbeam_utils::CachePadded;

use crate::claim::Claim;
use crate::error::{
    ClaimError, PopError, PopTimeoutError, PushBatchError, PushError, PushTimeoutError,
    TryClaimError, TryPopError, TryPushError,
};
use crate::methods::{consumer_methods, producer_methods};
use crate::slots::Slots;
use crate::strategy::Wait;
use crate::sync::{Arc, AtomicUsize, Deadline, acquire, fence, release, step};
use crate::wait::EventCount;

/// The largest capacity: positions are compared as signed distances.
const MAX_CAPACITY: usize = 1 << (usize::BITS - 2);

/// How far behind the producer a consumer likes to be, in elements; less if a quarter of the ring is less.
const FAR: usize = 128;
/// How many pauses at a time it makes for that at most. First it is one, and then each time twice as many.
const LONGEST_PAUSE: u32 = 8;

/// Bytes of a cache line, on most machines.
const LINE: usize = 64;

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
    /// Whether a claim is under way, 0 or 1. Stored by the producer, read by a consumer that closes.
    claiming: CachePadded<AtomicUsize>,
    /// Next position to read. Stored by the consumer.
    head: CachePadded<AtomicUsize>,
    /// One of the four states above; grows, and moves at most twice.
    state: AtomicUsize,
    /// Where the ring ends, if the state says so. Stored by the consumer, once, before that state.
    end: AtomicUsize,
    capacity: usize,
    slots: Slots<T>,
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
        claiming: CachePadded::new(AtomicUsize::new(0)),
        head: CachePadded::new(AtomicUsize::new(start)),
        state: AtomicUsize::new(OPEN),
        end: AtomicUsize::new(start),
        capacity,
        slots: Slots::new(capacity, MAX_CAPACITY),
        not_empty: EventCount::new(),
        not_full: EventCount::new(),
    });
    let producer = Producer {
        tail: Cell::new(start),
        limit: Cell::new(start.wrapping_add(capacity)),
        ring: Arc::clone(&ring),
        wait: Wait::default(),
    };
    let consumer = Consumer {
        head: Cell::new(start),
        tail: Cell::new(start),
        found: Cell::new(false),
        ring,
        wait: Wait::default(),
    };
    (producer, consumer)
}

/// The writing end of a ring with one producer. Dropping it closes the ring.
///
/// It cannot be cloned, and can move to another thread but not be shared:
///
/// ```compile_fail,E0599
/// let (producer, _consumer) = covet_queue::spsc::bounded::<u8>(1);
/// let other = producer.clone();
/// ```
///
/// ```compile_fail,E0277
/// fn sync<T: Sync>(_: T) {}
/// let (producer, _consumer) = covet_queue::spsc::bounded::<u8>(1);
/// sync(producer);
/// ```
///
/// ```compile_fail,E0277
/// fn send<T: Send>(_: T) {}
/// let (producer, _consumer) = covet_queue::spsc::bounded::<std::rc::Rc<u8>>(1);
/// send(producer); // what it pushes cannot go to another thread
/// ```
pub struct Producer<T> {
    /// Equal to `Ring::tail` if it is kept. Private methods change it with `&self`, so the handle is not `Sync`.
    tail: Cell<usize>,
    /// The last head seen, plus the capacity: positions before it are free. Equal to `tail` for ever once closed.
    limit: Cell<usize>,
    ring: Arc<Ring<T>>,
    wait: Wait,
}

impl<T> Producer<T> {
    /// Whether the handle has a copy of the tail. It is at hand sooner than the tail in the ring, but costs a store, and where
    /// values fill cache lines of their own, the stores that wait for lines are what holds pushes up.
    const KEEPS_TAIL: bool = size_of::<T>() < LINE;

    /// Pushes a value if there is room now. Wait-free, except that waking a sleeping consumer takes a lock.
    ///
    /// Costs a release store; looks at the consumer's position only when the last known one says full.
    ///
    /// # Errors
    ///
    /// Gives the value back: [`TryPushError::Full`] if the ring holds `capacity` elements, [`TryPushError::Closed`] if
    /// either side has closed it.
    #[inline]
    pub fn try_push(&mut self, value: T) -> Result<(), TryPushError<T>> {
        self.push_now(value)
    }

    /// Closes the ring: later pushes fail, and pops go on until it is drained. Closing again does nothing.
    pub fn close(&mut self) {
        let ring = &*self.ring;
        self.limit.set(self.tail());
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

    producer_methods!(self mut);

    #[inline(always)]
    pub(crate) fn push_now(&self, value: T) -> Result<(), TryPushError<T>> {
        let ring = &*self.ring;
        let tail = self.tail();
        if tail == self.limit.get() {
            match self.refresh() {
                Ok(()) => {}
                Err(TryClaimError::Full) => return Err(TryPushError::Full(value)),
                Err(TryClaimError::Closed) => return Err(TryPushError::Closed(value)),
            }
        }
        // SAFETY: `tail` is before `limit`, so the consumer has taken what was here a lap ago, as "spsc: push sees head"
        // showed; it will not come here before the store below.
        unsafe { ring.slots.slot(tail).write(value) };
        self.publish_tail(tail.wrapping_add(1));
        ring.not_empty.notify_one();
        // Relaxed: `notify_one` has run the light fence between the store of the tail and this load, which is what closing
        // relies on; what is found is looked at again in `settle`.
        if ring.state.load(Ordering::Relaxed) != OPEN {
            return self.settle();
        }
        Ok(())
    }

    /// Returns the next position to write.
    #[inline(always)]
    fn tail(&self) -> usize {
        if Self::KEEPS_TAIL {
            self.tail.get()
        } else {
            // Relaxed: this thread stored it.
            self.ring.tail.load(Ordering::Relaxed)
        }
    }

    #[inline(always)]
    fn publish_tail(&self, tail: usize) {
        if Self::KEEPS_TAIL {
            self.tail.set(tail);
        }
        // Release: pairs with "spsc: pop sees tail", which must also see the values.
        self.ring.tail.store(tail, release!("spsc: push publishes"));
    }

    /// Looks at the consumer's position again. Succeeds if there is room.
    #[cold]
    fn refresh(&self) -> Result<(), TryClaimError> {
        let ring = &*self.ring;
        // Acquire: pairs with "spsc: consumer closes" and "spsc: consumer decides", so that who is told sees what was done
        // before.
        if ring.state.load(acquire!("spsc: push sees close")) != OPEN {
            self.end_here();
            return Err(TryClaimError::Closed);
        }
        // Acquire: pairs with "spsc: pop frees"; the consumer has read the value that the next push overwrites.
        let head = ring.head.load(acquire!("spsc: push sees head"));
        self.limit.set(head.wrapping_add(ring.capacity));
        if self.tail() == self.limit.get() {
            Err(TryClaimError::Full)
        } else {
            Ok(())
        }
    }

    /// Decides, if that is still open, that a ring which the consumer has closed ends at the tail. Returns the state that
    /// was there before.
    #[cold]
    fn end_here(&self) -> usize {
        self.limit.set(self.tail());
        let decided = self.ring.state.compare_exchange(
            CLOSING,
            ENDS_AT_TAIL,
            // Release: pairs with "spsc: pop sees close"; the consumer then sees the tail with the last value. (The state
            // that this one replaces was released too, and a swap passes that on to "spsc: push sees close".)
            release!("spsc: push decides"),
            // Acquire: pairs with "spsc: consumer decides"; `end` is read next.
            acquire!("spsc: push sees end"),
        );
        decided.unwrap_or_else(|state| state)
    }

    /// Decides, after a push that found the ring closed, whether its value is inside.
    #[cold]
    fn settle(&self) -> Result<(), TryPushError<T>> {
        let ring = &*self.ring;
        if self.end_here() != ENDS_AT_END {
            return Ok(());
        }
        // Relaxed: stored before the state that was just acquired.
        let end = ring.end.load(Ordering::Relaxed);
        if end == self.tail() {
            return Ok(());
        }
        let tail = self.tail().wrapping_sub(1);
        debug_assert_eq!(end, tail, "only the last push can be beyond the end");
        self.tail.set(tail);
        self.limit.set(tail);
        // Relaxed: nothing is published by going back, and the consumer reads `end` now.
        ring.tail.store(tail, Ordering::Relaxed);
        // SAFETY: this thread has just written the value, and the consumer reads nothing from `end` on.
        Err(TryPushError::Closed(unsafe {
            ring.slots.slot(tail).take()
        }))
    }

    /// Claims up to `most` slots. Returns the position of the first and how many they are.
    #[inline]
    pub(crate) fn try_reserve(&self, most: usize) -> Result<(usize, usize), TryClaimError> {
        let ring = &*self.ring;
        let tail = self.tail();
        if most == 0 {
            return Ok((tail, 0));
        }
        if self.limit.get().wrapping_sub(tail) < most {
            self.refresh()?;
        }
        // Relaxed: the fence orders it before the look at the state, as closing relies on.
        ring.claiming.store(1, Ordering::Relaxed);
        step!("spsc: claim's fence", fence::light());
        // Relaxed: what is found is looked at again.
        if ring.state.load(Ordering::Relaxed) != OPEN {
            self.end_claim();
            self.refresh()?;
        }
        Ok((tail, self.limit.get().wrapping_sub(tail).min(most)))
    }

    #[inline]
    pub(crate) fn claimed(&self, start: usize, count: usize) -> Claim<'_, T> {
        Claim::of_one(self, start, self.ring.slots.runs(start, count))
    }

    /// Ends a claim: its first `ready` slots hold values.
    #[inline]
    pub(crate) fn publish(&self, ready: usize) {
        if ready > 0 {
            self.publish_tail(self.tail().wrapping_add(ready));
        }
        self.end_claim();
    }

    #[inline]
    fn end_claim(&self) {
        let ring = &*self.ring;
        // Release: pairs with "spsc: close sees claim"; who sees that it is over also sees the tail.
        ring.claiming.store(0, release!("spsc: claim ends"));
        ring.not_empty.notify_one();
        // Relaxed: as in `push_now`, the light fence lies between.
        if ring.state.load(Ordering::Relaxed) != OPEN {
            let before = self.end_here();
            debug_assert!(
                before != ENDS_AT_END || ring.end.load(Ordering::Relaxed) == self.tail(),
                "a claim that was under way belongs to the ring"
            );
            ring.not_empty.notify_all();
        }
    }

    #[cfg(feature = "async")]
    pub(crate) fn not_full(&self) -> &EventCount {
        &self.ring.not_full
    }

    fn wait_for_room<R>(
        &self,
        deadline: Option<Deadline>,
        ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let ring = &*self.ring;
        let roomy = (ring.quarter() > 1).then_some(|| {
            // Relaxed: only about when to look properly.
            ring.is_roomy(ring.head.load(Ordering::Relaxed)) || ring.is_closed()
        });
        self.wait.until_room(&ring.not_full, deadline, roomy, ready)
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The reading end of a ring with one consumer. Dropping it closes the ring.
///
/// It cannot be cloned, and can move to another thread but not be shared:
///
/// ```compile_fail,E0277
/// fn sync<T: Sync>(_: T) {}
/// let (_producer, consumer) = covet_queue::spsc::bounded::<u8>(1);
/// sync(consumer);
/// ```
pub struct Consumer<T> {
    /// Equal to `Ring::head`, except within a batch. Private methods change it with `&self`, so the handle is not `Sync`.
    head: Cell<usize>,
    /// The last tail seen: positions before it hold values.
    tail: Cell<usize>,
    /// The last look at the producer's position found something.
    found: Cell<bool>,
    ring: Arc<Ring<T>>,
    wait: Wait,
}

impl<T> Consumer<T> {
    /// Pops the oldest element if there is one now. Wait-free, except that waking a sleeping producer takes a lock.
    ///
    /// Costs a release store; looks at the producer's position only when the last known one says empty.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`] if there is none now, [`TryPopError::Closed`] if there will never be one again.
    #[inline]
    pub fn try_pop(&mut self) -> Result<T, TryPopError> {
        self.pop_now()
    }

    /// Returns the oldest element and leaves it in the ring.
    ///
    /// # Errors
    ///
    /// As [`try_pop`](Self::try_pop).
    #[inline]
    pub fn peek(&mut self) -> Result<&T, TryPopError> {
        if self.head.get() == self.tail.get() {
            self.refresh()?;
        }
        // SAFETY: `head` is before a tail that was acquired, so the value is there; only this consumer could take it, and
        // is borrowed as long as the reference lives.
        Ok(unsafe { self.ring.slots.slot(self.head.get()).get() })
    }

    /// Closes the ring: later pushes fail. What was pushed successfully stays and can be popped, and so does what a claim
    /// that is under way still commits. Closing again does nothing.
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
            // Acquire: pairs with "spsc: claim ends"; the tail read next is then beyond what was committed.
            let claiming = ring.claiming.load(acquire!("spsc: close sees claim"));
            // A claim under way decides when it ends.
            if claiming == 0 {
                let end = ring.see_tail();
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
        }
        ring.not_full.notify_all();
    }

    consumer_methods!(self mut);

    #[inline(always)]
    pub(crate) fn pop_now(&self) -> Result<T, TryPopError> {
        let ring = &*self.ring;
        let head = self.head.get();
        if head == self.tail.get() {
            self.refresh()?;
        }
        // SAFETY: `head` is before a tail that was acquired, so the value is there and its write happened before; the
        // producer comes back to this slot only after the store below.
        let value = unsafe { ring.slots.slot(head).take() };
        self.head.set(head.wrapping_add(1));
        ring.free_to(head.wrapping_add(1));
        Ok(value)
    }

    #[inline]
    pub(crate) fn try_pop_each(
        &self,
        most: usize,
        mut each: impl FnMut(T),
    ) -> Result<usize, TryPopError> {
        /// Frees the slots of what was popped when dropped.
        struct Popped<'a, T>(&'a Consumer<T>);

        impl<T> Drop for Popped<'_, T> {
            fn drop(&mut self) {
                self.0.ring.free_to(self.0.head.get());
            }
        }

        let ring = &*self.ring;
        let head = self.head.get();
        if most == 0 {
            return Ok(0);
        }
        if self.tail.get().wrapping_sub(head) < most {
            self.refresh()?;
        }
        let count = self.tail.get().wrapping_sub(head).min(most);
        let popped = Popped(self);
        let mut next = head;
        for run in ring.slots.runs(head, count) {
            for slot in run {
                next = next.wrapping_add(1);
                self.head.set(next);
                // SAFETY: as in `pop_now`; the head is past the slot before `each` can panic, and is published when
                // `popped` is dropped.
                each(unsafe { slot.take() });
            }
        }
        drop(popped);
        Ok(count)
    }

    /// Looks at the producer's position again. Succeeds if there is something to pop.
    #[cold]
    fn refresh(&self) -> Result<(), TryPopError> {
        let ring = &*self.ring;
        // The line with the value then comes together with the line of the tail, and not after it.
        ring.slots.slot(self.head.get()).prefetch();
        // Acquire: pairs with "spsc: producer closes" and "spsc: push decides"; the tail read next is then the last.
        let state = ring.state.load(acquire!("spsc: pop sees close"));
        let tail = if state == ENDS_AT_END {
            // Relaxed: this thread stored it.
            ring.end.load(Ordering::Relaxed)
        } else {
            self.see_tail()
        };
        self.tail.set(tail);
        if self.head.get() != tail {
            Ok(())
        } else if state >= ENDS_AT_TAIL {
            Err(TryPopError::Closed)
        } else {
            Err(TryPopError::Empty)
        }
    }

    /// Returns the producer's position, after letting it get ahead if it is only a little ahead of a consumer that finds
    /// something each time.
    fn see_tail(&self) -> usize {
        let ring = &*self.ring;
        let head = self.head.get();
        let mut tail = ring.see_tail();
        let found = tail != head;
        if !(self.found.replace(found) && found) {
            return tail;
        }
        let enough = FAR.min(ring.capacity / 4);
        let mut pauses = 1;
        while pauses <= LONGEST_PAUSE && tail.wrapping_sub(head) < enough {
            for _ in 0..pauses {
                hint::spin_loop();
            }
            let before = mem::replace(&mut tail, ring.see_tail());
            if tail == before {
                break;
            }
            pauses *= 2;
        }
        tail
    }

    #[cfg(feature = "async")]
    pub(crate) fn not_empty(&self) -> &EventCount {
        &self.ring.not_empty
    }

    fn wait_for_value<R>(
        &self,
        deadline: Option<Deadline>,
        ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        self.wait.until(&self.ring.not_empty, deadline, ready)
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<T> Ring<T> {
    fn see_tail(&self) -> usize {
        // Acquire: pairs with "spsc: push publishes"; the values before the tail may be read from now on.
        self.tail.load(acquire!("spsc: pop sees tail"))
    }

    /// Frees the slots before `head`.
    #[inline(always)]
    fn free_to(&self, head: usize) {
        // Release: pairs with "spsc: push sees head"; the values have been read.
        self.head.store(head, release!("spsc: pop frees"));
        self.not_full.notify_one_if(|| self.is_roomy(head));
    }

    fn quarter(&self) -> usize {
        (self.capacity / 4).max(1)
    }

    /// Returns whether enough is free to wake the producer for.
    fn is_roomy(&self, head: usize) -> bool {
        let quarter = self.quarter();
        // Relaxed: a producer that sleeps has stopped moving the tail.
        let used = self.tail.load(Ordering::Relaxed).wrapping_sub(head);
        quarter == 1 || self.capacity.saturating_sub(used) >= quarter
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

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
