//! What calls are estimated to take, in nanoseconds on one thread: for deciding about threads, and whether to let others run
//! meanwhile. Right within a factor of two on servers of the last ten years, which is enough for that.

use crate::element::Element;
use crate::op::{Binary, Ternary, Unary};

/// Bytes per nanosecond while all that a call touches fits into so many bytes: the cache of one core, that of all, and memory.
const SPEED: [(f64, f64); 3] = [
    ((2 << 20) as f64, 60.0),
    ((32 << 20) as f64, 25.0),
    (f64::INFINITY, 12.0),
];

/// Estimates a reduction of `n` elements in `operands` arrays: they are read only, which takes half as long.
pub fn reduction<T: Element>(operands: usize, n: usize) -> f64 {
    memory::<T>(operands, n) / 2.0
}

/// Estimates an operation on each of `n` elements.
pub fn unary<T: Element>(op: Unary, n: usize) -> f64 {
    // Nanoseconds for 4 bytes.
    let work = match op {
        Unary::Neg | Unary::Abs | Unary::Square => 0.0,
        Unary::Reciprocal | Unary::Sqrt => 0.2,
        Unary::Exp => 0.2,
        Unary::Log | Unary::Sigmoid => 0.3,
        Unary::Tanh => 0.4,
    };
    memory::<T>(2, n).max(work * (size_of::<T>() * size_of::<T>() / 16) as f64 * n as f64)
}

/// Estimates an operation on each two of `n` elements.
pub fn binary<T: Element>(op: Binary, n: usize) -> f64 {
    let work = if op == Binary::Div { 0.2 } else { 0.0 };
    memory::<T>(3, n).max(work * (size_of::<T>() / 4) as f64 * n as f64)
}

/// Estimates an operation on each three of `n` elements.
pub fn ternary<T: Element>(_op: Ternary, n: usize) -> f64 {
    memory::<T>(4, n)
}

/// Estimates what takes `n` elements of so many arrays from memory, or to it.
pub(crate) fn memory<T>(operands: usize, n: usize) -> f64 {
    let bytes = (operands * size_of::<T>()) as f64 * n as f64;
    let speed = SPEED.iter().find(|(most, _)| bytes <= *most);
    bytes / speed.map_or(1.0, |(_, speed)| *speed)
}
