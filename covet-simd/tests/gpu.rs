//! Arrays on a CUDA device, compared with the kernels of the host; and what is said where there is none.

use covet_simd::gpu::{self, DeviceArray, Error, Stream};
use covet_simd::{Element, Unary};

#[test]
fn without_a_device_the_reason_is_clear_and_stays() {
    let reason = match gpu::info() {
        Err(Error::Unavailable(reason)) => reason,
        found => {
            let there = cfg!(feature = "cuda") && found.is_ok();
            assert!(there, "{found:?}");
            return;
        }
    };
    let expected = match cfg!(feature = "cuda") {
        true => ["no CUDA", "expected a CUDA driver"].as_slice(),
        false => &["no CUDA: this was built without the feature `cuda`"],
    };
    let clear = expected.iter().any(|start| reason.starts_with(start));
    assert!(clear, "{reason}");
    let unavailable = Error::Unavailable(reason);
    assert_eq!(gpu::info().unwrap_err(), unavailable);
    assert_eq!(Stream::new(0).unwrap_err(), unavailable);
    assert_eq!(Stream::shared(7).unwrap_err(), unavailable);
}

#[test]
fn errors_say_what_was_expected_and_found() {
    let cases = [
        (
            Error::NoDevice { asked: 3, found: 2 },
            "expected the number of one of 2 CUDA devices, counted from 0; found 3",
        ),
        (
            Error::OtherDevice {
                operand: "x",
                expected: 0,
                found: 1,
            },
            "expected `x` on the CUDA device 0; found it on 1",
        ),
        (
            Error::OutOfMemory { bytes: 8 },
            "expected 8 bytes of memory on the CUDA device; it has none left",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
}

/// Lengths around those of a block and of all blocks.
const LENGTHS: [usize; 8] = [0, 1, 255, 256, 257, 100_000, (1 << 18) + 1, 1_000_000];

/// Numbers between -50 and 50, the same each time.
fn numbers(n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(|i| (i * 7919 % 10_007) as f64 / 100.0 - 50.0)
}

fn singles(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

fn on_device<T: Element>(values: &[T]) -> DeviceArray<T> {
    DeviceArray::from_host(&Stream::shared(0).unwrap(), values).unwrap()
}

#[test]
#[ignore = "needs a CUDA device"]
fn arrays_come_back_as_they_went() {
    for n in LENGTHS {
        let values: Vec<f64> = numbers(n).collect();
        let there = on_device(&values);
        assert_eq!(there.to_vec().unwrap(), values);
        assert_eq!(there.copy().unwrap().to_vec().unwrap(), values);
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn sums_are_those_of_the_host() {
    for n in LENGTHS {
        let floats: Vec<f64> = numbers(n).collect();
        let small = singles(&floats);
        let ints: Vec<i32> = floats.iter().map(|&x| (x * 4e7) as i32).collect();
        let longs: Vec<i64> = ints.iter().map(|&x| i64::from(x) << 31).collect();
        let (found, expected) = (on_device(&floats).sum().unwrap(), covet_simd::sum(&floats));
        assert!((found - expected).abs() <= 1e-9 * n as f64, "{n}");
        let (found, expected) = (on_device(&small).sum().unwrap(), covet_simd::sum(&small));
        assert!(
            (found - expected).abs() <= f32::EPSILON * expected.abs(),
            "{n}"
        );
        assert_eq!(on_device(&ints).sum().unwrap(), covet_simd::sum(&ints));
        assert_eq!(on_device(&longs).sum().unwrap(), covet_simd::sum(&longs));
    }
    let infinite = on_device(&[1.0, f64::INFINITY]);
    assert_eq!(infinite.sum().unwrap(), f64::INFINITY);
}

fn functions_agree<T: Element>(values: &[T], to_f64: impl Fn(T) -> f64, epsilon: f64) {
    let x = on_device(values);
    for &op in Unary::ALL {
        if !op.supports::<T>() {
            assert!(matches!(x.unary(op), Err(Error::Call(_))));
            continue;
        }
        let found = x.unary(op).unwrap().to_vec().unwrap();
        let mut expected = values.to_vec();
        covet_simd::unary_in_place(op, &mut expected).unwrap();
        for ((&found, &expected), &x) in found.iter().zip(&expected).zip(values) {
            let [found, expected] = [found, expected].map(&to_f64);
            let same = found == expected || found.is_nan() && expected.is_nan();
            let close = (found - expected).abs() <= 4.0 * epsilon * expected.abs();
            assert!(same || close, "{op:?} {x:?}: {found}, {expected}");
        }
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn functions_are_those_of_the_host() {
    let floats: Vec<f64> = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0]
        .into_iter()
        .chain(numbers(100_000))
        .collect();
    let ints: Vec<i32> = [i32::MIN, i32::MAX]
        .into_iter()
        .chain(numbers(1000).map(|x| x as i32))
        .collect();
    let longs: Vec<i64> = [i64::MIN, i64::MAX]
        .into_iter()
        .chain(numbers(1000).map(|x| x as i64))
        .collect();
    functions_agree(&singles(&floats), f64::from, f64::from(f32::EPSILON));
    functions_agree(&floats, |x| x, f64::EPSILON);
    functions_agree(&ints, f64::from, 0.0);
    functions_agree(&longs, |x| x as f64, 0.0);
}

#[test]
#[ignore = "needs a CUDA device"]
fn axpy_rounds_once_on_any_stream() {
    let x: Vec<f64> = numbers(100_001).collect();
    let mut expected = vec![1.5; x.len()];
    covet_simd::axpy(0.1, &x, &mut expected).unwrap();
    for stream in [Stream::shared(0).unwrap(), Stream::new(0).unwrap()] {
        let mut y = DeviceArray::from_host(&stream, &vec![1.5; x.len()]).unwrap();
        y.axpy(0.1, &on_device(&x)).unwrap();
        stream.synchronize().unwrap();
        assert_eq!(y.to_vec().unwrap(), expected);
        let refused = y.axpy(0.1, &on_device(&x[1..]));
        assert!(matches!(refused, Err(Error::Call(_))));
    }
}

#[test]
#[ignore = "needs a CUDA device and cuBLAS"]
fn products_are_of_rows() {
    for [m, k, n] in [[2, 3, 4], [1, 5, 1], [64, 1, 33], [2, 0, 2], [0, 3, 2]] {
        let a: Vec<f64> = numbers(m * k).map(f64::trunc).collect();
        let b: Vec<f64> = numbers(k * n).map(f64::trunc).collect();
        let element = |i: usize| -> f64 {
            let (row, column) = (i / n, i % n);
            (0..k).map(|j| a[row * k + j] * b[j * n + column]).sum()
        };
        let expected: Vec<f64> = (0..m * n).map(element).collect();
        let found = on_device(&a).matmul(&on_device(&b), [m, k, n]);
        assert_eq!(found.unwrap().to_vec().unwrap(), expected, "{m} {k} {n}");
        let [a, b] = [&a, &b].map(|values| on_device(&singles(values)));
        let found = a.matmul(&b, [m, k, n]).unwrap().to_vec().unwrap();
        assert_eq!(found, singles(&expected), "{m} {k} {n}");
    }
}

#[test]
#[ignore = "needs a CUDA device"]
fn a_device_that_is_not_there_is_refused() {
    let found = gpu::info().unwrap().len();
    let asked = found + 1;
    let refused = Stream::new(asked).unwrap_err();
    assert_eq!(refused, Error::NoDevice { asked, found });
}
