//! Conditions and ranges (RFC 9110 13 and 14): what a client wants of a representation, given what it has of it.

use super::request::fields;
use super::text;
use crate::entry::{self, Kind, raise};
use crate::pool::none;
use crate::signature::{Signature, flag};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_native::{
    Conditions, Current, ETag, HttpDate, Precondition, parse_ranges, range_applies, resolve_ranges,
};
use std::ptr;

static PRECONDITION: Signature<3> = Signature {
    function: "failed_precondition",
    names: [c"etag", c"last_modified", c"exists"],
    required: 0,
    positional: 0,
};

pub(super) unsafe extern "C" fn failed_precondition(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and the arguments of a call, which live during it.
    entry::object(|| unsafe {
        let [etag, last_modified, exists] = PRECONDITION.given(arguments, count, names)?;
        let current = current(etag, last_modified)?;
        let current = flag(exists.unwrap_or(ptr::null_mut()))?
            .unwrap_or(true)
            .then_some(&current);

        let head = fields(this).message.request.head();
        let headers = head.headers();
        // Lists that came in several fields are one list.
        let list = |name| {
            let values: Vec<_> = headers.get_all(name).collect();
            (!values.is_empty()).then(|| values.join(&b','))
        };
        let (if_match, if_none_match) = (list("if-match"), list("if-none-match"));
        let conditions = Conditions {
            if_match: if_match.as_deref(),
            if_none_match: if_none_match.as_deref(),
            if_modified_since: headers.get("if-modified-since"),
            if_unmodified_since: headers.get("if-unmodified-since"),
        };
        let safe = matches!(head.method(), "GET" | "HEAD");
        match conditions.evaluate(safe, current) {
            Precondition::Proceed => none(),
            Precondition::NotModified => Object::owned(ffi::PyLong_FromLong(304)),
            Precondition::Failed => Object::owned(ffi::PyLong_FromLong(412)),
        }
    })
}

static RANGES: Signature<3> = Signature {
    function: "ranges",
    names: [c"length", c"etag", c"last_modified"],
    required: 1,
    positional: 1,
};

pub(super) unsafe extern "C" fn ranges(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and the arguments of a call, which live during it.
    entry::object(|| unsafe {
        let [length, etag, last_modified] = RANGES.given(arguments, count, names)?;
        let length = match length {
            Some(length) => entry::integer(length)?,
            None => None,
        };
        let Some(length) = length else {
            return Err(raise(Kind::Type, "ranges() expected a length in bytes"));
        };
        let current = current(etag, last_modified)?;

        let head = fields(this).message.request.head();
        let headers = head.headers();
        let mut values = headers.get_all("range");
        // Only GET has ranges (14.2). Two fields are malformed, which is the same as none.
        let (Some(value), None, "GET") = (values.next(), values.next(), head.method()) else {
            return none();
        };
        let applies = headers
            .get("if-range")
            .is_none_or(|if_range| range_applies(if_range, &current));
        let Some(asked) = parse_ranges(value).filter(|_| applies) else {
            return none();
        };
        let parts = resolve_ranges(&asked, length as u64).unwrap_or_default();
        let int = |place| Object::owned(ffi::PyLong_FromUnsignedLongLong(place));
        super::access::list(
            parts
                .iter()
                .map(|part| entry::tuple([int(part.start), int(part.end)])),
        )
    })
}

/// What the caller knows of the representation that it would send.
///
/// # Safety
/// Attached; the arguments are alive for `'a`.
unsafe fn current<'a>(
    etag: Option<*mut ffi::PyObject>,
    last_modified: Option<*mut ffi::PyObject>,
) -> Result<Current<'a>, Raised> {
    // SAFETY: as promised.
    unsafe {
        let given = |argument: Option<_>| argument.filter(|&object| object != ffi::Py_None());
        let mut current = Current::default();
        if let Some(etag) = given(etag) {
            let text = text::utf8_of(etag)?;
            current.etag = ETag::parse(text.as_bytes()).filter(|_| text.is_ascii());
            if current.etag.is_none() {
                let text = format!(
                    "expected an entity tag in its quotes, as \"a\" or W/\"a\", found {text}"
                );
                return Err(raise(Kind::Value, &text));
            }
        }
        if let Some(seconds) = given(last_modified) {
            current.last_modified = Some(HttpDate(entry::whole(seconds)?));
        }
        Ok(current)
    }
}
