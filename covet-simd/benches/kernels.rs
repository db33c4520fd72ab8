//! What a call takes on one thread: in the nearest cache, beyond it, and in memory. `cargo bench -p covet-simd`; a filter such
//! as `exp/float32` chooses, and `COVET_SIMD` another instruction set. Beside its peers: `cargo xtask bench simd`.

use std::hint::black_box;
use std::time::Duration;

use covet_simd::axis::{self, Axis};
use covet_simd::par::Pool;
use covet_simd::view::View;
use covet_simd::{Binary, Element, Float, Unary};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const SIZES: [usize; 3] = [1_000, 100_000, 10_000_000];

fn kernels(criterion: &mut Criterion) {
    let one_thread = Pool::new(1).expect("needs none");
    one_thread.run(|| {
        reductions::<f32>(criterion, |i| i as f32 * 0.001 + 0.1);
        reductions::<f64>(criterion, |i| i as f64 * 0.001 + 0.1);
        reductions::<i32>(criterion, |i| i as i32 - 4000);
        reductions::<i64>(criterion, |i| i as i64 - 4000);
        floats::<f32>(criterion, |i| i as f32 * 0.001 + 0.1);
        floats::<f64>(criterion, |i| i as f64 * 0.001 + 0.1);
        along_an_axis(criterion);
    });
}

/// 8000 different values in an order that no predictor knows.
fn values<T>(n: usize, value: impl Fn(usize) -> T) -> Vec<T> {
    (0..n)
        .map(|i| value(i.wrapping_mul(2_654_435_761) % 8_000))
        .collect()
}

fn measure<T: Element>(criterion: &mut Criterion, name: &str, n: usize, mut call: impl FnMut()) {
    let mut group = criterion.benchmark_group(name);
    group
        .throughput(Throughput::Elements(n as u64))
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(10)
        .bench_function(BenchmarkId::new(T::NAME, n), |bencher| {
            bencher.iter(&mut call)
        });
}

fn reductions<T: Element>(criterion: &mut Criterion, value: impl Fn(usize) -> T) {
    for n in SIZES {
        let x = values(n, &value);
        let y = values(n, |i| value(7_999 - i));
        let mut out = x.clone();
        measure::<T>(criterion, "sum", n, || {
            black_box(covet_simd::sum(black_box(&x)));
        });
        measure::<T>(criterion, "mean", n, || {
            black_box(covet_simd::mean(black_box(&x)));
        });
        measure::<T>(criterion, "max", n, || {
            black_box(covet_simd::max(black_box(&x)));
        });
        measure::<T>(criterion, "arg_max", n, || {
            black_box(covet_simd::arg_max(black_box(&x)));
        });
        measure::<T>(criterion, "dot", n, || {
            black_box(covet_simd::dot(black_box(&x), &y)).expect("of one length");
        });
        measure::<T>(criterion, "square", n, || {
            covet_simd::square_into(black_box(&x), &mut out).expect("of one length");
        });
        measure::<T>(criterion, "add", n, || {
            covet_simd::binary_into(Binary::Add, black_box(&x), &y, &mut out)
                .expect("of one length");
        });
    }
}

fn floats<T: Float>(criterion: &mut Criterion, value: impl Fn(usize) -> T) {
    for n in SIZES {
        let x = values(n, &value);
        let mut out = x.clone();
        measure::<T>(criterion, "norm", n, || {
            black_box(covet_simd::norm(black_box(&x)));
        });
        measure::<T>(criterion, "axpy", n, || {
            covet_simd::axpy(value(3), black_box(&x), &mut out).expect("of one length");
        });
        for op in [
            Unary::Sqrt,
            Unary::Exp,
            Unary::Log,
            Unary::Tanh,
            Unary::Sigmoid,
        ] {
            measure::<T>(criterion, op.name(), n, || {
                covet_simd::unary_into(op, black_box(&x), &mut out).expect("of one length");
            });
        }
    }
}

fn along_an_axis(criterion: &mut Criterion) {
    let (rows, columns) = (1_000, 100);
    let x = values(rows * columns, |i| i as f32);
    let view = View::rows(&x, [rows, columns]).expect("so many");
    for (name, along) in [("sum_axis_0", Axis::Rows), ("sum_axis_1", Axis::Columns)] {
        let mut out = vec![0.0; along.results(view.shape())];
        measure::<f32>(criterion, name, rows * columns, || {
            axis::sum_axis(black_box(view), along, &mut out).expect("so many");
        });
    }
}

criterion_group!(benches, kernels);
criterion_main!(benches);
