//! The errors that the crate states, held by dense sweeps on every instruction set. `COVET_SIMD_EXHAUSTIVE=1` looks at all numbers
//! of 32 bits.

mod oracle;

use covet_simd::{Float, Unary};
use oracle::every::{every_f32, largest_error};
use oracle::{Sample, exact, on_every_set, samples, ulps_f64};

/// Function, the bounds for `f32` and `f64` in ulp, and where most of its range is. docs/ACCURACY.md has what was found.
const BOUNDS: &[(Unary, f64, f64, [f64; 2])] = &[
    (Unary::Exp, 1.05, 1.05, [-90.0, 90.0]),
    (Unary::Log, 1.05, 1.05, [0.5, 2.0]),
    (Unary::Tanh, 2.6, 2.6, [-4.0, 4.0]),
    (Unary::Sigmoid, 2.6, 2.6, [-20.0, 20.0]),
];

fn apply<T: Float>(op: Unary, x: &[T]) -> Vec<T> {
    let mut out = vec![T::default(); x.len()];
    covet_simd::unary_into(op, x, &mut out).expect("of one length");
    out
}

/// Numbers of a range, and of all magnitudes.
fn sweep<T: Sample>(
    op: Unary,
    n: usize,
    of: impl Fn(f64) -> T,
    [least, greatest]: [f64; 2],
) -> Vec<T> {
    let step = (greatest - least) / n as f64;
    let mut x: Vec<T> = (0..n).map(|i| of(least + step * i as f64)).collect();
    x.extend(samples(n / 4, 1, T::of_bits));
    x.retain(|&x| !x.is_no_number() && (op != Unary::Log || x > T::default()));
    x
}

#[test]
fn functions_of_f32() {
    for &(op, bound, _, range) in BOUNDS {
        let x = sweep(op, 200_000, |x| x as f32, range);
        on_every_set(|level| {
            let (error, x) = largest_error(op, &x, &apply(op, &x));
            assert!(error <= bound, "{op:?} of {x:e}: {error} ulp, on {level}");
        });
    }
}

#[test]
fn functions_of_f64() {
    for &(op, _, bound, range) in BOUNDS {
        let x = sweep(op, 50_000, |x| x, range);
        let expected: Vec<_> = x.iter().map(|&x| exact(op, x)).collect();
        on_every_set(|level| {
            for ((&x, found), &expected) in x.iter().zip(apply(op, &x)).zip(&expected) {
                if found.is_finite() && x.is_finite() {
                    let off = ulps_f64(found, expected);
                    assert!(
                        off <= bound,
                        "{op:?} of {x:e}: {found:e}, {off} ulp, on {level}"
                    );
                }
            }
        });
    }
}

#[test]
fn functions_of_all_numbers_of_32_bits() {
    let step = match std::env::var_os("COVET_SIMD_EXHAUSTIVE") {
        Some(_) => 1,
        None => {
            println!("COVET_SIMD_EXHAUSTIVE=1 looks at all; every 65537th is looked at now");
            65_537
        }
    };
    for &(op, bound, ..) in BOUNDS {
        let (error, x) = every_f32(op, step);
        println!("{}: at most {error:.4} ulp, of {x:e}", op.name());
        assert!(error <= bound, "{op:?} of {x:e}: {error} ulp");
    }
}
