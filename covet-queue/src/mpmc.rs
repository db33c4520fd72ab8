//! Many producers, many consumers.
//!
//! Each slot carries a sequence number that says whose turn it is, so that producers contend only with producers, for the
//! tail, and consumers only with consumers, for the head (Vyukov, "Bounded MPMC queue", 1024cores.net, 2010). A thread
//! claims a position by moving the tail or head past it with a compare-and-swap, and then has the slot to itself until it
//! stores the next sequence.
//!
//! Positions go up in steps of two. The low bit of the tail says that the ring is closed, the low bit of a sequence that the
//! slot holds a value:
//!
//! ```text
//!   sequence == p          free, to be written by whoever claims position p
//!   sequence == p | FULL   holds the value of position p
//!   sequence == p + lap    read, free for the next lap
//! ```
//!
//! Invariants: `head <= tail <= head + capacity` (as wrapping distances); a slot's sequence is stored only by the thread that
//! claimed its position. Because the closed bit shares a word with the tail, no claim can succeed after closing, and a
//! consumer that finds its head equal to a closed tail knows that nothing more will come.
//!
//! What this is not: lock-free in the strict sense. A thread that stalls between its claim and its store delays its slot;
//! pops cannot overtake a slot that is still being written, and a push a lap later finds the ring full. All other slots
//! go on. In the words of the field, the ring is non-blocking per slot, not per operation.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_utils::{Backoff, CachePadded};

use crate::error::{
    PopError, PopTimeoutError, PushError, PushTimeoutError, TryPopError, TryPushError,
};
use crate::slots::Slots;
use crate::sync::{Arc, AtomicUsize, acquire, fence, release, step};
use crate::wait::EventCount;

/// The distance between positions.
const STEP: usize = 2;
/// In the tail: no more claims.
const CLOSED: usize = 1;
/// In a sequence: the slot holds a value.
const FULL: usize = 1;

struct Ring<T> {
    tail: CachePadded<Tail>,
    /// Next position to read.
    head: CachePadded<AtomicUsize>,
    /// Capacity in positions.
    room: usize,
    /// Positions in one lap of the slots; more than `room` unless the capacity is a power of two.
    lap: usize,
    slots: Slots<T, AtomicUsize>,
    not_empty: EventCount,
    not_full: EventCount,
}

struct Tail {
    /// Next position to write, and the closed bit.
    position: AtomicUsize,
    /// A head that some producer saw, in the producers' own cache line. May be old, never ahead.
    head_seen: AtomicUsize,
}

/// Makes a ring for at most `capacity` elements and returns its two ends, which can be cloned.
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
/// let (producer, consumer) = covet_queue::mpmc::bounded(8);
/// let other = producer.clone();
/// std::thread::spawn(move || other.push(1)).join().unwrap()?;
/// producer.push(2)?;
/// drop(producer); // the last producer: the ring is closed, and drained below
/// assert_eq!(std::iter::from_fn(|| consumer.pop().ok()).sum::<i32>(), 3);
/// # Ok::<(), covet_queue::PushError<i32>>(())
/// ```
pub fn bounded<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    bounded_from(capacity, 0)
}

/// Makes a ring as if `start` elements had already passed, so that a test can watch positions wrap.
#[doc(hidden)]
pub fn bounded_from<T>(capacity: usize, start: usize) -> (Producer<T>, Consumer<T>) {
    fence::prepare();
    let slots = Slots::new(capacity, start, |index| {
        AtomicUsize::new(index.wrapping_mul(STEP))
    });
    let position = start.wrapping_mul(STEP);
    let ring = Arc::new(Ring {
        tail: CachePadded::new(Tail {
            position: AtomicUsize::new(position),
            head_seen: AtomicUsize::new(position),
        }),
        head: CachePadded::new(AtomicUsize::new(position)),
        room: capacity * STEP,
        lap: slots.len() * STEP,
        slots,
        not_empty: EventCount::new(),
        not_full: EventCount::new(),
    });
    let producer = Producer {
        alive: Arc::new(CloseOnDrop(Arc::clone(&ring))),
        ring: Arc::clone(&ring),
    };
    let consumer = Consumer {
        alive: Arc::new(CloseOnDrop(Arc::clone(&ring))),
        ring,
    };
    (producer, consumer)
}

/// Shared by all handles of one side: when the last one goes, the ring is closed.
struct CloseOnDrop<T>(Arc<Ring<T>>);

impl<T> Drop for CloseOnDrop<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// A writing end of a ring with many producers. Dropping the last one closes the ring.
pub struct Producer<T> {
    ring: Arc<Ring<T>>,
    alive: Arc<CloseOnDrop<T>>,
}

impl<T> Producer<T> {
    /// Pushes a value if there is room now. Never waits for a lock, except to wake a sleeping consumer.
    ///
    /// # Errors
    ///
    /// Gives the value back: [`TryPushError::Full`] if the ring holds `capacity` elements or the next slot is still being
    /// read, [`TryPushError::Closed`] if any handle has closed it.
    #[inline]
    pub fn try_push(&self, value: T) -> Result<(), TryPushError<T>> {
        self.ring.try_push(value)
    }

    /// Pushes a value, waiting while the ring is full.
    ///
    /// # Errors
    ///
    /// Gives the value back if the ring is or becomes closed.
    #[inline]
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        match self.ring.try_push(value) {
            Ok(()) => Ok(()),
            Err(TryPushError::Closed(value)) => Err(PushError(value)),
            Err(TryPushError::Full(value)) => match self.ring.push_slow(value, None) {
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
    pub fn push_timeout(&self, value: T, timeout: Duration) -> Result<(), PushTimeoutError<T>> {
        match self.ring.try_push(value) {
            Ok(()) => Ok(()),
            Err(TryPushError::Closed(value)) => Err(PushTimeoutError::Closed(value)),
            // A time too long for the clock is no limit.
            Err(TryPushError::Full(value)) => self
                .ring
                .push_slow(value, Instant::now().checked_add(timeout)),
        }
    }

    /// Closes the ring: later pushes of all producers fail, and pops go on until it is drained. Closing again does nothing.
    pub fn close(&self) {
        self.ring.close();
    }

    /// Returns whether the ring was closed, from either side.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// Returns how many elements are in the ring, counting those that are being written; others may change it meanwhile.
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
        self.ring.room / STEP
    }
}

/// A reading end of a ring with many consumers. Dropping the last one closes the ring.
///
/// Each element goes to one consumer.
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    alive: Arc<CloseOnDrop<T>>,
}

impl<T> Consumer<T> {
    /// Pops the oldest element if it is there now. Never waits for a lock, except to wake a sleeping producer.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`] if there is none now or the oldest is still being written, [`TryPopError::Closed`] if there
    /// will never be one again.
    #[inline]
    pub fn try_pop(&self) -> Result<T, TryPopError> {
        self.ring.try_pop()
    }

    /// Pops the oldest element, waiting while the ring is empty.
    ///
    /// # Errors
    ///
    /// [`PopError`] if the ring is closed and drained.
    #[inline]
    pub fn pop(&self) -> Result<T, PopError> {
        match self.ring.try_pop() {
            Ok(value) => Ok(value),
            Err(TryPopError::Closed) => Err(PopError),
            Err(TryPopError::Empty) => self.ring.pop_slow(None).map_err(|_| PopError),
        }
    }

    /// Pops the oldest element, waiting while the ring is empty, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`PopTimeoutError::Timeout`] if nothing came in time, [`PopTimeoutError::Closed`] if the ring is closed and drained.
    pub fn pop_timeout(&self, timeout: Duration) -> Result<T, PopTimeoutError> {
        match self.ring.try_pop() {
            Ok(value) => Ok(value),
            Err(TryPopError::Closed) => Err(PopTimeoutError::Closed),
            // A time too long for the clock is no limit.
            Err(TryPopError::Empty) => self.ring.pop_slow(Instant::now().checked_add(timeout)),
        }
    }

    /// Closes the ring: later pushes fail. What was pushed successfully stays and can be popped. Closing again does nothing.
    pub fn close(&self) {
        self.ring.close();
    }

    /// Returns whether the ring was closed, from either side. There may still be elements to pop.
    pub fn is_closed(&self) -> bool {
        self.ring.is_closed()
    }

    /// Returns how many elements are in the ring, counting those that are being written; others may change it meanwhile.
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
        self.ring.room / STEP
    }
}

impl<T> Ring<T> {
    #[inline(always)]
    fn try_push(&self, value: T) -> Result<(), TryPushError<T>> {
        let backoff = Backoff::new();
        // Relaxed, here and below: positions only choose a slot; its sequence carries the happens-before.
        let mut tail = self.tail.position.load(Ordering::Relaxed);
        loop {
            if tail & CLOSED != 0 {
                return self.refuse(value);
            }
            let sequence = self.slots.mark(tail / STEP);
            // Acquire: pairs with "mpmc: pop frees"; the value of the last lap has been read.
            let turn = sequence
                .load(acquire!("mpmc: push sees slot"))
                .wrapping_sub(tail) as isize;
            if turn == 0 {
                // Only a ring with more slots than capacity can be full while its next slot is free.
                if self.room != self.lap {
                    match self.room_at(tail) {
                        Room::Free => {}
                        Room::Full => return Err(TryPushError::Full(value)),
                        Room::Passed => {
                            tail = self.tail.position.load(Ordering::Relaxed);
                            continue;
                        }
                    }
                }
                match self.tail.position.compare_exchange_weak(
                    tail,
                    tail.wrapping_add(STEP),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        // SAFETY: the sequence said free, and moving the tail past it made the slot this thread's alone.
                        unsafe { self.slots.write(tail / STEP, value) };
                        // Release: pairs with "mpmc: pop sees slot", which must also see the value.
                        sequence.store(tail | FULL, release!("mpmc: push publishes"));
                        self.not_empty.notify_one();
                        return Ok(());
                    }
                    Err(_) => {
                        // By the end of the pauses the tail that won is old as well.
                        backoff.spin();
                        tail = self.tail.position.load(Ordering::Relaxed);
                    }
                }
            } else if turn < 0 {
                // The slot still holds the value of the last lap, so the tail just loaded is the tail.
                return Err(TryPushError::Full(value));
            } else {
                // Another producer has used this position meanwhile.
                tail = self.tail.position.load(Ordering::Relaxed);
            }
        }
    }

    /// Returns the error of a closed ring, and makes what was done before closing visible to who is told.
    #[cold]
    fn refuse(&self, value: T) -> Result<(), TryPushError<T>> {
        // Acquire: pairs with "mpmc: close".
        self.tail.position.load(acquire!("mpmc: push sees close"));
        Err(TryPushError::Closed(value))
    }

    /// Compares a tail with the exact capacity.
    #[inline]
    fn room_at(&self, tail: usize) -> Room {
        // Relaxed: the head that was seen may be old, which errs towards full.
        let distance = tail.wrapping_sub(self.tail.head_seen.load(Ordering::Relaxed));
        if distance < self.room {
            return Room::Free;
        }
        self.refresh_room(tail)
    }

    #[cold]
    fn refresh_room(&self, tail: usize) -> Room {
        // Relaxed: the head only moves on, so whatever is loaded, there was that much room or less used.
        let head = self.head.load(Ordering::Relaxed);
        self.tail.head_seen.store(head, Ordering::Relaxed);
        let distance = tail.wrapping_sub(head) as isize;
        if distance < 0 {
            Room::Passed
        } else if distance < self.room as isize {
            Room::Free
        } else {
            Room::Full
        }
    }

    #[cold]
    fn push_slow(&self, value: T, deadline: Option<Instant>) -> Result<(), PushTimeoutError<T>> {
        let mut waiting = Some(value);
        let result = self
            .not_full
            .wait_until(deadline, || match self.try_push(waiting.take()?) {
                Ok(()) => Some(Ok(())),
                Err(TryPushError::Closed(value)) => Some(Err(PushTimeoutError::Closed(value))),
                Err(TryPushError::Full(value)) => {
                    waiting = Some(value);
                    None
                }
            });
        // Slots can become free out of order: the wake-up for a later slot may have found the earlier one still being
        // read and been spent on nothing. So whoever was woken for the earlier one passes it on.
        step!(
            "mpmc: woken push passes on",
            self.not_full.pass_on_if(|| self.len() * STEP < self.room)
        );
        match (result, waiting) {
            (Some(result), _) => result,
            (None, Some(value)) => Err(PushTimeoutError::Timeout(value)),
            (None, None) => unreachable!("a value leaves only with a result"),
        }
    }

    #[inline(always)]
    fn try_pop(&self) -> Result<T, TryPopError> {
        let backoff = Backoff::new();
        // Relaxed, here and below: positions only choose a slot; its sequence carries the happens-before.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            let sequence = self.slots.mark(head / STEP);
            // Acquire: pairs with "mpmc: push publishes"; the value is read next.
            let turn = sequence
                .load(acquire!("mpmc: pop sees slot"))
                .wrapping_sub(head | FULL) as isize;
            if turn == 0 {
                match self.head.compare_exchange_weak(
                    head,
                    head.wrapping_add(STEP),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        // SAFETY: the sequence said full, and moving the head past it made the value this thread's alone.
                        let value = unsafe { self.slots.take(head / STEP) };
                        // Release: pairs with "mpmc: push sees slot"; the value has been read.
                        sequence.store(head.wrapping_add(self.lap), release!("mpmc: pop frees"));
                        self.not_full.notify_one();
                        return Ok(value);
                    }
                    Err(_) => {
                        // By the end of the pauses the head that won is old as well.
                        backoff.spin();
                        head = self.head.load(Ordering::Relaxed);
                    }
                }
            } else if turn < 0 {
                return Err(self.nothing_at(head));
            } else {
                // Another consumer has used this position meanwhile.
                head = self.head.load(Ordering::Relaxed);
            }
        }
    }

    /// Tells whether something may still be published at `head`.
    #[inline]
    fn nothing_at(&self, head: usize) -> TryPopError {
        // Acquire: pairs with "mpmc: close", so that whoever sees the end also sees all that was done before closing. That
        // the ring is drained follows from the value alone: nothing changes the tail after the bit is set, and all
        // positions before `head` have been claimed by consumers.
        let tail = self.tail.position.load(acquire!("mpmc: pop sees close"));
        if tail == head | CLOSED {
            TryPopError::Closed
        } else {
            TryPopError::Empty
        }
    }

    #[cold]
    fn pop_slow(&self, deadline: Option<Instant>) -> Result<T, PopTimeoutError> {
        let result = self
            .not_empty
            .wait_until(deadline, || match self.try_pop() {
                Ok(value) => Some(Ok(value)),
                Err(TryPopError::Closed) => Some(Err(PopTimeoutError::Closed)),
                Err(TryPopError::Empty) => None,
            });
        // Slots can become full out of order: the wake-up for a later slot may have found the earlier one still being
        // written and been spent on nothing. So whoever was woken for the earlier one passes it on.
        step!(
            "mpmc: woken pop passes on",
            self.not_empty.pass_on_if(|| self.len() > 0)
        );
        // A ring that was closed during a push is drained only now, and nobody but the last to pop knows.
        step!(
            "mpmc: last pop tells the others",
            self.not_empty.pass_on_if(|| self.is_closed())
        );
        result.unwrap_or(Err(PopTimeoutError::Timeout))
    }

    fn close(&self) {
        // Release: pairs with "mpmc: push sees close" and "mpmc: pop sees close".
        self.tail.position.fetch_or(CLOSED, release!("mpmc: close"));
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    fn is_closed(&self) -> bool {
        // Relaxed: an answer about now, which promises nothing about anything else.
        self.tail.position.load(Ordering::Relaxed) & CLOSED != 0
    }

    fn len(&self) -> usize {
        // Relaxed: a snapshot of two moving positions. The head is read first, so that it is not beyond the tail; what was
        // pushed in between can make the distance too large.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.position.load(Ordering::Relaxed) & !CLOSED;
        let distance = tail.wrapping_sub(head);
        if distance as isize <= 0 {
            0
        } else {
            distance.min(self.room) / STEP
        }
    }
}

enum Room {
    Free,
    Full,
    /// The tail that was compared is no longer the tail.
    Passed,
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Relaxed: all handles are gone, and with the last reference came everything they did.
        let head = self.head.load(Ordering::Relaxed) / STEP;
        let left = self.len();
        // SAFETY: no claim is under way, so the slots from head to tail are the ones that hold values, fewer than a lap.
        unsafe {
            self.slots
                .drop_values((0..left).map(|offset| head.wrapping_add(offset)));
        }
    }
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
            alive: Arc::clone(&self.alive),
        }
    }
}

impl<T> Clone for Consumer<T> {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
            alive: Arc::clone(&self.alive),
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
