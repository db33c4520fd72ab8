//! Every kernel on every instruction set, for every type: against one element at a time or exact sums, for each length up to
//! three vectors and one, from each offset to a vector's bounds; with the same bits from each set.

mod oracle;

use covet_simd::{Binary, Element, Ternary, Unary};
use oracle::{
    Sample, exact_dot, exact_sum, first_by, on_every_set, same_on_every_set, samples, ulps_f32,
    ulps_f64,
};

/// Instantiates the properties for each type.
macro_rules! for_every_type {
    ($($property:ident)*) => {
        $(
            mod $property {
                #[test]
                fn f32() { super::$property::<f32>(); }
                #[test]
                fn f64() { super::$property::<f64>(); }
                #[test]
                fn i32() { super::$property::<i32>(); }
                #[test]
                fn i64() { super::$property::<i64>(); }
            }
        )*
    };
}

for_every_type! {
    unary_maps_are_those_of_each_element
    binary_maps_are_those_of_each_two
    ternary_maps_are_those_of_each_three
    a_number_stands_for_a_slice_of_it
    in_place_is_as_into_a_buffer
    extrema_are_those_of_comparing_each
    sums_have_the_same_bits_on_every_set
}

/// Up to three vectors and one, and around where loops change.
fn lengths<T: Sample>() -> impl Iterator<Item = usize> {
    (0..=3 * T::LANES + 1).chain([
        4 * T::LANES,
        8 * T::LANES - 1,
        511,
        512,
        513,
        520,
        600,
        4095,
        4096,
        4097,
        9000,
    ])
}

/// Offsets from a vector's bounds: all for short lengths, some for long.
fn offsets<T: Sample>(n: usize) -> impl Iterator<Item = usize> {
    (0..T::LANES).step_by(if n <= 3 * T::LANES + 1 { 1 } else { 5 })
}

/// Random numbers of all magnitudes, with what is special among them.
fn mixed<T: Sample>(n: usize, seed: u64) -> Vec<T> {
    samples(n, seed, |bits| {
        if bits.is_multiple_of(3) {
            T::EDGES[(bits >> 8) as usize % T::EDGES.len()]
        } else {
            T::of_bits(bits)
        }
    })
}

fn bits<T: Sample>(values: &[T]) -> Vec<u64> {
    values.iter().map(|value| value.bits()).collect()
}

/// Calls `map` with inputs and an output at an offset, and checks what it writes, and that it writes nothing else.
fn check_map<T: Sample, const N: usize>(
    what: &str,
    map: impl Fn([&[T]; N], &mut [T]),
    expected: impl Fn([T; N]) -> Option<T>,
) {
    let guard = T::EDGES[2];
    let longest = 9000 + 2 * T::LANES;
    let inputs: [Vec<T>; N] = std::array::from_fn(|k| mixed(longest, k as u64 + 1));
    for n in lengths::<T>() {
        for offset in offsets::<T>(n) {
            // Nothing lies behind the last element, so that sanitizers see what reads there.
            let starts: [usize; N] = std::array::from_fn(|k| (offset + k) % T::LANES);
            let inputs: [Vec<T>; N] = std::array::from_fn(|k| inputs[k][..starts[k] + n].to_vec());
            let inputs = std::array::from_fn(|k| &inputs[k][starts[k]..]);
            let compute = || {
                let mut out = vec![guard; n + 2 * T::LANES];
                map(inputs, &mut out[offset..offset + n]);
                assert!(
                    out[..offset]
                        .iter()
                        .chain(&out[offset + n..])
                        .all(|&value| value == guard)
                );
                bits(&out[offset..offset + n])
            };
            let found = same_on_every_set(what, compute);
            for (i, found) in found.into_iter().enumerate() {
                let operands = inputs.map(|input| input[i]);
                if let Some(expected) = expected(operands) {
                    assert_eq!(
                        found,
                        expected.bits(),
                        "{what} of {operands:?}, {i} of {n} from {offset} on"
                    );
                }
            }
        }
    }
}

fn unary_maps_are_those_of_each_element<T: Sample>() {
    for &op in Unary::ALL.iter().filter(|op| op.supports::<T>()) {
        check_map::<T, 1>(
            op.name(),
            |[x], out| covet_simd::unary_into(op, x, out).expect("supported"),
            |[x]| T::unary_of(op, x),
        );
    }
}

fn binary_maps_are_those_of_each_two<T: Sample>() {
    for &op in Binary::ALL.iter().filter(|op| op.supports::<T>()) {
        check_map::<T, 2>(
            op.name(),
            |[x, y], out| covet_simd::binary_into(op, x, y, out).expect("supported"),
            |[x, y]| Some(T::binary_of(op, x, y).expect("compared exactly")),
        );
    }
}

fn ternary_maps_are_those_of_each_three<T: Sample>() {
    for &op in Ternary::ALL {
        check_map::<T, 3>(
            op.name(),
            |[x, y, z], out| covet_simd::ternary_into(op, x, y, z, out).expect("supported"),
            |[x, y, z]| Some(T::ternary_of(op, x, y, z).expect("compared exactly")),
        );
    }
}

fn a_number_stands_for_a_slice_of_it<T: Sample>() {
    for n in [0, 1, 7, 40, 513, 5000] {
        let x: Vec<T> = mixed(n, 5);
        on_every_set(|level| {
            for &number in T::EDGES {
                let full = vec![number; n];
                for &op in Binary::ALL.iter().filter(|op| op.supports::<T>()) {
                    let into = |x: covet_simd::Operand<'_, T>, y: covet_simd::Operand<'_, T>| {
                        let mut out = x_like(n);
                        covet_simd::binary_into(op, x, y, &mut out).expect("supported");
                        bits(&out)
                    };
                    let what = format!("{op:?} with {number:?} on {level}");
                    assert_eq!(
                        into((&x).into(), number.into()),
                        into((&x).into(), (&full).into()),
                        "{what}"
                    );
                    assert_eq!(
                        into(number.into(), (&x).into()),
                        into((&full).into(), (&x).into()),
                        "{what}"
                    );
                }
            }
        });
    }
}

fn x_like<T: Element>(n: usize) -> Vec<T> {
    vec![T::default(); n]
}

fn in_place_is_as_into_a_buffer<T: Sample>() {
    for n in [0, 3, 33, 511, 2000] {
        let (x, y): (Vec<T>, Vec<T>) = (mixed(n, 6), mixed(n, 7));
        on_every_set(|_| {
            for &op in Unary::ALL.iter().filter(|op| op.supports::<T>()) {
                let (mut out, mut place) = (x_like(n), x.clone());
                covet_simd::unary_into(op, &x, &mut out).expect("supported");
                covet_simd::unary_in_place(op, &mut place).expect("supported");
                assert_eq!(bits(&place), bits(&out), "{op:?}");
            }
            for &op in Binary::ALL.iter().filter(|op| op.supports::<T>()) {
                let (mut out, mut first, mut second) = (x_like(n), x.clone(), y.clone());
                covet_simd::binary_into(op, &x, &y, &mut out).expect("supported");
                covet_simd::binary_in_place(op, &mut first, &y).expect("supported");
                covet_simd::binary_in_place_of_second(op, &x, &mut second).expect("supported");
                assert_eq!(bits(&first), bits(&out), "{op:?}");
                assert_eq!(
                    bits(&second),
                    bits(&out),
                    "{op:?} in the place of the second"
                );
            }
            let a = T::EDGES[3];
            let (mut out, mut place) = (x_like(n), y.clone());
            covet_simd::mul_add_into(a, &x, &y, &mut out).expect("of one length");
            covet_simd::axpy(a, &x, &mut place).expect("of one length");
            assert_eq!(bits(&place), bits(&out), "axpy");
        });
    }
}

fn extrema_are_those_of_comparing_each<T: Sample>() {
    let long: Vec<T> = mixed(9100, 8);
    let calm: Vec<T> = samples(9100, 9, T::moderate);
    for source in [&long, &calm] {
        for n in lengths::<T>() {
            for offset in offsets::<T>(n) {
                let x = source[..offset + n].to_vec();
                let x = &x[offset..];
                let least = first_by(x, |a, b| a < b);
                let greatest = first_by(x, |a, b| a > b);
                on_every_set(|level| {
                    let what = format!("{n} from {offset} on, on {level}");
                    for (found, at, expected) in [
                        (covet_simd::min(x), covet_simd::arg_min(x), least),
                        (covet_simd::max(x), covet_simd::arg_max(x), greatest),
                    ] {
                        assert_eq!(at, expected.map(|(at, _)| at), "{what}");
                        // 0 and -0 are equal: either will do.
                        let same = match (found, expected) {
                            (Some(found), Some((_, expected))) => {
                                found == expected || found.bits() == expected.bits()
                            }
                            (found, expected) => found.is_none() && expected.is_none(),
                        };
                        assert!(same, "expected {expected:?}; found {found:?}: {what}");
                    }
                    let numbers: Vec<T> = x.iter().copied().filter(|x| !x.is_no_number()).collect();
                    if !numbers.is_empty() {
                        let least = first_by(&numbers, |a, b| a < b).map(|(_, value)| value);
                        let greatest = first_by(&numbers, |a, b| a > b).map(|(_, value)| value);
                        assert_eq!(covet_simd::nan_min(x), least, "{what}");
                        assert_eq!(covet_simd::nan_max(x), greatest, "{what}");
                    }
                });
            }
        }
    }
}

fn sums_have_the_same_bits_on_every_set<T: Sample>()
where
    T::Sum: Sample,
{
    for (seed, number) in [(10, T::moderate as fn(u64) -> T), (11, T::of_bits)] {
        let (x, y): (Vec<T>, Vec<T>) =
            (samples(9100, seed, number), samples(9100, seed + 5, number));
        for n in lengths::<T>() {
            for offset in offsets::<T>(n) {
                let (x, y) = (x[..offset + n].to_vec(), y[..3 + n].to_vec());
                let (x, y) = (&x[offset..], &y[3..]);
                same_on_every_set("sums", || {
                    (
                        covet_simd::sum(x).bits(),
                        covet_simd::mean(x).bits(),
                        covet_simd::dot(x, y).expect("of one length").bits(),
                    )
                });
            }
        }
    }
}

#[test]
fn sums_of_f32_are_those_made_in_f64() {
    let (x, y) = (
        samples(70_000, 1, f32::moderate),
        samples(70_000, 2, f32::moderate),
    );
    for n in lengths::<f32>().chain([70_000]) {
        let (x, y) = (&x[..n], &y[..n]);
        let wide = |x: &f32| f64::from(*x);
        let sizes = || x.iter().map(|x| f64::from(x.abs()));
        let pairs = || x.iter().zip(y).map(|(x, y)| (f64::from(*x), f64::from(*y)));
        // Three additions of a round in `f32`, on average much less; and the rounding of the result.
        let bound = |of: f64, result: f64| {
            of * 1.5e-8 * 12.0 / (1.0 + (n as f64).sqrt()) + result.abs() * 6.0e-8
        };
        let sum = exact_sum(x.iter().map(wide)).0;
        let dot = exact_dot(pairs()).0;
        let squares = exact_dot(x.iter().map(|x| (f64::from(*x), f64::from(*x)))).0;
        on_every_set(|level| {
            let close = |found: f32, expected: f64, size: f64| {
                let off = (f64::from(found) - expected).abs();
                assert!(
                    off <= bound(size, expected),
                    "expected {expected}, found {found} of {n} on {level}"
                );
            };
            close(covet_simd::sum(x), sum, sizes().sum());
            close(
                covet_simd::dot(x, y).expect("of one length"),
                dot,
                pairs().map(|(x, y)| (x * y).abs()).sum(),
            );
            close(covet_simd::norm(x), squares.sqrt(), squares.sqrt());
        });
    }
}

#[test]
fn sums_of_f64_have_the_error_of_a_round() {
    let (x, y) = (
        samples(70_000, 3, f64::moderate),
        samples(70_000, 4, f64::moderate),
    );
    for n in lengths::<f64>().chain([70_000]) {
        let (x, y) = (&x[..n], &y[..n]);
        let pairs = || x.iter().copied().zip(y.iter().copied());
        let sum = exact_sum(x.iter().copied()).0;
        let dot = exact_dot(pairs()).0;
        on_every_set(|level| {
            for (found, expected, size) in [
                (
                    covet_simd::sum(x),
                    sum,
                    x.iter().map(|x| x.abs()).sum::<f64>(),
                ),
                (
                    covet_simd::dot(x, y).expect("of one length"),
                    dot,
                    pairs().map(|(x, y)| (x * y).abs()).sum(),
                ),
            ] {
                let bound = 2.0 * f64::EPSILON * size;
                let off = (found - expected).abs();
                assert!(
                    off <= bound,
                    "expected {expected}, found {found} of {n} on {level}"
                );
            }
        });
    }
}

#[test]
fn a_constant_adds_up_to_the_rounded_product() {
    for n in [1, 10, 100, 1_000, 10_000, 1_000_000] {
        on_every_set(|_| {
            let x = vec![0.1_f32; n];
            assert_eq!(covet_simd::sum(&x), (f64::from(0.1_f32) * n as f64) as f32);
            assert!(ulps_f32(covet_simd::norm(&x), exact_root(f64::from(0.1_f32), n)) <= 0.51);
            let x = vec![0.1_f64; n];
            let exact = exact_sum(x.iter().copied());
            assert!(ulps_f64(covet_simd::sum(&x), (exact, 0)) <= 0.51);
        });
    }
}

/// The norm of so many equal numbers.
fn exact_root(value: f64, n: usize) -> (oracle::Double, i32) {
    (oracle::Double(value * (n as f64).sqrt(), 0.0), 0)
}

#[test]
fn integers_are_summed_exactly_and_wrapped() {
    for n in [0, 1, 17, 5000] {
        let (x, y) = (samples(n, 1, i64::of_bits), samples(n, 2, i64::of_bits));
        let narrow = samples(n, 3, i32::of_bits);
        let sum: i128 = x.iter().map(|&x| i128::from(x)).sum();
        let dot = x
            .iter()
            .zip(&y)
            .fold(0_i64, |sum, (x, y)| sum.wrapping_add(x.wrapping_mul(*y)));
        let narrow_sum: i64 = narrow.iter().map(|&x| i64::from(x)).sum();
        let narrow_dot = narrow.iter().fold(0_i64, |sum, &x| {
            sum.wrapping_add(i64::from(x) * i64::from(x))
        });
        on_every_set(|_| {
            assert_eq!(covet_simd::sum(&x), sum as i64);
            assert_eq!(covet_simd::dot(&x, &y), Ok(dot));
            assert_eq!(covet_simd::sum(&narrow), narrow_sum);
            assert_eq!(covet_simd::dot(&narrow, &narrow), Ok(narrow_dot));
            if n > 0 {
                assert_eq!(covet_simd::mean(&x), sum as f64 / n as f64);
                assert_eq!(covet_simd::mean(&narrow), narrow_sum as f64 / n as f64);
            }
        });
    }
}
