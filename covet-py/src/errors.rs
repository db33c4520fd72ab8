//! Errors of `covet-interp` as Python exceptions.

use crate::entry::{Kind, raise};
use crate::state::State;
use covet_interp::raw::{Object, Raised};
use covet_interp::{Error, PythonError, ffi};
use std::ffi::CStr;

/// Raises what a task raised, with its own type and its remote traceback as the cause.
#[cold]
pub(crate) fn raise_remote(state: &State, error: &PythonError) -> Raised {
    // SAFETY: attached to the interpreter of `state`.
    unsafe {
        if let Ok(exception) = state.support.revive(error) {
            ffi::set_raised(exception.into_ptr());
        }
    }
    Raised
}

/// Raises any error of `covet-interp`.
#[cold]
pub(crate) fn raise_error(state: &State, error: &Error) -> Raised {
    let text = error.to_string();
    match error {
        Error::Python(error) => raise_remote(state, error),
        Error::Broken(_) => raise_ours(state, c"BrokenPool", &text),
        Error::Cancelled => raise_ours(state, c"CancelledError", &text),
        Error::Closed => raise(
            Kind::Runtime,
            "cannot schedule new futures after shutdown: make a new pool",
        ),
        Error::Strategy(_) | Error::Invalid(_) => raise(Kind::Value, &text),
        Error::NoMemory => raise(Kind::Memory, &text),
        Error::TimedOut(_) => raise(Kind::Timeout, &text),
        _ => raise(Kind::Runtime, &text),
    }
}

/// Raises an exception that `covet_py._errors` names.
fn raise_ours(state: &State, kind: &CStr, text: &str) -> Raised {
    // SAFETY: attached to the interpreter of `state`, which owns the module.
    if let (Ok(kind), Ok(text)) = (state.errors.attribute(kind), unsafe {
        Object::string(text)
    }) {
        // SAFETY: as above; both objects are alive.
        unsafe { ffi::PyErr_SetObject(kind.as_ptr(), text.as_ptr()) };
    }
    Raised
}
