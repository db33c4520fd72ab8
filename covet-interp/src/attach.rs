//! Which thread state the calling thread has attached, as guards.
//!
//! A thread may call Python only while a thread state is attached to it, on free-threaded builds too; attaching
//! to an interpreter with a GIL takes that GIL. Every guard here puts back what it found. None of them is `Send`:
//! a thread state belongs to the thread that attached it first.
//!
//! Guards of one thread nest, and each is a [`Detached`] with something attached in it. They are values, so safe code can
//! drop an outer one first, or forget one: then what is attached stays, and the thread goes back to what was attached before
//! the outer guard once the inner ones have ended. What CPython has noted for the thread ([`noted`]) comes back as well.

use crate::error::Error;
use crate::ffi;
use crate::fork::PerProcess;
use crate::noted;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicIsize, Ordering};
use std::sync::{Arc, MutexGuard, Weak};
use std::time::{Duration, Instant};

type NotSend = PhantomData<*mut ()>;

/// Nothing is attached to this thread while this lives; then what was attached before is again.
///
/// Costs one hand-over of the GIL each way. Use it around anything that waits: a thread that waits attached keeps its GIL, and
/// an interpreter whose thread is parked like that can stop the whole process from exiting.
#[derive(Debug)]
pub struct Detached {
    before: Before,
    /// How many such guards the thread had when this one was made, itself included.
    depth: usize,
    not_send: NotSend,
}

/// What a thread had before a guard.
#[derive(Debug, Clone, Copy)]
struct Before {
    attached: *mut ffi::PyThreadState,
    /// The same, or what was noted although nothing was attached.
    noted: *mut ffi::PyThreadState,
}

thread_local! {
    /// How many guards the thread has, those aside that ended in order.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// How many of them have ended before the ones inside.
    static EARLY: Cell<usize> = const { Cell::new(0) };
    /// Their depths, and what was there before them.
    static ENDED_EARLY: RefCell<Vec<(usize, Before)>> = const { RefCell::new(Vec::new()) };
}

impl Detached {
    /// Detaches the calling thread, if it is attached.
    pub fn new() -> Self {
        let before = if ffi::current().is_null() {
            Before {
                attached: ptr::null_mut(),
                noted: noted::get(),
            }
        } else {
            away(1);
            // SAFETY: a thread state is attached.
            let attached = unsafe { ffi::PyEval_SaveThread() };
            Before {
                attached,
                noted: attached,
            }
        };
        let depth = DEPTH.get() + 1;
        DEPTH.set(depth);
        Self {
            before,
            depth,
            not_send: PhantomData,
        }
    }

    /// Whether every guard that was made inside this one has ended: what is attached now, if anything, is this one's.
    #[inline]
    pub(crate) fn is_innermost(&self) -> bool {
        DEPTH.get() == self.depth
    }
}

/// What to go back to from the guard at `depth`, and the depth there, when some outside it have ended already.
#[cold]
fn past_ended(mut before: Before, mut depth: usize) -> (Before, usize) {
    ENDED_EARLY.with_borrow_mut(|ended| {
        while let Some(i) = ended.iter().position(|&(at, _)| at == depth) {
            if !before.attached.is_null() {
                away(-1);
            }
            before = ended.swap_remove(i).1;
            depth -= 1;
        }
        EARLY.set(ended.len());
    });
    (before, depth)
}

impl Default for Detached {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        if !self.is_innermost() {
            ENDED_EARLY.with_borrow_mut(|ended| {
                ended.push((self.depth, self.before));
                EARLY.set(ended.len());
            });
            return;
        }
        let (mut before, mut depth) = (self.before, self.depth - 1);
        if EARLY.get() > 0 {
            (before, depth) = past_ended(before, depth);
        }
        DEPTH.set(depth);
        // SAFETY: this was attached to this thread, and noted for it, when a guard was made that has ended now, as all inside
        // it have; so nothing is attached.
        unsafe {
            noted::put(before.noted);
            if !before.attached.is_null() {
                ffi::PyEval_RestoreThread(before.attached);
                away(-1);
            }
        }
    }
}

/// Attaches a state, and notes it, inside a [`Detached`].
///
/// # Safety
/// It is a state of this thread, to which nothing is attached.
#[inline]
pub(crate) unsafe fn attach(state: *mut ffi::PyThreadState) {
    // SAFETY: as promised.
    unsafe {
        noted::put(state);
        ffi::PyEval_RestoreThread(state);
    }
}

/// A thread state made for one visit to an interpreter.
///
/// Costs far more than a hand-over (a new state, and from 3.14 on a look at the thread's stack): for rare things.
#[derive(Debug)]
pub(crate) struct Visit {
    state: *mut ffi::PyThreadState,
    _before: Detached,
}

impl Visit {
    /// Attaches the calling thread to `interpreter`; waits for its GIL. `None` when there is no memory for a thread state.
    ///
    /// # Safety
    /// The interpreter is alive and stays so while the visit lasts.
    pub(crate) unsafe fn new(interpreter: *mut ffi::PyInterpreterState) -> Option<Self> {
        let before = Detached::new();
        // SAFETY: the interpreter is alive; nothing is attached; the new state has never been attached.
        let state = unsafe {
            let state = ffi::new_thread_state(interpreter)?;
            ffi::PyEval_RestoreThread(state);
            state
        };
        Some(Self {
            state,
            _before: before,
        })
    }

    /// Visits the main interpreter.
    ///
    /// # Safety
    /// Python is initialised and not finalizing, and is 3.12 or later (before, a thread has one state).
    pub(crate) unsafe fn main() -> Option<Self> {
        // SAFETY: the main interpreter lives as long as the runtime.
        unsafe { Self::new(ffi::PyInterpreterState_Main()) }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // SAFETY: `state` was made here and is attached; after this nothing is.
        unsafe {
            ffi::PyThreadState_Clear(self.state);
            ffi::PyThreadState_DeleteCurrent();
        }
    }
}

/// This thread is attached to the main interpreter while this lives, by the state that it has or keeps for it.
#[derive(Debug)]
pub(crate) struct AtMain {
    outside: Option<Detached>,
}

impl AtMain {
    /// Attaches the calling thread to the main interpreter, if it is not.
    ///
    /// # Errors
    /// [`Error::NoMemory`]; what was attached is so again then.
    ///
    /// # Safety
    /// Python is initialised and not finalizing.
    pub(crate) unsafe fn new() -> Result<Self, Error> {
        // SAFETY: initialised, as promised.
        if ffi::current_interpreter() == unsafe { ffi::PyInterpreterState_Main() } {
            return Ok(Self { outside: None });
        }
        let before = Detached::new();
        // SAFETY: the state is this thread's own, and nothing is attached.
        unsafe { attach(main_state()?) };
        Ok(Self {
            outside: Some(before),
        })
    }
}

impl Drop for AtMain {
    fn drop(&mut self) {
        if self.outside.as_ref().is_some_and(Detached::is_innermost) {
            // SAFETY: attached by `new`, and again by whatever was inside.
            unsafe { ffi::PyEval_SaveThread() };
        }
    }
}

/// This thread is attached to the main interpreter while this lives: it may call the C API of Python. The counterpart of
/// [`Detached`]. Not `Send`.
///
/// Costs one hand-over of the GIL each way, and nothing if the thread was attached to it before. To run Python code in an
/// interpreter of a pool, [`Pool::enter`](crate::Pool::enter) it.
#[derive(Debug)]
pub struct Attached<'r> {
    _main: AtMain,
    runtime: PhantomData<(&'r (), *mut ())>,
}

impl Attached<'_> {
    /// # Errors
    /// [`Error::NoMemory`].
    ///
    /// # Safety
    /// Python is initialised and not finalizing, for as long as the guard lives.
    pub(crate) unsafe fn new() -> Result<Self, Error> {
        Ok(Self {
            // SAFETY: as promised.
            _main: unsafe { AtMain::new()? },
            runtime: PhantomData,
        })
    }
}

/// The state of the main interpreter that this thread has; one is made and kept if it has none.
///
/// # Errors
/// [`Error::NoMemory`].
///
/// # Safety
/// Python is initialised and not finalizing.
pub(crate) unsafe fn main_state() -> Result<*mut ffi::PyThreadState, Error> {
    /// Kept until the thread ends.
    struct Kept(*mut ffi::PyThreadState);

    impl Drop for Kept {
        fn drop(&mut self) {
            orphans().push(Orphan(self.0));
        }
    }

    thread_local! {
        static KEPT: RefCell<Option<Kept>> = const { RefCell::new(None) };
    }

    // SAFETY: initialised, as promised; a state that the runtime notes for this thread is alive.
    unsafe {
        let main = ffi::PyInterpreterState_Main();
        let own = ffi::PyGILState_GetThisThreadState();
        if !own.is_null() && ffi::PyThreadState_GetInterpreter(own) == main {
            return Ok(own);
        }
        KEPT.with_borrow_mut(|kept| {
            if let Some(kept) = kept {
                return Ok(kept.0);
            }
            clear_orphans(main);
            let state = ffi::new_thread_state(main).ok_or(Error::NoMemory)?;
            *kept = Some(Kept(state));
            Ok(state)
        })
    }
}

/// A state of the main interpreter whose thread has ended.
struct Orphan(*mut ffi::PyThreadState);

// SAFETY: nobody but the one who takes it out of the list follows the pointer.
unsafe impl Send for Orphan {}

fn orphans() -> MutexGuard<'static, Vec<Orphan>> {
    // A child has none: CPython deletes the states of its other threads there.
    static ORPHANS: PerProcess<Vec<Orphan>> = PerProcess::new();
    ORPHANS.lock()
}

/// Clears the states of ended threads once there are many.
unsafe fn clear_orphans(main: *mut ffi::PyInterpreterState) {
    let mut orphans = orphans();
    if orphans.len() > MOST_ORPHANS {
        let states = std::mem::take(&mut *orphans)
            .into_iter()
            .map(|orphan| orphan.0)
            .collect();
        drop(orphans);
        // SAFETY: main is alive; the threads of orphans have ended, and each is in the list once.
        unsafe { clear_states(main, states) };
    }
}

/// Orphans that are tolerated before they are cleared.
pub(crate) const MOST_ORPHANS: usize = 32;

/// Clears and deletes thread states that no thread is attached to, on a thread made for it.
///
/// # Safety
/// The interpreter is alive and stays so meanwhile; `states` are states of it, and nobody uses them any more. The
/// calling thread is not attached to the interpreter.
pub(crate) unsafe fn clear_states(
    interpreter: *mut ffi::PyInterpreterState,
    states: Vec<*mut ffi::PyThreadState>,
) {
    struct Handover(*mut ffi::PyInterpreterState, Vec<*mut ffi::PyThreadState>);
    // SAFETY: the pointers are handed to one thread, which is joined before this function returns.
    unsafe impl Send for Handover {}

    if states.is_empty() {
        return;
    }
    let handover = Handover(interpreter, states);
    let work = move || {
        let Handover(interpreter, states) = { handover };
        // SAFETY: alive, as promised; the states belong to it and are unused; each is deleted once.
        unsafe {
            let Some(_visit) = Visit::new(interpreter) else {
                return;
            };
            for state in states {
                ffi::PyThreadState_Clear(state);
                ffi::PyThreadState_Delete(state);
            }
        }
    };
    // Where no thread, or no memory for its state, can be had the states stay: memory, until the process ends.
    if let Ok(thread) = std::thread::Builder::new()
        .name("covet-clean".to_owned())
        .spawn(work)
    {
        let _detached = Detached::new();
        let _ = thread.join();
    }
}

/// How many times each thread has left the interpreter that it will come back to.
type Away = Arc<AtomicIsize>;

fn all_away() -> MutexGuard<'static, Vec<Weak<AtomicIsize>>> {
    static ALL: PerProcess<Vec<Weak<AtomicIsize>>> = PerProcess::new();
    ALL.lock()
}

/// Notes that the calling thread leaves an interpreter (1), or is back (-1). Called attached, so that whoever holds the GIL
/// afterwards sees it; a thread writes to memory of its own only.
#[inline]
pub(crate) fn away(change: isize) {
    thread_local! {
        static AWAY: Away = {
            let away = Away::default();
            let mut all = all_away();
            all.retain(|other| other.strong_count() > 0);
            all.push(Arc::downgrade(&away));
            away
        };
    }
    // A thread that is ending has nothing to come back to.
    let _ = AWAY.try_with(|away| {
        let now = away.load(Ordering::Relaxed);
        away.store(now + change, Ordering::Release);
    });
}

/// Waits, detached, until no other thread is about to attach itself again, or until the deadline. Returns whether none is.
pub(crate) fn wait_quiet(deadline: Instant) -> bool {
    loop {
        let quiet = all_away().iter().all(|away| {
            away.upgrade()
                .is_none_or(|away| away.load(Ordering::Acquire) == 0)
        });
        if quiet || Instant::now() >= deadline {
            return quiet;
        }
        let before = ffi::current();
        // SAFETY: detaches this thread, if it is attached, and attaches it again; not noted as away.
        unsafe {
            if !before.is_null() {
                ffi::PyEval_SaveThread();
            }
            std::thread::sleep(Duration::from_millis(1));
            if !before.is_null() {
                ffi::PyEval_RestoreThread(before);
            }
        }
    }
}
