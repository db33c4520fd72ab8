//! Matrix products against three plain loops, on every instruction set: all kinds of shapes and strides.

use covet_simd::dispatch::{Level, force};
use covet_simd::matmul::{gemm, gemm_batch, matmul, matvec};
use covet_simd::par::Pool;
use covet_simd::view::{View, ViewMut};
use covet_simd::{Element, Error};
use proptest::prelude::*;

/// A number that the tests compute with in `f64`, exactly for the small whole ones that they fill matrices with.
trait Number: Element {
    fn of(value: f64) -> Self;
    fn value(self) -> f64;
}

macro_rules! number {
    ($($element:ident)*) => {
        $(
            impl Number for $element {
                fn of(value: f64) -> Self {
                    value as Self
                }

                fn value(self) -> f64 {
                    self as f64
                }
            }
        )*
    };
}

number!(f32 f64 i32 i64);

/// Whole numbers from -4 to 4, in no order.
fn numbers<T: Number>(count: usize, seed: u64) -> Vec<T> {
    let mut state = seed | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        T::of(((state >> 33) % 9) as f64 - 4.0)
    };
    (0..count).map(|_| next()).collect()
}

/// How the elements of a matrix lie in a slice.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Columns,
    /// Every other element of every other row.
    Gaps,
    Backwards,
}

const LAYOUTS: [Layout; 4] = [
    Layout::Rows,
    Layout::Columns,
    Layout::Gaps,
    Layout::Backwards,
];

impl Layout {
    /// The length of the slice, the offset of the first element, and the strides.
    fn place(self, [rows, columns]: [usize; 2]) -> (usize, usize, [isize; 2]) {
        let (r, c) = (rows as isize, columns as isize);
        let count = rows * columns;
        match self {
            Self::Rows => (count, 0, [c, 1]),
            Self::Columns => (count, 0, [1, r]),
            Self::Gaps => (4 * count, 0, [4 * c, 2]),
            Self::Backwards => (count, count.saturating_sub(1), [-c, -1]),
        }
    }
}

/// A matrix in a slice.
struct Matrix<T> {
    all: Vec<T>,
    shape: [usize; 2],
    layout: Layout,
}

impl<T: Number> Matrix<T> {
    fn new(shape: [usize; 2], layout: Layout, seed: u64) -> Self {
        let all = numbers(layout.place(shape).0, seed);
        Self { all, shape, layout }
    }

    fn view(&self) -> View<'_, T> {
        let (_, offset, strides) = self.layout.place(self.shape);
        View::new(&self.all, offset, self.shape, strides).unwrap()
    }

    fn view_mut(&mut self) -> ViewMut<'_, T> {
        let (_, offset, strides) = self.layout.place(self.shape);
        ViewMut::new(&mut self.all, offset, self.shape, strides).unwrap()
    }

    fn values(&self) -> Vec<Vec<f64>> {
        let (_, offset, [row, column]) = self.layout.place(self.shape);
        let at = |r: usize, c: usize| offset as isize + r as isize * row + c as isize * column;
        let [rows, columns] = self.shape;
        let line = |r: usize| {
            (0..columns)
                .map(|c| self.all[at(r, c) as usize].value())
                .collect()
        };
        (0..rows).map(line).collect()
    }
}

/// `alpha a b + beta c`, term by term.
fn expected(
    alpha: f64,
    a: &[Vec<f64>],
    b: &[Vec<f64>],
    beta: f64,
    c: &[Vec<f64>],
) -> Vec<Vec<f64>> {
    let element = |i: usize, j: usize| {
        let sum: f64 = a[i].iter().zip(b).map(|(x, row)| x * row[j]).sum();
        alpha * sum + if beta == 0.0 { 0.0 } else { beta * c[i][j] }
    };
    let row = |i: usize| (0..c[i].len()).map(|j| element(i, j)).collect();
    (0..c.len()).map(row).collect()
}

/// Multiplies, and compares. All values are whole and small, so that no order of additions makes a difference.
fn check<T: Number>([m, k, n]: [usize; 3], layouts: [Layout; 3], alpha: f64, beta: f64) {
    let a = Matrix::<T>::new([m, k], layouts[0], 1);
    let b = Matrix::<T>::new([k, n], layouts[1], 2);
    let mut c = Matrix::<T>::new([m, n], layouts[2], 3);
    let expected = expected(alpha, &a.values(), &b.values(), beta, &c.values());
    let outside = untouched(&c);
    gemm(T::of(alpha), a.view(), b.view(), T::of(beta), c.view_mut()).unwrap();
    assert!(
        c.values() == expected,
        "{} {m} x {k} x {n}, {layouts:?}, alpha {alpha}, beta {beta}",
        T::NAME
    );
    assert_eq!(untouched(&c), outside, "between the elements of C");
}

/// The elements of the slice that are none of the matrix.
fn untouched<T: Number>(matrix: &Matrix<T>) -> Vec<f64> {
    let (count, offset, [row, column]) = matrix.layout.place(matrix.shape);
    let mut inside = vec![false; count];
    for r in 0..matrix.shape[0] {
        for c in 0..matrix.shape[1] {
            inside[(offset as isize + r as isize * row + c as isize * column) as usize] = true;
        }
    }
    let all = matrix.all.iter().zip(inside);
    all.filter(|(_, inside)| !inside)
        .map(|(x, _)| x.value())
        .collect()
}

fn check_all_types(shape: [usize; 3], layouts: [Layout; 3], alpha: f64, beta: f64) {
    check::<f32>(shape, layouts, alpha, beta);
    check::<f64>(shape, layouts, alpha, beta);
    check::<i32>(shape, layouts, alpha, beta);
    check::<i64>(shape, layouts, alpha, beta);
}

fn on_every_level(body: impl Fn()) {
    for level in Level::available() {
        let _forced = force(level).unwrap();
        body();
    }
}

#[test]
fn small_shapes_of_every_size() {
    on_every_level(|| {
        let sizes = [0, 1, 2, 3, 5, 7, 8, 15, 16, 17, 33, 48];
        for m in sizes {
            for k in [0, 1, 2, 9, 48] {
                for n in sizes {
                    check::<f32>([m, k, n], [Layout::Rows; 3], 1.0, 0.0);
                    check::<f64>([m, k, n], [Layout::Rows; 3], 1.0, 0.0);
                }
            }
        }
    });
}

#[test]
fn every_layout_of_every_operand() {
    on_every_level(|| {
        for a in LAYOUTS {
            for b in LAYOUTS {
                for c in LAYOUTS {
                    for shape in [[7, 5, 6], [1, 40, 9], [9, 40, 1], [1, 8, 1], [12, 50, 49]] {
                        check_all_types(shape, [a, b, c], 1.0, 0.0);
                        check_all_types(shape, [a, b, c], 2.0, -1.0);
                    }
                }
            }
        }
    });
}

#[test]
fn factors_of_the_product_and_of_what_is_there() {
    on_every_level(|| {
        for alpha in [0.0, 1.0, -3.0] {
            for beta in [0.0, 1.0, 2.0] {
                for shape in [[4, 0, 5], [3, 4, 5], [1, 30, 20], [20, 30, 1], [70, 60, 50]] {
                    check_all_types(shape, [Layout::Rows; 3], alpha, beta);
                }
            }
        }
    });
}

#[test]
fn matrices_of_several_pieces() {
    for threads in [1, 2, 3, 8] {
        Pool::new(threads).unwrap().run(|| {
            check::<f32>([300, 250, 310], [Layout::Rows; 3], 1.0, 0.0);
            check::<f64>(
                [31, 260, 700],
                [Layout::Rows, Layout::Columns, Layout::Rows],
                1.0,
                1.0,
            );
            check::<f64>(
                [700, 260, 31],
                [Layout::Gaps, Layout::Rows, Layout::Columns],
                2.0,
                0.0,
            );
            check::<i32>([120, 100, 110], [Layout::Rows; 3], 1.0, 0.0);
            check::<f32>([3000, 200, 1], [Layout::Rows; 3], 1.0, 0.0);
            check::<f32>([1, 200, 3000], [Layout::Rows; 3], 1.0, 1.0);
        });
    }
}

#[test]
fn what_is_in_c_is_not_read_without_need() {
    on_every_level(|| {
        for shape in [[2, 2], [60, 60], [1, 30], [30, 1]] {
            let [m, n] = shape;
            let (a, b) = (vec![1.0_f64; m * 3], vec![1.0; 3 * n]);
            let mut c = vec![f64::NAN; m * n];
            let (a, b) = (
                View::rows(&a, [m, 3]).unwrap(),
                View::rows(&b, [3, n]).unwrap(),
            );
            matmul(a, b, ViewMut::rows(&mut c, shape).unwrap()).unwrap();
            assert_eq!(c, vec![3.0; m * n]);
        }
    });
}

#[test]
fn nan_and_infinity_go_through() {
    let a = [1.0_f32, f32::NAN, 2.0, 0.0];
    let b = [f32::INFINITY, 1.0, 1.0, 1.0];
    let mut c = [0.0; 4];
    let view = |x| View::rows(x, [2, 2]).unwrap();
    matmul(view(&a), view(&b), ViewMut::rows(&mut c, [2, 2]).unwrap()).unwrap();
    assert!(c[0].is_nan() && c[1].is_nan());
    assert_eq!(c[2..], [f32::INFINITY, 2.0]);
}

#[test]
fn integers_wrap() {
    let big = [i32::MAX, 2];
    let two = [2, 3];
    let mut c = [0];
    let one = ViewMut::rows(&mut c, [1, 1]).unwrap();
    matmul(View::row(&big), View::row(&two).transposed(), one).unwrap();
    assert_eq!(c[0], i32::MAX.wrapping_mul(2).wrapping_add(6));
}

#[test]
fn a_matrix_times_a_vector() {
    let a: Vec<f64> = numbers(6, 5);
    let mut y = [0.0; 2];
    matvec(View::rows(&a, [2, 3]).unwrap(), &[1.0, 2.0, 3.0], &mut y).unwrap();
    assert_eq!(
        y,
        [
            a[0] + 2.0 * a[1] + 3.0 * a[2],
            a[3] + 2.0 * a[4] + 3.0 * a[5]
        ]
    );
    let error = matvec(View::rows(&a, [2, 3]).unwrap(), &[1.0, 2.0], &mut y).unwrap_err();
    assert_eq!(error.to_string(), "expected 3 elements in `x`; found 2");
}

#[test]
fn many_products_at_once() {
    let sizes = [1, 2, 30, 50, 7];
    let a: Vec<_> = sizes
        .map(|n| Matrix::<f32>::new([n, 4], Layout::Rows, 1))
        .into();
    let b: Vec<_> = sizes
        .map(|n| Matrix::<f32>::new([4, n + 1], Layout::Columns, 2))
        .into();
    let mut c: Vec<_> = sizes
        .map(|n| Matrix::<f32>::new([n, n + 1], Layout::Rows, 3))
        .into();
    let each = a.iter().zip(&b).zip(&c);
    let expected: Vec<_> = each
        .map(|((a, b), c)| expected(2.0, &a.values(), &b.values(), 1.0, &c.values()))
        .collect();
    let (left, right): (Vec<_>, Vec<_>) = a
        .iter()
        .map(Matrix::view)
        .zip(b.iter().map(Matrix::view))
        .unzip();
    let mut out: Vec<_> = c.iter_mut().map(Matrix::view_mut).collect();
    gemm_batch(2.0, &left, &right, 1.0, &mut out).unwrap();
    drop(out);
    assert_eq!(c.iter().map(Matrix::values).collect::<Vec<_>>(), expected);

    let mut out: Vec<_> = c.iter_mut().map(Matrix::view_mut).collect();
    let error = gemm_batch(2.0, &left, &right[1..], 1.0, &mut out).unwrap_err();
    assert_eq!(error.to_string(), "expected 5 elements in `b`; found 4");
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let (a, b) = (vec![1.0; 6], vec![1.0; 6]);
    let mut c = vec![7.0; 4];
    let view = |x, shape| View::rows(x, shape).unwrap();
    let out = ViewMut::rows(&mut c, [2, 2]).unwrap();
    let error = matmul(view(&a, [2, 3]), view(&b, [2, 3]), out).unwrap_err();
    let (expected, found) = ([3, 3], [2, 3]);
    assert_eq!(
        error,
        Error::Shape {
            operand: "b",
            expected,
            found
        }
    );
    let out = ViewMut::rows(&mut c, [1, 4]).unwrap();
    let error = matmul(view(&a, [2, 3]), view(&b, [3, 2]), out).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected `c` to be of 2 x 2 elements; found 1 x 4"
    );
    assert_eq!(c, [7.0; 4]);
}

/// The error of each element is that of adding k products one after the other, at most.
#[test]
fn rounding_is_as_small_as_it_can_be() {
    on_every_level(|| {
        let n = 130;
        let a: Vec<f32> = (0..n * n)
            .map(|i| ((i * 7919) % 1000) as f32 / 999.0)
            .collect();
        let b: Vec<f32> = (0..n * n)
            .map(|i| ((i * 104729) % 1000) as f32 / 999.0)
            .collect();
        let mut c = vec![0.0; n * n];
        let view = |x| View::rows(x, [n, n]).unwrap();
        matmul(view(&a), view(&b), ViewMut::rows(&mut c, [n, n]).unwrap()).unwrap();
        for i in 0..n {
            for j in 0..n {
                let exact: f64 = (0..n)
                    .map(|p| f64::from(a[i * n + p]) * f64::from(b[p * n + j]))
                    .sum();
                let error = (f64::from(c[i * n + j]) - exact).abs();
                assert!(
                    error <= n as f64 / 2.0 * f64::from(f32::EPSILON) * exact,
                    "{error} of {exact}"
                );
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_shape_and_layout(
        shape in [0..56_usize, 0..56_usize, 0..56_usize],
        layouts in [0..4_usize, 0..4_usize, 0..4_usize],
        alpha in -2..3_i8,
        beta in -2..3_i8,
    ) {
        check_all_types(shape, layouts.map(|i| LAYOUTS[i]), alpha.into(), beta.into());
    }
}
