//! Prints the errors of functions and reductions on every instruction set as Markdown: `cargo run --release -p covet-simd
//! --example accuracy -- [--all] [PYTHON]`. docs/ACCURACY.md is what it printed.
//!
//! `--all` looks at all numbers of 32 bits as well, which takes minutes. A Python that has NumPy, by its path, adds NumPy's errors.

#[path = "../tests/oracle/mod.rs"]
mod oracle;

use std::io::Write;
use std::process::{Command, Stdio};

use covet_simd::dispatch::{self, Level};
use covet_simd::{Float, Unary};
use oracle::every::every_f32;
use oracle::{Double, Sample, exact, exact_dot, exact_sum, samples, ulps_f32, ulps_f64};

/// Function, and where most of its numbers are taken from.
const FUNCTIONS: &[(Unary, [f64; 2])] = &[
    (Unary::Exp, [-100.0, 88.0]),
    (Unary::Log, [0.3, 3.0]),
    (Unary::Tanh, [-5.0, 5.0]),
    (Unary::Sigmoid, [-30.0, 30.0]),
];

const REDUCED: usize = 10_000_000;

fn main() {
    let (all, pythons): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|word| word == "--all");
    let sides = Sides {
        levels: Level::available().collect(),
        numpy: pythons.first().map(|python| Numpy::new(python)),
    };
    println!(
        "The largest error in ulp over 4 000 000 numbers (`f64`: 400 000), most of the usual range and the others of\n\
         all magnitudes:\n"
    );
    sides.head("function");
    functions(&sides);
    println!("\nThe error of reductions of 10 000 000 random numbers, in ulp of the result:\n");
    sides.head("reduction");
    reductions("0 to 1", [0.0, 1.0], &sides);
    reductions("-1 to 1", [-1.0, 1.0], &sides);
    if !all.is_empty() {
        println!("\nThe largest error in ulp over all numbers of `f32`, the same on every set:\n");
        println!("| function | error | of |\n|---|---|---|");
        for &(op, _) in FUNCTIONS {
            let (error, x) = every_f32(op, 1);
            println!("| {} `f32` | {error:.4} | {x:e} |", op.name());
        }
    }
}

fn functions(sides: &Sides) {
    for &(op, range) in FUNCTIONS {
        let numpy = match op {
            Unary::Sigmoid => "1 / (1 + numpy.exp(-x))".to_owned(),
            _ => format!("numpy.{}(x)", op.name()),
        };
        let x = numbers::<f32>(op, 4_000_000, |x| x as f32, range);
        let expected: Vec<_> = x.iter().map(|&x| exact(op, f64::from(x))).collect();
        let error = |found: Vec<f32>| {
            let pairs = found.into_iter().zip(&expected);
            largest(pairs.map(|(found, &expected)| ulps_f32(found, expected)))
        };
        sides.row(op.name(), &[&x], &numpy, || apply(op, &x), error);
        let x = numbers::<f64>(op, 400_000, |x| x, range);
        let expected: Vec<_> = x.iter().map(|&x| exact(op, x)).collect();
        let error = |found: Vec<f64>| {
            let pairs = found.into_iter().zip(&expected);
            largest(pairs.map(|(found, &expected)| ulps_f64(found, expected)))
        };
        sides.row(op.name(), &[&x], &numpy, || apply(op, &x), error);
    }
}

fn reductions(name: &str, [least, greatest]: [f64; 2], sides: &Sides) {
    let random = |seed| {
        samples(REDUCED, seed, |bits| {
            least + (bits >> 11) as f64 / (1_u64 << 53) as f64 * (greatest - least)
        })
    };
    let (x, y): (Vec<f64>, Vec<f64>) = (random(1), random(2));
    let narrow = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
    let (a, b) = (narrow(&x), narrow(&y));
    reductions_of(name, &a, &b, [&wide(&a), &wide(&b)], ulps_f32, sides);
    reductions_of(name, &x, &y, [&x, &y], ulps_f64, sides);
}

/// Of `x` and `y`, which are `wide` in `f64`.
fn reductions_of<T: Float>(
    name: &str,
    x: &[T],
    y: &[T],
    wide: [&[f64]; 2],
    ulps: impl Fn(T, (Double, i32)) -> f64,
    sides: &Sides,
) {
    let pairs = |a: usize, b: usize| wide[a].iter().copied().zip(wide[b].iter().copied());
    let row = |kind: &str, operands: &[&[T]], numpy: &str, ours: &dyn Fn() -> T, exact: Double| {
        let error = |found: Vec<T>| ulps(found[0], (exact, 0));
        sides.row(
            &format!("{kind}, {name},"),
            operands,
            numpy,
            || vec![ours()],
            error,
        );
    };
    let sum = exact_sum(wide[0].iter().copied());
    row("sum", &[x], "numpy.sum(x)", &|| covet_simd::sum(x), sum);
    let dot = exact_dot(pairs(0, 1));
    let ours = || covet_simd::dot(x, y).expect("of one length");
    row("dot", &[x, y], "numpy.dot(x, y)", &ours, dot);
    let norm = root(exact_dot(pairs(0, 0)));
    let ours = || covet_simd::norm(x);
    row("norm", &[x], "numpy.linalg.norm(x)", &ours, norm);
}

fn numbers<T: Sample>(
    op: Unary,
    n: usize,
    of: impl Fn(f64) -> T,
    [least, greatest]: [f64; 2],
) -> Vec<T> {
    let usual = n / 5 * 4;
    let step = (greatest - least) / usual as f64;
    let mut x: Vec<T> = (0..usual).map(|i| of(least + step * i as f64)).collect();
    x.extend(samples(n - usual, 3, T::of_bits));
    x.retain(|&x| !x.is_no_number() && (op != Unary::Log || x > T::default()));
    x
}

fn apply<T: Float>(op: Unary, x: &[T]) -> Vec<T> {
    let mut out = vec![T::default(); x.len()];
    covet_simd::unary_into(op, x, &mut out).expect("of one length");
    out
}

/// Results that overflow are looked at by the tests.
fn largest(errors: impl Iterator<Item = f64>) -> f64 {
    errors.filter(|error| error.is_finite()).fold(0.0, f64::max)
}

/// One step of Newton's from the root of 53 bits.
fn root(of: Double) -> Double {
    let near = Double(of.0.sqrt(), 0.0);
    near + (of - near * near) / (near + near)
}

/// The columns of a table: each instruction set, and NumPy.
struct Sides<'a> {
    levels: Vec<Level>,
    numpy: Option<Numpy<'a>>,
}

impl Sides<'_> {
    fn head(&self, first: &str) {
        let mut columns: Vec<String> = self.levels.iter().map(Level::to_string).collect();
        columns.extend(self.numpy.as_ref().map(|numpy| numpy.name.clone()));
        println!(
            "| {first} | {} |\n|---|{}",
            columns.join(" | "),
            "---|".repeat(columns.len())
        );
    }

    /// A row: the error of what `ours` gives, and of what the expression `numpy` gives for the operands.
    fn row<T: Float>(
        &self,
        name: &str,
        operands: &[&[T]],
        numpy: &str,
        ours: impl Fn() -> Vec<T>,
        error: impl Fn(Vec<T>) -> f64,
    ) {
        let digits = 8 * size_of::<T>();
        print!("| {name} `f{digits}` |");
        for &level in &self.levels {
            let _forced = dispatch::force(level).expect("available");
            print!(" {:.3} |", error(ours()));
        }
        if let Some(python) = &self.numpy {
            print!(" {:.3} |", error(python.compute(numpy, operands)));
        }
        println!();
    }
}

/// NumPy, in a process of its own for each answer.
struct Numpy<'a> {
    python: &'a str,
    name: String,
}

impl<'a> Numpy<'a> {
    fn new(python: &'a str) -> Self {
        let mut numpy = Self {
            python,
            name: String::new(),
        };
        let version = numpy.run("import numpy; print(numpy.__version__, end='')", &[]);
        numpy.name = format!("NumPy {}", String::from_utf8_lossy(&version));
        numpy
    }

    /// The value of an expression of `x`, or of `x` and `y`, of one length.
    fn compute<T: Float>(&self, expression: &str, operands: &[&[T]]) -> Vec<T> {
        let bytes = operands
            .iter()
            .map(|x| bytes_of(x))
            .collect::<Vec<_>>()
            .concat();
        let script = format!(
            "import numpy, sys\n\
             numpy.seterr(all='ignore')\n\
             data = numpy.frombuffer(sys.stdin.buffer.read(), numpy.{})\n\
             x, y = data[:len(data) // {n}], data[-len(data) // {n}:]\n\
             sys.stdout.buffer.write(numpy.asarray({expression}, data.dtype).tobytes())",
            T::NAME,
            n = operands.len(),
        );
        let found = self.run(&script, &bytes);
        let mut values = vec![T::default(); found.len() / size_of::<T>()];
        // SAFETY: so many bytes, of a type of which all bytes are numbers.
        unsafe {
            std::ptr::copy_nonoverlapping(
                found.as_ptr(),
                values.as_mut_ptr().cast(),
                values.len() * size_of::<T>(),
            );
        }
        values
    }

    fn run(&self, script: &str, input: &[u8]) -> Vec<u8> {
        let mut python = Command::new(self.python)
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("expected a Python: {}: {error}", self.python));
        let mut stdin = python.stdin.take().expect("piped");
        // All is read before anything is written.
        stdin.write_all(input).expect("read by the script");
        drop(stdin);
        let output = python.wait_with_output().expect("started");
        assert!(
            output.status.success(),
            "expected a Python that has NumPy: {}",
            self.python
        );
        output.stdout
    }
}

fn bytes_of<T: Float>(x: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), size_of_val(x)) }
}
