//! Operators between arrays, and between arrays and numbers.
//!
//! An operator takes arrays, buffers and numbers; anything else is asked to do it itself. A number has no dtype of its own:
//! float32 times 2.5 is float32. Ints divided are float64; `//` and `%` are Python's.

use super::map::{self, Operation};
use super::operand::{Number, Operand, Side};
use super::{as_array, create, fields, kind_error};
use crate::entry::{self, Kind, slot};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_simd::Unary;
use std::ffi::{c_int, c_void};

/// The type of arrays that one of the two is an instance of.
unsafe fn type_of(left: *mut ffi::PyObject, right: *mut ffi::PyObject) -> *mut ffi::PyTypeObject {
    // SAFETY: CPython calls an operator of this type with at least one instance.
    unsafe {
        match as_array(left) {
            Some(_) => ffi::Py_TYPE(left),
            None => ffi::Py_TYPE(right),
        }
    }
}

unsafe fn not_implemented() -> Result<Object, Raised> {
    // SAFETY: attached.
    unsafe { Object::borrowed(ffi::Py_NotImplemented()) }
}

unsafe fn apply(
    operation: Operation,
    left: *mut ffi::PyObject,
    right: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls the operators attached, with live operands.
    entry::object(|| unsafe {
        let kind = type_of(left, right);
        let (Some(left), Some(right)) = (
            Side::of_operator(left, kind)?,
            Side::of_operator(right, kind)?,
        ) else {
            return not_implemented();
        };
        map::binary(kind, operation, [left, right], std::ptr::null_mut())
    })
}

/// `left op= right`: into the memory of `left`.
unsafe fn apply_in_place(
    operation: Operation,
    left: *mut ffi::PyObject,
    right: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls the operators attached, with an instance and a live operand.
    entry::object(|| unsafe {
        let kind = ffi::Py_TYPE(left);
        let view = fields(left).view;
        let right = match Side::of_operator(right, kind)? {
            None => return not_implemented(),
            // What is read after it was written would be wrong.
            Some(Side::Elements(found))
                if found.view.may_overlap(&view) && !found.view.is_same(&view) =>
            {
                let copy = create::copy_of(kind, &found.view, found.view.dtype)?;
                Side::Elements(Operand::made(copy))
            }
            Some(right) => right,
        };
        map::binary(kind, operation, [Side::read(left, kind)?, right], left)
    })
}

macro_rules! operators {
    ($($name:ident, $in_place:ident, $operation:expr;)*) => {
        $(
            unsafe extern "C" fn $name(left: *mut ffi::PyObject, right: *mut ffi::PyObject) -> *mut ffi::PyObject {
                // SAFETY: CPython calls this attached, with live operands.
                unsafe { apply($operation, left, right) }
            }

            unsafe extern "C" fn $in_place(left: *mut ffi::PyObject, right: *mut ffi::PyObject) -> *mut ffi::PyObject {
                // SAFETY: as above, with an instance first.
                unsafe { apply_in_place($operation, left, right) }
            }
        )*
    };
}

operators! {
    add, add_in_place, Operation::ADD;
    subtract, subtract_in_place, Operation::SUBTRACT;
    multiply, multiply_in_place, Operation::MULTIPLY;
    divide, divide_in_place, Operation::DIVIDE;
    floor_divide, floor_divide_in_place, Operation::FLOOR_DIVIDE;
    remainder, remainder_in_place, Operation::REMAINDER;
    and, and_in_place, Operation::AND;
    or, or_in_place, Operation::OR;
    xor, xor_in_place, Operation::XOR;
}

unsafe extern "C" fn power(
    left: *mut ffi::PyObject,
    right: *mut ffi::PyObject,
    modulus: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with live operands.
    unsafe {
        match modulus == ffi::Py_None() {
            true => apply(Operation::POWER, left, right),
            false => entry::object(|| not_implemented()),
        }
    }
}

unsafe extern "C" fn power_in_place(
    left: *mut ffi::PyObject,
    right: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as `power`, with an instance first.
    unsafe { apply_in_place(Operation::POWER, left, right) }
}

unsafe extern "C" fn matrix_multiply(
    left: *mut ffi::PyObject,
    right: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with live operands.
    entry::object(|| unsafe {
        let kind = type_of(left, right);
        let takes = |object| as_array(object).is_some() || ffi::PyObject_CheckBuffer(object) != 0;
        if !takes(left) || !takes(right) {
            return not_implemented();
        }
        super::product::matmul_of(kind, left, right, std::ptr::null_mut())
    })
}

macro_rules! unary {
    ($($name:ident, $operation:expr;)*) => {
        $(
            unsafe extern "C" fn $name(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
                // SAFETY: CPython calls this attached, with an instance.
                entry::object(|| unsafe {
                    let kind = ffi::Py_TYPE(this);
                    map::unary(kind, $operation, Operand::read(this, kind)?, std::ptr::null_mut())
                })
            }
        )*
    };
}

unary! {
    negative, Unary::Neg;
    absolute, Unary::Abs;
}

/// `+a`: a copy.
unsafe extern "C" fn positive(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let view = &fields(this).view;
        create::copy_of(ffi::Py_TYPE(this), view, view.dtype)
    })
}

/// `~a`, of bool.
unsafe extern "C" fn invert(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        let kind = ffi::Py_TYPE(this);
        let sides = [Side::read(this, kind)?, Side::Number(Number::Bool(true))];
        map::binary(kind, Operation::XOR, sides, std::ptr::null_mut())
    })
}

/// `bool(a)`: only one element is true or false.
unsafe extern "C" fn truth(this: *mut ffi::PyObject) -> c_int {
    let mut found = 0;
    // SAFETY: CPython calls this attached, with an instance.
    let status = entry::status(|| unsafe {
        let view = &fields(this).view;
        if view.count() != 1 {
            let what = "one element is true or false, others need all() or any()";
            return Err(kind_error(Kind::Value, view, what));
        }
        let element = create::read_item(view.start, view.dtype)?;
        found = ffi::PyObject_IsTrue(element.as_ptr());
        if found < 0 { Err(Raised) } else { Ok(()) }
    });
    if status < 0 { -1 } else { found }
}

/// `int(a)` and `float(a)`: the number that an array of one element is. Without them Python would read the bytes as text.
unsafe extern "C" fn int(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { Object::owned(ffi::PyNumber_Long(only(this)?.as_ptr())) })
}

unsafe extern "C" fn float(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { Object::owned(ffi::PyNumber_Float(only(this)?.as_ptr())) })
}

/// The element of an array of one.
unsafe fn only(this: *mut ffi::PyObject) -> Result<Object, Raised> {
    // SAFETY: attached, with an instance, as the caller is.
    unsafe {
        let view = &fields(this).view;
        match view.count() {
            1 => create::read_item(view.start, view.dtype),
            _ => Err(kind_error(Kind::Type, view, "expected one element")),
        }
    }
}

/// `a < b` and the like: an array of bool.
unsafe extern "C" fn compare(
    left: *mut ffi::PyObject,
    right: *mut ffi::PyObject,
    comparison: c_int,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance first.
    unsafe { apply(Operation::comparison(comparison), left, right) }
}

/// The slots of the type.
pub(crate) fn slots() -> Vec<ffi::PyType_Slot> {
    [
        (ffi::Py_nb_add, add as *mut c_void),
        (ffi::Py_nb_inplace_add, add_in_place as *mut c_void),
        (ffi::Py_nb_subtract, subtract as *mut c_void),
        (
            ffi::Py_nb_inplace_subtract,
            subtract_in_place as *mut c_void,
        ),
        (ffi::Py_nb_multiply, multiply as *mut c_void),
        (
            ffi::Py_nb_inplace_multiply,
            multiply_in_place as *mut c_void,
        ),
        (ffi::Py_nb_true_divide, divide as *mut c_void),
        (
            ffi::Py_nb_inplace_true_divide,
            divide_in_place as *mut c_void,
        ),
        (ffi::Py_nb_floor_divide, floor_divide as *mut c_void),
        (
            ffi::Py_nb_inplace_floor_divide,
            floor_divide_in_place as *mut c_void,
        ),
        (ffi::Py_nb_remainder, remainder as *mut c_void),
        (
            ffi::Py_nb_inplace_remainder,
            remainder_in_place as *mut c_void,
        ),
        (ffi::Py_nb_power, power as *mut c_void),
        (ffi::Py_nb_inplace_power, power_in_place as *mut c_void),
        (ffi::Py_nb_matrix_multiply, matrix_multiply as *mut c_void),
        (ffi::Py_nb_and, and as *mut c_void),
        (ffi::Py_nb_inplace_and, and_in_place as *mut c_void),
        (ffi::Py_nb_or, or as *mut c_void),
        (ffi::Py_nb_inplace_or, or_in_place as *mut c_void),
        (ffi::Py_nb_xor, xor as *mut c_void),
        (ffi::Py_nb_inplace_xor, xor_in_place as *mut c_void),
        (ffi::Py_nb_negative, negative as *mut c_void),
        (ffi::Py_nb_positive, positive as *mut c_void),
        (ffi::Py_nb_absolute, absolute as *mut c_void),
        (ffi::Py_nb_invert, invert as *mut c_void),
        (ffi::Py_nb_bool, truth as *mut c_void),
        (ffi::Py_nb_int, int as *mut c_void),
        (ffi::Py_nb_float, float as *mut c_void),
        (ffi::Py_tp_richcompare, compare as *mut c_void),
    ]
    .map(|(number, function)| slot(number, function))
    .to_vec()
}
