//! HTTP messages in Python: `NativeRequest`, `RequestParser` and `NativeResponse`.
//!
//! The messages themselves are values of `covet-native`, which know no Python. An object here is one reference to such a value
//! and what was asked of it before; so it can be had in any interpreter, each with types of its own.
//!
//! - `message`: a request with its body, without an interpreter
//! - `request`, `access`, `conditional`, `scope`: what a program receives, and what it may ask of it
//! - `parser`: requests from the pieces of a connection
//! - `response`, `answer`: what a program answers, and how it crosses
//! - `text`, `names`, `lazy`: objects from and to the bytes of a message

mod access;
mod answer;
mod conditional;
mod lazy;
mod message;
mod names;
mod parser;
mod request;
mod response;
mod scope;
mod text;

use crate::state::State;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_native::Error;
use names::Names;

/// What the state of the module keeps for messages.
pub(crate) struct Http {
    names: Names,
    request_type: Object,
    parser_type: Object,
    response_type: Object,
}

impl Http {
    /// Makes the types.
    ///
    /// # Safety
    /// Attached; `module` is made from our definition.
    pub(crate) unsafe fn new(module: *mut ffi::PyObject) -> Result<Self, Raised> {
        // SAFETY: as promised.
        unsafe {
            Ok(Self {
                names: Names::new()?,
                request_type: request::make_type(module)?,
                parser_type: parser::make_type(module)?,
                response_type: response::make_type(module)?,
            })
        }
    }

    /// The types that a program sees.
    pub(crate) fn types(&self) -> [&Object; 3] {
        [&self.request_type, &self.parser_type, &self.response_type]
    }

    /// Every reference that is kept.
    pub(crate) fn references(&self) -> Vec<*mut ffi::PyObject> {
        let mut all = self.names.references();
        all.extend(self.types().map(Object::as_ptr));
        all
    }
}

/// Raises `covet_py.HTTPError`: the bytes break a rule. Before them these requests were complete.
#[cold]
fn raise_http(state: &State, error: &Error, requests: Option<&Object>) -> Raised {
    let (offset, status) = (error.offset, error.status());
    let rule = error.rule.name();
    raise_wrong(state, &error.to_string(), offset, rule, status, requests)
}

#[cold]
fn raise_wrong(
    state: &State,
    text: &str,
    offset: u64,
    rule: &str,
    status: u16,
    requests: Option<&Object>,
) -> Raised {
    let raise = || -> Result<(), Raised> {
        // SAFETY: attached to the interpreter of `state`.
        unsafe {
            let error = state.errors.attribute(c"HTTPError")?.call(&[
                &Object::string(text)?,
                &Object::owned(ffi::PyLong_FromUnsignedLongLong(offset))?,
                &Object::string(rule)?,
                &Object::owned(ffi::PyLong_FromLong(status.into()))?,
            ])?;
            if let Some(requests) = requests {
                let name = c"requests".as_ptr();
                if ffi::PyObject_SetAttrString(error.as_ptr(), name, requests.as_ptr()) < 0 {
                    return Err(Raised);
                }
            }
            ffi::PyErr_SetObject(ffi::Py_TYPE(error.as_ptr()).cast(), error.as_ptr());
        }
        Ok(())
    };
    // If that failed, what it raised is raised.
    let _ = raise();
    Raised
}
