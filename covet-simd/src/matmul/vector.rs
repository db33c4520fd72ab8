//! Products of a matrix and a vector: the matrix is read once, as it lies in memory.

use crate::dispatch::{Kernel, level, run};
use crate::element::Element;
use crate::kernels::number::Real;
use crate::par;
use crate::raw::{Source, Target};
use crate::vector::{BYTES, Set, Vector};

/// Results that are kept while columns are added to them: a vector's lanes divide it.
const RESULTS: usize = 1024;

/// `c = alpha a b + beta c`, where `b` has one column or `a` one row.
///
/// # Safety
///
/// As `raw::gemm`.
pub(super) unsafe fn product<T: Real + Element>(
    [m, k, n]: [usize; 3],
    alpha: T,
    a: Source<T>,
    b: Source<T>,
    beta: T,
    c: Target<T>,
) {
    // A matrix, a vector, and the distance of the results; `y' = B' x'` where A is the vector.
    let (rows, matrix, vector, stride, step) = match n {
        1 => (m, a, (b.first, b.strides[0]), c.strides[0], b.strides[0]),
        _ => {
            let transposed = Source {
                first: b.first,
                strides: [b.strides[1], b.strides[0]],
            };
            (
                n,
                transposed,
                (a.first, a.strides[1]),
                c.strides[1],
                a.strides[1],
            )
        }
    };
    // SAFETY: elements of the vector.
    let x = (0..k).map(|i| unsafe { vector.0.wrapping_offset(i as isize * step).read() });
    // Times alpha, so that each product has it: a copy costs a row's time.
    let x: Vec<T> = match alpha == T::UNIT {
        true => x.collect(),
        false => x.map(|x| x * alpha).collect(),
    };
    let product = Product {
        rows,
        x: &x,
        matrix,
        beta,
        y: c.first,
        stride,
    };
    let lanes = BYTES / size_of::<T>();
    let level = level();
    let bytes = (rows * k * size_of::<T>()) as f64;
    par::for_ranges(rows, 4 * lanes, bytes / 20.0, |rows| {
        // SAFETY: rows of the matrix and of the result, each for one thread.
        unsafe { run(level, product.part(rows.start, rows.len())) }
    });
}

/// `y = matrix x + beta y`.
#[derive(Clone, Copy)]
struct Product<'x, T> {
    rows: usize,
    x: &'x [T],
    matrix: Source<T>,
    beta: T,
    y: *mut T,
    stride: isize,
}

// SAFETY: threads have rows of their own.
unsafe impl<T: Send + Sync> Sync for Product<'_, T> {}

impl<T> Product<'_, T> {
    /// Some of the rows.
    fn part(&self, first: usize, rows: usize) -> Product<'_, T>
    where
        T: Copy,
    {
        Product {
            rows,
            matrix: Source {
                first: self.matrix.at([first, 0]),
                strides: self.matrix.strides,
            },
            y: self.y.wrapping_offset(first as isize * self.stride),
            ..*self
        }
    }
}

impl<T: Real + Element> Kernel for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Set>(self) {
        // SAFETY: as promised to `product`.
        unsafe {
            match self.matrix.strides {
                [_, 1] => self.by_rows::<S>(),
                [1, _] => self.by_columns::<S>(),
                _ => self.by_elements(),
            }
        }
    }
}

impl<T: Real + Element> Product<'_, T> {
    /// Four rows at a time, each added up by two vectors.
    #[inline(always)]
    unsafe fn by_rows<S: Set>(&self) {
        let mut row = 0;
        // SAFETY: rows of the matrix.
        unsafe {
            while row + 4 <= self.rows {
                self.dots::<S, 4>(row);
                row += 4;
            }
            while row < self.rows {
                self.dots::<S, 1>(row);
                row += 1;
            }
        }
    }

    #[inline(always)]
    unsafe fn dots<S: Set, const ROWS: usize>(&self, row: usize) {
        let lanes = T::Vector::<S>::LANES;
        let n = self.x.len();
        // SAFETY: n elements of each row and of the vector.
        unsafe {
            let zero = T::Vector::<S>::splat(T::ZERO);
            let mut sums = [[zero; 2]; ROWS];
            let rows: [*const T; ROWS] = std::array::from_fn(|r| self.matrix.at([row + r, 0]));
            let x = self.x.as_ptr();
            let mut i = 0;
            while i + 2 * lanes <= n {
                for half in 0..2 {
                    let at = i + half * lanes;
                    let factor = T::Vector::<S>::load(x.add(at));
                    for (sums, row) in sums.iter_mut().zip(rows) {
                        sums[half] = T::Vector::<S>::load(row.add(at)).mul_add(factor, sums[half]);
                    }
                }
                i += 2 * lanes;
            }
            while i < n {
                let count = lanes.min(n - i);
                let factor = zero.load_first(count, x.add(i));
                for (sums, row) in sums.iter_mut().zip(rows) {
                    let row = zero.load_first(count, row.add(i));
                    sums[0] = row.mul_add(factor, sums[0]);
                }
                i += lanes;
            }
            for (r, [first, second]) in sums.into_iter().enumerate() {
                let mut all = [T::ZERO; BYTES];
                first.add(second).store(all.as_mut_ptr());
                // Halves onto halves.
                let mut width = lanes / 2;
                while width > 0 {
                    for lane in 0..width {
                        all[lane] = all[lane] + all[lane + width];
                    }
                    width /= 2;
                }
                self.put(row + r, all[0]);
            }
        }
    }

    /// Four columns at a time are added to the results.
    #[inline(always)]
    unsafe fn by_columns<S: Set>(&self) {
        let mut results = [T::ZERO; RESULTS];
        let mut first = 0;
        // SAFETY: elements of the matrix; the results have room for so many rows.
        unsafe {
            while first < self.rows {
                let rows = RESULTS.min(self.rows - first);
                results.fill(T::ZERO);
                let mut column = 0;
                // The more at once, the less often the results are read and written again.
                while S::REGISTERS >= 32 && column + 8 <= self.x.len() {
                    self.add_columns::<S, 8>(first, rows, column, results.as_mut_ptr());
                    column += 8;
                }
                while column + 4 <= self.x.len() {
                    self.add_columns::<S, 4>(first, rows, column, results.as_mut_ptr());
                    column += 4;
                }
                while column < self.x.len() {
                    self.add_columns::<S, 1>(first, rows, column, results.as_mut_ptr());
                    column += 1;
                }
                for (r, &result) in results[..rows].iter().enumerate() {
                    self.put(first + r, result);
                }
                first += rows;
            }
        }
    }

    #[inline(always)]
    unsafe fn add_columns<S: Set, const COLUMNS: usize>(
        &self,
        first: usize,
        rows: usize,
        column: usize,
        results: *mut T,
    ) {
        let lanes = T::Vector::<S>::LANES;
        // SAFETY: so many rows of these columns; the results have room for whole vectors.
        unsafe {
            let zero = T::Vector::<S>::splat(T::ZERO);
            let columns: [_; COLUMNS] = std::array::from_fn(|c| {
                let factor = T::Vector::<S>::splat(self.x[column + c]);
                (self.matrix.at([first, column + c]), factor)
            });
            let mut row = 0;
            while row < rows {
                let mut sum = T::Vector::<S>::load(results.add(row));
                for (column, factor) in columns {
                    let from = column.add(row);
                    let x = match rows - row < lanes {
                        true => zero.load_first(rows - row, from),
                        false => Vector::load(from),
                    };
                    sum = x.mul_add(factor, sum);
                }
                sum.store(results.add(row));
                row += lanes;
            }
        }
    }

    #[inline(always)]
    unsafe fn by_elements(&self) {
        for row in 0..self.rows {
            let mut sum = T::ZERO;
            for (i, &x) in self.x.iter().enumerate() {
                // SAFETY: an element of the matrix.
                sum = sum + unsafe { self.matrix.at([row, i]).read() } * x;
            }
            // SAFETY: a row of the result.
            unsafe { self.put(row, sum) };
        }
    }

    #[inline(always)]
    unsafe fn put(&self, row: usize, sum: T) {
        let to = self.y.wrapping_offset(row as isize * self.stride);
        // SAFETY: an element of the result, which is read only where the caller says that it may be.
        unsafe {
            to.write(match self.beta == T::ZERO {
                true => sum,
                false => sum + to.read() * self.beta,
            });
        }
    }
}
