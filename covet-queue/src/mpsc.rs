//! Many producers, one consumer.
//!
//! The ring of [`mpmc`](crate::mpmc), whose head only one consumer moves: a pop costs no locked instruction, a batch costs no
//! more than a single value, and [`peek`](Consumer::peek) is possible. Producers are of the same type, with the same
//! guarantees: one that stalls between claim and publication delays its slots and the pops behind them. What a batch pop has
//! taken becomes free when the batch ends.

use alloc::vec::Vec;
use core::cell::Cell;
use core::fmt;
use core::marker::PhantomData;
#[cfg(feature = "std")]
use core::time::Duration;

use crate::error::{PopError, PopTimeoutError, TryPopError};
use crate::methods::consumer_methods;
use crate::ring::{self, Hint, One, Ring, Side};
use crate::strategy::Wait;
use crate::sync::{Arc, Deadline};

pub use crate::mpmc::Producer;

/// Makes a ring for at most `capacity` elements and returns its two ends, of which the writing one can be cloned.
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
/// let (producer, mut consumer) = covet_queue::mpsc::bounded(8);
/// let other = producer.clone();
/// std::thread::spawn(move || other.push(1)).join().unwrap()?;
/// assert_eq!(consumer.peek(), Ok(&1));
/// assert_eq!(consumer.pop(), Ok(1));
/// # Ok::<(), covet_queue::PushError<i32>>(())
/// ```
pub fn bounded<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    bounded_from(capacity, 0)
}

/// Makes a ring as if `start` elements had already passed, so that a test can watch positions wrap.
#[doc(hidden)]
pub fn bounded_from<T>(capacity: usize, start: usize) -> (Producer<T>, Consumer<T>) {
    let (ring, [writers, readers], hint) = ring::new::<T, One>(capacity, start);
    let consumer = Consumer {
        ring: Arc::clone(&ring),
        wait: Wait::default(),
        hint: hint.clone(),
        _side: readers,
        _alone: PhantomData,
    };
    (Producer::new(ring, writers, hint), consumer)
}

/// The reading end of a ring with many producers. Dropping it closes the ring.
///
/// It cannot be cloned, and whoever pops has it alone:
///
/// ```compile_fail,E0599
/// let (_producer, consumer) = covet_queue::mpsc::bounded::<u8>(1);
/// let other = consumer.clone();
/// ```
///
/// ```compile_fail,E0277
/// fn send<T: Send>(_: T) {}
/// let (_producer, consumer) = covet_queue::mpsc::bounded::<std::rc::Rc<u8>>(1);
/// send(consumer); // what it holds cannot go to another thread
/// ```
pub struct Consumer<T> {
    ring: Arc<Ring<T>>,
    wait: Wait,
    hint: Hint,
    _side: Arc<Side<T>>,
    /// Not `Sync`: the private methods pop with `&self`.
    _alone: PhantomData<Cell<()>>,
}

impl<T> Consumer<T> {
    /// Pops the oldest element if it is there now. Never waits for a lock, except to wake a sleeping producer.
    ///
    /// Costs no locked instruction: one store. Wait-free, apart from stepping over the slots of aborted claims.
    ///
    /// # Errors
    ///
    /// [`TryPopError::Empty`] if there is none now or the oldest is still being written, [`TryPopError::Closed`] if there
    /// will never be one again.
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
        // SAFETY: `self` is the only consumer, and is borrowed as long as the reference lives.
        unsafe { self.ring.peek(&self.hint) }
    }

    /// Closes the ring: later pushes fail. What was pushed successfully stays and can be popped. Closing again does nothing.
    pub fn close(&mut self) {
        self.ring.close();
    }

    consumer_methods!(self mut);

    #[inline(always)]
    pub(crate) fn pop_now(&self) -> Result<T, TryPopError> {
        self.ring.try_pop::<One>(&self.hint)
    }

    #[inline]
    pub(crate) fn try_pop_each(
        &self,
        most: usize,
        each: impl FnMut(T),
    ) -> Result<usize, TryPopError> {
        self.ring.try_pop_batch::<One>(&self.hint, most, each)
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

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").finish_non_exhaustive()
    }
}
