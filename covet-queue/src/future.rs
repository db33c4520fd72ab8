//! Waiting as a task, on any runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::wait::{EventCount, Place};

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
    /// `ready` is called in each poll, at least once, and once more after the task has entered the list of waiters. How
    /// long to wait at most is a matter of the runtime: dropping the future ends it, and a notification that it had no use
    /// for goes to the next waiter.
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

// The closure is not pinned.
impl<F> Unpin for WaitFuture<'_, F> {}

impl<F> fmt::Debug for WaitFuture<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFuture").finish_non_exhaustive()
    }
}
