//! What a function of numbers is called with: arrays, buffers of others, sequences, single numbers, and where results go.

use super::block::HeldBuffer;
use super::buffer::view_of;
use super::create;
use super::dtype::DType;
use super::layout::{Shape, View};
use super::{as_array, fields, kind_error};
use crate::entry::{Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};

/// Elements that stay in place as long as this does.
#[derive(Debug)]
pub(crate) struct Operand {
    pub(crate) view: View,
    /// What keeps them, unless the caller of the function does.
    _held: Option<Held>,
}

#[derive(Debug)]
enum Held {
    Buffer { _buffer: HeldBuffer },
    Made { _array: Object },
}

/// A number that is no array: it has no dtype of its own, and takes that of what it meets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Bool(bool),
    Int(i64),
    Float(f64),
}

impl Number {
    /// The dtype of an array of `dtype` combined with it.
    #[inline]
    pub(crate) fn meets(self, dtype: DType) -> DType {
        match self {
            Self::Float(_) => dtype.floating(),
            Self::Int(_) => dtype.promoted(match dtype {
                DType::Bool => DType::Int64,
                _ => dtype,
            }),
            Self::Bool(_) => dtype,
        }
    }

    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Bool(value) => f64::from(u8::from(value)),
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// Its value as an integer that fits the dtype.
    pub(crate) fn as_int(self, dtype: DType) -> Result<i64, Raised> {
        let value = match self {
            Self::Bool(value) => i64::from(value),
            Self::Int(value) => value,
            Self::Float(value) => {
                return Err(raise(
                    Kind::Type,
                    &format!("expected an int for {}, found {value}", dtype.name()),
                ));
            }
        };
        if dtype == DType::Int32 && i32::try_from(value).is_err() {
            return Err(raise(
                Kind::Overflow,
                &format!("expected an int that fits int32, found {value}"),
            ));
        }
        Ok(value)
    }

    /// Writes it as an element.
    ///
    /// # Safety
    /// An element of this dtype lies there, and may be written.
    pub(crate) unsafe fn write(self, place: *mut u8, dtype: DType) -> Result<(), Raised> {
        // SAFETY: as promised.
        unsafe {
            match dtype {
                DType::Bool => place.write(u8::from(self.as_f64() != 0.0)),
                DType::Int32 => place
                    .cast::<i32>()
                    .write_unaligned(self.as_int(dtype)? as i32),
                DType::Int64 => place.cast::<i64>().write_unaligned(self.as_int(dtype)?),
                DType::Float32 => place.cast::<f32>().write_unaligned(self.as_f64() as f32),
                DType::Float64 => place.cast::<f64>().write_unaligned(self.as_f64()),
            }
        }
        Ok(())
    }

    /// The number that an object is; `None` for one that is no number.
    ///
    /// # Errors
    /// [`Raised`] with `OverflowError` for an int beyond 64 bits, and what a conversion raised.
    ///
    /// # Safety
    /// Attached; `object` is alive.
    #[inline]
    pub(crate) unsafe fn read(object: *mut ffi::PyObject) -> Result<Option<Self>, Raised> {
        // SAFETY: attached and alive; each branch reads the type it checked.
        unsafe {
            let kind = ffi::Py_TYPE(object);
            if kind == &raw mut ffi::PyFloat_Type {
                return Ok(Some(Self::Float(ffi::PyFloat_AS_DOUBLE(object))));
            }
            if kind == &raw mut ffi::PyBool_Type {
                return Ok(Some(Self::Bool(object == ffi::Py_True())));
            }
            if ffi::PyLong_Check(object) != 0 {
                return Self::of_int(object).map(Some);
            }
            if ffi::PyFloat_Check(object) != 0 {
                return Ok(Some(Self::Float(ffi::PyFloat_AS_DOUBLE(object))));
            }
        }
        // SAFETY: as promised.
        unsafe { Self::of_scalar(object) }
    }

    unsafe fn of_int(object: *mut ffi::PyObject) -> Result<Self, Raised> {
        // SAFETY: attached, with an int.
        let value = unsafe { ffi::PyLong_AsLongLong(object) };
        // SAFETY: attached.
        match value == -1 && unsafe { !ffi::PyErr_Occurred().is_null() } {
            true => Err(Raised),
            false => Ok(Self::Int(value)),
        }
    }

    /// A scalar of another library: what is a number and no array, or a buffer without dimensions.
    #[cold]
    unsafe fn of_scalar(object: *mut ffi::PyObject) -> Result<Option<Self>, Raised> {
        // SAFETY: attached and alive.
        unsafe {
            if as_array(object).is_some() || ffi::PySequence_Check(object) != 0 {
                // An array of NumPy without dimensions calls itself a sequence.
                if as_array(object).is_some() || !has_no_dimensions(object) {
                    return Ok(None);
                }
            }
            if ffi::PyIndex_Check(object) != 0 {
                match Object::owned(ffi::PyNumber_Index(object)) {
                    Ok(int) => return Self::of_int(int.as_ptr()).map(Some),
                    // An array of NumPy without dimensions, of floats.
                    Err(Raised) if ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) != 0 => {
                        ffi::PyErr_Clear();
                    }
                    Err(Raised) => return Err(Raised),
                }
            }
            let float = (*ffi::Py_TYPE(object)).tp_as_number;
            if float.is_null() || (*float).nb_float.is_none() {
                return Ok(None);
            }
            let float = Object::owned(ffi::PyNumber_Float(object))?;
            Ok(Some(Self::Float(ffi::PyFloat_AS_DOUBLE(float.as_ptr()))))
        }
    }
}

/// Whether an object exports a buffer without dimensions.
unsafe fn has_no_dimensions(object: *mut ffi::PyObject) -> bool {
    // SAFETY: attached and alive; an error is cleared.
    unsafe {
        if ffi::PyObject_CheckBuffer(object) == 0 {
            return false;
        }
        match HeldBuffer::new(object) {
            Ok(buffer) => buffer.get().ndim == 0,
            Err(Raised) => {
                ffi::PyErr_Clear();
                false
            }
        }
    }
}

impl Operand {
    /// The elements of an array, of a buffer, or of a sequence of numbers, which makes a new array. What is not aligned is copied.
    ///
    /// # Errors
    /// [`Raised`] with `TypeError` for what has none, and `ValueError` for a shape.
    ///
    /// # Safety
    /// Attached, until this is dropped, to the interpreter of `kind`, the type of arrays; `object` is alive as long.
    #[inline]
    pub(crate) unsafe fn read(
        object: *mut ffi::PyObject,
        kind: *mut ffi::PyTypeObject,
    ) -> Result<Self, Raised> {
        // SAFETY: as promised.
        unsafe {
            if let Some(array) = as_array(object)
                && array.view.is_aligned()
            {
                return Ok(Self {
                    view: array.view,
                    _held: None,
                });
            }
            if ffi::PyObject_CheckBuffer(object) != 0 {
                let buffer = HeldBuffer::new(object)?;
                let view = view_of(&buffer)?;
                if view.is_aligned() {
                    return Ok(Self {
                        view,
                        _held: Some(Held::Buffer { _buffer: buffer }),
                    });
                }
            }
            let array = create::from_object(kind, object, None, None)?;
            Ok(Self::made(array))
        }
    }

    /// The elements of a new array.
    pub(crate) fn made(array: Object) -> Self {
        // SAFETY: an array, which is kept.
        let view = unsafe { fields(array.as_ptr()).view };
        Self {
            view,
            _held: Some(Held::Made { _array: array }),
        }
    }

    /// Has the same elements as `dtype`: a copy, unless they are of it.
    ///
    /// # Safety
    /// As [`Operand::read`].
    #[inline]
    pub(crate) unsafe fn convert(
        &mut self,
        dtype: DType,
        kind: *mut ffi::PyTypeObject,
    ) -> Result<(), Raised> {
        if self.view.dtype != dtype {
            // SAFETY: as promised.
            *self = Self::made(unsafe { create::copy_of(kind, &self.view, dtype)? });
        }
        Ok(())
    }
}

/// Where a result goes: into a new array, or where the caller wants it.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) view: View,
    result: Object,
    _buffer: Option<HeldBuffer>,
}

impl Output {
    /// A new array, or `out` if it is given, which must have this dtype and shape and be writable.
    ///
    /// # Errors
    /// [`Raised`] with `TypeError` for another dtype, `ValueError` for another shape or for memory that an input has in another order,
    /// `BufferError` for what cannot be written to, and `MemoryError`.
    ///
    /// # Safety
    /// Attached to the interpreter of `kind`, the type of arrays; `out` is null or alive.
    #[inline]
    pub(crate) unsafe fn new(
        kind: *mut ffi::PyTypeObject,
        out: *mut ffi::PyObject,
        dtype: DType,
        shape: Shape,
        inputs: &[&View],
    ) -> Result<Self, Raised> {
        // SAFETY: as promised.
        unsafe {
            if out.is_null() {
                let (result, view) = super::empty(kind, dtype, shape)?;
                return Ok(Self {
                    view,
                    result,
                    _buffer: None,
                });
            }
            let into = Self::existing(out)?;
            into.check(dtype, shape, inputs)?;
            Ok(into)
        }
    }

    /// Elements that exist and may be written to.
    unsafe fn existing(out: *mut ffi::PyObject) -> Result<Self, Raised> {
        // SAFETY: attached and alive.
        unsafe {
            let result = Object::borrowed(out)?;
            let (view, readonly, buffer) = if let Some(array) = as_array(out) {
                (array.view, array.readonly, None)
            } else if ffi::PyObject_CheckBuffer(out) != 0 {
                let buffer = HeldBuffer::new(out)?;
                let readonly = buffer.get().readonly != 0;
                (view_of(&buffer)?, readonly, Some(buffer))
            } else {
                let found = super::create::type_name(out);
                return Err(raise(
                    Kind::Type,
                    &format!("expected an Array or a writable buffer as out, found {found}"),
                ));
            };
            if readonly {
                return Err(kind_error(Kind::Buffer, &view, "out is read-only"));
            }
            Ok(Self {
                view,
                result,
                _buffer: buffer,
            })
        }
    }

    fn check(&self, dtype: DType, shape: Shape, inputs: &[&View]) -> Result<(), Raised> {
        let view = &self.view;
        if view.dtype != dtype {
            let what = format!("out has another dtype than the result, {}", dtype.name());
            return Err(kind_error(Kind::Type, view, &what));
        }
        if view.shape() != shape {
            let what = format!("out has another shape than the result, {}", shape.text());
            return Err(kind_error(Kind::Value, view, &what));
        }
        if !view.is_aligned() {
            return Err(kind_error(
                Kind::Buffer,
                view,
                "out is not aligned to its elements",
            ));
        }
        for input in inputs {
            if !view.is_same(input) && view.may_overlap(input) {
                let what =
                    "out overlaps an input without being the same elements: copy the input first";
                return Err(kind_error(Kind::Value, view, what));
            }
        }
        Ok(())
    }

    /// What the function returns.
    #[inline]
    pub(crate) fn into_result(self) -> Object {
        self.result
    }
}

/// One side of an operation with two.
#[derive(Debug)]
pub(crate) enum Side {
    Elements(Operand),
    Number(Number),
}

/// The same, borrowed: what kernels take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Given<'a> {
    View(&'a View),
    Number(Number),
}

impl Side {
    pub(crate) fn given(&self) -> Given<'_> {
        match self {
            Self::Elements(operand) => Given::View(&operand.view),
            Self::Number(number) => Given::Number(*number),
        }
    }

    /// What an argument is.
    ///
    /// # Errors
    /// As [`Operand::read`].
    ///
    /// # Safety
    /// As [`Operand::read`].
    #[inline]
    pub(crate) unsafe fn read(
        object: *mut ffi::PyObject,
        kind: *mut ffi::PyTypeObject,
    ) -> Result<Self, Raised> {
        // SAFETY: as promised.
        unsafe {
            if as_array(object).is_none()
                && let Some(number) = Number::read(object)?
            {
                return Ok(Self::Number(number));
            }
            Operand::read(object, kind).map(Self::Elements)
        }
    }

    /// What an operator takes: an array, a number or a buffer of numbers; `None` for anything else.
    ///
    /// # Errors
    /// As [`Operand::read`].
    ///
    /// # Safety
    /// As [`Operand::read`].
    #[inline]
    pub(crate) unsafe fn of_operator(
        object: *mut ffi::PyObject,
        kind: *mut ffi::PyTypeObject,
    ) -> Result<Option<Self>, Raised> {
        // SAFETY: as promised.
        unsafe {
            if as_array(object).is_none() {
                if let Some(number) = Number::read(object)? {
                    return Ok(Some(Self::Number(number)));
                }
                if ffi::PyObject_CheckBuffer(object) == 0 {
                    return Ok(None);
                }
            }
            match Operand::read(object, kind) {
                Ok(operand) => Ok(Some(Self::Elements(operand))),
                // Bytes and the like may know what to do with an array.
                Err(Raised) if ffi::PyErr_ExceptionMatches(ffi::PyExc_TypeError) != 0 => {
                    ffi::PyErr_Clear();
                    Ok(None)
                }
                Err(Raised) => Err(Raised),
            }
        }
    }

    /// As [`Operand::convert`]; a number has no dtype.
    ///
    /// # Safety
    /// As [`Operand::read`].
    #[inline]
    pub(crate) unsafe fn convert(
        &mut self,
        dtype: DType,
        kind: *mut ffi::PyTypeObject,
    ) -> Result<(), Raised> {
        match self {
            // SAFETY: as promised.
            Self::Elements(operand) => unsafe { operand.convert(dtype, kind) },
            Self::Number(_) => Ok(()),
        }
    }
}
