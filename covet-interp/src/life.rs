//! One interpreter from its making to its end, on the thread that owns it.
//!
//! ```text
//!           begin              detach
//! (nothing) ------> attached <--------> detached
//!                      |       attach
//!                      | end
//!                      v
//!                  (nothing)
//! ```
//! The order of calls in [`Life::begin`] is the one that works on every version from 3.12 on: made while
//! attached to the main interpreter (a free-threaded 3.13 deadlocks otherwise), and with no second thread state left
//! behind (before 3.14 the end of an interpreter aborts the process if there is one).

use crate::attach::Visit;
use crate::error::Error;
use crate::ffi;
use crate::frames;
use crate::object::Raised;

/// An interpreter, attached to the thread that made it unless detached.
///
/// Or, where tasks run in the main interpreter, a thread state of that for this thread.
#[derive(Debug)]
pub(crate) struct Life {
    state: *mut ffi::PyThreadState,
    owned: bool,
}

impl Life {
    /// Makes an interpreter with a GIL of its own. On return the calling thread, which had nothing attached, is
    /// attached to it.
    ///
    /// # Errors
    /// [`Error::NewInterpreter`] with CPython's reason, or [`Error::NoMemory`]; nothing is attached then.
    ///
    /// # Safety
    /// Python is initialised and not finalizing; the calling thread has nothing attached.
    pub(crate) unsafe fn begin() -> Result<Self, Error> {
        // SAFETY: initialised, as promised. On success the new state is attached and main's (the visit's) detached
        // but alive: the new one is set aside while the visit ends attached, as it must, then attached again.
        unsafe {
            let visit = Visit::main().ok_or(Error::NoMemory)?;
            frames::install().map_err(|Raised| {
                ffi::PyErr_Clear();
                Error::NewInterpreter("sys of the main interpreter is not as expected".to_owned())
            })?;
            let main = ffi::current();
            let state = ffi::new_interpreter().map_err(Error::NewInterpreter)?;
            ffi::PyEval_SaveThread();
            ffi::PyEval_RestoreThread(main);
            drop(visit);
            ffi::PyEval_RestoreThread(state);
            Ok(Self { state, owned: true })
        }
    }

    /// A thread state of the main interpreter for the calling thread, attached on return.
    ///
    /// # Errors
    /// [`Error::NoMemory`].
    ///
    /// # Safety
    /// As for [`Life::begin`].
    pub(crate) unsafe fn main() -> Result<Self, Error> {
        // SAFETY: initialised, as promised; the main interpreter outlives its worker threads.
        unsafe {
            let main = ffi::PyInterpreterState_Main();
            let state = ffi::new_thread_state(main).ok_or(Error::NoMemory)?;
            ffi::PyEval_RestoreThread(state);
            Ok(Self {
                state,
                owned: false,
            })
        }
    }

    /// Whether this is an interpreter of its own, not the main one.
    pub(crate) fn is_own(&self) -> bool {
        self.owned
    }

    pub(crate) fn state(&self) -> *mut ffi::PyThreadState {
        self.state
    }

    pub(crate) fn raw(&self) -> *mut ffi::PyInterpreterState {
        // SAFETY: the state is alive until `end`.
        unsafe { ffi::PyThreadState_GetInterpreter(self.state) }
    }

    /// Gives the GIL away.
    ///
    /// # Safety
    /// The calling thread made this interpreter and is attached to it.
    pub(crate) unsafe fn detach(&self) {
        // SAFETY: attached, as promised.
        unsafe { ffi::PyEval_SaveThread() };
    }

    /// Takes the GIL back.
    ///
    /// # Safety
    /// The calling thread made this interpreter and has nothing attached.
    pub(crate) unsafe fn attach(&self) {
        // SAFETY: nothing attached, and the state belongs to this thread, as promised.
        unsafe { ffi::PyEval_RestoreThread(self.state) };
    }

    /// Ends the interpreter: waits for the threads that were started in it, runs its exit handlers, frees it.
    /// Nothing is attached afterwards.
    ///
    /// # Safety
    /// The calling thread made this interpreter and is attached to it, and no other thread state of it exists but
    /// those of its own threads.
    pub(crate) unsafe fn end(self) {
        // SAFETY: attached, and the last state, as promised.
        unsafe {
            if self.owned {
                ffi::Py_EndInterpreter(self.state);
            } else {
                ffi::PyThreadState_Clear(self.state);
                ffi::PyThreadState_DeleteCurrent();
            }
        }
    }
}
