//! exp, log, tanh and the logistic function of vectors.
//!
//! - `exp(x) = 2^n exp(r)` with `n = round(x / ln 2)` and `r = x - n ln 2`, of which ln 2 is taken in two parts (Cody and Waite,
//!   1980); `exp(r) = 1 + (r + r^2 / 2 + r^3 p(r))`.
//! - `log(2^n (1 + f)) = n ln 2 + log(1 + f)` with 1 + f in [0.75, 1.5), and `log(1 + f) = f - (f^2 / 2 - tail)`. The tail is
//!   `f^3 p(f)` for `f32`, and for `f64` `s (f^2 / 2 + s^2 p(s^2))` with `s = f / (2 + f)` (the way of FreeBSD's libm, which is
//!   Sun's, 1993): a division costs more than four coefficients, and less than twelve.
//! - `tanh |x| = e / (e + 2)` with `e = exp(2 |x|) - 1`, computed without adding the 1.
//! - `sigmoid(x) = exp(x) / (1 + exp(x))` for negative x, and `1 / (1 + exp(-x))` for others: neither overflows.
//!
//! The polynomials are minimax fits (Lawson's algorithm in 100 digits) of the error relative to the result, which they alter by
//! at most 0.07 ulp. Rounding does the rest; docs/ACCURACY.md has the sums, and `tests/accuracy.rs` holds them.

use crate::kernels::number::Real;
use crate::kernels::sum::{Kept, Wide};
use crate::vector::{RealVector, Set};

#[inline(always)]
pub(crate) unsafe fn reciprocal<T: Real, V: RealVector<Element = T>>(x: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe { V::splat(T::ONE).div(x) }
}

#[inline(always)]
pub(crate) unsafe fn exp<T: Real, V: RealVector<Element = T>>(x: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe {
        let [zero_below, infinite_above] = T::EXP_RANGE.map(|bound| V::splat(bound));
        // This way round NaN stays.
        let x = infinite_above.min(zero_below.max(x));
        let (n, r) = reduce(x);
        V::splat(T::ONE).add(exp_minus_one(r)).scale(n)
    }
}

/// The n and r of `x = n ln 2 + r`.
#[inline(always)]
unsafe fn reduce<T: Real, V: RealVector<Element = T>>(x: V) -> (V, V) {
    // SAFETY: the set is available, says the caller.
    unsafe {
        let n = x.mul(V::splat(T::LOG2_E)).round();
        let [upper, lower] = T::LN2;
        let r = n.neg().mul_add(V::splat(upper), x);
        (n, n.neg().mul_add(V::splat(lower), r))
    }
}

/// exp(r) - 1 for |r| <= ln 2 / 2.
#[inline(always)]
unsafe fn exp_minus_one<T: Real, V: RealVector<Element = T>>(r: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe {
        let cubic = polynomial(T::EXP, r);
        let quadratic = cubic.mul_add(r, V::splat(T::HALF));
        quadratic.mul_add(r.mul(r), r)
    }
}

#[inline(always)]
pub(crate) unsafe fn log<T: Real, V: RealVector<Element = T>>(x: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe {
        let one = V::splat(T::ONE);
        let (mantissa, n) = x.split();
        let f = mantissa.sub(one);
        let half_square = f.mul(f).mul(V::splat(T::HALF));
        let [upper, lower] = T::LN2;
        let small = n.mul_add(V::splat(lower), T::log_tail(f, half_square));
        let result = n.mul_add(V::splat(upper), f.sub(half_square.sub(small)));

        let zero = V::splat(T::ZERO);
        let infinity = V::splat(T::INFINITY);
        // Infinity and NaN are their own logarithms; less than 0 and NaN have none.
        let result = V::select(x.less(infinity), result, x);
        let result = V::select(x.less(zero), V::splat(T::NAN), result);
        V::select(x.equal(zero), infinity.neg(), result)
    }
}

#[inline(always)]
pub(crate) unsafe fn tanh<T: Real, V: RealVector<Element = T>>(x: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe {
        // This way round NaN stays.
        let magnitude = V::splat(T::TANH_ONE).min(x.abs());
        let (n, r) = reduce(magnitude.add(magnitude));
        // 2^n exp(r) - 1 = 2^n (exp(r) - 1) + (2^n - 1)
        let one = V::splat(T::ONE);
        let e = exp_minus_one(r).scale(n).add(one.scale(n).sub(one));
        e.div(e.add(V::splat(T::TWO))).copy_sign(x)
    }
}

#[inline(always)]
pub(crate) unsafe fn sigmoid<T: Real, V: RealVector<Element = T>>(x: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe {
        let one = V::splat(T::ONE);
        let e = exp(x.abs().neg());
        let numerator = V::select(x.less(V::splat(T::ZERO)), e, one);
        numerator.div(one.add(e))
    }
}

/// A polynomial, the highest power first (Horner).
#[inline(always)]
unsafe fn polynomial<T: Real, V: RealVector<Element = T>>(coefficients: &'static [T], x: V) -> V {
    // SAFETY: the set is available, says the caller.
    unsafe {
        let mut sum = V::splat(coefficients[0]);
        for &coefficient in &coefficients[1..] {
            sum = sum.mul_add(x, V::splat(coefficient));
        }
        sum
    }
}

impl Real for f32 {
    type Carry<S: Set> = Wide<S>;

    const NAN: Self = f32::NAN;
    const ONE: Self = 1.0;
    const TWO: Self = 2.0;
    const HALF: Self = 0.5;
    const INFINITY: Self = f32::INFINITY;
    // 2^-80: what squares of less than 2^-75 lose is far below.
    const SMALL_SQUARES: f64 = 8.3e-25;

    fn from_f64(value: f64) -> Self {
        value as Self
    }

    const EXP_RANGE: [Self; 2] = [-104.0, 89.0];
    const TANH_ONE: Self = 10.0;
    const LOG2_E: Self = core::f32::consts::LOG2_E;
    // The upper part has 9 bits.
    const LN2: [Self; 2] = [0.693_359_4, -2.121_944_4e-4];
    const EXP: &'static [Self] = &[0.001_386_441_5, 0.008_367_511, 0.041_667_23, 0.166_665_33];

    #[inline(always)]
    unsafe fn log_tail<V: RealVector<Element = Self>>(f: V, half_square: V) -> V {
        const P: &[f32] = &[
            -0.045_052_145,
            0.104_599_446,
            -0.131_601_36,
            0.144_785_6,
            -0.166_474_31,
            0.199_908_63,
            -0.250_000_92,
            0.333_334_5,
        ];
        // SAFETY: the set is available, says the caller.
        unsafe {
            let cube = f.mul(half_square.add(half_square));
            cube.mul(polynomial(P, f))
        }
    }
}

impl Real for f64 {
    type Carry<S: Set> = Kept<S>;

    const NAN: Self = f64::NAN;
    const ONE: Self = 1.0;
    const TWO: Self = 2.0;
    const HALF: Self = 0.5;
    const INFINITY: Self = f64::INFINITY;
    // 2^-960
    const SMALL_SQUARES: f64 = 1.0e-289;

    fn from_f64(value: f64) -> Self {
        value
    }

    const EXP_RANGE: [Self; 2] = [-746.0, 710.0];
    const TANH_ONE: Self = 20.0;
    const LOG2_E: Self = core::f64::consts::LOG2_E;
    // The upper part has 33 bits.
    const LN2: [Self; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    const EXP: &'static [Self] = &[
        2.497_934_880_452_208_7e-8,
        2.762_514_180_714_626e-7,
        2.755_763_799_661_949_5e-6,
        2.480_150_879_255_628e-5,
        0.000_198_412_694_691_960_9,
        0.001_388_888_892_671_349,
        0.008_333_333_333_498_782,
        0.041_666_666_666_604_14,
        0.166_666_666_666_664_35,
    ];

    #[inline(always)]
    unsafe fn log_tail<V: RealVector<Element = Self>>(f: V, half_square: V) -> V {
        const P: &[f64] = &[
            0.153_680_827_555_485_32,
            0.152_502_041_577_322_86,
            0.181_863_551_901_704_78,
            0.222_221_385_259_413_26,
            0.285_714_293_949_536_6,
            0.399_999_999_961_636_43,
            0.666_666_666_666_727_1,
        ];
        // SAFETY: the set is available, says the caller.
        unsafe {
            let s = f.div(f.add(V::splat(2.0)));
            let z = s.mul(s);
            s.mul(polynomial(P, z).mul_add(z, half_square))
        }
    }
}
