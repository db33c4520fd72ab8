//! What a `NativeRequest` says in Python.

use super::request::fields;
use super::{conditional, scope, text};
use crate::entry::{self, Arguments, Kind, raise};
use crate::pool::none;
use crate::state::method;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_native::percent::Invalid;
use covet_native::{
    Cookies, Headers, MediaType, UrlEncoded, best, encoding_quality, language_quality,
    media_quality,
};
use std::ffi::c_void;
use std::ptr;

pub(super) static mut METHODS: [ffi::PyMethodDef; 17] = [
    method!(
        c"header",
        ffi::PyMethodDefPointer { PyCFunctionFast: header },
        ffi::METH_FASTCALL,
        c"header($self, name, default=None, /)\n--\n\nThe value of the first header of this name, in any case."
    ),
    method!(
        c"header_all",
        ffi::PyMethodDefPointer { PyCFunction: header_all },
        ffi::METH_O,
        c"header_all($self, name, /)\n--\n\nThe values of all headers of this name, in any case, in order."
    ),
    method!(
        c"query_value",
        ffi::PyMethodDefPointer { PyCFunctionFast: query_value },
        ffi::METH_FASTCALL,
        c"query_value($self, name, default=None, /)\n--\n\nThe first value of this name in the query, decoded; nothing else is."
    ),
    method!(
        c"query_all",
        ffi::PyMethodDefPointer { PyCFunction: query_all },
        ffi::METH_O,
        c"query_all($self, name, /)\n--\n\nAll values of this name in the query, decoded, in order."
    ),
    method!(
        c"cookie",
        ffi::PyMethodDefPointer { PyCFunctionFast: cookie },
        ffi::METH_FASTCALL,
        c"cookie($self, name, default=None, /)\n--\n\nThe value of the first cookie of this name, without quotes around it."
    ),
    method!(
        c"content_type_parameter",
        ffi::PyMethodDefPointer { PyCFunctionFast: content_type_parameter },
        ffi::METH_FASTCALL,
        c"content_type_parameter($self, name, default=None, /)\n--\n\nA parameter of the media type, such as charset."
    ),
    method!(
        c"json",
        ffi::PyMethodDefPointer { PyCFunction: json },
        ffi::METH_NOARGS,
        c"json($self, /)\n--\n\nThe body as JSON, read by the standard library anew each time.\n\nRaises ValueError (json.JSONDecodeError, UnicodeDecodeError)."
    ),
    method!(
        c"form",
        ffi::PyMethodDefPointer { PyCFunction: form },
        ffi::METH_NOARGS,
        c"form($self, /)\n--\n\nThe decoded pairs of a body of application/x-www-form-urlencoded, in order: a list of (name, value).\n\nRaises ValueError for a body of another type."
    ),
    method!(
        c"parts",
        ffi::PyMethodDefPointer { PyCFunction: parts },
        ffi::METH_NOARGS,
        c"parts($self, /)\n--\n\nThe parts of a multipart body: a list of Part, whose data are views of the body, not copies.\n\nRaises ValueError for a body of another type, HTTPError for a malformed one."
    ),
    method!(
        c"accepts",
        ffi::PyMethodDefPointer { PyCFunctionFast: accepts },
        ffi::METH_FASTCALL,
        c"accepts($self, /, *media_types)\n--\n\nThe media type that the client likes best (Accept), the first of several; None if it likes none."
    ),
    method!(
        c"accepts_encoding",
        ffi::PyMethodDefPointer { PyCFunctionFast: accepts_encoding },
        ffi::METH_FASTCALL,
        c"accepts_encoding($self, /, *codings)\n--\n\nThe same for content codings (Accept-Encoding)."
    ),
    method!(
        c"accepts_language",
        ffi::PyMethodDefPointer { PyCFunctionFast: accepts_language },
        ffi::METH_FASTCALL,
        c"accepts_language($self, /, *tags)\n--\n\nThe same for language tags (Accept-Language)."
    ),
    method!(
        c"failed_precondition",
        ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: conditional::failed_precondition
        },
        ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        c"failed_precondition($self, /, *, etag=None, last_modified=None, exists=True)\n--\n\nThe status to answer instead of doing what is asked: 304 if the client has the representation already, 412 if it is not the one\nthat it means; None to go on (RFC 9110 13.2.2). etag is the representation's entity tag in its quotes, last_modified is in\nseconds since 1970; exists says whether there is a representation at all.\n\nRead anew each time. Raises ValueError for an etag without quotes."
    ),
    method!(
        c"ranges",
        ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: conditional::ranges },
        ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        c"ranges($self, /, length, *, etag=None, last_modified=None)\n--\n\nThe parts to send of a representation of so many bytes (RFC 9110 14.2): a list of (start, stop) in the order asked for, joined\nwhere they overlap. None to send the whole: nothing else was asked for, or it was malformed, or what the client has a part of\n(If-Range) is not what etag and last_modified name. An empty list if there are no such bytes: the answer is 416.\n\nRead anew each time. Raises ValueError for an etag without quotes, OverflowError for a negative length."
    ),
    method!(
        c"asgi_scope",
        ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: scope::asgi_scope },
        ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        c"asgi_scope($self, /, *, client=None, server=None, scheme='http', root_path='')\n--\n\nA new connection scope of ASGI 3 (HTTP, spec version 2.3)."
    ),
    method!(
        c"wsgi_environ",
        ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: scope::wsgi_environ
        },
        ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        c"wsgi_environ($self, /, *, client=None, server=None, scheme='http', script_name='', multithread=True, multiprocess=False)\n--\n\nA new environment of WSGI (PEP 3333), with the body as wsgi.input. Headers with an underscore in their name are left out, for\nthey would look like others."
    ),
    ffi::PyMethodDef::zeroed(),
];

macro_rules! getter {
    ($name:ident, $request:ident => $body:expr) => {
        pub(super) unsafe extern "C" fn $name(
            this: *mut ffi::PyObject,
            _: *mut c_void,
        ) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this attached, with an instance.
            entry::object(|| unsafe {
                let $request = fields(this);
                $body
            })
        }
    };
}

getter!(target, this => text::field(this.message.request.head().target()));
getter!(raw_path, this => Object::bytes(this.message.request.head().path()));
getter!(query_string, this => Object::bytes(this.message.request.head().query().unwrap_or_default()));
getter!(version, this => Object::string(match this.message.request.head().version() {
    (1, 0) => "1.0",
    _ => "1.1",
}));
getter!(host, this => optional(this.message.request.head().authority()));
getter!(upgrade, this => optional(this.message.request.head().upgrade()));
getter!(keep_alive, this => {
    Object::owned(ffi::PyBool_FromLong(this.message.request.head().keep_alive().into()))
});
getter!(body, this => this.body.get(|| Object::bytes(&this.message.body)));
getter!(headers, this => this.headers.get(|| pairs(this.message.request.head().headers())));
getter!(trailers, this => match this.message.trailers() {
    Some(trailers) => pairs(trailers),
    None => entry::tuple([]),
});
getter!(query, this => this.query.get(|| {
    let query = this.message.request.head().query().unwrap_or_default();
    let pairs = UrlEncoded::new(query).pairs().map(|pair| {
        entry::tuple([Object::string(&pair.name()), Object::string(&pair.value())])
    });
    entry::tuple(pairs.collect::<Vec<_>>())
}));
getter!(cookies, this => this.cookies.get(|| {
    let dict = Object::owned(ffi::PyDict_New())?;
    for (name, value) in cookies_of(this) {
        let (name, value) = (text::field(name)?, text::field(value)?);
        let known = ffi::PyDict_Contains(dict.as_ptr(), name.as_ptr());
        if known < 0 || known == 0 && ffi::PyDict_SetItem(dict.as_ptr(), name.as_ptr(), value.as_ptr()) < 0 {
            return Err(Raised);
        }
    }
    Object::owned(ffi::PyDictProxy_New(dict.as_ptr()))
}));
getter!(content_type, this => match media_type(this) {
    Some(media) => {
        let essence = [media.main(), media.sub()].join(&b'/');
        text::ascii(&essence.to_ascii_lowercase())
    }
    None => none(),
});

/// A tuple of (name, value).
unsafe fn pairs(headers: Headers<'_>) -> Result<Object, Raised> {
    // SAFETY: attached, as the caller is; a name is a token, which is ASCII.
    entry::tuple(headers.iter().map(|header| unsafe {
        let name = text::ascii(header.name().as_bytes());
        entry::tuple([name, text::field(header.value())])
    }))
}

/// A `str`, or `None`.
unsafe fn optional(value: Option<&[u8]>) -> Result<Object, Raised> {
    match value {
        // SAFETY: attached, as the caller is.
        Some(value) => unsafe { text::field(value) },
        None => none(),
    }
}

type Request = super::request::RequestObject;

fn cookies_of(this: &Request) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = this.message.request.head().headers().get_all("cookie");
    fields.flat_map(|field| Cookies::new(field).iter())
}

fn media_type(this: &Request) -> Option<MediaType<'_>> {
    MediaType::parse(this.message.request.head().headers().get("content-type")?)
}

/// A name, and what to return if there is nothing of this name.
unsafe fn look_up(
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    find: impl FnOnce(&str) -> Option<Result<Object, Raised>>,
) -> Result<Object, Raised> {
    // SAFETY: attached, with so many arguments.
    unsafe {
        let (name, default) = match *Arguments::new(arguments, count, ptr::null_mut()).all {
            [name] => (name, ffi::Py_None()),
            [name, default] => (name, default),
            _ => return Err(raise(Kind::Type, "expected a name and perhaps a default")),
        };
        match find(text::utf8_of(name)?) {
            Some(found) => found,
            None => Object::borrowed(default),
        }
    }
}

macro_rules! look_up {
    ($function:ident, $request:ident, $name:ident => $found:expr) => {
        unsafe extern "C" fn $function(
            this: *mut ffi::PyObject,
            arguments: *mut *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
        ) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this attached, with an instance and so many arguments.
            entry::object(|| unsafe {
                let $request = fields(this);
                look_up(arguments, count, |$name| $found)
            })
        }
    };
}

look_up!(header, this, name => {
    let value = this.message.request.head().headers().get(name)?;
    Some(text::field(value))
});
look_up!(cookie, this, name => {
    let (_, value) = cookies_of(this).find(|(found, _)| *found == name.as_bytes())?;
    Some(text::field(value))
});
look_up!(content_type_parameter, this, name => {
    let value = media_type(this)?.parameter(name)?;
    Some(text::field(&value))
});

look_up!(query_value, this, name => {
    let value = UrlEncoded::new(this.message.request.head().query()?).get(name)?;
    Some(Object::string(&value))
});

unsafe extern "C" fn header_all(
    this: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let headers = fields(this).message.request.head().headers();
        let values = headers.get_all(text::utf8_of(name)?);
        list(values.map(|value| text::field(value)))
    })
}

unsafe extern "C" fn query_all(
    this: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let query = fields(this).message.request.head().query();
        let query = UrlEncoded::new(query.unwrap_or_default());
        let values = query.get_all(text::utf8_of(name)?);
        list(values.map(|value| Object::string(&value)))
    })
}

/// A list of what is made there; the first failure counts. Called attached.
pub(super) fn list(items: impl Iterator<Item = Result<Object, Raised>>) -> Result<Object, Raised> {
    // SAFETY: attached; the list adds a reference of its own.
    unsafe {
        let list = Object::owned(ffi::PyList_New(0))?;
        for item in items {
            if ffi::PyList_Append(list.as_ptr(), item?.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        Ok(list)
    }
}

unsafe extern "C" fn json(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let body = fields(this)
            .body
            .get(|| Object::bytes(&fields(this).message.body))?;
        let loads = Object::import(c"json")?.attribute(c"loads")?;
        loads.call(&[&body])
    })
}

unsafe extern "C" fn form(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let this = fields(this);
        if !media_type(this).is_some_and(|media| media.is("application", "x-www-form-urlencoded")) {
            return Err(other_type(this, "application/x-www-form-urlencoded"));
        }
        list(UrlEncoded::new(&this.message.body).pairs().map(|pair| {
            let (name, value) = pair
                .text(Invalid::Replaced)
                .unwrap_or_else(|_| unreachable!("what is replaced is not refused"));
            entry::tuple([Object::string(&name), Object::string(&value)])
        }))
    })
}

#[cold]
fn other_type(this: &Request, expected: &str) -> Raised {
    let found = this.message.request.head().headers().get("content-type");
    let found = found.map(|found| String::from_utf8_lossy(found));
    let text = match found {
        Some(found) => format!("expected a body of {expected}, found {found:?}"),
        None => format!("expected a body of {expected}, found one of no stated type"),
    };
    raise(Kind::Value, &text)
}

unsafe extern "C" fn parts(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { scope::parts(this, media_type(fields(this)), other_type) })
}

macro_rules! negotiate {
    ($function:ident, $field:literal, $quality:expr) => {
        unsafe extern "C" fn $function(
            this: *mut ffi::PyObject,
            arguments: *mut *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
        ) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this attached, with an instance and so many arguments.
            entry::object(|| unsafe {
                let offers = Arguments::new(arguments, count, ptr::null_mut()).all;
                let texts = offers.iter().map(|&offer| text::utf8_of(offer));
                let texts: Vec<(usize, &str)> =
                    (0..).zip(texts.collect::<Result<Vec<_>, _>>()?).collect();
                let headers = fields(this).message.request.head().headers();
                let accepted: Vec<_> = headers.get_all($field).collect();
                let field = (!accepted.is_empty()).then(|| accepted.join(&b','));
                let best = best(field.as_deref(), &texts, |field, (_, offer)| {
                    $quality(field, *offer)
                });
                match best {
                    Some(&(place, _)) => Object::borrowed(offers[place]),
                    None => none(),
                }
            })
        }
    };
}

negotiate!(accepts, "accept", |field: &[u8], offer: &str| {
    MediaType::parse(offer.as_bytes()).map_or(0, |offer| media_quality(field, &offer))
});
negotiate!(accepts_encoding, "accept-encoding", encoding_quality);
negotiate!(accepts_language, "accept-language", language_quality);
