//! Elements and parts of an array: `a[key]`, `a[key] = value`, iteration.
//!
//! A key of ints and slices gives an element or a view. A key that is an array of bool of the same shape picks elements: reading by it
//! copies them, writing by it fills them.

use super::create::{self, read_item, write_item};
use super::dtype::{DType, with_type};
use super::layout::{Shape, View};
use super::operand::{Number, Operand, Side};
use super::{ArrayObject, fields, kind_error, make, moves};
use crate::entry::{self, Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::c_int;
use std::sync::Arc;

/// `len(a)`
pub(crate) unsafe extern "C" fn length(this: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython calls this with an instance.
    unsafe { fields(this).view.shape[0] }
}

/// `iter(a)`: its elements, or its rows.
pub(crate) unsafe extern "C" fn iterate(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance, which is a sequence.
    unsafe { ffi::PySeqIter_New(this) }
}

/// `a[i]`, for an `i` that is not negative.
pub(crate) unsafe extern "C" fn item(
    this: *mut ffi::PyObject,
    index: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let array = fields(this);
        if index < 0 || index >= array.view.shape[0] {
            return Err(out_of_range(&array.view, 0, index));
        }
        element_or_row(this, array, index)
    })
}

unsafe fn element_or_row(
    this: *mut ffi::PyObject,
    array: &ArrayObject,
    index: isize,
) -> Result<Object, Raised> {
    let view = &array.view;
    // SAFETY: attached, and the index is below the length.
    unsafe {
        let start = view.start.offset(index * view.strides[0]);
        if view.ndim == 1 {
            return read_item(start, view.dtype);
        }
        let row = View {
            start,
            ndim: 1,
            shape: [view.shape[1], 1],
            strides: [view.strides[1], 0],
            ..*view
        };
        part(this, array, row)
    }
}

/// An array over part of the memory of another.
pub(crate) unsafe fn part(
    this: *mut ffi::PyObject,
    array: &ArrayObject,
    view: View,
) -> Result<Object, Raised> {
    // SAFETY: attached, with an instance; the view shows memory of its block.
    unsafe {
        make(
            ffi::Py_TYPE(this),
            view,
            array.readonly,
            Arc::clone(&array.block),
        )
    }
}

#[cold]
fn out_of_range(view: &View, dimension: usize, index: isize) -> Raised {
    raise(
        Kind::Index,
        &format!(
            "expected an index below {} in dimension {dimension} of an array of shape {}, found {index}",
            view.shape[dimension],
            view.shape().text()
        ),
    )
}

/// What a key of ints and slices selects.
enum Selected {
    Element(*mut u8),
    Part(View),
}

/// # Safety
/// Attached; `key` is alive.
unsafe fn select(view: &View, key: *mut ffi::PyObject) -> Result<Selected, Raised> {
    // SAFETY: as promised; keys are borrowed from the tuple.
    unsafe {
        let keys: &[*mut ffi::PyObject] = if ffi::PyTuple_Check(key) != 0 {
            let count = ffi::PyTuple_GET_SIZE(key);
            if count as usize > view.ndim {
                return Err(kind_error(
                    Kind::Index,
                    view,
                    &format!("expected at most {} indices, found {count}", view.ndim),
                ));
            }
            match count {
                0 => &[],
                1 => &[ffi::PyTuple_GET_ITEM(key, 0)],
                _ => &[ffi::PyTuple_GET_ITEM(key, 0), ffi::PyTuple_GET_ITEM(key, 1)],
            }
        } else if key == ffi::Py_Ellipsis() {
            &[]
        } else {
            &[key]
        };
        let mut start = view.start;
        let (mut ndim, mut shape, mut strides) = (0, [1; 2], [0; 2]);
        for dimension in 0..view.ndim {
            let (length, stride) = (view.shape[dimension], view.strides[dimension]);
            let mut keep = |length, stride| {
                (shape[ndim], strides[ndim]) = (length, stride);
                ndim += 1;
            };
            match keys.get(dimension) {
                None => keep(length, stride),
                Some(&key) if ffi::PySlice_Check(key) != 0 => {
                    let (mut first, mut stop, mut step) = (0, 0, 0);
                    if ffi::PySlice_Unpack(key, &mut first, &mut stop, &mut step) < 0 {
                        return Err(Raised);
                    }
                    let count = ffi::PySlice_AdjustIndices(length, &mut first, &mut stop, step);
                    if count > 0 {
                        start = start.offset(first * stride);
                    }
                    // One element has no neighbour: any step will do, and no product overflows.
                    keep(count, if count > 1 { stride * step } else { stride });
                }
                Some(&key) if ffi::PyIndex_Check(key) != 0 => {
                    let asked = ffi::PyNumber_AsSsize_t(key, ffi::PyExc_IndexError);
                    if asked == -1 && !ffi::PyErr_Occurred().is_null() {
                        return Err(Raised);
                    }
                    let index = asked + if asked < 0 { length } else { 0 };
                    if index < 0 || index >= length {
                        return Err(out_of_range(view, dimension, asked));
                    }
                    start = start.offset(index * stride);
                }
                Some(&key) => {
                    let found = create::type_name(key);
                    return Err(raise(
                        Kind::Index,
                        &format!(
                            "expected ints, slices or an array of bool of the same shape as index, found {found}"
                        ),
                    ));
                }
            }
        }
        Ok(match ndim {
            0 => Selected::Element(start),
            _ => Selected::Part(View {
                start,
                dtype: view.dtype,
                ndim,
                shape,
                strides,
            }),
        })
    }
}

/// The mask that a key is, if it is an array of bool.
unsafe fn mask(
    view: &View,
    key: *mut ffi::PyObject,
    kind: *mut ffi::PyTypeObject,
) -> Result<Option<Operand>, Raised> {
    // SAFETY: attached and alive.
    unsafe {
        if ffi::PyIndex_Check(key) != 0
            || ffi::PySlice_Check(key) != 0
            || ffi::PyTuple_Check(key) != 0
            || ffi::PyObject_CheckBuffer(key) == 0
        {
            return Ok(None);
        }
        let mask = Operand::read(key, kind)?;
        if mask.view.dtype != DType::Bool || mask.view.shape() != view.shape() {
            let what = "an array as index has to be of bool, and of the same shape as the array";
            return Err(kind_error(Kind::Index, &mask.view, what));
        }
        Ok(Some(mask))
    }
}

/// `a[key]`
pub(crate) unsafe extern "C" fn subscript(
    this: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and a live key.
    entry::object(|| unsafe {
        let array = fields(this);
        let view = &array.view;
        if let Some(mask) = mask(view, key, ffi::Py_TYPE(this))? {
            return picked(ffi::Py_TYPE(this), view, &mask.view);
        }
        match select(view, key)? {
            Selected::Element(place) => read_item(place, view.dtype),
            Selected::Part(selected) => part(this, array, selected),
        }
    })
}

/// A new array of the elements whose place in the mask is set.
unsafe fn picked(kind: *mut ffi::PyTypeObject, view: &View, mask: &View) -> Result<Object, Raised> {
    // SAFETY: attached; both views are of the same shape. Where the mask changes meanwhile, no more is written than there is room for.
    unsafe {
        let count = moves::count_true(mask);
        let (array, to) = super::empty(kind, view.dtype, Shape::one(count as isize))?;
        let taken = with_type!(view.dtype, T => moves::pick::<T>(view, mask, &to));
        match taken == count {
            true => Ok(array),
            false => Err(raise(
                Kind::Runtime,
                "the mask was changed by another thread while elements were picked by it",
            )),
        }
    }
}

/// `a[key] = value`
pub(crate) unsafe extern "C" fn assign(
    this: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: CPython calls this attached, with an instance, a live key, and a live value or null.
    entry::status(|| unsafe {
        let array = fields(this);
        let view = &array.view;
        if value.is_null() {
            return Err(kind_error(
                Kind::Type,
                view,
                "its elements cannot be deleted",
            ));
        }
        if array.readonly {
            return Err(kind_error(
                Kind::Value,
                view,
                "it is read-only: copy it first",
            ));
        }
        if let Some(mask) = mask(view, key, ffi::Py_TYPE(this))? {
            let Some(number) = Number::read(value)? else {
                let found = create::type_name(value);
                let what = format!("expected one number for the elements of a mask, found {found}");
                return Err(raise(Kind::Type, &what));
            };
            let mut element = [0u64];
            number.write(element.as_mut_ptr().cast(), view.dtype)?;
            with_type!(view.dtype, T => moves::fill_masked::<T>(view, &mask.view, *element.as_ptr().cast::<T>()));
            return Ok(());
        }
        match select(view, key)? {
            Selected::Element(place) => write_item(place, view.dtype, value),
            Selected::Part(selected) => fill(&selected, value, ffi::Py_TYPE(this)),
        }
    })
}

/// Writes a number, or elements that fit the shape, into a view.
unsafe fn fill(
    to: &View,
    value: *mut ffi::PyObject,
    kind: *mut ffi::PyTypeObject,
) -> Result<(), Raised> {
    // SAFETY: attached; the view may be written to.
    unsafe {
        let from = match Side::read(value, kind)? {
            Side::Number(number) => return moves::fill(to, number),
            Side::Elements(from) => from,
        };
        if from.view.shape().broadcast(to.shape()) != Some(to.shape()) {
            return Err(raise(
                Kind::Value,
                &format!(
                    "expected values of shape {}, or one that repeats to it, found {}",
                    to.shape().text(),
                    from.view.shape().text()
                ),
            ));
        }
        if from.view.dtype.is_float() && !to.dtype.is_float() {
            return Err(raise(
                Kind::Type,
                &format!(
                    "expected values of {}, found {}: convert them by astype first",
                    to.dtype.name(),
                    from.view.dtype.name()
                ),
            ));
        }
        // What is read after it was written would be wrong.
        let apart = match from.view.may_overlap(to) && !from.view.is_same(to) {
            true => Operand::made(create::copy_of(kind, &from.view, from.view.dtype)?),
            false => from,
        };
        moves::copy_repeated(&apart.view, to);
        Ok(())
    }
}
