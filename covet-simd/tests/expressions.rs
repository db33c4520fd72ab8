//! Expressions beside a naive evaluation, one element at a time; their errors; the same bits for any number of threads.

mod oracle;

use covet_simd::par::Pool;
use covet_simd::raw::{Source, Target};
use covet_simd::{Element, Error, Expression, Operand, exp_into};
use oracle::{on_every_set, samples};
use proptest::prelude::*;

/// An expression that is its own text, and that can be computed slowly.
#[derive(Clone, Debug)]
enum Tree {
    Name(usize),
    Number(i64),
    Negative(Box<Tree>),
    Square(Box<Tree>),
    Binary(char, Box<Tree>, Box<Tree>),
    Call(&'static str, Box<Tree>, Box<Tree>),
}

const NAMES: [&str; 3] = ["a", "x1", "größe"];

impl Tree {
    /// With no more brackets than are needed, where `strength` binds what is around it: 0 a sum, 1 a product, 2 a sign, 3 a power.
    fn text(&self, strength: u8) -> String {
        let (own, text) = match self {
            Self::Name(index) => (4, NAMES[*index].to_owned()),
            Self::Number(value) if *value < 0 => (2, value.to_string()),
            Self::Number(value) => (4, value.to_string()),
            Self::Negative(x) => (2, format!("-{}", x.text(2))),
            Self::Square(x) => (3, format!("{} ** 2", x.text(4))),
            Self::Binary(op @ ('+' | '-'), x, y) => {
                (0, format!("{} {op} {}", x.text(0), y.text(1)))
            }
            Self::Binary(op, x, y) => (1, format!("{}{op}{}", x.text(1), y.text(2))),
            Self::Call(name, x, y) => (4, format!("{name}({}, {})", x.text(0), y.text(0))),
        };
        if own < strength {
            format!("({text})")
        } else {
            text
        }
    }

    fn value(&self, of: &[i64; 3]) -> i64 {
        match self {
            Self::Name(index) => of[*index],
            Self::Number(value) => *value,
            Self::Negative(x) => x.value(of).wrapping_neg(),
            Self::Square(x) => x.value(of).wrapping_mul(x.value(of)),
            Self::Binary('+', x, y) => x.value(of).wrapping_add(y.value(of)),
            Self::Binary('-', x, y) => x.value(of).wrapping_sub(y.value(of)),
            Self::Binary(_, x, y) => x.value(of).wrapping_mul(y.value(of)),
            Self::Call("min", x, y) => x.value(of).min(y.value(of)),
            Self::Call(_, x, y) => x.value(of).max(y.value(of)),
        }
    }
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        (0..3_usize).prop_map(Tree::Name),
        (-9..10_i64).prop_map(Tree::Number)
    ];
    leaf.prop_recursive(6, 40, 2, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            inner.clone().prop_map(|x| Tree::Negative(Box::new(x))),
            inner.prop_map(|x| Tree::Square(Box::new(x))),
            (prop::sample::select(vec!['+', '-', '*']), two.clone())
                .prop_map(|(op, (x, y))| Tree::Binary(op, Box::new(x), Box::new(y))),
            (prop::sample::select(vec!["min", "maximum"]), two)
                .prop_map(|(name, (x, y))| Tree::Call(name, Box::new(x), Box::new(y))),
        ]
    })
}

/// Columns of numbers: two that vary and one that does not.
fn columns(n: usize) -> [Vec<i64>; 3] {
    let some = |seed| samples(n, seed, |bits| (bits >> 32) as i64 % 5 - 2);
    [some(1), some(2), vec![3; n]]
}

fn of<const N: usize, T: Element>(
    text: &str,
    operands: [(&str, Operand<'_, T>); N],
    n: usize,
) -> Result<Vec<T>, Error> {
    let expression = Expression::parse(text, &operands.map(|(name, _)| name))?;
    let mut out = vec![T::default(); n];
    expression.evaluate_into(&operands.map(|(_, operand)| operand), &mut out)?;
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_expression_gives_what_it_says(tree in trees(), n in prop::sample::select(vec![0_usize, 1, 17, 2048, 4099])) {
        let text = tree.text(0);
        let [a, x, scalar] = columns(n);
        let expression = Expression::parse(&text, &NAMES).expect("is one");
        let expected: Vec<i64> = (0..n).map(|i| tree.value(&[a[i], x[i], 3])).collect();
        on_every_set(|level| {
            let mut out = vec![0; n];
            expression.evaluate_into(&[(&a).into(), (&x).into(), 3.into()], &mut out).expect("fits");
            assert!(out == expected, "{text} on {level}");
            expression.evaluate_into(&[(&a).into(), (&x).into(), (&scalar).into()], &mut out).expect("fits");
            assert!(out == expected, "{text} on {level}, with a slice");
        });
    }

    #[test]
    fn no_text_is_too_strange(text in ".{0,60}") {
        let _ = Expression::parse(&text, &["x"]);
    }

    #[test]
    fn no_row_of_pieces_is_too_strange(pieces in prop::collection::vec(
        prop::sample::select(vec!["x", "(", ")", "*", "**", "2", "-", ",", "min", "exp", "1e", ".", " "]), 0..20)) {
        let _ = Expression::parse(&pieces.concat(), &["x"]);
    }
}

#[test]
fn what_binds_stronger_is_as_in_python() {
    for (text, expected) in [
        ("-x**2", -9.0),
        ("(-x)**2", 9.0),
        ("2 - x - 1", -2.0),
        ("12 / x / 2", 2.0),
        ("12 / x * 2", 8.0),
        ("2 + x * 4", 14.0),
        ("-x * -2", 6.0),
        ("- - x", 3.0),
        ("+x", 3.0),
        ("1e1 + .5 + 2.", 12.5),
        ("1.5e-1*x*0 + 1", 1.0),
        ("x ** 2 ** 1", f64::NAN),
        ("min(x, 2) + max(x, 7)", 9.0),
        ("clip(x, 4, 5)", 4.0),
        ("fma(x, x, 1)", 10.0),
        ("abs(-x) + sqrt(x*x) + square(x)", 15.0),
        ("x", 3.0),
        ("7", 7.0),
    ] {
        match of(text, [("x", 3.0_f64.into())], 20) {
            Ok(out) => assert_eq!(out, [expected; 20], "{text}"),
            Err(error) => assert!(expected.is_nan(), "{text}: {error}"),
        }
    }
}

#[test]
fn functions_are_those_of_the_crate_and_a_product_with_a_sum_rounds_once() {
    let x = samples(10_001, 3, |bits| (bits >> 40) as f32 / 1e6 + 0.1);
    let mut expected = vec![0.0; x.len()];
    exp_into(&x, &mut expected).expect("fits");
    assert_eq!(
        of("exp(x)", [("x", (&x).into())], x.len()),
        Ok(expected.clone())
    );
    let expected: Vec<f32> = x
        .iter()
        .zip(&expected)
        .map(|(x, e)| x.mul_add(*x, *e))
        .collect();
    assert_eq!(
        of("x*x + exp(x)", [("x", (&x).into())], x.len()),
        Ok(expected.clone())
    );
    assert_eq!(
        of("exp(x) + x*x", [("x", (&x).into())], x.len()),
        Ok(expected)
    );
}

#[test]
fn a_result_that_is_used_twice_stays() {
    let x: Vec<i64> = (0..5000).collect();
    let text = "(x - 2)**2 * (x - 2) + ((x + 1) * (x - 2) - (x + 1))";
    let expected: Vec<i64> = x
        .iter()
        .map(|x| (x - 2).pow(3) + ((x + 1) * (x - 2) - (x + 1)))
        .collect();
    assert_eq!(of(text, [("x", (&x).into())], x.len()), Ok(expected));
}

#[test]
fn many_operands() {
    let names: Vec<String> = (0..=Expression::MAX_OPERANDS)
        .map(|i| format!("x{i}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let most = &names[..Expression::MAX_OPERANDS];
    let expression = Expression::parse(&most.join("+"), most).expect("is one");
    assert!(expression.operands().eq(most.iter().copied()));
    let columns: Vec<Vec<i32>> = (0..most.len() as i32).map(|i| vec![i; 77]).collect();
    let operands: Vec<_> = columns.iter().map(Operand::from).collect();
    let mut out = vec![0; 77];
    expression.evaluate_into(&operands, &mut out).expect("fits");
    assert_eq!(out, [120; 77]);
    let error = Expression::parse("x0", &names).expect_err("one too many");
    assert_eq!(
        error.to_string(),
        "expected 16 elements in `operands`; found 17"
    );
}

#[test]
fn strided_operands_and_the_result_in_place() {
    let (rows, columns) = (37, 130);
    let mut x: Vec<f64> = (0..rows * columns).map(|i| i as f64).collect();
    let y = x.clone();
    let row: Vec<f64> = (0..columns).map(|i| i as f64 * 0.5).collect();
    let expression = Expression::parse("2*x - y*r + x", &["x", "y", "r"]).expect("is one");
    let expected: Vec<f64> = (0..rows * columns)
        .map(|i| {
            let (r, c) = (i / columns, i % columns);
            3.0 * x[i] - y[(columns - 1 - c) * rows + r] * row[c]
        })
        .collect();
    let own = [columns as isize, 1];
    // Transposed and backwards.
    let from_the_end = Source {
        first: y[(columns - 1) * rows..].as_ptr(),
        strides: [1, -(rows as isize)],
    };
    let first = x.as_mut_ptr();
    let operands = [
        Source {
            first,
            strides: own,
        },
        from_the_end,
        Source {
            first: row.as_ptr(),
            strides: [0, 1],
        },
    ];
    // SAFETY: all elements are inside of the vectors, and `out` is an operand, element for element.
    unsafe {
        expression.evaluate(
            [rows, columns],
            &operands,
            Target {
                first,
                strides: own,
            },
        )
    }
    .expect("fits");
    assert_eq!(x, expected);
}

#[test]
fn errors_say_where_and_what_was_expected() {
    for (text, expected) in [
        (
            "a*x + z",
            "unknown name `z` at column 7: the operands are a, x, y",
        ),
        (
            "",
            "expected a number, a name or `(`; found the end at column 1",
        ),
        (
            "a +",
            "expected a number, a name or `(`; found the end at column 4",
        ),
        (
            "a x",
            "expected an operator or the end; found `x` at column 3",
        ),
        (
            "(a + x",
            "expected an operator or `)`; found the end at column 7",
        ),
        (
            "a)",
            "expected an operator or the end; found `)` at column 2",
        ),
        (
            "a ** 3",
            "expected the power 2, which is the only one; found `3` at column 6",
        ),
        (
            "a ** x",
            "expected the power 2, which is the only one; found `x` at column 6",
        ),
        ("1.2.3 * x", "expected a number; found `1.2.3` at column 1"),
        ("0x10", "expected a number; found `0x10` at column 1"),
        (
            "exp(a, x)",
            "expected 1 argument of `exp`; found 2 at column 1",
        ),
        (
            "x + min(a)",
            "expected 2 arguments of `min`; found 1 at column 5",
        ),
        (
            "é + x",
            "unknown name `é` at column 1: the operands are a, x, y",
        ),
        (
            "a == x",
            "expected an operator or the end; found `=` at column 3",
        ),
    ] {
        let error = Expression::parse(text, &["a", "x", "y"]).expect_err(text);
        assert_eq!(error.to_string(), expected);
    }
    let error = Expression::parse("sin(x)", &["x"])
        .expect_err("unknown")
        .to_string();
    assert!(
        error.starts_with(
            "unknown function `sin` at column 1: the functions are abs, min, max, negative,"
        ),
        "{error}"
    );
    let error = Expression::parse("x", &[])
        .expect_err("no operands")
        .to_string();
    assert_eq!(error, "unknown name `x` at column 1: there are no operands");
}

#[test]
fn types_that_cannot_do_it_and_lengths_that_differ_are_refused() {
    let x = [1, 2, 3];
    let error = of("x / 2", [("x", (&x).into())], 3)
        .expect_err("integers have none")
        .to_string();
    assert_eq!(
        error,
        "`divide` expects elements of a floating-point type; found int32"
    );
    let error = of("x + 2.5", [("x", (&x).into())], 3)
        .expect_err("no integer")
        .to_string();
    assert_eq!(
        error,
        "expected a number of the operands' type; found `2.5` at column 5: that is int32"
    );
    assert!(of("x + 3000000000", [("x", (&x).into())], 3).is_err());
    assert_eq!(
        of("x * 0 - 9223372036854775808", [("x", 1_i64.into())], 1).ok(),
        None
    );
    assert_eq!(
        of("x * 0 + -9223372036854775808", [("x", 1_i64.into())], 1),
        Ok(vec![i64::MIN])
    );
    let error = of("x + 1", [("x", (&x).into())], 4)
        .expect_err("3 elements")
        .to_string();
    assert_eq!(error, "expected 4 elements in `x`; found 3");
    let expression = Expression::parse("x", &["x"]).expect("is one");
    let error = expression
        .evaluate_into::<i32>(&[], &mut [0])
        .expect_err("none")
        .to_string();
    assert_eq!(error, "expected 1 elements in `operands`; found 0");
}

#[test]
fn depth_has_a_limit() {
    for around in ["(", "-", "exp("] {
        let text = |depth: usize| {
            let close = if around == "-" { "" } else { ")" };
            format!("{}x{}", around.repeat(depth), close.repeat(depth))
        };
        assert!(
            Expression::parse(&text(Expression::MAX_DEPTH), &["x"]).is_ok(),
            "{around}"
        );
        for depth in [Expression::MAX_DEPTH + 1, 100_000] {
            let error = Expression::parse(&text(depth), &["x"])
                .expect_err("too deep")
                .to_string();
            assert!(
                error.starts_with("expected at most 64 expressions in each other; found more"),
                "{error}"
            );
        }
    }
}

#[test]
fn the_same_bits_for_any_number_of_threads() {
    let x = samples(1_000_003, 5, |bits| (bits >> 40) as f32 / 1e6);
    let compute = || of("exp(-x) * x + x**2", [("x", (&x).into())], x.len()).expect("fits");
    let expected = Pool::new(1).expect("needs no thread").run(compute);
    for threads in [2, 3, 8] {
        assert!(Pool::new(threads).expect("threads start").run(compute) == expected);
    }
}
