//! An extension module that keeps its state in C globals, as most do, and so refuses interpreters with a GIL of their own.
//!
//! Not a program: `tests/images.rs` loads it as private images. One library is several modules: it is what it is
//! imported as.

use pyo3_ffi as ffi;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// What an image has of its own.
static COUNT: AtomicI64 = AtomicI64::new(0);

/// `count()`: how often it was called, in this image.
unsafe extern "C" fn count(_: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: attached.
    unsafe { ffi::PyLong_FromLongLong(COUNT.fetch_add(1, Ordering::Relaxed) + 1) }
}

/// A reference that a thread takes along.
struct Carried(*mut ffi::PyObject);

// SAFETY: used while attached only.
unsafe impl Send for Carried {}

/// `call_from_thread(function, seconds)`: has a thread of its own call the function, and stay inside for so long. It is waited for if
/// that is no time at all.
unsafe extern "C" fn call_from_thread(
    _: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    _: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: attached, with two arguments; the function's reference is carried by the thread, which gives it back.
    unsafe {
        let function = *arguments;
        let seconds = ffi::PyFloat_AsDouble(*arguments.add(1));
        ffi::Py_INCREF(function);
        let carried = Carried(function);
        let thread = std::thread::spawn(move || {
            let Carried(function) = { carried };
            let state = ffi::PyGILState_Ensure();
            assert_eq!(ffi::PyGILState_Check(), 1);
            assert_eq!(
                ffi::PyGILState_GetThisThreadState(),
                ffi::PyThreadState_Get()
            );
            // Again inside: what is attached stays.
            let inner = ffi::PyGILState_Ensure();
            let result = ffi::PyObject_CallNoArgs(function);
            ffi::PyGILState_Release(inner);
            ffi::Py_XDECREF(result);
            ffi::PyErr_Clear();
            let attached = ffi::PyEval_SaveThread();
            std::thread::sleep(Duration::from_secs_f64(seconds));
            ffi::PyEval_RestoreThread(attached);
            ffi::Py_DECREF(function);
            ffi::PyGILState_Release(state);
        });
        if seconds == 0.0 {
            let state = ffi::PyEval_SaveThread();
            let _ = thread.join();
            ffi::PyEval_RestoreThread(state);
        }
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

/// `leave_call(function)`: leaves it to be called by whoever has the GIL next.
unsafe extern "C" fn leave_call(
    _: *mut ffi::PyObject,
    function: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    extern "C" fn call(function: *mut c_void) -> c_int {
        // SAFETY: called attached, with the reference that was left.
        unsafe {
            let function = function.cast::<ffi::PyObject>();
            ffi::Py_XDECREF(ffi::PyObject_CallNoArgs(function));
            ffi::Py_DECREF(function);
        }
        0
    }

    // SAFETY: attached, with a live argument, whose reference goes to the call.
    unsafe {
        ffi::Py_INCREF(function);
        ffi::Py_AddPendingCall(Some(call), function.cast());
        ffi::Py_INCREF(ffi::Py_None());
        ffi::Py_None()
    }
}

static mut METHODS: [ffi::PyMethodDef; 4] = [
    ffi::PyMethodDef {
        ml_name: c"count".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: count },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: c"How often it was called, in this image.".as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"call_from_thread".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: call_from_thread,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc: c"Has a thread of its own call a function.".as_ptr(),
    },
    ffi::PyMethodDef {
        ml_name: c"leave_call".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunction: leave_call,
        },
        ml_flags: ffi::METH_O,
        ml_doc: c"Leaves a function to be called by whoever has the GIL next.".as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
];

unsafe extern "C" fn exec(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: attached, with a module that is being made.
    unsafe { ffi::PyModule_AddIntConstant(module, c"executed".as_ptr(), 1) }
}

/// Starts a thread that comes in, counts and goes out, for as long as the process lives.
unsafe extern "C" fn exec_starting(_: *mut ffi::PyObject) -> c_int {
    std::thread::spawn(|| {
        loop {
            // SAFETY: this thread is not attached.
            unsafe {
                let state = ffi::PyGILState_Ensure();
                COUNT.fetch_add(1, Ordering::Relaxed);
                ffi::PyGILState_Release(state);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    0
}

unsafe extern "C" fn exec_left(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: attached, with a module that is being made.
    unsafe { add_other(module, c"right") }
}

unsafe extern "C" fn exec_right(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: as above.
    unsafe { add_other(module, c"left") }
}

/// Imports another module, which is the attribute `other` then.
unsafe fn add_other(module: *mut ffi::PyObject, name: &CStr) -> c_int {
    // SAFETY: attached, as the caller says; the reference is given back.
    unsafe {
        let other = ffi::PyImport_ImportModule(name.as_ptr());
        if other.is_null() {
            return -1;
        }
        let added = ffi::PyObject_SetAttrString(module, c"other".as_ptr(), other);
        ffi::Py_DECREF(other);
        added
    }
}

const fn definition(name: &'static CStr) -> ffi::PyModuleDef {
    ffi::PyModuleDef {
        m_base: ffi::PyModuleDef_HEAD_INIT,
        m_name: name.as_ptr(),
        m_doc: ptr::null(),
        m_size: 0,
        m_methods: &raw mut METHODS as *mut ffi::PyMethodDef,
        m_slots: ptr::null_mut(),
        m_traverse: None,
        m_clear: None,
        m_free: None,
    }
}

/// Modules in several phases, without the slot that would allow own GILs.
macro_rules! in_several_phases {
    ($($init:ident, $name:literal, $exec:ident;)*) => {$(
        /// # Safety
        /// Called by who imports it, attached.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $init() -> *mut ffi::PyObject {
            static mut SLOTS: [ffi::PyModuleDef_Slot; 2] = [
                ffi::PyModuleDef_Slot {
                    slot: ffi::Py_mod_exec,
                    value: $exec as *mut c_void,
                },
                ffi::PyModuleDef_Slot {
                    slot: 0,
                    value: ptr::null_mut(),
                },
            ];
            static mut DEFINITION: ffi::PyModuleDef = ffi::PyModuleDef {
                m_slots: &raw mut SLOTS as *mut ffi::PyModuleDef_Slot,
                ..definition($name)
            };
            // SAFETY: attached; the definition lives as long as the library.
            unsafe { ffi::PyModuleDef_Init(&raw mut DEFINITION) }
        }
    )*};
}

in_several_phases! {
    PyInit_refusing, c"refusing", exec;
    PyInit_starting, c"starting", exec_starting;
    PyInit_left, c"left", exec_left;
    PyInit_right, c"right", exec_right;
}

/// One phase.
///
/// # Safety
/// Called by who imports it, attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit_once() -> *mut ffi::PyObject {
    static mut DEFINITION: ffi::PyModuleDef = definition(c"once");
    // SAFETY: attached; the definition lives as long as the library.
    unsafe { ffi::PyModule_Create2(&raw mut DEFINITION, ffi::PYTHON_API_VERSION) }
}
