//! A response on its way to another interpreter.

use super::response;
use super::text;
use crate::entry;
use crate::state::State;
use covet_interp::ffi;
use covet_interp::raw::{Exported, Native, NativeType, Object, Raised, Support};
use covet_native::ResponseBuilder;
use std::sync::Arc;

/// What a `NativeResponse` is when it is sent: what is added to it later stays behind.
#[derive(Debug)]
struct Answer {
    builder: ResponseBuilder,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Those of a `bytes`, which is kept where it is: they are copied once, where the response arrives.
    Bytes(Exported),
    Text(Box<str>),
}

impl Native for Answer {
    fn size(&self) -> usize {
        match &self.body {
            Body::Bytes(bytes) => bytes.size(),
            Body::Text(text) => text.len(),
        }
    }

    fn type_name(&self) -> &str {
        "covet_py.NativeResponse"
    }

    unsafe fn object(self: Arc<Self>, support: &Support) -> Result<Object, Raised> {
        // SAFETY: attached, as promised; the bytes stay in place, and a bytes object never changes.
        unsafe {
            let body = match &self.body {
                Body::Bytes(bytes) => {
                    let start = bytes.start().cast();
                    let length = bytes.size() as ffi::Py_ssize_t;
                    Object::owned(ffi::PyBytes_FromStringAndSize(start, length))?
                }
                Body::Text(text) => Object::string(text)?,
            };
            let kind = State::here(support)?.http.response_type.as_ptr();
            response::make(kind.cast(), self.builder.clone(), body)
        }
    }
}

/// Responses cross as what they are when they are sent.
pub(super) static RESPONSES: NativeType = NativeType { is, share };

/// # Safety
/// Attached; the type is alive.
unsafe fn is(kind: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: as promised.
    unsafe { entry::ends_by(kind, response::dealloc) }
}

/// # Safety
/// Attached to the interpreter of `support`; `this` is an instance.
unsafe fn share(
    this: *mut ffi::PyObject,
    support: &Support,
) -> Result<Option<Arc<dyn Native>>, Raised> {
    // SAFETY: as promised; a bytes object exports its memory without running Python code.
    unsafe {
        let response = response::fields(this);
        let body = response.body.as_ptr();
        let body = match text::bytes_of(body) {
            Some(_) => Body::Bytes(support.keep_exported(body)?),
            None => Body::Text(text::utf8_of(body)?.into()),
        };
        let builder = response.builder().clone();
        Ok(Some(Arc::new(Answer { builder, body })))
    }
}
