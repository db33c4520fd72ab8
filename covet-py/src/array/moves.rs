//! Elements that are copied, filled and picked: loops of plain Rust over views of any layout.
//!
//! Unsafe for the reason that [`kernels`](super::kernels) gives.

use super::dtype::{DType, with_type};
use super::kernels::{run, time_of};
use super::layout::{Rows, View};
use super::operand::Number;
use covet_interp::raw::Raised;
use std::ptr;

/// Copies elements to those of another view of the same shape, which may be of another dtype.
pub(crate) unsafe fn copy(from: &View, to: &View) {
    // SAFETY: as the module says.
    unsafe { copy_repeated(from, to) }
}

/// The same for a view whose shape repeats to the other's.
pub(crate) unsafe fn copy_repeated(from: &View, to: &View) {
    if to.count() == 0 || from.is_same(to) {
        return;
    }
    run(time_of(from) + time_of(to), || {
        // SAFETY: as the module says.
        unsafe {
            let same_shape = from.shape() == to.shape();
            if same_shape && from.dtype == to.dtype && from.is_packed() && to.is_packed() {
                ptr::copy(from.start, to.start, to.bytes());
                return;
            }
            let (a, b) = match same_shape && from.is_packed() && to.is_packed() {
                true => (from.rows(), to.rows()),
                false => (from.repeated(to.shape()), to.own_rows()),
            };
            if to.dtype == DType::Bool {
                with_type!(from.dtype, A => each::<A, u8>(&a, &b, |value| u8::from(value != 0 as A)));
                return;
            }
            with_type!(from.dtype, A => with_type!(to.dtype, B => each::<A, B>(&a, &b, |value| value as B)));
        }
    });
}

/// Writes a function of each element.
#[inline(always)] // with the function, so that the loop is made of vectors
unsafe fn each<A: Copy, B>(from: &Rows, to: &Rows, function: impl Fn(A) -> B) {
    let packed = from.stride == size_of::<A>() as isize && to.stride == size_of::<B>() as isize;
    // SAFETY: as the module says; inputs that are not aligned are read so, too.
    unsafe {
        for row in 0..to.rows {
            let (a, b) = (from.row(row), to.row(row));
            if packed {
                let (a, b) = (a.cast::<A>(), b.cast::<B>());
                for i in 0..to.columns {
                    b.add(i).write(function(a.add(i).read_unaligned()));
                }
            } else {
                for i in 0..to.columns as isize {
                    let value = a.offset(i * from.stride).cast::<A>().read_unaligned();
                    b.offset(i * to.stride)
                        .cast::<B>()
                        .write_unaligned(function(value));
                }
            }
        }
    }
}

/// Writes a number into every element.
pub(crate) unsafe fn fill(to: &View, number: Number) -> Result<(), Raised> {
    let mut element = [0u64];
    let element = element.as_mut_ptr().cast::<u8>();
    // SAFETY: as the module says; an element has at most eight bytes.
    unsafe {
        number.write(element, to.dtype)?;
        with_type!(to.dtype, T => {
            let value = *element.cast::<T>();
            run(time_of(to), || generate::<T>(to, |_| value));
        });
    }
    Ok(())
}

/// Writes a function of the place of each element.
#[inline(always)] // as above
pub(crate) unsafe fn generate<T>(to: &View, function: impl Fn(usize) -> T) {
    let rows = to.rows();
    // SAFETY: as the module says.
    unsafe {
        for row in 0..rows.rows {
            let start = rows.row(row);
            for i in 0..rows.columns {
                let place = start.offset(i as isize * rows.stride).cast::<T>();
                place.write_unaligned(function(row * rows.columns + i));
            }
        }
    }
}

// Masks.

/// How many elements of a view of bool are true.
pub(crate) unsafe fn count_true(mask: &View) -> usize {
    let rows = mask.rows();
    let mut count = 0;
    // SAFETY: as the module says.
    unsafe {
        for row in 0..rows.rows {
            let start = rows.row(row);
            for i in 0..rows.columns as isize {
                count += usize::from(*start.offset(i * rows.stride) != 0);
            }
        }
    }
    count
}

/// Copies the elements whose place in the mask is set to the beginning of `to`, as many as it has; returns how many there were.
pub(crate) unsafe fn pick<T: Copy>(from: &View, mask: &View, to: &View) -> usize {
    let (from, mask, room) = (from.own_rows(), mask.own_rows(), to.count());
    let mut taken = 0;
    // SAFETY: as the module says; `to` has no gaps.
    unsafe {
        for row in 0..from.rows {
            let (a, m) = (from.row(row), mask.row(row));
            for i in 0..from.columns as isize {
                if *m.offset(i * mask.stride) != 0 {
                    if taken == room {
                        return room + 1;
                    }
                    let value = a.offset(i * from.stride).cast::<T>().read_unaligned();
                    to.start.cast::<T>().add(taken).write(value);
                    taken += 1;
                }
            }
        }
    }
    taken
}

/// Writes a value to the elements whose place in the mask is set.
pub(crate) unsafe fn fill_masked<T: Copy>(to: &View, mask: &View, value: T) {
    let (to, mask) = (to.own_rows(), mask.own_rows());
    // SAFETY: as the module says.
    unsafe {
        for row in 0..to.rows {
            let (b, m) = (to.row(row), mask.row(row));
            for i in 0..to.columns as isize {
                if *m.offset(i * mask.stride) != 0 {
                    b.offset(i * to.stride).cast::<T>().write_unaligned(value);
                }
            }
        }
    }
}
