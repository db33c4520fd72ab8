//! Frames and exceptions of running threads, as each interpreter may see them.
//!
//! CPython's `sys._current_frames` and `sys._current_exceptions` walk the threads of every interpreter of the process and hand
//! out what they find. An interpreter with a GIL of its own runs meanwhile: its frames and reference counts are then changed
//! from two sides, and the process dies. Here they walk the threads of the calling interpreter, which its GIL holds still.
//!
//! A build without a GIL cannot hold them still from here, and its own functions crash as well while interpreters come and go:
//! there both show the calling thread only, once the process has a second interpreter.

use crate::ffi;
use crate::object::{Object, Raised};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

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
    // SAFETY: as promised. A thread state is freed by a thread that holds the GIL of its interpreter, which this thread
    // holds, or without a GIL only this thread's own state is looked at. Every object made here is owned or given on.
    let made = unsafe {
        Object::owned(ffi::PyDict_New()).and_then(|dict| {
            let mut state = if ffi::FREE_THREADED_BUILD {
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
                if ffi::FREE_THREADED_BUILD {
                    break;
                }
                state = ffi::PyThreadState_Next(state);
            }
            Ok(dict)
        })
    };
    made.map_or(ptr::null_mut(), Object::into_ptr)
}
