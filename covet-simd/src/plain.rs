//! Operations that no instruction set has a vector form of, and those that give truth values: loops of plain Rust.
//!
//! Division rounded down and its remainder as Python defines them, powers, comparisons, and logic. Operands are those of
//! [`raw`](crate::raw), and so is what their callers promise; they run on the calling thread.

use std::fmt;

use crate::raw::{Source, Target};

/// An operation of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Arithmetic {
    /// `x // y`, rounded down.
    FloorDivide,
    /// `x % y`, with the sign of `y`.
    Remainder,
    /// `x ** y`; integers wrap.
    Power,
}

impl Arithmetic {
    /// Returns the operation's name, as NumPy calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FloorDivide => "floor_divide",
            Self::Remainder => "remainder",
            Self::Power => "power",
        }
    }
}

/// A comparison; any with NaN is false, but that they are not equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // they say it
pub enum Compare {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
}

/// An operation on bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // they say it
pub enum Logic {
    And,
    Or,
    Xor,
}

/// Why integers have no result. Elements before may have been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoInteger {
    /// A division by 0.
    DividedByZero,
    /// A negative power.
    NegativePower,
}

impl fmt::Display for NoInteger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DividedByZero => "expected integers other than 0 to divide by; found 0",
            Self::NegativePower => {
                "expected powers of integers that are at least 0; found a negative one: use floats"
            }
        })
    }
}

impl std::error::Error for NoInteger {}

/// A number with Python's division.
pub trait Divide: Copy + PartialOrd + sealed::Sealed {
    /// Returns `self // other`; `None` for an integer divided by 0.
    fn floor_divide(self, other: Self) -> Option<Self>;
    /// Returns `self % other`; `None` for an integer divided by 0.
    fn remainder(self, other: Self) -> Option<Self>;
    /// Returns `self ** other`; `None` for an integer to a negative power.
    fn power(self, other: Self) -> Option<Self>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i32 {}
    impl Sealed for i64 {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// Computes `op` of each two elements.
///
/// # Errors
///
/// [`NoInteger`].
///
/// # Safety
///
/// As [`raw::binary`](crate::raw::binary).
pub unsafe fn arithmetic<T: Divide>(
    op: Arithmetic,
    shape: [usize; 2],
    x: Source<T>,
    y: Source<T>,
    out: Target<T>,
) -> Result<(), NoInteger> {
    // SAFETY: promised by the caller.
    let all = unsafe {
        match op {
            Arithmetic::FloorDivide => try_each(shape, x, y, out, T::floor_divide),
            Arithmetic::Remainder => try_each(shape, x, y, out, T::remainder),
            Arithmetic::Power => try_each(shape, x, y, out, T::power),
        }
    };
    all.ok_or(match op {
        Arithmetic::Power => NoInteger::NegativePower,
        _ => NoInteger::DividedByZero,
    })
}

/// Compares each two elements: 1 where it holds, else 0.
///
/// # Safety
///
/// As [`raw::binary`](crate::raw::binary).
pub unsafe fn compare<T: Copy + PartialOrd>(
    op: Compare,
    shape: [usize; 2],
    x: Source<T>,
    y: Source<T>,
    out: Target<u8>,
) {
    // SAFETY: promised by the caller.
    unsafe {
        match op {
            Compare::Less => each(shape, x, y, out, |x, y| u8::from(x < y)),
            Compare::LessEqual => each(shape, x, y, out, |x, y| u8::from(x <= y)),
            Compare::Equal => each(shape, x, y, out, |x, y| u8::from(x == y)),
            Compare::NotEqual => each(shape, x, y, out, |x, y| u8::from(x != y)),
            Compare::Greater => each(shape, x, y, out, |x, y| u8::from(x > y)),
            Compare::GreaterEqual => each(shape, x, y, out, |x, y| u8::from(x >= y)),
        }
    }
}

/// Combines the bits of each two elements.
///
/// # Safety
///
/// As [`raw::binary`](crate::raw::binary).
pub unsafe fn logic<T>(op: Logic, shape: [usize; 2], x: Source<T>, y: Source<T>, out: Target<T>)
where
    T: Copy
        + std::ops::BitAnd<Output = T>
        + std::ops::BitOr<Output = T>
        + std::ops::BitXor<Output = T>,
{
    // SAFETY: promised by the caller.
    unsafe {
        match op {
            Logic::And => each(shape, x, y, out, |x, y| x & y),
            Logic::Or => each(shape, x, y, out, |x, y| x | y),
            Logic::Xor => each(shape, x, y, out, |x, y| x ^ y),
        }
    }
}

#[inline(always)] // with the function
unsafe fn try_each<T: Copy>(
    shape: [usize; 2],
    x: Source<T>,
    y: Source<T>,
    out: Target<T>,
    function: impl Fn(T, T) -> Option<T>,
) -> Option<()> {
    for row in 0..shape[0] as isize {
        for column in 0..shape[1] as isize {
            // SAFETY: promised by the caller.
            unsafe {
                let (x, y) = (at(&x, row, column).read(), at(&y, row, column).read());
                let offset = row * out.strides[0] + column * out.strides[1];
                out.first.offset(offset).write(function(x, y)?);
            }
        }
    }
    Some(())
}

#[inline(always)] // with the function, so that the loop is made of vectors
unsafe fn each<T: Copy, R>(
    shape: [usize; 2],
    x: Source<T>,
    y: Source<T>,
    out: Target<R>,
    function: impl Fn(T, T) -> R,
) {
    let steps = [x.strides[1], y.strides[1], out.strides[1]];
    for row in 0..shape[0] as isize {
        // SAFETY: promised by the caller.
        unsafe {
            let (a, b) = (at(&x, row, 0), at(&y, row, 0));
            let to = out.first.offset(row * out.strides[0]);
            match steps {
                [1, 1, 1] => {
                    for i in 0..shape[1] {
                        to.add(i).write(function(a.add(i).read(), b.add(i).read()));
                    }
                }
                [1, 0, 1] => {
                    let b = b.read();
                    for i in 0..shape[1] {
                        to.add(i).write(function(a.add(i).read(), b));
                    }
                }
                _ => {
                    for i in 0..shape[1] as isize {
                        let (x, y) = (a.offset(i * steps[0]).read(), b.offset(i * steps[1]).read());
                        to.offset(i * steps[2]).write(function(x, y));
                    }
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn at<T>(source: &Source<T>, row: isize, column: isize) -> *const T {
    // SAFETY: promised by the caller: such an element is there.
    unsafe {
        source
            .first
            .offset(row * source.strides[0] + column * source.strides[1])
    }
}

macro_rules! integers {
    ($($T:ty)*) => {$(
        impl Divide for $T {
            #[inline]
            fn floor_divide(self, other: Self) -> Option<Self> {
                if other == 0 {
                    return None;
                }
                let (quotient, rest) = (self.wrapping_div(other), self.wrapping_rem(other));
                let down = rest != 0 && (rest < 0) != (other < 0);
                Some(quotient - Self::from(down))
            }

            #[inline]
            fn remainder(self, other: Self) -> Option<Self> {
                if other == 0 {
                    return None;
                }
                let rest = self.wrapping_rem(other);
                let other_sign = rest != 0 && (rest < 0) != (other < 0);
                Some(if other_sign { rest + other } else { rest })
            }

            #[inline]
            fn power(self, other: Self) -> Option<Self> {
                if other < 0 {
                    return None;
                }
                let (mut base, mut exponent, mut product) = (self, other, 1 as Self);
                while exponent > 0 {
                    if exponent & 1 == 1 {
                        product = product.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    exponent >>= 1;
                }
                Some(product)
            }
        }
    )*};
}

integers! { i32 i64 }

macro_rules! floats {
    ($($T:ty)*) => {$(
        impl Divide for $T {
            #[inline]
            fn floor_divide(self, other: Self) -> Option<Self> {
                let rest = self % other;
                if other == 0.0 {
                    return Some(self / other);
                }
                // A whole number, but for rounding.
                let mut quotient = (self - rest) / other;
                if rest != 0.0 && (rest < 0.0) != (other < 0.0) {
                    quotient -= 1.0;
                }
                if quotient == 0.0 {
                    return Some((0.0 as Self).copysign(self / other));
                }
                let floor = quotient.floor();
                Some(if quotient - floor > 0.5 { floor + 1.0 } else { floor })
            }

            #[inline]
            fn remainder(self, other: Self) -> Option<Self> {
                let rest = self % other;
                Some(if rest == 0.0 {
                    (0.0 as Self).copysign(other)
                } else if (rest < 0.0) != (other < 0.0) {
                    rest + other
                } else {
                    rest
                })
            }

            #[inline]
            fn power(self, other: Self) -> Option<Self> {
                Some(self.powf(other))
            }
        }
    )*};
}

floats! { f32 f64 }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_divide_as_pythons_do() {
        for (a, b, quotient, rest) in [
            (7, 2, 3, 1),
            (-7, 2, -4, 1),
            (7, -2, -4, -1),
            (-7, -2, 3, -1),
            (6, 3, 2, 0),
            (-6, 3, -2, 0),
        ] {
            assert_eq!(Divide::floor_divide(a, b), Some(quotient), "{a} // {b}");
            assert_eq!(Divide::remainder(a, b), Some(rest), "{a} % {b}");
        }
        assert_eq!(Divide::floor_divide(1i64, 0), None);
        assert_eq!(Divide::floor_divide(i32::MIN, -1), Some(i32::MIN));
        assert_eq!(Divide::remainder(i64::MIN, -1), Some(0));
    }

    #[test]
    fn floats_divide_as_pythons_do() {
        for (a, b, quotient, rest) in [
            (7.5, 2.0, 3.0, 1.5),
            (-7.5, 2.0, -4.0, 0.5),
            (7.5, -2.0, -4.0, -0.5),
            (1.0, 0.1, 9.0, 1.0 % 0.1),
        ] {
            assert_eq!(Divide::floor_divide(a, b), Some(quotient), "{a} // {b}");
            assert_eq!(Divide::remainder(a, b), Some(rest), "{a} % {b}");
        }
        assert_eq!(1f64.floor_divide(0.0), Some(f64::INFINITY));
        assert!(1f64.remainder(0.0).unwrap().is_nan());
    }

    #[test]
    fn powers_wrap_and_refuse_what_is_no_integer() {
        assert_eq!(Divide::power(3, 4), Some(81));
        assert_eq!(Divide::power(3i64, 0), Some(1));
        assert_eq!(Divide::power(2i32, 32), Some(0));
        assert_eq!(Divide::power(2, -1), None);
        assert_eq!(Divide::power(2.0, -1.0), Some(0.5));
    }
}
