//! Slices seen as rows and columns.

use std::marker::PhantomData;

use crate::error::Error;
use crate::raw::{Source, Target};

/// Elements of a slice, seen as rows and columns with a stride for each. A stride may be negative or 0.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    shape: [usize; 2],
    source: Source<T>,
    of: PhantomData<&'a [T]>,
}

/// Elements of a slice to write to, seen as rows and columns. No two of them lie in one place.
#[derive(Debug)]
pub struct ViewMut<'a, T> {
    shape: [usize; 2],
    target: Target<T>,
    of: PhantomData<&'a mut [T]>,
}

impl<'a, T: Copy> View<'a, T> {
    /// A slice as one row.
    pub const fn row(slice: &'a [T]) -> Self {
        Self {
            shape: [1, slice.len()],
            source: Source::contiguous(slice.as_ptr()),
            of: PhantomData,
        }
    }

    /// A slice as rows that follow each other.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]: it has fewer elements.
    pub fn rows(slice: &'a [T], shape: [usize; 2]) -> Result<Self, Error> {
        Self::new(slice, 0, shape, [shape[1] as isize, 1])
    }

    /// The elements at `offset + row * strides[0] + column * strides[1]` of a slice.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]: some are not there.
    pub fn new(
        slice: &'a [T],
        offset: usize,
        shape: [usize; 2],
        strides: [isize; 2],
    ) -> Result<Self, Error> {
        check_bounds(slice.len(), offset, shape, strides)?;
        Ok(Self {
            shape,
            // An empty view may start anywhere.
            source: Source {
                first: slice.as_ptr().wrapping_add(offset),
                strides,
            },
            of: PhantomData,
        })
    }

    /// Returns the number of rows and of columns.
    pub const fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Returns the view with rows and columns exchanged.
    pub const fn transposed(self) -> Self {
        let [rows, columns] = self.shape;
        let [row, column] = self.source.strides;
        Self {
            shape: [columns, rows],
            source: Source {
                first: self.source.first,
                strides: [column, row],
            },
            of: PhantomData,
        }
    }

    /// Returns what the kernels over pointers take.
    pub const fn source(&self) -> Source<T> {
        self.source
    }
}

impl<'a, T: Copy> ViewMut<'a, T> {
    /// A slice as one row.
    pub const fn row(slice: &'a mut [T]) -> Self {
        Self {
            shape: [1, slice.len()],
            target: Target::contiguous(slice.as_mut_ptr()),
            of: PhantomData,
        }
    }

    /// A slice as rows that follow each other.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]: it has fewer elements.
    pub fn rows(slice: &'a mut [T], shape: [usize; 2]) -> Result<Self, Error> {
        Self::new(slice, 0, shape, [shape[1] as isize, 1])
    }

    /// The elements at `offset + row * strides[0] + column * strides[1]` of a slice.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfBounds`]: some are not there. [`Error::Overlap`]: some may lie in one place, as neither the rows nor the
    /// columns are so far apart that the others fit between.
    pub fn new(
        slice: &'a mut [T],
        offset: usize,
        shape: [usize; 2],
        strides: [isize; 2],
    ) -> Result<Self, Error> {
        check_bounds(slice.len(), offset, shape, strides)?;
        if overlaps(shape, strides) {
            return Err(Error::Overlap { shape, strides });
        }
        Ok(Self {
            shape,
            target: Target {
                first: slice.as_mut_ptr().wrapping_add(offset),
                strides,
            },
            of: PhantomData,
        })
    }

    /// Returns the number of rows and of columns.
    pub const fn shape(&self) -> [usize; 2] {
        self.shape
    }

    /// Returns what the kernels over pointers take.
    pub const fn target(&mut self) -> Target<T> {
        self.target
    }
}

/// Tells whether elements of such a view may lie in one place.
pub(crate) fn overlaps([rows, columns]: [usize; 2], strides: [isize; 2]) -> bool {
    let [row, column] = strides.map(isize::unsigned_abs);
    // One axis steps over all that the other reaches.
    let fits = |count: usize, inner: usize, outer: usize| {
        inner > 0 && outer > (count - 1).saturating_mul(inner)
    };
    match (rows, columns) {
        (0, _) | (_, 0) | (1, 1) => false,
        (1, _) => column == 0,
        (_, 1) => row == 0,
        _ => !fits(columns, column, row) && !fits(rows, row, column),
    }
}

fn check_bounds(
    length: usize,
    offset: usize,
    shape: [usize; 2],
    strides: [isize; 2],
) -> Result<(), Error> {
    let inside = || {
        if shape.contains(&0) {
            return Some(());
        }
        let (mut least, mut greatest) = (offset as i128, offset as i128);
        for (count, stride) in shape.into_iter().zip(strides) {
            let reach = (count as i128 - 1).checked_mul(stride as i128)?;
            least = least.checked_add(reach.min(0))?;
            greatest = greatest.checked_add(reach.max(0))?;
        }
        // A shape of more elements than can be counted has to repeat them; that is refused as well.
        shape[0].checked_mul(shape[1])?;
        (least >= 0 && greatest < length as i128).then_some(())
    };
    inside().ok_or(Error::OutOfBounds {
        shape,
        strides,
        length,
    })
}

// SAFETY: a view is a shared borrow of elements.
unsafe impl<T: Sync> Send for View<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for View<'_, T> {}
// SAFETY: a view to write is a mutable borrow of elements.
unsafe impl<T: Send> Send for ViewMut<'_, T> {}
