//! `covet_py.RequestParser`: requests from the pieces of a connection.

use super::message::Message;
use super::{raise_http, request, text};
use crate::entry::{self, END, Kind, property, raise, slot};
use crate::pool::none;
use crate::signature::Signature;
use crate::state::{State, method};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_native::{Config, Receiver};
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory of an instance. Valid from `new` on.
#[repr(C)]
struct ParserObject {
    head: ffi::PyObject,
    config: Config,
    /// Nothing of Python is called while it is locked: whoever waits for the lock keeps its interpreter waiting.
    receiver: Mutex<Receiver>,
}

static mut METHODS: [ffi::PyMethodDef; 4] = [
    method!(
        c"feed",
        ffi::PyMethodDefPointer { PyCFunction: feed },
        ffi::METH_O,
        c"feed($self, data, /)\n--\n\nTakes the next bytes of the connection, copies them, and returns the requests that are complete now: a list, mostly of none or\none, of more if the client pipelines.\n\nRaises HTTPError as soon as no further bytes can make it right, and from then on always; requests that were complete before\nthe mistake are in its `requests`.\n\nBehind a request for an upgrade or a tunnel it reads no further: take_rest() gives what came, feed(b'') goes on if the answer is no."
    ),
    method!(
        c"finish",
        ffi::PyMethodDefPointer { PyCFunction: finish },
        ffi::METH_NOARGS,
        c"finish($self, /)\n--\n\nSays that the connection has ended.\n\nRaises HTTPError if that was within a request."
    ),
    method!(
        c"take_rest",
        ffi::PyMethodDefPointer { PyCFunction: take_rest },
        ffi::METH_NOARGS,
        c"take_rest($self, /)\n--\n\nWhat came behind the last request, as bytes: the beginning of another protocol, after an upgrade or CONNECT. The parser begins anew."
    ),
    ffi::PyMethodDef::zeroed(),
];

static mut PROPERTIES: [ffi::PyGetSetDef; 2] = [
    property(
        c"expects_continue",
        expects_continue,
        c"Whether the client waits for '100 Continue' before it sends the body of the request that is not complete.",
    ),
    END,
];

const DOC: &CStr = c"RequestParser(*, max_head=65536, max_headers=128, max_target=8192, max_body=1073741824)\n--\n\n\
The requests of one connection, from pieces of any size. The bounds are in bytes but for max_headers; what is beyond is\n\
refused before it is kept. Whatever the pieces, the requests and the errors are the same.";

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw mut METHODS).cast()),
        slot(ffi::Py_tp_getset, (&raw mut PROPERTIES).cast()),
        slot(ffi::Py_tp_doc, DOC.as_ptr() as *mut c_void),
        slot(0, ptr::null_mut()),
    ];
    // SAFETY: as promised; the slots fit `ParserObject`, whose functions and tables are static.
    unsafe {
        entry::make_callable_type::<ParserObject>(
            module,
            c"covet_py.RequestParser",
            new,
            &mut slots,
        )
    }
}

static NEW: Signature<4> = Signature {
    function: "RequestParser",
    names: [c"max_head", c"max_headers", c"max_target", c"max_body"],
    required: 0,
    positional: 0,
};

unsafe extern "C" fn new(
    kind: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with the type and the arguments of a vectorcall; the field is written before anyone
    // else sees the object.
    entry::object(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(count);
        let bounds = NEW.given(arguments, count, names)?;
        let mut config = Config::DEFAULT;
        let limits = &mut config.limits;
        let small = [&mut limits.head, &mut limits.fields, &mut limits.target];
        for ((bound, name), limit) in bounds.into_iter().zip(NEW.names).zip(small) {
            if let Some(bound) = bound {
                let most = if name == c"max_headers" {
                    1 << 16
                } else {
                    1 << 31
                };
                *limit = at_most(bound, name, most)? as u32;
            }
        }
        if let Some(bound) = bounds[3] {
            limits.body = at_most(bound, NEW.names[3], isize::MAX as usize)? as u64;
        }
        let this = Object::owned(ffi::PyType_GenericAlloc(kind.cast(), 0))?;
        let memory = this.as_ptr().cast::<ParserObject>();
        (&raw mut (*memory).config).write(config);
        (&raw mut (*memory).receiver).write(Mutex::new(Receiver::new(&config)));
        Ok(this)
    })
}

/// A bound from 0 to `most`.
unsafe fn at_most(bound: *mut ffi::PyObject, name: &CStr, most: usize) -> Result<usize, Raised> {
    match entry::integer(bound)? {
        Some(bound) if bound <= most => Ok(bound),
        found => {
            let name = name.to_string_lossy();
            let found = found.map_or("None".into(), |found| found.to_string());
            let text = format!("expected {name} to be at most {most}, found {found}");
            Err(raise(Kind::Value, &text))
        }
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that `new` made and nobody refers to any more. A
    // heap type is owned by its instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        (&raw mut (*this.cast::<ParserObject>()).receiver).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// # Safety
/// `this` is an instance, alive for `'a`.
unsafe fn receiver<'a>(this: *mut ffi::PyObject) -> MutexGuard<'a, Receiver> {
    // SAFETY: instances are only made by `new`; the type cannot be subclassed.
    let receiver = unsafe { &(*this.cast::<ParserObject>()).receiver };
    receiver.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "C" fn feed(
    this: *mut ffi::PyObject,
    data: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let state = State::of_type(ffi::Py_TYPE(this))?;
        let mut complete = Vec::new();
        let error = text::with_buffer(data, |data| {
            let mut receiver = receiver(this);
            receiver.feed(data);
            loop {
                match receiver.next() {
                    Ok(Some(received)) => {
                        let head = received.request.head();
                        let other = head.is_connect() || head.upgrade().is_some();
                        complete.push(Message::from(received));
                        // What follows is another protocol, unless the answer is no.
                        if other {
                            break None;
                        }
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            }
        })?;
        let complete = complete.into_iter();
        let requests =
            super::access::list(complete.map(|message| request::make(state, Arc::new(message))))?;
        match error {
            None => Ok(requests),
            Some(error) => Err(raise_http(state, &error, Some(&requests))),
        }
    })
}

unsafe extern "C" fn finish(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let finished = receiver(this).finish();
        match finished {
            Ok(()) => none(),
            Err(error) => {
                let state = State::of_type(ffi::Py_TYPE(this))?;
                Err(raise_http(state, &error, None))
            }
        }
    })
}

unsafe extern "C" fn take_rest(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let rest = {
            let anew = Receiver::new(&(*this.cast::<ParserObject>()).config);
            std::mem::replace(&mut *receiver(this), anew).into_rest()
        };
        Object::bytes(&rest)
    })
}

unsafe extern "C" fn expects_continue(
    this: *mut ffi::PyObject,
    _: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let expects = receiver(this)
            .unfinished()
            .is_some_and(|head| head.expects_continue());
        Object::owned(ffi::PyBool_FromLong(expects.into()))
    })
}
