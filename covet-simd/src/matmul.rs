//! Matrix products: `C = alpha A B + beta C`, rows and columns with any strides, so that operands may be transposed.
//!
//! | product | how |
//! |---|---|
//! | of a matrix and a vector | one pass over the matrix (`matmul/vector.rs`) |
//! | of small matrices | tiles of C in registers, nothing copied (`matmul/small.rs`) |
//! | of large ones | the crate `gemm`, which packs and blocks (Goto and van de Geijn, 2008), piece by piece |
//! | of integers | row by row, wrapping, as in NumPy |
//!
//! Floats are added in their own type, with one rounding for a product and its sum. A product that is estimated to take more than
//! 160 µs is cut into as many pieces of C as there are threads; the last bits of a large one may depend on that number, and on
//! the processor, as the crate `gemm` chooses its instruction set by itself.

mod small;
mod vector;

use crate::dispatch::{level, run};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::number::Real;
use crate::op::{Binary, Ternary};
use crate::par;
use crate::raw::{self, Source, Target};
use crate::view::{View, ViewMut};

use self::small::Small;

/// Nanoseconds that a product must be estimated to take before other threads are asked to help: a product of 200 x 200.
const WORTHWHILE: f64 = 160_000.0;

/// The rows and columns that a piece has at least: less would be packed more often than it is used.
const PIECE: usize = 96;

/// The rows, columns and depth of a product that is small.
const SMALL: usize = 48;

/// Writes the product of two matrices, of m x k and of k x n elements, to `c`, of m x n.
///
/// Integers wrap.
///
/// # Errors
///
/// [`Error::Shape`].
///
/// # Examples
///
/// ```
/// use covet_simd::matmul::matmul;
/// use covet_simd::view::{View, ViewMut};
///
/// let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
/// let a = View::rows(&a, [2, 3])?;
/// let mut c = [0.0; 4];
/// matmul(a, a.transposed(), ViewMut::rows(&mut c, [2, 2])?)?;
/// assert_eq!(c, [14.0, 32.0, 32.0, 77.0]);
/// # Ok::<(), covet_simd::Error>(())
/// ```
pub fn matmul<T: Element>(a: View<'_, T>, b: View<'_, T>, c: ViewMut<'_, T>) -> Result<(), Error> {
    gemm(T::UNIT, a, b, T::ZERO, c)
}

/// Computes `c = alpha a b + beta c`. Where `beta` is 0, `c` is not read: what is there may be NaN.
///
/// # Errors
///
/// [`Error::Shape`].
pub fn gemm<T: Element>(
    alpha: T,
    a: View<'_, T>,
    b: View<'_, T>,
    beta: T,
    mut c: ViewMut<'_, T>,
) -> Result<(), Error> {
    let shape = shape_of(&a, &b, &c)?;
    // SAFETY: views are good for reads and writes of their shapes, which fit; the borrow of `c` overlaps no other.
    unsafe { raw::gemm(shape, alpha, a.source(), b.source(), beta, c.target()) };
    Ok(())
}

/// Computes [`gemm()`] of each two matrices, which may differ in shape from the next. Small products share the threads.
///
/// # Errors
///
/// [`Error::Length`]: there are not as many of each. [`Error::Shape`], of any; nothing was written then.
pub fn gemm_batch<T: Element>(
    alpha: T,
    a: &[View<'_, T>],
    b: &[View<'_, T>],
    beta: T,
    c: &mut [ViewMut<'_, T>],
) -> Result<(), Error> {
    for (operand, found) in [("b", b.len()), ("c", c.len())] {
        if found != a.len() {
            return Err(Error::Length {
                operand,
                expected: a.len(),
                found,
            });
        }
    }
    let products = a.iter().zip(b).zip(c).map(|((a, b), c)| {
        let shape = shape_of(a, b, c)?;
        Ok((shape, a.source(), b.source(), Places(c.target())))
    });
    let products: Vec<_> = products.collect::<Result<_, Error>>()?;
    let nanos = products.iter().map(|(shape, ..)| nanos::<T>(*shape)).sum();
    par::for_each(products.len(), nanos, |i| {
        let (shape, a, b, Places(c)) = products[i];
        // SAFETY: as in `gemm`; each product is computed once.
        unsafe { raw::gemm(shape, alpha, a, b, beta, c) };
    });
    Ok(())
}

/// Writes to `y` the product of a matrix of m x k elements and a vector of k.
///
/// # Errors
///
/// [`Error::Length`].
pub fn matvec<T: Element>(a: View<'_, T>, x: &[T], y: &mut [T]) -> Result<(), Error> {
    let [rows, columns] = a.shape();
    for (operand, expected, found) in [("x", columns, x.len()), ("y", rows, y.len())] {
        if found != expected {
            return Err(Error::Length {
                operand,
                expected,
                found,
            });
        }
    }
    let y = ViewMut::new(y, 0, [rows, 1], [1, 0])?;
    gemm(T::UNIT, a, View::row(x).transposed(), T::ZERO, y)
}

/// A target that threads share, each a part of it.
struct Places<T>(Target<T>);

// SAFETY: a plain pointer; each thread writes elsewhere.
unsafe impl<T: Send> Send for Places<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Places<T> {}

/// m, k and n.
fn shape_of<T: Element>(
    a: &View<'_, T>,
    b: &View<'_, T>,
    c: &ViewMut<'_, T>,
) -> Result<[usize; 3], Error> {
    let ([m, k], [_, n]) = (a.shape(), b.shape());
    for (operand, expected, found) in [("b", [k, n], b.shape()), ("c", [m, n], c.shape())] {
        if found != expected {
            return Err(Error::Shape {
                operand,
                expected,
                found,
            });
        }
    }
    Ok([m, k, n])
}

/// Estimates a product on one thread.
pub(crate) fn nanos<T: Element>([m, k, n]: [usize; 3]) -> f64 {
    let products = m as f64 * k as f64 * n as f64;
    products * size_of::<T>() as f64 * if T::IS_FLOAT { 0.005 } else { 0.1 }
}

/// How a product of numbers of a type is computed. This is part of what seals [`Element`].
#[allow(missing_docs)] // private to the crate
pub trait Product: Sized {
    const UNIT: Self;

    /// # Safety
    ///
    /// As [`raw::gemm`]; nothing in the shape is 0.
    unsafe fn product(
        shape: [usize; 3],
        alpha: Self,
        a: Source<Self>,
        b: Source<Self>,
        beta: Self,
        c: Target<Self>,
    );
}

macro_rules! product {
    ($($element:ident: $unit:literal, $compute:ident;)*) => {
        $(
            impl Product for $element {
                const UNIT: Self = $unit;

                unsafe fn product(
                    shape: [usize; 3],
                    alpha: Self,
                    a: Source<Self>,
                    b: Source<Self>,
                    beta: Self,
                    c: Target<Self>,
                ) {
                    // SAFETY: as promised.
                    unsafe { $compute(shape, alpha, a, b, beta, c) }
                }
            }
        )*
    };
}

product! {
    f32: 1.0, real;
    f64: 1.0, real;
    i32: 1, integer;
    i64: 1, integer;
}

/// `c *= beta`, without a look at it where that is 0.
///
/// # Safety
///
/// `c` must be good for reads and writes of the shape.
pub(crate) unsafe fn scale<T: Element>(shape: [usize; 2], beta: T, c: Target<T>) {
    if beta == T::UNIT {
        return;
    }
    let zero = T::ZERO;
    let old = Source {
        first: c.first.cast_const(),
        strides: c.strides,
    };
    let scaled = match beta == zero {
        true => [Source::scalar(&zero); 3],
        false => [old, Source::scalar(&beta), Source::scalar(&zero)],
    };
    // SAFETY: as promised; the output is the operand itself.
    let done = unsafe { raw::ternary(Ternary::MulAdd, shape, scaled, c) };
    debug_assert!(done.is_ok(), "all elements can be multiplied");
}

/// Row by row: a row of C is the sum of the rows of B, each times an element of A.
unsafe fn integer<T: Element>(
    shape: [usize; 3],
    alpha: T,
    a: Source<T>,
    b: Source<T>,
    beta: T,
    c: Target<T>,
) {
    let (shape, a, b, c) = along_rows(shape, a, b, c);
    let [m, k, n] = shape;
    par::for_ranges(m, 1, nanos::<T>(shape), |rows| {
        let mut factors = vec![T::ZERO; k];
        for row in rows {
            let to = Target {
                first: c.at([row, 0]),
                strides: c.strides,
            };
            let sum = Source {
                first: to.first.cast_const(),
                strides: c.strides,
            };
            let elements = Source {
                first: a.at([row, 0]),
                strides: a.strides,
            };
            // SAFETY: rows of the operands, each of C for one thread; the output is the last operand itself.
            unsafe {
                scale([1, n], beta, to);
                let times = Target::contiguous(factors.as_mut_ptr());
                let done =
                    raw::binary(Binary::Mul, [1, k], elements, Source::scalar(&alpha), times);
                debug_assert!(done.is_ok(), "all elements can be multiplied");
                for (depth, factor) in factors.iter().enumerate() {
                    let other = Source {
                        first: b.at([depth, 0]),
                        strides: b.strides,
                    };
                    let operands = [other, Source::scalar(factor), sum];
                    let done = raw::ternary(Ternary::MulAdd, [1, n], operands, to);
                    debug_assert!(done.is_ok(), "all elements can be multiplied");
                }
            }
        }
    });
}

/// The same product, or its transpose (`C' = B' A'`), whichever has the rows of C in one piece.
fn along_rows<T>(
    [m, k, n]: [usize; 3],
    a: Source<T>,
    b: Source<T>,
    c: Target<T>,
) -> ([usize; 3], Source<T>, Source<T>, Target<T>) {
    let [row, column] = c.strides.map(isize::unsigned_abs);
    if column <= row || m == 1 {
        return ([m, k, n], a, b, c);
    }
    let transposed = |[row, column]: [isize; 2]| [column, row];
    let (left, right) = (
        Source {
            first: b.first,
            strides: transposed(b.strides),
        },
        Source {
            first: a.first,
            strides: transposed(a.strides),
        },
    );
    let c = Target {
        first: c.first,
        strides: transposed(c.strides),
    };
    ([n, k, m], left, right, c)
}

unsafe fn real<T: Large>(
    shape: [usize; 3],
    alpha: T,
    a: Source<T>,
    b: Source<T>,
    beta: T,
    c: Target<T>,
) {
    let [m, k, n] = shape;
    // SAFETY: as promised by the caller, with the same operands or a part of each.
    unsafe {
        if m == 1 || n == 1 {
            return vector::product(shape, alpha, a, b, beta, c);
        }
        if m.max(k).max(n) <= SMALL {
            let (shape, a, b, c) = along_rows(shape, a, b, c);
            return run(level(), Small::new(shape, alpha, a, b, beta, c));
        }
        let nanos = nanos::<T>(shape);
        if nanos < WORTHWHILE {
            return T::large(shape, alpha, a, b, beta, c);
        }
        let [down, across] = pieces([m, n], par::threads());
        let part =
            |whole: usize, pieces: usize, i: usize| whole * i / pieces..whole * (i + 1) / pieces;
        let c = Places(c);
        par::for_each(down * across, nanos, |i| {
            let Places(c) = &c;
            let (rows, columns) = (part(m, down, i / across), part(n, across, i % across));
            let a = Source {
                first: a.at([rows.start, 0]),
                strides: a.strides,
            };
            let b = Source {
                first: b.at([0, columns.start]),
                strides: b.strides,
            };
            let c = Target {
                first: c.at([rows.start, columns.start]),
                strides: c.strides,
            };
            T::large([rows.len(), k, columns.len()], alpha, a, b, beta, c);
        });
    }
}

/// Into how many pieces, down and across, to cut a product for so many threads.
fn pieces([m, n]: [usize; 2], threads: usize) -> [usize; 2] {
    let most = |length: usize| (length / PIECE).max(1);
    let (first, second) = (m.max(n), m.min(n));
    let along = threads.min(most(first));
    let beside = threads.div_ceil(along).min(most(second));
    if m >= n {
        [along, beside]
    } else {
        [beside, along]
    }
}

/// Products of more than a few elements.
trait Large: Real + Element {
    /// # Safety
    ///
    /// As [`raw::gemm`].
    unsafe fn large(
        shape: [usize; 3],
        alpha: Self,
        a: Source<Self>,
        b: Source<Self>,
        beta: Self,
        c: Target<Self>,
    );
}

#[cfg(feature = "gemm")]
impl<T: Real + Element> Large for T {
    unsafe fn large(
        [m, k, n]: [usize; 3],
        alpha: T,
        a: Source<T>,
        b: Source<T>,
        beta: T,
        c: Target<T>,
    ) {
        let [row, column] = c.strides;
        let [a_row, a_column] = a.strides;
        let [b_row, b_column] = b.strides;
        let read = beta != T::ZERO;
        let alone = gemm::Parallelism::None;
        // SAFETY: as promised; in its words, `dst = alpha dst + beta lhs rhs`.
        unsafe {
            gemm::gemm(
                m, n, k, c.first, column, row, read, a.first, a_column, a_row, b.first, b_column,
                b_row, beta, alpha, false, false, false, alone,
            );
        }
    }
}

/// Without that crate: the kernel for small products over a copy of B.
#[cfg(not(feature = "gemm"))]
impl<T: Real + Element> Large for T {
    unsafe fn large(
        shape: [usize; 3],
        alpha: T,
        a: Source<T>,
        b: Source<T>,
        beta: T,
        c: Target<T>,
    ) {
        // SAFETY: as promised; what is copied are elements of B.
        unsafe {
            let (shape, a, b, c) = along_rows(shape, a, b, c);
            run(level(), Small::new(shape, alpha, a, b, beta, c));
        }
    }
}
