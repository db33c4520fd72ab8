//! `str`, `bytes` and buffers, from and to the bytes of a message.
//!
//! The bytes of names and values are ASCII nearly always. Others are Latin-1, as WSGI (PEP 3333) and ASGI have it: each byte
//! is the character with its number, so nothing is lost. Bodies and what a browser encodes are UTF-8.

use crate::entry::{self, Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ptr;

/// Has `read` see the bytes of a name or value: those of `bytes`, or of a `str` in Latin-1. Copies nothing that is ASCII.
///
/// # Errors
/// [`Raised`] with `TypeError` for another type, `UnicodeEncodeError` for a character beyond Latin-1.
///
/// # Safety
/// Attached; `object` is alive.
#[inline]
pub(crate) unsafe fn with_field<R>(
    object: *mut ffi::PyObject,
    what: &str,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R, Raised> {
    // SAFETY: as promised; the bytes belong to objects that are alive during the call.
    unsafe {
        if let Some(bytes) = bytes_of(object) {
            return Ok(read(bytes));
        }
        if ffi::PyUnicode_Check(object) == 0 {
            return Err(expected(what, "str or bytes", object));
        }
        match utf8_of(object) {
            Ok(text) if text.is_ascii() => Ok(read(text.as_bytes())),
            Ok(_) => latin1_of(object, read),
            Err(Raised) => {
                ffi::PyErr_Clear();
                latin1_of(object, read)
            }
        }
    }
}

unsafe fn latin1_of<R>(
    object: *mut ffi::PyObject,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R, Raised> {
    // SAFETY: attached, with a str; the new bytes live until they were read.
    unsafe {
        let bytes = Object::owned(ffi::PyUnicode_AsLatin1String(object))?;
        Ok(read(bytes.as_bytes().unwrap_or_default()))
    }
}

/// The contents of a `bytes`; `None` for another type.
///
/// # Safety
/// Attached; `object` is alive for `'a`.
#[inline]
pub(crate) unsafe fn bytes_of<'a>(object: *mut ffi::PyObject) -> Option<&'a [u8]> {
    // SAFETY: the type is checked first; a bytes object never changes.
    unsafe {
        (ffi::PyBytes_Check(object) != 0).then(|| {
            let start = ffi::PyBytes_AS_STRING(object).cast::<u8>();
            std::slice::from_raw_parts(start, ffi::Py_SIZE(object) as usize)
        })
    }
}

/// The text of a `str`, which keeps it in UTF-8 from then on.
///
/// # Errors
/// [`Raised`] with `UnicodeEncodeError` for a lone surrogate, or `TypeError`.
///
/// # Safety
/// Attached; `object` is alive for `'a`.
#[inline]
pub(crate) unsafe fn utf8_of<'a>(object: *mut ffi::PyObject) -> Result<&'a str, Raised> {
    // SAFETY: as promised.
    unsafe { entry::utf8(object)?.ok_or_else(|| expected("a name or text", "str", object)) }
}

/// Has `read` see the bytes of anything with the buffer protocol, while nobody can resize it.
///
/// # Errors
/// [`Raised`] with `TypeError` for what has none, `BufferError` for one with gaps.
///
/// # Safety
/// Attached; `object` is alive; `read` runs no Python code.
#[inline]
pub(crate) unsafe fn with_buffer<R>(
    object: *mut ffi::PyObject,
    read: impl FnOnce(&[u8]) -> R,
) -> Result<R, Raised> {
    // SAFETY: as promised.
    if let Some(bytes) = unsafe { bytes_of(object) } {
        return Ok(read(bytes));
    }
    // SAFETY: as promised. The exporter keeps the memory in place until it is released. Another thread could write to it
    // meanwhile only if it shares it without the GIL: then it reads as what is written.
    unsafe {
        with_memory(object, ffi::PyBUF_SIMPLE, |start, length| {
            read(slice(start, length))
        })
    }
}

/// Has `write` fill the memory of a writable buffer.
///
/// # Errors
/// As [`with_buffer`]; also if it is read-only.
///
/// # Safety
/// As [`with_buffer`].
pub(crate) unsafe fn with_writable_buffer<R>(
    object: *mut ffi::PyObject,
    write: impl FnOnce(&mut [u8]) -> R,
) -> Result<R, Raised> {
    // SAFETY: as promised; the exporter says that it may be written to.
    unsafe {
        with_memory(object, ffi::PyBUF_WRITABLE, |start, length| {
            if length == 0 {
                return write(&mut []);
            }
            write(std::slice::from_raw_parts_mut(start, length))
        })
    }
}

unsafe fn with_memory<R>(
    object: *mut ffi::PyObject,
    flags: std::ffi::c_int,
    use_it: impl FnOnce(*mut u8, usize) -> R,
) -> Result<R, Raised> {
    let mut view = ffi::Py_buffer::new();
    // SAFETY: attached and alive; the view is released after its memory was used.
    unsafe {
        if ffi::PyObject_GetBuffer(object, &mut view, flags) < 0 {
            return Err(Raised);
        }
        let result = use_it(view.buf.cast(), view.len as usize);
        ffi::PyBuffer_Release(&mut view);
        Ok(result)
    }
}

unsafe fn slice<'a>(start: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(start, length) }
}

/// A `str` of bytes that are a name or a value: ASCII, or Latin-1.
///
/// # Safety
/// Attached.
#[inline]
pub(crate) unsafe fn field(bytes: &[u8]) -> Result<Object, Raised> {
    // SAFETY: attached; a str for characters below 128 has a byte for each, and nobody else has seen it yet.
    unsafe {
        if !bytes.is_ascii() {
            let start = bytes.as_ptr().cast();
            let length = bytes.len() as ffi::Py_ssize_t;
            return Object::owned(ffi::PyUnicode_DecodeLatin1(start, length, ptr::null()));
        }
        ascii(bytes)
    }
}

/// A `str` of bytes that are known to be ASCII.
///
/// # Safety
/// Attached; each byte is below 128.
#[inline]
pub(crate) unsafe fn ascii(bytes: &[u8]) -> Result<Object, Raised> {
    // SAFETY: as in `field`.
    unsafe {
        let text = Object::owned(ffi::PyUnicode_New(bytes.len() as ffi::Py_ssize_t, 127))?;
        let data = ffi::PyUnicode_DATA(text.as_ptr()).cast::<u8>();
        if bytes.len() > 1 {
            ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
            return Ok(text);
        }
        // The empty str and those of one character are shared.
        match bytes {
            [] => Ok(text),
            _ => {
                drop(text);
                let start = bytes.as_ptr().cast();
                Object::owned(ffi::PyUnicode_FromStringAndSize(start, 1))
            }
        }
    }
}

/// Raises `TypeError`: another type was expected.
#[cold]
pub(crate) unsafe fn expected(what: &str, kind: &str, found: *mut ffi::PyObject) -> Raised {
    // SAFETY: attached, and `found` is alive, as its type is.
    let name = unsafe { std::ffi::CStr::from_ptr((*ffi::Py_TYPE(found)).tp_name) };
    let name = name.to_string_lossy();
    raise(
        Kind::Type,
        &format!("expected {what} as {kind}, found {name}"),
    )
}
