//! Expressions such as `a*x + y`, read once and computed in one pass over memory.
//!
//! One operation after the other on whole arrays moves each result to memory and back; there, that is most of the time. An
//! [`Expression`] goes over its operands by tiles of 16 KiB instead, and what lies between stays in the nearest caches. The
//! kernels are those of the functions of this crate, and so are the results, with one exception: a product that is only added
//! to is [`Ternary::MulAdd`](crate::Ternary::MulAdd), which rounds once.

mod parse;
mod program;

use crate::dispatch::{Level, level};
use crate::element::Element;
use crate::error::Error;
use crate::expr::parse::Parsed;
use crate::expr::program::{Bound, Program};
use crate::layout::{OPERANDS, map_all};
use crate::maps::Operand;
use crate::raw::{Source, Target};

/// An expression of named operands, read and checked. It can be evaluated any number of times, by any thread, for any type.
///
/// It is made of the names of operands, numbers, `+ - * /`, a minus before something, `** 2`, brackets, and calls by name: of
/// the [`Unary`](crate::Unary), [`Binary`](crate::Binary) and [`Ternary`](crate::Ternary) operations and of `abs`, `min` and
/// `max`. What binds stronger is as in Python. All operands are of one type, which is that of the result and of the numbers in
/// the text; integers wrap, and have no `/`, as their quotient would be of another type.
///
/// # Examples
///
/// ```
/// use covet_simd::{Expression, Operand};
///
/// let (x, y) = ([1.0_f32, 2.0, 3.0], [0.5_f32; 3]);
/// let mut out = [0.0; 3];
/// let line = Expression::parse("a*x + y", &["a", "x", "y"])?;
/// line.evaluate_into(&[Operand::Scalar(2.0), (&x).into(), (&y).into()], &mut out)?;
/// assert_eq!(out, [2.5, 4.5, 6.5]);
///
/// let error = Expression::parse("a*x + z", &["a", "x", "y"]).unwrap_err();
/// assert_eq!(error.to_string(), "unknown name `z` at column 7: the operands are a, x, y");
/// # Ok::<(), covet_simd::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Expression {
    names: Vec<String>,
    program: Program,
}

impl Expression {
    /// The most operands that an expression can have.
    pub const MAX_OPERANDS: usize = OPERANDS;

    /// The most brackets, calls and signs that may be around each other.
    pub const MAX_DEPTH: usize = parse::MAX_DEPTH;

    /// Reads an expression of operands with these names. Not all have to occur in it.
    ///
    /// # Errors
    ///
    /// [`Error::Expression`]: the text is none, with the place where that shows.
    pub fn parse(text: &str, operands: &[&str]) -> Result<Self, Error> {
        let parsed = Parsed::new(text, operands)?;
        Ok(Self {
            names: operands.iter().map(|&name| name.to_owned()).collect(),
            program: Program::new(parsed),
        })
    }

    /// Returns the names of the operands, in the order in which they are given.
    pub fn operands(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Writes the expression's value for each element to `out`, on several threads if that pays.
    ///
    /// Allocates 16 KiB for each result in between that is needed at one time, on each thread; none for `a*x + y`.
    ///
    /// # Errors
    ///
    /// [`Error::Length`]: not as many operands as names. [`Error::OperandLength`]: an operand has another length than `out`.
    /// [`Error::Unsupported`]: an operation is not made for the type. [`Error::Expression`]: the type lacks one of the numbers in
    /// the text.
    pub fn evaluate_into<T: Element>(
        &self,
        operands: &[Operand<'_, T>],
        out: &mut [T],
    ) -> Result<(), Error> {
        self.check_count(operands.len())?;
        for (operand, name) in operands.iter().zip(&self.names) {
            if let Operand::Slice(slice) = operand
                && slice.len() != out.len()
            {
                return Err(Error::OperandLength {
                    operand: name.clone(),
                    expected: out.len(),
                    found: slice.len(),
                });
            }
        }
        let sources: Vec<_> = operands.iter().map(Operand::source).collect();
        let (shape, out) = ([1, out.len()], Target::contiguous(out.as_mut_ptr()));
        // SAFETY: slices of one length, of which no other overlaps the one to write.
        unsafe { self.evaluate(shape, &sources, out) }
    }

    /// Writes the expression's value for each element of `shape` to `out`; see [`raw`](crate::raw).
    ///
    /// # Errors
    ///
    /// As [`evaluate_into`](Self::evaluate_into).
    ///
    /// # Safety
    ///
    /// The operands must be good for reads and `out` for writes of all elements of `shape`, aligned. `out` may be the same
    /// elements as an operand, and must not overlap one otherwise.
    pub unsafe fn evaluate<T: Element>(
        &self,
        shape: [usize; 2],
        operands: &[Source<T>],
        out: Target<T>,
    ) -> Result<(), Error> {
        self.check_count(operands.len())?;
        let bound: Bound<'_, T> = self.program.bind()?;
        let nanos = bound.cost(operands.len(), shape[0] * shape[1]);
        let level = level();
        // SAFETY: promised by the caller.
        unsafe {
            // Few cost less to prepare, and most expressions have few.
            if operands.len() <= FEW {
                map::<T, FEW>(level, shape, operands, out, nanos, &bound);
            } else {
                map::<T, OPERANDS>(level, shape, operands, out, nanos, &bound);
            }
        }
        Ok(())
    }

    fn check_count(&self, found: usize) -> Result<(), Error> {
        if found == self.names.len() {
            return Ok(());
        }
        Err(Error::Length {
            operand: "operands",
            expected: self.names.len(),
            found,
        })
    }
}

/// The operands of most expressions.
const FEW: usize = 4;

/// Runs a program over all elements of up to `N` operands.
///
/// # Safety
///
/// As [`Expression::evaluate`].
unsafe fn map<T: Element, const N: usize>(
    level: Level,
    shape: [usize; 2],
    operands: &[Source<T>],
    out: Target<T>,
    nanos: f64,
    bound: &Bound<'_, T>,
) {
    let unused = T::ZERO;
    let mut inputs = [Source::scalar(&unused); N];
    inputs[..operands.len()].copy_from_slice(operands);
    // SAFETY: promised by the caller.
    unsafe {
        map_all(shape, inputs, out, nanos, |n, inputs, out| {
            bound.run(level, n, &inputs, out);
        });
    }
}
