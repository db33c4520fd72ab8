//! No instruction set: vectors are arrays, and the compiler makes of them what it can. Right everywhere, and the reference.

// SAFETY (of every unsafe block and function here): plain Rust runs everywhere; pointers are the caller's promise.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

use core::array::from_fn;

use crate::dispatch::Kernel;
use crate::vector::{BYTES, RealVector, Set, Vector};

/// Plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Set for Scalar {
    type F32 = Lanes<f32, 16>;
    type F64 = Lanes<f64, 8>;
    type I32 = Lanes<i32, 16>;
    type I64 = Lanes<i64, 8>;
    const REGISTERS: usize = 4;

    #[inline(always)]
    unsafe fn widen(vector: Self::F32) -> [Self::F64; 2] {
        let lanes = |from: usize| Lanes(from_fn(|i| f64::from(vector.0[from + i])));
        [lanes(0), lanes(8)]
    }
}

/// Runs a kernel with these vectors.
pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this set is available everywhere; pointers are the caller's promise.
    unsafe { kernel.run::<Scalar>() }
}

/// An array in the place of a vector.
#[derive(Clone, Copy)]
pub(crate) struct Lanes<T, const N: usize>([T; N]);

impl<T: Copy, const N: usize> Lanes<T, N> {
    #[inline(always)]
    fn map(self, f: impl Fn(T) -> T) -> Self {
        Self(from_fn(|i| f(self.0[i])))
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(T, T) -> T) -> Self {
        Self(from_fn(|i| f(self.0[i], other.0[i])))
    }

    #[inline(always)]
    fn compare(self, other: Self, f: impl Fn(T, T) -> bool) -> [bool; N] {
        from_fn(|i| f(self.0[i], other.0[i]))
    }
}

macro_rules! vector {
    ($element:ty, $lanes:literal,
     add $add:expr, sub $sub:expr, mul $mul:expr, mul_add $mul_add:expr, neg $neg:expr, abs $abs:expr,
     unordered $unordered:expr) => {
        impl Vector for Lanes<$element, $lanes> {
            type Element = $element;
            type Mask = [bool; $lanes];
            const LANES: usize = BYTES / size_of::<$element>();

            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                Self([value; $lanes])
            }
            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                Self(from.cast::<[$element; $lanes]>().read_unaligned())
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                to.cast::<[$element; $lanes]>().write_unaligned(self.0)
            }
            #[inline(always)]
            unsafe fn load_first(mut self, count: usize, from: *const $element) -> Self {
                for i in 0..count {
                    self.0[i] = from.add(i).read();
                }
                self
            }
            #[inline(always)]
            unsafe fn store_first(self, count: usize, to: *mut $element) {
                for i in 0..count {
                    to.add(i).write(self.0[i]);
                }
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                self.zip(other, $add)
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                self.zip(other, $sub)
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                self.zip(other, $mul)
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                let f: fn($element, $element, $element) -> $element = $mul_add;
                Self(from_fn(|i| f(self.0[i], factor.0[i], addend.0[i])))
            }
            #[inline(always)]
            unsafe fn neg(self) -> Self {
                self.map($neg)
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                self.map($abs)
            }
            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                self.zip(other, |a, b| if a < b { a } else { b })
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                self.zip(other, |a, b| if a > b { a } else { b })
            }
            #[inline(always)]
            unsafe fn equal(self, other: Self) -> Self::Mask {
                self.compare(other, |a, b| a == b)
            }
            #[inline(always)]
            unsafe fn unordered(self, other: Self) -> Self::Mask {
                self.compare(other, $unordered)
            }
            #[inline(always)]
            unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
                Self(from_fn(|i| if mask[i] { yes.0[i] } else { no.0[i] }))
            }
            #[inline(always)]
            unsafe fn or(a: Self::Mask, b: Self::Mask) -> Self::Mask {
                from_fn(|i| a[i] | b[i])
            }
            #[inline(always)]
            unsafe fn bits(mask: Self::Mask) -> u32 {
                (0..$lanes).fold(0, |bits, i| bits | (u32::from(mask[i]) << i))
            }
        }
    };
}

macro_rules! real_vector {
    ($element:ident, $lanes:literal, $bits:ident, $int:ident, mantissa $mantissa:literal, bias $bias:literal) => {
        vector!(
            $element,
            $lanes,
            add | a,
            b | a + b,
            sub | a,
            b | a - b,
            mul | a,
            b | a * b,
            mul_add | a,
            b,
            c | a.mul_add(b, c),
            neg | a | -a,
            abs | a | a.abs(),
            unordered | a,
            b | a.is_nan() | b.is_nan()
        );

        impl RealVector for Lanes<$element, $lanes> {
            #[inline(always)]
            unsafe fn div(self, other: Self) -> Self {
                self.zip(other, |a, b| a / b)
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                self.map($element::sqrt)
            }
            #[inline(always)]
            unsafe fn copy_sign(self, sign: Self) -> Self {
                self.zip(sign, $element::copysign)
            }
            #[inline(always)]
            unsafe fn less(self, other: Self) -> Self::Mask {
                self.compare(other, |a, b| a < b)
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                // Beyond this number floats are whole: adding it rounds, in the usual mode to even.
                const WHOLE: $element = 1.5 * ((1 as $bits) << $mantissa) as $element;
                self.map(|a| (a + WHOLE) - WHOLE)
            }
            #[inline(always)]
            unsafe fn scale(self, power: Self) -> Self {
                // In two steps, neither of which leaves the range of exponents; only the second can round.
                let power_of_two =
                    |n: $int| $element::from_bits(((n + $bias) << $mantissa) as $bits);
                self.zip(power, |a, power| {
                    let power = power as $int;
                    let first = power >> 1;
                    a * power_of_two(first) * power_of_two(power - first)
                })
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                const SHIFT: $element = ((1 as $bits) << $mantissa) as $element;
                let normal = self.map(|a| {
                    if a < $element::MIN_POSITIVE {
                        a * SHIFT
                    } else {
                        a
                    }
                });
                // So the exponent goes up where the mantissa reaches 1.5.
                const QUARTER: $bits = 1 << ($mantissa - 1);
                let field = |a: $element| a.to_bits().wrapping_add(QUARTER) >> $mantissa;
                let mantissa = normal.map(|a| {
                    $element::from_bits(
                        a.to_bits()
                            .wrapping_sub(field(a).wrapping_sub($bias) << $mantissa),
                    )
                });
                let exponent = self.zip(normal, |a, normal| {
                    let exponent = (field(normal) as $int - $bias) as $element;
                    if a < $element::MIN_POSITIVE {
                        exponent - $mantissa as $element
                    } else {
                        exponent
                    }
                });
                (mantissa, exponent)
            }
        }
    };
}

macro_rules! integer_vector {
    ($element:ident, $lanes:literal) => {
        vector!($element, $lanes,
            add $element::wrapping_add, sub $element::wrapping_sub, mul $element::wrapping_mul,
            mul_add |a, b, c| a.wrapping_mul(b).wrapping_add(c),
            neg $element::wrapping_neg, abs $element::wrapping_abs, unordered |_, _| false);
    };
}

real_vector!(f32, 16, u32, i32, mantissa 23, bias 127);
real_vector!(f64, 8, u64, i64, mantissa 52, bias 1023);
integer_vector!(i32, 16);
integer_vector!(i64, 8);
