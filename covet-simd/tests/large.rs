//! Maps of more than the caches hold, whose results go past them, are those of small ones.

use covet_simd::{
    Binary, Element, Expression, Operand, Unary, binary_into, dispatch, unary_in_place, unary_into,
};

/// Two operands of so many bytes, and the result, are more than 64 MiB; and one of twice as many, and its result.
const BYTES: usize = 24 << 20;

/// Fewer than this are never more than the caches hold.
const SMALL: usize = 4096;

fn values<T: Element>(n: usize, convert: impl Fn(u32) -> T) -> Vec<T> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        convert(state >> 8)
    };
    (0..n).map(|_| next()).collect()
}

/// Computes into every place but the first few and the last ones, on every set, and compares with small parts.
fn same_as_small<T: Element>(
    what: &str,
    n: usize,
    untouched: T,
    compute: impl Fn(std::ops::Range<usize>, &mut [T]),
) {
    let mut expected = vec![untouched; n];
    for (i, part) in expected.chunks_mut(SMALL).enumerate() {
        let start = i * SMALL;
        compute(start..start + part.len(), part);
    }
    for level in dispatch::Level::available() {
        let _forced = dispatch::force(level).expect("it is available");
        // Beginnings of lines, and others; a vector's length left over, and one less and more.
        for (before, less) in [(0, 0), (1, 1), (3, 17)] {
            let mut out = vec![untouched; before + n];
            compute(0..n - less, &mut out[before..before + n - less]);
            let (head, rest) = out.split_at(before);
            let (results, tail) = rest.split_at(n - less);
            assert!(
                results == &expected[..n - less],
                "{what} of {n} {} on {level}, {before} beside a line",
                T::NAME
            );
            assert!(
                head.iter().chain(tail).all(|x| *x == untouched),
                "{what} writes beside"
            );
        }
    }
}

fn every_map<T: Element>(untouched: T, convert: impl Fn(u32) -> T) {
    let n = BYTES / size_of::<T>();
    let (x, y) = (values(2 * n, &convert), values(n, &convert));
    same_as_small("square", 2 * n, untouched, |range, out| {
        unary_into(Unary::Square, &x[range], out).expect("of one length");
    });
    same_as_small("add", n, untouched, |range, out| {
        binary_into(Binary::Add, &x[range.clone()], &y[range], out).expect("of one length");
    });
    let expression = Expression::parse("(x - y)*(x + y) + 3*x", &["x", "y"]).expect("it is one");
    same_as_small("an expression", n, untouched, |range, out| {
        let operands = [Operand::Slice(&x[range.clone()]), Operand::Slice(&y[range])];
        expression
            .evaluate_into(&operands, out)
            .expect("of one length");
    });
}

#[test]
fn floats() {
    every_map(-7.5_f32, |bits| bits as f32 / 65_536.0 - 100.0);
    every_map(-7.5_f64, |bits| f64::from(bits) / 65_536.0 - 100.0);
}

#[test]
fn integers() {
    every_map(-7_i32, |bits| bits as i32);
    every_map(-7_i64, |bits| i64::from(bits) << 20);
}

#[test]
fn in_place() {
    let x = values(2 * BYTES / 4, |bits| bits as f32 / 65_536.0 + 1.0);
    let mut expected = vec![0.0; x.len()];
    unary_into(Unary::Sqrt, &x, &mut expected).expect("of one length");
    let mut found = x;
    unary_in_place(Unary::Sqrt, &mut found).expect("sqrt is of floats");
    assert!(found == expected);
}
