//! What the C API takes by itself: an interpreter, entered and left around each call of a function.

use std::ptr;
use std::time::{Duration, Instant};

use covet_interp::ffi;

/// Enters an interpreter, calls `same(n)` and leaves, for some time; returns nanoseconds per call. `None` where an interpreter
/// cannot have a GIL of its own.
pub(crate) fn enter_call_leave(time: Duration) -> Option<f64> {
    if !ffi::OWN_GIL {
        return None;
    }
    // SAFETY: Python runs, and this thread has nothing attached. It makes the interpreter as covet-interp does, is the only one
    // to use it, and ends it attached to its last state. Every object is made and dropped attached to it.
    unsafe {
        let main = ffi::PyThreadState_New(ffi::PyInterpreterState_Main());
        ffi::PyEval_RestoreThread(main);
        let state = ffi::new_interpreter().expect("an interpreter");
        ffi::PyEval_SaveThread();
        ffi::PyEval_RestoreThread(main);
        ffi::PyThreadState_Clear(main);
        ffi::PyThreadState_DeleteCurrent();
        ffi::PyEval_RestoreThread(state);

        let source = c"def same(n): return n";
        let code = ffi::Py_CompileString(source.as_ptr(), c"<floor>".as_ptr(), ffi::Py_file_input);
        let globals = ffi::PyDict_New();
        let none = ffi::PyEval_EvalCode(code, globals, globals);
        let same = ffi::PyDict_GetItemString(globals, c"same".as_ptr());
        assert!(!none.is_null() && !same.is_null());
        ffi::PyEval_SaveThread();

        let begin = Instant::now();
        let mut calls = 0;
        while begin.elapsed() < time {
            for n in calls..calls + 1000 {
                ffi::PyEval_RestoreThread(state);
                let mut argument = ffi::PyLong_FromLongLong(n);
                let result = ffi::PyObject_Vectorcall(same, &raw mut argument, 1, ptr::null_mut());
                assert_eq!(ffi::PyLong_AsLongLong(result), n);
                ffi::Py_DECREF(result);
                ffi::Py_DECREF(argument);
                ffi::PyEval_SaveThread();
            }
            calls += 1000;
        }
        let took = begin.elapsed();

        ffi::PyEval_RestoreThread(state);
        for object in [none, globals, code] {
            ffi::Py_DECREF(object);
        }
        ffi::Py_EndInterpreter(state);
        Some(took.as_nanos() as f64 / calls as f64)
    }
}
