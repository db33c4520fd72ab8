//! From operands with strides to runs of elements that kernels take.

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::cost;
use crate::element::Element;
use crate::kernels::map::{Operand, Output};
use crate::kernels::sum::BLOCK;
use crate::par;
use crate::raw::{Source, Target};

/// The elements that one thread reduces at a time, so that what they give is put together in an order of its own.
const GROUP: usize = 64 * BLOCK;

/// The elements that a map over operands with gaps copies at a time.
const TILE: usize = 512;

/// The most operands that a map can have.
pub(crate) const OPERANDS: usize = 16;

/// More lanes than any vector has.
const LANES: usize = 16;

/// Where a map touches more bytes, its results go past the caches, which could not keep them: twice what the caches of most servers
/// hold for a few cores. Measured on Zen 4: 1.7 times as fast from there on, and slower below half of it.
const PAST_CACHES: usize = 64 << 20;

impl<T> Source<T> {
    /// The element in a row and a column.
    #[inline(always)]
    pub(crate) fn at(&self, [row, column]: [usize; 2]) -> *const T {
        self.first
            .wrapping_offset(row as isize * self.strides[0] + column as isize * self.strides[1])
    }
}

impl<T> Target<T> {
    /// The place in a row and a column.
    #[inline(always)]
    pub(crate) fn at(&self, [row, column]: [usize; 2]) -> *mut T {
        self.first
            .wrapping_offset(row as isize * self.strides[0] + column as isize * self.strides[1])
    }
}

/// Makes one row of all where nothing lies between the rows, of any operand.
fn flatten<const N: usize>(shape: [usize; 2], strides: &mut [[isize; 2]; N]) -> [usize; 2] {
    let [rows, columns] = shape;
    if columns == 1 {
        for [row, column] in strides {
            (*row, *column) = (0, *row);
        }
        return [1, rows];
    }
    let without_gaps = |[row, column]: &[isize; 2]| *row == *column * columns as isize;
    if rows != 1 && strides.iter().all(without_gaps) {
        return [1, rows * columns];
    }
    shape
}

/// Lets neighbours in memory be neighbours in rows. For what does not depend on the order of elements.
fn orient<const N: usize>(shape: [usize; 2], strides: &mut [[isize; 2]; N]) -> [usize; 2] {
    let distance = |axis: usize| {
        strides
            .iter()
            .map(|strides| strides[axis].unsigned_abs())
            .sum::<usize>()
    };
    if shape[0] > 1 && distance(1) > distance(0) {
        for [row, column] in strides {
            (*row, *column) = (*column, *row);
        }
        return [shape[1], shape[0]];
    }
    shape
}

/// Calls `kernel` with runs that make up all elements, on several threads if `nanos` is worth it.
///
/// # Safety
///
/// The operands must be good for reads, and `out` for writes, of all elements; `out` may be an operand and must not overlap
/// it otherwise.
pub(crate) unsafe fn map_all<T: Element, const N: usize>(
    shape: [usize; 2],
    mut inputs: [Source<T>; N],
    mut out: Target<T>,
    nanos: f64,
    kernel: impl Fn(usize, [Operand<T>; N], Output<T>) + Sync,
) {
    if shape.contains(&0) {
        return;
    }
    let mut shape = shape;
    if shape[0] > 1 {
        // `out` counts among the operands here.
        let mut strides = [[0; 2]; OPERANDS + 1];
        for (strides, input) in strides.iter_mut().zip(&inputs) {
            *strides = input.strides;
        }
        // The operands that are missing repeat it.
        strides[N..].fill(out.strides);
        shape = orient(shape, &mut strides);
        shape = flatten(shape, &mut strides);
        for (strides, input) in strides.iter().zip(&mut inputs) {
            input.strides = *strides;
        }
        out.strides = strides[N];
    }
    let streamed = is_streamed(shape, &inputs, &out);
    let kernel = |n, x: [Operand<T>; N], to: *mut T| {
        kernel(
            n,
            x,
            Output {
                first: to,
                streamed,
            },
        );
    };
    let [rows, columns] = shape;
    let segment = |row: usize, columns: Range<usize>| {
        // SAFETY: inside of what the caller promised; each thread has elements of its own.
        unsafe { map_row(row, columns, &inputs, &out, &kernel) }
    };
    if columns >= rows {
        let lanes = 64 / size_of::<T>();
        par::for_ranges(columns, lanes, nanos, |columns| {
            (0..rows).for_each(|row| segment(row, columns.clone()));
        });
    } else {
        par::for_ranges(rows, 1, nanos, |rows| {
            rows.for_each(|row| segment(row, 0..columns));
        });
    }
}

/// Whether the results of a map go past the caches.
fn is_streamed<T, const N: usize>(
    shape: [usize; 2],
    inputs: &[Source<T>; N],
    out: &Target<T>,
) -> bool {
    let operands = inputs.iter().filter(|x| x.strides != [0, 0]).count();
    let bytes = (operands + 1) * shape[0] * shape[1] * size_of::<T>();
    let in_place = || inputs.iter().any(|x| x.first == out.first.cast_const());
    bytes > PAST_CACHES && out.strides[1] == 1 && !in_place()
}

unsafe fn map_row<T: Element, const N: usize>(
    row: usize,
    columns: Range<usize>,
    inputs: &[Source<T>; N],
    out: &Target<T>,
    kernel: &impl Fn(usize, [Operand<T>; N], *mut T),
) {
    let n = columns.len();
    let direct = |stride: isize| stride == 1 || n == 1;
    let mut copies = [[MaybeUninit::<T>::uninit(); LANES]; N];
    let mut runs = inputs.map(|x| Operand {
        first: x.at([row, columns.start]),
        step: 1,
    });
    for ((x, run), copies) in inputs.iter().zip(&mut runs).zip(&mut copies) {
        if x.strides[1] == 0 {
            // SAFETY: an element of the operand.
            copies.fill(MaybeUninit::new(unsafe { run.first.read() }));
            *run = Operand {
                first: copies.as_ptr().cast(),
                step: 0,
            };
        }
    }
    let gaps = |stride: isize| !(direct(stride) || stride == 0);
    if !inputs.iter().any(|x| gaps(x.strides[1])) && direct(out.strides[1]) {
        return kernel(n, runs, out.at([row, columns.start]));
    }
    let mut tiles = [[MaybeUninit::<T>::uninit(); TILE]; N];
    let mut result = [MaybeUninit::<T>::uninit(); TILE];
    let mut start = columns.start;
    while start < columns.end {
        let n = TILE.min(columns.end - start);
        let mut parts = runs;
        for ((x, part), tile) in inputs.iter().zip(&mut parts).zip(&mut tiles) {
            if gaps(x.strides[1]) {
                for (i, element) in tile[..n].iter_mut().enumerate() {
                    // SAFETY: an element of the operand.
                    element.write(unsafe { x.at([row, start + i]).read() });
                }
                part.first = tile.as_ptr().cast();
            } else if part.step == 1 {
                part.first = x.at([row, start]);
            }
        }
        if direct(out.strides[1]) {
            kernel(n, parts, out.at([row, start]));
        } else {
            kernel(n, parts, result.as_mut_ptr().cast());
            for (i, element) in result[..n].iter().enumerate() {
                // SAFETY: a place of the output; the kernel has written n elements.
                unsafe { out.at([row, start + i]).write(element.assume_init()) };
            }
        }
        start += n;
    }
}

/// All elements of some operands as runs that lie side by side, in the order of rows.
pub(crate) struct Runs<T, const N: usize> {
    shape: [usize; 2],
    inputs: [Source<T>; N],
}

impl<T: Element, const N: usize> Runs<T, N> {
    /// `any_order`: whether elements may be taken in another order than that of rows.
    pub(crate) fn new(shape: [usize; 2], mut inputs: [Source<T>; N], any_order: bool) -> Self {
        if shape.contains(&0) {
            return Self {
                shape: [0, 0],
                inputs,
            };
        }
        let mut strides = inputs.map(|x| x.strides);
        let mut shape = shape;
        if any_order {
            shape = orient(shape, &mut strides);
        }
        shape = flatten(shape, &mut strides);
        for (input, strides) in inputs.iter_mut().zip(strides) {
            input.strides = strides;
        }
        Self { shape, inputs }
    }

    pub(crate) fn len(&self) -> usize {
        self.shape[0] * self.shape[1]
    }

    /// Puts together what `part` gives for the elements of each group.
    pub(crate) fn fold<P: Send>(
        &self,
        part: impl Fn(Range<usize>) -> P + Sync,
        merge: impl FnMut(P, P) -> P,
    ) -> Option<P> {
        let n = self.len();
        let nanos = cost::reduction::<T>(N, n);
        par::fold(
            n.div_ceil(GROUP),
            nanos,
            |group| part(group * GROUP..n.min((group + 1) * GROUP)),
            merge,
        )
    }

    /// Calls `f` with the elements of a range, as one run where they lie side by side and else by blocks, with the index of
    /// the first of each.
    ///
    /// # Safety
    ///
    /// The operands must be good for reads of all elements.
    pub(crate) unsafe fn each_run(
        &self,
        range: Range<usize>,
        mut f: impl FnMut(usize, usize, [*const T; N]),
    ) {
        if self.shape[0] == 1 && self.inputs.iter().all(|x| x.strides[1] == 1) {
            return f(
                range.start,
                range.len(),
                self.inputs.map(|x| x.at([0, range.start])),
            );
        }
        // SAFETY: promised by the caller.
        unsafe { self.each_block(range, f) }
    }

    /// As [`each_run`](Self::each_run), but always by blocks.
    ///
    /// # Safety
    ///
    /// The operands must be good for reads of all elements.
    pub(crate) unsafe fn each_block(
        &self,
        range: Range<usize>,
        mut f: impl FnMut(usize, usize, [*const T; N]),
    ) {
        let mut start = range.start;
        while start < range.end {
            let n = BLOCK.min(range.end - start);
            // SAFETY: promised by the caller.
            unsafe { self.with_block(start, n, |x| f(start, n, x)) };
            start += n;
        }
    }

    /// Calls `f` with `n` elements, at most a block of them, copied if they do not lie side by side.
    ///
    /// # Safety
    ///
    /// The operands must be good for reads of all elements, and these among them.
    pub(crate) unsafe fn with_block<R>(
        &self,
        start: usize,
        n: usize,
        f: impl FnOnce([*const T; N]) -> R,
    ) -> R {
        let [rows, columns] = self.shape;
        if rows == 1 && self.inputs.iter().all(|x| x.strides[1] == 1) {
            return f(self.inputs.map(|x| x.at([0, start])));
        }
        let mut copies = [[MaybeUninit::<T>::uninit(); BLOCK]; N];
        for (x, copies) in self.inputs.iter().zip(&mut copies) {
            let (mut row, mut column) = (start / columns, start % columns);
            let mut rest = &mut copies[..n];
            while !rest.is_empty() {
                let here = rest.len().min(columns - column);
                let (now, later) = rest.split_at_mut(here);
                for (i, copy) in now.iter_mut().enumerate() {
                    // SAFETY: an element of the operand.
                    copy.write(unsafe { x.at([row, column + i]).read() });
                }
                rest = later;
                (row, column) = (row + 1, 0);
            }
        }
        f(copies.each_ref().map(|copies| copies.as_ptr().cast()))
    }
}
