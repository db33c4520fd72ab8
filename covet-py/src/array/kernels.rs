//! From views to `covet-simd`: which kernel, over which elements, and whether the GIL is given up meanwhile.
//!
//! Everything here is unsafe for one reason: the elements of the views must be there, aligned, as long as the call takes, and those
//! that are written to must be writable, and be no others of the input's. Other threads may write to them meanwhile; what is read
//! then is one value or the other.

use super::dtype::{DType, with_type};
use super::layout::{Rows, Shape, View};
use super::map::Operation;
use super::operand::{Given, Number};
use super::reduce::{Reduced, Reduction};
use crate::entry::{Kind, raise};
use covet_interp::Detached;
use covet_interp::raw::Raised;
use covet_simd::cost;
use covet_simd::par::Pool;
use covet_simd::plain::{self, NoInteger};
use covet_simd::raw::{self, Source, Target};
use covet_simd::{Expression, Ternary, Unary};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Work that is estimated to take longer than this many nanoseconds is done without the GIL, which costs about a hundred.
const WORTH_DETACHING: f64 = 5_000.0;

/// Runs `work`, detached if it is estimated to take long.
#[inline]
pub(crate) fn run<R>(nanoseconds: f64, work: impl FnOnce() -> R) -> R {
    let _detached = (nanoseconds > WORTH_DETACHING).then(Detached::new);
    // Relaxed: set while this process had one thread.
    match ALONE.load(Ordering::Relaxed) {
        false => work(),
        true => alone(work),
    }
}

/// Whether this process is the child of a fork: the threads that might help are not there.
static ALONE: AtomicBool = AtomicBool::new(false);

/// Notes that the calling thread is the only one, and that no other will help it with kernels from now on.
pub(crate) fn after_fork() {
    ALONE.store(true, Ordering::Relaxed);
}

#[cold]
fn alone<R>(work: impl FnOnce() -> R) -> R {
    match Pool::new(1) {
        Ok(pool) => pool.run(work),
        Err(_) => work(),
    }
}

/// About how many nanoseconds it takes to read or write the elements of a view.
#[inline]
pub(crate) fn time_of(view: &View) -> f64 {
    let time = cost::reduction::<i64>(1, view.bytes() / 8);
    if view.is_packed() { time } else { time * 3.0 }
}

/// The same as [`with_type`], for elements that are numbers: the callers see to that.
macro_rules! with_number {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::Bool => unreachable!("truth values are brought to numbers before"),
            DType::Int32 => {
                type $T = i32;
                $body
            }
            DType::Int64 => {
                type $T = i64;
                $body
            }
            DType::Float32 => {
                type $T = f32;
                $body
            }
            DType::Float64 => {
                type $T = f64;
                $body
            }
        }
    };
}

/// The same, for floats.
macro_rules! with_float {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            DType::Float32 => {
                type $T = f32;
                $body
            }
            DType::Float64 => {
                type $T = f64;
                $body
            }
            _ => unreachable!("what only floats have is asked of floats"),
        }
    };
}

/// Rows and columns, for `covet-simd`.
fn lengths(rows: &Rows) -> [usize; 2] {
    [rows.rows, rows.columns]
}

fn source<T>(rows: &Rows) -> Source<T> {
    Source {
        first: rows.start.cast_const().cast(),
        strides: strides::<T>(rows),
    }
}

fn target<T>(rows: &Rows) -> Target<T> {
    Target {
        first: rows.start.cast(),
        strides: strides::<T>(rows),
    }
}

fn strides<T>(rows: &Rows) -> [isize; 2] {
    let size = size_of::<T>() as isize;
    [rows.row_stride / size, rows.stride / size]
}

// Elementwise.

/// An operation on each element; both views have the same dtype.
pub(crate) unsafe fn unary(operation: Unary, from: &View, to: &View) {
    let (a, out) = (from.own_rows(), to.own_rows());
    let done = with_number!(to.dtype, T => run(cost::unary::<T>(operation, to.count()), || {
        // SAFETY: as the module says.
        unsafe { raw::unary::<T>(operation, lengths(&out), source(&a), target(&out)) }
    }));
    // The callers see to a dtype that the operation is made for.
    debug_assert!(done.is_ok());
}

/// One side of an operation, as rows of the shape of the result. A number lies in `element`.
unsafe fn side_rows(
    given: Given<'_>,
    dtype: DType,
    shape: Shape,
    element: &mut u64,
) -> Result<Rows, Raised> {
    let place = ptr::from_mut(element).cast::<u8>();
    match given {
        Given::View(view) => Ok(view.repeated(shape)),
        Given::Number(number) => {
            // SAFETY: an element has at most eight bytes.
            unsafe { number.write(place, dtype)? };
            let element = View::packed(place, dtype, Shape::one(1));
            Ok(element.repeated(shape))
        }
    }
}

/// An operation on each two elements; the views of both sides have this dtype, and shapes that repeat to that of `to`.
pub(crate) unsafe fn binary(
    operation: Operation,
    dtype: DType,
    a: Given<'_>,
    b: Given<'_>,
    shape: Shape,
    to: &View,
) -> Result<(), Raised> {
    let (mut first, mut second) = (0, 0);
    // SAFETY: as the module says; numbers live as long as this call.
    unsafe {
        let a = side_rows(a, dtype, shape, &mut first)?;
        let b = side_rows(b, dtype, shape, &mut second)?;
        let out = to.own_rows();
        let time = time_of(to) * 3.0;
        match operation {
            Operation::Kernel(operation) => {
                let done = with_number!(dtype, T => run(cost::binary::<T>(operation, to.count()), || {
                    raw::binary::<T>(operation, lengths(&out), source(&a), source(&b), target(&out))
                }));
                debug_assert!(done.is_ok());
            }
            Operation::Plain(operation) => {
                let time = to.count() as f64 * 5.0;
                let done = run(time, || {
                    with_number!(dtype, T => plain::arithmetic::<T>(
                        operation, lengths(&out), source(&a), source(&b), target(&out)
                    ))
                });
                return done.map_err(refuse_integer);
            }
            Operation::Compare(comparison) => run(time, || {
                with_type!(dtype, T => plain::compare::<T>(
                    comparison, lengths(&out), source(&a), source(&b), target(&out)
                ));
            }),
            Operation::Logic(logic) => run(time, || match dtype {
                DType::Int32 => {
                    plain::logic::<i32>(logic, lengths(&out), source(&a), source(&b), target(&out))
                }
                DType::Int64 => {
                    plain::logic::<i64>(logic, lengths(&out), source(&a), source(&b), target(&out))
                }
                _ => plain::logic::<u8>(logic, lengths(&out), source(&a), source(&b), target(&out)),
            }),
        }
    }
    Ok(())
}

#[cold]
fn refuse_integer(refused: NoInteger) -> Raised {
    let kind = match refused {
        NoInteger::DividedByZero => Kind::ZeroDivision,
        NoInteger::NegativePower => Kind::Value,
    };
    raise(kind, &refused.to_string())
}

/// `alpha * x + y`
pub(crate) unsafe fn axpy(alpha: Number, x: &View, y: &View, to: &View) -> Result<(), Raised> {
    let mut element = 0;
    // SAFETY: as the module says.
    unsafe {
        let alpha = side_rows(Given::Number(alpha), to.dtype, to.shape(), &mut element)?;
        let inputs = [alpha, x.own_rows(), y.own_rows()];
        ternary(Ternary::MulAdd, to.dtype, inputs, &to.own_rows());
    }
    Ok(())
}

/// An expression of as many operands as it has names; views have the dtype of `to`, and shapes that repeat to its.
///
/// # Errors
/// [`Raised`] for a number that the dtype lacks; within, what the expression lacks.
pub(crate) unsafe fn evaluate(
    expression: &Expression,
    operands: &[Given<'_>],
    to: &View,
) -> Result<Result<(), covet_simd::Error>, Raised> {
    let mut numbers = vec![0; operands.len()];
    // SAFETY: as the module says; numbers live as long as this call.
    unsafe {
        let rows = operands.iter().zip(&mut numbers);
        let rows = rows
            .map(|(&operand, number)| side_rows(operand, to.dtype, to.shape(), number))
            .collect::<Result<Vec<_>, _>>()?;
        let out = to.own_rows();
        let nanos = time_of(to) * (1 + operands.len()) as f64;
        Ok(with_number!(to.dtype, T => run(nanos, || {
            let sources: Vec<Source<T>> = rows.iter().map(source).collect();
            expression.evaluate(lengths(&out), &sources, target(&out))
        })))
    }
}

/// Elements kept between two numbers.
pub(crate) unsafe fn clip(x: &View, low: Number, high: Number, to: &View) -> Result<(), Raised> {
    let (mut first, mut second) = (0, 0);
    // SAFETY: as the module says.
    unsafe {
        let low = side_rows(Given::Number(low), to.dtype, to.shape(), &mut first)?;
        let high = side_rows(Given::Number(high), to.dtype, to.shape(), &mut second)?;
        let inputs = [x.own_rows(), low, high];
        ternary(Ternary::Clip, to.dtype, inputs, &to.own_rows());
    }
    Ok(())
}

unsafe fn ternary(operation: Ternary, dtype: DType, inputs: [Rows; 3], out: &Rows) {
    let count = out.rows * out.columns;
    let done = with_number!(dtype, T => run(cost::ternary::<T>(operation, count), || {
        let inputs = inputs.each_ref().map(source);
        // SAFETY: as the module says.
        unsafe { raw::ternary::<T>(operation, lengths(out), inputs, target(out)) }
    }));
    debug_assert!(done.is_ok());
}

// Reductions.

/// Reduces all elements to one number. There are some, where that needs any.
#[inline]
pub(crate) unsafe fn reduce(reduction: Reduction, from: &View) -> Reduced {
    let rows = from.rows();
    // SAFETY: as the module says.
    run(time_of(from), || unsafe {
        reduce_rows(reduction, from.dtype, &rows)
    })
}

#[inline]
unsafe fn reduce_rows(reduction: Reduction, dtype: DType, rows: &Rows) -> Reduced {
    let shape = lengths(rows);
    // SAFETY: as the module says.
    unsafe {
        match reduction {
            Reduction::Sum => {
                with_number!(dtype, T => raw::sum::<T>(shape, source(rows)).reduced())
            }
            Reduction::Mean => {
                Reduced::Float(with_number!(dtype, T => raw::mean::<T>(shape, source(rows))))
            }
            Reduction::Min => with_number!(dtype, T => some(raw::min::<T>(shape, source(rows)))),
            Reduction::Max => with_number!(dtype, T => some(raw::max::<T>(shape, source(rows)))),
            Reduction::NanMin => {
                with_number!(dtype, T => some(raw::nan_min::<T>(shape, source(rows))))
            }
            Reduction::NanMax => {
                with_number!(dtype, T => some(raw::nan_max::<T>(shape, source(rows))))
            }
            Reduction::ArgMin => Reduced::Int(
                with_number!(dtype, T => raw::arg_min::<T>(shape, source(rows))).unwrap_or(0)
                    as i64,
            ),
            Reduction::ArgMax => Reduced::Int(
                with_number!(dtype, T => raw::arg_max::<T>(shape, source(rows))).unwrap_or(0)
                    as i64,
            ),
            Reduction::Var(less) => Reduced::Float(
                with_float!(dtype, T => raw::variance::<T>(shape, source(rows), less.into())),
            ),
            Reduction::Std(less) => Reduced::Float(
                with_float!(dtype, T => raw::variance::<T>(shape, source(rows), less.into()))
                    .sqrt(),
            ),
            Reduction::Norm => {
                with_float!(dtype, T => raw::norm::<T>(shape, source(rows)).reduced())
            }
            Reduction::All => {
                Reduced::Bool(with_type!(dtype, T => !any_is::<T>(rows, |value| value == 0 as T)))
            }
            Reduction::Any => {
                Reduced::Bool(with_type!(dtype, T => any_is::<T>(rows, |value| value != 0 as T)))
            }
        }
    }
}

/// A result that there is, since there are elements.
fn some<T: IntoReduced + Default>(found: Option<T>) -> Reduced {
    found.unwrap_or_default().reduced()
}

trait IntoReduced {
    fn reduced(self) -> Reduced;
}

macro_rules! into_reduced {
    ($($T:ty => $kind:ident,)*) => {$(
        impl IntoReduced for $T {
            #[inline]
            fn reduced(self) -> Reduced {
                Reduced::$kind(self.into())
            }
        }
    )*};
}

into_reduced! {
    f32 => Float,
    f64 => Float,
    i32 => Int,
    i64 => Int,
}

#[inline(always)] // with the function
unsafe fn any_is<T: Copy>(rows: &Rows, function: impl Fn(T) -> bool) -> bool {
    // SAFETY: as the module says.
    (0..rows.rows).any(|row| unsafe {
        let start = rows.row(row);
        (0..rows.columns as isize)
            .any(|i| function(start.offset(i * rows.stride).cast::<T>().read()))
    })
}

/// Reduces a view of two dimensions along one; there is one element of `to` for each place in the other.
pub(crate) unsafe fn reduce_axis(reduction: Reduction, from: &View, axis: usize, to: &View) {
    let to = match to.ndim {
        1 => to.own_rows(),
        // With a dimension of length 1 beside it.
        _ => View {
            ndim: 1,
            shape: [to.shape[0] * to.shape[1], 1],
            strides: [to.strides[1 - axis], 0],
            ..*to
        }
        .own_rows(),
    };
    let lines = match axis {
        0 => from.transposed(),
        _ => *from,
    }
    .own_rows();
    run(time_of(from) * 2.0, || {
        for i in 0..lines.rows {
            // SAFETY: as the module says.
            unsafe {
                let line = Rows {
                    start: lines.row(i),
                    rows: 1,
                    row_stride: 0,
                    ..lines
                };
                let place = to.start.offset(to.stride * i as isize);
                reduce_rows(reduction, from.dtype, &line).write(place, reduction, from.dtype);
            }
        }
    });
}

impl Reduced {
    /// Writes it as an element of the results of a reduction of this dtype.
    unsafe fn write(self, place: *mut u8, reduction: Reduction, dtype: DType) {
        // SAFETY: as the module says.
        unsafe {
            match (reduction.gives(dtype), self) {
                (DType::Bool, Self::Bool(value)) => place.write(value.into()),
                (DType::Int32, Self::Int(value)) => place.cast::<i32>().write(value as i32),
                (DType::Int64, Self::Int(value)) => place.cast::<i64>().write(value),
                (DType::Float32, Self::Float(value)) => place.cast::<f32>().write(value as f32),
                (DType::Float64, Self::Float(value)) => place.cast::<f64>().write(value),
                _ => unreachable!("a reduction gives its own dtype"),
            }
        }
    }
}

// Products.

/// The product of two vectors of one length and dtype.
pub(crate) unsafe fn dot(a: &View, b: &View) -> Reduced {
    let (rows, other) = (a.own_rows(), b.own_rows());
    run(time_of(a) + time_of(b), || {
        // SAFETY: as the module says.
        unsafe {
            with_number!(a.dtype, T => raw::dot::<T>(lengths(&rows), source(&rows), source(&other)).reduced())
        }
    })
}

/// The product of two matrices, whose shapes fit; `to` is none of them.
pub(crate) unsafe fn matmul(a: &View, b: &View, to: &View) {
    let shape = [a.shape[0], a.shape[1], b.shape[1]].map(|length| length as usize);
    let work = shape.map(|length| length as f64).iter().product::<f64>();
    let (a, b, to_rows) = (a.own_rows(), b.own_rows(), to.own_rows());
    // At some thirty products a nanosecond, and what it costs to read the operands.
    run(work / 30.0 + time_of(to), || {
        // SAFETY: as the module says.
        unsafe {
            with_number!(to.dtype, T => {
                raw::gemm::<T>(shape, 1 as T, source(&a), source(&b), 0 as T, target(&to_rows));
            });
        }
    });
}
