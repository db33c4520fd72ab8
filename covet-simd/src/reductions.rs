//! Reductions of slices: one number out of all.

use crate::element::{Element, Float};
use crate::error::Error;
use crate::raw::{self, Source};

fn shape<T>(x: &[T]) -> [usize; 2] {
    [1, x.len()]
}

fn source<T>(x: &[T]) -> Source<T> {
    Source::contiguous(x.as_ptr())
}

fn same_length<T>(operand: &'static str, expected: &[T], found: &[T]) -> Result<(), Error> {
    if expected.len() == found.len() {
        return Ok(());
    }
    Err(Error::Length {
        operand,
        expected: expected.len(),
        found: found.len(),
    })
}

/// Returns the sum, 0 of nothing.
///
/// Floats: of `f32` the error is at most 0.51 ulp for long arrays of one sign, as blocks of 4096 are added in `f64`; of `f64` it
/// is that of a block, as the sums of blocks are added with the errors kept. A sum of `f32` overflows only if the result
/// does. Integers: exact, and then wrapped to 64 bits.
pub fn sum<T: Element>(x: &[T]) -> T::Sum {
    // SAFETY: a slice is good for reads.
    unsafe { raw::sum(shape(x), source(x)) }
}

/// Returns the arithmetic mean, NaN of nothing. That of integers is exact before its last two roundings, also where the sum is
/// beyond 64 bits.
pub fn mean<T: Element>(x: &[T]) -> f64 {
    // SAFETY: a slice is good for reads.
    unsafe { raw::mean(shape(x), source(x)) }
}

/// Returns the dot product: the sum of the products of each two elements, 0 of nothing. Products of integers wrap to 64 bits.
///
/// # Errors
///
/// [`Error::Length`].
pub fn dot<T: Element>(x: &[T], y: &[T]) -> Result<T::Sum, Error> {
    same_length("y", x, y)?;
    // SAFETY: slices are good for reads, and of one length.
    Ok(unsafe { raw::dot(shape(x), source(x), source(y)) })
}

/// Returns the Euclidean norm (l2): the root of the sum of squares, 0 of nothing.
///
/// It overflows only if the result does, and small numbers do not vanish: where the squares leave the range, they are
/// computed once more of scaled elements, some 20 times as slow.
pub fn norm<T: Float>(x: &[T]) -> T {
    // SAFETY: a slice is good for reads.
    unsafe { raw::norm(shape(x), source(x)) }
}

/// Returns the variance: the sum of the squared deviations from the mean, over `n - less`. `less` is 0 for a whole
/// population, 1 for a sample. NaN of fewer elements.
pub fn variance<T: Float>(x: &[T], less: f64) -> f64 {
    // SAFETY: a slice is good for reads.
    unsafe { raw::variance(shape(x), source(x), less) }
}

/// Returns the least element; NaN if any is, `None` of nothing.
pub fn min<T: Element>(x: &[T]) -> Option<T> {
    // SAFETY: a slice is good for reads.
    unsafe { raw::min(shape(x), source(x)) }
}

/// Returns the greatest element; NaN if any is, `None` of nothing.
pub fn max<T: Element>(x: &[T]) -> Option<T> {
    // SAFETY: a slice is good for reads.
    unsafe { raw::max(shape(x), source(x)) }
}

/// Returns the least element that is a number; NaN if none is, `None` of nothing.
pub fn nan_min<T: Element>(x: &[T]) -> Option<T> {
    // SAFETY: a slice is good for reads.
    unsafe { raw::nan_min(shape(x), source(x)) }
}

/// Returns the greatest element that is a number; NaN if none is, `None` of nothing.
pub fn nan_max<T: Element>(x: &[T]) -> Option<T> {
    // SAFETY: a slice is good for reads.
    unsafe { raw::nan_max(shape(x), source(x)) }
}

/// Returns the index of the least element, the first of equals; of the first NaN if there is one, `None` of nothing.
pub fn arg_min<T: Element>(x: &[T]) -> Option<usize> {
    // SAFETY: a slice is good for reads.
    unsafe { raw::arg_min(shape(x), source(x)) }
}

/// Returns the index of the greatest element, the first of equals; of the first NaN if there is one, `None` of nothing.
pub fn arg_max<T: Element>(x: &[T]) -> Option<usize> {
    // SAFETY: a slice is good for reads.
    unsafe { raw::arg_max(shape(x), source(x)) }
}
