//! What needs an operating system: locks, a clock, and threads that sleep.

pub(crate) use std::sync::Mutex;
pub(crate) use std::thread::yield_now;
pub(crate) use std::time::Instant as Deadline;

use std::sync::OnceLock;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// One thread's ability to sleep, and a handle for others to end that sleep.
#[derive(Clone)]
pub(crate) struct Parker(Thread);

impl Parker {
    /// Returns the parker of the calling thread.
    pub(crate) fn current() -> Self {
        Self(thread::current())
    }

    /// Sleeps until `unpark`, until `deadline`, or for no reason. Returns whether the deadline has passed. Only the
    /// thread that made the parker may call this.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            thread::park();
            return false;
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
        Instant::now() >= deadline
    }

    /// Ends the current or the next sleep.
    pub(crate) fn unpark(&self) {
        self.0.unpark();
    }
}

/// Returns whether another thread can make progress while this one spins. Asks the system once.
pub(crate) fn spinning_helps() -> bool {
    static HELPS: OnceLock<bool> = OnceLock::new();

    *HELPS.get_or_init(crate::sync::fence::has_several_cores)
}

/// Returns when `time` from now will have passed.
pub(crate) fn after(time: Duration) -> Option<Deadline> {
    Some(Instant::now() + time)
}

/// Returns whether `deadline` is over.
pub(crate) fn has_passed(deadline: Deadline) -> bool {
    Instant::now() >= deadline
}
