//! Arguments of functions of arrays: axes, indices and shapes.

use crate::entry::{Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};

/// The dimension that `axis` names, if it is given.
///
/// # Safety
/// Attached; `argument` is null or alive.
pub(crate) unsafe fn axis(
    argument: *mut ffi::PyObject,
    ndim: usize,
) -> Result<Option<usize>, Raised> {
    if argument.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised.
    let axis = unsafe { index(argument)? };
    match axis + if axis < 0 { ndim as isize } else { 0 } {
        found @ (0 | 1) if (found as usize) < ndim => Ok(Some(found as usize)),
        _ => Err(raise(
            Kind::Value,
            &format!("expected an axis of an array of {ndim} dimensions, found {axis}"),
        )),
    }
}

/// An `isize` from a Python int.
///
/// # Safety
/// Attached; `argument` is alive.
pub(crate) unsafe fn index(argument: *mut ffi::PyObject) -> Result<isize, Raised> {
    // SAFETY: as promised.
    unsafe {
        let number = ffi::PyNumber_AsSsize_t(argument, ffi::PyExc_OverflowError);
        match number == -1 && !ffi::PyErr_Occurred().is_null() {
            true => Err(Raised),
            false => Ok(number),
        }
    }
}

/// A shape: a length, or a tuple or list of one or two.
///
/// # Safety
/// As [`index`].
pub(crate) unsafe fn shape(argument: *mut ffi::PyObject) -> Result<[Option<isize>; 2], Raised> {
    // SAFETY: attached and alive; items are borrowed from the tuple, which is owned here.
    unsafe {
        if ffi::PyIndex_Check(argument) != 0 {
            return Ok([Some(index(argument)?), None]);
        }
        let lengths = Object::owned(ffi::PySequence_Tuple(argument))?;
        let item = |i| index(ffi::PyTuple_GET_ITEM(lengths.as_ptr(), i)).map(Some);
        match ffi::PyTuple_GET_SIZE(lengths.as_ptr()) {
            1 => Ok([item(0)?, None]),
            2 => Ok([item(0)?, item(1)?]),
            found => Err(super::buffer::refuse_dimensions(found as usize)),
        }
    }
}

/// The same, of lengths that are known.
///
/// # Safety
/// As [`index`].
pub(crate) unsafe fn full_shape(
    argument: *mut ffi::PyObject,
) -> Result<super::layout::Shape, Raised> {
    use super::layout::Shape;
    // SAFETY: as promised.
    match unsafe { shape(argument)? } {
        [Some(rows), Some(columns)] if rows >= 0 && columns >= 0 => Ok(Shape::two(rows, columns)),
        [Some(length), None] if length >= 0 => Ok(Shape::one(length)),
        found => Err(raise(
            Kind::Value,
            &format!(
                "expected a shape without negative lengths, found {:?}",
                found.into_iter().flatten().collect::<Vec<_>>()
            ),
        )),
    }
}
