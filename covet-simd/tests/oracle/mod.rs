//! What is right, computed slowly: exact sums, functions to 100 bits, and operations one element at a time.

#![allow(dead_code)] // each test takes what it needs

pub(crate) mod every;

use covet_simd::dispatch::{self, Level};
use covet_simd::{Binary, Element, Ternary, Unary};

/// Runs `check` with each instruction set that this processor has.
pub(crate) fn on_every_set(mut check: impl FnMut(Level)) {
    for level in Level::available() {
        let _forced = dispatch::force(level).expect("available");
        check(level);
    }
}

/// Checks that `compute` gives equal results on each instruction set, and returns them.
pub(crate) fn same_on_every_set<R: PartialEq + std::fmt::Debug>(
    what: &str,
    mut compute: impl FnMut() -> R,
) -> R {
    let mut first = None;
    on_every_set(|level| {
        let result = compute();
        match &first {
            None => first = Some(result),
            Some(first) => assert_eq!(result, *first, "{what}: {level} differs from scalar"),
        }
    });
    first.expect("scalar is everywhere")
}

/// Numbers to test with.
pub(crate) trait Sample: Element {
    /// Where every set has the most lanes.
    const LANES: usize = 64 / size_of::<Self>();
    /// The least, the greatest, what is special and what is beside it.
    const EDGES: &'static [Self];

    /// Equal for equal numbers only, and for all NaN.
    fn bits(self) -> u64;

    #[allow(clippy::eq_op)] // that is what NaN is
    fn is_no_number(self) -> bool {
        self != self
    }

    /// A number from random bits: of all magnitudes, or of moderate ones.
    fn of_bits(bits: u64) -> Self;
    fn moderate(bits: u64) -> Self;

    fn unary_of(op: Unary, x: Self) -> Option<Self>;
    fn binary_of(op: Binary, x: Self, y: Self) -> Option<Self>;
    fn ternary_of(op: Ternary, x: Self, y: Self, z: Self) -> Option<Self>;
}

/// `n` random numbers.
pub(crate) fn samples<T>(n: usize, seed: u64, number: impl Fn(u64) -> T) -> Vec<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    (0..n).map(|_| number(next())).collect()
}

macro_rules! float_sample {
    ($type:ident, $bits:ident) => {
        impl Sample for $type {
            const EDGES: &'static [Self] = &[
                0.0,
                -0.0,
                1.0,
                -1.0,
                0.5,
                $type::MIN_POSITIVE,
                -$type::MIN_POSITIVE,
                $type::from_bits(1),
                -$type::from_bits(1),
                $type::MAX,
                $type::MIN,
                $type::INFINITY,
                $type::NEG_INFINITY,
                $type::NAN,
                $type::EPSILON,
                1.0 + $type::EPSILON,
                -1.5,
                2.5,
            ];

            fn bits(self) -> u64 {
                if self.is_nan() {
                    u64::MAX
                } else {
                    self.to_bits() as u64
                }
            }
            fn of_bits(bits: u64) -> Self {
                $type::from_bits((bits >> (64 - $bits::BITS)) as $bits)
            }
            fn moderate(bits: u64) -> Self {
                (bits >> 11) as $type / (1_u64 << 53) as $type * 20.0 - 10.0
            }
            fn unary_of(op: Unary, x: Self) -> Option<Self> {
                Some(match op {
                    Unary::Neg => -x,
                    Unary::Abs => x.abs(),
                    Unary::Square => x * x,
                    Unary::Reciprocal => 1.0 / x,
                    Unary::Sqrt => x.sqrt(),
                    _ => return None,
                })
            }
            fn binary_of(op: Binary, x: Self, y: Self) -> Option<Self> {
                let nan = x.is_nan() || y.is_nan();
                Some(match op {
                    Binary::Add => x + y,
                    Binary::Sub => x - y,
                    Binary::Mul => x * y,
                    Binary::Div => x / y,
                    Binary::Min | Binary::Max if nan => $type::NAN,
                    Binary::Min => {
                        if x < y {
                            x
                        } else {
                            y
                        }
                    }
                    Binary::Max => {
                        if x > y {
                            x
                        } else {
                            y
                        }
                    }
                    _ => return None,
                })
            }
            fn ternary_of(op: Ternary, x: Self, y: Self, z: Self) -> Option<Self> {
                match op {
                    Ternary::MulAdd => Some(x.mul_add(y, z)),
                    Ternary::Clip => {
                        Self::binary_of(Binary::Min, Self::binary_of(Binary::Max, x, y)?, z)
                    }
                    _ => None,
                }
            }
        }
    };
}

macro_rules! integer_sample {
    ($type:ident) => {
        impl Sample for $type {
            const EDGES: &'static [Self] = &[
                0,
                1,
                -1,
                2,
                $type::MAX,
                $type::MIN,
                $type::MAX - 1,
                $type::MIN + 1,
                1 << 20,
                -(1 << 20),
            ];

            fn bits(self) -> u64 {
                self as u64
            }
            fn of_bits(bits: u64) -> Self {
                bits as $type
            }
            fn moderate(bits: u64) -> Self {
                (bits >> 50) as $type - 8192
            }
            fn unary_of(op: Unary, x: Self) -> Option<Self> {
                Some(match op {
                    Unary::Neg => x.wrapping_neg(),
                    Unary::Abs => x.wrapping_abs(),
                    Unary::Square => x.wrapping_mul(x),
                    _ => return None,
                })
            }
            fn binary_of(op: Binary, x: Self, y: Self) -> Option<Self> {
                Some(match op {
                    Binary::Add => x.wrapping_add(y),
                    Binary::Sub => x.wrapping_sub(y),
                    Binary::Mul => x.wrapping_mul(y),
                    Binary::Min => x.min(y),
                    Binary::Max => x.max(y),
                    _ => return None,
                })
            }
            fn ternary_of(op: Ternary, x: Self, y: Self, z: Self) -> Option<Self> {
                match op {
                    Ternary::MulAdd => Some(x.wrapping_mul(y).wrapping_add(z)),
                    Ternary::Clip => Some(x.max(y).min(z)),
                    _ => None,
                }
            }
        }
    };
}

float_sample!(f32, u32);
float_sample!(f64, u64);
integer_sample!(i32);
integer_sample!(i64);

/// The first element of the order that is before all others, by comparing each; `before(a, b)` is false for NaN.
pub(crate) fn first_by<T: Sample>(x: &[T], before: impl Fn(T, T) -> bool) -> Option<(usize, T)> {
    if let Some(at) = x.iter().position(|value| value.is_no_number()) {
        return Some((at, x[at]));
    }
    let mut best = (0, *x.first()?);
    for (i, &value) in x.iter().enumerate() {
        if before(value, best.1) {
            best = (i, value);
        }
    }
    Some(best)
}

/// An exact sum of `f64`: numbers of which none overlaps another (J. R. Shewchuk, "Adaptive precision floating-point arithmetic",
/// 1997).
#[derive(Default)]
pub(crate) struct Exact(Vec<f64>);

impl Exact {
    pub(crate) fn add(&mut self, mut value: f64) {
        let mut kept = 0;
        for i in 0..self.0.len() {
            let (sum, error) = two_sum(value, self.0[i]);
            if error != 0.0 {
                self.0[kept] = error;
                kept += 1;
            }
            value = sum;
        }
        self.0.truncate(kept);
        self.0.push(value);
    }

    pub(crate) fn add_product(&mut self, x: f64, y: f64) {
        let product = x * y;
        self.add(x.mul_add(y, -product));
        self.add(product);
    }

    /// The sum to 100 bits.
    pub(crate) fn value(&self) -> Double {
        self.0
            .iter()
            .fold(Double(0.0, 0.0), |sum, &part| sum + Double(part, 0.0))
    }
}

pub(crate) fn exact_sum(values: impl IntoIterator<Item = f64>) -> Double {
    let mut sum = Exact::default();
    values.into_iter().for_each(|value| sum.add(value));
    sum.value()
}

pub(crate) fn exact_dot(pairs: impl IntoIterator<Item = (f64, f64)>) -> Double {
    let mut sum = Exact::default();
    pairs.into_iter().for_each(|(x, y)| sum.add_product(x, y));
    sum.value()
}

fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let part = sum - a;
    (sum, (a - (sum - part)) + (b - part))
}

/// A number of some 100 bits: the sum of two (T. J. Dekker, 1971).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Double(pub(crate) f64, pub(crate) f64);

impl std::ops::Add for Double {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let (sum, error) = two_sum(self.0, other.0);
        let (sum, error) = two_sum(sum, error + (self.1 + other.1));
        Self(sum, error)
    }
}

impl std::ops::Sub for Double {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + Self(-other.0, -other.1)
    }
}

impl std::ops::Mul for Double {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let product = self.0 * other.0;
        let error = self.0.mul_add(other.0, -product) + (self.0 * other.1 + self.1 * other.0);
        let (product, error) = two_sum(product, error);
        Self(product, error)
    }
}

impl std::ops::Div for Double {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let first = self.0 / other.0;
        let rest = self - other * Self(first, 0.0);
        let second = rest.0 / other.0;
        let rest = rest - other * Self(second, 0.0);
        Self(first, 0.0) + Self(second, rest.0 / other.0)
    }
}

const ONE: Double = Double(1.0, 0.0);

impl Double {
    /// exp(x) - 1 for |x| <= 0.35, by its series.
    fn exp_minus_one(self) -> Self {
        let (mut term, mut sum) = (self, self);
        for n in 2..28 {
            term = term * self / Self(f64::from(n), 0.0);
            sum = sum + term;
        }
        sum
    }

    /// exp(x) as a number near 1 and a power of two.
    fn exp(self) -> (Self, i32) {
        const LN2: Double = Double(std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);
        let n = (self.0 / LN2.0).round();
        let r = self - LN2 * Self(n, 0.0);
        (ONE + r.exp_minus_one(), n as i32)
    }
}

/// A function's exact value, as a number and a power of two.
pub(crate) fn exact(op: Unary, x: f64) -> (Double, i32) {
    // Far beyond where anything changes.
    let argument = Double(x.clamp(-1e4, 1e4), 0.0);
    match op {
        Unary::Exp => argument.exp(),
        Unary::Log => {
            // One step of Newton's from what is right to 52 bits.
            let near = x.ln();
            let (e, n) = Double(-near, 0.0).exp();
            // Of a subnormal number the power of two may be too small for one step.
            let scaled = Double(x * 2.0_f64.powi(n / 2) * 2.0_f64.powi(n - n / 2), 0.0) * e;
            let off = scaled - ONE;
            let square = off * off;
            (
                Double(near, 0.0) + off - square * Double(0.5, 0.0)
                    + square * off / Double(3.0, 0.0),
                0,
            )
        }
        Unary::Tanh => {
            let double = Double(2.0 * x.clamp(-50.0, 50.0), 0.0);
            let less_one = if x.abs() < 0.17 {
                double.exp_minus_one()
            } else {
                let (e, n) = double.exp();
                e * Double(2.0_f64.powi(n), 0.0) - ONE
            };
            (less_one / (less_one + Double(2.0, 0.0)), 0)
        }
        Unary::Sigmoid => {
            // e / (1 + e), where e may be too small for its power of two.
            let (e, n) = argument.exp();
            if n < -200 {
                return (e, n);
            }
            if n > 200 {
                return (ONE, 0);
            }
            let e = e * Double(2.0_f64.powi(n), 0.0);
            (e / (ONE + e), 0)
        }
        _ => panic!("{op:?} is compared exactly"),
    }
}

/// How far `found` is from `expected * 2^power`, in units in the last place of a number of `digits` bits whose least exponent is
/// `least`.
pub(crate) fn ulps(found: f64, (expected, power): (Double, i32), digits: i32, least: i32) -> f64 {
    if expected.0 == 0.0 || found.is_nan() {
        return if found == expected.0 {
            0.0
        } else {
            f64::INFINITY
        };
    }
    let exponent = expected.0.abs().log2().floor() as i32;
    let unit = (exponent + power).max(least) - (digits - 1);
    // Scaled so that neither overflows nor vanishes.
    let scale =
        |value: f64, power: i32| value * 2.0_f64.powi(power / 2) * 2.0_f64.powi(power - power / 2);
    let found = scale(found, -unit);
    let (high, low) = (
        scale(expected.0, power - unit),
        scale(expected.1, power - unit),
    );
    ((found - high) - low).abs()
}

pub(crate) fn ulps_f32(found: f32, expected: (Double, i32)) -> f64 {
    ulps(f64::from(found), expected, 24, -126)
}

pub(crate) fn ulps_f64(found: f64, expected: (Double, i32)) -> f64 {
    ulps(found, expected, 53, -1022)
}
