//! Which numbers the kernels are made for, and what each is summed in.

use std::fmt::Debug;

use crate::kernels::number::{Number, Real};
use crate::matmul::Product;

/// A type of numbers: `f32`, `f64`, `i32` or `i64`. No other can be added.
pub trait Element: Number + Product + Default + PartialEq + PartialOrd + Debug {
    /// What sums and dot products are: the type itself for floats, `i64` for integers, where they wrap beyond 64 bits.
    type Sum: Element;

    /// The type's name, as NumPy calls it.
    const NAME: &'static str;

    /// Rounds or wraps a finished sum.
    #[doc(hidden)]
    fn finish(total: Self::Total) -> Self::Sum;
}

/// A floating-point type: `f32` or `f64`.
pub trait Float: Element<Sum = Self> + Real {}

impl Element for f32 {
    type Sum = f32;
    const NAME: &'static str = "float32";

    fn finish(total: Self::Total) -> f32 {
        total.value() as f32
    }
}

impl Element for f64 {
    type Sum = f64;
    const NAME: &'static str = "float64";

    fn finish(total: Self::Total) -> f64 {
        total.value()
    }
}

impl Element for i32 {
    type Sum = i64;
    const NAME: &'static str = "int32";

    fn finish(total: Self::Total) -> i64 {
        total.value()
    }
}

impl Element for i64 {
    type Sum = i64;
    const NAME: &'static str = "int64";

    fn finish(total: Self::Total) -> i64 {
        total.value()
    }
}

impl Float for f32 {}
impl Float for f64 {}
