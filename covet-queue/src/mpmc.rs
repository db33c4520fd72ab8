//! Many producers, many consumers.
//!
//! One compare-and-swap claims a slot, or a batch of them: all free slots from the tail on, as many as are asked for. After
//! that the claimer has them to itself (Vyukov, "Bounded MPMC queue", 1024cores.net, 2010; the batch is ours). Handles
//! can be cloned, and their methods take `&self`.
//!
//! What this is not: lock-free in the strict sense. A thread that stalls between its claim and its publication delays its
//! slots; pops cannot overtake a slot that is still being written, and a push a lap later finds the ring full. All other
//! slots go on. In the words of the field, the ring is non-blocking per slot, not per operation.
//!
//! There is no `peek`: another consumer may take the element at any time.

use alloc::vec::Vec;
use core::fmt;
#[cfg(feature = "std")]
use core::time::Duration;

use crate::claim::Claim;
use crate::error::{
    ClaimError, PopError, PopTimeoutError, PushBatchError, PushError, PushTimeoutError,
    TryClaimError, TryPopError, TryPushError,
};
use crate::methods::{consumer_methods, producer_methods};
use crate::ring::{self, Hint, Many, Ring, Side};
use crate::strategy::Wait;
use crate::sync::{Arc, Deadline};

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
    let (ring, [writers, readers], hint) = ring::new::<T, Many>(capacity, start);
    let consumer = Consumer {
        ring: Arc::clone(&ring),
        wait: Wait::default(),
        hint: hint.clone(),
        side: readers,
    };
    (Producer::new(ring, writers, hint), consumer)
}

/// A writing end of a ring with many producers. Dropping the last one closes the ring.
pub struct Producer<T> {
    ring: Arc<Ring<T>>,
    wait: Wait,
    hint: Hint,
    side: Arc<Side<T>>,
}

impl<T> Producer<T> {
    pub(crate) fn new(ring: Arc<Ring<T>>, side: Arc<Side<T>>, hint: Hint) -> Self {
        Self {
            ring,
            hint,
            wait: Wait::default(),
            side,
        }
    }

    /// Pushes a value if there is room now. Never waits for a lock, except to wake a sleeping consumer.
    ///
    /// Costs a compare-and-swap, repeated after a lost race with another producer, and a release store.
    ///
    /// # Errors
    ///
    /// Gives the value back: [`TryPushError::Full`] if the ring holds `capacity` elements or the next slot is still being
    /// read, [`TryPushError::Closed`] if any handle has closed it.
    #[inline]
    pub fn try_push(&self, value: T) -> Result<(), TryPushError<T>> {
        self.ring.try_push(&self.hint, value)
    }

    /// Closes the ring: later pushes of all producers fail, and pops go on until it is drained. Closing again does nothing.
    pub fn close(&self) {
        self.ring.close();
    }

    producer_methods!(self);

    #[inline(always)]
    pub(crate) fn push_now(&self, value: T) -> Result<(), TryPushError<T>> {
        self.ring.try_push(&self.hint, value)
    }

    #[inline]
    fn try_reserve(&self, most: usize) -> Result<(usize, usize), TryClaimError> {
        if most == 0 {
            return Ok((0, 0));
        }
        self.ring.try_reserve(&self.hint, most)
    }

    #[inline]
    fn claimed(&self, start: usize, count: usize) -> Claim<'_, T> {
        Claim::of_many(&self.ring, start, self.ring.slots().runs(start, count))
    }

    #[cfg(feature = "async")]
    pub(crate) fn ring(&self) -> &Ring<T> {
        &self.ring
    }

    fn wait_for_room<R>(
        &self,
        deadline: Option<Deadline>,
        ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        self.ring.wait_for_room(self.wait, deadline, ready)
    }
}

/// A reading end of a ring with many consumers. Dropping the last one closes the ring.
///
/// Each element goes to one consumer.
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    wait: Wait,
    hint: Hint,
    side: Arc<Side<T>>,
}

impl<T> Consumer<T> {
    /// Pops the oldest element if it is there now. Never waits for a lock, except to wake a sleeping producer.
    ///
    /// Costs a compare-and-swap, repeated after a lost race with another consumer, and a release store.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`] if there is none now or the oldest is still being written, [`TryPopError::Closed`] if there
    /// will never be one again.
    #[inline]
    pub fn try_pop(&self) -> Result<T, TryPopError> {
        self.ring.try_pop::<Many>(&self.hint)
    }

    /// Closes the ring: later pushes fail. What was pushed successfully stays and can be popped. Closing again does nothing.
    pub fn close(&self) {
        self.ring.close();
    }

    consumer_methods!(self);

    #[inline(always)]
    pub(crate) fn pop_now(&self) -> Result<T, TryPopError> {
        self.ring.try_pop::<Many>(&self.hint)
    }

    #[inline]
    pub(crate) fn try_pop_each(
        &self,
        most: usize,
        each: impl FnMut(T),
    ) -> Result<usize, TryPopError> {
        self.ring.try_pop_batch::<Many>(&self.hint, most, each)
    }

    #[cfg(feature = "async")]
    pub(crate) fn ring(&self) -> &Ring<T> {
        &self.ring
    }

    fn wait_for_value<R>(
        &self,
        deadline: Option<Deadline>,
        ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        self.ring.wait_for_value(self.wait, deadline, ready)
    }
}

impl<T> Clone for Producer<T> {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
            wait: self.wait,
            hint: self.hint.clone(),
            side: Arc::clone(&self.side),
        }
    }
}

impl<T> Clone for Consumer<T> {
    fn clone(&self) -> Self {
        Self {
            ring: Arc::clone(&self.ring),
            wait: self.wait,
            hint: self.hint.clone(),
            side: Arc::clone(&self.side),
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
