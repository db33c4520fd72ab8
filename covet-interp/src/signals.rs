//! Signal handlers, which belong to the process, as a subinterpreter may see them.
//!
//! CPython keeps the Python functions that handle signals for the whole process, and `signal.getsignal` hands them to any
//! interpreter that asks: an object of the main interpreter, whose reference count two interpreters then change at once.
//! `asyncio.run` asks each time. (Handlers can only be set in the main interpreter: `signal.signal` raises `ValueError`
//! elsewhere before it touches anything.)

use crate::ffi;
use crate::object::{Object, Raised};
use std::ffi::{CStr, c_int, c_long};

/// Makes `signal.getsignal` answer without the main interpreter's objects: `SIG_DFL`, `SIG_IGN`, or `None`, which stands for
/// a handler that was not installed from Python, and here not from this interpreter.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// Attached to a subinterpreter.
pub(crate) unsafe fn install() -> Result<(), Raised> {
    static mut GETSIGNAL: ffi::PyMethodDef = ffi::PyMethodDef {
        ml_name: c"getsignal".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: getsignal,
        },
        ml_flags: ffi::METH_O,
        ml_doc: c"getsignal($module, signalnum, /)\n--\n\n\
            Return the current action for the given signal.\n\n\
            SIG_IGN -- the signal is being ignored\n\
            SIG_DFL -- the default action for the signal is in effect\n\
            None    -- there is a handler, which belongs to the main interpreter or is no Python function"
            .as_ptr(),
    };
    // SAFETY: attached; the method definition lives as long as the process, and the function keeps its module.
    unsafe {
        let module = Object::import(c"_signal")?;
        let function = Object::owned(ffi::PyCFunction_NewEx(
            &raw mut GETSIGNAL,
            module.as_ptr(),
            std::ptr::null_mut(),
        ))?;
        let name = c"getsignal".as_ptr();
        match ffi::PyObject_SetAttrString(module.as_ptr(), name, function.as_ptr()) {
            0 => Ok(()),
            _ => Err(Raised),
        }
    }
}

/// `getsignal(signalnum)` of the module `_signal`.
unsafe extern "C" fn getsignal(
    module: *mut ffi::PyObject,
    number: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with its module and a live argument.
    let action = unsafe {
        Object::borrowed(module).and_then(|module| {
            let number = integer(number)?;
            let end = integer(module.attribute(c"NSIG")?.as_ptr())?;
            if number < 1 || number >= end {
                ffi::PyErr_SetString(
                    ffi::PyExc_ValueError,
                    c"signal number out of range".as_ptr(),
                );
                return Err(Raised);
            }
            match disposition(number as c_int) {
                Some(constant) => module.attribute(constant),
                None => Object::borrowed(ffi::Py_None()),
            }
        })
    };
    action.map_or(std::ptr::null_mut(), Object::into_ptr)
}

/// The value of a Python integer.
///
/// # Safety
/// A thread state is attached; `number` is a live object of its interpreter.
unsafe fn integer(number: *mut ffi::PyObject) -> Result<c_long, Raised> {
    // SAFETY: as promised by the caller.
    unsafe {
        let value = ffi::PyLong_AsLong(number);
        if value == -1 && !ffi::PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        Ok(value)
    }
}

/// What happens to the process when the signal arrives, as a constant of `_signal`; `None`: a handler runs.
fn disposition(number: c_int) -> Option<&'static CStr> {
    #[cfg(unix)]
    {
        let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: `sigaction` only writes the present action, and plain zeros are one too, should it refuse the number.
        let (refused, action) = unsafe {
            let refused = libc::sigaction(number, std::ptr::null(), action.as_mut_ptr()) != 0;
            (refused, action.assume_init())
        };
        match action.sa_sigaction {
            _ if refused => None, // the C library keeps this number to itself
            libc::SIG_DFL => Some(c"SIG_DFL"),
            libc::SIG_IGN => Some(c"SIG_IGN"),
            _ => None,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = number;
        None
    }
}
