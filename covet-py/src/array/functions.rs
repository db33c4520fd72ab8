//! The functions of arrays that the module has; `covet_py.numeric` gives them to users.

use super::methods::fast;
use super::{create, dlpack, map, pages, product, reduce};
use crate::entry;
use crate::state::method;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};

const KEYWORDS: std::ffi::c_int = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

macro_rules! functions {
    ($($function:expr, $name:literal, $doc:literal;)*) => {
        [
            $(method!($name, fast!($function), KEYWORDS, $doc),)*
            method!(
                c"_array_memory",
                ffi::PyMethodDefPointer { PyCFunction: memory },
                ffi::METH_NOARGS,
                c"_array_memory($module, /)\n--\n\n(bytes that arrays use, bytes that are kept for new ones), of the whole process."
            ),
            method!(
                c"release_memory",
                ffi::PyMethodDefPointer { PyCFunction: release_memory },
                ffi::METH_NOARGS,
                c"release_memory($module, /)\n--\n\nGives memory that is kept for new arrays back to the system; returns how many bytes. At most 256 MiB are kept."
            ),
            ffi::PyMethodDef::zeroed(),
        ]
    };
}

static mut FUNCTIONS: [ffi::PyMethodDef; 51] = functions! {
    create::new_empty, c"empty",
        c"empty($module, shape, dtype=\"float64\")\n--\n\nA new array whose elements hold anything.";
    create::zeros, c"zeros",
        c"zeros($module, shape, dtype=\"float64\")\n--\n\nA new array of zeros.";
    create::ones, c"ones",
        c"ones($module, shape, dtype=\"float64\")\n--\n\nA new array of ones.";
    create::full, c"full",
        c"full($module, shape, fill_value, dtype=None)\n--\n\nA new array with one number in every element; by default its dtype is that of the number.";
    create::arange, c"arange",
        c"arange($module, start, stop=None, step=None, dtype=None)\n--\n\nNumbers from start (or 0) up to stop, without it, as range gives them; float64 if one of them is a float, else int64.";
    dlpack::from_dlpack, c"from_dlpack",
        c"from_dlpack($module, x, /)\n--\n\nAn array over the memory of a producer of DLPack (x.__dlpack__()), which is not copied if it is aligned.";
    create::restore, c"_restore",
        c"_restore($module, memory, dtype, shape, /)\n--\n\nWhat a pickle of an array is made of again.";
    reduce::sum, c"sum",
        c"sum($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe sum of all elements, a Python number, or along an axis, an array. Floats are summed in blocks whose sums are added in\nfloat64 with compensation; ints in int64, where they wrap.";
    reduce::mean, c"mean",
        c"mean($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe mean, computed in float64; NaN of nothing.";
    reduce::min, c"min",
        c"min($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe least element; NaN if any is. Raises ValueError if there is none.";
    reduce::max, c"max",
        c"max($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe greatest element; NaN if any is. Raises ValueError if there is none.";
    reduce::nanmin, c"nanmin",
        c"nanmin($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe least element that is not NaN; NaN if all are. Raises ValueError if there is none.";
    reduce::nanmax, c"nanmax",
        c"nanmax($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe greatest element that is not NaN; NaN if all are. Raises ValueError if there is none.";
    reduce::argmin, c"argmin",
        c"argmin($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe index of the first least element, counted row by row, or along an axis. NaN is less than any.";
    reduce::argmax, c"argmax",
        c"argmax($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe index of the first greatest element, counted row by row, or along an axis. NaN is greater than any.";
    reduce::var, c"var",
        c"var($module, a, axis=None, *, ddof=0, out=None, keepdims=False)\n--\n\nThe variance: squared deviations from the mean, divided by the number of elements less ddof. Computed in float64.";
    reduce::std, c"std",
        c"std($module, a, axis=None, *, ddof=0, out=None, keepdims=False)\n--\n\nThe standard deviation: the root of the variance.";
    reduce::norm, c"norm",
        c"norm($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nThe root of the sum of squares. Nothing overflows or is lost on the way.";
    reduce::all, c"all",
        c"all($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nWhether no element is 0.";
    reduce::any, c"any",
        c"any($module, a, axis=None, *, out=None, keepdims=False)\n--\n\nWhether any element is not 0.";
    map::negative, c"negative",
        c"negative($module, x, out=None)\n--\n\n-x of each element; integers wrap.";
    map::absolute, c"abs",
        c"abs($module, x, out=None)\n--\n\n|x| of each element; integers wrap.";
    map::square, c"square",
        c"square($module, x, out=None)\n--\n\nx * x of each element; integers wrap.";
    map::sqrt, c"sqrt",
        c"sqrt($module, x, out=None)\n--\n\nThe square root of each element, correctly rounded; NaN of negative numbers.";
    map::exp, c"exp",
        c"exp($module, x, out=None)\n--\n\ne to the power of each element.";
    map::log, c"log",
        c"log($module, x, out=None)\n--\n\nThe natural logarithm of each element; -inf of 0, NaN of negative numbers.";
    map::tanh, c"tanh",
        c"tanh($module, x, out=None)\n--\n\nThe hyperbolic tangent of each element.";
    map::sigmoid, c"sigmoid",
        c"sigmoid($module, x, out=None)\n--\n\n1 / (1 + exp(-x)) of each element.";
    map::reciprocal, c"reciprocal",
        c"reciprocal($module, x, out=None)\n--\n\n1 / x of each element.";
    map::add, c"add",
        c"add($module, a, b, out=None)\n--\n\na + b.";
    map::subtract, c"subtract",
        c"subtract($module, a, b, out=None)\n--\n\na - b.";
    map::multiply, c"multiply",
        c"multiply($module, a, b, out=None)\n--\n\na * b.";
    map::divide, c"divide",
        c"divide($module, a, b, out=None)\n--\n\na / b; float64 for ints.";
    map::floor_divide, c"floor_divide",
        c"floor_divide($module, a, b, out=None)\n--\n\na // b, rounded down. Raises ZeroDivisionError for ints divided by 0.";
    map::remainder, c"remainder",
        c"remainder($module, a, b, out=None)\n--\n\na % b, with the sign of b. Raises ZeroDivisionError for ints divided by 0.";
    map::power, c"power",
        c"power($module, a, b, out=None)\n--\n\na ** b. Raises ValueError for a negative power of ints.";
    map::minimum, c"minimum",
        c"minimum($module, a, b, out=None)\n--\n\nThe lesser of each two elements; NaN if either is.";
    map::maximum, c"maximum",
        c"maximum($module, a, b, out=None)\n--\n\nThe greater of each two elements; NaN if either is.";
    map::less, c"less",
        c"less($module, a, b, out=None)\n--\n\na < b, of bool.";
    map::less_equal, c"less_equal",
        c"less_equal($module, a, b, out=None)\n--\n\na <= b, of bool.";
    map::equal, c"equal",
        c"equal($module, a, b, out=None)\n--\n\na == b, of bool.";
    map::not_equal, c"not_equal",
        c"not_equal($module, a, b, out=None)\n--\n\na != b, of bool.";
    map::greater, c"greater",
        c"greater($module, a, b, out=None)\n--\n\na > b, of bool.";
    map::greater_equal, c"greater_equal",
        c"greater_equal($module, a, b, out=None)\n--\n\na >= b, of bool.";
    map::axpy, c"axpy",
        c"axpy($module, alpha, x, y, out=None)\n--\n\nalpha * x + y in one pass, each element rounded once. alpha is a number; x and y have one shape.";
    map::clip, c"clip",
        c"clip($module, x, min, max, out=None)\n--\n\nEach element, or min if it is less, or max if it is greater.";
    product::dot, c"dot",
        c"dot($module, a, b, /)\n--\n\nThe product of two vectors, a Python number, summed as sum does.";
    product::matmul, c"matmul",
        c"matmul($module, a, b, out=None)\n--\n\na @ b: of matrices a matrix, of a matrix and a vector a vector, of two vectors a number.";
};

unsafe extern "C" fn memory(_: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached.
    entry::object(|| unsafe {
        let (used, kept) = pages::usage();
        let int = |bytes| Object::owned(ffi::PyLong_FromSize_t(bytes));
        entry::tuple([int(used), int(kept)])
    })
}

unsafe extern "C" fn release_memory(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached.
    entry::object(|| unsafe { Object::owned(ffi::PyLong_FromSize_t(pages::forget_kept())) })
}

/// Adds the functions to a module.
///
/// # Errors
/// [`Raised`] with `MemoryError`.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn add(module: *mut ffi::PyObject) -> Result<(), Raised> {
    // SAFETY: as promised; the table lives as long as the process.
    match unsafe { ffi::PyModule_AddFunctions(module, (&raw mut FUNCTIONS).cast()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}
