//! The pools of this process that have workers, by the interpreter that made them.
//!
//! Whoever ends an interpreter ends the pools made in it first: with a subinterpreter still running, finalizing Python
//! kills the process. A pool made inside a task belongs to the interpreter of that task.

use crate::attach::Detached;
use crate::error::Error;
use crate::ffi;
use crate::fork::{self, PerProcess};
use crate::pool::Shared;
use crate::strategy::Strategy;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Instant;

#[derive(Default)]
struct Registry {
    live: Vec<Arc<Shared>>,
    /// The interpreters that are about to end.
    ending: Vec<i64>,
}

fn registry() -> MutexGuard<'static, Registry> {
    // A child has no pools: it has none of their threads.
    static REGISTRY: PerProcess<Registry> = PerProcess::new();
    REGISTRY.lock()
}

/// The number of the interpreter that the calling thread is attached to, or of the main one.
pub(crate) fn this_interpreter() -> i64 {
    let interpreter = ffi::current_interpreter();
    if interpreter.is_null() {
        return MAIN;
    }
    // SAFETY: the calling thread is attached to it, so it is alive.
    unsafe { ffi::PyInterpreterState_GetID(interpreter) }
}

/// The number of the main interpreter.
const MAIN: i64 = 0;

/// Adds a pool that is about to get workers.
///
/// # Errors
/// [`Error::Runtime`] when its interpreter is about to end.
pub(crate) fn enlist(pool: &Arc<Shared>) -> Result<(), Error> {
    let mut registry = registry();
    if registry.ending.contains(&pool.home()) {
        return Err(Error::Runtime(
            "cannot make a pool: the interpreter is shutting down".to_owned(),
        ));
    }
    registry.live.push(Arc::clone(pool));
    Ok(())
}

/// Removes a pool whose workers have ended.
pub(crate) fn strike_off(pool: &Shared) {
    registry()
        .live
        .retain(|live| live.number() != pool.number());
}

/// Workers of the process whose thread is stuck in an interpreter. Below zero for a moment when one comes back at once.
static LOST: AtomicIsize = AtomicIsize::new(0);

/// Who wants to hear of lost workers.
static WHEN_LOST: OnceLock<fn()> = OnceLock::new();

/// Has `call` called whenever a worker is given up, before the handle of its task says so, on any thread, attached or not. It must be
/// quick. The first one counts.
pub fn when_lost(call: fn()) {
    WHEN_LOST.get_or_init(|| call);
}

/// Counts a worker that was given up.
pub(crate) fn worker_lost() {
    LOST.fetch_add(1, Ordering::SeqCst);
    if let Some(call) = WHEN_LOST.get() {
        call();
    }
}

/// Interpreters that no worker has any more, and that could not be ended.
static LEFT: AtomicUsize = AtomicUsize::new(0);

/// Counts an interpreter that its worker leaves as it is: threads that are not ours are in there, and sleep.
pub(crate) fn interpreter_left() {
    if fork::newest().is_some() {
        LEFT.fetch_add(1, Ordering::SeqCst);
    } else {
        worker_lost();
    }
}

/// Makes CPython not see such interpreters, which it would end, and so the process with them.
///
/// # Safety
/// Python is about to be finalized by the calling thread, and all pools have ended.
pub(crate) unsafe fn forget_interpreters() {
    if LEFT.load(Ordering::SeqCst) > 0 {
        // SAFETY: as promised.
        unsafe { fork::forget_interpreters() };
    }
}

/// A worker that was given up has ended after all.
pub(crate) fn worker_back() {
    LOST.fetch_sub(1, Ordering::SeqCst);
}

/// How many threads of this process are stuck in an interpreter now, because what they run did not stop when it was
/// interrupted ([`Error::Lost`]).
///
/// While there is one Python must not be finalized: that would end the process by a signal. Leave by `_exit` instead.
pub fn lost_workers() -> usize {
    usize::try_from(LOST.load(Ordering::SeqCst)).unwrap_or(0)
}

/// The pools that one interpreter made, for whoever ends that interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolsOf(i64);

impl PoolsOf {
    /// Those of the interpreter that the calling thread is attached to; of the main one if it is not attached.
    pub fn this_interpreter() -> Self {
        Self(this_interpreter())
    }

    /// Those of the main interpreter.
    pub(crate) fn main() -> Self {
        Self(MAIN)
    }

    fn live(self) -> Vec<Arc<Shared>> {
        registry()
            .live
            .iter()
            .filter(|pool| pool.home() == self.0)
            .cloned()
            .collect()
    }

    /// Refuses new pools, closes every pool, and waits (detached) until their workers have ended or until the deadline; not for
    /// those that were lost ([`lost_workers`]). Returns whether they have.
    pub fn shut_down(self, deadline: Option<Instant>) -> bool {
        let mut registry = registry();
        if !registry.ending.contains(&self.0) {
            registry.ending.push(self.0);
        }
        drop(registry);
        let pools = self.live();
        for pool in &pools {
            pool.close();
        }
        let _detached = Detached::new();
        pools.iter().all(|pool| pool.wait_ended(deadline))
    }

    /// Whether any of them runs in subinterpreters, so that a `fork` needs [`fork_is_safe`](crate::fork_is_safe).
    pub fn have_subinterpreters(self) -> bool {
        self.live()
            .iter()
            .any(|pool| pool.strategy() == Strategy::Subinterpreters)
    }

    /// Cancels every queued task of every pool, and interrupts what runs.
    pub fn interrupt(self) {
        for pool in self.live() {
            pool.abandon_now(&Error::Cancelled);
            pool.interrupt(None);
        }
    }
}
