//! The one CPython of this process: started by this crate, or joined.

use crate::attach::{AtMain, Attached, wait_quiet};
use crate::error::Error;
use crate::ffi;
use crate::loader::{self, Verdict};
use crate::object::{Object, Raised};
use crate::registry::{self, PoolsOf, lost_workers};
use crate::strategy::Facts;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A running CPython. A process has one, made by [`Runtime::embed`] or found by [`Runtime::join`].
///
/// Dropping the one that was embedded shuts down every pool that is still open, waits for the tasks that they have,
/// and finalizes Python; that must happen on the thread that embedded it, so a `Runtime` is neither `Send` nor
/// `Sync`. While a [lost](crate::Error::Lost) task still runs, Python is not finalized, only its output is flushed: the process
/// ends as it would have.
#[derive(Debug)]
pub struct Runtime {
    /// The main thread state, detached, of a Python that this value started.
    embedded: Option<*mut ffi::PyThreadState>,
}

static STARTED: AtomicBool = AtomicBool::new(false);

impl Runtime {
    /// Starts Python in this process, with the `site` module and without signal handlers. The calling thread becomes
    /// Python's main thread, and is detached on return.
    ///
    /// # Errors
    /// [`Error::Runtime`] when Python is running already, ran before (it cannot be started twice), or does not
    /// start.
    pub fn embed() -> Result<Self, Error> {
        // SAFETY: may be called at any time.
        if unsafe { ffi::Py_IsInitialized() } != 0 {
            return Err(Error::Runtime(
                "Python is running in this process already: use Runtime::join".to_owned(),
            ));
        }
        if STARTED.swap(true, Ordering::Relaxed) {
            return Err(Error::Runtime(
                "Python ran in this process before: it cannot be started again".to_owned(),
            ));
        }
        let mut config = MaybeUninit::<ffi::PyConfig>::uninit();
        // SAFETY: the configuration is initialised before it is used, and cleared once; Python is not running. After
        // a successful start a thread state is attached, which is then given up.
        unsafe {
            ffi::PyConfig_InitPythonConfig(config.as_mut_ptr());
            let config = config.assume_init_mut();
            config.install_signal_handlers = 0;
            config.parse_argv = 0;
            let status = ffi::Py_InitializeFromConfig(config);
            ffi::PyConfig_Clear(config);
            if ffi::PyStatus_Exception(status) != 0 {
                return Err(Error::Runtime(format!(
                    "Python did not start: {}",
                    ffi::status_text(&status)
                )));
            }
            Ok(Self {
                embedded: Some(ffi::PyEval_SaveThread()),
            })
        }
    }

    /// Joins the Python that runs in this process (this code is part of an extension module, or another library
    /// started Python).
    ///
    /// Whoever started it must call [`PoolsOf::shut_down`] and [`before_finalize`] before it is finalized.
    ///
    /// # Errors
    /// [`Error::Runtime`] when no Python is running.
    pub fn join() -> Result<Self, Error> {
        // SAFETY: may be called at any time.
        if unsafe { ffi::Py_IsInitialized() } == 0 {
            return Err(Error::Runtime(
                "no Python is running in this process: use Runtime::embed".to_owned(),
            ));
        }
        Ok(Self { embedded: None })
    }

    /// Whether `module` can be loaded in an interpreter with a GIL of its own: whether each extension module does that comes with
    /// it says so. None is loaded in a subinterpreter for that, but the main interpreter imports `module`. Cached by file and
    /// its time of change.
    ///
    /// Extension modules that come with it count if the main interpreter had not imported them before, or if they belong to
    /// the same package.
    ///
    /// # Errors
    /// [`Error::Python`] with what importing it raised; [`Error::NoMemory`].
    pub fn import_verdict(&self, module: &str) -> Result<Verdict, Error> {
        loader::import_verdict(module)
    }

    /// The extension modules that were refused so far in this process, by name, each with the reason.
    pub fn refused_modules(&self) -> Vec<(String, String)> {
        loader::refused_modules()
    }

    /// Attaches the calling thread to the main interpreter, until the guard is dropped; waits for its GIL.
    ///
    /// # Errors
    /// [`Error::NoMemory`] when the thread has no state for that yet.
    pub fn attach(&self) -> Result<Attached<'_>, Error> {
        // SAFETY: `self` is a running Python, and outlives the guard.
        unsafe { Attached::new() }
    }

    /// The facts that a strategy is chosen from, as they are now.
    ///
    /// # Errors
    /// As [`Runtime::attach`].
    pub fn facts(&self) -> Result<Facts, Error> {
        // SAFETY: `self` is a running Python.
        unsafe {
            let _main = AtMain::new()?;
            Ok(Facts::look_up())
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(state) = self.embedded {
            PoolsOf::main().shut_down(None);
            if lost_workers() > 0 {
                // A thread is stuck in an interpreter: finalizing would end the process by a signal.
                // SAFETY: this thread started Python and gave up this state.
                unsafe {
                    ffi::PyEval_RestoreThread(state);
                    flush_output();
                    ffi::PyEval_SaveThread();
                }
                return;
            }
            // SAFETY: this thread started Python and gave up this state; no pool runs any more.
            unsafe {
                ffi::PyEval_RestoreThread(state);
                before_finalize(Instant::now() + LONGEST_WAIT);
                ffi::Py_FinalizeEx();
            }
        }
    }
}

/// Writes out what `sys.stdout` and `sys.stderr` hold.
///
/// # Safety
/// Attached.
unsafe fn flush_output() {
    for stream in [c"stdout", c"stderr"] {
        // SAFETY: attached, as promised; an exception is cleared.
        unsafe {
            let stream = Object::borrowed(ffi::PySys_GetObject(stream.as_ptr()));
            let flushed = stream.and_then(|stream| stream.attribute(c"flush")?.call(&[]));
            if let Err(Raised) = flushed {
                ffi::PyErr_Clear();
            }
        }
    }
}

/// How long the end of the runtime waits for threads that are on their way back.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What has to be done right before Python is finalized, after [`PoolsOf::shut_down`]. Called by the main thread, attached.
///
/// Waits, detached, until no other thread is about to attach itself, or until the deadline, and returns whether none is.
/// Before 3.14, attaching ends a thread by unwinding it once Python finalizes, which aborts the process when it meets Rust.
pub fn before_finalize(deadline: Instant) -> bool {
    if PoolsOf::this_interpreter() != PoolsOf::main() {
        // The end of another interpreter ends no thread of this one.
        return true;
    }
    let quiet = wait_quiet(deadline);
    // SAFETY: the caller is attached to main, and the pools have ended.
    unsafe {
        ffi::keep_argument_parsers();
        registry::forget_interpreters();
    }
    quiet
}
