//! Operations that make an element of each element, or of each two.

use super::create::{self, function};
use super::dtype::DType;
use super::kernels;
use super::layout::Shape;
use super::operand::{Number, Operand, Output, Side};
use crate::entry::{Kind, raise};
use crate::signature::Signature;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use covet_simd::plain::{Arithmetic, Compare, Logic};
use covet_simd::{Binary, Unary};
use std::ffi::c_int;

/// An operation on two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// One that vectors have.
    Kernel(Binary),
    Plain(Arithmetic),
    Compare(Compare),
    Logic(Logic),
}

impl Operation {
    pub(crate) const ADD: Self = Self::Kernel(Binary::Add);
    pub(crate) const SUBTRACT: Self = Self::Kernel(Binary::Sub);
    pub(crate) const MULTIPLY: Self = Self::Kernel(Binary::Mul);
    pub(crate) const DIVIDE: Self = Self::Kernel(Binary::Div);
    pub(crate) const MINIMUM: Self = Self::Kernel(Binary::Min);
    pub(crate) const MAXIMUM: Self = Self::Kernel(Binary::Max);
    pub(crate) const FLOOR_DIVIDE: Self = Self::Plain(Arithmetic::FloorDivide);
    pub(crate) const REMAINDER: Self = Self::Plain(Arithmetic::Remainder);
    pub(crate) const POWER: Self = Self::Plain(Arithmetic::Power);
    pub(crate) const AND: Self = Self::Logic(Logic::And);
    pub(crate) const OR: Self = Self::Logic(Logic::Or);
    pub(crate) const XOR: Self = Self::Logic(Logic::Xor);

    /// That of a number of CPython's (`Py_LT` and so on).
    pub(crate) fn comparison(number: c_int) -> Self {
        Self::Compare(match number {
            ffi::Py_LT => Compare::Less,
            ffi::Py_LE => Compare::LessEqual,
            ffi::Py_EQ => Compare::Equal,
            ffi::Py_NE => Compare::NotEqual,
            ffi::Py_GT => Compare::Greater,
            _ => Compare::GreaterEqual,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Kernel(operation) => operation.name(),
            Self::Plain(operation) => operation.name(),
            Self::Compare(_) => "comparison",
            Self::Logic(_) => "logic",
        }
    }

    /// The dtype that both sides are brought to.
    fn dtype(self, sides: &[Side; 2]) -> Result<DType, Raised> {
        let dtype = match sides {
            [Side::Elements(a), Side::Elements(b)] => a.view.dtype.promoted(b.view.dtype),
            [Side::Elements(a), Side::Number(b)] | [Side::Number(b), Side::Elements(a)] => {
                match (self, *b, a.view.dtype) {
                    // What does not fit is less or greater, not an error.
                    (Self::Compare(_), Number::Int(value), DType::Int32)
                        if i32::try_from(value).is_err() =>
                    {
                        DType::Int64
                    }
                    (_, b, dtype) => b.meets(dtype),
                }
            }
            [Side::Number(_), Side::Number(_)] => {
                return Err(raise(
                    Kind::Type,
                    &format!("{}: expected an array, found numbers only", self.name()),
                ));
            }
        };
        match (self, dtype) {
            (Self::DIVIDE, _) => Ok(dtype.floating()),
            (Self::Kernel(_) | Self::Plain(_), DType::Bool) => Err(raise(
                Kind::Type,
                &format!(
                    "{}: expected numbers, found bool: combine truth values by &, | and ^, or convert them by astype",
                    self.name()
                ),
            )),
            (Self::Logic(_), DType::Float32 | DType::Float64) => Err(raise(
                Kind::Type,
                &format!(
                    "expected bool or integers for &, | and ^, found {}",
                    dtype.name()
                ),
            )),
            _ => Ok(dtype),
        }
    }
}

/// Applies an operation to each element.
///
/// # Errors
/// [`Raised`] as [`Output::new`].
///
/// # Safety
/// Attached to the interpreter of `kind`, the type of arrays; `out` is null or alive.
#[inline]
pub(crate) unsafe fn unary(
    kind: *mut ffi::PyTypeObject,
    operation: Unary,
    mut from: Operand,
    out: *mut ffi::PyObject,
) -> Result<Object, Raised> {
    let dtype = match (operation, from.view.dtype) {
        (Unary::Neg | Unary::Abs | Unary::Square, DType::Bool) => {
            return Err(raise(
                Kind::Type,
                &format!("{}: expected numbers, found bool", operation.name()),
            ));
        }
        (Unary::Neg | Unary::Abs | Unary::Square, dtype) => dtype,
        (_, dtype) => dtype.floating(),
    };
    // SAFETY: as promised; both views are of this dtype and of the same shape, and are kept.
    unsafe {
        let inputs = [&from.view];
        let out = Output::new(kind, out, dtype, from.view.shape(), &inputs)?;
        from.convert(dtype, kind)?;
        kernels::unary(operation, &from.view, &out.view);
        Ok(out.into_result())
    }
}

/// Applies an operation to each element of one side and that of the other in the same place; shapes are repeated as NumPy does.
///
/// # Errors
/// [`Raised`] as [`Output::new`]; `TypeError` for dtypes that the operation is not made for, `ValueError` for shapes that do not fit,
/// `ZeroDivisionError` for integers.
///
/// # Safety
/// As [`unary`].
#[inline]
pub(crate) unsafe fn binary(
    kind: *mut ffi::PyTypeObject,
    operation: Operation,
    mut sides: [Side; 2],
    out: *mut ffi::PyObject,
) -> Result<Object, Raised> {
    let dtype = operation.dtype(&sides)?;
    let result = match operation {
        Operation::Compare(_) => DType::Bool,
        _ => dtype,
    };
    let shape = shape_of(&sides)?;
    // SAFETY: as promised; all views are of the dtype that the kernel takes, repeat to the shape, and are kept.
    unsafe {
        let out = {
            let mut inputs = sides.iter().filter_map(|side| match side {
                Side::Elements(operand) => Some(&operand.view),
                Side::Number(_) => None,
            });
            let (Some(first), second) = (inputs.next(), inputs.next()) else {
                return Err(Raised);
            };
            Output::new(kind, out, result, shape, &[first, second.unwrap_or(first)])?
        };
        for side in &mut sides {
            side.convert(dtype, kind)?;
        }
        let [a, b] = &sides;
        if let Some(square) = as_square(operation, dtype, b)
            && let Side::Elements(a) = a
        {
            kernels::unary(square, &a.view, &out.view);
            return Ok(out.into_result());
        }
        kernels::binary(operation, dtype, a.given(), b.given(), shape, &out.view)?;
        Ok(out.into_result())
    }
}

/// The second power, which is not worth a logarithm.
fn as_square(operation: Operation, dtype: DType, exponent: &Side) -> Option<Unary> {
    match exponent {
        Side::Number(number)
            if operation == Operation::POWER && dtype != DType::Bool && number.as_f64() == 2.0 =>
        {
            Some(Unary::Square)
        }
        _ => None,
    }
}

fn shape_of(sides: &[Side; 2]) -> Result<Shape, Raised> {
    match sides {
        [Side::Elements(a), Side::Elements(b)] => {
            let (a, b) = (a.view.shape(), b.view.shape());
            a.broadcast(b).ok_or_else(|| {
                raise(
                    Kind::Value,
                    &format!(
                        "expected shapes that are equal, or repeat to one, found {} and {}",
                        a.text(),
                        b.text()
                    ),
                )
            })
        }
        [Side::Elements(a), _] | [_, Side::Elements(a)] => Ok(a.view.shape()),
        _ => Ok(Shape::one(1)),
    }
}

// Functions of the module.

macro_rules! unary_functions {
    ($($name:ident, $python:literal, $operation:expr;)*) => {
        $(function!(
            $name,
            Signature { function: $python, names: [c"x", c"out"], required: 1, positional: 2 },
            |kind, [x, out]| unary(kind, $operation, Operand::read(x, kind)?, out)
        );)*
    };
}

unary_functions! {
    negative, "negative", Unary::Neg;
    absolute, "abs", Unary::Abs;
    square, "square", Unary::Square;
    sqrt, "sqrt", Unary::Sqrt;
    exp, "exp", Unary::Exp;
    log, "log", Unary::Log;
    tanh, "tanh", Unary::Tanh;
    sigmoid, "sigmoid", Unary::Sigmoid;
    reciprocal, "reciprocal", Unary::Reciprocal;
}

macro_rules! binary_functions {
    ($($name:ident, $python:literal, $operation:expr;)*) => {
        $(function!(
            $name,
            Signature { function: $python, names: [c"a", c"b", c"out"], required: 2, positional: 3 },
            |kind, [a, b, out]| {
                binary(kind, $operation, [Side::read(a, kind)?, Side::read(b, kind)?], out)
            }
        );)*
    };
}

binary_functions! {
    add, "add", Operation::ADD;
    subtract, "subtract", Operation::SUBTRACT;
    multiply, "multiply", Operation::MULTIPLY;
    divide, "divide", Operation::DIVIDE;
    floor_divide, "floor_divide", Operation::FLOOR_DIVIDE;
    remainder, "remainder", Operation::REMAINDER;
    power, "power", Operation::POWER;
    minimum, "minimum", Operation::MINIMUM;
    maximum, "maximum", Operation::MAXIMUM;
    less, "less", Operation::Compare(Compare::Less);
    less_equal, "less_equal", Operation::Compare(Compare::LessEqual);
    equal, "equal", Operation::Compare(Compare::Equal);
    not_equal, "not_equal", Operation::Compare(Compare::NotEqual);
    greater, "greater", Operation::Compare(Compare::Greater);
    greater_equal, "greater_equal", Operation::Compare(Compare::GreaterEqual);
}

function!(
    /// `axpy(alpha, x, y, out=None)`: `alpha * x + y`
    axpy,
    Signature {
        function: "axpy",
        names: [c"alpha", c"x", c"y", c"out"],
        required: 3,
        positional: 4,
    },
    |kind, [alpha, x, y, out]| {
        let alpha = number("axpy", "alpha", alpha)?;
        let (mut x, mut y) = (Operand::read(x, kind)?, Operand::read(y, kind)?);
        let dtype = x.view.dtype.promoted(y.view.dtype);
        let dtype = alpha.meets(numeric("axpy", dtype)?);
        if x.view.shape() != y.view.shape() {
            return Err(raise(
                Kind::Value,
                &format!(
                    "axpy(): expected x and y of one shape, found {} and {}",
                    x.view.shape().text(),
                    y.view.shape().text()
                ),
            ));
        }
        let out = Output::new(kind, out, dtype, x.view.shape(), &[&x.view, &y.view])?;
        x.convert(dtype, kind)?;
        y.convert(dtype, kind)?;
        kernels::axpy(alpha, &x.view, &y.view, &out.view)?;
        Ok(out.into_result())
    }
);

function!(
    /// `clip(x, min, max, out=None)`
    clip,
    Signature {
        function: "clip",
        names: [c"x", c"min", c"max", c"out"],
        required: 3,
        positional: 4,
    },
    |kind, [x, low, high, out]| {
        let (low, high) = (number("clip", "min", low)?, number("clip", "max", high)?);
        let mut x = Operand::read(x, kind)?;
        let dtype = high.meets(low.meets(numeric("clip", x.view.dtype)?));
        let out = Output::new(kind, out, dtype, x.view.shape(), &[&x.view])?;
        x.convert(dtype, kind)?;
        kernels::clip(&x.view, low, high, &out.view)?;
        Ok(out.into_result())
    }
);

/// The number that an argument is.
unsafe fn number(function: &str, name: &str, object: *mut ffi::PyObject) -> Result<Number, Raised> {
    // SAFETY: attached, with an argument of the present call.
    unsafe {
        Number::read(object)?.ok_or_else(|| {
            let found = create::type_name(object);
            raise(
                Kind::Type,
                &format!("{function}(): expected a number as {name}, found {found}"),
            )
        })
    }
}

fn numeric(function: &str, dtype: DType) -> Result<DType, Raised> {
    match dtype {
        DType::Bool => Err(raise(
            Kind::Type,
            &format!("{function}(): expected numbers, found bool"),
        )),
        dtype => Ok(dtype),
    }
}
