//! Maps over slices: an element out of each element, into a buffer or in place.

use crate::element::{Element, Float};
use crate::error::Error;
use crate::op::{Binary, Ternary, Unary};
use crate::raw::{self, Source, Target};

/// What stands on one side of an operation: a slice, or one number for all elements.
///
/// Functions take `impl Into<Operand<T>>`, so that both can be written as they are.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a, T> {
    /// An element for each.
    Slice(&'a [T]),
    /// One for all.
    Scalar(T),
}

impl<'a, T> From<&'a [T]> for Operand<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Self::Slice(slice)
    }
}

impl<'a, T> From<&'a Vec<T>> for Operand<'a, T> {
    fn from(slice: &'a Vec<T>) -> Self {
        Self::Slice(slice)
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Operand<'a, T> {
    fn from(slice: &'a [T; N]) -> Self {
        Self::Slice(slice)
    }
}

impl<T: Element> From<T> for Operand<'_, T> {
    fn from(value: T) -> Self {
        Self::Scalar(value)
    }
}

impl<T: Element> Operand<'_, T> {
    pub(crate) fn source(&self) -> Source<T> {
        match self {
            Self::Slice(slice) => Source::contiguous(slice.as_ptr()),
            Self::Scalar(value) => Source::scalar(value),
        }
    }

    fn check(&self, operand: &'static str, expected: usize) -> Result<(), Error> {
        match self {
            Self::Slice(slice) => check_length(operand, expected, slice.len()),
            Self::Scalar(_) => Ok(()),
        }
    }
}

fn check_length(operand: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Length {
            operand,
            expected,
            found,
        })
    }
}

/// Writes `op(x)` of each element to `out`.
///
/// # Errors
///
/// [`Error::Length`], [`Error::Unsupported`].
pub fn unary_into<T: Element>(op: Unary, x: &[T], out: &mut [T]) -> Result<(), Error> {
    check_length("out", x.len(), out.len())?;
    let out = Target::contiguous(out.as_mut_ptr());
    // SAFETY: slices of one length, of which no other overlaps the one to write.
    unsafe { raw::unary(op, [1, x.len()], Source::contiguous(x.as_ptr()), out) }
}

/// Replaces each element by `op` of it.
///
/// # Errors
///
/// [`Error::Unsupported`].
pub fn unary_in_place<T: Element>(op: Unary, x: &mut [T]) -> Result<(), Error> {
    let (n, x) = (x.len(), x.as_mut_ptr());
    // SAFETY: the operand is the output, element for element.
    unsafe { raw::unary(op, [1, n], Source::contiguous(x), Target::contiguous(x)) }
}

/// Writes `op(x, y)` of each two elements to `out`.
///
/// # Errors
///
/// [`Error::Length`]: an operand has another length than `out`. [`Error::Unsupported`].
pub fn binary_into<'a, T: Element>(
    op: Binary,
    x: impl Into<Operand<'a, T>>,
    y: impl Into<Operand<'a, T>>,
    out: &mut [T],
) -> Result<(), Error> {
    let (x, y) = (x.into(), y.into());
    x.check("x", out.len())?;
    y.check("y", out.len())?;
    let (shape, out) = ([1, out.len()], Target::contiguous(out.as_mut_ptr()));
    // SAFETY: slices of one length, of which no other overlaps the one to write.
    unsafe { raw::binary(op, shape, x.source(), y.source(), out) }
}

/// Replaces each element of `x` by `op(x, y)`.
///
/// # Errors
///
/// [`Error::Length`], [`Error::Unsupported`].
pub fn binary_in_place<'a, T: Element>(
    op: Binary,
    x: &mut [T],
    y: impl Into<Operand<'a, T>>,
) -> Result<(), Error> {
    let y = y.into();
    y.check("y", x.len())?;
    let (shape, x) = ([1, x.len()], x.as_mut_ptr());
    // SAFETY: one operand is the output, element for element, and the other does not overlap it.
    unsafe {
        raw::binary(
            op,
            shape,
            Source::contiguous(x),
            y.source(),
            Target::contiguous(x),
        )
    }
}

/// Replaces each element of `y` by `op(x, y)`: the other order, for operations where it matters.
///
/// # Errors
///
/// [`Error::Length`], [`Error::Unsupported`].
pub fn binary_in_place_of_second<'a, T: Element>(
    op: Binary,
    x: impl Into<Operand<'a, T>>,
    y: &mut [T],
) -> Result<(), Error> {
    let x = x.into();
    x.check("x", y.len())?;
    let (shape, y) = ([1, y.len()], y.as_mut_ptr());
    // SAFETY: one operand is the output, element for element, and the other does not overlap it.
    unsafe {
        raw::binary(
            op,
            shape,
            x.source(),
            Source::contiguous(y),
            Target::contiguous(y),
        )
    }
}

/// Writes `op(x, y, z)` of each three elements to `out`.
///
/// # Errors
///
/// [`Error::Length`]: an operand has another length than `out`.
pub fn ternary_into<'a, T: Element>(
    op: Ternary,
    x: impl Into<Operand<'a, T>>,
    y: impl Into<Operand<'a, T>>,
    z: impl Into<Operand<'a, T>>,
    out: &mut [T],
) -> Result<(), Error> {
    let operands = [x.into(), y.into(), z.into()];
    for (operand, name) in operands.iter().zip(["x", "y", "z"]) {
        operand.check(name, out.len())?;
    }
    let (shape, out) = ([1, out.len()], Target::contiguous(out.as_mut_ptr()));
    // SAFETY: slices of one length, of which no other overlaps the one to write.
    unsafe { raw::ternary(op, shape, operands.each_ref().map(Operand::source), out) }
}

/// Adds `a * x` to `y`, each sum rounded once (integers wrap).
///
/// # Errors
///
/// [`Error::Length`].
pub fn axpy<T: Element>(a: T, x: &[T], y: &mut [T]) -> Result<(), Error> {
    check_length("y", x.len(), y.len())?;
    let (shape, y) = ([1, x.len()], y.as_mut_ptr());
    let operands = [
        Source::scalar(&a),
        Source::contiguous(x.as_ptr()),
        Source::contiguous(y),
    ];
    // SAFETY: one operand is the output, element for element, and the others do not overlap it.
    unsafe { raw::ternary(Ternary::MulAdd, shape, operands, Target::contiguous(y)) }
}

/// Replaces each element by one between `least` and `greatest`: itself, or the nearer of these. NaN stays.
pub fn clip_in_place<T: Element>(x: &mut [T], least: T, greatest: T) {
    let (shape, x) = ([1, x.len()], x.as_mut_ptr());
    let operands = [
        Source::contiguous(x),
        Source::scalar(&least),
        Source::scalar(&greatest),
    ];
    // SAFETY: one operand is the output, element for element, and the others do not overlap it.
    let done = unsafe { raw::ternary(Ternary::Clip, shape, operands, Target::contiguous(x)) };
    debug_assert_eq!(done, Ok(()), "made for every type");
}

/// Multiplies each element by `factor` (integers wrap).
pub fn scale_in_place<T: Element>(x: &mut [T], factor: T) {
    let done = binary_in_place(Binary::Mul, x, factor);
    debug_assert_eq!(done, Ok(()), "made for every type");
}

macro_rules! unary_functions {
    ($($op:ident $bound:ident $into:ident $in_place:ident $what:literal;)*) => {
        $(
            #[doc = concat!("Writes ", $what, " of each element to `out`; see [`Unary::", stringify!($op), "`].")]
            ///
            /// # Errors
            ///
            /// [`Error::Length`].
            pub fn $into<T: $bound>(x: &[T], out: &mut [T]) -> Result<(), Error> {
                unary_into(Unary::$op, x, out)
            }

            #[doc = concat!("Replaces each element by ", $what, "; see [`Unary::", stringify!($op), "`].")]
            pub fn $in_place<T: $bound>(x: &mut [T]) {
                let done = unary_in_place(Unary::$op, x);
                debug_assert_eq!(done, Ok(()), "made for the types that the signature admits");
            }
        )*
    };
}

unary_functions! {
    Neg Element neg_into neg_in_place "the negative";
    Abs Element abs_into abs_in_place "the absolute value";
    Square Element square_into square_in_place "the square";
    Reciprocal Float reciprocal_into reciprocal_in_place "the reciprocal";
    Sqrt Float sqrt_into sqrt_in_place "the square root";
    Exp Float exp_into exp_in_place "e to the power";
    Log Float log_into log_in_place "the natural logarithm";
    Tanh Float tanh_into tanh_in_place "the hyperbolic tangent";
    Sigmoid Float sigmoid_into sigmoid_in_place "the logistic function";
}

macro_rules! binary_functions {
    ($($op:ident $bound:ident $into:ident $what:literal;)*) => {
        $(
            #[doc = concat!("Writes ", $what, " of each two elements to `out`; see [`Binary::", stringify!($op), "`].")]
            ///
            /// # Errors
            ///
            /// [`Error::Length`]: an operand has another length than `out`.
            pub fn $into<'a, T: $bound>(
                x: impl Into<Operand<'a, T>>,
                y: impl Into<Operand<'a, T>>,
                out: &mut [T],
            ) -> Result<(), Error> {
                binary_into(Binary::$op, x, y, out)
            }
        )*
    };
}

binary_functions! {
    Add Element add_into "the sum";
    Sub Element sub_into "the difference";
    Mul Element mul_into "the product";
    Div Float div_into "the quotient";
}

/// Writes `x * y + z` of each three elements to `out`, rounded once (integers wrap).
///
/// # Errors
///
/// [`Error::Length`]: an operand has another length than `out`.
pub fn mul_add_into<'a, T: Element>(
    x: impl Into<Operand<'a, T>>,
    y: impl Into<Operand<'a, T>>,
    z: impl Into<Operand<'a, T>>,
    out: &mut [T],
) -> Result<(), Error> {
    ternary_into(Ternary::MulAdd, x, y, z, out)
}
