//! What is special: infinities, NaN, both zeros, subnormal numbers, the largest; empty and wrong operands; sums that overflow.
//! Each on every instruction set.

mod oracle;

use covet_simd::{Binary, Error, Float, Operand, Ternary, Unary};
use oracle::{Sample, on_every_set, ulps_f32, ulps_f64};

/// Function, argument, result; both types agree on these.
#[rustfmt::skip]
const SPECIAL: &[(Unary, f64, f64)] = &[
    (Unary::Neg, 0.0, -0.0),
    (Unary::Neg, f64::NAN, f64::NAN),
    (Unary::Abs, -0.0, 0.0),
    (Unary::Abs, f64::NEG_INFINITY, f64::INFINITY),
    (Unary::Reciprocal, 0.0, f64::INFINITY),
    (Unary::Reciprocal, -0.0, f64::NEG_INFINITY),
    (Unary::Reciprocal, f64::NEG_INFINITY, -0.0),
    (Unary::Sqrt, -0.0, -0.0),
    (Unary::Sqrt, -1.0, f64::NAN),
    (Unary::Sqrt, f64::INFINITY, f64::INFINITY),
    (Unary::Exp, 0.0, 1.0),
    (Unary::Exp, -0.0, 1.0),
    (Unary::Exp, f64::INFINITY, f64::INFINITY),
    (Unary::Exp, f64::NEG_INFINITY, 0.0),
    (Unary::Exp, f64::NAN, f64::NAN),
    (Unary::Exp, 1000.0, f64::INFINITY),
    (Unary::Exp, -1000.0, 0.0),
    (Unary::Exp, 1e30, f64::INFINITY),
    (Unary::Exp, -1e30, 0.0),
    (Unary::Log, 1.0, 0.0),
    (Unary::Log, 0.0, f64::NEG_INFINITY),
    (Unary::Log, -0.0, f64::NEG_INFINITY),
    (Unary::Log, -1.0, f64::NAN),
    (Unary::Log, f64::NEG_INFINITY, f64::NAN),
    (Unary::Log, f64::INFINITY, f64::INFINITY),
    (Unary::Log, f64::NAN, f64::NAN),
    (Unary::Tanh, 0.0, 0.0),
    (Unary::Tanh, -0.0, -0.0),
    (Unary::Tanh, f64::INFINITY, 1.0),
    (Unary::Tanh, f64::NEG_INFINITY, -1.0),
    (Unary::Tanh, 1000.0, 1.0),
    (Unary::Tanh, f64::NAN, f64::NAN),
    (Unary::Sigmoid, 0.0, 0.5),
    (Unary::Sigmoid, -0.0, 0.5),
    (Unary::Sigmoid, f64::INFINITY, 1.0),
    (Unary::Sigmoid, f64::NEG_INFINITY, 0.0),
    (Unary::Sigmoid, 1000.0, 1.0),
    (Unary::Sigmoid, -1000.0, 0.0),
    (Unary::Sigmoid, f64::NAN, f64::NAN),
];

/// `op` of a number in a lane of a full vector, and in the last ones of a part of one.
fn everywhere<T: Float>(op: Unary, x: T) -> Vec<T> {
    let x = vec![x; 64 / size_of::<T>() + 3];
    let mut out = vec![T::default(); x.len()];
    covet_simd::unary_into(op, &x, &mut out).expect("of one length");
    out
}

#[test]
fn functions_of_special_numbers() {
    on_every_set(|level| {
        for &(op, x, expected) in SPECIAL {
            for found in everywhere(op, x) {
                assert_eq!(
                    found.bits(),
                    expected.bits(),
                    "{op:?} of {x}: {found}, on {level}"
                );
            }
            for found in everywhere(op, x as f32) {
                assert_eq!(
                    found.bits(),
                    (expected as f32).bits(),
                    "{op:?} of {x}_f32: {found}, on {level}"
                );
            }
        }
    });
}

#[test]
fn functions_near_the_ends_of_their_range() {
    // The last before infinity and the first there, the last above 0, and subnormal results and arguments.
    let near = |x: f64| {
        [
            x.next_down().next_down(),
            x.next_down(),
            x,
            x.next_up(),
            x.next_up().next_up(),
        ]
    };
    let near_f32 = |x: f32| {
        [
            x.next_down().next_down(),
            x.next_down(),
            x,
            x.next_up(),
            x.next_up().next_up(),
        ]
    };
    on_every_set(|level| {
        for x in [
            709.782_712_893_384,
            -708.396_418_532_264_1,
            -745.133_219_101_941_1,
            -740.0,
            1e-300,
            -1e-300,
        ] {
            for x in near(x) {
                for (op, bound) in [
                    (Unary::Exp, 1.05),
                    (Unary::Sigmoid, 2.5),
                    (Unary::Tanh, 2.5),
                ] {
                    let found = everywhere(op, x)[0];
                    let expected = oracle::exact(op, x);
                    let off = ulps_f64(found, expected);
                    let overflows = found == f64::INFINITY && op == Unary::Exp && x > 709.78;
                    assert!(
                        off <= bound || overflows,
                        "{op:?} of {x:e}: {found:e}, {off} ulp, on {level}"
                    );
                }
            }
        }
        for x in [
            88.722_84,
            -87.336_54,
            -103.278_93,
            -103.972_08,
            -95.0,
            1e-40,
        ] {
            for x in near_f32(x) {
                for (op, bound) in [
                    (Unary::Exp, 1.05),
                    (Unary::Sigmoid, 2.5),
                    (Unary::Tanh, 2.5),
                ] {
                    let found = everywhere(op, x)[0];
                    let off = ulps_f32(found, oracle::exact(op, x.into()));
                    let overflows = found == f32::INFINITY && op == Unary::Exp && x > 88.72;
                    assert!(
                        off <= bound || overflows,
                        "{op:?} of {x:e}_f32: {found:e}, {off} ulp, on {level}"
                    );
                }
            }
        }
        assert_eq!(
            everywhere(Unary::Exp, 709.782_712_893_384_1)[0],
            f64::INFINITY
        );
        assert!(everywhere(Unary::Exp, 709.782_712_893_383_9_f64)[0].is_finite());
        assert_eq!(everywhere(Unary::Exp, 88.722_85_f32)[0], f32::INFINITY);
        assert!(everywhere(Unary::Exp, 88.722_83_f32)[0].is_finite());
        for x in [
            f64::from_bits(1),
            f64::from_bits(12_345),
            f64::MIN_POSITIVE,
            f64::MAX,
            1.0 - 1e-16,
            1.0 + 3e-16,
        ] {
            let off = ulps_f64(everywhere(Unary::Log, x)[0], oracle::exact(Unary::Log, x));
            assert!(off <= 1.05, "log of {x:e}: {off} ulp on {level}");
        }
        for x in [
            f32::from_bits(1),
            f32::from_bits(12_345),
            f32::MIN_POSITIVE,
            f32::MAX,
            1.0 - 6e-8,
            1.0 + 1.2e-7,
        ] {
            let off = ulps_f32(
                everywhere(Unary::Log, x)[0],
                oracle::exact(Unary::Log, x.into()),
            );
            assert!(off <= 1.05, "log of {x:e}_f32: {off} ulp on {level}");
        }
    });
}

#[test]
fn nan_anywhere_is_the_extremum_and_can_be_left_out() {
    for n in [1, 5, 16, 17, 130, 4097, 9000] {
        for at in [0, 1, n / 2, n - 2.min(n), n - 1].map(|at| at.min(n - 1)) {
            let mut x: Vec<f32> = (0..n).map(|i| i as f32 - 3.0).collect();
            x[at] = f32::NAN;
            on_every_set(|level| {
                assert!(
                    covet_simd::max(&x).is_some_and(f32::is_nan),
                    "{at} of {n} on {level}"
                );
                assert!(
                    covet_simd::min(&x).is_some_and(f32::is_nan),
                    "{at} of {n} on {level}"
                );
                assert_eq!(covet_simd::arg_max(&x), Some(at));
                assert_eq!(covet_simd::arg_min(&x), Some(at));
                assert!(covet_simd::sum(&x).is_nan() && covet_simd::norm(&x).is_nan());
                let rest = x.iter().copied().filter(|x| !x.is_nan());
                let expected = rest.reduce(f32::max);
                match covet_simd::nan_max(&x) {
                    Some(found) if found.is_nan() => assert_eq!(expected, None),
                    found => assert_eq!(found, expected),
                }
            });
        }
    }
}

#[test]
fn extrema_of_infinities_only() {
    for n in [1, 20, 5000] {
        on_every_set(|_| {
            let lowest = vec![f64::NEG_INFINITY; n];
            assert_eq!(covet_simd::max(&lowest), Some(f64::NEG_INFINITY));
            assert_eq!(covet_simd::nan_max(&lowest), Some(f64::NEG_INFINITY));
            assert_eq!(covet_simd::arg_max(&lowest), Some(0));
            let nothing = vec![f64::NAN; n];
            assert!(covet_simd::nan_min(&nothing).is_some_and(f64::is_nan));
            assert_eq!(covet_simd::max(&vec![i32::MIN; n]), Some(i32::MIN));
            assert_eq!(covet_simd::arg_min(&vec![i64::MAX; n]), Some(0));
        });
    }
}

#[test]
fn nothing_to_reduce() {
    let none: [f32; 0] = [];
    on_every_set(|_| {
        assert_eq!(covet_simd::sum(&none).to_bits(), 0);
        assert!(covet_simd::mean(&none).is_nan());
        assert!(covet_simd::variance(&none, 0.0).is_nan());
        assert_eq!(covet_simd::dot(&none, &none), Ok(0.0));
        assert_eq!(covet_simd::norm(&none).to_bits(), 0);
        assert_eq!(covet_simd::min(&none), None);
        assert_eq!(covet_simd::nan_max(&none), None);
        assert_eq!(covet_simd::arg_max(&none), None);
        assert_eq!(covet_simd::exp_into(&none, &mut []), Ok(()));
    });
}

#[test]
fn a_sum_of_f32_overflows_only_if_the_result_does() {
    on_every_set(|_| {
        let mut x = vec![f32::MAX; 300];
        x.extend([-f32::MAX; 299]);
        assert_eq!(covet_simd::sum(&x), f32::MAX);
        assert_eq!(covet_simd::sum(&[f32::MAX; 2]), f32::INFINITY);
        assert_eq!(covet_simd::mean(&[f32::MAX; 2]), f64::from(f32::MAX));
        assert_eq!(
            covet_simd::dot(&[1e30_f32, 1e30, 7.0], &[1e30, -1e30, 2.0]),
            Ok(14.0)
        );
        assert_eq!(covet_simd::sum(&[f32::INFINITY, 1.0]), f32::INFINITY);
        assert!(covet_simd::sum(&[f32::INFINITY, f32::NEG_INFINITY]).is_nan());
        assert_eq!(covet_simd::sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert!(covet_simd::sum(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(
            covet_simd::sum(&[f64::NEG_INFINITY, 5.0]),
            f64::NEG_INFINITY
        );
    });
}

#[test]
fn integer_sums_wrap_and_means_do_not() {
    on_every_set(|_| {
        assert_eq!(covet_simd::sum(&[i32::MAX; 10]), 21_474_836_470);
        assert_eq!(covet_simd::sum(&[i64::MAX, 1]), i64::MIN);
        assert_eq!(covet_simd::mean(&[i64::MAX; 3]), i64::MAX as f64);
        assert_eq!(covet_simd::mean(&[i64::MIN; 5]), i64::MIN as f64);
        assert_eq!(
            covet_simd::dot(&[i32::MIN; 2], &[i32::MIN; 2]),
            Ok(i64::MIN)
        );
    });
}

#[test]
fn norms_beyond_the_range_of_squares() {
    on_every_set(|level| {
        for scale in [1e-320_f64, 1e-200, 1e-160, 1e150, 1e160, 1e300] {
            let x = [3.0 * scale, 4.0 * scale];
            let (found, expected) = (covet_simd::norm(&x), 5.0 * scale);
            assert!(
                (found / expected - 1.0).abs() < 1e-3,
                "{scale:e}: {found:e} on {level}"
            );
        }
        for scale in [1e-44_f32, 1e-30, 1e-20, 1e19, 1e30] {
            let x = [3.0 * scale, 4.0 * scale];
            let (found, expected) = (covet_simd::norm(&x), 5.0 * scale);
            assert!(
                (found / expected - 1.0).abs() < 0.2,
                "{scale:e}: {found:e} on {level}"
            );
        }
        assert_eq!(covet_simd::norm(&[0.0_f32; 100]), 0.0);
        assert_eq!(
            covet_simd::norm(&[-0.0_f64, f64::NEG_INFINITY]),
            f64::INFINITY
        );
        assert_eq!(covet_simd::norm(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert!(covet_simd::norm(&[f64::NAN, f64::INFINITY]).is_nan());
    });
}

#[test]
fn variances() {
    on_every_set(|_| {
        assert_eq!(covet_simd::variance(&[1.0, 2.0, 3.0, 4.0], 0.0), 1.25);
        assert_eq!(
            covet_simd::variance(&[1.0_f32, 2.0, 3.0, 4.0], 1.0),
            5.0 / 3.0
        );
        assert_eq!(covet_simd::variance(&[7.5_f32; 1000], 0.0), 0.0);
        // Far from 0, where the mean of the squares less the square of the mean has no digit right.
        let x: Vec<f64> = (0..1000).map(|i| 1e9 + f64::from(i % 2)).collect();
        assert!((covet_simd::variance(&x, 0.0) - 0.25).abs() < 1e-12);
        assert!(covet_simd::variance(&[1.0], 1.0).is_nan());
    });
}

#[test]
fn operands_of_other_lengths_are_refused_and_nothing_is_written() {
    let mut out = [7.0_f32; 3];
    let length = |operand, expected, found| {
        Err(Error::Length {
            operand,
            expected,
            found,
        })
    };
    assert_eq!(
        covet_simd::exp_into(&[1.0; 4], &mut out),
        length("out", 4, 3)
    );
    assert_eq!(
        covet_simd::add_into(&[1.0; 3], &[1.0; 2], &mut out),
        length("y", 3, 2)
    );
    assert_eq!(
        covet_simd::mul_add_into(2.0, &[1.0; 3], &[1.0; 5], &mut out),
        length("z", 3, 5)
    );
    assert_eq!(
        covet_simd::axpy(2.0, &[1.0; 4], &mut out),
        length("y", 4, 3)
    );
    assert_eq!(
        covet_simd::dot(&[1; 3], &[1; 4]),
        Err(Error::Length {
            operand: "y",
            expected: 3,
            found: 4
        })
    );
    assert_eq!(out, [7.0; 3]);
    let error = covet_simd::dot(&[1; 3], &[1; 4]).expect_err("other lengths");
    assert_eq!(error.to_string(), "expected 3 elements in `y`; found 4");
}

#[test]
fn integers_have_no_exponentials() {
    let mut out = [5_i32; 2];
    for op in Unary::ALL.iter().filter(|op| !op.supports::<i32>()) {
        let refused = Err(Error::Unsupported {
            operation: op.name(),
            element: "int32",
        });
        assert_eq!(covet_simd::unary_into(*op, &[1, 2], &mut out), refused);
    }
    let refused =
        covet_simd::binary_into(Binary::Div, &[1_i64, 2], 2, &mut [0, 0]).expect_err("no floats");
    assert_eq!(
        refused.to_string(),
        "`divide` expects elements of a floating-point type; found int64"
    );
    assert_eq!(out, [5; 2]);
}

#[test]
fn operations_have_names() {
    for op in Unary::ALL {
        assert_eq!(Unary::from_name(op.name()), Some(*op));
    }
    for op in Binary::ALL {
        assert_eq!(Binary::from_name(op.name()), Some(*op));
    }
    for op in Ternary::ALL {
        assert_eq!(Ternary::from_name(op.name()), Some(*op));
    }
    assert_eq!(Unary::from_name("cbrt"), None);
}

#[test]
fn clipping_and_scaling() {
    on_every_set(|_| {
        let mut x = [-5.0, 0.5, 9.0, f64::NAN, f64::INFINITY];
        covet_simd::clip_in_place(&mut x, 0.0, 1.0);
        assert_eq!(
            x.map(Sample::bits),
            [0.0, 0.5, 1.0, f64::NAN, 1.0].map(Sample::bits)
        );
        let mut x = [1, 2, i32::MAX];
        covet_simd::scale_in_place(&mut x, 2);
        assert_eq!(x, [2, 4, -2]);
        let mut out = [0; 2];
        covet_simd::sub_into(Operand::Scalar(10), &[1, 2], &mut out).expect("of one length");
        assert_eq!(out, [9, 8]);
    });
}
