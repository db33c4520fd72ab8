//! Frames and exceptions of running threads, as a subinterpreter may see them.
//!
//! CPython's `sys._current_frames` and `sys._current_exceptions` look at the threads of every interpreter of the process and
//! hand out what they find: objects of interpreters that run meanwhile, whose reference counts and memory are then changed
//! from two sides.

use crate::ffi;
use crate::object::{Object, Raised};

/// Makes `sys._current_frames` and `sys._current_exceptions` answer for the calling thread only.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// Attached to a subinterpreter.
pub(crate) unsafe fn install() -> Result<(), Raised> {
    static mut CURRENT: [ffi::PyMethodDef; 2] = [
        ffi::PyMethodDef {
            ml_name: c"_current_frames".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunction: current_frames,
            },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: c"_current_frames($module, /)\n--\n\n\
                Return a dict mapping the calling thread's id to its current stack frame."
                .as_ptr(),
        },
        ffi::PyMethodDef {
            ml_name: c"_current_exceptions".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer {
                PyCFunction: current_exceptions,
            },
            ml_flags: ffi::METH_NOARGS,
            ml_doc: c"_current_exceptions($module, /)\n--\n\n\
                Return a dict mapping the calling thread's id to the exception that it handles."
                .as_ptr(),
        },
    ];
    // SAFETY: attached; the definitions live as long as the process and are not written to.
    unsafe {
        let sys = Object::import(c"sys")?;
        let first = (&raw mut CURRENT).cast::<ffi::PyMethodDef>();
        for definition in [first, first.add(1)] {
            let name = (*definition).ml_name;
            let function = ffi::PyCFunction_NewEx(definition, sys.as_ptr(), std::ptr::null_mut());
            let function = Object::owned(function)?;
            if ffi::PyObject_SetAttrString(sys.as_ptr(), name, function.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        Ok(())
    }
}

unsafe extern "C" fn current_frames(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached; the frame, if there is one, is borrowed from the running thread.
    unsafe { of_this_thread(ffi::PyEval_GetFrame().cast()) }
}

unsafe extern "C" fn current_exceptions(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached; the exception is owned here, until it is in the dict as well.
    unsafe {
        let handled = Object::owned(ffi::handled_exception());
        of_this_thread(handled.as_ref().map_or(ffi::Py_None(), Object::as_ptr))
    }
}

/// A dict from the calling thread's identity to `value`; empty when that is null.
///
/// # Safety
/// Attached; `value` is null or alive.
unsafe fn of_this_thread(value: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as promised; every object made here is owned or given on.
    let made = unsafe {
        Object::owned(ffi::PyDict_New()).and_then(|dict| {
            let ident = Object::owned(ffi::PyLong_FromUnsignedLongLong(ffi::thread_ident()))?;
            if !value.is_null() && ffi::PyDict_SetItem(dict.as_ptr(), ident.as_ptr(), value) < 0 {
                return Err(Raised);
            }
            Ok(dict)
        })
    };
    made.map_or(std::ptr::null_mut(), Object::into_ptr)
}
