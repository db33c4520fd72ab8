//! The Python package `covet_py`: the compiled module `covet_py._native`.
//!
//! A thin binding: every function here converts its arguments, gives the GIL up where it waits, calls
//! `covet-interp`, and converts what comes back. The module can be imported in every interpreter: everything Python
//! that it holds lies in its module state (`state.rs`), there is no static Python object, and each type is a heap
//! type of the interpreter that made it (PEP 489, 630, 684).

mod entry;
mod errors;
mod functions;
mod images;
mod map;
mod pool;
mod state;
mod task;

use covet_interp::ffi;
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

unsafe extern "C" fn exec(module: *mut ffi::PyObject) -> c_int {
    entry::status(|| {
        // SAFETY: CPython calls this once for each module that it makes from the definition, attached.
        unsafe { state::fill(module) }
    })
}
