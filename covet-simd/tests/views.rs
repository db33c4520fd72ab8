//! Rows, columns and strides: any view gives what its elements give when they are copied side by side.

mod oracle;

use covet_simd::axis::{self, Axis};
use covet_simd::raw::{self, Source, Target};
use covet_simd::view::{View, ViewMut};
use covet_simd::{Binary, Error, Ternary, Unary};
use oracle::{Sample, on_every_set, samples};
use proptest::prelude::*;

/// A view of some part of `length` elements.
#[derive(Clone, Debug)]
struct Part {
    offset: usize,
    shape: [usize; 2],
    strides: [isize; 2],
}

/// A place for each of `shape` elements, in some order and with gaps, within `LENGTH`.
const LENGTH: usize = 20_000;

fn strides_of(shape: [usize; 2], distinct: bool) -> impl Strategy<Value = Part> {
    let least = if distinct { 1 } else { 0 };
    (
        any::<bool>(),
        any::<[bool; 2]>(),
        least..4_usize,
        least..4_usize,
        0..40_usize,
    )
        .prop_map(move |(transposed, backwards, inner, gap, offset)| {
            let [rows, columns] = shape;
            // The outer axis steps over what the inner reaches.
            let (inner_count, inner_axis) = if transposed { (rows, 0) } else { (columns, 1) };
            let outer = if gap == 0 {
                0
            } else {
                inner * inner_count.max(1) + (gap - 1)
            };
            let mut strides = [outer as isize; 2];
            strides[inner_axis] = inner as isize;
            let mut offset = offset;
            for axis in 0..2 {
                if backwards[axis] {
                    offset += shape[axis].saturating_sub(1) * strides[axis].unsigned_abs();
                    strides[axis] = -strides[axis];
                }
            }
            Part {
                offset,
                shape,
                strides,
            }
        })
}

fn shapes() -> impl Strategy<Value = [usize; 2]> {
    prop_oneof![
        (0..40_usize, 0..40_usize),
        (1..4_usize, 400..600_usize),
        (400..600_usize, 1..4_usize),
    ]
    .prop_map(|(rows, columns)| [rows, columns])
}

fn view<'a, T: Copy>(of: &'a [T], part: &Part) -> View<'a, T> {
    View::new(of, part.offset, part.shape, part.strides).expect("inside")
}

/// Indices of the elements of a view, in the order of rows.
fn places(part: &Part) -> impl Iterator<Item = usize> + Clone {
    let Part {
        offset,
        shape: [rows, columns],
        strides,
    } = part.clone();
    (0..rows).flat_map(move |row| {
        (0..columns).map(move |column| {
            (offset as isize + row as isize * strides[0] + column as isize * strides[1]) as usize
        })
    })
}

fn copied<T: Copy>(of: &[T], part: &Part) -> Vec<T> {
    places(part).map(|place| of[place]).collect()
}

fn elements() -> Vec<f64> {
    samples(LENGTH, 1, |bits| (bits >> 40) as f64 / 65_536.0 - 100.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 200 } else { 2000 }))]

    #[test]
    fn reductions(part in shapes().prop_flat_map(|shape| strides_of(shape, false))) {
        let x = elements();
        let (view, side_by_side) = (view(&x, &part), copied(&x, &part));
        let n = side_by_side.len() as f64;
        on_every_set(|_| {
            // SAFETY: a view is good for reads.
            unsafe {
                let (shape, source) = (view.shape(), view.source());
                // A view may be taken column by column, so that sums differ in the last bits.
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-15 * 200.0 * (n + 1.0);
                assert!(close(raw::sum(shape, source), covet_simd::sum(&side_by_side)));
                assert_eq!(raw::min(shape, source), covet_simd::min(&side_by_side));
                assert_eq!(raw::max(shape, source), covet_simd::max(&side_by_side));
                assert_eq!(raw::nan_min(shape, source), covet_simd::nan_min(&side_by_side));
                assert_eq!(raw::arg_min(shape, source), covet_simd::arg_min(&side_by_side));
                assert_eq!(raw::arg_max(shape, source), covet_simd::arg_max(&side_by_side));
                assert!(close(raw::norm(shape, source), covet_simd::norm(&side_by_side)));
                if n > 0.0 {
                    assert!(close(raw::mean(shape, source), covet_simd::mean(&side_by_side)));
                    let variance = covet_simd::variance(&side_by_side, 0.0);
                    assert!((raw::variance(shape, source, 0.0) - variance).abs() < 1e-9);
                }
            }
        });
    }

    #[test]
    fn reductions_of_rows_have_the_bits_of_a_slice(
        columns in 1..LENGTH / 3, stride in 2..4_isize, offset in 0..3_usize
    ) {
        let x = elements();
        let columns = columns.min((LENGTH - offset - 1) / stride as usize);
        let part = Part { offset, shape: [1, columns], strides: [0, stride] };
        let side_by_side = copied(&x, &part);
        let source = view(&x, &part).source();
        on_every_set(|_| {
            // SAFETY: a view is good for reads.
            let found = unsafe { raw::sum([1, columns], source) };
            assert_eq!(found.to_bits(), covet_simd::sum(&side_by_side).to_bits());
        });
    }

    #[test]
    fn reductions_along_an_axis(part in shapes().prop_flat_map(|shape| strides_of(shape, false))) {
        let x = elements();
        let whole: Vec<i64> = x.iter().map(|&x| x as i64).collect();
        let view_of_whole = view(&whole, &part);
        let view = view(&x, &part);
        let [rows, columns] = part.shape;
        let lines = |axis: Axis| -> Vec<Vec<f64>> {
            let elements = copied(&x, &part);
            match axis {
                Axis::Columns => (0..rows).map(|row| elements[row * columns..][..columns].to_vec()).collect(),
                Axis::Rows => (0..columns)
                    .map(|column| (0..rows).map(|row| elements[row * columns + column]).collect())
                    .collect(),
            }
        };
        on_every_set(|_| {
            for along in [Axis::Rows, Axis::Columns] {
                let lines = lines(along);
                let mut found = vec![f64::NAN; lines.len()];
                axis::sum_axis(view, along, &mut found).expect("so many");
                for (found, line) in found.iter().zip(&lines) {
                    assert!((found - covet_simd::sum(line)).abs() < 1e-9);
                }
                let mut sums = vec![-1; lines.len()];
                axis::sum_axis(view_of_whole, along, &mut sums).expect("so many");
                for (found, line) in sums.iter().zip(&lines) {
                    assert_eq!(*found, line.iter().map(|&x| x as i64).sum::<i64>());
                }
                axis::mean_axis(view, along, &mut found).expect("so many");
                for (found, line) in found.iter().zip(&lines) {
                    assert!(line.is_empty() && found.is_nan() || (found - covet_simd::mean(line)).abs() < 1e-9);
                }
                let least = axis::min_axis(view, along, &mut found);
                if lines.first().is_some_and(Vec::is_empty) {
                    assert!(matches!(least, Err(Error::Shape { .. })));
                    continue;
                }
                least.expect("so many");
                for (found, line) in found.iter().zip(&lines) {
                    assert_eq!(Some(*found), covet_simd::min(line));
                }
                axis::max_axis(view, along, &mut found).expect("so many");
                for (found, line) in found.iter().zip(&lines) {
                    assert_eq!(Some(*found), covet_simd::max(line));
                }
            }
        });
    }

    #[test]
    fn maps(
        (x, y, z, out) in shapes().prop_flat_map(|shape| {
            (strides_of(shape, false), strides_of(shape, false), strides_of(shape, false), strides_of(shape, true))
        })
    ) {
        let elements = elements();
        let [a, b, c] = [&x, &y, &z].map(|part| copied(&elements, part));
        let [x, y, z] = [&x, &y, &z].map(|part| view(&elements, part).source());
        let shape = out.shape;
        let check = |what: &str, expected: &[f64], map: &dyn Fn(Target<f64>)| {
            let mut memory = vec![f64::NAN; LENGTH];
            let target = ViewMut::new(&mut memory, out.offset, shape, out.strides).expect("distinct").target();
            map(target);
            assert_eq!(copied(&memory, &out), expected, "{what}");
            let written = memory.iter().filter(|x| !x.is_nan()).count();
            assert_eq!(written, expected.len(), "{what} wrote elsewhere");
        };
        let expected = |of: &dyn Fn(usize) -> f64| -> Vec<f64> { (0..a.len()).map(of).collect() };
        on_every_set(|_| {
            // SAFETY: views are good for reads and writes, and these are of different memory.
            check("square", &expected(&|i| a[i] * a[i]), &|out| unsafe {
                raw::unary(Unary::Square, shape, x, out).expect("supported");
            });
            // SAFETY: as above.
            check("subtract", &expected(&|i| a[i] - b[i]), &|out| unsafe {
                raw::binary(Binary::Sub, shape, x, y, out).expect("supported");
            });
            // SAFETY: as above.
            check("fma", &expected(&|i| a[i].mul_add(b[i], c[i])), &|out| unsafe {
                raw::ternary(Ternary::MulAdd, shape, [x, y, z], out).expect("supported");
            });
        });
    }

    #[test]
    fn maps_in_place(part in shapes().prop_flat_map(|shape| strides_of(shape, true))) {
        on_every_set(|_| {
            let mut memory = elements();
            let before = copied(&memory, &part);
            let first = memory.as_mut_ptr().wrapping_add(part.offset);
            let (source, target) = (Source { first, strides: part.strides }, Target { first, strides: part.strides });
            // SAFETY: the view is inside, and its elements are distinct.
            unsafe { raw::unary(Unary::Neg, part.shape, source, target) }.expect("supported");
            let negative: Vec<f64> = before.iter().map(|x| -x).collect();
            assert_eq!(copied(&memory, &part), negative);
        });
    }

    #[test]
    fn a_view_is_refused_exactly_if_it_reaches_beyond(
        offset in 0..30_usize, rows in 0..6_usize, columns in 0..6_usize, row in -8..8_isize, column in -8..8_isize
    ) {
        let x = [0_i32; 40];
        let (shape, strides) = ([rows, columns], [row, column]);
        let inside = (0..rows).all(|r| {
            (0..columns).all(|c| {
                let place = offset as isize + r as isize * row + c as isize * column;
                (0..40).contains(&place)
            })
        });
        assert_eq!(View::new(&x, offset, shape, strides).is_ok(), inside);
        let mut out = x;
        let mut places: Vec<isize> = (0..rows)
            .flat_map(|r| (0..columns).map(move |c| r as isize * row + c as isize * column))
            .collect();
        places.sort_unstable();
        let distinct = places.windows(2).all(|pair| pair[0] != pair[1]);
        // Some distinct ones are refused, none that overlap is not.
        if ViewMut::new(&mut out, offset, shape, strides).is_ok() {
            assert!(inside && distinct);
        }
    }
}

#[test]
fn shapes_that_overflow_are_refused() {
    let x = [0_i32; 4];
    for (shape, strides) in [
        ([usize::MAX, 2], [0, 0]),
        ([1 << 40, 1 << 40], [0, 0]),
        ([2, 2], [isize::MAX, isize::MAX]),
        ([2, 2], [isize::MIN, 0]),
        ([usize::MAX, usize::MAX], [isize::MAX, isize::MAX]),
    ] {
        assert!(
            matches!(
                View::new(&x, 0, shape, strides),
                Err(Error::OutOfBounds { .. })
            ),
            "{shape:?}"
        );
    }
    let error = View::rows(&x, [2, 3]).expect_err("six of four").to_string();
    assert_eq!(
        error,
        "expected a view inside of 4 elements; found one of 2 x 3 with strides of 3 and 1"
    );
}

#[test]
fn along_an_axis_the_output_has_to_fit() {
    let x = [1.0_f32; 6];
    let view = View::rows(&x, [2, 3]).expect("inside");
    let refused = axis::sum_axis(view, Axis::Rows, &mut [0.0; 2]);
    assert_eq!(
        refused,
        Err(Error::Length {
            operand: "out",
            expected: 3,
            found: 2
        })
    );
    let mut out = [0.0; 3];
    axis::sum_axis(view, Axis::Rows, &mut out).expect("fits");
    assert_eq!(out, [2.0; 3]);
    axis::sum_axis(view.transposed(), Axis::Columns, &mut out).expect("fits");
    assert_eq!(out, [2.0; 3]);
}

#[test]
fn means_of_long_columns_are_those_of_f64() {
    // Added in `f32`, this is wrong in the third digit.
    let rows = 400_000;
    let x: Vec<f32> = (0..2 * rows).map(|i| 1.0 + (i % 7) as f32 * 0.1).collect();
    let view = View::rows(&x, [rows, 2]).expect("inside");
    let mut found = [0.0; 2];
    axis::mean_axis(view, Axis::Rows, &mut found).expect("fits");
    for (column, found) in found.into_iter().enumerate() {
        let exact: f64 = x
            .iter()
            .skip(column)
            .step_by(2)
            .map(|&x| f64::from(x))
            .sum::<f64>()
            / rows as f64;
        assert!((found - exact).abs() < 1e-7, "{found} {exact}");
    }
}

#[test]
fn columns_are_summed_as_well_as_slices() {
    // More than a block of floats, and of integers.
    let rows = 33_000;
    for columns in [2, 16, 19] {
        let n = rows * columns;
        let narrow = samples(n, 1, i32::of_bits);
        let long = samples(n, 2, i64::of_bits);
        let single = samples(n, 3, |bits| (bits >> 40) as f32 / 1024.0);
        let exact = |of: &dyn Fn(usize) -> i128| -> Vec<i128> {
            let column = |column| (0..rows).map(|row| of(row * columns + column)).sum();
            (0..columns).map(column).collect()
        };
        let long_sums = exact(&|i| i128::from(long[i]));
        let narrow_sums = exact(&|i| i128::from(narrow[i]));
        // In units of 1/1024.
        let single_sums = exact(&|i| (single[i] * 1024.0) as i128);
        on_every_set(|level| {
            let shape = [rows, columns];
            let mut sums = vec![0_i64; columns];
            let view = View::rows(&narrow, shape).expect("inside");
            axis::sum_axis(view, Axis::Rows, &mut sums).expect("fits");
            for (found, expected) in sums.iter().zip(&narrow_sums) {
                assert_eq!(i128::from(*found), *expected, "{level}");
            }
            let (view, mut means) = (
                View::rows(&long, shape).expect("inside"),
                vec![0.0; columns],
            );
            axis::sum_axis(view, Axis::Rows, &mut sums).expect("fits");
            axis::mean_axis(view, Axis::Rows, &mut means).expect("fits");
            for ((found, mean), expected) in sums.iter().zip(means).zip(&long_sums) {
                assert_eq!(*found, *expected as i64, "wrapped, {level}");
                assert_eq!(mean, *expected as f64 / rows as f64, "{level}");
            }
            let (view, mut sums) = (
                View::rows(&single, shape).expect("inside"),
                vec![0.0_f32; columns],
            );
            axis::sum_axis(view, Axis::Rows, &mut sums).expect("fits");
            // Half a unit of the result, and what three additions lose.
            for (found, expected) in sums.iter().zip(&single_sums) {
                let off = (f64::from(*found) * 1024.0 - *expected as f64).abs();
                assert!(
                    off <= *expected as f64 * 6.5e-8,
                    "{found} {expected} {level}"
                );
            }
        });
    }
}

#[test]
fn columns_that_overflow_on_the_way_are_added_once_more() {
    on_every_set(|level| {
        for columns in [2, 16, 35] {
            let rows = [f32::MAX, f32::MAX, 1.0, -f32::MAX, -f32::MAX];
            let x: Vec<f32> = rows
                .iter()
                .flat_map(|&value| vec![value; columns])
                .collect();
            let view = View::rows(&x, [rows.len(), columns]).expect("inside");
            let mut sums = vec![0.0; columns];
            axis::sum_axis(view, Axis::Rows, &mut sums).expect("fits");
            assert_eq!(sums, vec![1.0; columns], "{level}");
        }
    });
}

#[test]
fn nan_in_a_column_is_its_extremum() {
    on_every_set(|level| {
        for rows in [1, 2, 50] {
            for columns in [1, 7, 16, 600] {
                let mut x: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
                let (row, column) = (rows / 2, columns - 1);
                x[row * columns + column] = f32::NAN;
                let view = View::rows(&x, [rows, columns]).expect("inside");
                for along in [Axis::Rows, Axis::Columns] {
                    let mut out = vec![0.0; along.results(view.shape())];
                    let nan = if along == Axis::Rows { column } else { row };
                    axis::max_axis(view, along, &mut out).expect("fits");
                    assert!(
                        out.iter()
                            .enumerate()
                            .all(|(i, x)| x.is_nan() == (i == nan)),
                        "{along:?} on {level}"
                    );
                    axis::min_axis(view, along, &mut out).expect("fits");
                    assert!(
                        out.iter()
                            .enumerate()
                            .all(|(i, x)| x.is_nan() == (i == nan)),
                        "{along:?} on {level}"
                    );
                    axis::sum_axis(view, along, &mut out).expect("fits");
                    assert!(
                        out.iter()
                            .enumerate()
                            .all(|(i, x)| x.is_nan() == (i == nan)),
                        "{along:?} on {level}"
                    );
                }
            }
        }
    });
}
