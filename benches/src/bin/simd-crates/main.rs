//! The kernels of covet-simd beside those of other crates, on one thread. What a Python program sees is measured by
//! `benches/simd/main.py`.

use std::hint::black_box;
use std::time::Instant;

use covet_benches::measure::{Run, quartiles};
use covet_benches::options::Options;
use covet_benches::report::{self, Row};
use covet_simd::matmul::matmul;
use covet_simd::par::Pool;
use covet_simd::view::{View, ViewMut};
use ndarray::{Array1, Array2};

type Contender = (&'static str, Run);

fn main() {
    let options = Options::from_command_line();
    let one_thread = Pool::new(1).expect("needs none");
    options.measure("simd-crates", || one_thread.run(|| all(&options)));
}

fn all(options: &Options) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut measure = |case: String, unit, contenders: Box<dyn Fn() -> Vec<Contender>>| {
        if !options.wants(&case) {
            return;
        }
        let (names, runs): (Vec<_>, Vec<_>) = contenders().into_iter().unzip();
        let values = quartiles(&runs, options.effort);
        // Picoseconds: an element takes less than a nanosecond.
        let values: Vec<f64> = values.into_iter().map(|nanos| nanos * 1e3).collect();
        let found = report::rows(&case, unit, &names, &values, options.effort.rounds);
        report::print_case(&found);
        rows.extend(found);
    };
    for n in [1_000, 100_000] {
        measure(
            format!("sum f32 {n}"),
            "ps/element",
            Box::new(move || sums(n)),
        );
        measure(
            format!("dot f32 {n}"),
            "ps/element",
            Box::new(move || dots(n)),
        );
    }
    for n in [32, 64, 128, 256, 512, 1024, 2048] {
        measure(
            format!("matmul f32 {n}"),
            "ps/multiply-add",
            Box::new(move || products(n)),
        );
    }
    rows
}

/// A run whose operations are elements: as many calls as have so many of them, or one.
fn each(elements: usize, call: impl Fn() + 'static) -> Run {
    Box::new(move |count| {
        let calls = count.div_ceil(elements as u64);
        let begin = Instant::now();
        for _ in 0..calls {
            call();
        }
        let share = count as f64 / (calls * elements as u64) as f64;
        begin.elapsed().mul_f64(share)
    })
}

/// Values that sums of are exact in `f32`, so that all contenders must agree.
fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7 % 13) as f32 - 6.0).collect()
}

fn sums(n: usize) -> Vec<Contender> {
    let x = values(n);
    let other = Array1::from(x.clone());
    assert_eq!(covet_simd::sum(&x), other.sum());
    vec![
        (
            "covet",
            each(n, move || {
                black_box(covet_simd::sum(black_box(&x)));
            }),
        ),
        (
            "ndarray",
            each(n, move || {
                black_box(black_box(&other).sum());
            }),
        ),
    ]
}

fn dots(n: usize) -> Vec<Contender> {
    let x = values(n);
    let other = Array1::from(x.clone());
    assert_eq!(covet_simd::dot(&x, &x), Ok(other.dot(&other)));
    vec![
        (
            "covet",
            each(n, move || {
                black_box(covet_simd::dot(black_box(&x), &x)).expect("of one length");
            }),
        ),
        (
            "ndarray",
            each(n, move || {
                black_box(black_box(&other).dot(&other));
            }),
        ),
    ]
}

/// ndarray's product is matrixmultiply's.
fn products(n: usize) -> Vec<Contender> {
    let x = values(n * n);
    let other = Array2::from_shape_vec([n, n], x.clone()).expect("of this shape");
    let expected = other.dot(&other);
    type Product = fn(usize, &[f32], &mut [f32]);
    let contenders: [(&'static str, Product); 3] = [
        ("covet", by_covet),
        ("gemm", by_gemm),
        ("matrixmultiply", by_matrixmultiply),
    ];
    let run = |(name, product): (&'static str, Product)| {
        let mut result = vec![0.0; n * n];
        product(n, &x, &mut result);
        assert_eq!(Some(&result[..]), expected.as_slice(), "{name}");
        let (x, result) = (x.clone(), std::cell::RefCell::new(result));
        let call = move || product(n, black_box(&x), &mut result.borrow_mut());
        (name, each(n * n * n, call))
    };
    contenders.map(run).into()
}

fn by_covet(n: usize, x: &[f32], result: &mut [f32]) {
    let view = View::rows(x, [n, n]).expect("of this shape");
    let result = ViewMut::rows(result, [n, n]).expect("of this shape");
    matmul(view, view, result).expect("of one shape");
}

fn by_gemm(n: usize, x: &[f32], result: &mut [f32]) {
    let (x, result, row) = (x.as_ptr(), result.as_mut_ptr(), n as isize);
    let (read, alpha, beta) = (false, 0.0, 1.0);
    let (conjugate, threads) = (false, gemm::Parallelism::None);
    // SAFETY: all are rows of n elements, n of them.
    unsafe {
        gemm::gemm(
            n, n, n, result, 1, row, read, x, 1, row, x, 1, row, alpha, beta, conjugate, conjugate,
            conjugate, threads,
        );
    }
}

fn by_matrixmultiply(n: usize, x: &[f32], result: &mut [f32]) {
    let (x, result, row) = (x.as_ptr(), result.as_mut_ptr(), n as isize);
    // SAFETY: all are rows of n elements, n of them.
    unsafe { matrixmultiply::sgemm(n, n, n, 1.0, x, row, 1, x, row, 1, 0.0, result, row, 1) };
}
