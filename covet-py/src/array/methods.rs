//! The methods and properties of `Array`.

use super::arguments;
use super::block::HeldBuffer;
use super::create::{copy_of, read_item};
use super::dtype::DType;
use super::layout::{Shape, View};
use super::{dlpack, fields, index, kind_error, make, reduce, share, text};
use crate::entry::{self, END, Kind, property};
use crate::signature::{Signature, flag};
use crate::state::method;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

const KEYWORDS: std::ffi::c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

macro_rules! fast {
    ($function:expr) => {
        ffi::PyMethodDefPointer {
            PyCFunctionFastWithKeywords: $function,
        }
    };
}
pub(crate) use fast;

macro_rules! simple {
    ($function:expr) => {
        ffi::PyMethodDefPointer {
            PyCFunction: $function,
        }
    };
}

pub(crate) static mut METHODS: [ffi::PyMethodDef; 28] = [
    method!(
        c"tolist",
        simple!(text::to_list),
        ffi::METH_NOARGS,
        c"tolist($self, /)\n--\n\nThe elements as a list of Python numbers, or a list of such rows."
    ),
    method!(
        c"item",
        simple!(item),
        ffi::METH_NOARGS,
        c"item($self, /)\n--\n\nThe only element, as a Python number. Raises ValueError if there is not exactly one."
    ),
    method!(
        c"astype",
        fast!(astype),
        KEYWORDS,
        c"astype($self, dtype, *, copy=True)\n--\n\nA copy as another dtype. Floats lose their fraction as ints, and saturate; NaN becomes 0. copy=False returns\nthe array itself if it is of that dtype."
    ),
    method!(
        c"copy",
        simple!(copy),
        ffi::METH_NOARGS,
        c"copy($self, /)\n--\n\nA copy without gaps that may be written to."
    ),
    method!(
        c"__copy__",
        simple!(copy),
        ffi::METH_NOARGS,
        c"__copy__($self, /)\n--\n\nA copy."
    ),
    method!(
        c"__deepcopy__",
        simple!(copy),
        ffi::METH_O,
        c"__deepcopy__($self, memo, /)\n--\n\nA copy."
    ),
    method!(
        c"reshape",
        fast!(reshape),
        KEYWORDS,
        c"reshape($self, *shape)\n--\n\nThe same elements in another shape; one length may be -1. A view, or a copy if the elements have gaps."
    ),
    method!(
        c"toreadonly",
        simple!(to_readonly),
        ffi::METH_NOARGS,
        c"toreadonly($self, /)\n--\n\nA view that cannot be written to."
    ),
    method!(
        c"__reduce_ex__",
        simple!(share::reduce),
        ffi::METH_O,
        c"__reduce_ex__($self, protocol, /)\n--\n\nFor pickle; out of band from protocol 5 on."
    ),
    method!(
        c"__dlpack__",
        fast!(dlpack::export),
        KEYWORDS,
        c"__dlpack__($self, *, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\nA DLPack capsule over the same memory; over a copy if the memory is another object's."
    ),
    method!(
        c"__dlpack_device__",
        simple!(dlpack::device),
        ffi::METH_NOARGS,
        c"__dlpack_device__($self, /)\n--\n\n(1, 0): the CPU."
    ),
    method!(
        c"sum",
        fast!(reduce::sum_method),
        KEYWORDS,
        c"sum($self, axis=None, *, out=None, keepdims=False)\n--\n\nThe sum, as numeric.sum."
    ),
    method!(
        c"mean",
        fast!(reduce::mean_method),
        KEYWORDS,
        c"mean($self, axis=None, *, out=None, keepdims=False)\n--\n\nThe mean, as numeric.mean."
    ),
    method!(
        c"min",
        fast!(reduce::min_method),
        KEYWORDS,
        c"min($self, axis=None, *, out=None, keepdims=False)\n--\n\nThe least element, as numeric.min."
    ),
    method!(
        c"max",
        fast!(reduce::max_method),
        KEYWORDS,
        c"max($self, axis=None, *, out=None, keepdims=False)\n--\n\nThe greatest element, as numeric.max."
    ),
    method!(
        c"nanmin",
        fast!(reduce::nanmin_method),
        KEYWORDS,
        c"nanmin($self, axis=None, *, out=None, keepdims=False)\n--\n\nThe least element that is not NaN."
    ),
    method!(
        c"nanmax",
        fast!(reduce::nanmax_method),
        KEYWORDS,
        c"nanmax($self, axis=None, *, out=None, keepdims=False)\n--\n\nThe greatest element that is not NaN."
    ),
    method!(
        c"argmin",
        fast!(reduce::argmin_method),
        KEYWORDS,
        c"argmin($self, axis=None, *, out=None, keepdims=False)\n--\n\nWhere the least element is, as numeric.argmin."
    ),
    method!(
        c"argmax",
        fast!(reduce::argmax_method),
        KEYWORDS,
        c"argmax($self, axis=None, *, out=None, keepdims=False)\n--\n\nWhere the greatest element is, as numeric.argmax."
    ),
    method!(
        c"var",
        fast!(reduce::var_method),
        KEYWORDS,
        c"var($self, axis=None, *, ddof=0, out=None, keepdims=False)\n--\n\nThe variance, as numeric.var."
    ),
    method!(
        c"std",
        fast!(reduce::std_method),
        KEYWORDS,
        c"std($self, axis=None, *, ddof=0, out=None, keepdims=False)\n--\n\nThe standard deviation, as numeric.std."
    ),
    method!(
        c"norm",
        fast!(reduce::norm_method),
        KEYWORDS,
        c"norm($self, axis=None, *, out=None, keepdims=False)\n--\n\nThe Euclidean norm, as numeric.norm."
    ),
    method!(
        c"all",
        fast!(reduce::all_method),
        KEYWORDS,
        c"all($self, axis=None, *, out=None, keepdims=False)\n--\n\nWhether all elements are true: not 0."
    ),
    method!(
        c"any",
        fast!(reduce::any_method),
        KEYWORDS,
        c"any($self, axis=None, *, out=None, keepdims=False)\n--\n\nWhether any element is true: not 0."
    ),
    method!(
        c"tobytes",
        simple!(to_bytes),
        ffi::METH_NOARGS,
        c"tobytes($self, /)\n--\n\nA copy of the elements as bytes, in the order of C."
    ),
    method!(
        c"fill",
        simple!(fill),
        ffi::METH_O,
        c"fill($self, value, /)\n--\n\nWrites one number into every element."
    ),
    method!(
        c"ravel",
        simple!(ravel),
        ffi::METH_NOARGS,
        c"ravel($self, /)\n--\n\nThe elements in one dimension: a view, or a copy if they have gaps."
    ),
    ffi::PyMethodDef::zeroed(),
];

pub(crate) static mut PROPERTIES: [ffi::PyGetSetDef; 12] = [
    property(c"dtype", dtype, c"The name of the elements' type."),
    property(c"shape", shape, c"The lengths of the dimensions, a tuple."),
    property(
        c"strides",
        strides,
        c"The distance of neighbours in each dimension in bytes, a tuple.",
    ),
    property(c"ndim", ndim, c"How many dimensions there are: 1 or 2."),
    property(c"size", size, c"How many elements there are."),
    property(c"itemsize", itemsize, c"How many bytes an element has."),
    property(c"nbytes", nbytes, c"How many bytes the elements have."),
    property(
        c"readonly",
        readonly,
        c"Whether the elements cannot be written through this array.",
    ),
    property(
        c"contiguous",
        contiguous,
        c"Whether the elements lie one after the other, in the order of C.",
    ),
    property(
        c"T",
        transposed,
        c"The transposed array: a view of the same memory.",
    ),
    property(
        c"__array_interface__",
        interface,
        c"The memory, for NumPy and whoever reads this protocol (version 3).",
    ),
    END,
];

/// A tuple of ints.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn tuple_of(numbers: &[isize]) -> Result<Object, Raised> {
    // SAFETY: attached.
    let int = |&number| unsafe { Object::owned(ffi::PyLong_FromSsize_t(number)) };
    entry::tuple(numbers.iter().map(int))
}

macro_rules! getters {
    ($($name:ident, |$view:ident| $value:expr;)*) => {$(
        unsafe extern "C" fn $name(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
            // SAFETY: CPython calls this attached, with an instance.
            entry::object(|| unsafe {
                let $view = &fields(this).view;
                $value
            })
        }
    )*};
}

unsafe fn int(value: usize) -> Result<Object, Raised> {
    // SAFETY: attached, as the getters are.
    unsafe { Object::owned(ffi::PyLong_FromSize_t(value)) }
}

unsafe fn truth(value: bool) -> Result<Object, Raised> {
    // SAFETY: as above.
    unsafe { Object::owned(ffi::PyBool_FromLong(value.into())) }
}

getters! {
    dtype, |view| Object::string(view.dtype.name());
    shape, |view| tuple_of(&view.shape[..view.ndim]);
    strides, |view| tuple_of(&view.strides[..view.ndim]);
    ndim, |view| int(view.ndim);
    size, |view| int(view.count());
    itemsize, |view| int(view.dtype.size());
    nbytes, |view| int(view.bytes());
    contiguous, |view| truth(view.is_packed());
}

unsafe extern "C" fn readonly(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { truth(fields(this).readonly) })
}

unsafe extern "C" fn transposed(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let array = fields(this);
        index::part(this, array, array.view.transposed())
    })
}

unsafe extern "C" fn interface(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance; the dict takes references of its own.
    entry::object(|| unsafe {
        let array = fields(this);
        let view = &array.view;
        let address = Object::owned(ffi::PyLong_FromSize_t(view.start as usize));
        let dict = Object::owned(ffi::PyDict_New())?;
        for (name, value) in [
            (c"version", int(3)?),
            (c"typestr", Object::string(view.dtype.type_string())?),
            (c"shape", tuple_of(&view.shape[..view.ndim])?),
            (c"strides", tuple_of(&view.strides[..view.ndim])?),
            (c"data", entry::tuple([address, truth(array.readonly)])?),
        ] {
            if ffi::PyDict_SetItemString(dict.as_ptr(), name.as_ptr(), value.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        Ok(dict)
    })
}

unsafe extern "C" fn item(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let view = &fields(this).view;
        match view.count() {
            1 => read_item(view.start, view.dtype),
            _ => Err(kind_error(Kind::Value, view, "expected one element")),
        }
    })
}

unsafe extern "C" fn copy(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let view = &fields(this).view;
        copy_of(ffi::Py_TYPE(this), view, view.dtype)
    })
}

unsafe extern "C" fn astype(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    const SIGNATURE: Signature<2> = Signature {
        function: "astype",
        names: [c"dtype", c"copy"],
        required: 1,
        positional: 1,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    entry::object(|| unsafe {
        let [dtype, copy] = SIGNATURE.read(arguments, count, keywords)?;
        let (dtype, view) = (DType::of_object(dtype)?, &fields(this).view);
        if dtype == view.dtype && flag(copy)? == Some(false) {
            return Object::borrowed(this);
        }
        copy_of(ffi::Py_TYPE(this), view, dtype)
    })
}

unsafe extern "C" fn reshape(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    const SIGNATURE: Signature<2> = Signature {
        function: "reshape",
        names: [c"shape", c""],
        required: 1,
        positional: 2,
    };
    // SAFETY: CPython calls this attached, with an instance and its arguments.
    entry::object(|| unsafe {
        let [first, second] = SIGNATURE.read(arguments, count, keywords)?;
        let lengths = match second.is_null() {
            true => arguments::shape(first)?,
            false => [
                Some(arguments::index(first)?),
                Some(arguments::index(second)?),
            ],
        };
        let view = &fields(this).view;
        match fitting(lengths, view.count() as isize) {
            Some(shape) => reshaped(this, shape),
            None => {
                let asked: Vec<_> = lengths.into_iter().flatten().collect();
                let what = format!(
                    "its {} elements do not fit the shape {asked:?}",
                    view.count()
                );
                Err(kind_error(Kind::Value, view, &what))
            }
        }
    })
}

/// The shape of so many elements; one length may be -1.
fn fitting(lengths: [Option<isize>; 2], count: isize) -> Option<Shape> {
    let rest = |known: isize| (known > 0 && count % known == 0).then(|| count / known);
    let shape = match lengths {
        [Some(-1), None] => Shape::one(count),
        [Some(length), None] => Shape::one(length),
        [Some(-1), Some(columns)] => Shape::two(rest(columns)?, columns),
        [Some(rows), Some(-1)] => Shape::two(rows, rest(rows)?),
        [Some(rows), Some(columns)] => Shape::two(rows, columns),
        [None, _] => return None,
    };
    let negative = shape.lengths.iter().any(|&length| length < 0);
    (!negative && shape.count() == Some(count as usize)).then_some(shape)
}

unsafe fn reshaped(this: *mut ffi::PyObject, shape: Shape) -> Result<Object, Raised> {
    // SAFETY: attached, with an instance; the shape has as many elements.
    unsafe {
        let array = fields(this);
        let view = &array.view;
        if view.is_packed() {
            let view = View::packed(view.start, view.dtype, shape);
            return index::part(this, array, view);
        }
        let copy = copy_of(ffi::Py_TYPE(this), view, view.dtype)?;
        reshaped(copy.as_ptr(), shape)
    }
}

unsafe extern "C" fn ravel(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { reshaped(this, Shape::one(fields(this).view.count() as isize)) })
}

unsafe extern "C" fn to_readonly(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let array = fields(this);
        make(
            ffi::Py_TYPE(this),
            array.view,
            true,
            Arc::clone(&array.block),
        )
    })
}

unsafe extern "C" fn to_bytes(
    this: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance; the bytes object is filled before anyone else sees it.
    entry::object(|| unsafe {
        let buffer = HeldBuffer::new(this)?;
        let size = buffer.get().len;
        let bytes = Object::owned(ffi::PyBytes_FromStringAndSize(ptr::null(), size))?;
        let start = ffi::PyBytes_AsString(bytes.as_ptr());
        match ffi::PyBuffer_ToContiguous(start.cast(), buffer.get(), size, b'C' as _) {
            0 => Ok(bytes),
            _ => Err(Raised),
        }
    })
}

unsafe extern "C" fn fill(
    this: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let key = ffi::Py_Ellipsis();
        if index::assign(this, key, value) < 0 {
            return Err(Raised);
        }
        Object::borrowed(ffi::Py_None())
    })
}
