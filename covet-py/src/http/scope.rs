//! Requests as the servers' interfaces have them: the scope of ASGI; and the parts of a body.

use super::names::set;
use super::request::{RequestObject, fields};
use super::{raise_wrong, text};
use crate::entry::{self, Arguments};
use crate::signature::Signature;
use crate::state::State;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_native::{MediaType, MultipartLimits, parts as parts_of};

static ASGI_SCOPE: Signature<4> = Signature {
    function: "asgi_scope",
    names: [c"client", c"server", c"scheme", c"root_path"],
    required: 0,
    positional: 0,
};

pub(super) unsafe extern "C" fn asgi_scope(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and the arguments of a call.
    entry::object(|| unsafe {
        let [client, server, scheme, root_path] = ASGI_SCOPE.given(arguments, count, names)?;
        let state = State::of_type(ffi::Py_TYPE(this))?;
        let keys = &state.http.names.scope;
        let request = fields(this);
        let head = request.message.request.head();

        let copy = |dict: &Object| Object::owned(ffi::PyDict_Copy(dict.as_ptr()));
        let dict = copy(&state.http.names.new_scope)?;
        set(&dict, &keys.asgi, &copy(&state.http.names.new_versions)?)?;
        if head.version() == (1, 0) {
            set(&dict, &keys.http_version, &keys.http_1_0)?;
        }
        set(&dict, &keys.method, &request.method)?;
        if let Some(scheme) = scheme {
            set(&dict, &keys.scheme, &Object::borrowed(scheme)?)?;
        }
        set(&dict, &keys.path, &request.path)?;
        set(&dict, &keys.raw_path, &Object::bytes(head.path())?)?;
        let query = Object::bytes(head.query().unwrap_or_default())?;
        set(&dict, &keys.query_string, &query)?;
        if let Some(root_path) = root_path {
            set(&dict, &keys.root_path, &Object::borrowed(root_path)?)?;
        }
        let fields = head.headers();
        let headers = Object::owned(ffi::PyList_New(fields.len() as ffi::Py_ssize_t))?;
        for (i, header) in (0..).zip(fields.iter()) {
            let name = state.http.names.field(&header);
            let pair = entry::tuple([name, Object::bytes(header.value())])?;
            ffi::PyList_SET_ITEM(headers.as_ptr(), i, pair.into_ptr());
        }
        set(&dict, &keys.headers, &headers)?;
        for (key, peer) in [(&keys.client, client), (&keys.server, server)] {
            if let Some(peer) = peer {
                set(&dict, key, &Object::borrowed(peer)?)?;
            }
        }
        Ok(dict)
    })
}

/// Written in Python, in `_http.py`.
pub(super) unsafe extern "C" fn wsgi_environ(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and the arguments of a call, which are passed on behind it.
    entry::object(|| unsafe {
        let function = Object::import(c"covet_py._http")?.attribute(c"wsgi_environ")?;
        let mut all = vec![this];
        all.extend(Arguments::new(arguments, count, names).all);
        let positional = count as usize + 1;
        let called = ffi::PyObject_Vectorcall(function.as_ptr(), all.as_ptr(), positional, names);
        Object::owned(called)
    })
}

/// The parts of a body of `media`.
///
/// # Safety
/// Attached; `this` is an instance.
pub(super) unsafe fn parts(
    this: *mut ffi::PyObject,
    media: Option<MediaType<'_>>,
    refuse: impl FnOnce(&RequestObject, &str) -> Raised,
) -> Result<Object, Raised> {
    // SAFETY: as promised.
    unsafe {
        let request = fields(this);
        let media = media.filter(|media| media.main().eq_ignore_ascii_case(b"multipart"));
        let Some(boundary) = media.and_then(|media| media.parameter("boundary")) else {
            return Err(refuse(request, "multipart with a boundary"));
        };
        let body: &[u8] = &request.message.body;
        let limits = MultipartLimits::default();
        let parts = parts_of(body, &boundary, limits).map_err(|error| {
            let state = State::of_type(ffi::Py_TYPE(this));
            state.map_or_else(
                |raised| raised,
                |state| {
                    let rule = format!("{:?}", error.rule);
                    raise_wrong(
                        state,
                        &error.to_string(),
                        error.offset,
                        &rule,
                        error.status(),
                        None,
                    )
                },
            )
        })?;
        let view = Object::owned(ffi::PyMemoryView_FromObject(this))?;
        let make = Object::import(c"covet_py._http")?.attribute(c"Part")?;
        let optional = |text: Option<&[u8]>| match text {
            // What a browser writes here is UTF-8.
            Some(text) => Object::string(&String::from_utf8_lossy(text)),
            None => Object::borrowed(ffi::Py_None()),
        };
        super::access::list(parts.iter().map(|part| {
            // The data are a part of the body.
            let start = part.data.as_ptr().addr().wrapping_sub(body.as_ptr().addr());
            let start = if part.data.is_empty() { 0 } else { start };
            let end = start + part.data.len();
            let data = ffi::PySequence_GetSlice(
                view.as_ptr(),
                start as ffi::Py_ssize_t,
                end as ffi::Py_ssize_t,
            );
            let headers = part
                .head
                .fields()
                .map(|(name, value)| entry::tuple([text::field(name), text::field(value)]));
            make.call(&[
                &optional(part.head.name().as_deref())?,
                &optional(part.head.file_name().as_deref())?,
                &optional(part.head.field("content-type"))?,
                &entry::tuple(headers.collect::<Vec<_>>())?,
                &Object::owned(data)?,
            ])
        }))
    }
}
