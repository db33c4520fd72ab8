//! NumPy's arrays cross as the memory that they export: an array over the same memory arrives, read-only.
//!
//! That is what their pickle does as well (protocol 5, out of band), in several times the time. It is left to those that the
//! buffer protocol does not describe as they are: of records, objects, text and dates, of another byte order, with metadata, not
//! C-contiguous; and to subclasses.

use covet_interp::ffi;
use covet_interp::raw::{Exported, Native, NativeType, Object, Raised, Support};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

/// Each interpreter may have an image of NumPy of its own, so nothing but its name is the same everywhere.
pub(crate) static ARRAYS: NativeType = NativeType { is, share };

#[derive(Debug)]
struct Array(Exported);

impl Native for Array {
    fn size(&self) -> usize {
        self.0.size()
    }

    fn type_name(&self) -> &str {
        "numpy.ndarray"
    }

    unsafe fn object(self: Arc<Self>, support: &Support) -> Result<Object, Raised> {
        // SAFETY: attached, as the caller promises.
        unsafe {
            let view = self.0.view(support)?;
            let numpy = Object::import(c"numpy")?;
            numpy.attribute(c"asarray")?.call(&[&view])
        }
    }
}

/// # Safety
/// Attached; the type is alive.
unsafe fn is(kind: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: every type has a name, which lives as long as it does.
    unsafe { CStr::from_ptr((*kind).tp_name) == c"numpy.ndarray" }
}

/// # Safety
/// Attached to the interpreter of `support`; `array` is alive.
unsafe fn share(
    array: *mut ffi::PyObject,
    support: &Support,
) -> Result<Option<Arc<dyn Native>>, Raised> {
    // SAFETY: as promised.
    unsafe {
        if !is_described_by_its_buffer(array) {
            return Ok(None);
        }
        Ok(Some(Arc::new(Array(support.keep_exported(array)?))))
    }
}

/// Whether the array is C-contiguous and of numbers of this machine.
///
/// # Safety
/// Attached; `array` is alive.
unsafe fn is_described_by_its_buffer(array: *mut ffi::PyObject) -> bool {
    // SAFETY: attached and alive; the view is filled in when 0 is returned, and released once; an error is cleared.
    unsafe {
        let mut view = MaybeUninit::uninit();
        let flags = ffi::PyBUF_C_CONTIGUOUS | ffi::PyBUF_FORMAT;
        if ffi::PyObject_GetBuffer(array, view.as_mut_ptr(), flags) < 0 {
            ffi::PyErr_Clear();
            return false;
        }
        let mut view = view.assume_init();
        let plain = !view.format.is_null() && is_number(CStr::from_ptr(view.format).to_bytes());
        ffi::PyBuffer_Release(&mut view);
        plain && has_no_metadata(array)
    }
}

/// Whether a format of the buffer protocol is one number in the byte order of the machine.
fn is_number(format: &[u8]) -> bool {
    match format {
        [code] => b"?bBhHiIlLqQefdg".contains(code),
        [b'Z', code] => b"fdg".contains(code),
        _ => false,
    }
}

/// Whether nobody has tied notes of his own to the array's type of numbers, which no format has.
///
/// # Safety
/// Attached; `array` is alive.
unsafe fn has_no_metadata(array: *mut ffi::PyObject) -> bool {
    // SAFETY: attached and alive; an error is cleared.
    unsafe {
        let metadata = Object::borrowed(array)
            .and_then(|array| array.attribute(c"dtype")?.attribute(c"metadata"));
        match metadata {
            Ok(metadata) => ptr::eq(metadata.as_ptr(), ffi::Py_None()),
            Err(Raised) => {
                ffi::PyErr_Clear();
                false
            }
        }
    }
}
