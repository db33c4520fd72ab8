//! Loom's atomics, locks and parking, and the switch that weakens one ordering.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::AtomicUsize;
pub(crate) use loom::sync::{Arc, Mutex};

pub(crate) use loom::thread::yield_now;
pub(crate) use std::time::Instant as Deadline;

use loom::sync::Condvar;
use std::time::{Duration, Instant};

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

/// The asymmetric fence pair, in one of two forms.
///
/// Mostly both halves are full fences, as they are where the system has no better. That says too much where it has: a full
/// fence is also a release of everything before it, which a compiler fence is not, and so hides that a later store needs a
/// release of its own. Models of such stores ask for the bare pair, in which each half leaves what its thread has done where
/// the other half finds it, and then takes what the other side has left. Whichever comes first, the other sees it, and two
/// light halves see nothing of each other. (It costs many times as many schedules.)
pub(crate) mod fence {
    use loom::sync::atomic::{AtomicUsize, Ordering, fence};

    use super::weaken::has_bare_fences;

    loom::lazy_static! {
        static ref LIGHT: AtomicUsize = AtomicUsize::new(0);
        static ref HEAVY: AtomicUsize = AtomicUsize::new(0);
    }

    /// Makes the two words while there is only one thread, lest their making order anything.
    pub(crate) fn prepare() {
        if has_bare_fences() {
            let _: (&AtomicUsize, &AtomicUsize) = (&LIGHT, &HEAVY);
        }
    }

    pub(crate) fn light() {
        if has_bare_fences() {
            pass(&LIGHT, &HEAVY);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    pub(crate) fn heavy() {
        if has_bare_fences() {
            pass(&HEAVY, &LIGHT);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    fn pass(mine: &AtomicUsize, theirs: &AtomicUsize) {
        // Additions, because in a model they see the newest value.
        mine.fetch_add(1, Ordering::Release);
        theirs.fetch_add(0, Ordering::Acquire);
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

/// Nobody loses patience in a model, so that a wake-up which does not come is missed for ever.
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

/// The switches of model tests: one weakens a named ordering or leaves out a named step, the other bares the fence pair.
#[doc(hidden)]
pub mod weaken {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;
    use std::thread_local;

    thread_local! {
        // Of the system's thread, not of the modelled one: loom runs a whole model on one thread.
        static WEAKENED: Cell<Option<&'static str>> = const { Cell::new(None) };
        static BARE_FENCES: Cell<bool> = const { Cell::new(false) };
    }

    /// Weakens `name` in models that this thread runs from now on; `None` ends it.
    pub fn set(name: Option<&'static str>) {
        WEAKENED.set(name);
    }

    /// Chooses the form of the fence pair, see `fence`.
    pub fn bare_fences(on: bool) {
        BARE_FENCES.set(on);
    }

    pub(crate) fn has_bare_fences() -> bool {
        BARE_FENCES.get()
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
