//! Threads that run something in an interpreter of a pool and wait for that pool.
//!
//! A task of the main interpreter, or of a free-threaded pool, can reach the pool that it runs in. When every interpreter of the
//! pool is kept by a thread that waits for an interpreter, or for a task that is not done, nothing can ever go on: an
//! interpreter is only given back by one of them, a queued task only begins in one that was given back, and one that runs is run
//! by one of them. So whoever waits
//! inside says what for, looks now and then whether that is so, and then gets [`Error::Deadlock`] instead.

use crate::error::Error;
use crate::ffi;
use crate::handle::{Core, TaskHandle};
use crate::shared::Shared;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long between two looks.
const STEP: Duration = Duration::from_millis(20);

/// What the threads inside a pool wait for without a deadline: a task, or an interpreter.
#[derive(Default)]
pub(crate) struct Waits(Mutex<Vec<(u64, Option<Arc<Core>>)>>);

/// One of them, while it lasts.
struct Wait<'p> {
    pool: &'p Shared,
    thread: u64,
}

impl Wait<'_> {
    /// Whether nothing in the pool can go on any more.
    fn is_for_ever(&self) -> bool {
        // An interpreter that is still being made will be free.
        if self.pool.is_growing() {
            return false;
        }
        let waits = self.pool.waits().0.lock();
        let waits = waits.unwrap_or_else(PoisonError::into_inner);
        let is_stuck = |holder: u64| {
            // The innermost wait of a thread is the last.
            let wait = waits.iter().rfind(|&&(thread, _)| thread == holder);
            wait.is_some_and(|(_, task)| task.as_ref().is_none_or(|task| !task.state().is_final()))
        };
        self.pool.holders().into_iter().all(is_stuck)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let waits = self.pool.waits().0.lock();
        let mut waits = waits.unwrap_or_else(PoisonError::into_inner);
        if let Some(i) = waits.iter().rposition(|&(thread, _)| thread == self.thread) {
            waits.remove(i);
        }
    }
}

impl Shared {
    /// Waits by `step`, which waits until the deadline it is given and says whether it got what it waits for: `task`, or an
    /// interpreter. `None` when the deadline has passed. `for_ever` says that the caller would wait again then: with a limit of
    /// its own no wait is a deadlock.
    pub(crate) fn wait_watchfully<R>(
        &self,
        task: Option<&TaskHandle>,
        deadline: Option<Instant>,
        for_ever: bool,
        mut step: impl FnMut(Option<Instant>) -> Option<R>,
    ) -> Result<Option<R>, Error> {
        let thread = ffi::thread_ident();
        if !for_ever || !self.holders().contains(&thread) {
            return Ok(step(deadline));
        }
        let task = task.map(|task| Arc::clone(task.core()));
        let waits = self.waits().0.lock();
        waits
            .unwrap_or_else(PoisonError::into_inner)
            .push((thread, task));
        let wait = Wait { pool: self, thread };
        loop {
            let soon = Instant::now() + STEP;
            let until = deadline.map_or(soon, |deadline| deadline.min(soon));
            if let Some(got) = step(Some(until)) {
                return Ok(Some(got));
            }
            if wait.is_for_ever() {
                return Err(Error::Deadlock);
            }
            if deadline == Some(until) {
                return Ok(None);
            }
        }
    }
}
