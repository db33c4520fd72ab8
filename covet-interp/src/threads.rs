//! Daemon threads in subinterpreters.
//!
//! CPython forbids them there, since they would outlive their interpreter (and where it does not, the end of the interpreter
//! aborts the process). Many libraries start some: joblib, `multiprocessing.pool.ThreadPool`, anyio, tqdm. Here they may,
//! and end with their interpreter: once the other threads have ended and exit handlers have run, `SystemExit` is raised in each. One
//! that does not react, because it is blocked in C code, keeps the interpreter from being ended.

use crate::callback;
use crate::ffi;
use crate::object::{Object, Raised, Source};
use std::time::Duration;

/// How long they may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// # Safety
/// Attached.
unsafe fn module() -> Result<Object, Raised> {
    static SOURCE: Source = Source::new(c"_covet_threads", include_str!("threads.py"));
    // SAFETY: attached, as promised.
    unsafe { Object::own_module(&SOURCE) }
}

/// Allows daemon threads in the attached interpreter.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// Attached to a subinterpreter in which nothing but its own start-up has run.
pub(crate) unsafe fn install() -> Result<(), Raised> {
    // SAFETY: attached, as promised.
    unsafe { module()?.attribute(c"watch")?.call(&[]).map(drop) }
}

/// Ends the daemon threads of the attached interpreter. Returns whether they have ended.
///
/// # Safety
/// Attached to a subinterpreter that no task uses any more.
pub(crate) unsafe fn end() -> bool {
    static mut INTERRUPT: ffi::PyMethodDef = callback::definition(
        c"interrupt",
        c"interrupt(ident): raises SystemExit in a thread of this interpreter.",
        interrupt,
    );
    // SAFETY: attached, as promised; the definition lives as long as the process; modules are borrowed from the interpreter.
    unsafe {
        let modules = ffi::PyImport_GetModuleDict();
        if ffi::PyDict_GetItemString(modules, c"threading".as_ptr()).is_null() {
            return true;
        }
        let ended = || {
            let interrupt = callback::function(&raw mut INTERRUPT)?;
            let grace = Object::owned(ffi::PyFloat_FromDouble(GRACE.as_secs_f64()))?;
            module()?.attribute(c"end")?.call(&[&interrupt, &grace])
        };
        match ended() {
            Ok(ended) => ended.as_ptr() == ffi::Py_True(),
            Err(Raised) => {
                ffi::PyErr_Clear();
                false
            }
        }
    }
}

unsafe extern "C" fn interrupt(
    _: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with live arguments.
    unsafe {
        callback::answer(arguments, count, |[ident]| {
            let ident = ffi::PyLong_AsUnsignedLongLong(ident.as_ptr());
            if !ffi::PyErr_Occurred().is_null() {
                return Err(Raised);
            }
            ffi::set_async_exception(ident, ffi::PyExc_SystemExit);
            Object::borrowed(ffi::Py_None())
        })
    }
}
