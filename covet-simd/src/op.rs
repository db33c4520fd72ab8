//! The operations that make an element of each element, and their names.

use crate::element::Element;
use crate::error::Error;

macro_rules! operations {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the operation's name, as NumPy calls it where it has it.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// Returns the operation of this name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|op| op.name() == name)
            }

            /// Tells whether the operation is made for elements of type `T`.
            pub fn supports<T: Element>(self) -> bool {
                T::IS_FLOAT || !self.needs_float()
            }

            /// Refuses elements that the operation is not made for.
            pub(crate) fn check<T: Element>(self) -> Result<(), Error> {
                if self.supports::<T>() {
                    Ok(())
                } else {
                    Err(Error::Unsupported { operation: self.name(), element: T::NAME })
                }
            }
        }
    };
}

operations! {
    /// An operation on one element. The errors are the largest seen over dense sweeps, on every instruction set the same.
    Unary {
        /// `-x`; integers wrap.
        Neg = "negative",
        /// `|x|`; integers wrap, so that of the least integer is itself.
        Abs = "absolute",
        /// `x * x`; integers wrap.
        Square = "square",
        /// `1 / x`, correctly rounded. Floats only.
        Reciprocal = "reciprocal",
        /// The square root, correctly rounded; NaN for negative numbers. Floats only.
        Sqrt = "sqrt",
        /// e to the power of x. Floats only.
        Exp = "exp",
        /// The natural logarithm; minus infinity for 0, NaN for negative numbers. Floats only.
        Log = "log",
        /// The hyperbolic tangent. Floats only.
        Tanh = "tanh",
        /// `1 / (1 + exp(-x))`. Floats only.
        Sigmoid = "sigmoid",
    }
}

impl Unary {
    pub(crate) fn needs_float(self) -> bool {
        !matches!(self, Self::Neg | Self::Abs | Self::Square)
    }
}

operations! {
    /// An operation on two elements.
    Binary {
        /// `x + y`; integers wrap.
        Add = "add",
        /// `x - y`; integers wrap.
        Sub = "subtract",
        /// `x * y`; integers wrap.
        Mul = "multiply",
        /// `x / y`. Floats only.
        Div = "divide",
        /// The lesser; NaN if either is.
        Min = "minimum",
        /// The greater; NaN if either is.
        Max = "maximum",
    }
}

impl Binary {
    pub(crate) fn needs_float(self) -> bool {
        matches!(self, Self::Div)
    }
}

operations! {
    /// An operation on three elements.
    Ternary {
        /// `x * y + z`, rounded once; integers wrap.
        MulAdd = "fma",
        /// `min(max(x, y), z)`: `x` kept between `y` and `z`; NaN if any is.
        Clip = "clip",
    }
}

impl Ternary {
    pub(crate) fn needs_float(self) -> bool {
        false
    }
}
