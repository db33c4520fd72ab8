//! Shuttle's atomics, locks and parking. It knows one memory order, the sequentially consistent one, so fences do nothing.

pub(crate) use alloc::sync::Arc;
pub(crate) use shuttle::sync::Mutex;
pub(crate) use shuttle::sync::atomic::{AtomicI32, AtomicUsize};
pub(crate) use shuttle::thread::yield_now;
pub(crate) use std::time::Instant as Deadline;

use shuttle::thread::{self, Thread};
use std::time::{Duration, Instant};

pub(crate) mod fence {
    pub(crate) fn prepare() {}
    pub(crate) fn light() {}
    pub(crate) fn heavy() {}
}

#[derive(Clone)]
pub(crate) struct Parker(Thread);

impl Parker {
    pub(crate) fn current() -> Self {
        Self(thread::current())
    }

    /// Every deadline passes at once, but not before other threads could run.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        if deadline.is_some() {
            thread::yield_now();
            return true;
        }
        thread::park();
        false
    }

    pub(crate) fn unpark(&self) {
        self.0.unpark();
    }
}

/// Nobody loses patience here, so that a wake-up which does not come is missed for ever.
pub(crate) fn after(_: Duration) -> Option<Deadline> {
    None
}

/// Every deadline passes at once.
pub(crate) fn has_passed(_: Deadline) -> bool {
    true
}

pub(crate) fn spinning_helps() -> bool {
    false
}
