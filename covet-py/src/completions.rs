//! `_native.Completions`: the numbers of tasks that are done, for whoever waits for many of them.
//!
//! A worker that ends an observed task notes its number here, and wakes whoever waits: a thread in `wait()`, or an event loop
//! that watches a descriptor. The descriptor is written to when the first number is noted, and read before all of them are
//! taken, so many completions cost one wake-up and none is lost.

use crate::entry::{self, Kind, raise, slot};
use crate::pool::none;
use crate::state::{State, method};
use covet_interp::raw::{Object, Raised};
use covet_interp::{Detached, ffi};
use covet_queue::EventCount;
use std::ffi::c_void;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the object shares with the tasks that it observes.
#[derive(Default)]
pub(crate) struct Completions {
    numbers: Mutex<Vec<u64>>,
    arrived: EventCount,
    stopped: AtomicBool,
    signal: Option<Signal>,
}

/// An eventfd twice, or the two ends of a pipe. Neither end blocks.
struct Signal {
    read: File,
    write: File,
}

impl Completions {
    fn numbers(&self) -> MutexGuard<'_, Vec<u64>> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, number: u64) {
        let mut numbers = self.numbers();
        let first = numbers.is_empty();
        numbers.push(number);
        drop(numbers);
        match &self.signal {
            // One that is full wakes its reader as well.
            Some(signal) if first => drop((&signal.write).write_all(&1_u64.to_ne_bytes())),
            Some(_) => {}
            None => self.arrived.notify_one(),
        }
    }

    /// All numbers that are there.
    fn take(&self) -> Vec<u64> {
        if let Some(signal) = &self.signal {
            // Read first: whoever notes a number after they are taken writes again.
            let _ = (&signal.read).read(&mut [0; size_of::<u64>()]);
        }
        std::mem::take(&mut *self.numbers())
    }

    /// The same, once there are some; `None` when stopped and empty.
    fn wait(&self) -> Option<Vec<u64>> {
        self.arrived
            .wait_until(None, || {
                // Read before the numbers: what came before the stop is found.
                let stopped = self.stopped.load(Ordering::Acquire);
                let numbers = self.take();
                if !numbers.is_empty() {
                    Some(Some(numbers))
                } else {
                    stopped.then_some(None)
                }
            })
            .flatten()
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.arrived.notify_all();
    }
}

/// The memory of an instance.
#[repr(C)]
struct CompletionsObject {
    head: ffi::PyObject,
    completions: Arc<Completions>,
}

static mut METHODS: [ffi::PyMethodDef; 5] = [
    method!(
        c"wait",
        ffi::PyMethodDefPointer { PyCFunction: wait },
        ffi::METH_NOARGS,
        c"wait($self, /)\n--\n\nThe numbers of observed tasks that are done: waits for one; None after stop()."
    ),
    method!(
        c"stop",
        ffi::PyMethodDefPointer { PyCFunction: stop },
        ffi::METH_NOARGS,
        c"stop($self, /)\n--\n\nMakes wait() return None once no number is left."
    ),
    method!(
        c"take",
        ffi::PyMethodDefPointer { PyCFunction: take },
        ffi::METH_NOARGS,
        c"take($self, /)\n--\n\nThe numbers of observed tasks that are done; does not wait. Empty if there are none."
    ),
    method!(
        c"fileno",
        ffi::PyMethodDefPointer { PyCFunction: fileno },
        ffi::METH_NOARGS,
        c"fileno($self, /)\n--\n\nThe descriptor that is readable while there is something to take."
    ),
    ffi::PyMethodDef::zeroed(),
];

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw mut METHODS).cast()),
        slot(
            ffi::Py_tp_doc,
            c"Completions(read=None, write=None, /)\n--\n\nWhich of the tasks that it observes are done. Owns the two \
              descriptors, if it is given some: they are closed with it."
                .as_ptr() as *mut c_void,
        ),
        slot(0, ptr::null_mut()),
    ];
    // SAFETY: as promised; the slots fit `CompletionsObject`, whose functions and tables are static.
    unsafe {
        entry::make_type::<CompletionsObject>(
            module,
            c"covet_py._native.Completions",
            0,
            &mut slots,
        )
    }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    arguments: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with our type, which has no subclasses, and a tuple: the field is written before
    // anyone else sees the object.
    entry::object(|| unsafe {
        let signal = match ffi::PyTuple_GET_SIZE(arguments) {
            0 => None,
            2 => {
                let end =
                    |i| match ffi::PyObject_AsFileDescriptor(ffi::PyTuple_GET_ITEM(arguments, i)) {
                        -1 => Err(Raised),
                        descriptor => Ok(descriptor),
                    };
                let (read, write) = (end(0)?, end(1)?);
                // Open, and nobody else's: the caller gives them away.
                Some(Signal {
                    read: File::from_raw_fd(read),
                    write: File::from_raw_fd(write),
                })
            }
            _ => {
                return Err(raise(
                    Kind::Type,
                    "expected no arguments, or two descriptors",
                ));
            }
        };
        let this = Object::owned(ffi::PyType_GenericAlloc(kind, 0))?;
        let completions = Arc::new(Completions {
            signal,
            ..Completions::default()
        });
        (&raw mut (*this.as_ptr().cast::<CompletionsObject>()).completions).write(completions);
        Ok(this)
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that `new` made and nobody refers to any more. A heap
    // type is owned by its instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        (&raw mut (*this.cast::<CompletionsObject>()).completions).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// What an instance shares with the tasks that it observes.
///
/// # Errors
/// [`Raised`] with `TypeError` when `object` is no instance of our type.
///
/// # Safety
/// Attached to the interpreter of `state`; `object` is alive.
pub(crate) unsafe fn of(
    state: &State,
    object: *mut ffi::PyObject,
) -> Result<Arc<Completions>, Raised> {
    // SAFETY: as promised; an instance has the layout.
    unsafe {
        if ffi::Py_TYPE(object) != state.completions_type.as_ptr().cast() {
            return Err(raise(Kind::Type, "expected Completions"));
        }
        Ok(Arc::clone(
            &(*object.cast::<CompletionsObject>()).completions,
        ))
    }
}

/// # Safety
/// `this` is an instance, alive for `'a`.
unsafe fn shared<'a>(this: *mut ffi::PyObject) -> &'a Completions {
    // SAFETY: as promised.
    unsafe { &(*this.cast::<CompletionsObject>()).completions }
}

/// A list of `int`.
///
/// # Safety
/// Attached.
unsafe fn list(numbers: Vec<u64>) -> Result<Object, Raised> {
    // SAFETY: attached; each place of the list is filled once, with a new reference, before anyone sees it.
    unsafe {
        let list = Object::owned(ffi::PyList_New(numbers.len() as ffi::Py_ssize_t))?;
        for (i, number) in (0..).zip(numbers) {
            let number = Object::owned(ffi::PyLong_FromUnsignedLongLong(number))?;
            ffi::PyList_SET_ITEM(list.as_ptr(), i, number.into_ptr());
        }
        Ok(list)
    }
}

unsafe extern "C" fn wait(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance, which the caller keeps alive.
    entry::object(|| unsafe {
        let numbers = {
            let _detached = Detached::new();
            shared(this).wait()
        };
        numbers.map_or_else(none, |numbers| list(numbers))
    })
}

unsafe extern "C" fn stop(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        shared(this).stop();
        none()
    })
}

unsafe extern "C" fn take(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as above.
    entry::object(|| unsafe { list(shared(this).take()) })
}

unsafe extern "C" fn fileno(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as above.
    entry::object(|| unsafe {
        match &shared(this).signal {
            Some(signal) => Object::owned(ffi::PyLong_FromLong(signal.read.as_raw_fd().into())),
            None => Err(raise(Kind::Value, "these completions have no descriptor")),
        }
    })
}
