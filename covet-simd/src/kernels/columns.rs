//! Reductions of columns that lie side by side, so that memory is read row by row. All but the sums of floats are plain loops, which
//! the compiler makes vectors of, as the columns have nothing to do with each other.

use std::marker::PhantomData;
use std::ops::Range;

use crate::dispatch::Kernel;
use crate::kernels::extremum::Order;
use crate::kernels::number::{Number, Real};
use crate::kernels::sum::{
    Accumulate, BLOCK, Carry, Halves, ROUND, Total, Values, Whole, exact_block, round,
};
use crate::vector::{Set, Vector};

/// Rows of elements side by side.
pub struct Rows<T> {
    pub(crate) first: *const T,
    pub(crate) rows: usize,
    /// From one row to the next, in elements.
    pub(crate) stride: isize,
    pub(crate) columns: usize,
}

impl<T: Number> Rows<T> {
    /// The first element of a row.
    #[inline(always)]
    fn row(&self, row: usize) -> *const T {
        self.first.wrapping_offset(row as isize * self.stride)
    }
}

/// The columns that are reduced at a time.
pub(crate) const TILE: usize = 512;

/// The vectors of so many columns, of the longest elements.
const MOST_VECTORS: usize = TILE / 8;

/// Writes the total of each column, of at most [`TILE`].
pub(crate) struct ColumnSums<'a, T, A> {
    pub(crate) rows: Rows<T>,
    pub(crate) totals: &'a mut [A],
}

/// As sums of elements side by side, with rows for vectors: by blocks, of rounds of rows.
impl<T: Real> Kernel for ColumnSums<'_, T, Total> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Set>(self) {
        let Rows { rows, columns, .. } = self.rows;
        let totals = &mut self.totals[..columns];
        let lanes = T::Vector::<S>::LANES;
        let mut start = 0;
        while start < rows {
            let end = rows.min(start + BLOCK);
            // SAFETY: the set is available, and there are so many rows and columns, says the caller.
            unsafe {
                let mut carries = [T::Carry::<S>::zero(); MOST_VECTORS];
                let carries = &mut carries[..columns.div_ceil(lanes)];
                let mut row = start;
                while row < end {
                    self.rows.round::<S>(row..end.min(row + ROUND), carries);
                    row += ROUND;
                }
                for (i, carry) in carries.iter().enumerate() {
                    for (column, mut sum) in (i * lanes..columns).zip(carry.lanes()) {
                        if !sum.value().is_finite() && size_of::<T>() < size_of::<f64>() {
                            let x = self.rows.row(start).add(column);
                            sum = exact_block(Values, end - start, [x; 2], self.rows.stride);
                        }
                        totals[column].merge(sum);
                    }
                }
            }
            start = end;
        }
    }
}

impl<T: Real> Rows<T> {
    /// Adds up to [`ROUND`] rows to the carries.
    #[inline(always)]
    unsafe fn round<S: Set>(&self, rows: Range<usize>, carries: &mut [T::Carry<S>]) {
        let lanes = T::Vector::<S>::LANES;
        // SAFETY: the set is available, and these are among the rows, says the caller.
        unsafe {
            let nothing = T::Vector::<S>::splat(T::ZERO);
            for (i, carry) in carries.iter_mut().enumerate() {
                let column = i * lanes;
                let count = lanes.min(self.columns - column);
                let mut x = [nothing; ROUND];
                if count == lanes && rows.len() == ROUND {
                    for (k, x) in x.iter_mut().enumerate() {
                        *x = Vector::load(self.row(rows.start + k).add(column));
                    }
                } else {
                    for (x, row) in x.iter_mut().zip(rows.clone()) {
                        *x = nothing.load_first(count, self.row(row).add(column));
                    }
                }
                carry.add(round::<T, S, Values>(Values, x, x));
            }
        }
    }
}

impl<T: Halves> Kernel for ColumnSums<'_, T, Whole> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Set>(self) {
        let totals = &mut self.totals[..self.rows.columns];
        let mut start = 0;
        while start < self.rows.rows {
            let end = self.rows.rows.min(start + T::MOST);
            // Apart from each other, for the sake of vectors.
            let (mut wrapped, mut upper) = ([T::ZERO; TILE], [T::ZERO; TILE]);
            let (wrapped, upper) = (&mut wrapped[..totals.len()], &mut upper[..totals.len()]);
            for row in start..end {
                let row = self.rows.row(row);
                for (column, (wrapped, upper)) in wrapped.iter_mut().zip(&mut *upper).enumerate() {
                    // SAFETY: one of the elements, says the caller.
                    let value = unsafe { row.add(column).read() };
                    *wrapped = wrapped.wrapping_add(value);
                    *upper = upper.wrapping_add(value.upper());
                }
            }
            for (column, total) in totals.iter_mut().enumerate() {
                total.merge(T::whole(wrapped[column], upper[column]));
            }
            start = end;
        }
    }
}

/// Finds the extremum of each column, beginning with those that are there already; NaN if any is.
pub(crate) struct ColumnExtrema<'a, T, O> {
    pub(crate) rows: Rows<T>,
    pub(crate) best: &'a mut [T],
    pub(crate) order: PhantomData<O>,
}

impl<T: Number, O: Order> Kernel for ColumnExtrema<'_, T, O> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<S: Set>(self) {
        let best = &mut self.best[..self.rows.columns];
        for row in 0..self.rows.rows {
            let row = self.rows.row(row);
            for (column, best) in best.iter_mut().enumerate() {
                // SAFETY: one of the elements, says the caller.
                let x = unsafe { row.add(column).read() };
                #[allow(clippy::eq_op)] // that is what NaN is, and nothing comes before it
                let first = O::before(x, *best) || x != x;
                *best = if first { x } else { *best };
            }
        }
    }
}
