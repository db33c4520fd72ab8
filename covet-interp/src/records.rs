//! Log records and warnings of subinterpreters, which the main interpreter handles as its own.
//!
//! `logging` and `warnings` are set up once for each interpreter, and a program does that in its main one. So in the others a
//! record for which there is no handler, and a warning that is to be shown, are told to main: by the thread that made them,
//! which visits main for that and goes on when they are handled. They keep their order with what the task does next.

use crate::attach::Visit;
use crate::callback;
use crate::ffi;
use crate::object::{Object, Raised, Source};

/// # Safety
/// Attached.
unsafe fn module() -> Result<Object, Raised> {
    static SOURCE: Source = Source::new(c"_covet_records", include_str!("records.py"));
    // SAFETY: attached, as promised.
    unsafe { Object::own_module(&SOURCE) }
}

/// Has the attached interpreter tell main what it logs, and of what it warns.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// Attached to a subinterpreter in which nothing but its own start-up has run.
pub(crate) unsafe fn install() -> Result<(), Raised> {
    static mut TELL: ffi::PyMethodDef = callback::definition(
        c"tell",
        c"tell(what, data): has the function of this name in main's _covet_records take the bytes, and returns its bytes.",
        tell,
    );
    // SAFETY: attached, as promised; the definition lives as long as the process.
    unsafe {
        let tell = callback::function(&raw mut TELL)?;
        module()?.attribute(c"forward")?.call(&[&tell]).map(drop)
    }
}

unsafe extern "C" fn tell(
    _: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with live arguments.
    unsafe {
        callback::answer(arguments, count, |[what, data]| {
            let (what, data) = (what.text(), data.as_bytes().unwrap_or_default());
            match at_main(&what, data) {
                Ok(answer) => Object::bytes(&answer),
                Err(Failed::Interrupted) => {
                    ffi::PyErr_SetNone(ffi::PyExc_KeyboardInterrupt);
                    Err(Raised)
                }
                Err(Failed::NoMemory) => {
                    ffi::PyErr_NoMemory();
                    Err(Raised)
                }
            }
        })
    }
}

/// Why there is no answer.
enum Failed {
    /// By a signal, while main's own thread visited main: it is meant for the task which that thread runs.
    Interrupted,
    NoMemory,
}

/// Calls a function of `records.py` in main.
fn at_main(what: &str, data: &[u8]) -> Result<Vec<u8>, Failed> {
    // SAFETY: a subinterpreter is running, so Python is initialised, and pools end before it finalizes. All objects belong to
    // main and die before it is left.
    unsafe {
        let _visit = Visit::main().ok_or(Failed::NoMemory)?;
        let answered = module().and_then(|records| {
            records
                .attribute(c"answer")?
                .call(&[&Object::string(what)?, &Object::bytes(data)?])
        });
        match answered {
            Ok(answer) => Ok(answer.as_bytes().unwrap_or_default().to_vec()),
            Err(Raised) if ffi::PyErr_ExceptionMatches(ffi::PyExc_KeyboardInterrupt) != 0 => {
                ffi::PyErr_Clear();
                Err(Failed::Interrupted)
            }
            Err(Raised) => {
                ffi::PyErr_WriteUnraisable(std::ptr::null_mut());
                Ok(Vec::new())
            }
        }
    }
}
