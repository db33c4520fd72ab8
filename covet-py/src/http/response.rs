//! `covet_py.NativeResponse`: a response that is built, and its bytes.

use super::answer::RESPONSES;
use super::text::{self, expected};
use crate::entry::{self, Arguments, END, Kind, property, raise, slot};
use crate::pool::none;
use crate::signature::{Signature, flag};
use crate::state::method;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_native::{Answering, BuildError, HttpDate, ResponseBuilder, SameSite, SetCookie};
use std::ffi::{CStr, c_void};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The memory of an instance. Valid from `make` on.
#[repr(C)]
pub(super) struct ResponseObject {
    head: ffi::PyObject,
    /// While it is locked, nothing of Python is made but `bytes`: whoever waits for the lock keeps its interpreter waiting, and a
    /// collection of garbage runs any code.
    builder: Mutex<ResponseBuilder>,
    /// `bytes` or `str`, which never changes.
    pub(super) body: Object,
}

static mut METHODS: [ffi::PyMethodDef; 11] = [
    method!(
        c"add_header",
        ffi::PyMethodDefPointer { PyCFunctionFast: add_header },
        ffi::METH_FASTCALL,
        c"add_header($self, name, value, /)\n--\n\nAdds a header; those with the same name stay apart, in order. str is sent as Latin-1.\n\nRaises ValueError for a name that is no token, and for a value with a control character (CR, LF, NUL)."
    ),
    method!(
        c"set_cookie",
        ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: set_cookie },
        ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        c"set_cookie($self, name, value='', /, *, max_age=None, expires=None, path=None, domain=None, secure=False, httponly=False, samesite=None, partitioned=False)\n--\n\nAdds a cookie. expires is in seconds since 1970, samesite 'strict', 'lax' or 'none'.\n\nRaises ValueError for a cookie that browsers would drop."
    ),
    method!(
        c"answering",
        ffi::PyMethodDefPointer { PyCFunctionFast: answering },
        ffi::METH_FASTCALL,
        c"answering($self, method, version='1.1', /)\n--\n\nSays what the response answers: HEAD gets the length and no body, a 2xx to CONNECT neither, and a stream to HTTP/1.0 no chunks."
    ),
    method!(
        c"to_bytes",
        ffi::PyMethodDefPointer { PyCFunction: to_bytes },
        ffi::METH_NOARGS,
        c"to_bytes($self, /)\n--\n\nThe whole response: a copy of the body behind the head.\n\nRaises ValueError if there is a body and the status has none."
    ),
    method!(
        c"__bytes__",
        ffi::PyMethodDefPointer { PyCFunction: to_bytes },
        ffi::METH_NOARGS,
        c"__bytes__($self, /)\n--\n\nThe same as to_bytes()."
    ),
    method!(
        c"serialize_into",
        ffi::PyMethodDefPointer { PyCFunction: serialize_into },
        ffi::METH_O,
        c"serialize_into($self, buffer, /)\n--\n\nWrites the response to the beginning of a writable buffer and returns how many bytes it has, which is len(response).\n\nRaises ValueError if the buffer is too small; it stays as it was."
    ),
    method!(
        c"parts",
        ffi::PyMethodDefPointer { PyCFunction: parts },
        ffi::METH_NOARGS,
        c"parts($self, /)\n--\n\n(head, body), for socket.sendmsg() or transport.writelines(). A body of bytes is not copied."
    ),
    method!(
        c"stream",
        ffi::PyMethodDefPointer { PyCFunction: stream },
        ffi::METH_O,
        c"stream($self, pieces, /)\n--\n\nAn iterator of what is to be sent for a body of unknown length: the head, each piece (bytes-like or str) as a chunk, and the end.\nThe response's own body must be empty. Closing pieces early is left to whoever made it."
    ),
    method!(
        c"_stream_head",
        ffi::PyMethodDefPointer { PyCFunction: stream_head },
        ffi::METH_NOARGS,
        c"_stream_head($self, /)\n--\n\n(head, end)."
    ),
    method!(
        c"_chunk",
        ffi::PyMethodDefPointer { PyCFunction: chunk },
        ffi::METH_O,
        c"_chunk($self, piece, /)\n--\n\nA piece as it is sent; empty if nothing is."
    ),
    ffi::PyMethodDef::zeroed(),
];

static mut PROPERTIES: [ffi::PyGetSetDef; 4] = [
    property(c"status", status, c"The status, 100 to 599."),
    property(
        c"headers",
        headers,
        c"The headers that were added, in order: a list of (name, value), made anew each time.",
    ),
    property(c"body", body, c"The body, as it was given, or as bytes."),
    END,
];

const DOC: &CStr = c"NativeResponse(status=200, headers=(), body=b'')\n--\n\n\
A response of HTTP/1.1. The date, and Content-Length or chunks, are added by itself.\n\n\
headers is a mapping, or pairs of (name, value), each str or bytes. body is str, sent as UTF-8, or anything with the buffer\n\
protocol; bytes and str are not copied before the response is serialized. Threads may share a response. Sent through a\n\
PoolExecutor, it arrives as it was then, with one copy of the body.\n\n\
Raises ValueError for a status beyond 100 to 599, for a name or value that would split a header, and for Content-Length and\n\
Transfer-Encoding, which are chosen from the body.";

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw mut METHODS).cast()),
        slot(ffi::Py_tp_getset, (&raw mut PROPERTIES).cast()),
        slot(ffi::Py_sq_length, length as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_tp_doc, DOC.as_ptr() as *mut c_void),
        slot(0, ptr::null_mut()),
    ];
    RESPONSES.register();
    // SAFETY: as promised; the slots fit `ResponseObject`, whose functions and tables are static.
    unsafe {
        entry::make_callable_type::<ResponseObject>(
            module,
            c"covet_py.NativeResponse",
            new,
            &mut slots,
        )
    }
}

static NEW: Signature<3> = Signature {
    function: "NativeResponse",
    names: [c"status", c"headers", c"body"],
    required: 0,
    positional: 3,
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
        let [status, headers, body] = NEW.given(arguments, count, names)?;
        let status = match status {
            Some(status) => match ffi::PyLong_AsLong(status) {
                -1 if !ffi::PyErr_Occurred().is_null() => return Err(Raised),
                // What is no u16 is no status either.
                status => u16::try_from(status).unwrap_or(u16::MAX),
            },
            None => 200,
        };
        let mut builder = ResponseBuilder::new(status).map_err(refused)?;
        if let Some(headers) = headers {
            add_all(&mut builder, headers)?;
        }
        let body = match body {
            Some(body) => body_of(body)?,
            None => Object::bytes(b"")?,
        };
        make(kind.cast(), builder, body)
    })
}

/// The object that is kept as a body: `bytes` or `str`.
unsafe fn body_of(body: *mut ffi::PyObject) -> Result<Object, Raised> {
    // SAFETY: attached, with an argument.
    unsafe {
        if ffi::PyBytes_Check(body) != 0 {
            return Object::borrowed(body);
        }
        if ffi::PyUnicode_Check(body) != 0 {
            // Fails here, not when it is sent.
            text::utf8_of(body)?;
            return Object::borrowed(body);
        }
        if ffi::PyObject_CheckBuffer(body) == 0 {
            return Err(expected("body", "str or a bytes-like object", body));
        }
        Object::owned(ffi::PyBytes_FromObject(body))
    }
}

/// Makes an instance.
///
/// # Safety
/// Attached; `kind` is our type; `body` is `bytes` or `str`.
pub(super) unsafe fn make(
    kind: *mut ffi::PyTypeObject,
    builder: ResponseBuilder,
    body: Object,
) -> Result<Object, Raised> {
    // SAFETY: attached; the fields are written before anyone else sees the object.
    unsafe {
        let this = Object::owned(ffi::PyType_GenericAlloc(kind, 0))?;
        let memory = this.as_ptr().cast::<ResponseObject>();
        (&raw mut (*memory).builder).write(Mutex::new(builder));
        (&raw mut (*memory).body).write(body);
        Ok(this)
    }
}

pub(super) unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that `make` made and nobody refers to any more. A
    // heap type is owned by its instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        let memory = this.cast::<ResponseObject>();
        (&raw mut (*memory).builder).drop_in_place();
        (&raw mut (*memory).body).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

/// # Safety
/// Attached; `this` is an instance, alive for `'a`.
pub(super) unsafe fn fields<'a>(this: *mut ffi::PyObject) -> &'a ResponseObject {
    // SAFETY: instances are only made by `make`; the type cannot be subclassed.
    unsafe { &*this.cast::<ResponseObject>() }
}

impl ResponseObject {
    pub(super) fn builder(&self) -> MutexGuard<'_, ResponseBuilder> {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes of the body. Called attached.
    fn body(&self) -> Result<&[u8], Raised> {
        // SAFETY: attached; the body is alive as long as this.
        unsafe {
            match text::bytes_of(self.body.as_ptr()) {
                Some(bytes) => Ok(bytes),
                None => Ok(text::utf8_of(self.body.as_ptr())?.as_bytes()),
            }
        }
    }
}

/// Raises why a response was not built.
#[cold]
fn refused(error: BuildError) -> Raised {
    raise(Kind::Value, &error.to_string())
}

/// Adds the headers of a mapping, or of an iterable of pairs.
unsafe fn add_all(
    builder: &mut ResponseBuilder,
    headers: *mut ffi::PyObject,
) -> Result<(), Raised> {
    // SAFETY: attached, with an argument; each pair is kept while it is read.
    unsafe {
        // What has items that are bytes or characters is no mapping of headers, nor pairs.
        if ffi::PyUnicode_Check(headers) != 0 || ffi::PyObject_CheckBuffer(headers) != 0 {
            return Err(expected("headers", "a mapping or pairs", headers));
        }
        let pairs = if ffi::PyList_CheckExact(headers) != 0 {
            Object::borrowed(headers)?
        } else if ffi::PyDict_Check(headers) != 0 {
            Object::owned(ffi::PyDict_Items(headers))?
        } else if ffi::PyTuple_Check(headers) == 0 && ffi::PyMapping_Check(headers) != 0 {
            Object::owned(ffi::PyMapping_Items(headers))?
        } else {
            Object::owned(ffi::PySequence_List(headers))?
        };
        // Whoever has the list may change it meanwhile.
        let mut place = 0;
        while place < ffi::PyList_GET_SIZE(pairs.as_ptr()) {
            let given = ffi::compat::PyList_GetItemRef(pairs.as_ptr(), place);
            let given = Object::owned(given)?;
            let pair = match ffi::PyTuple_CheckExact(given.as_ptr()) {
                0 => Object::owned(ffi::PySequence_Tuple(given.as_ptr()))?,
                _ => given.another(),
            };
            if ffi::PyTuple_GET_SIZE(pair.as_ptr()) != 2 {
                return Err(expected("a header", "(name, value)", given.as_ptr()));
            }
            let item = |i| ffi::PyTuple_GET_ITEM(pair.as_ptr(), i);
            add(item(0), item(1), |name, value| {
                builder.header(name, value).map(|_| ())
            })?;
            place += 1;
        }
        Ok(())
    }
}

/// Has `add` see the bytes of a name and a value.
#[inline]
unsafe fn add(
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    add: impl FnOnce(&[u8], &[u8]) -> Result<(), BuildError>,
) -> Result<(), Raised> {
    // SAFETY: attached, with two live objects.
    unsafe {
        let added = text::with_field(name, "header name", |name| {
            text::with_field(value, "header value", |value| add(name, value))
        });
        added??.map_err(refused)
    }
}

unsafe extern "C" fn add_header(
    this: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and so many arguments.
    entry::object(|| unsafe {
        let arguments = Arguments::new(arguments, count, ptr::null_mut());
        let &[name, value] = arguments.all else {
            return Err(raise(
                Kind::Type,
                "add_header() expected a name and a value",
            ));
        };
        let response = fields(this);
        add(name, value, |name, value| {
            response.builder().header(name, value).map(|_| ())
        })?;
        none()
    })
}

static SET_COOKIE: Signature<10> = Signature {
    function: "set_cookie",
    names: [
        c"name",
        c"value",
        c"max_age",
        c"expires",
        c"path",
        c"domain",
        c"secure",
        c"httponly",
        c"samesite",
        c"partitioned",
    ],
    required: 1,
    positional: 2,
};

unsafe extern "C" fn set_cookie(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and arguments, which live during the call.
    entry::object(|| unsafe {
        let [
            name,
            value,
            max_age,
            expires,
            path,
            domain,
            secure,
            http_only,
            same_site,
            partitioned,
        ] = SET_COOKIE.given(arguments, count, names)?;
        let Some(name) = name else {
            return Err(raise(Kind::Type, "set_cookie() expected a name"));
        };
        let optional = |argument: Option<_>| argument.filter(|&object| object != ffi::Py_None());
        let value = value.map_or(Ok(""), |value| text::utf8_of(value))?;
        let mut cookie = SetCookie::new(text::utf8_of(name)?, value);
        if let Some(seconds) = optional(max_age) {
            cookie = cookie.max_age(entry::whole(seconds)?);
        }
        if let Some(date) = optional(expires) {
            cookie = cookie.expires(HttpDate(entry::whole(date)?));
        }
        if let Some(path) = optional(path) {
            cookie = cookie.path(text::utf8_of(path)?);
        }
        if let Some(domain) = optional(domain) {
            cookie = cookie.domain(text::utf8_of(domain)?);
        }
        let is = |argument: Option<_>| match argument {
            Some(argument) => flag(argument).map(|flag| flag == Some(true)),
            None => Ok(false),
        };
        if is(secure)? {
            cookie = cookie.secure();
        }
        if is(http_only)? {
            cookie = cookie.http_only();
        }
        if is(partitioned)? {
            cookie = cookie.partitioned();
        }
        if let Some(same_site) = optional(same_site) {
            let text = text::utf8_of(same_site)?;
            cookie = cookie.same_site(match text.to_ascii_lowercase().as_str() {
                "strict" => SameSite::Strict,
                "lax" => SameSite::Lax,
                "none" => SameSite::None,
                _ => {
                    let text =
                        format!("expected samesite as 'strict', 'lax' or 'none', found {text:?}");
                    return Err(raise(Kind::Value, &text));
                }
            });
        }
        let added = fields(this).builder().cookie(&cookie).map(|_| ());
        added.map_err(refused)?;
        none()
    })
}

unsafe extern "C" fn answering(
    this: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and so many arguments.
    entry::object(|| unsafe {
        let (method, version) = match *Arguments::new(arguments, count, ptr::null_mut()).all {
            [method] => (text::utf8_of(method)?, "1.1"),
            [method, version] => (text::utf8_of(method)?, text::utf8_of(version)?),
            _ => {
                return Err(raise(
                    Kind::Type,
                    "answering() expected a method and a version",
                ));
            }
        };
        let answering = match (method, version) {
            ("HEAD", _) => Answering::Head,
            ("CONNECT", _) => Answering::Connect,
            (_, "1.0") => Answering::Http10,
            _ => Answering::Other,
        };
        fields(this).builder().answering(answering);
        none()
    })
}

unsafe extern "C" fn to_bytes(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance; nobody else has the new bytes while they are filled.
    entry::object(|| unsafe {
        let response = fields(this);
        let builder = response.builder();
        let parts = builder.parts(response.body()?).map_err(refused)?;
        new_bytes(&parts.slices())
    })
}

/// A `bytes` of these pieces, one behind the other.
unsafe fn new_bytes(pieces: &[&[u8]]) -> Result<Object, Raised> {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    // SAFETY: attached; the new bytes have just this length, and nobody else has them while they are filled.
    unsafe {
        let bytes = ffi::PyBytes_FromStringAndSize(ptr::null(), length as ffi::Py_ssize_t);
        let bytes = Object::owned(bytes)?;
        let mut place = ffi::PyBytes_AS_STRING(bytes.as_ptr())
            .cast::<u8>()
            .cast_mut();
        for piece in pieces {
            ptr::copy_nonoverlapping(piece.as_ptr(), place, piece.len());
            place = place.add(piece.len());
        }
        Ok(bytes)
    }
}

unsafe extern "C" fn serialize_into(
    this: *mut ffi::PyObject,
    buffer: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let response = fields(this);
        let body = response.body()?;
        let length = text::with_writable_buffer(buffer, |buffer| {
            response.builder().serialize_into(body, buffer)
        })?;
        Object::owned(ffi::PyLong_FromSize_t(length.map_err(refused)?))
    })
}

unsafe extern "C" fn length(this: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython calls this attached, with an instance.
    let length = entry::size(|| unsafe {
        let response = fields(this);
        let builder = response.builder();
        let parts = builder.parts(response.body()?).map_err(refused)?;
        Ok(parts.len())
    });
    length as ffi::Py_ssize_t
}

unsafe extern "C" fn parts(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let response = fields(this);
        let (head, body) = {
            let builder = response.builder();
            let parts = builder.parts(response.body()?).map_err(refused)?;
            let [frame, lines, end, body] = parts.slices();
            let head = new_bytes(&[frame, lines, end]);
            let given = text::bytes_of(response.body.as_ptr());
            match given.filter(|given| given.len() == body.len()) {
                Some(_) => (head, Ok(response.body.another())),
                None => (head, Object::bytes(body)),
            }
        };
        entry::tuple([head, body])
    })
}

unsafe extern "C" fn stream(
    this: *mut ffi::PyObject,
    pieces: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let length = fields(this).body()?.len();
        if length > 0 {
            let text = format!(
                "expected an empty body of a response that is streamed, found {length} bytes"
            );
            return Err(raise(Kind::Value, &text));
        }
        let stream = Object::import(c"covet_py._http")?.attribute(c"stream")?;
        stream.call(&[&Object::borrowed(this)?, &Object::borrowed(pieces)?])
    })
}

unsafe extern "C" fn stream_head(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let (head, end) = {
            let builder = fields(this).builder();
            (builder.stream_head(), builder.stream_end())
        };
        entry::tuple([Object::bytes(&head), Object::bytes(end)])
    })
}

unsafe extern "C" fn chunk(
    this: *mut ffi::PyObject,
    piece: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let builder = fields(this).builder();
        let encode = |piece: &[u8]| {
            let chunk = builder.chunk(piece).map_err(refused)?;
            new_bytes(&chunk.slices())
        };
        if ffi::PyUnicode_Check(piece) != 0 {
            return encode(text::utf8_of(piece)?.as_bytes());
        }
        text::with_buffer(piece, encode)?
    })
}

unsafe extern "C" fn status(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let status = fields(this).builder().status();
        Object::owned(ffi::PyLong_FromLong(status.into()))
    })
}

unsafe extern "C" fn headers(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance; the list takes the references.
    entry::object(|| unsafe {
        let builder = fields(this).builder().clone();
        let list = Object::owned(ffi::PyList_New(0))?;
        for (name, value) in builder.fields() {
            let pair = entry::tuple([text::field(name), text::field(value)])?;
            if ffi::PyList_Append(list.as_ptr(), pair.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        Ok(list)
    })
}

unsafe extern "C" fn body(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { Ok(fields(this).body.another()) })
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let response = fields(this);
        let (status, body) = (response.builder().status(), response.body()?.len());
        Object::string(&format!("<NativeResponse {status}, {body} bytes>"))
    })
}
