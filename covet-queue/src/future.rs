//! Waiting as a task: futures, streams and sinks on the same rings, for any runtime.
//!
//! | waits | a thread: blocks | a task: `.await` |
//! |---|---|---|
//! | until there is an element | `pop`, `pop_batch` | `recv`, `recv_batch`, `stream`, `into_stream` |
//! | until there is room | `push`, `push_batch` | `send`, `send_batch`, `sink`, `into_sink` |
//! | until there are [`bytes`](crate::bytes), or room for them | `read`, `write` | `recv`, `send` |
//! | until a condition holds | [`EventCount::wait_until`] | [`EventCount::wait`] |
//!
//! `send` and `recv` are what the channels of tokio, async-channel, kanal and crossfire call their awaited calls; no method
//! of this crate that blocks has such a name, so none is called in a task by mistake. Threads and tasks may wait at both
//! sides of one ring, and of one event count, in one list. Nothing here starts a thread, a timer or an executor, and a task
//! may move between runtimes.
//!
//! ```
//! use covet_queue::mpmc;
//! # let block_on = futures_executor::block_on;
//!
//! let (producer, consumer) = mpmc::bounded(2);
//! let thread = std::thread::spawn(move || {
//!     for value in 0..100 {
//!         producer.push(value).unwrap(); // blocks while the ring is full
//!     }
//! });
//! let sum = block_on(async {
//!     let mut sum = 0;
//!     while let Ok(value) = consumer.recv().await {
//!         sum += value;
//!     }
//!     sum
//! });
//! assert_eq!(sum, 4950);
//! thread.join().unwrap();
//! ```
//!
//! # What it costs
//!
//! A call that need not wait costs what `try_push` or `try_pop` costs. One that must wait yields first: it wakes its own task,
//! and looks again when that is polled, since the other side may be a task of the same thread. If that was of no use, it goes
//! on so for as long as a thread would spin (at most 40 µs, less and less where waits take longer, not at all on one core),
//! and gives the core to other threads between looks. Then it takes a lock, leaves a waker and runs the waiter's half of the
//! fence (see [`wait`](crate::wait)). It never blocks, and pays no attention to [`Wait`](crate::Wait).
//!
//! Whoever makes the other side able to go on pays what it pays to wake a thread, less the system call: nothing but the load
//! of one word as long as nobody waits. A task is woken as soon as one slot is free, not when a quarter is, as a parked
//! thread: it could not look again by itself. A call that need not wait does not return to the executor, so a task that
//! should leave time for others in a long loop has to yield.
//!
//! # Cancelling
//!
//! Any future here may be dropped at any time, as `select!` and timeouts do:
//!
//! - **No element is lost.** `recv` takes one only in the poll that returns it, and `recv_batch` calls its closure only in
//!   the poll that ends it.
//! - **No value is lost or sent twice.** `send` pushes its value in the poll that ends it. Until then the future owns it;
//!   [`SendFuture::into_inner`] gives it back. The values that `send_batch` has taken from its iterator are in the ring; to
//!   keep the others, give it `iterator.by_ref()`.
//! - **No wake-up is lost.** A future that was notified and is dropped before it made use of that notifies the next one in
//!   its stead.
//!
//! # Order of waiters
//!
//! Threads and tasks are notified in the order in which they took their places. A future takes its place when it has yielded
//! in vain, in its second poll or later, and keeps it over all later ones, whatever they are for and whichever task does them.
//! If it was notified and came too late, because somebody who did not wait was faster, it goes back to that place. To drop the
//! future is to give up the place, and a new one begins at the end: in a loop around `select!` keep the future, or use a stream
//! or a sink, which keep their place themselves while the futures of `next()` come and go. What is not promised is that
//! nobody overtakes: a call that has not waited yet takes what is there, even if somebody was notified of it.
//!
//! # Wakers
//!
//! A poll by another task, or with another waker, is fine: the last waker is the one that is woken. Wakers are cloned, woken
//! and dropped without any lock held, so they may use the ring. If one panics when it is woken, or when its future ends, the
//! panic ends there: the push or pop succeeds, and other waiters are woken as if nothing had happened.
//!
//! # Leaks
//!
//! A future that is leaked while it waits ([`mem::forget`](std::mem::forget)) keeps its place in the list until it is
//! notified; that notification then goes to its waker and to nobody else. This can leave another waiter asleep that the
//! notification would have been for, until the next push, pop or closing. Nothing worse: what it borrowed is not touched.

mod ends;
mod sink;
mod stream;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use self::ends::{Reading, Writing};
use crate::error::{PopError, PushBatchError, PushError, TryClaimError};
use crate::wait::{EventCount, Place};

pub use self::ends::{Receiver, Sender};
pub use self::sink::SendSink;
pub use self::stream::RecvStream;

/// Receives one element: made by `recv`. Ends with [`PopError`] if the ring is closed and drained.
#[must_use = "futures do nothing unless polled or awaited"]
pub struct RecvFuture<C: Receiver>(Reading<C>);

impl<C: Receiver> RecvFuture<C> {
    pub(crate) fn new(consumer: C) -> Self {
        Self(Reading::new(consumer))
    }
}

impl<C: Receiver> Future for RecvFuture<C> {
    type Output = Result<C::Item, PopError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context, |reader| reader.pop())
    }
}

/// Receives a batch: made by `recv_batch`. Ends with how many elements that were.
#[must_use = "futures do nothing unless polled or awaited"]
pub struct RecvBatchFuture<C: Receiver, F> {
    reading: Reading<C>,
    most: usize,
    each: F,
}

impl<C: Receiver, F: FnMut(C::Item)> RecvBatchFuture<C, F> {
    pub(crate) fn new(consumer: C, most: usize, each: F) -> Self {
        Self {
            reading: Reading::new(consumer),
            most,
            each,
        }
    }
}

impl<C: Receiver, F: FnMut(C::Item)> Future for RecvBatchFuture<C, F> {
    type Output = Result<usize, PopError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let (most, each) = (this.most, &mut this.each);
        this.reading
            .poll(context, |reader| reader.pop_batch(most, &mut *each))
    }
}

/// Sends one value: made by `send`. Ends with [`PushError`], which carries the value, if the ring is or becomes closed.
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendFuture<P: Sender> {
    writing: Writing<P>,
    /// Until it is sent.
    value: Option<P::Item>,
}

impl<P: Sender> SendFuture<P> {
    pub(crate) fn new(producer: P, value: P::Item) -> Self {
        Self {
            writing: Writing::new(producer),
            value: Some(value),
        }
    }

    /// Gives up, and returns the value, unless the future has ended.
    pub fn into_inner(self) -> Option<P::Item> {
        self.value
    }
}

impl<P: Sender> Future for SendFuture<P> {
    type Output = Result<(), PushError<P::Item>>;

    /// # Panics
    ///
    /// If the future has ended.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        assert!(this.value.is_some(), "polled after it had ended");
        this.writing.poll_push(context, &mut this.value)
    }
}

/// Sends all values of an iterator: made by `send_batch`. Ends with how many that were.
#[must_use = "futures do nothing unless polled or awaited"]
pub struct SendBatchFuture<P: Sender, I> {
    writing: Writing<P>,
    /// Until the ring is found closed.
    rest: Option<I>,
    sent: usize,
}

impl<P: Sender, I: Iterator<Item = P::Item>> SendBatchFuture<P, I> {
    pub(crate) fn new(producer: P, values: I) -> Self {
        Self {
            writing: Writing::new(producer),
            rest: Some(values),
            sent: 0,
        }
    }

    /// Returns how many values have been sent so far.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Claims slots for what the iterator promises, and fills them. Returns whether the iterator has come to its end.
    fn poll_claim(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, TryClaimError>> {
        let rest = self.rest.as_mut().expect("polled after it had ended");
        let hint = rest.size_hint();
        if hint.1 == Some(0) {
            return Poll::Ready(Ok(true));
        }
        let sent = &mut self.sent;
        self.writing.poll(context, |writer| {
            let claim = match writer.claim(hint.0.max(1)) {
                Ok(claim) => claim,
                Err(TryClaimError::Full) => return None,
                Err(TryClaimError::Closed) => return Some(Err(TryClaimError::Closed)),
            };
            let room = claim.len();
            let filled = claim.fill(&mut *rest);
            *sent += filled;
            Some(Ok(filled < room))
        })
    }
}

impl<P: Sender, I: Iterator<Item = P::Item>> Future for SendBatchFuture<P, I> {
    type Output = Result<usize, PushBatchError<I>>;

    /// # Panics
    ///
    /// If the future has ended with an error.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match ready!(this.poll_claim(context)) {
                Ok(false) => {}
                Ok(true) => return Poll::Ready(Ok(this.sent)),
                Err(_) => {
                    let pushed = this.sent;
                    let rest = this.rest.take().expect("was just used");
                    return Poll::Ready(Err(PushBatchError { pushed, rest }));
                }
            }
        }
    }
}

/// Waits for a condition: made by [`EventCount::wait`].
#[must_use = "futures do nothing unless polled or awaited"]
pub struct WaitFuture<'a, F> {
    events: &'a EventCount,
    place: Place,
    ready: F,
}

impl EventCount {
    /// Waits as a task until `ready` returns a value: the awaited form of [`wait_until`](Self::wait_until).
    ///
    /// `ready` is called in each poll, at least once, and once more after the task has entered the list of waiters, which it
    /// does in the second poll or later: before that it yields. How long to wait at most is a matter of the runtime: dropping the
    /// future ends it, and a notification that it had no use for goes to the next waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// use covet_queue::EventCount;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// # let block_on = futures_executor::block_on;
    ///
    /// static OPEN: AtomicBool = AtomicBool::new(false);
    /// static CHANGED: EventCount = EventCount::new();
    ///
    /// let thread = std::thread::spawn(|| {
    ///     OPEN.store(true, Ordering::Release);
    ///     CHANGED.notify_all();
    /// });
    /// block_on(CHANGED.wait(|| OPEN.load(Ordering::Acquire).then_some(())));
    /// # thread.join().unwrap();
    /// ```
    pub fn wait<R, F: FnMut() -> Option<R>>(&self, ready: F) -> WaitFuture<'_, F> {
        WaitFuture {
            events: self,
            place: Place::new(),
            ready,
        }
    }
}

impl<R, F: FnMut() -> Option<R>> Future for WaitFuture<'_, F> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        let found = this
            .events
            .poll_until(&mut this.place, context, &mut this.ready);
        found.map(|(value, _)| value)
    }
}

impl<F> Drop for WaitFuture<'_, F> {
    fn drop(&mut self) {
        self.events.leave(&mut self.place);
    }
}

// No future here pins what it holds: not the value to send, nor the iterator, nor the closure.
impl<C: Receiver> Unpin for RecvFuture<C> {}
impl<C: Receiver, F> Unpin for RecvBatchFuture<C, F> {}
impl<P: Sender> Unpin for SendFuture<P> {}
impl<P: Sender, I> Unpin for SendBatchFuture<P, I> {}
impl<F> Unpin for WaitFuture<'_, F> {}

/// Says no more than the name: what a future holds is not always printable, and changes with the ring.
macro_rules! opaque_debug {
    ($($name:literal: $type:ty where [$($generics:tt)*])*) => {$(
        impl<$($generics)*> fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name).finish_non_exhaustive()
            }
        }
    )*};
}

opaque_debug! {
    "RecvFuture": RecvFuture<C> where [C: Receiver]
    "RecvBatchFuture": RecvBatchFuture<C, F> where [C: Receiver, F]
    "RecvStream": RecvStream<C> where [C: Receiver]
    "SendFuture": SendFuture<P> where [P: Sender]
    "SendBatchFuture": SendBatchFuture<P, I> where [P: Sender, I]
    "SendSink": SendSink<P> where [P: Sender]
    "WaitFuture": WaitFuture<'_, F> where [F]
}
