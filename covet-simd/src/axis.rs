//! Reductions of views along one axis: a number out of each column, or out of each row.
//!
//! Axis 0 goes along the rows, so that one number comes out of each column; axis 1 goes along the columns. That is NumPy's
//! count. Floats are added in `f64` with the errors kept, on either axis.

use crate::element::Element;
use crate::error::Error;
use crate::raw;
use crate::view::View;

/// Along which axis a reduction goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Axis 0: all rows of a column are reduced to one number.
    Rows,
    /// Axis 1: all columns of a row are reduced to one number.
    Columns,
}

impl Axis {
    /// Returns how many numbers come out.
    pub const fn results(self, [rows, columns]: [usize; 2]) -> usize {
        match self {
            Self::Rows => columns,
            Self::Columns => rows,
        }
    }
}

macro_rules! along_axis {
    ($($name:ident -> $result:ty, $what:literal, $empty:literal;)*) => {
        $(
            #[doc = concat!("Writes ", $what, " along an axis to `out`. ", $empty)]
            ///
            /// # Errors
            ///
            /// [`Error::Length`]: `out` has another length than numbers come out.
            pub fn $name<T: Element>(x: View<'_, T>, axis: Axis, out: &mut [$result]) -> Result<(), Error> {
                check(x, axis, out)?;
                // SAFETY: a view is good for reads, and `out` is as long as it has to be.
                unsafe { raw::$name(x.shape(), x.source(), axis, out.as_mut_ptr()) };
                Ok(())
            }
        )*
    };
}

along_axis! {
    sum_axis -> T::Sum, "the sums", "Of nothing they are 0.";
    mean_axis -> f64, "the means", "Of nothing they are NaN.";
}

macro_rules! extremum_along_axis {
    ($($name:ident $what:literal;)*) => {
        $(
            #[doc = concat!("Writes ", $what, " along an axis to `out`; NaN where any element is.")]
            ///
            /// # Errors
            ///
            /// [`Error::Length`]: `out` has another length than numbers come out. [`Error::Shape`]: there is nothing to choose from.
            pub fn $name<T: Element>(x: View<'_, T>, axis: Axis, out: &mut [T]) -> Result<(), Error> {
                check(x, axis, out)?;
                // SAFETY: a view is good for reads, and `out` is as long as it has to be.
                unsafe { raw::$name(x.shape(), x.source(), axis, out.as_mut_ptr()) }
            }
        )*
    };
}

extremum_along_axis! {
    min_axis "the least elements";
    max_axis "the greatest elements";
}

fn check<T: Element, R>(x: View<'_, T>, axis: Axis, out: &[R]) -> Result<(), Error> {
    let expected = axis.results(x.shape());
    if out.len() == expected {
        return Ok(());
    }
    Err(Error::Length {
        operand: "out",
        expected,
        found: out.len(),
    })
}
