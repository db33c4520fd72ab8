//! Loom's atomics, locks and parking, and the switch that weakens one ordering.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::AtomicUsize;
pub(crate) use loom::sync::{Arc, Mutex};

pub(crate) use loom::thread::yield_now;
pub(crate) use std::time::Instant as Deadline;

use loom::sync::Condvar;
use std::time::Instant;

macro_rules! acquire {
    ($name:literal) => {
        $crate::weaken::ordering($name, ::std::sync::atomic::Ordering::Acquire)
    };
}
macro_rules! release {
    ($name:literal) => {
        $crate::weaken::ordering($name, ::std::sync::atomic::Ordering::Release)
    };
}
macro_rules! step {
    ($name:literal, $step:expr) => {
        if $crate::weaken::keeps($name) {
            $step
        }
    };
}
macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $name:ident() -> $ret:ty $body:block) => {
        $(#[$meta])*
        $vis fn $name() -> $ret $body
    };
}

pub(crate) use {acquire, const_fn, release, step};

/// Loom's cells are more than their content, so models write slot by slot.
pub(crate) fn first_of<T>(_: *const UnsafeCell<T>) -> *mut T {
    unimplemented!("a model has no slices")
}

/// The asymmetric fence pair as loom can express it: both sides pay.
pub(crate) mod fence {
    use loom::sync::atomic::{Ordering, fence};

    pub(crate) fn prepare() {}

    pub(crate) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy() {
        fence(Ordering::SeqCst);
    }
}

/// A condition variable: loom's own `unpark` also wakes a thread that waits for a lock, and then fails.
#[derive(Clone)]
pub(crate) struct Parker(Arc<(Mutex<bool>, Condvar)>);

impl Parker {
    pub(crate) fn current() -> Self {
        Self(Arc::new((Mutex::new(false), Condvar::new())))
    }

    /// Every deadline passes at once, but not before other threads could run.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        if deadline.is_some() {
            loom::thread::yield_now();
            return true;
        }
        let (token, signal) = &*self.0;
        let mut token = token.lock().unwrap();
        while !*token {
            token = signal.wait(token).unwrap();
        }
        *token = false;
        false
    }

    pub(crate) fn unpark(&self) {
        let (token, signal) = &*self.0;
        *token.lock().unwrap() = true;
        signal.notify_one();
    }
}

/// Every deadline passes at once.
pub(crate) fn has_passed(_: Deadline) -> bool {
    true
}

pub(crate) fn spinning_helps() -> bool {
    false
}

/// The switch that model tests use to weaken one named ordering or leave out one named step.
#[doc(hidden)]
pub mod weaken {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;
    use std::thread_local;

    thread_local! {
        // Of the system's thread, not of the modelled one: loom runs a whole model on one thread.
        static WEAKENED: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Weakens `name` in models that this thread runs from now on; `None` ends it.
    pub fn set(name: Option<&'static str>) {
        WEAKENED.set(name);
    }

    pub(crate) fn keeps(name: &str) -> bool {
        WEAKENED.get() != Some(name)
    }

    pub(crate) fn ordering(name: &str, strong: Ordering) -> Ordering {
        if keeps(name) {
            strong
        } else {
            Ordering::Relaxed
        }
    }
}
