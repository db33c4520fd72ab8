//! Reductions along one axis. A line is what one number comes out of.

use std::marker::PhantomData;
use std::ops::Range;

use super::{Source, Target, extremum, total};
use crate::axis::Axis;
use crate::cost;
use crate::dispatch::{self, level};
use crate::element::Element;
use crate::error::Error;
use crate::kernels::columns::{ColumnExtrema, Rows, TILE};
use crate::kernels::extremum::{Greatest, Least, Order};
use crate::kernels::sum::Accumulate;
use crate::par;

/// Writes the sum along an axis for each row or column; see [`axis`](crate::axis).
///
/// # Safety
///
/// As [`sum`](super::sum); `out` must be good for writes of [`Axis::results`] elements.
pub unsafe fn sum_axis<T: Element>(shape: [usize; 2], x: Source<T>, axis: Axis, out: *mut T::Sum) {
    // SAFETY: promised by the caller.
    unsafe { totals(&Lines::new(shape, x, axis), out, T::finish) }
}

/// Writes the mean along an axis for each row or column; see [`axis`](crate::axis).
///
/// # Safety
///
/// As [`sum_axis`].
pub unsafe fn mean_axis<T: Element>(shape: [usize; 2], x: Source<T>, axis: Axis, out: *mut f64) {
    let lines = Lines::new(shape, x, axis);
    // SAFETY: promised by the caller.
    unsafe { totals(&lines, out, |total| total.mean(lines.length)) }
}

/// Writes the least element along an axis for each row or column; see [`axis`](crate::axis).
///
/// # Errors
///
/// [`Error::Shape`]: there is nothing to choose from.
///
/// # Safety
///
/// As [`sum_axis`].
pub unsafe fn min_axis<T: Element>(
    shape: [usize; 2],
    x: Source<T>,
    axis: Axis,
    out: *mut T,
) -> Result<(), Error> {
    // SAFETY: promised by the caller.
    unsafe { extrema::<T, Least>(shape, x, axis, out) }
}

/// Writes the greatest element along an axis for each row or column; see [`axis`](crate::axis).
///
/// # Errors
///
/// [`Error::Shape`]: there is nothing to choose from.
///
/// # Safety
///
/// As [`sum_axis`].
pub unsafe fn max_axis<T: Element>(
    shape: [usize; 2],
    x: Source<T>,
    axis: Axis,
    out: *mut T,
) -> Result<(), Error> {
    // SAFETY: promised by the caller.
    unsafe { extrema::<T, Greatest>(shape, x, axis, out) }
}

unsafe fn totals<T: Element, R: Send>(
    lines: &Lines<T>,
    out: *mut R,
    finish: impl Fn(T::Total) -> R + Sync,
) {
    let out = Target::contiguous(out);
    let write = |line: usize, total: T::Total| {
        // SAFETY: there is a place for each line, says the caller.
        unsafe { out.at([0, line]).write(finish(total)) };
    };
    if lines.are_columns() {
        let level = level();
        lines.each_tile(|tile| {
            let mut totals = [T::Total::default(); TILE];
            // SAFETY: an available set; elements as promised by the caller.
            unsafe { T::column_sums(level, lines.rows(&tile), &mut totals) };
            tile.zip(totals)
                .for_each(|(line, total)| write(line, total));
        });
    } else {
        lines.each(|line| {
            // SAFETY: promised by the caller.
            write(line, unsafe {
                total([1, lines.length], lines.source(line))
            });
        });
    }
}

unsafe fn extrema<T: Element, O: Order>(
    shape: [usize; 2],
    x: Source<T>,
    axis: Axis,
    out: *mut T,
) -> Result<(), Error> {
    let lines = Lines::new(shape, x, axis);
    if lines.length == 0 && lines.count > 0 {
        let expected = shape.map(|n| n.max(1));
        return Err(Error::Shape {
            operand: "x",
            expected,
            found: shape,
        });
    }
    let out = Target::contiguous(out);
    // SAFETY: there is a place for each line, says the caller.
    let write = |line: usize, best: T| unsafe { out.at([0, line]).write(best) };
    if lines.are_columns() {
        let level = level();
        lines.each_tile(|tile| {
            let mut best = [O::last::<T>(); TILE];
            let (rows, order) = (lines.rows(&tile), PhantomData::<O>);
            // SAFETY: an available set; elements as promised by the caller.
            unsafe {
                dispatch::run(
                    level,
                    ColumnExtrema {
                        rows,
                        best: &mut best,
                        order,
                    },
                )
            };
            tile.zip(best).for_each(|(line, best)| write(line, best));
        });
    } else {
        lines.each(|line| {
            // SAFETY: promised by the caller.
            let best = unsafe { extremum::<T, O>([1, lines.length], lines.source(line)) };
            if let Some(best) = best {
                write(line, best);
            }
        });
    }
    Ok(())
}

/// What a reduction along an axis goes over.
struct Lines<T> {
    count: usize,
    length: usize,
    /// The lines as rows.
    x: Source<T>,
}

impl<T: Element> Lines<T> {
    fn new([rows, columns]: [usize; 2], x: Source<T>, axis: Axis) -> Self {
        let [row, column] = x.strides;
        let (count, length, strides) = match axis {
            Axis::Rows => (columns, rows, [column, row]),
            Axis::Columns => (rows, columns, [row, column]),
        };
        Self {
            count,
            length,
            x: Source {
                first: x.first,
                strides,
            },
        }
    }

    /// Whether elements of several lines lie side by side.
    fn are_columns(&self) -> bool {
        self.count > 1 && self.x.strides[0] == 1 && self.x.strides[1] != 1
    }

    fn nanos(&self) -> f64 {
        cost::reduction::<T>(1, self.count * self.length)
    }

    /// Calls `f` with each line, on several threads if that pays.
    fn each(&self, f: impl Fn(usize) + Sync) {
        // A line that is worth it is shared itself.
        let shared = cost::reduction::<T>(1, self.length) >= par::WORTHWHILE;
        let nanos = if shared { 0.0 } else { self.nanos() };
        par::for_ranges(self.count, 1, nanos, |lines| lines.for_each(&f));
    }

    /// Calls `f` with so many lines at a time, on several threads if that pays.
    fn each_tile(&self, f: impl Fn(Range<usize>) + Sync) {
        par::for_each(self.count.div_ceil(TILE), self.nanos(), |tile| {
            f(tile * TILE..self.count.min((tile + 1) * TILE));
        });
    }

    fn source(&self, line: usize) -> Source<T> {
        Source {
            first: self.x.at([line, 0]),
            strides: [0, self.x.strides[1]],
        }
    }

    /// Some lines that lie side by side, as columns.
    fn rows(&self, lines: &Range<usize>) -> Rows<T> {
        Rows {
            first: self.x.at([lines.start, 0]),
            rows: self.length,
            stride: self.x.strides[1],
            columns: lines.len(),
        }
    }
}
