//! All numbers of 32 bits, against the functions of `f64` of the system's libm.
//!
//! Those are a few units of `f64` off, and a unit of `f32` has 2^29 of them: what is found here is right to a millionth of a unit.

use std::ops::Range;

use covet_simd::{Unary, unary_into};

use super::{Sample, same_on_every_set};

/// The numbers that are looked at together.
const AT_ONCE: u64 = 1 << 22;

/// Applies `op` to every `step`th number, on every set, and returns the largest error in ulp and where it is. Panics where sets
/// differ, and where the result should be infinite, zero or no number and is not.
pub(crate) fn every_f32(op: Unary, step: u64) -> (f64, f32) {
    let all = 1_u64 << 32;
    let mut largest = (0.0, 0.0);
    for start in (0..all).step_by((AT_ONCE * step) as usize) {
        let bits = (start..all.min(start + AT_ONCE * step)).step_by(step as usize);
        let x: Vec<f32> = bits.map(|bits| f32::from_bits(bits as u32)).collect();
        let found = same_on_every_set(op.name(), || {
            let mut out = vec![0.0; x.len()];
            unary_into(op, &x, &mut out).expect("of one length");
            Found(out)
        });
        for error in shared(x.len(), |range| {
            largest_error(op, &x[range.clone()], &found.0[range])
        }) {
            if error.0 > largest.0 {
                largest = error;
            }
        }
    }
    largest
}

/// Results that are equal where all bits are, or all are NaN.
struct Found(Vec<f32>);

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        let mut pairs = self.0.iter().zip(&other.0);
        pairs.all(|(a, b)| a.bits() == b.bits())
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} results", self.0.len())
    }
}

/// What `f` gives for parts of `0..n`, one for each core.
fn shared<R: Send>(n: usize, f: impl Fn(Range<usize>) -> R + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let length = n.div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        let parts = (0..n).step_by(length);
        let threads: Vec<_> = parts
            .map(|start| {
                scope.spawn({
                    let f = &f;
                    move || f(start..n.min(start + length))
                })
            })
            .collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results
            .map(|result| result.expect("the part says what is wrong"))
            .collect()
    })
}

/// The largest error of results in ulp, and where it is.
pub(crate) fn largest_error(op: Unary, x: &[f32], found: &[f32]) -> (f64, f32) {
    let mut largest = (0.0, 0.0);
    for (&x, &found) in x.iter().zip(found) {
        let exact = in_f64(op, f64::from(x));
        if exact.is_nan() || exact.abs() > f64::from(f32::MAX) {
            let expected = exact as f32;
            // Just beyond the largest number either it or infinity is near.
            let same = found.bits() == expected.bits()
                || found.bits() == (exact.signum() as f32 * f32::INFINITY).bits();
            assert!(
                same,
                "expected {expected:e}, found {found:e} as {} of {x:e}",
                op.name()
            );
            continue;
        }
        let error = (f64::from(found) - exact).abs() / unit(exact);
        if error > largest.0 {
            largest = (error, x);
        }
    }
    largest
}

/// The function in `f64`. The logistic one is 3 operations, of half a unit each, from exp.
fn in_f64(op: Unary, x: f64) -> f64 {
    match op {
        Unary::Exp => x.exp(),
        Unary::Log => x.ln(),
        Unary::Tanh => x.tanh(),
        Unary::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        _ => panic!("{op:?} is compared exactly"),
    }
}

/// From one `f32` to the next, at this number.
fn unit(exact: f64) -> f64 {
    let exponent = (exact.to_bits() >> 52) as i32 & 0x7ff;
    // The least, of subnormal numbers, is 2^-149.
    let unit = (exponent - 23).max(1023 - 149);
    f64::from_bits((unit as u64) << 52)
}
