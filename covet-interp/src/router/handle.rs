//! The two ends of a task's result.

use crate::attach::Detached;
use crate::deadline::wait_while;
use crate::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

struct Ticket<T> {
    state: Mutex<State<T>>,
    over: Condvar,
}

struct State<T> {
    stage: Stage,
    /// There from the moment it is over until it is asked for.
    outcome: Option<Result<T, Error>>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Queued,
    Running,
    Over,
}

/// The two ends of a new task.
pub(super) fn pair<T>() -> (Promise<T>, Handle<T>) {
    let ticket = Arc::new(Ticket {
        state: Mutex::new(State {
            stage: Stage::Queued,
            outcome: None,
            waker: None,
        }),
        over: Condvar::new(),
    });
    (Promise(Arc::clone(&ticket)), Handle(ticket))
}

impl<T> Ticket<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, mut state: MutexGuard<'_, State<T>>, outcome: Result<T, Error>) {
        state.stage = Stage::Over;
        state.outcome = Some(outcome);
        let waker = state.waker.take();
        drop(state);
        self.over.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The end of whoever runs the task. Dropped without a word, it says [`Error::Closed`]: no handle waits for ever.
pub(super) struct Promise<T>(Arc<Ticket<T>>);

impl<T> Promise<T> {
    /// Begins the task, unless it was cancelled.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.0.state();
        let queued = state.stage == Stage::Queued;
        if queued {
            state.stage = Stage::Running;
        }
        queued
    }

    pub(super) fn keep(self, outcome: Result<T, Error>) {
        self.0.end(self.0.state(), outcome);
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let state = self.0.state();
        if state.stage != Stage::Over {
            self.0.end(state, Err(Error::Closed));
        }
    }
}

/// A task of a [`Router`](super::Router): waits for its result, or is awaited as a future under any runtime.
///
/// Dropping it changes nothing: the task runs.
#[must_use = "dropped, the result is lost; the task runs"]
pub struct Handle<T>(Arc<Ticket<T>>);

impl<T> Handle<T> {
    /// Cancels the task if it has not begun; its place in the queue is free once a thread of its lane comes to it. Returns
    /// whether this call cancelled it.
    pub fn cancel(&self) -> bool {
        let state = self.0.state();
        let queued = state.stage == Stage::Queued;
        if queued {
            self.0.end(state, Err(Error::Cancelled));
        }
        queued
    }

    /// Whether it has a result or an error.
    pub fn is_over(&self) -> bool {
        self.0.state().stage == Stage::Over
    }

    /// Waits (detached) until the task is over, or until the deadline. Returns whether it is.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.is_over() {
            return true;
        }
        let _detached = Detached::new();
        let over = |state: &mut State<T>| state.stage == Stage::Over;
        let mut state = wait_while(&self.0.over, self.0.state(), deadline, |state| !over(state));
        over(&mut state)
    }

    /// Waits (detached) for the result.
    ///
    /// # Errors
    /// See [`Submission`](super::Submission).
    pub fn result(self) -> Result<T, Error> {
        self.wait(None);
        self.0.state().outcome.take().unwrap_or(Err(Error::Closed))
    }
}

impl<T> Future for Handle<T> {
    type Output = Result<T, Error>;

    /// Once it has given its result, it gives [`Error::Closed`].
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.state();
        if state.stage == Stage::Over {
            return Poll::Ready(state.outcome.take().unwrap_or(Err(Error::Closed)));
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle")
            .field(&self.0.state().stage)
            .finish()
    }
}
