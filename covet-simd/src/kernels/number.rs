//! What the kernels know of a type of numbers. This seals [`Element`](crate::Element).

use std::ops::{Add, Mul};

use crate::dispatch::Level;
use crate::kernels::columns::Rows;
use crate::kernels::map::{Operand, Output};
use crate::kernels::sum::{Accumulate, Carry, Total};
use crate::op::{Binary, Unary};
use crate::vector::{RealVector, Set, Vector};

/// A type that the kernels are made for.
#[allow(missing_docs, clippy::missing_safety_doc)] // private to the crate
pub trait Number: Copy + Send + Sync + PartialEq + PartialOrd + 'static {
    const IS_FLOAT: bool;
    const ZERO: Self;
    /// Nothing is below it.
    const LEAST: Self;
    /// Nothing is above it.
    const GREATEST: Self;
    /// NaN, if the type has it.
    const QUIET_NAN: Self;
    fn to_f64(self) -> f64;
    /// A number written in a text, if the type has it; `whole` is it where it is a whole one.
    fn from_literal(value: f64, whole: Option<i128>) -> Option<Self>;

    /// The vector of these numbers in a set.
    type Vector<S: Set>: Vector<Element = Self>;

    /// What sums are kept in until they are done.
    type Total: Accumulate;
    unsafe fn sum(level: Level, n: usize, x: *const Self) -> Self::Total;
    unsafe fn dot(level: Level, n: usize, x: *const Self, y: *const Self) -> Self::Total;
    /// Writes the total of each column; at most [`TILE`](crate::kernels::columns::TILE) columns.
    unsafe fn column_sums(level: Level, rows: Rows<Self>, totals: &mut [Self::Total]);

    /// `op` is one that the type supports.
    unsafe fn unary(level: Level, op: Unary, n: usize, x: Operand<Self>, out: Output<Self>);
    /// `op` is one that the type supports.
    unsafe fn binary(level: Level, op: Binary, n: usize, x: [Operand<Self>; 2], out: Output<Self>);
}

/// A floating-point type, with the constants of its elementary functions; see [`math`](crate::math).
#[allow(missing_docs, clippy::missing_safety_doc)] // private to the crate
pub trait Real: Number<Total = Total> + Add<Output = Self> + Mul<Output = Self> {
    /// What sums of vectors are added to.
    type Carry<S: Set>: Carry<Self::Vector<S>>;

    const NAN: Self;
    fn from_f64(value: f64) -> Self;
    /// Sums of squares below this may have lost digits to underflow.
    const SMALL_SQUARES: f64;

    const ONE: Self;
    const TWO: Self;
    const HALF: Self;
    const INFINITY: Self;

    /// `exp` is 0 below and infinite above.
    const EXP_RANGE: [Self; 2];
    /// `tanh` is 1 from here on.
    const TANH_ONE: Self;
    const LOG2_E: Self;
    /// ln 2 in two parts, of which the first times an exponent is exact.
    const LN2: [Self; 2];
    /// `(exp(r) - 1 - r) / r^2` for |r| <= ln 2 / 2, the highest power first.
    const EXP: &'static [Self];
    /// `log(1 + f) - f + f^2 / 2` for f in [-0.25, 0.5). Inlined, as all with vectors.
    unsafe fn log_tail<V: RealVector<Element = Self>>(f: V, half_square: V) -> V;
}
