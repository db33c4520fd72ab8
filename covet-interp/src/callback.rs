//! Functions of Rust that Python code of this crate calls.

use crate::ffi;
use crate::object::{Object, Raised};
use std::ffi::CStr;
use std::panic::{UnwindSafe, catch_unwind};

/// What CPython calls.
pub(crate) type Entry = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut *mut ffi::PyObject,
    ffi::Py_ssize_t,
) -> *mut ffi::PyObject;

/// The definition of a function. `doc` begins with its name and its arguments.
pub(crate) const fn definition(
    name: &'static CStr,
    doc: &'static CStr,
    entry: Entry,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: entry,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: doc.as_ptr(),
    }
}

/// A function object of the attached interpreter.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// A thread state is attached; the definition lives as long as the process and is not written to.
pub(crate) unsafe fn function(definition: *mut ffi::PyMethodDef) -> Result<Object, Raised> {
    // SAFETY: as promised by the caller.
    unsafe {
        Object::owned(ffi::PyCFunction_NewEx(
            definition,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        ))
    }
}

/// Runs the body of a function that Python calls with `N` arguments; a panic becomes an exception.
///
/// # Safety
/// CPython called it attached, with `count` live arguments.
pub(crate) unsafe fn answer<const N: usize>(
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    body: impl FnOnce(&[Object; N]) -> Result<Object, Raised> + UnwindSafe,
) -> *mut ffi::PyObject {
    let outcome = catch_unwind(|| {
        // SAFETY: as promised.
        unsafe {
            let given = std::slice::from_raw_parts(arguments, count as usize);
            let given: Result<Vec<_>, _> = given.iter().map(|&a| Object::borrowed(a)).collect();
            match <[Object; N]>::try_from(given?) {
                Ok(given) => body(&given),
                Err(_) => {
                    let text = c"found another number of arguments than expected".as_ptr();
                    ffi::PyErr_SetString(ffi::PyExc_TypeError, text);
                    Err(Raised)
                }
            }
        }
    });
    match outcome {
        Ok(Ok(object)) => object.into_ptr(),
        Ok(Err(Raised)) => std::ptr::null_mut(),
        Err(_) => {
            let text = c"covet-interp panicked, which is a bug".as_ptr();
            // SAFETY: CPython called this attached.
            unsafe { ffi::PyErr_SetString(ffi::PyExc_SystemError, text) };
            std::ptr::null_mut()
        }
    }
}
