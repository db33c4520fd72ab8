//! What a child of `fork` inherits, and why it survives that.
//!
//! In the child only the thread that forked exists. CPython then deletes every interpreter but the main one, whose threads are
//! gone in the middle of whatever they did, and crashes in that. So before CPython looks, the child takes them out of the
//! runtime's list: they are memory that nobody looks at any more. Pools, tasks and batches know the process that they were made
//! in, and say so instead of waiting for threads that are not there. Locks of the process that such a thread may have held are
//! made anew.

use crate::error::Error;
use crate::ffi;
use crate::runtime::Runtime;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// How many forks lie between the process that loaded this library and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Where the runtime keeps the first of its list of interpreters, the newest; null until that is known.
static NEWEST: AtomicPtr<AtomicPtr<ffi::PyInterpreterState>> = AtomicPtr::new(std::ptr::null_mut());

/// The process that something was made in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// This one.
    pub(crate) fn this() -> Self {
        watch();
        Self(FORKS.load(Ordering::Relaxed))
    }

    /// Whether this is that process; otherwise it is a child, or a child's child.
    #[inline]
    pub(crate) fn is_this(self) -> bool {
        // Relaxed: it changes while a process has one thread, before anything else runs in that.
        self.0 == FORKS.load(Ordering::Relaxed)
    }
}

/// What a child is told that uses something of its parent's.
pub(crate) fn refusal() -> Error {
    Error::Runtime(
        "this pool belongs to the parent process: a fork has none of its workers; make a pool in the process that uses it"
            .to_owned(),
    )
}

/// A lock of the process, over a value that begins as the default. A child of `fork` has one of its own: the thread that held the
/// parent's may be gone.
pub(crate) struct PerProcess<T: 'static>(AtomicPtr<Made<T>>);

struct Made<T> {
    process: Process,
    value: Mutex<T>,
}

impl<T: Default> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'static, T> {
        let mut found = self.0.load(Ordering::Acquire);
        loop {
            // SAFETY: null, or a box that was leaked below.
            match unsafe { found.as_ref() } {
                Some(made) if made.process.is_this() => {
                    return made.value.lock().unwrap_or_else(PoisonError::into_inner);
                }
                _ => {
                    let new = Box::into_raw(Box::new(Made {
                        process: Process::this(),
                        value: Mutex::default(),
                    }));
                    // Release pairs with the acquires: who sees the pointer sees what it points to.
                    let (release, acquire) = (Ordering::AcqRel, Ordering::Acquire);
                    match self.0.compare_exchange(found, new, release, acquire) {
                        Ok(_) => found = new,
                        Err(other) => {
                            // SAFETY: made above, and nobody else has seen it.
                            drop(unsafe { Box::from_raw(new) });
                            found = other;
                        }
                    }
                }
            }
        }
    }
}

/// Whether a fork is harmless while there are subinterpreters: the runtime's list has been found, and this is no free-threaded
/// build. In the children of those (3.13) crashes and hangs were seen, whose cause is not known: no GIL keeps other threads out of
/// the runtime while it forks.
pub fn fork_is_safe() -> bool {
    !ffi::FREE_THREADED_BUILD && !NEWEST.load(Ordering::Relaxed).is_null()
}

/// Where the runtime keeps the first of its list of interpreters, if that is known.
pub(crate) fn newest() -> Option<&'static AtomicPtr<ffi::PyInterpreterState>> {
    // SAFETY: null, or a field of the runtime, which lives as long as the process.
    unsafe { NEWEST.load(Ordering::Relaxed).as_ref() }
}

/// Has forks noticed from now on.
fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(unix)]
        // SAFETY: the handler may run in a child of any fork: it does nothing but load and store words. A Python extension is never
        // unloaded, and neither is a program.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
    });
}

#[cfg(unix)]
unsafe extern "C" fn in_child() {
    FORKS.store(FORKS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    // SAFETY: this is the only thread.
    unsafe { forget_interpreters() };
}

/// Takes all interpreters but the main one out of the runtime's list: CPython, which would end them, does not see them any more.
///
/// # Safety
/// Nobody else reads the list or writes to it now.
pub(crate) unsafe fn forget_interpreters() {
    if let Some(newest) = newest() {
        // SAFETY: the main interpreter is the oldest, so it ends the list.
        newest.store(unsafe { ffi::PyInterpreterState_Main() }, Ordering::Relaxed);
    }
}

/// Finds the runtime's list of interpreters, unless it is known.
pub(crate) fn find_list(_: &Runtime) {
    #[cfg(unix)]
    if NEWEST.load(Ordering::Relaxed).is_null() {
        // SAFETY: the runtime's memory is larger than this part of it. Python is initialised: there is a `Runtime`.
        let (fields, main) = unsafe { (&ffi::RUNTIME, ffi::PyInterpreterState_Main()) };
        // The newest interpreter and the main one stand side by side, in one place only.
        let mut found = fields.windows(2).filter(|pair| {
            // SAFETY: initialised, as above.
            let newest = unsafe { ffi::PyInterpreterState_Head() };
            pair[0].load(Ordering::Relaxed) == newest && pair[1].load(Ordering::Relaxed) == main
        });
        if let (Some(pair), None) = (found.next(), found.next()) {
            NEWEST.store((&raw const pair[0]).cast_mut(), Ordering::Relaxed);
        }
    }
}
