//! Loom's atomics, locks and parking.

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::{AtomicI32, AtomicUsize};
pub(crate) use loom::sync::{Arc, Mutex};

pub(crate) use loom::thread::yield_now;
pub(crate) use std::time::Instant as Deadline;

use loom::sync::Condvar;
use std::time::{Duration, Instant};

macro_rules! const_fn {
    ($(#[$meta:meta])* $vis:vis const fn $name:ident() -> $ret:ty $body:block) => {
        $(#[$meta])*
        $vis fn $name() -> $ret $body
    };
}

pub(crate) use const_fn;

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
#[doc(hidden)]
pub mod fence {
    use std::cell::Cell;
    use std::thread_local;

    use loom::sync::atomic::{AtomicUsize, Ordering, fence};

    thread_local! {
        // Of the system's thread, not of the modelled one: loom runs a whole model on one thread.
        static BARE: Cell<bool> = const { Cell::new(false) };
    }

    /// Chooses the bare pair, or the full fences.
    pub fn set_bare(bare: bool) {
        BARE.set(bare);
    }

    loom::lazy_static! {
        static ref LIGHT: AtomicUsize = AtomicUsize::new(0);
        static ref HEAVY: AtomicUsize = AtomicUsize::new(0);
    }

    /// Makes the two words while there is only one thread, lest their making order anything.
    pub(crate) fn prepare() {
        if BARE.get() {
            let _: (&AtomicUsize, &AtomicUsize) = (&LIGHT, &HEAVY);
        }
    }

    pub(crate) fn light() {
        if BARE.get() {
            pass(&LIGHT, &HEAVY);
        } else {
            fence(Ordering::SeqCst);
        }
    }

    pub(crate) fn heavy() {
        if BARE.get() {
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
