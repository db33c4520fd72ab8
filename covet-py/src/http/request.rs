//! `covet_py.NativeRequest`: a request that was received.
//!
//! Method and path are members, which the interpreter reads without a call; everything else is made when it is asked for, and
//! what is worth it is kept ([`Lazy`]). The instance owns no memory of Python's but these objects, so it can go to another
//! interpreter as it is: there it is another instance over the same message.

use super::lazy::Lazy;
use super::message::{Message, Wrong};
use super::{access, raise_http, text};
use crate::entry::{self, END, Kind, property, raise, slot};
use crate::signature::Signature;
use crate::state::State;
use covet_interp::ffi;
use covet_interp::raw::{Native, NativeType, Object, Raised, Support};
use covet_native::percent::{self, Invalid};
use covet_native::{Buffer, Config};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::Arc;

/// The memory of an instance. Valid from `make` on; nothing in it changes but what is lazy.
#[repr(C)]
pub(crate) struct RequestObject {
    head: ffi::PyObject,
    /// `str`.
    pub(crate) method: Object,
    pub(crate) path: Object,
    /// Shared with the objects that stand for it in other interpreters.
    pub(crate) message: Arc<Message>,
    pub(crate) headers: Lazy,
    pub(crate) query: Lazy,
    pub(crate) cookies: Lazy,
    pub(crate) body: Lazy,
}

// Up to here CPython's own allocator has memory at hand.
const _: () = assert!(size_of::<RequestObject>() <= 512);

static mut MEMBERS: [ffi::PyMemberDef; 3] = [
    member(
        c"method",
        std::mem::offset_of!(RequestObject, method),
        c"The method, as it was sent.",
    ),
    member(
        c"path",
        std::mem::offset_of!(RequestObject, path),
        c"The path, percent-decoded; bytes that are not UTF-8 are replaced by U+FFFD. '*' and '' for targets without one.",
    ),
    ffi::PyMemberDef {
        name: ptr::null(),
        type_code: 0,
        offset: 0,
        flags: 0,
        doc: ptr::null(),
    },
];

const fn member(name: &'static CStr, offset: usize, doc: &'static CStr) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code: ffi::Py_T_OBJECT_EX,
        offset: offset as ffi::Py_ssize_t,
        flags: ffi::Py_READONLY,
        doc: doc.as_ptr(),
    }
}

static mut PROPERTIES: [ffi::PyGetSetDef; 14] = [
    property(c"target", access::target, c"The request target, as it was sent."),
    property(c"raw_path", access::raw_path, c"The path as it was sent, as bytes."),
    property(c"query_string", access::query_string, c"What follows the first '?' of the target, as bytes; empty if there is none."),
    property(c"version", access::version, c"'1.1' or '1.0'."),
    property(c"headers", access::headers, c"All headers in order and as they were sent: a tuple of (name, value), made once. Bytes beyond ASCII are Latin-1."),
    property(c"query", access::query, c"The decoded pairs of the query, in order: a tuple of (name, value), made once. Bytes that are not UTF-8 are replaced by U+FFFD."),
    property(c"cookies", access::cookies, c"The cookies: a read-only mapping, made once. Of two with one name the first counts."),
    property(c"body", access::body, c"The body as bytes, without chunk sizes: a copy, made once. memoryview(request) is the body without a copy."),
    property(c"content_type", access::content_type, c"The media type of the body in lower case, without parameters; None if it is not stated or malformed."),
    property(c"host", access::host, c"Host and port: from the target if it names them, else from the Host header; None if there is neither."),
    property(c"trailers", access::trailers, c"The fields behind a body in chunks: a tuple of (name, value)."),
    property(c"keep_alive", access::keep_alive, c"Whether the connection may serve another request."),
    property(c"upgrade", access::upgrade, c"The protocols that the client would rather speak; None if it does not ask to."),
    END,
];

const DOC: &CStr = c"NativeRequest(buffer)\n--\n\n\
The request of HTTP/1.1 or 1.0 that a buffer holds: a head and a whole body. RequestParser takes requests in pieces.\n\n\
The bytes of the request are copied once, into memory that no interpreter owns: sent through a PoolExecutor, a request arrives\n\
without a copy. Nothing about it ever changes, so threads may share it. Headers, query, cookies and body are only decoded\n\
when they are asked for. memoryview(request) is the body, without a copy, and keeps it in memory.\n\n\
Raises HTTPError for bytes that break a rule of RFC 9112 and if the request is not complete, ValueError if something follows it,\n\
TypeError for what is no buffer.";

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_members, (&raw mut MEMBERS).cast()),
        slot(ffi::Py_tp_getset, (&raw mut PROPERTIES).cast()),
        slot(ffi::Py_tp_methods, (&raw mut access::METHODS).cast()),
        slot(ffi::Py_bf_getbuffer, buffer as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_doc, DOC.as_ptr() as *mut c_void),
        slot(0, ptr::null_mut()),
    ];
    REQUESTS.register();
    // SAFETY: as promised; the slots fit `RequestObject`, whose functions and tables are static.
    unsafe {
        entry::make_callable_type::<RequestObject>(
            module,
            c"covet_py.NativeRequest",
            new,
            &mut slots,
        )
    }
}

static NEW: Signature<1> = Signature {
    function: "NativeRequest",
    names: [c"buffer"],
    required: 1,
    positional: 1,
};

unsafe extern "C" fn new(
    kind: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with the type and the arguments of a vectorcall.
    entry::object(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(count);
        let [Some(source)] = NEW.given(arguments, count, names)? else {
            return Err(raise(Kind::Type, "NativeRequest() expected a buffer"));
        };
        let state = State::of_type(kind.cast())?;
        let buffer: Buffer = text::with_buffer(source, |bytes| bytes.into())?;
        match Message::read(&buffer, &Config::DEFAULT) {
            Ok(message) => make(state, Arc::new(message)),
            Err(Wrong::Rule(error)) => Err(raise_http(state, &error, None)),
            Err(Wrong::More(found)) => {
                let text = format!("expected one request, found {found} bytes behind it");
                Err(raise(Kind::Value, &text))
            }
        }
    })
}

/// Makes an instance.
///
/// # Safety
/// Attached to the interpreter of `state`.
pub(crate) unsafe fn make(state: &State, message: Arc<Message>) -> Result<Object, Raised> {
    // SAFETY: attached; the fields are written before anyone else sees the object.
    unsafe {
        let head = message.request.head();
        let method = state.http.names.method(head.method())?;
        let path = path(head.path())?;
        let kind = state.http.request_type.as_ptr().cast();
        let this = Object::owned(ffi::PyType_GenericAlloc(kind, 0))?;
        let memory = this.as_ptr().cast::<RequestObject>();
        (&raw mut (*memory).method).write(method);
        (&raw mut (*memory).path).write(path);
        (&raw mut (*memory).message).write(message);
        // What is lazy is empty: CPython gave zeroed memory, which is a null pointer.
        Ok(this)
    }
}

/// A path, decoded.
unsafe fn path(raw: &[u8]) -> Result<Object, Raised> {
    // SAFETY: attached, as the caller is.
    unsafe {
        let decoded = percent::decode(raw);
        if decoded.is_ascii() {
            return text::ascii(&decoded);
        }
        let decoded = Invalid::Replaced.text(decoded);
        Object::string(&decoded.unwrap_or_else(|_| unreachable!("what is replaced is not refused")))
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that `make` made and nobody refers to any more. A
    // heap type is owned by its instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        let memory = this.cast::<RequestObject>();
        (&raw mut (*memory).method).drop_in_place();
        (&raw mut (*memory).path).drop_in_place();
        (&raw mut (*memory).message).drop_in_place();
        for lazy in [
            &raw mut (*memory).headers,
            &raw mut (*memory).query,
            &raw mut (*memory).cookies,
            &raw mut (*memory).body,
        ] {
            lazy.drop_in_place();
        }
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// What an instance consists of.
///
/// # Safety
/// `this` is an instance, alive for `'a`.
#[inline]
pub(crate) unsafe fn fields<'a>(this: *mut ffi::PyObject) -> &'a RequestObject {
    // SAFETY: instances are only made by `make`; the type cannot be subclassed.
    unsafe { &*this.cast::<RequestObject>() }
}

/// `bf_getbuffer`: the body, read-only.
unsafe extern "C" fn buffer(
    this: *mut ffi::PyObject,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> c_int {
    // SAFETY: CPython calls this attached, with an instance and a view to fill in, which gets a reference to the instance; that
    // keeps the body, which never changes.
    unsafe {
        let body = &fields(this).message.body;
        let start = body.as_ptr().cast_mut().cast();
        ffi::PyBuffer_FillInfo(view, this, start, body.len() as ffi::Py_ssize_t, 1, flags)
    }
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let message = &fields(this).message;
        let head = message.request.head();
        let target = String::from_utf8_lossy(head.target());
        let length = message.body.len();
        Object::string(&format!(
            "<NativeRequest {} {target}, {length} bytes>",
            head.method()
        ))
    })
}

impl Native for Message {
    fn size(&self) -> usize {
        Self::size(self)
    }

    fn type_name(&self) -> &str {
        "covet_py.NativeRequest"
    }

    unsafe fn object(self: Arc<Self>, support: &Support) -> Result<Object, Raised> {
        // SAFETY: attached, as promised.
        unsafe { make(State::here(support)?, self) }
    }
}

/// Requests cross as they are.
static REQUESTS: NativeType = NativeType { is, share };

/// # Safety
/// Attached; the type is alive.
unsafe fn is(kind: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: as promised.
    unsafe { entry::ends_by(kind, dealloc) }
}

/// # Safety
/// `this` is an instance.
unsafe fn share(this: *mut ffi::PyObject, _: &Support) -> Result<Option<Arc<dyn Native>>, Raised> {
    // SAFETY: as promised.
    Ok(Some(unsafe { fields(this).message.clone() }))
}
