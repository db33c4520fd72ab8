//! Where the elements of an array lie.
//!
//! A [`View`] is a start, a shape of one or two dimensions, and the distance between neighbours in each, in bytes. It owns nothing and
//! reads nothing: other threads may write to the memory at any time, as with any buffer of Python, so it is only ever reached by raw
//! pointers.

use super::dtype::DType;

/// Elements in memory, in one or two dimensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) start: *mut u8,
    pub(crate) dtype: DType,
    /// 1 or 2.
    pub(crate) ndim: usize,
    /// Of `ndim` dimensions; those beyond are 1.
    pub(crate) shape: [isize; 2],
    /// In bytes; those beyond `ndim` are 0.
    pub(crate) strides: [isize; 2],
}

/// A shape, and how many dimensions it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) ndim: usize,
    pub(crate) lengths: [isize; 2],
}

impl Shape {
    pub(crate) const fn one(length: isize) -> Self {
        Self {
            ndim: 1,
            lengths: [length, 1],
        }
    }

    pub(crate) const fn two(rows: isize, columns: isize) -> Self {
        Self {
            ndim: 2,
            lengths: [rows, columns],
        }
    }

    /// How many elements there are; `None` when that, times eight bytes, is more than memory can be.
    pub(crate) fn count(self) -> Option<usize> {
        let count = self.lengths[0].checked_mul(self.lengths[1])?;
        count.checked_mul(8).map(|_| count as usize)
    }

    /// The shape that elements of both are combined in: a length of 1 goes with any. `None` if they do not fit.
    #[inline]
    pub(crate) fn broadcast(self, other: Self) -> Option<Self> {
        if self == other {
            return Some(self);
        }
        let (a, b) = (self.as_rows(), other.as_rows());
        let fit = |a, b| match (a, b) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        };
        let (rows, columns) = (fit(a[0], b[0])?, fit(a[1], b[1])?);
        Some(match self.ndim.max(other.ndim) {
            1 => Self::one(columns),
            _ => Self::two(rows, columns),
        })
    }

    /// Rows and columns; one dimension is one row.
    #[inline]
    fn as_rows(self) -> [isize; 2] {
        match self.ndim {
            1 => [1, self.lengths[0]],
            _ => self.lengths,
        }
    }

    /// As Python writes it: `(3,)`.
    pub(crate) fn text(self) -> String {
        match self.ndim {
            1 => format!("({},)", self.lengths[0]),
            _ => format!("({}, {})", self.lengths[0], self.lengths[1]),
        }
    }
}

/// One view as rows: where the first begins, how many there are and how long, and the distances, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) start: *mut u8,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: isize,
    pub(crate) stride: isize,
}

impl Rows {
    /// Where a row begins.
    ///
    /// # Safety
    /// `row` is below `rows`, and the memory is there.
    #[inline]
    pub(crate) unsafe fn row(&self, row: usize) -> *mut u8 {
        // SAFETY: as promised.
        unsafe { self.start.offset(self.row_stride * row as isize) }
    }
}

impl View {
    /// A view of memory without gaps.
    #[inline]
    pub(crate) fn packed(start: *mut u8, dtype: DType, shape: Shape) -> Self {
        let size = dtype.size() as isize;
        let strides = match shape.ndim {
            1 => [size, 0],
            _ => [shape.lengths[1] * size, size],
        };
        Self {
            start,
            dtype,
            ndim: shape.ndim,
            shape: shape.lengths,
            strides,
        }
    }

    #[inline]
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            ndim: self.ndim,
            lengths: self.shape,
        }
    }

    /// How many elements there are.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        (self.shape[0] * self.shape[1]) as usize
    }

    /// How many bytes the elements have, without gaps.
    pub(crate) fn bytes(&self) -> usize {
        self.count() * self.dtype.size()
    }

    /// Whether the elements lie one after the other, in the order of C.
    #[inline]
    pub(crate) fn is_packed(&self) -> bool {
        let size = self.dtype.size() as isize;
        if self.ndim == 1 {
            return self.strides[0] == size || self.shape[0] <= 1;
        }
        let [rows, columns] = self.shape;
        rows * columns == 0
            || ((columns == 1 || self.strides[1] == size)
                && (rows == 1 || self.strides[0] == columns * size))
    }

    /// Whether every element lies at a multiple of its size: what kernels read.
    #[inline]
    pub(crate) fn is_aligned(&self) -> bool {
        let mask = self.dtype.size() - 1;
        (self.start as usize | self.strides[0] as usize | self.strides[1] as usize) & mask == 0
    }

    pub(crate) fn transposed(&self) -> Self {
        match self.ndim {
            1 => *self,
            _ => Self {
                shape: [self.shape[1], self.shape[0]],
                strides: [self.strides[1], self.strides[0]],
                ..*self
            },
        }
    }

    /// As rows that are as long as can be: memory without gaps is one row.
    #[inline]
    pub(crate) fn rows(&self) -> Rows {
        if self.is_packed() {
            return Rows {
                start: self.start,
                rows: 1,
                columns: self.count(),
                row_stride: 0,
                stride: self.dtype.size() as isize,
            };
        }
        self.own_rows()
    }

    /// As the rows that it has.
    #[inline]
    pub(crate) fn own_rows(&self) -> Rows {
        let (shape, strides) = match self.ndim {
            1 => ([1, self.shape[0]], [0, self.strides[0]]),
            _ => (self.shape, self.strides),
        };
        Rows {
            start: self.start,
            rows: shape[0] as usize,
            columns: shape[1] as usize,
            row_stride: strides[0],
            stride: strides[1],
        }
    }

    /// The same elements in a shape that it broadcasts to: what is repeated has no distance.
    #[inline]
    pub(crate) fn repeated(&self, shape: Shape) -> Rows {
        let own = self.own_rows();
        let [rows, columns] = shape.as_rows();
        Rows {
            start: self.start,
            rows: rows as usize,
            columns: columns as usize,
            row_stride: if own.rows == 1 { 0 } else { own.row_stride },
            stride: if own.columns == 1 { 0 } else { own.stride },
        }
    }

    /// The first address, and the first one behind.
    pub(crate) fn extent(&self) -> (usize, usize) {
        let start = self.start as isize;
        if self.count() == 0 {
            return (start as usize, start as usize);
        }
        let (mut low, mut high) = (start, start + self.dtype.size() as isize);
        for dimension in 0..2 {
            let reach = (self.shape[dimension] - 1) * self.strides[dimension];
            low += reach.min(0);
            high += reach.max(0);
        }
        (low as usize, high as usize)
    }

    /// Whether both are the very same elements in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.start == other.start
            && self.dtype == other.dtype
            && self.shape() == other.shape()
            && self.strides == other.strides
    }

    /// Whether the two may have memory in common: whether their extents do.
    pub(crate) fn may_overlap(&self, other: &Self) -> bool {
        let (a, b) = (self.extent(), other.extent());
        a.0 < b.1 && b.0 < a.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_combine_as_numpys_do() {
        let (one, two) = (Shape::one, Shape::two);
        for (a, b, expected) in [
            (one(3), one(3), Some(one(3))),
            (one(3), one(1), Some(one(3))),
            (one(3), two(2, 3), Some(two(2, 3))),
            (two(2, 1), one(3), Some(two(2, 3))),
            (two(2, 1), two(1, 3), Some(two(2, 3))),
            (one(0), one(1), Some(one(0))),
            (one(2), one(3), None),
            (two(2, 3), one(2), None),
        ] {
            assert_eq!(a.broadcast(b), expected, "{a:?} {b:?}");
            assert_eq!(b.broadcast(a), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn packed_is_what_has_no_gaps() {
        let mut elements = [0f32; 12];
        let start = elements.as_mut_ptr().cast();
        let all = View::packed(start, DType::Float32, Shape::two(3, 4));
        assert!(all.is_packed() && !all.transposed().is_packed());
        assert_eq!(all.extent().1 - all.extent().0, 48);
        assert_eq!(all.transposed().extent(), all.extent());
        let column = View {
            shape: [3, 1],
            ..all
        };
        assert!(!column.is_packed() && column.rows().rows == 3);
        assert!(View::packed(start, DType::Float32, Shape::two(0, 4)).is_packed());
    }
}
