//! The Python package `covet_py`: the compiled module `covet_py._native`.
//!
//! A thin binding: every function here converts its arguments, gives the GIL up where it waits, calls
//! `covet-interp`, and converts what comes back. The module can be imported in every interpreter: everything Python
//! that it holds lies in its module state (`state.rs`), there is no static Python object, and each type is a heap
//! type of the interpreter that made it (PEP 489, 630, 684).

mod array;
mod completions;
mod device;
mod engine;
mod entry;
mod errors;
mod explain;
mod functions;
mod http;
mod images;
mod map;
mod numpy;
mod pool;
mod signature;
mod state;
mod stats;
mod task;

use covet_interp::ffi;
use covet_interp::raw::Object;
use std::ffi::{c_int, c_void};

static mut SLOTS: [ffi::PyModuleDef_Slot; 4] = [
    ffi::PyModuleDef_Slot {
        slot: ffi::Py_mod_exec,
        value: exec as *mut c_void,
    },
    ffi::MODULE_OWN_GIL,
    ffi::MODULE_WITHOUT_GIL,
    ffi::PyModuleDef_Slot {
        slot: 0,
        value: std::ptr::null_mut(),
    },
];

static mut DEFINITION: ffi::PyModuleDef = ffi::PyModuleDef {
    m_base: ffi::PyModuleDef_HEAD_INIT,
    m_name: c"covet_py._native".as_ptr(),
    m_doc: c"The compiled half of covet_py.".as_ptr(),
    m_size: size_of::<state::Place>() as ffi::Py_ssize_t,
    m_methods: &raw mut state::METHODS as *mut ffi::PyMethodDef,
    m_slots: &raw mut SLOTS as *mut ffi::PyModuleDef_Slot,
    m_traverse: Some(state::traverse),
    m_clear: Some(state::clear),
    m_free: Some(state::free),
};

/// The entry point that CPython looks for.
///
/// # Safety
/// Called by CPython's import machinery, attached.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn PyInit__native() -> *mut ffi::PyObject {
    // SAFETY: attached; the definition lives as long as the process, and CPython guards what it writes to it.
    unsafe { ffi::PyModuleDef_Init(&raw mut DEFINITION) }
}

/// Whether an object is a module made from our definition.
///
/// # Safety
/// Attached; `object` is alive.
unsafe fn is_ours(object: *mut ffi::PyObject) -> bool {
    // SAFETY: the type is checked first.
    unsafe {
        ffi::PyModule_Check(object) != 0 && ffi::PyModule_GetDef(object) == &raw mut DEFINITION
    }
}

unsafe extern "C" fn exec(module: *mut ffi::PyObject) -> c_int {
    entry::status(|| {
        covet_interp::when_lost(watch_exit);
        numpy::ARRAYS.register();
        // SAFETY: CPython calls this once for each module that it makes from the definition, attached.
        unsafe { state::fill(module) }
    })
}

/// Has the main thread note the exit code that the program will end with: see `_lifecycle.py`.
fn watch_exit() {
    extern "C" fn watch(_: *mut c_void) -> c_int {
        // SAFETY: CPython calls this in the main thread, attached to main; an exception is cleared.
        entry::status(|| unsafe {
            let name = Object::string("covet_py._lifecycle")?;
            // Not imported there: then main does not end pools either.
            let lifecycle = Object::owned(ffi::PyImport_GetModule(name.as_ptr()));
            let watched =
                lifecycle.and_then(|lifecycle| lifecycle.attribute(c"watch_exit")?.call(&[]));
            if watched.is_err() {
                ffi::PyErr_Clear();
            }
            Ok(())
        })
    }
    // SAFETY: needs no thread state; the function may be called at any time. If too many wait, the exit code is not known.
    unsafe { ffi::Py_AddPendingCall(Some(watch), std::ptr::null_mut()) };
}
