//! `_native.Task`: one queued call, as its future sees it.

use crate::completions;
use crate::entry::{self, slot};
use crate::errors::raise_error;
use crate::pool::{self, may_run_here, none};
use crate::state::{State, method};
use covet_interp::raw::{Object, Raised};
use covet_interp::{Error, Pool, TaskHandle, TaskState, ffi};
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// The memory of an instance. Valid from `make` on.
#[repr(C)]
struct TaskObject {
    head: ffi::PyObject,
    task: TaskHandle,
    pool: Weak<Pool>,
}

static mut METHODS: [ffi::PyMethodDef; 11] = [
    method!(
        c"wait",
        ffi::PyMethodDefPointer { PyCFunction: wait },
        ffi::METH_O,
        c"wait($self, timeout, /)\n--\n\nWaits until the task is done or cancelled; returns whether it is. Runs it if it is still queued and an interpreter idle."
    ),
    method!(
        c"outcome",
        ffi::PyMethodDefPointer { PyCFunction: outcome },
        ffi::METH_NOARGS,
        c"outcome($self, /)\n--\n\n(True, result) or (False, exception) of a task that is done or cancelled, made anew each time."
    ),
    method!(
        c"state",
        ffi::PyMethodDefPointer { PyCFunction: state_name },
        ffi::METH_NOARGS,
        c"state($self, /)\n--\n\n\"queued\", \"running\", \"cancelled\" or \"done\"."
    ),
    method!(
        c"cancel",
        ffi::PyMethodDefPointer { PyCFunction: cancel },
        ffi::METH_NOARGS,
        c"cancel($self, /)\n--\n\nCancels the task if it has not begun; returns whether it is cancelled."
    ),
    method!(
        c"observe",
        ffi::PyMethodDefPointer { PyCFunction: observe },
        ffi::METH_O,
        c"observe($self, completions, /)\n--\n\nNotes the task's number in the completions once it is done or cancelled."
    ),
    method!(
        c"queue",
        ffi::PyMethodDefPointer {
            PyCFunction: queue
        },
        ffi::METH_NOARGS,
        c"queue($self, /)\n--\n\nQueues a task of Pool._prepare(); waits while the queue is full."
    ),
    method!(
        c"try_queue",
        ffi::PyMethodDefPointer {
            PyCFunction: try_queue
        },
        ffi::METH_NOARGS,
        c"try_queue($self, /)\n--\n\nQueues it if there is room now; returns whether there was."
    ),
    method!(
        c"value",
        ffi::PyMethodDefPointer {
            PyCFunction: value_or_error
        },
        ffi::METH_NOARGS,
        c"value($self, /)\n--\n\nThe result of a task that is done or cancelled, or its exception raised, made anew each time."
    ),
    method!(
        c"interrupt",
        ffi::PyMethodDefPointer {
            PyCFunction: interrupt
        },
        ffi::METH_NOARGS,
        c"interrupt($self, /)\n--\n\nCancels the task if it has not begun, else has KeyboardInterrupt raised in it; does not wait."
    ),
    method!(
        c"number",
        ffi::PyMethodDefPointer { PyCFunction: number },
        ffi::METH_NOARGS,
        c"number($self, /)\n--\n\nA number that no other task of this process has."
    ),
    ffi::PyMethodDef::zeroed(),
];

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw mut METHODS).cast()),
        slot(
            ffi::Py_tp_doc,
            c"One call in a pool; made by Pool._submit().".as_ptr() as *mut c_void,
        ),
        slot(0, ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    // SAFETY: as promised; the slots fit `TaskObject`, whose functions and tables are static.
    unsafe { entry::make_type::<TaskObject>(module, c"covet_py._native.Task", flags, &mut slots) }
}

/// Makes the object of a task.
///
/// # Safety
/// Attached to the interpreter of `state`.
pub(crate) unsafe fn make(
    state: &State,
    pool: &Arc<Pool>,
    task: TaskHandle,
) -> Result<Object, Raised> {
    // SAFETY: attached; the fields are written before anyone else sees the object.
    unsafe {
        let this = Object::owned(ffi::PyType_GenericAlloc(state.task_type.as_ptr().cast(), 0))?;
        let memory = this.as_ptr().cast::<TaskObject>();
        (&raw mut (*memory).task).write(task);
        (&raw mut (*memory).pool).write(Arc::downgrade(pool));
        Ok(this)
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that `make` made and nobody refers to any more. A
    // heap type is owned by its instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        let memory = this.cast::<TaskObject>();
        (&raw mut (*memory).task).drop_in_place();
        (&raw mut (*memory).pool).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// The task and the module state of an instance.
///
/// # Safety
/// Attached; `this` is an instance, alive for `'a`.
unsafe fn parts<'a>(this: *mut ffi::PyObject) -> Result<(&'a TaskObject, &'a State), Raised> {
    // SAFETY: instances are only made by `make`; the type, which cannot be subclassed, is ours.
    unsafe {
        Ok((
            &*this.cast::<TaskObject>(),
            State::of_type(ffi::Py_TYPE(this))?,
        ))
    }
}

/// The result of a task in a final state, or its error raised.
///
/// # Safety
/// Attached to the interpreter of `state`.
pub(crate) unsafe fn value(state: &State, task: &TaskHandle) -> Result<Object, Raised> {
    match task.outcome() {
        // SAFETY: attached, as promised.
        Some(Ok(message)) => unsafe { state.support.decode(message) },
        Some(Err(error)) => Err(raise_error(state, error)),
        None => Err(entry::raise(
            entry::Kind::Runtime,
            "expected a task that is done, found one that is not",
        )),
    }
}

unsafe extern "C" fn wait(
    this: *mut ffi::PyObject,
    timeout: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let (TaskObject { task, pool, .. }, state) = parts(this)?;
        let deadline = entry::seconds(timeout)?.map(|limit| Instant::now() + limit);
        if task.state() == TaskState::Queued
            && deadline.is_none()
            && may_run_here(state, task.function())
            && let Some(pool) = pool.upgrade()
        {
            pool.help_task(task);
        }
        let done = task.state().is_final() || wait_until(state, task, deadline)?;
        Object::owned(ffi::PyBool_FromLong(done.into()))
    })
}

/// Waits as [`State::wait`] does, and notices deadlocks.
pub(crate) fn wait_until(
    state: &State,
    task: &TaskHandle,
    deadline: Option<Instant>,
) -> Result<bool, Raised> {
    let mut outcome = Ok(false);
    state.wait(deadline, |until| {
        outcome = task.wait_inside(until, deadline.is_none());
        !matches!(outcome, Ok(false))
    })?;
    outcome.map_err(|error| raise_error(state, &error))
}

unsafe extern "C" fn outcome(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance; a raised exception is taken at once.
    entry::object(|| unsafe {
        let (TaskObject { task, .. }, state) = parts(this)?;
        let (ok, value) = match value(state, task) {
            Ok(value) => (ffi::Py_True(), value),
            Err(Raised) => (ffi::Py_False(), Object::owned(ffi::take_raised())?),
        };
        Object::owned(ffi::PyTuple_Pack(2, ok, value.as_ptr()))
    })
}

unsafe extern "C" fn value_or_error(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let (TaskObject { task, .. }, state) = parts(this)?;
        value(state, task)
    })
}

unsafe extern "C" fn queue(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let (TaskObject { task, .. }, state) = parts(this)?;
        pool::queue(state, task)?;
        none()
    })
}

unsafe extern "C" fn try_queue(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let (TaskObject { task, .. }, state) = parts(this)?;
        let queued = match task.try_queue() {
            Ok(()) => true,
            Err(Error::Full(_)) => false,
            Err(error) => return Err(raise_error(state, &error)),
        };
        Object::owned(ffi::PyBool_FromLong(queued.into()))
    })
}

unsafe extern "C" fn interrupt(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        parts(this)?.0.task.interrupt();
        none()
    })
}

unsafe extern "C" fn state_name(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        Object::string(match parts(this)?.0.task.state() {
            TaskState::Queued => "queued",
            TaskState::Running => "running",
            TaskState::Cancelled => "cancelled",
            TaskState::Done => "done",
        })
    })
}

unsafe extern "C" fn cancel(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        Object::owned(ffi::PyBool_FromLong(parts(this)?.0.task.cancel().into()))
    })
}

unsafe extern "C" fn observe(
    this: *mut ffi::PyObject,
    completions: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let (TaskObject { task, .. }, state) = parts(this)?;
        let completions = completions::of(state, completions)?;
        let number = task.number();
        task.then(move || completions.push(number));
        none()
    })
}

unsafe extern "C" fn number(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        Object::owned(ffi::PyLong_FromUnsignedLongLong(
            parts(this)?.0.task.number(),
        ))
    })
}
