//! Everything Python that lives as long as the module does in one interpreter.

use crate::entry::{self, Kind, raise};
use crate::functions::Functions;
use crate::http::Http;
use crate::images;
use crate::{array, completions, device, engine, map, pool, task};
use covet_interp::raw::{Object, Raised, Support};
use covet_interp::{Detached, Function, PoolsOf, ffi};
use std::ffi::{c_int, c_void};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The module's memory: CPython zeroes it, `fill` fills it, `clear` and `free` empty it.
pub(crate) type Place = *mut State;

/// The state of the module in one interpreter. It is used attached to that interpreter only.
pub(crate) struct State {
    pub(crate) support: Support,
    /// The module `covet_py._errors`.
    pub(crate) errors: Object,
    /// The module `covet_py._watch`.
    watch: Object,
    pub(crate) task_type: Object,
    pub(crate) map_type: Object,
    pub(crate) completions_type: Object,
    pub(crate) http: Http,
    pub(crate) array_type: Object,
    functions: Functions,
    /// The thread that handles signals; `None` in a subinterpreter.
    signals: Option<u64>,
}

impl State {
    /// The state of the module that `module` is.
    ///
    /// # Safety
    /// Attached; `module` is a module made from our definition and is alive for `'a`.
    pub(crate) unsafe fn of<'a>(module: *mut ffi::PyObject) -> Result<&'a Self, Raised> {
        // SAFETY: CPython gives the memory of `Place` size that it made for the module.
        unsafe { Self::at(ffi::PyModule_GetState(module)) }
    }

    /// The state of this module in the interpreter of `support`, which is imported if it was not.
    ///
    /// # Safety
    /// Attached to that interpreter; the module stays in `sys.modules` for `'a`, or another reference to it is kept.
    pub(crate) unsafe fn here<'a>(support: &Support) -> Result<&'a Self, Raised> {
        // SAFETY: attached; what is found is alive while its dict keeps it, and only a module of our definition is asked for its
        // state.
        unsafe {
            if let Some(module) = support.imported("covet_py._native")?
                && crate::is_ours(module.as_ptr())
            {
                return Self::of(module.as_ptr());
            }
            let module = Object::import(c"covet_py._native")?;
            match crate::is_ours(module.as_ptr()) {
                true => Self::of(module.as_ptr()),
                false => Err(raise(
                    Kind::Runtime,
                    "expected covet_py._native, found another module",
                )),
            }
        }
    }

    /// The state of the module that made the heap type `kind`.
    ///
    /// # Safety
    /// Attached; `kind` is a type that this module made, and is alive for `'a`.
    #[inline]
    pub(crate) unsafe fn of_type<'a>(kind: *mut ffi::PyTypeObject) -> Result<&'a Self, Raised> {
        // SAFETY: a type made by PyType_FromModuleAndSpec keeps its module alive.
        unsafe { Self::at(ffi::PyType_GetModuleState(kind)) }
    }

    #[inline]
    unsafe fn at<'a>(place: *mut c_void) -> Result<&'a Self, Raised> {
        // SAFETY: null, or a `Place` that is null or points to a State until `clear`.
        let state = unsafe {
            place
                .cast::<Place>()
                .as_ref()
                .and_then(|state| state.as_ref())
        };
        state.ok_or_else(|| raise(Kind::Runtime, "covet_py was unloaded in this interpreter"))
    }

    /// Whether signals are handled by the calling thread.
    #[inline]
    pub(crate) fn handles_signals(&self) -> bool {
        self.signals == Some(ffi::thread_ident())
    }

    /// The function that stands for `callable`.
    ///
    /// # Safety
    /// Attached to this interpreter; `callable` is alive.
    #[inline]
    pub(crate) unsafe fn function(
        &self,
        callable: *mut ffi::PyObject,
    ) -> Result<Arc<Function>, Raised> {
        // SAFETY: as promised.
        unsafe { self.functions.get(callable, &self.support, &self.watch) }
    }

    /// Waits, detached, in steps short enough for Ctrl-C to be noticed: `step` waits until the deadline it is given
    /// and says whether it got what it waits for.
    ///
    /// # Errors
    /// [`Raised`] with what a signal handler raised (`KeyboardInterrupt`).
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        mut step: impl FnMut(Option<Instant>) -> bool,
    ) -> Result<bool, Raised> {
        if !self.handles_signals() {
            let _detached = Detached::new();
            return Ok(step(deadline));
        }
        loop {
            let short = Instant::now() + BETWEEN_SIGNAL_CHECKS;
            let until = deadline.map_or(short, |deadline| deadline.min(short));
            let done = {
                let _detached = Detached::new();
                step(Some(until))
            };
            // SAFETY: attached again.
            if unsafe { ffi::PyErr_CheckSignals() } < 0 {
                return Err(Raised);
            }
            if done || deadline == Some(until) {
                return Ok(done);
            }
        }
    }

    fn references(&self) -> Vec<*mut ffi::PyObject> {
        let mut all: Vec<_> = self.support.references().map(Object::as_ptr).to_vec();
        all.extend(
            [
                &self.errors,
                &self.watch,
                &self.task_type,
                &self.map_type,
                &self.completions_type,
                &self.array_type,
            ]
            .map(Object::as_ptr),
        );
        all.extend(self.functions.references());
        all.extend(self.http.references());
        all
    }
}

/// How long the thread that handles signals waits before it looks for one.
const BETWEEN_SIGNAL_CHECKS: Duration = Duration::from_millis(50);

/// Fills the state of a new module, and adds its types to it.
///
/// # Safety
/// Attached; `module` was just made from our definition.
pub(crate) unsafe fn fill(module: *mut ffi::PyObject) -> Result<(), Raised> {
    // SAFETY: attached; every object made here is owned by the state or by the module.
    unsafe {
        let add = |kind: &Object| match ffi::PyModule_AddType(module, kind.as_ptr().cast()) {
            0 => Ok(()),
            _ => Err(Raised),
        };
        let support = Support::load()?;
        // Pickled for another process, it is found by this name.
        let buffer = support.part(c"Buffer")?;
        let home = Object::string("covet_py")?;
        if ffi::PyObject_SetAttrString(buffer.as_ptr(), c"__module__".as_ptr(), home.as_ptr()) < 0 {
            return Err(Raised);
        }
        for name in [c"Buffer", c"RemoteError", c"RemoteTraceback"] {
            let part = support.part(name)?;
            if ffi::PyModule_AddObjectRef(module, name.as_ptr(), part.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        add(&pool::make_type(module)?)?;
        let main = ffi::PyInterpreterState_Get() == ffi::PyInterpreterState_Main();
        let signals = if main {
            let ident = Object::import(c"threading")?
                .attribute(c"main_thread")?
                .call(&[])?
                .attribute(c"ident")?;
            Some(ffi::PyLong_AsUnsignedLongLong(ident.as_ptr()))
        } else {
            None
        };
        let state = Box::new(State {
            support,
            errors: Object::import(c"covet_py._errors")?,
            watch: Object::import(c"covet_py._watch")?,
            task_type: task::make_type(module)?,
            map_type: map::make_type(module)?,
            completions_type: completions::make_type(module)?,
            http: Http::new(module)?,
            array_type: array::make_type(module)?,
            functions: Functions::default(),
            signals,
        });
        add(&state.task_type)?;
        add(&state.map_type)?;
        add(&state.completions_type)?;
        state.http.types().into_iter().try_for_each(add)?;
        add(&state.array_type)?;
        add(&engine::make_type(module)?)?;
        array::functions::add(module)?;
        add(&device::make_type(module)?)?;
        device::add(module)?;
        *ffi::PyModule_GetState(module).cast::<Place>() = Box::into_raw(state);
        Ok(())
    }
}

pub(crate) unsafe extern "C" fn traverse(
    module: *mut ffi::PyObject,
    visit: ffi::visitproc,
    data: *mut c_void,
) -> c_int {
    // SAFETY: CPython calls this attached, with a module of ours; the state, if any, is alive.
    unsafe {
        let place = ffi::PyModule_GetState(module).cast::<Place>();
        if let Some(state) = place.as_ref().and_then(|state| state.as_ref()) {
            for object in state.references() {
                let stop = visit(object, data);
                if stop != 0 {
                    return stop;
                }
            }
        }
    }
    0
}

pub(crate) unsafe extern "C" fn clear(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: CPython calls this attached, with a module of ours; the state is taken out of its place before it is
    // dropped, so it is dropped once.
    unsafe {
        let place = ffi::PyModule_GetState(module).cast::<Place>();
        if let Some(place) = place.as_mut() {
            let state = std::mem::replace(place, std::ptr::null_mut());
            if !state.is_null() {
                drop(Box::from_raw(state));
            }
        }
    }
    0
}

pub(crate) unsafe extern "C" fn free(module: *mut c_void) {
    // SAFETY: as `clear`.
    unsafe { clear(module.cast()) };
}

macro_rules! method {
    ($name:literal, $function:expr, $flags:expr, $doc:literal) => {
        ffi::PyMethodDef {
            ml_name: $name.as_ptr(),
            ml_meth: $function,
            ml_flags: $flags,
            ml_doc: $doc.as_ptr(),
        }
    };
}
pub(crate) use method;

pub(crate) static mut METHODS: [ffi::PyMethodDef; 10] = [
    method!(
        c"shut_down_all",
        ffi::PyMethodDefPointer { PyCFunction: shut_down_all },
        ffi::METH_O,
        c"shut_down_all($module, timeout, /)\n--\n\nCloses every pool made in this interpreter and waits for the workers. Returns whether they have ended."
    ),
    method!(
        c"interrupt_all",
        ffi::PyMethodDefPointer { PyCFunction: interrupt_all },
        ffi::METH_NOARGS,
        c"interrupt_all($module, /)\n--\n\nCancels every queued task of the pools made in this interpreter and interrupts what runs."
    ),
    method!(
        c"lost_workers",
        ffi::PyMethodDefPointer {
            PyCFunction: lost_workers
        },
        ffi::METH_NOARGS,
        c"lost_workers($module, /)\n--\n\nHow many threads are stuck in an interpreter, so that Python must not be finalized."
    ),
    method!(
        c"leaked_references",
        ffi::PyMethodDefPointer {
            PyCFunction: leaked_references
        },
        ffi::METH_NOARGS,
        c"leaked_references($module, /)\n--\n\nHow many objects were kept for good, because their interpreter ended while their memory was in use elsewhere."
    ),
    method!(
        c"fork_is_safe",
        ffi::PyMethodDefPointer {
            PyCFunction: fork_is_safe
        },
        ffi::METH_NOARGS,
        c"fork_is_safe($module, /)\n--\n\nWhether a child of a fork survives the pools that this interpreter has."
    ),
    method!(
        c"after_fork",
        ffi::PyMethodDefPointer {
            PyCFunction: after_fork
        },
        ffi::METH_NOARGS,
        c"after_fork($module, /)\n--\n\nNotes that the calling thread is the only one."
    ),
    method!(
        c"before_finalize",
        ffi::PyMethodDefPointer {
            PyCFunction: before_finalize
        },
        ffi::METH_O,
        c"before_finalize($module, timeout, /)\n--\n\nWhat has to be done right before Python is finalized; waits until no thread is on its way back from a pool."
    ),
    method!(
        c"set_trial_command",
        ffi::PyMethodDefPointer {
            PyCFunction: images::set_trial_command
        },
        ffi::METH_O,
        c"set_trial_command($module, command, /)\n--\n\nSays how modules are tried as private images: a program and its arguments."
    ),
    method!(
        c"images",
        ffi::PyMethodDefPointer {
            PyCFunction: images::images
        },
        ffi::METH_NOARGS,
        c"images($module, /)\n--\n\nThe files of which this process has private images."
    ),
    ffi::PyMethodDef::zeroed(),
];

unsafe extern "C" fn shut_down_all(
    module: *mut ffi::PyObject,
    timeout: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with the module and one argument.
    entry::object(|| unsafe {
        let deadline = entry::seconds(timeout)?.map(|limit| Instant::now() + limit);
        let pools = PoolsOf::this_interpreter();
        let ended = State::of(module)?.wait(deadline, |until| pools.shut_down(until))?;
        Object::owned(ffi::PyBool_FromLong(ended.into()))
    })
}

unsafe extern "C" fn interrupt_all(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    entry::object(|| {
        PoolsOf::this_interpreter().interrupt();
        // SAFETY: CPython calls this attached.
        unsafe { Object::borrowed(ffi::Py_None()) }
    })
}

unsafe extern "C" fn before_finalize(
    _: *mut ffi::PyObject,
    timeout: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with one argument.
    entry::object(|| unsafe {
        let limit = entry::seconds(timeout)?.unwrap_or(Duration::from_secs(1 << 30));
        let quiet = covet_interp::before_finalize(Instant::now() + limit);
        Object::owned(ffi::PyBool_FromLong(quiet.into()))
    })
}

unsafe extern "C" fn lost_workers(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached.
    entry::object(|| unsafe { Object::owned(ffi::PyLong_FromSize_t(covet_interp::lost_workers())) })
}

unsafe extern "C" fn leaked_references(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached.
    entry::object(|| unsafe {
        Object::owned(ffi::PyLong_FromSize_t(covet_interp::leaked_references()))
    })
}

unsafe extern "C" fn fork_is_safe(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    entry::object(|| {
        let safe =
            covet_interp::fork_is_safe() || !PoolsOf::this_interpreter().have_subinterpreters();
        // SAFETY: CPython calls this attached.
        unsafe { Object::owned(ffi::PyBool_FromLong(safe.into())) }
    })
}

unsafe extern "C" fn after_fork(
    module: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with the module. Its state is this thread's alone: a child has no other.
    entry::object(|| unsafe {
        array::kernels::after_fork();
        State::of(module)?;
        let place = ffi::PyModule_GetState(module).cast::<Place>();
        let state = &mut **place;
        state.signals = state.signals.map(|_| ffi::thread_ident());
        Object::borrowed(ffi::Py_None())
    })
}

/// Memory of a type's instance where a value is put once, before anyone else sees the object.
pub(crate) type Once<T> = OnceLock<T>;
