//! The kernels over pointers: for memory that other threads may write meanwhile, of which there can be no slice.
//!
//! Operands are of two dimensions, rows and columns, with a stride in elements for each. A stride may be negative, and 0
//! stands for one element taken again and again: that is how a scalar or a row is combined with a matrix. Where rows follow
//! each other without a gap all is one row; operands that are not contiguous go through a buffer of 4096 elements on the
//! stack, some 1.5 to 3 times as slow. Nothing is allocated.
//!
//! If another thread writes to an operand meanwhile, the result is that of some mixture of old and new elements, as in
//! NumPy. (The language calls such a race undefined; the kernels read each element once, except `arg_min` and `arg_max`, which
//! search what they found.)

mod axis;

pub use axis::{max_axis, mean_axis, min_axis, sum_axis};

use crate::cost;
use crate::dispatch::level;
use crate::element::{Element, Float};
use crate::error::Error;
use crate::kernels::extremum::{self, Found, Greatest, Least, Order};
use crate::kernels::map;
use crate::kernels::sum::{Accumulate, Deviations, add_up};
use crate::layout::{Runs, map_all};
use crate::matmul;
use crate::op::{Binary, Ternary, Unary};

/// Elements to read, laid out in rows and columns.
#[derive(Clone, Copy, Debug)]
pub struct Source<T> {
    /// The first element of the first row.
    pub first: *const T,
    /// From one row to the next, and from one column to the next, in elements.
    pub strides: [isize; 2],
}

/// Elements to write, laid out in rows and columns. No two may lie in one place.
#[derive(Clone, Copy, Debug)]
pub struct Target<T> {
    /// The first element of the first row.
    pub first: *mut T,
    /// From one row to the next, and from one column to the next, in elements.
    pub strides: [isize; 2],
}

impl<T> Source<T> {
    /// Elements side by side: a shape of `[1, n]`.
    pub const fn contiguous(first: *const T) -> Self {
        Self {
            first,
            strides: [0, 1],
        }
    }

    /// One element for all.
    pub const fn scalar(value: &T) -> Self {
        Self {
            first: value,
            strides: [0, 0],
        }
    }
}

impl<T> Target<T> {
    /// Elements side by side: a shape of `[1, n]`.
    pub const fn contiguous(first: *mut T) -> Self {
        Self {
            first,
            strides: [0, 1],
        }
    }
}

// SAFETY: a plain pointer with numbers beside it; whoever follows it answers for that in the unsafe functions below.
unsafe impl<T: Sync> Sync for Source<T> {}
// SAFETY: as above; each thread writes to a part of its own.
unsafe impl<T: Send> Sync for Target<T> {}

/// Computes `op` of each element.
///
/// # Errors
///
/// [`Error::Unsupported`].
///
/// # Safety
///
/// `x` must be good for reads and `out` for writes of all elements of `shape`, aligned. `out` may be the same elements as `x`, and
/// must not overlap them otherwise.
pub unsafe fn unary<T: Element>(
    op: Unary,
    shape: [usize; 2],
    x: Source<T>,
    out: Target<T>,
) -> Result<(), Error> {
    op.check::<T>()?;
    let level = level();
    let nanos = cost::unary::<T>(op, shape[0] * shape[1]);
    // SAFETY: promised by the caller; the type supports the operation.
    unsafe {
        map_all(shape, [x], out, nanos, |n, [x], out| {
            T::unary(level, op, n, x, out)
        });
    }
    Ok(())
}

/// Computes `op` of each two elements.
///
/// # Errors
///
/// [`Error::Unsupported`].
///
/// # Safety
///
/// As [`unary`], for each operand.
pub unsafe fn binary<T: Element>(
    op: Binary,
    shape: [usize; 2],
    x: Source<T>,
    y: Source<T>,
    out: Target<T>,
) -> Result<(), Error> {
    op.check::<T>()?;
    let level = level();
    let nanos = cost::binary::<T>(op, shape[0] * shape[1]);
    // SAFETY: promised by the caller; the type supports the operation.
    unsafe {
        map_all(shape, [x, y], out, nanos, |n, x, out| {
            T::binary(level, op, n, x, out)
        });
    }
    Ok(())
}

/// Computes `op` of each three elements.
///
/// # Errors
///
/// [`Error::Unsupported`].
///
/// # Safety
///
/// As [`unary`], for each operand.
pub unsafe fn ternary<T: Element>(
    op: Ternary,
    shape: [usize; 2],
    x: [Source<T>; 3],
    out: Target<T>,
) -> Result<(), Error> {
    op.check::<T>()?;
    let level = level();
    let nanos = cost::ternary::<T>(op, shape[0] * shape[1]);
    // SAFETY: promised by the caller; the type supports the operation.
    unsafe {
        map_all(shape, x, out, nanos, |n, x, out| {
            map::ternary(level, op, n, x, out)
        });
    }
    Ok(())
}

/// Returns the sum of all elements; see [`sum`](crate::sum).
///
/// # Safety
///
/// `x` must be good for reads of all elements of `shape`, aligned. So it is for all functions below.
pub unsafe fn sum<T: Element>(shape: [usize; 2], x: Source<T>) -> T::Sum {
    // SAFETY: promised by the caller.
    T::finish(unsafe { total(shape, x) })
}

/// Returns the mean of all elements; see [`mean`](crate::mean).
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn mean<T: Element>(shape: [usize; 2], x: Source<T>) -> f64 {
    // SAFETY: promised by the caller.
    unsafe { total(shape, x) }.mean(shape[0] * shape[1])
}

unsafe fn total<T: Element>(shape: [usize; 2], x: Source<T>) -> T::Total {
    let level = level();
    // SAFETY: promised by the caller.
    unsafe { reduce(shape, [x], |n, [x]| T::sum(level, n, x)) }
}

/// Returns the dot product; see [`dot`](crate::dot). Of matrices it is the sum of all products.
///
/// # Safety
///
/// As [`sum`], for both operands.
pub unsafe fn dot<T: Element>(shape: [usize; 2], x: Source<T>, y: Source<T>) -> T::Sum {
    let level = level();
    // SAFETY: promised by the caller.
    T::finish(unsafe { reduce(shape, [x, y], |n, [x, y]| T::dot(level, n, x, y)) })
}

/// Returns the root of the sum of squares; see [`norm`](crate::norm).
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn norm<T: Float>(shape: [usize; 2], x: Source<T>) -> T {
    // SAFETY: promised by the caller.
    let squares = unsafe { squared_deviations(shape, x, T::ZERO) };
    if squares.is_finite() && squares > T::SMALL_SQUARES {
        return T::from_f64(squares.sqrt());
    }
    // Squares that overflow or underflow: once more, of elements near 1. The greatest is infinite or NaN where one is.
    // SAFETY: promised by the caller.
    let (least, greatest) = unsafe { (min(shape, x), max(shape, x)) };
    let (Some(least), Some(greatest)) = (least, greatest) else {
        return T::ZERO;
    };
    let largest = least.to_f64().abs().max(greatest.to_f64().abs());
    if least.to_f64().is_nan() || largest == 0.0 || largest.is_infinite() {
        return T::from_f64(if least.to_f64().is_nan() {
            f64::NAN
        } else {
            largest
        });
    }
    // A power of two, so that scaling is exact.
    let scale = f64::from_bits(largest.to_bits() & (0x7ff << 52)).max(f64::MIN_POSITIVE);
    let mut sum = 0.0;
    for row in 0..shape[0] {
        for column in 0..shape[1] {
            // SAFETY: promised by the caller.
            let value = unsafe { x.at([row, column]).read() }.to_f64() / scale;
            sum += value * value;
        }
    }
    T::from_f64(sum.sqrt() * scale)
}

/// Returns the variance; see [`variance`](crate::variance).
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn variance<T: Float>(shape: [usize; 2], x: Source<T>, less: f64) -> f64 {
    let n = (shape[0] * shape[1]) as f64;
    // SAFETY: promised by the caller.
    let mean = unsafe { mean(shape, x) };
    let center = T::from_f64(mean);
    // SAFETY: promised by the caller.
    let sum = unsafe { squared_deviations(shape, x, center) };
    // The center is the mean as rounded; what that adds is known.
    let off = mean - center.to_f64();
    (sum - n * off * off).max(0.0) / (n - less)
}

unsafe fn squared_deviations<T: Float>(shape: [usize; 2], x: Source<T>, center: T) -> f64 {
    let level = level();
    let term = Deviations { center };
    // SAFETY: promised by the caller.
    unsafe { reduce(shape, [x], |n, [x]| add_up(level, term, n, x, x)) }.value()
}

/// Returns the least element; NaN if any is, `None` of nothing.
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn min<T: Element>(shape: [usize; 2], x: Source<T>) -> Option<T> {
    // SAFETY: promised by the caller.
    unsafe { extremum::<T, Least>(shape, x) }
}

/// Returns the greatest element; NaN if any is, `None` of nothing.
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn max<T: Element>(shape: [usize; 2], x: Source<T>) -> Option<T> {
    // SAFETY: promised by the caller.
    unsafe { extremum::<T, Greatest>(shape, x) }
}

/// Returns the least element that is a number; NaN if none is, `None` of nothing.
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn nan_min<T: Element>(shape: [usize; 2], x: Source<T>) -> Option<T> {
    // SAFETY: promised by the caller.
    unsafe { extremum_of_numbers::<T, Least>(shape, x) }
}

/// Returns the greatest element that is a number; NaN if none is, `None` of nothing.
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn nan_max<T: Element>(shape: [usize; 2], x: Source<T>) -> Option<T> {
    // SAFETY: promised by the caller.
    unsafe { extremum_of_numbers::<T, Greatest>(shape, x) }
}

/// Returns the index of the least element, row by row; see [`arg_min`](crate::arg_min).
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn arg_min<T: Element>(shape: [usize; 2], x: Source<T>) -> Option<usize> {
    // SAFETY: promised by the caller.
    unsafe { arg_extremum::<T, Least>(shape, x) }
}

/// Returns the index of the greatest element, row by row; see [`arg_max`](crate::arg_max).
///
/// # Safety
///
/// As [`sum`].
pub unsafe fn arg_max<T: Element>(shape: [usize; 2], x: Source<T>) -> Option<usize> {
    // SAFETY: promised by the caller.
    unsafe { arg_extremum::<T, Greatest>(shape, x) }
}

/// Puts together what `kernel` gives for runs of elements.
unsafe fn reduce<T: Element, P: Accumulate, const N: usize>(
    shape: [usize; 2],
    x: [Source<T>; N],
    kernel: impl Fn(usize, [*const T; N]) -> P + Sync,
) -> P {
    let runs = Runs::new(shape, x, true);
    let part = |range| {
        let mut part = P::default();
        // SAFETY: promised by the caller.
        unsafe { runs.each_run(range, |_, n, x| part.merge(kernel(n, x))) };
        part
    };
    let merge = |mut sum: P, later: P| {
        sum.merge(later);
        sum
    };
    runs.fold(part, merge).unwrap_or_default()
}

unsafe fn extremum<T: Element, O: Order>(shape: [usize; 2], x: Source<T>) -> Option<T> {
    // SAFETY: promised by the caller.
    let found = unsafe { found::<T, O, true>(shape, x) }?;
    Some(if found.nan { T::QUIET_NAN } else { found.best })
}

unsafe fn extremum_of_numbers<T: Element, O: Order>(shape: [usize; 2], x: Source<T>) -> Option<T> {
    // SAFETY: promised by the caller.
    let best = unsafe { found::<T, O, false>(shape, x) }?.best;
    if T::IS_FLOAT && best == O::last() {
        // Either an element is that, or none is a number.
        let mut places =
            (0..shape[0]).flat_map(|row| (0..shape[1]).map(move |column| [row, column]));
        // SAFETY: promised by the caller.
        if !places.any(|place| unsafe { x.at(place).read() } == best) {
            return Some(T::QUIET_NAN);
        }
    }
    Some(best)
}

unsafe fn found<T: Element, O: Order, const STOP: bool>(
    shape: [usize; 2],
    x: Source<T>,
) -> Option<Found<T>> {
    let level = level();
    let runs = Runs::new(shape, [x], true);
    let part = |range| {
        let mut part: Option<Found<T>> = None;
        // SAFETY: promised by the caller.
        unsafe {
            runs.each_run(range, |_, n, [x]| {
                let later = extremum::extremum::<T, O, STOP>(level, n, x);
                part = Some(part.map_or(later, |part| first::<T, O>(part, later)));
            });
        }
        part
    };
    runs.fold(part, |a, b| Some(first::<T, O>(a?, b?)))
        .flatten()
}

/// What comes first in order; the earlier of equals.
fn first<T: Element, O: Order>(earlier: Found<T>, later: Found<T>) -> Found<T> {
    if !earlier.nan && (later.nan || O::before(later.best, earlier.best)) {
        later
    } else {
        earlier
    }
}

unsafe fn arg_extremum<T: Element, O: Order>(shape: [usize; 2], x: Source<T>) -> Option<usize> {
    let level = level();
    let runs = Runs::new(shape, [x], false);
    // The block that holds the extremum, by the index of its first element, and its length.
    let part = |range| {
        let mut part: Option<(Found<T>, usize, usize)> = None;
        // SAFETY: promised by the caller.
        unsafe {
            runs.each_block(range, |start, n, [x]| {
                let later = extremum::extremum::<T, O, true>(level, n, x);
                part = Some(part.map_or((later, start, n), |part| {
                    earliest::<T, O>(part, (later, start, n))
                }));
            });
        }
        part
    };
    let (found, start, n) = runs
        .fold(part, |a, b| Some(earliest::<T, O>(a?, b?)))
        .flatten()?;
    let value = if found.nan { T::QUIET_NAN } else { found.best };
    // SAFETY: promised by the caller.
    let within = unsafe { runs.with_block(start, n, |[x]| extremum::find(level, n, x, value)) };
    // Not there any more if somebody writes meanwhile.
    Some(start + within.unwrap_or(0))
}

fn earliest<T: Element, O: Order>(
    earlier: (Found<T>, usize, usize),
    later: (Found<T>, usize, usize),
) -> (Found<T>, usize, usize) {
    if !earlier.0.nan && (later.0.nan || O::before(later.0.best, earlier.0.best)) {
        later
    } else {
        earlier
    }
}

/// Computes `c = alpha a b + beta c` of matrices of m x k, k x n and m x n elements; see [`matmul`]. Allocates a
/// little, for all but small matrices.
///
/// # Safety
///
/// `a` and `b` must be good for reads and `c` for writes of all elements of their shapes, aligned; unless `beta` is 0, `c` must
/// be good for reads as well. `c` must overlap neither.
pub unsafe fn gemm<T: Element>(
    shape: [usize; 3],
    alpha: T,
    a: Source<T>,
    b: Source<T>,
    beta: T,
    c: Target<T>,
) {
    let [m, k, n] = shape;
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: promised by the caller.
    unsafe {
        if k == 0 {
            return matmul::scale([m, n], beta, c);
        }
        T::product(shape, alpha, a, b, beta, c);
    }
}
