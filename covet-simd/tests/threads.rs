//! The same bits for any number of threads, from pools of one's own and from the one there is.

use covet_simd::par::Pool;
use covet_simd::view::{View, ViewMut};
use covet_simd::{Binary, Error, Unary, raw};

/// Enough for calls to be shared, and for a part of a block at the end.
const N: usize = 3_000_017;

fn values(seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 65_536.0 - 100.0
    };
    (0..N).map(|_| next()).collect()
}

/// Checks that `compute` gives the same with pools of several sizes and without one.
fn same_for_all<R: PartialEq + std::fmt::Debug>(what: &str, compute: impl Fn() -> R) {
    let expected = Pool::new(1).expect("needs no thread").run(&compute);
    for threads in [2, 3, 8] {
        let pool = Pool::new(threads).expect("threads start");
        assert_eq!(pool.threads(), threads);
        for _ in 0..3 {
            assert!(
                pool.run(&compute) == expected,
                "{what} differs with {threads} threads"
            );
        }
    }
    assert!(compute() == expected, "{what} differs with rayon's pool");
}

#[test]
fn reductions_of_any_number_of_threads() {
    let (x, y) = (values(1), values(2));
    let wide: Vec<f64> = x.iter().map(|&x| f64::from(x) * 1.1).collect();
    let whole: Vec<i64> = wide.iter().map(|&x| (x * 1e15) as i64).collect();
    same_for_all("sum", || {
        (
            covet_simd::sum(&x).to_bits(),
            covet_simd::sum(&wide).to_bits(),
        )
    });
    same_for_all("sum of integers", || {
        (covet_simd::sum(&whole), covet_simd::mean(&whole).to_bits())
    });
    same_for_all("dot", || covet_simd::dot(&x, &y).map(f32::to_bits));
    same_for_all("norm", || covet_simd::norm(&wide).to_bits());
    same_for_all("variance", || covet_simd::variance(&x, 1.0).to_bits());
    same_for_all("extrema", || {
        (
            covet_simd::min(&x),
            covet_simd::max(&wide),
            covet_simd::nan_max(&x),
        )
    });
    same_for_all("indices", || {
        (covet_simd::arg_min(&x), covet_simd::arg_max(&whole))
    });
}

#[test]
fn the_first_of_equals_is_found_by_any_number_of_threads() {
    let mut x = vec![0; N];
    for at in [700_000, 700_001, 2_900_000] {
        x[at] = 9;
    }
    same_for_all("index", || covet_simd::arg_max(&x));
    assert_eq!(covet_simd::arg_max(&x), Some(700_000));
    let mut x = vec![0.0; N];
    (x[1_500_000], x[2_000_000]) = (f64::NAN, f64::NAN);
    same_for_all("index", || covet_simd::arg_min(&x));
    assert_eq!(covet_simd::arg_min(&x), Some(1_500_000));
}

#[test]
fn maps_of_any_number_of_threads() {
    let (x, y) = (values(3), values(4));
    let into = |map: &dyn Fn(&mut [f32])| {
        let mut out = vec![0.0; N];
        map(&mut out);
        out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    same_for_all("exp", || {
        into(&|out| covet_simd::exp_into(&x, out).expect("of one length"))
    });
    same_for_all("add", || {
        into(&|out| covet_simd::add_into(&x, &y, out).expect("of one length"))
    });
    same_for_all("axpy", || {
        into(&|out| {
            out.copy_from_slice(&y);
            covet_simd::axpy(1.5, &x, out).expect("of one length");
        })
    });
}

#[test]
fn views_of_any_number_of_threads() {
    let x = values(5);
    for (shape, strides) in [
        ([1000, 2000], [1, 1000]),
        ([3, 600_000], [900_000, 1]),
        ([600_000, 3], [5, 2]),
    ] {
        let view = View::new(&x, 7, shape, strides).expect("inside");
        same_for_all("sum of a view", || {
            // SAFETY: a view is good for reads.
            unsafe { raw::sum(shape, view.source()) }.to_bits()
        });
        same_for_all("map of a view", || {
            let mut out = vec![0.0; shape[0] * shape[1]];
            let target = ViewMut::rows(&mut out, shape).expect("inside").target();
            // SAFETY: views are good for reads and writes, and these are of different memory.
            unsafe { raw::unary(Unary::Square, shape, view.source(), target) }.expect("supported");
            out
        });
    }
}

#[test]
fn calls_within_calls_and_panics_leave_the_pool_as_it_was() {
    let (x, two, three) = (
        values(6),
        Pool::new(2).expect("starts"),
        Pool::new(3).expect("starts"),
    );
    let expected = covet_simd::sum(&x);
    two.run(|| {
        assert_eq!(covet_simd::sum(&x), expected);
        three.run(|| assert_eq!(covet_simd::sum(&x), expected));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            three.run(|| panic!("on purpose"))
        }));
        assert!(panicked.is_err());
        assert_eq!(covet_simd::sum(&x), expected);
    });
    // From a thread of a pool, and from many at once.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(two.run(|| covet_simd::sum(&x)), expected);
                }
            });
        }
    });
    let mut out = vec![0.0; N];
    let all = Pool::new(0).expect("starts");
    all.run(|| covet_simd::binary_into(Binary::Mul, &x, 2.0, &mut out))
        .expect("of one length");
    assert_eq!(out[N - 1], x[N - 1] * 2.0);
}

#[test]
fn more_threads_than_a_pool_may_have_are_refused() {
    let found = usize::MAX;
    assert_eq!(
        Pool::new(found).unwrap_err(),
        Error::TooManyThreads { most: 1024, found }
    );
}
