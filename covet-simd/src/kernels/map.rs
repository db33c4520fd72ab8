//! An element out of each element, or of each two or three: one loop for all operations.

use crate::dispatch::{Kernel, Level, run};
use crate::kernels::columns::{ColumnSums, Rows};
use crate::kernels::number::Number;
use crate::kernels::sum::{self, Products, Total, Values, Whole, WholeDot, WholeSum};
use crate::math;
use crate::op::{Binary, Ternary, Unary};
use crate::vector::{BYTES, RealVector, Set, Vector};

/// Elements that lie side by side, or one that is taken again and again.
#[derive(Clone, Copy)]
pub struct Operand<T> {
    /// The first element. Where one stands for all there are as many copies of it as a vector has lanes.
    pub(crate) first: *const T,
    /// 1, or 0 where one element stands for all.
    pub(crate) step: usize,
}

/// Elements to write, side by side.
#[derive(Clone, Copy)]
pub struct Output<T> {
    /// The first element.
    pub(crate) first: *mut T,
    /// Whether they go past the caches, which saves reading the lines that they overwrite. Not where an operand is overwritten: its
    /// lines have been read.
    pub(crate) streamed: bool,
}

impl<T> Output<T> {
    pub(crate) const fn cached(first: *mut T) -> Self {
        Self {
            first,
            streamed: false,
        }
    }
}

/// What is done to `N` elements.
trait Operation<T: Number, const N: usize>: Copy {
    /// Inlined, as all with vectors.
    unsafe fn apply<S: Set>(self, x: [T::Vector<S>; N]) -> T::Vector<S>;
}

struct Map<T, F, const N: usize> {
    operation: F,
    n: usize,
    inputs: [Operand<T>; N],
    out: Output<T>,
}

/// Vectors in a round of the loop.
const UNROLL: usize = 4;

/// From so many elements on the output is aligned first: a store across two lines costs twice as much.
const WORTH_ALIGNING: usize = 512;

impl<T: Number, F: Operation<T, N>, const N: usize> Kernel for Map<T, F, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Set>(self) {
        let lanes = T::Vector::<S>::LANES;
        // SAFETY: the set is available and there are n elements of each operand, says the caller.
        unsafe {
            let mut i = 0;
            if self.n >= WORTH_ALIGNING {
                // Whole lines are written from here on.
                i = self.out.first.align_offset(BYTES).min(lanes);
                self.part::<S>(0, i);
            }
            let whole_lines = self.out.first.add(i).addr() % BYTES == 0;
            i = match self.out.streamed && whole_lines {
                true => self.rounds::<S, true>(i),
                false => self.rounds::<S, false>(i),
            };
            while i < self.n {
                let count = lanes.min(self.n - i);
                self.part::<S>(i, count);
                i += count;
            }
        }
    }
}

impl<T: Number, F: Operation<T, N>, const N: usize> Map<T, F, N> {
    /// Computes elements from `i` on while there are enough for a round; returns how far it came. `STREAMED`: the output has whole
    /// lines from `i` on.
    #[inline(always)]
    unsafe fn rounds<S: Set, const STREAMED: bool>(&self, mut i: usize) -> usize {
        let lanes = T::Vector::<S>::LANES;
        // SAFETY: the set is available and these are among the n elements, says the caller.
        unsafe {
            let mut inputs = [T::Vector::<S>::splat(T::ZERO); N];
            while i + UNROLL * lanes <= self.n {
                for k in 0..UNROLL {
                    let at = i + k * lanes;
                    for (input, x) in inputs.iter_mut().zip(&self.inputs) {
                        *input = Vector::load(x.first.add(at * x.step));
                    }
                    let result = self.operation.apply::<S>(inputs);
                    match STREAMED {
                        true => result.stream(self.out.first.add(at)),
                        false => result.store(self.out.first.add(at)),
                    }
                }
                i += UNROLL * lanes;
            }
            if STREAMED {
                S::fence();
            }
        }
        i
    }

    /// Computes `count` elements from `start` on, at most a vector of them.
    #[inline(always)]
    unsafe fn part<S: Set>(&self, start: usize, count: usize) {
        // SAFETY: the set is available and these are among the n elements, says the caller.
        unsafe {
            let zero = T::Vector::<S>::splat(T::ZERO);
            let mut inputs = [zero; N];
            for (input, x) in inputs.iter_mut().zip(&self.inputs) {
                *input = zero.load_first(count, x.first.add(start * x.step));
            }
            let result = self.operation.apply::<S>(inputs);
            result.store_first(count, self.out.first.add(start));
        }
    }
}

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($($x:ident),+) $body:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy)]
            struct $name;

            impl<T: Number> Operation<T, { [$(stringify!($x)),+].len() }> for $name {
                #[inline(always)]
                unsafe fn apply<S: Set>(self, [$($x),+]: [T::Vector<S>; [$(stringify!($x)),+].len()]) -> T::Vector<S> {
                    // SAFETY: the set is available, says the caller.
                    unsafe { $body }
                }
            }
        )*
    };
}

operations! {
    Neg(x) x.neg();
    Abs(x) x.abs();
    Square(x) x.mul(x);
    Add(x, y) x.add(y);
    Sub(x, y) x.sub(y);
    Mul(x, y) x.mul(y);
    Min(x, y) lesser(x, y);
    Max(x, y) greater(x, y);
    MulAdd(x, y, z) x.mul_add(y, z);
    Clip(x, y, z) lesser(greater(x, y), z);
}

/// The lesser; NaN if either is.
#[inline(always)]
unsafe fn lesser<V: Vector>(x: V, y: V) -> V {
    // `min` gives y if either is NaN.
    // SAFETY: the set is available, says the caller.
    unsafe { V::select(x.unordered(x), x, x.min(y)) }
}

/// The greater; NaN if either is.
#[inline(always)]
unsafe fn greater<V: Vector>(x: V, y: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe { V::select(x.unordered(x), x, x.max(y)) }
}

macro_rules! real_operations {
    ($($name:ident($($x:ident),+) $body:expr;)*) => {
        $(
            #[derive(Clone, Copy)]
            struct $name;

            real_operations!(@for f32 F32 $name($($x),+) $body);
            real_operations!(@for f64 F64 $name($($x),+) $body);
        )*
    };
    (@for $element:ident $vector:ident $name:ident($($x:ident),+) $body:expr) => {
        impl Operation<$element, { [$(stringify!($x)),+].len() }> for $name {
            #[inline(always)]
            unsafe fn apply<S: Set>(self, [$($x),+]: [S::$vector; [$(stringify!($x)),+].len()]) -> S::$vector {
                // SAFETY: the set is available, says the caller.
                unsafe { $body }
            }
        }
    };
}

real_operations! {
    Reciprocal(x) math::reciprocal(x);
    Sqrt(x) x.sqrt();
    Exp(x) math::exp(x);
    Log(x) math::log(x);
    Tanh(x) math::tanh(x);
    Sigmoid(x) math::sigmoid(x);
    Div(x, y) x.div(y);
}

/// Computes `out[i] = op(x[i], y[i], z[i])`.
///
/// # Safety
///
/// As [`run`]; the operands must be good for reads, and `out` for writes, of `n` elements. `out` may be an operand's first
/// element, and must not overlap it otherwise.
pub(crate) unsafe fn ternary<T: Number>(
    level: Level,
    op: Ternary,
    n: usize,
    inputs: [Operand<T>; 3],
    out: Output<T>,
) {
    // SAFETY: promised by the caller.
    unsafe {
        match op {
            Ternary::MulAdd => map(level, MulAdd, n, inputs, out),
            Ternary::Clip => map(level, Clip, n, inputs, out),
        }
    }
}

unsafe fn map<T: Number, F: Operation<T, N>, const N: usize>(
    level: Level,
    operation: F,
    n: usize,
    inputs: [Operand<T>; N],
    out: Output<T>,
) {
    // SAFETY: promised by the caller.
    unsafe {
        run(
            level,
            Map {
                operation,
                n,
                inputs,
                out,
            },
        )
    }
}

macro_rules! number {
    ($element:ident, $vector:ident, $least:expr, $greatest:expr, $nan:expr, $is_float:literal, $total:ident,
     sum($level:ident, $n:ident, $x:ident) $sum:expr, dot($y:ident) $dot:expr,
     unary { $($unary:ident),* } binary { $($binary:ident),* }) => {
        impl Number for $element {
            const IS_FLOAT: bool = $is_float;
            const ZERO: Self = 0 as $element;
            const LEAST: Self = $least;
            const GREATEST: Self = $greatest;
            const QUIET_NAN: Self = $nan;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }

            fn from_literal(value: f64, whole: Option<i128>) -> Option<Self> {
                if $is_float {
                    return Some(value as $element);
                }
                let whole = whole?;
                let number = whole as $element;
                (number as i128 == whole).then_some(number)
            }

            type Vector<S: Set> = S::$vector;
            type Total = $total;

            unsafe fn sum($level: Level, $n: usize, $x: *const Self) -> $total {
                // SAFETY: promised by the caller.
                unsafe { $sum }
            }

            unsafe fn dot($level: Level, $n: usize, $x: *const Self, $y: *const Self) -> $total {
                // SAFETY: promised by the caller.
                unsafe { $dot }
            }

            unsafe fn column_sums(level: Level, rows: Rows<Self>, totals: &mut [$total]) {
                // SAFETY: promised by the caller.
                unsafe { run(level, ColumnSums { rows, totals }) }
            }

            unsafe fn unary(level: Level, op: Unary, n: usize, x: Operand<Self>, out: Output<Self>) {
                // SAFETY: promised by the caller.
                unsafe {
                    match op {
                        Unary::Neg => map(level, Neg, n, [x], out),
                        Unary::Abs => map(level, Abs, n, [x], out),
                        Unary::Square => map(level, Square, n, [x], out),
                        $(Unary::$unary => map(level, $unary, n, [x], out),)*
                        #[allow(unreachable_patterns)] // floats have all
                        _ => unreachable!("the caller checks what the type supports"),
                    }
                }
            }

            unsafe fn binary(level: Level, op: Binary, n: usize, x: [Operand<Self>; 2], out: Output<Self>) {
                // SAFETY: promised by the caller.
                unsafe {
                    match op {
                        Binary::Add => map(level, Add, n, x, out),
                        Binary::Sub => map(level, Sub, n, x, out),
                        Binary::Mul => map(level, Mul, n, x, out),
                        Binary::Min => map(level, Min, n, x, out),
                        Binary::Max => map(level, Max, n, x, out),
                        $(Binary::$binary => map(level, $binary, n, x, out),)*
                        #[allow(unreachable_patterns)] // floats have all
                        _ => unreachable!("the caller checks what the type supports"),
                    }
                }
            }
        }
    };
}

number!(f32, F32, f32::NEG_INFINITY, f32::INFINITY, f32::NAN, true, Total,
    sum(level, n, x) sum::add_up(level, Values, n, x, x), dot(y) sum::add_up(level, Products, n, x, y),
    unary { Reciprocal, Sqrt, Exp, Log, Tanh, Sigmoid } binary { Div });
number!(f64, F64, f64::NEG_INFINITY, f64::INFINITY, f64::NAN, true, Total,
    sum(level, n, x) sum::add_up(level, Values, n, x, x), dot(y) sum::add_up(level, Products, n, x, y),
    unary { Reciprocal, Sqrt, Exp, Log, Tanh, Sigmoid } binary { Div });
number!(i32, I32, i32::MIN, i32::MAX, 0, false, Whole,
    sum(level, n, x) run(level, WholeSum { n, x }), dot(y) run(level, WholeDot { n, x, y }),
    unary {} binary {});
number!(i64, I64, i64::MIN, i64::MAX, 0, false, Whole,
    sum(level, n, x) run(level, WholeSum { n, x }), dot(y) run(level, WholeDot { n, x, y }),
    unary {} binary {});
