//! The C API of CPython, and everything that differs between its versions.
//!
//! This is the only file that asks which Python it is built for. What it adds to `pyo3-ffi`: shims for
//! functions that came or changed after 3.11, and the few entry points that `pyo3-ffi` does not declare.

pub use pyo3_ffi::*;

use std::ffi::{CStr, c_int, c_long, c_ulong, c_void};
use std::ptr;
#[cfg(unix)]
use std::sync::atomic::AtomicPtr;

/// The Python this crate was built for, as `(major, minor)`.
pub const VERSION: (u8, u8) = if cfg!(Py_3_15) {
    (3, 15)
} else if cfg!(Py_3_14) {
    (3, 14)
} else if cfg!(Py_3_13) {
    (3, 13)
} else if cfg!(Py_3_12) {
    (3, 12)
} else {
    (3, 11)
};

/// The Python that runs, as `PY_VERSION_HEX`.
pub fn version() -> u64 {
    unsafe extern "C" {
        static Py_Version: c_ulong;
    }
    // SAFETY: a constant of the library.
    let version = unsafe { Py_Version };
    #[allow(clippy::useless_conversion)] // a C long has 32 bits elsewhere
    version.into()
}

/// Whether this crate was built for a free-threaded Python (PEP 703).
pub const FREE_THREADED_BUILD: bool = cfg!(Py_GIL_DISABLED);

/// Whether an interpreter can have a GIL of its own (PEP 684, Python 3.12).
pub const OWN_GIL: bool = cfg!(Py_3_12);

/// Whether a subinterpreter may load an extension module that the main interpreter never saw without
/// corrupting memory (fixed for good in 3.14).
pub const MAIN_FIRST_MANDATORY: bool = !cfg!(Py_3_14);

/// Whether `threading` takes the thread that imports it for the main thread of an interpreter. From 3.13 on it knows that of the
/// process.
pub(crate) const IMPORTER_IS_MAIN_THREAD: bool = !cfg!(Py_3_13);

/// Whether a thread state of the main interpreter can leave its list while another thread has the GIL (from 3.13 on:
/// `switch_back_from_main_interpreter` in Python/import.c).
pub(crate) const STATES_LEAVE_WITHOUT_GIL: bool = cfg!(Py_3_13);

/// Bytes of stack that must be left to a caller that is lent an interpreter.
///
/// From 3.14 on CPython knows the real limit of each thread's stack and raises `RecursionError` before it. Earlier ones
/// count calls, up to `sys.getrecursionlimit()` and a limit of their own for C: this is what the most expensive of those
/// (`sorted` with a key function that sorts) was measured to need at the default limits.
pub const STACK_NEEDED: usize = if cfg!(Py_3_14) {
    256 << 10
} else if cfg!(Py_3_13) {
    6 << 20
} else {
    3 << 20
};

/// The newest format that `marshal` writes.
pub(crate) const MARSHAL_VERSION: c_int = if cfg!(Py_3_15) {
    6
} else if cfg!(Py_3_14) {
    5
} else {
    4
};

unsafe extern "C" {
    // Under names of our own: later releases of pyo3-ffi declare more of the C API.
    #[link_name = "PyThread_get_thread_ident"]
    fn get_thread_ident() -> c_ulong;

    /// `PyCell_Get`: the contents of a cell (a new reference), or null without an exception when it is empty.
    #[link_name = "PyCell_Get"]
    pub fn cell_contents(cell: *mut PyObject) -> *mut PyObject;

    /// `PyPickleBuffer_FromObject`: a `pickle.PickleBuffer` over what an object exports (a new reference).
    #[link_name = "PyPickleBuffer_FromObject"]
    pub fn pickle_buffer(object: *mut PyObject) -> *mut PyObject;

    /// `PyDict_SetDefault`: the value of the key (borrowed), which is `value` unless there was one; null with an exception raised.
    #[link_name = "PyDict_SetDefault"]
    pub(crate) fn set_default(
        dict: *mut PyObject,
        key: *mut PyObject,
        value: *mut PyObject,
    ) -> *mut PyObject;

    #[link_name = "_PyLong_FromByteArray"]
    fn int_from_byte_array(
        bytes: *const u8,
        size: usize,
        little_endian: c_int,
        signed: c_int,
    ) -> *mut PyObject;

    #[cfg(not(Py_3_13))]
    #[link_name = "_PyLong_NumBits"]
    fn int_bits(int: *mut PyObject) -> usize;

    #[link_name = "_PySet_NextEntry"]
    fn next_of_set(
        set: *mut PyObject,
        position: *mut Py_ssize_t,
        element: *mut *mut PyObject,
        hash: *mut Py_hash_t,
    ) -> c_int;

    /// The first words of the runtime's memory, of which other threads may change some.
    #[cfg(unix)]
    #[link_name = "_PyRuntime"]
    pub(crate) static RUNTIME: [AtomicPtr<PyInterpreterState>; 1024];
}

/// `PyMutex_Unlock`.
///
/// # Safety
/// `mutex` is one, and locked by the calling thread.
pub(crate) unsafe fn unlock(mutex: *mut u8) {
    #[cfg(Py_3_13)]
    {
        unsafe extern "C" {
            #[link_name = "PyMutex_Unlock"]
            fn unlock_mutex(mutex: *mut u8);
        }
        // SAFETY: as promised.
        unsafe { unlock_mutex(mutex) }
    }
    #[cfg(not(Py_3_13))]
    let _ = mutex;
}

/// What [`add_pending_call`] takes.
pub type PendingCall = unsafe extern "C" fn(*mut c_void) -> c_int;

/// `Py_AddPendingCall` for an interpreter that is not main: it calls the function between two instructions of its own. Not 0 if too
/// many wait there.
///
/// # Safety
/// The interpreter is alive, and the function may be called in it, attached, with this argument.
pub unsafe fn add_pending_call(
    interpreter: *mut PyInterpreterState,
    function: PendingCall,
    argument: *mut c_void,
) -> c_int {
    unsafe extern "C" {
        #[link_name = "_PyEval_AddPendingCall"]
        fn add(
            interpreter: *mut PyInterpreterState,
            function: PendingCall,
            argument: *mut c_void,
            // "only the main thread" in 3.12, flags later.
            flags: c_int,
        ) -> c_int;
    }
    // SAFETY: as promised.
    unsafe { add(interpreter, function, argument, 0) }
}

/// The identity that CPython gives the calling thread (`threading.get_ident()`).
#[inline]
#[allow(clippy::useless_conversion)] // a C long has 32 bits elsewhere
pub fn thread_ident() -> u64 {
    // SAFETY: needs no thread state and touches nothing but the calling thread's own identity.
    unsafe { get_thread_ident() }.into()
}

/// The attached thread state of the calling thread, or null.
#[inline]
pub fn current() -> *mut PyThreadState {
    // SAFETY: reads where the runtime notes it; needs no thread state, never fails.
    let state = unsafe { compat::PyThreadState_GetUnchecked() };
    // Before 3.12 there is one note for the whole process: it may be another thread's. A thread has one state there.
    // SAFETY: as above.
    if !OWN_GIL && state != unsafe { PyGILState_GetThisThreadState() } {
        return ptr::null_mut();
    }
    state
}

/// The interpreter that the calling thread is attached to, or null.
#[inline]
pub fn current_interpreter() -> *mut PyInterpreterState {
    let state = current();
    if state.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: `state` is the attached thread state, so it is alive.
    unsafe { PyThreadState_GetInterpreter(state) }
}

/// The part of a thread state that is laid out alike from 3.12 on (`struct _ts`, Include/cpython/pystate.h).
#[repr(C)]
struct ThreadState {
    previous: *mut PyThreadState,
    next: *mut PyThreadState,
    interpreter: *mut PyInterpreterState,
    between: [usize; if cfg!(Py_3_15) {
        15
    } else if cfg!(Py_3_13) {
        12
    } else {
        10
    }],
    handled: *const HandledExceptions,
    dict: *mut PyObject,
    gilstate_counter: c_int,
    scheduled: *mut PyObject,
    thread: c_ulong,
}

/// `_PyErr_StackItem`: the exceptions that a thread handles, the innermost first.
#[repr(C)]
struct HandledExceptions {
    exception: *mut PyObject,
    outer: *const HandledExceptions,
}

/// Whether this Python lays its thread states out as [`next_state`], [`thread_of`] and [`exception_handled_by`] expect.
///
/// # Safety
/// A thread state is attached.
pub unsafe fn thread_states_are_known() -> bool {
    // SAFETY: attached to the calling thread; every version's thread state is longer than this part.
    unsafe {
        let state = current();
        OWN_GIL
            && (*state.cast::<ThreadState>()).interpreter == PyThreadState_GetInterpreter(state)
            && thread_of(state) == thread_ident()
    }
}

/// The next in the list of an interpreter's thread states, or null. `PyThreadState_Next` takes a lock for that, and gives the
/// GIL away while it waits for it.
///
/// # Safety
/// `state` is alive, [`thread_states_are_known`], and the calling thread has the GIL of its interpreter, without which no state
/// leaves the list.
pub unsafe fn next_state(state: *mut PyThreadState) -> *mut PyThreadState {
    // SAFETY: alive and laid out like this, as promised.
    unsafe { (*state.cast::<ThreadState>()).next }
}

/// The identity of the thread that a state belongs to; 0 before it ran on one.
///
/// # Safety
/// `state` is alive, and [`thread_states_are_known`].
#[allow(clippy::useless_conversion)] // a C long has 32 bits elsewhere
pub unsafe fn thread_of(state: *mut PyThreadState) -> u64 {
    // SAFETY: alive and laid out like this, as promised.
    unsafe { (*state.cast::<ThreadState>()).thread.into() }
}

/// The exception that a thread handles (borrowed), or null or `None`.
///
/// # Safety
/// `state` is alive, [`thread_states_are_known`], and its thread does not run meanwhile, or is the calling one.
pub unsafe fn exception_handled_by(state: *mut PyThreadState) -> *mut PyObject {
    // SAFETY: alive and laid out like this, as promised; the list ends with the state's own item.
    unsafe {
        let mut item = &*(*state.cast::<ThreadState>()).handled;
        while (item.exception.is_null() || item.exception == Py_None())
            && let Some(outer) = item.outer.as_ref()
        {
            item = outer;
        }
        item.exception
    }
}

/// Makes an interpreter with a GIL of its own; its first thread state is attached on return.
///
/// # Safety
/// A thread state of the main interpreter is attached. On success it is detached (and still alive) and the new
/// one is attached; on failure it stays attached.
pub unsafe fn new_interpreter() -> Result<*mut PyThreadState, String> {
    #[cfg(Py_3_12)]
    {
        let mut state = ptr::null_mut();
        // SAFETY: the caller attached main; the configuration is the one legal own-GIL combination.
        let status = unsafe { Py_NewInterpreterFromConfig(&mut state, &_PyInterpreterConfig_INIT) };
        // SAFETY: `status` was just filled in.
        if unsafe { PyStatus_Exception(status) } != 0 || state.is_null() {
            return Err(status_text(&status));
        }
        Ok(state)
    }
    #[cfg(not(Py_3_12))]
    Err("interpreters with a GIL of their own need Python 3.12 or later".to_owned())
}

/// A new thread state of an interpreter, for the calling thread; `None` when there is no memory for it.
///
/// # Safety
/// The interpreter is alive.
pub unsafe fn new_thread_state(interpreter: *mut PyInterpreterState) -> Option<*mut PyThreadState> {
    // SAFETY: alive, as the caller promised.
    let state = unsafe { PyThreadState_New(interpreter) };
    (!state.is_null()).then_some(state)
}

/// What CPython said went wrong.
pub fn status_text(status: &PyStatus) -> String {
    if status.err_msg.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: a non-null err_msg is a static C string.
    unsafe { CStr::from_ptr(status.err_msg) }
        .to_string_lossy()
        .into_owned()
}

/// Takes the raised exception (a strong reference), normalised, or null if there is none.
///
/// # Safety
/// A thread state is attached.
pub unsafe fn take_raised() -> *mut PyObject {
    #[cfg(Py_3_12)]
    // SAFETY: attached, as the caller promised.
    unsafe {
        PyErr_GetRaisedException()
    }
    #[cfg(not(Py_3_12))]
    {
        let (mut kind, mut value, mut trace) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        // SAFETY: attached; the three references are ours after the fetch, and each is given on or dropped once.
        unsafe {
            PyErr_Fetch(&mut kind, &mut value, &mut trace);
            if kind.is_null() {
                return ptr::null_mut();
            }
            PyErr_NormalizeException(&mut kind, &mut value, &mut trace);
            if !trace.is_null() {
                PyException_SetTraceback(value, trace);
                Py_DECREF(trace);
            }
            Py_DECREF(kind);
            value
        }
    }
}

/// Raises `error` (steals the reference).
///
/// # Safety
/// A thread state is attached; `error` is a strong reference to an exception.
pub unsafe fn set_raised(error: *mut PyObject) {
    #[cfg(Py_3_12)]
    // SAFETY: attached, and the reference is given away.
    unsafe {
        PyErr_SetRaisedException(error)
    }
    #[cfg(not(Py_3_12))]
    // SAFETY: attached; a new reference to the type and the caller's to the value are given away.
    unsafe {
        let kind = Py_TYPE(error).cast::<PyObject>();
        Py_INCREF(kind);
        PyErr_Restore(kind, error, PyException_GetTraceback(error));
    }
}

/// Schedules `exception` in a thread of the attached interpreter; null takes a scheduled one back.
///
/// # Safety
/// A thread state is attached.
pub unsafe fn set_async_exception(thread: u64, exception: *mut PyObject) -> c_int {
    // SAFETY: attached. pyo3-ffi types the identity as a signed long; CPython takes the same bits.
    unsafe { PyThreadState_SetAsyncExc(thread as c_long, exception) }
}

/// Whether the module definition says that every interpreter may load it under a GIL of its own; `None` where only
/// CPython can tell.
///
/// # Safety
/// `definition` is a live module definition.
pub unsafe fn supports_own_gil(definition: *const PyModuleDef) -> Option<bool> {
    #[cfg(Py_3_12)]
    {
        // PEP 820 (3.15) numbered the slots anew and lets them be nested; the old number stays valid.
        const NUMBERS: [c_int; 2] = [Py_mod_multiple_interpreters, 86];
        // SAFETY: alive, as promised; slots end with a zero entry.
        unsafe {
            let mut slot = (*definition).m_slots;
            while !slot.is_null() && (*slot).slot != 0 {
                if NUMBERS.contains(&(*slot).slot) {
                    return Some((*slot).value == Py_MOD_PER_INTERPRETER_GIL_SUPPORTED);
                }
                slot = slot.add(1);
            }
        }
        (VERSION < (3, 15)).then_some(false)
    }
    #[cfg(not(Py_3_12))]
    {
        let _ = definition;
        Some(true)
    }
}

/// Code units of a string: width in bytes (1, 2 or 4), data, length.
///
/// # Safety
/// A thread state is attached; `string` is a `str`, and stays alive while the slice is used.
#[inline]
pub unsafe fn string_units<'a>(string: *mut PyObject) -> (u8, &'a [u8]) {
    // SAFETY: `string` is a str; a str is immutable, so its units do not move while it lives.
    unsafe {
        #[cfg(not(Py_3_12))]
        if PyUnicode_READY(string) < 0 {
            PyErr_Clear();
        }
        let kind = PyUnicode_KIND(string) as u8;
        let length = PyUnicode_GET_LENGTH(string) as usize * usize::from(kind);
        let data = PyUnicode_DATA(string) as *const u8;
        (kind, std::slice::from_raw_parts(data, length))
    }
}

/// How many bytes [`int_bytes`] needs for an int, sign included.
///
/// # Safety
/// A thread state is attached; `int` is an `int`.
pub unsafe fn int_size(int: *mut PyObject) -> usize {
    #[cfg(Py_3_13)]
    // SAFETY: as promised; with no room nothing is written.
    unsafe {
        PyLong_AsNativeBytes(int, ptr::null_mut(), 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN) as usize
    }
    #[cfg(not(Py_3_13))]
    // SAFETY: as promised.
    unsafe {
        int_bits(int) / 8 + 1
    }
}

/// Writes an int into as many bytes as [`int_size`] says: little-endian, two's complement. Returns false with an exception
/// raised when it does not fit.
///
/// # Safety
/// A thread state is attached; `int` is an `int`.
pub unsafe fn int_bytes(int: *mut PyObject, bytes: &mut [u8]) -> bool {
    let (data, size) = (bytes.as_mut_ptr(), bytes.len());
    #[cfg(Py_3_13)]
    // SAFETY: as promised; the slice has room for what is said.
    unsafe {
        let needed = PyLong_AsNativeBytes(
            int,
            data.cast(),
            size as Py_ssize_t,
            Py_ASNATIVEBYTES_LITTLE_ENDIAN,
        );
        needed >= 0 && needed as usize <= size
    }
    #[cfg(not(Py_3_13))]
    // SAFETY: as above.
    unsafe {
        _PyLong_AsByteArray(int.cast(), data, size, 1, 1) == 0
    }
}

/// A new `int` from such bytes; null with an exception raised when there is no memory for it.
///
/// # Safety
/// A thread state is attached.
pub unsafe fn int_from_bytes(bytes: &[u8]) -> *mut PyObject {
    // SAFETY: attached; reads the slice.
    unsafe { int_from_byte_array(bytes.as_ptr(), bytes.len(), 1, 1) }
}

/// The items of a tuple or list (borrowed).
///
/// # Safety
/// A thread state is attached; `row` is a `list` if `is_list`, else a `tuple`, and lives and does not change while the slice is used.
#[inline]
pub(crate) unsafe fn row<'a>(row: *mut PyObject, is_list: bool) -> &'a [*mut PyObject] {
    // SAFETY: as promised: it has so many items, in one row.
    unsafe {
        let (first, length) = if is_list {
            let list = row.cast::<PyListObject>();
            ((*list).ob_item.cast_const(), PyList_GET_SIZE(row))
        } else {
            let tuple = row.cast::<PyTupleObject>();
            ((&raw const (*tuple).ob_item).cast(), PyTuple_GET_SIZE(row))
        };
        // An empty list has no row.
        match length {
            0 => &[],
            length => std::slice::from_raw_parts(first, length as usize),
        }
    }
}

/// The next element of a set (borrowed), in its own order; `position` begins with 0.
///
/// # Safety
/// A thread state is attached; `set` is a `set` or `frozenset` that does not change meanwhile.
#[inline]
pub unsafe fn set_next(set: *mut PyObject, position: &mut Py_ssize_t) -> Option<*mut PyObject> {
    let (mut element, mut hash) = (ptr::null_mut(), 0);
    // SAFETY: as promised.
    unsafe { (next_of_set(set, position, &mut element, &mut hash) != 0).then_some(element) }
}

/// The module slot that says: may be loaded in interpreters with a GIL of their own (nothing before 3.12, where a
/// slot of number 0 ends the list).
pub const MODULE_OWN_GIL: PyModuleDef_Slot = PyModuleDef_Slot {
    #[cfg(Py_3_12)]
    slot: Py_mod_multiple_interpreters,
    #[cfg(Py_3_12)]
    value: Py_MOD_PER_INTERPRETER_GIL_SUPPORTED,
    #[cfg(not(Py_3_12))]
    slot: 0,
    #[cfg(not(Py_3_12))]
    value: ptr::null_mut(),
};

/// The module slot that says: needs no GIL (nothing before 3.13).
pub const MODULE_WITHOUT_GIL: PyModuleDef_Slot = PyModuleDef_Slot {
    #[cfg(Py_3_13)]
    slot: Py_mod_gil,
    #[cfg(Py_3_13)]
    value: Py_MOD_GIL_NOT_USED,
    #[cfg(not(Py_3_13))]
    slot: 0,
    #[cfg(not(Py_3_13))]
    value: ptr::null_mut(),
};

/// Keeps the keyword tuples of argument parsers alive that a subinterpreter made.
///
/// The functions of C extensions share one static parser each. Its tuple of keyword names is made at the first call with
/// keywords, and in 3.12 by whichever interpreter makes that call; main frees it when it finalizes, with another allocator,
/// which corrupts its memory (3.13 makes it in main). One reference more, and main only counts it down.
///
/// # Safety
/// Attached to main, and no other interpreter is left.
pub unsafe fn keep_argument_parsers() {
    #[cfg(all(Py_3_12, not(Py_3_13)))]
    // SAFETY: attached. The parser is a copy of the C structure of 3.12, filled in as Argument Clinic does for a function
    // f(a), and lives for ever, as the list of parsers that it is put into asks. The others in that list are static.
    unsafe {
        let keywords = Box::leak(Box::new([c"a".as_ptr(), ptr::null()]));
        let parser = Box::leak(Box::new(ArgumentParser {
            initialized: 0,
            format: ptr::null(),
            keywords: keywords.as_ptr(),
            function_name: c"covet".as_ptr(),
            message: ptr::null(),
            positional_only: 0,
            min: 0,
            max: 0,
            keyword_tuple: ptr::null_mut(),
            next: ptr::null_mut(),
        }));
        let argument = [Py_None()];
        let mut buffer = [ptr::null_mut(); 1];
        _PyArg_UnpackKeywords(
            argument.as_ptr(),
            1,
            ptr::null_mut(),
            ptr::null_mut(),
            parser,
            1,
            1,
            0,
            buffer.as_mut_ptr(),
        );
        PyErr_Clear();
        // Two interpreters can have put the same parser into the list at once, which then bites its own tail.
        let mut seen = std::collections::HashSet::new();
        let mut other = parser.next;
        while let Some(parser) = other.as_ref()
            && seen.insert(other)
        {
            // Negative: the tuple is part of the program.
            if parser.initialized > 0 {
                Py_XINCREF(parser.keyword_tuple);
            }
            other = parser.next;
        }
    }
}

/// `_PyArg_Parser` of CPython 3.12 (Include/cpython/modsupport.h).
#[cfg(all(Py_3_12, not(Py_3_13)))]
#[repr(C)]
struct ArgumentParser {
    initialized: c_int,
    format: *const std::ffi::c_char,
    keywords: *const *const std::ffi::c_char,
    function_name: *const std::ffi::c_char,
    message: *const std::ffi::c_char,
    positional_only: c_int,
    min: c_int,
    max: c_int,
    keyword_tuple: *mut PyObject,
    next: *mut ArgumentParser,
}

#[cfg(all(Py_3_12, not(Py_3_13)))]
unsafe extern "C" {
    fn _PyArg_UnpackKeywords(
        arguments: *const *mut PyObject,
        positional: Py_ssize_t,
        keyword_arguments: *mut PyObject,
        names: *mut PyObject,
        parser: *mut ArgumentParser,
        min_positional: c_int,
        max_positional: c_int,
        min_keyword: c_int,
        buffer: *mut *mut PyObject,
    ) -> *const *mut PyObject;
}
