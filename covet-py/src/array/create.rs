//! How arrays are made: of buffers, sequences and nothing.

use super::arguments;
use super::block::{Block, HeldBuffer};
use super::buffer::{too_many, view_of};
use super::dtype::{DType, with_type};
use super::layout::{Shape, View};
use super::operand::Number;
use super::pages::Piece;
use super::{as_array, dlpack, empty, make, moves, no_memory};
use crate::entry::{self, Kind, raise};
use crate::signature::{Signature, flag};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::CStr;
use std::sync::Arc;

/// `Array(source, dtype=None, *, copy=None)`
pub(crate) unsafe extern "C" fn new(
    kind: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    static SIGNATURE: Signature<3> = Signature {
        function: "Array",
        names: [c"source", c"dtype", c"copy"],
        required: 1,
        positional: 2,
    };
    // SAFETY: CPython calls this attached, with the type and the arguments of a vectorcall.
    entry::object(|| unsafe {
        let count = ffi::PyVectorcall_NARGS(count);
        let [source, dtype, copy] = SIGNATURE.read(arguments, count, keywords)?;
        from_object(kind.cast(), source, dtype_or_none(dtype)?, flag(copy)?)
    })
}

/// The dtype that is asked for, if one is.
///
/// # Safety
/// Attached; `dtype` is null or alive.
pub(crate) unsafe fn dtype_or_none(dtype: *mut ffi::PyObject) -> Result<Option<DType>, Raised> {
    match dtype.is_null() {
        true => Ok(None),
        // SAFETY: as promised.
        false => unsafe { DType::of_object(dtype) }.map(Some),
    }
}

/// An array of what `source` holds; see the documentation of `Array`.
///
/// # Safety
/// Attached to the interpreter of `kind`, the type of arrays; `source` is alive.
pub(crate) unsafe fn from_object(
    kind: *mut ffi::PyTypeObject,
    source: *mut ffi::PyObject,
    dtype: Option<DType>,
    copy: Option<bool>,
) -> Result<Object, Raised> {
    // SAFETY: as promised.
    unsafe {
        if let Some(array) = as_array(source) {
            let fits = dtype.is_none_or(|dtype| dtype == array.view.dtype);
            if fits && copy != Some(true) && array.view.is_aligned() {
                return match kind == ffi::Py_TYPE(source) {
                    true => Object::borrowed(source),
                    false => make(kind, array.view, array.readonly, Arc::clone(&array.block)),
                };
            }
            refuse_copy(copy, fits)?;
            return copy_of(kind, &array.view, dtype.unwrap_or(array.view.dtype));
        }
        if ffi::PyObject_CheckBuffer(source) != 0 {
            let buffer = HeldBuffer::new(source)?;
            let view = view_of(&buffer)?;
            let fits = dtype.is_none_or(|dtype| dtype == view.dtype);
            if fits && copy != Some(true) && view.is_aligned() {
                let readonly = buffer.get().readonly != 0;
                return make(kind, view, readonly, Block::of_buffer(buffer));
            }
            refuse_copy(copy, fits)?;
            return copy_of(kind, &view, dtype.unwrap_or(view.dtype));
        }
        if ffi::PyObject_HasAttrString(source, c"__dlpack__".as_ptr()) != 0 {
            let array = dlpack::take(kind, source)?;
            return from_object(kind, array.as_ptr(), dtype, copy);
        }
        if copy == Some(false) {
            refuse_copy(copy, true)?;
        }
        from_sequence(kind, source, dtype)
    }
}

/// Refuses to copy when that is not wanted.
fn refuse_copy(copy: Option<bool>, fits: bool) -> Result<(), Raised> {
    match (copy, fits) {
        (Some(false), true) => Err(raise(
            Kind::Value,
            "expected a source whose memory can be used where it lies, found none, or one that is not aligned: it has to be copied",
        )),
        (Some(false), false) => Err(raise(
            Kind::Value,
            "expected a source of that dtype, found another: it has to be copied",
        )),
        _ => Ok(()),
    }
}

/// A new array of the same elements, as `dtype`.
///
/// # Safety
/// Attached to the interpreter of `kind`, the type of arrays; `view` stays in place.
pub(crate) unsafe fn copy_of(
    kind: *mut ffi::PyTypeObject,
    view: &View,
    dtype: DType,
) -> Result<Object, Raised> {
    // SAFETY: as promised; the new elements are nobody else's yet.
    unsafe {
        let (array, to) = empty(kind, dtype, view.shape())?;
        moves::copy(view, &to);
        Ok(array)
    }
}

/// The name of an object's type, for messages.
///
/// # Safety
/// Attached; `object` is alive.
pub(crate) unsafe fn type_name(object: *mut ffi::PyObject) -> String {
    // SAFETY: alive, and its type has a name.
    let name = unsafe { CStr::from_ptr((*ffi::Py_TYPE(object)).tp_name) };
    let name = name.to_string_lossy();
    format!(
        "an object of type {}",
        name.rsplit('.').next().unwrap_or(&name)
    )
}

/// An array of the numbers, or the rows of numbers, of an iterable.
unsafe fn from_sequence(
    kind: *mut ffi::PyTypeObject,
    source: *mut ffi::PyObject,
    dtype: Option<DType>,
) -> Result<Object, Raised> {
    // SAFETY: attached and alive; tuples are owned here, and keep their items.
    unsafe {
        if Number::read(source)?.is_some() {
            return Err(super::buffer::refuse_dimensions(0));
        }
        if ffi::PyUnicode_Check(source) != 0 || ffi::PyDict_Check(source) != 0 {
            return Err(refuse_source(source));
        }
        let iterable = Object::owned(ffi::PyObject_GetIter(source));
        if iterable.is_err() {
            ffi::PyErr_Clear();
            return Err(refuse_source(source));
        }
        drop(iterable);
        let items = Object::owned(ffi::PySequence_Tuple(source))?;
        let items = Items::of(&items);
        let rows = match items.first() {
            Some(first) if is_row(first) => items.rows()?,
            _ => return from_rows(kind, &[items.clone()], Shape::one(items.len()), dtype),
        };
        let (count, length) = (rows.len() as isize, rows[0].len());
        for (i, row) in rows.iter().enumerate() {
            if row.len() != length {
                return Err(raise(
                    Kind::Value,
                    &format!(
                        "expected rows of {length} numbers, as the first has, found {} in row {i}",
                        row.len()
                    ),
                ));
            }
        }
        from_rows(kind, &rows, Shape::two(count, length), dtype)
    }
}

#[cold]
unsafe fn refuse_source(source: *mut ffi::PyObject) -> Raised {
    // SAFETY: attached and alive.
    let found = unsafe { type_name(source) };
    raise(
        Kind::Type,
        &format!(
            "expected a buffer, or numbers in a list, tuple, range or iterable, found {found}"
        ),
    )
}

/// Whether an item is a row of numbers, not a number.
unsafe fn is_row(item: *mut ffi::PyObject) -> bool {
    // SAFETY: attached and alive.
    unsafe { ffi::PySequence_Check(item) != 0 && ffi::PyUnicode_Check(item) == 0 }
}

/// The items of a tuple.
#[derive(Debug)]
struct Items(Object);

impl Items {
    fn of(tuple: &Object) -> Self {
        Self(tuple.another())
    }

    fn clone(&self) -> Self {
        Self(self.0.another())
    }

    fn len(&self) -> isize {
        // SAFETY: a tuple, and attached as long as an object is at hand.
        unsafe { ffi::PyTuple_GET_SIZE(self.0.as_ptr()) }
    }

    fn iter(&self) -> impl Iterator<Item = *mut ffi::PyObject> {
        // SAFETY: as above; the index is below its length.
        (0..self.len()).map(|i| unsafe { ffi::PyTuple_GET_ITEM(self.0.as_ptr(), i) })
    }

    fn first(&self) -> Option<*mut ffi::PyObject> {
        self.iter().next()
    }

    fn rows(&self) -> Result<Vec<Self>, Raised> {
        self.iter()
            // SAFETY: attached, and the item is alive.
            .map(|row| unsafe { Object::owned(ffi::PySequence_Tuple(row)) }.map(Self))
            .collect()
    }
}

unsafe fn from_rows(
    kind: *mut ffi::PyTypeObject,
    rows: &[Items],
    shape: Shape,
    dtype: Option<DType>,
) -> Result<Object, Raised> {
    let numbers = || rows.iter().flat_map(Items::iter);
    // SAFETY: attached; the elements are written before anyone else sees the array. `Number::read` may run Python code, which
    // cannot reach it either.
    unsafe {
        let dtype = match dtype {
            Some(dtype) => dtype,
            None => infer(numbers())?,
        };
        let (array, view) = empty(kind, dtype, shape)?;
        let mut place = view.start;
        for number in numbers() {
            write_item(place, dtype, number)?;
            place = place.add(dtype.size());
        }
        Ok(array)
    }
}

/// The dtype that holds all these numbers: `float64` if there is a float, or nothing; `int64`; or `bool`.
unsafe fn infer(numbers: impl Iterator<Item = *mut ffi::PyObject>) -> Result<DType, Raised> {
    let mut found = None;
    for number in numbers {
        // SAFETY: attached and alive.
        let dtype = match unsafe { Number::read(number)? } {
            Some(Number::Bool(_)) => DType::Bool,
            Some(Number::Int(_)) => DType::Int64,
            Some(Number::Float(_)) => return Ok(DType::Float64),
            // SAFETY: as above.
            None => return Err(unsafe { refuse_number(number) }),
        };
        found = Some(found.map_or(dtype, |before: DType| before.promoted(dtype)));
    }
    Ok(found.unwrap_or(DType::Float64))
}

#[cold]
unsafe fn refuse_number(found: *mut ffi::PyObject) -> Raised {
    // SAFETY: attached and alive.
    let found = unsafe { type_name(found) };
    raise(Kind::Type, &format!("expected a number, found {found}"))
}

/// Writes a Python number as an element.
///
/// # Errors
/// [`Raised`] with `TypeError` for what is no number or loses its fraction, and `OverflowError`.
///
/// # Safety
/// Attached; `number` is alive; an element of this dtype lies there, and may be written.
pub(crate) unsafe fn write_item(
    place: *mut u8,
    dtype: DType,
    number: *mut ffi::PyObject,
) -> Result<(), Raised> {
    // SAFETY: as promised.
    unsafe {
        match Number::read(number)? {
            Some(number) => number.write(place, dtype),
            None => Err(refuse_number(number)),
        }
    }
}

/// An element as a Python number.
///
/// # Safety
/// Attached; an element of this dtype lies there.
pub(crate) unsafe fn read_item(place: *const u8, dtype: DType) -> Result<Object, Raised> {
    // SAFETY: as promised.
    unsafe {
        Object::owned(match dtype {
            DType::Bool => ffi::PyBool_FromLong((*place != 0).into()),
            DType::Int32 => ffi::PyLong_FromLong(place.cast::<i32>().read_unaligned().into()),
            DType::Int64 => ffi::PyLong_FromLongLong(place.cast::<i64>().read_unaligned()),
            DType::Float32 => ffi::PyFloat_FromDouble(place.cast::<f32>().read_unaligned().into()),
            DType::Float64 => ffi::PyFloat_FromDouble(place.cast::<f64>().read_unaligned()),
        })
    }
}

// Functions of the module.

macro_rules! function {
    ($(#[$doc:meta])* $name:ident, $signature:expr, |$kind:ident, $arguments:pat_param| $body:expr) => {
        $(#[$doc])*
        pub(crate) unsafe extern "C" fn $name(
            module: *mut ffi::PyObject,
            arguments: *const *mut ffi::PyObject,
            count: ffi::Py_ssize_t,
            keywords: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this attached, with the module and its arguments.
            $crate::entry::object(|| unsafe {
                let $arguments = $signature.read(arguments, count, keywords)?;
                let $kind = $crate::state::State::of(module)?.array_type.as_ptr().cast();
                $body
            })
        }
    };
}
pub(crate) use function;

const SHAPED: Signature<2> = Signature {
    function: "",
    names: [c"shape", c"dtype"],
    required: 1,
    positional: 2,
};

function!(
    /// `empty(shape, dtype="float64")`
    new_empty,
    Signature { function: "empty", ..SHAPED },
    |kind, [shape, dtype]| {
        let dtype = dtype_or_none(dtype)?.unwrap_or(DType::Float64);
        Ok(empty(kind, dtype, arguments::full_shape(shape)?)?.0)
    }
);

function!(
    /// `zeros(shape, dtype="float64")`
    zeros,
    Signature { function: "zeros", ..SHAPED },
    |kind, [shape, dtype]| {
        let dtype = dtype_or_none(dtype)?.unwrap_or(DType::Float64);
        let shape = arguments::full_shape(shape)?;
        let Some(count) = shape.count() else {
            return Err(too_many(shape));
        };
        let Some(piece) = Piece::zeroed(count * dtype.size()) else {
            return Err(no_memory(dtype, shape));
        };
        let view = View::packed(piece.start(), dtype, shape);
        make(kind, view, false, Block::of_piece(piece))
    }
);

function!(
    /// `ones(shape, dtype="float64")`
    ones,
    Signature { function: "ones", ..SHAPED },
    |kind, [shape, dtype]| {
        let dtype = dtype_or_none(dtype)?.unwrap_or(DType::Float64);
        filled(kind, arguments::full_shape(shape)?, dtype, Number::Int(1))
    }
);

function!(
    /// `full(shape, fill_value, dtype=None)`
    full,
    Signature {
        function: "full",
        names: [c"shape", c"fill_value", c"dtype"],
        required: 2,
        positional: 3,
    },
    |kind, [shape, value, dtype]| {
        let Some(value) = Number::read(value)? else {
            return Err(refuse_number(value));
        };
        let dtype = dtype_or_none(dtype)?.unwrap_or(match value {
            Number::Bool(_) => DType::Bool,
            Number::Int(_) => DType::Int64,
            Number::Float(_) => DType::Float64,
        });
        filled(kind, arguments::full_shape(shape)?, dtype, value)
    }
);

unsafe fn filled(
    kind: *mut ffi::PyTypeObject,
    shape: Shape,
    dtype: DType,
    value: Number,
) -> Result<Object, Raised> {
    // SAFETY: attached, as promised by the caller; the elements are nobody else's yet.
    unsafe {
        let (array, view) = empty(kind, dtype, shape)?;
        moves::fill(&view, value)?;
        Ok(array)
    }
}

function!(
    /// `arange(start, stop=None, step=None, dtype=None)`
    arange,
    Signature {
        function: "arange",
        names: [c"start", c"stop", c"step", c"dtype"],
        required: 1,
        positional: 4,
    },
    |kind, [start, stop, step, dtype]| {
        let number = |object: *mut ffi::PyObject, default| match object.is_null() {
            true => Ok(default),
            false => Number::read(object)?.ok_or_else(|| refuse_number(object)),
        };
        let (start, stop) = match stop.is_null() {
            true => (Number::Int(0), number(start, Number::Int(0))?),
            false => (number(start, Number::Int(0))?, number(stop, Number::Int(0))?),
        };
        let step = number(step, Number::Int(1))?;
        let all_ints = ![start, stop, step].iter().any(|number| matches!(number, Number::Float(_)));
        let dtype = dtype_or_none(dtype)?.unwrap_or(match all_ints {
            true => DType::Int64,
            false => DType::Float64,
        });
        let count = match (all_ints, step.as_f64()) {
            (_, 0.0) => {
                return Err(raise(Kind::Value, "arange(): expected a step other than 0"));
            }
            (true, _) => {
                let int = |number: Number| number.as_int(DType::Int64).map(i128::from);
                let (span, step) = (int(stop)? - int(start)?, int(step)?);
                // Rounded up; a span of the other sign has nothing.
                ((span + step - step.signum()) / step).max(0) as f64
            }
            (false, step) => ((stop.as_f64() - start.as_f64()) / step).ceil(),
        };
        // Beyond that no memory holds them.
        if count.is_nan() || count > 1e18 {
            return Err(raise(
                Kind::Value,
                &format!("arange(): expected a range that memory can hold, found {count} numbers"),
            ));
        }
        let (array, view) = empty(kind, dtype, Shape::one(count.max(0.0) as isize))?;
        if dtype.is_float() || !all_ints {
            let (start, step) = (start.as_f64(), step.as_f64());
            with_type!(dtype, T => moves::generate::<T>(&view, |i| (start + i as f64 * step) as T));
        } else {
            let (start, step) = (start.as_int(DType::Int64)?, step.as_int(DType::Int64)?);
            with_type!(dtype, T => moves::generate::<T>(&view, |i| start.wrapping_add((i as i64).wrapping_mul(step)) as T));
        }
        Ok(array)
    }
);

function!(
    /// `_restore(memory, dtype, shape)`: what a pickle of an array is made of again.
    restore,
    Signature {
        function: "_restore",
        names: [c"memory", c"dtype", c"shape"],
        required: 3,
        positional: 3,
    },
    |kind, [memory, dtype, shape]| {
        let (dtype, shape) = (DType::of_object(dtype)?, arguments::full_shape(shape)?);
        let buffer = HeldBuffer::new(memory)?;
        let found = buffer.get();
        let expected = shape.count().map(|count| count * dtype.size());
        if expected != Some(found.len as usize)
            || ffi::PyBuffer_IsContiguous(found, b'C' as _) == 0
        {
            return Err(raise(
                Kind::Value,
                &format!(
                    "expected the memory of an array of shape {} and dtype {}, found {} bytes",
                    shape.text(),
                    dtype.name(),
                    found.len
                ),
            ));
        }
        let view = View::packed(found.buf.cast(), dtype, shape);
        if view.is_aligned() {
            let readonly = found.readonly != 0;
            return make(kind, view, readonly, Block::of_buffer(buffer));
        }
        copy_of(kind, &view, dtype)
    }
);
