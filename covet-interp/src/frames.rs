//! Frames and exceptions of running threads, as each interpreter may see them.
//!
//! CPython's `sys._current_frames` and `sys._current_exceptions` walk the threads of every interpreter of the process and hand
//! out what they find. An interpreter with a GIL of its own runs meanwhile: its frames and reference counts are then changed
//! from two sides, and the process dies. Here they walk the threads of the calling interpreter, which its GIL holds still.
//!
//! From 3.13 on that is not enough: a subinterpreter that imports an extension module makes a thread state of the main
//! interpreter for it, and deletes that when it is back, without main's GIL. So there the lock of the runtime's lists is held as
//! well, which lies beside the list of interpreters.
//!
//! A build without a GIL cannot hold them still from here, and its own functions crash as well while interpreters come and go:
//! there both show the calling thread only, once the process has a second interpreter.

use crate::ffi;
use crate::fork;
use crate::object::{Object, Raised};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, Ordering};

/// Makes `sys._current_frames` and `sys._current_exceptions` answer for the calling interpreter, in every interpreter of the
/// process, those that exist already included. Does nothing when called again, or where a thread state is laid out in a way
/// that this crate does not know.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn install() -> Result<(), Raised> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    // SAFETY: attached, as promised, and `sys` has both functions on every version with a GIL for each interpreter.
    unsafe {
        if INSTALLED.load(Ordering::Relaxed) || !ffi::thread_states_are_known() {
            return Ok(());
        }
        let sys = Object::import(c"sys")?;
        replace(&sys.attribute(c"_current_frames")?, current_frames);
        replace(&sys.attribute(c"_current_exceptions")?, current_exceptions);
        INSTALLED.store(true, Ordering::Relaxed);
        Ok(())
    }
}

type Function = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// Puts `ours` where CPython keeps the code of the built-in `function`: in a definition that all interpreters share.
///
/// # Safety
/// Attached; `function`, if built in, is of the flavour `METH_NOARGS`, as `ours` is.
unsafe fn replace(function: &Object, ours: Function) {
    // SAFETY: every built-in function has such a definition, which is static data. Other interpreters may be reading the
    // word, so it is written atomically; they see the old function or the new one.
    unsafe {
        // Otherwise somebody put a function of theirs there.
        if ffi::PyCFunction_Check(function.as_ptr()) != 0 {
            let function = function.as_ptr().cast::<ffi::PyCFunctionObject>();
            AtomicPtr::from_ptr((&raw mut (*(*function).m_ml).ml_meth).cast())
                .store(ours as *mut (), Ordering::Release);
        }
    }
}

unsafe extern "C" fn current_frames(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached; a frame is a new reference, or null.
    unsafe { by_thread(|state| Object::owned(ffi::PyThreadState_GetFrame(state).cast()).ok()) }
}

unsafe extern "C" fn current_exceptions(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached; `None` stands for a thread that handles no exception.
    unsafe {
        by_thread(|state| {
            let handled = ffi::exception_handled_by(state);
            let none = ffi::Py_None();
            Object::borrowed(if handled.is_null() { none } else { handled }).ok()
        })
    }
}

/// A dict from the identity of each thread of this interpreter to its value; a thread without one is left out.
///
/// # Safety
/// Attached; `value` runs no Python code, so that this thread keeps the GIL.
unsafe fn by_thread(
    mut value: impl FnMut(*mut ffi::PyThreadState) -> Option<Object>,
) -> *mut ffi::PyObject {
    // Whether only this thread is shown.
    let (held, alone) = match (ffi::FREE_THREADED_BUILD, ffi::STATES_LEAVE_WITHOUT_GIL) {
        (true, _) => (None, true),
        (false, true) => {
            let held = Held::now();
            let alone = held.is_none();
            (held, alone)
        }
        (false, false) => (None, false),
    };
    // SAFETY: as promised. A thread state is freed by a thread that holds the GIL of its interpreter, which this thread holds, or
    // that holds the lock; or only this thread's own state is looked at. Every object made here is owned or given on.
    let made = unsafe {
        Object::owned(ffi::PyDict_New()).and_then(|dict| {
            let mut state = if alone {
                ffi::current()
            } else {
                ffi::PyInterpreterState_ThreadHead(ffi::current_interpreter())
            };
            while !state.is_null() {
                let ident = ffi::thread_of(state);
                if let Some(value) = (ident != 0).then(|| value(state)).flatten() {
                    let ident = Object::owned(ffi::PyLong_FromUnsignedLongLong(ident))?;
                    if ffi::PyDict_SetItem(dict.as_ptr(), ident.as_ptr(), value.as_ptr()) < 0 {
                        return Err(Raised);
                    }
                }
                if alone {
                    break;
                }
                state = ffi::next_state(state);
            }
            Ok(dict)
        })
    };
    drop(held);
    made.map_or(ptr::null_mut(), Object::into_ptr)
}

/// The lock of the runtime's lists (`HEAD_LOCK`), held by this thread: a `PyMutex`, the word before the list of interpreters
/// (`struct pyinterpreters`, Include/internal/pycore_interp.h and pycore_runtime.h, from 3.13 on).
struct Held(&'static AtomicU8);

const LOCKED: u8 = 1;

impl Held {
    /// Takes the lock, without giving the GIL away: who has it wants no GIL. `None` where it is not known.
    fn now() -> Option<Self> {
        let newest = ptr::from_ref(fork::newest()?).cast_mut();
        // SAFETY: the list was found among the fields of the runtime, not at its beginning; before it lies the lock.
        let lock = unsafe { AtomicU8::from_ptr(newest.sub(1).cast()) };
        loop {
            let seen = lock.load(Ordering::Relaxed) & !LOCKED;
            let taken = lock.compare_exchange_weak(
                seen,
                seen | LOCKED,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if taken.is_ok() {
                return Some(Self(lock));
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let released = self
            .0
            .compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed);
        if released.is_err() {
            // SAFETY: locked by this thread, and somebody sleeps on it.
            unsafe { ffi::unlock(self.0.as_ptr()) };
        }
    }
}
