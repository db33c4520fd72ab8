//! Arrays and the buffer protocol (PEP 3118), both ways.

use super::block::HeldBuffer;
use super::dtype::DType;
use super::layout::{Shape, View};
use super::{fields, kind_error};
use crate::entry::{self, Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::Raised;
use std::ffi::{CStr, c_int};

/// The elements that a buffer shows: of one or two dimensions.
///
/// # Errors
/// [`Raised`] with `TypeError` for what it holds, `ValueError` for its shape.
#[inline]
pub(crate) fn view_of(buffer: &HeldBuffer) -> Result<View, Raised> {
    let buffer = buffer.get();
    let dtype = dtype_of(buffer)?;
    // SAFETY: got with its shape and strides: as many lengths and distances as dimensions; some exporters, ctypes among them, leave the
    // strides out of what has no gaps.
    unsafe {
        let shape = match buffer.ndim {
            1 => Shape::one(*buffer.shape),
            2 => Shape::two(*buffer.shape, *buffer.shape.add(1)),
            other => return Err(refuse_dimensions(other as usize)),
        };
        if shape.count().is_none() {
            return Err(too_many(shape));
        }
        let mut view = View::packed(buffer.buf.cast(), dtype, shape);
        if !buffer.strides.is_null() {
            for i in 0..shape.ndim {
                view.strides[i] = *buffer.strides.add(i);
            }
        }
        Ok(view)
    }
}

/// What a buffer holds.
#[inline]
pub(crate) fn dtype_of(buffer: &ffi::Py_buffer) -> Result<DType, Raised> {
    let format = match buffer.format.is_null() {
        true => c"B",
        // SAFETY: a C string of the exporter, which is held.
        false => unsafe { CStr::from_ptr(buffer.format) },
    };
    DType::of_format(format.to_bytes(), buffer.itemsize)
}

#[cold]
pub(crate) fn refuse_dimensions(found: usize) -> Raised {
    raise(
        Kind::Value,
        &format!("expected an array of 1 or 2 dimensions, found {found}"),
    )
}

#[cold]
pub(crate) fn too_many(shape: Shape) -> Raised {
    raise(
        Kind::Value,
        &format!(
            "an array of shape {} has more elements than memory can hold",
            shape.text()
        ),
    )
}

/// `bf_getbuffer`
pub(crate) unsafe extern "C" fn get(
    this: *mut ffi::PyObject,
    buffer: *mut ffi::Py_buffer,
    flags: c_int,
) -> c_int {
    // SAFETY: CPython calls this attached, with an instance and a buffer to fill in, which gets a reference to the instance. What
    // it points to lies in the instance, which never changes.
    entry::status(|| unsafe {
        (*buffer).obj = std::ptr::null_mut();
        let array = fields(this);
        let view = &array.view;
        let wants = |flag| flags & flag == flag;
        if wants(ffi::PyBUF_WRITABLE) && array.readonly {
            return Err(raise(Kind::Buffer, "this array is read-only"));
        }
        let packed = view.is_packed();
        let packed_in_columns = view.transposed().is_packed();
        let fits = if wants(ffi::PyBUF_ANY_CONTIGUOUS) {
            packed || packed_in_columns
        } else if wants(ffi::PyBUF_F_CONTIGUOUS) {
            packed_in_columns
        } else {
            packed || (wants(ffi::PyBUF_STRIDES) && !wants(ffi::PyBUF_C_CONTIGUOUS))
        };
        if !fits {
            return Err(kind_error(
                Kind::Buffer,
                view,
                "its elements do not lie in the order that is asked for: copy it first",
            ));
        }
        (*buffer).buf = view.start.cast();
        (*buffer).len = view.bytes() as isize;
        (*buffer).itemsize = view.dtype.size() as isize;
        (*buffer).readonly = array.readonly.into();
        (*buffer).suboffsets = std::ptr::null_mut();
        (*buffer).internal = std::ptr::null_mut();
        (*buffer).format = match wants(ffi::PyBUF_FORMAT) {
            true => view.dtype.format().as_ptr().cast_mut(),
            false => std::ptr::null_mut(),
        };
        // Without a shape: bytes in one dimension.
        ((*buffer).ndim, (*buffer).shape) = match wants(ffi::PyBUF_ND) {
            true => (view.ndim as c_int, view.shape.as_ptr().cast_mut()),
            false => (1, std::ptr::null_mut()),
        };
        (*buffer).strides = match wants(ffi::PyBUF_STRIDES) {
            true => view.strides.as_ptr().cast_mut(),
            false => std::ptr::null_mut(),
        };
        ffi::Py_INCREF(this);
        (*buffer).obj = this;
        Ok(())
    })
}
