//! Products of small matrices: a tile of C stays in registers while it goes down B and along A.
//!
//! ```text
//!                 B  k x n, its rows side by side
//!                    [ v0 ][ v1 ][ v2 ]     one row: VECTORS registers
//!   A  m x k      C
//!      x x x x x     [    ][    ][    ]     ROWS x VECTORS registers of sums
//!      x x x x x     [    ][    ][    ]     each element of A, in all lanes, times the row of B
//! ```

use crate::dispatch::Kernel;
use crate::element::Element;
use crate::kernels::number::Real;
use crate::raw::{Source, Target};
use crate::vector::{Set, Vector};

/// `c = alpha a b + beta c`.
pub(super) struct Small<T> {
    shape: [usize; 3],
    alpha: T,
    a: Source<T>,
    b: Source<T>,
    beta: T,
    c: Target<T>,
    /// The rows of B side by side, and those of C, where they are not so in the operands.
    copies: Option<Copies<T>>,
}

struct Copies<T> {
    b: Vec<T>,
    c: Vec<T>,
}

impl<T: Real + Element> Small<T> {
    /// # Safety
    ///
    /// The operands must be good for reads of m x k and of k x n elements, and `c` for writes of m x n (unless `beta` is 0, for
    /// reads as well), and must not overlap them.
    pub(super) unsafe fn new(
        shape: [usize; 3],
        alpha: T,
        a: Source<T>,
        b: Source<T>,
        beta: T,
        c: Target<T>,
    ) -> Self {
        let [m, k, n] = shape;
        let copies = (b.strides[1] != 1 || c.strides[1] != 1).then(|| {
            let all = |rows: usize, at: &dyn Fn([usize; 2]) -> T| {
                let places = (0..rows).flat_map(|row| (0..n).map(move |column| [row, column]));
                places.map(at).collect::<Vec<T>>()
            };
            Copies {
                // SAFETY: elements of B.
                b: all(k, &|place| unsafe { b.at(place).read() }),
                c: match beta == T::ZERO {
                    true => vec![T::ZERO; m * n],
                    // SAFETY: elements of C.
                    false => all(m, &|place| unsafe { c.at(place).read() }),
                },
            }
        });
        Self {
            shape,
            alpha,
            a,
            b,
            beta,
            c,
            copies,
        }
    }
}

impl<T: Real + Element> Kernel for Small<T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Set>(mut self) {
        let [m, _, n] = self.shape;
        // SAFETY: as promised to `new`; copies have rows of n elements.
        unsafe {
            let Some(mut copies) = self.copies.take() else {
                return self.tiles::<S>();
            };
            let rows = [n as isize, 1];
            Self {
                b: Source {
                    first: copies.b.as_ptr(),
                    strides: rows,
                },
                c: Target {
                    first: copies.c.as_mut_ptr(),
                    strides: rows,
                },
                ..self
            }
            .tiles::<S>();
            for (i, value) in copies.c.into_iter().enumerate().take(m * n) {
                self.c.at([i / n, i % n]).write(value);
            }
        }
    }
}

impl<T: Real + Element> Small<T> {
    #[inline(always)]
    unsafe fn tiles<S: Set>(&self) {
        // SAFETY: as promised to `new`.
        unsafe {
            // As many sums as fit into the registers, beside a row of B and an element of A.
            if S::REGISTERS >= 32 {
                self.columns::<S, 8, 3>();
            } else {
                self.columns::<S, 6, 1>();
            }
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Set, const ROWS: usize, const VECTORS: usize>(&self) {
        let lanes = T::Vector::<S>::LANES;
        let n = self.shape[2];
        let mut column = 0;
        // SAFETY: columns of B and of C, the last vector's lanes counted.
        unsafe {
            while column < n {
                let left = n - column;
                let vectors = VECTORS.min(left.div_ceil(lanes));
                let last = lanes.min(left - (vectors - 1) * lanes);
                match vectors {
                    1 => self.rows::<S, ROWS, 1>(column, last),
                    2 => self.rows::<S, ROWS, 2>(column, last),
                    _ => self.rows::<S, ROWS, 3>(column, last),
                }
                column += vectors * lanes;
            }
        }
    }

    #[inline(always)]
    unsafe fn rows<S: Set, const ROWS: usize, const VECTORS: usize>(
        &self,
        column: usize,
        last: usize,
    ) {
        let m = self.shape[0];
        let mut row = 0;
        // SAFETY: rows of A and of C.
        unsafe {
            while row + ROWS <= m {
                self.tile::<S, ROWS, VECTORS>([row, column], last);
                row += ROWS;
            }
            if row + 4 <= m {
                self.tile::<S, 4, VECTORS>([row, column], last);
                row += 4;
            }
            if row + 2 <= m {
                self.tile::<S, 2, VECTORS>([row, column], last);
                row += 2;
            }
            if row < m {
                self.tile::<S, 1, VECTORS>([row, column], last);
                row += 1;
            }
            // After 6 rows there may be 5.
            while row < m {
                self.tile::<S, 1, VECTORS>([row, column], last);
                row += 1;
            }
        }
    }

    /// Computes so many rows and vectors of C, of which the last has `last` elements.
    #[inline(always)]
    unsafe fn tile<S: Set, const ROWS: usize, const VECTORS: usize>(
        &self,
        [row, column]: [usize; 2],
        last: usize,
    ) {
        let lanes = T::Vector::<S>::LANES;
        let k = self.shape[1];
        // SAFETY: elements of the operands, says the caller.
        unsafe {
            let zero = T::Vector::<S>::splat(T::ZERO);
            let load = |from: *const T| {
                let mut x = [zero; VECTORS];
                for (v, x) in x.iter_mut().enumerate() {
                    *x = match v + 1 == VECTORS && last < lanes {
                        true => zero.load_first(last, from.add(v * lanes)),
                        false => Vector::load(from.add(v * lanes)),
                    };
                }
                x
            };
            let mut sums = [[zero; VECTORS]; ROWS];
            let mut a = self.a.at([row, 0]);
            let mut b = self.b.at([0, column]);
            for _ in 0..k {
                let x = load(b);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor = a.wrapping_offset(r as isize * self.a.strides[0]).read();
                    let factor = T::Vector::<S>::splat(factor);
                    for (sum, &x) in sums.iter_mut().zip(&x) {
                        *sum = factor.mul_add(x, *sum);
                    }
                }
                a = a.wrapping_offset(self.a.strides[1]);
                b = b.wrapping_offset(self.b.strides[0]);
            }
            let (alpha, beta) = (
                T::Vector::<S>::splat(self.alpha),
                T::Vector::<S>::splat(self.beta),
            );
            for (r, sums) in sums.into_iter().enumerate() {
                let to = self.c.at([row + r, column]);
                let mut result = sums.map(|sum| match self.alpha == T::UNIT {
                    true => sum,
                    false => sum.mul(alpha),
                });
                if self.beta != T::ZERO {
                    let old = load(to);
                    for (result, old) in result.iter_mut().zip(old) {
                        *result = old.mul_add(beta, *result);
                    }
                }
                for (v, result) in result.into_iter().enumerate() {
                    match v + 1 == VECTORS && last < lanes {
                        true => result.store_first(last, to.add(v * lanes)),
                        false => result.store(to.add(v * lanes)),
                    }
                }
            }
        }
    }
}
