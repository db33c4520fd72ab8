//! What can be wrong with a call.

use std::fmt;

use crate::dispatch::Level;

/// Why a call was refused. Nothing was written then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An operand has another number of elements than the first.
    Length {
        /// Which operand.
        operand: &'static str,
        /// The number of elements it should have.
        expected: usize,
        /// The number it has.
        found: usize,
    },
    /// An operand of an expression has another number of elements than its result.
    OperandLength {
        /// The operand's name.
        operand: String,
        /// The number of elements it should have.
        expected: usize,
        /// The number it has.
        found: usize,
    },
    /// A text is no expression, or none for this type.
    Expression {
        /// What is wrong.
        what: String,
        /// The character where that shows, counted from 1.
        column: usize,
        /// What would have been right; may be empty.
        known: String,
    },
    /// An operand has another shape than the first.
    Shape {
        /// Which operand.
        operand: &'static str,
        /// The rows and columns it should have.
        expected: [usize; 2],
        /// Those it has.
        found: [usize; 2],
    },
    /// A view reaches beyond the slice it is of.
    OutOfBounds {
        /// The rows and columns of the view.
        shape: [usize; 2],
        /// Its strides, in elements.
        strides: [isize; 2],
        /// The number of elements that the slice has.
        length: usize,
    },
    /// A view to write to has several elements in one place.
    Overlap {
        /// The rows and columns of the view.
        shape: [usize; 2],
        /// Its strides, in elements.
        strides: [isize; 2],
    },
    /// The operation is not made for elements of this type.
    Unsupported {
        /// The operation's name.
        operation: &'static str,
        /// The type's name, as NumPy calls it.
        element: &'static str,
    },
    /// No instruction set has this name.
    UnknownLevel(String),
    /// This processor lacks the instruction set.
    UnavailableLevel {
        /// The set that was asked for.
        asked: Level,
        /// The best that this processor has.
        best: Level,
    },
    /// A pool was asked for more threads than one may have.
    TooManyThreads {
        /// The most that one may have.
        most: usize,
        /// The number that was asked for.
        found: usize,
    },
    /// The threads of a pool could not be started.
    Threads(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length {
                operand,
                expected,
                found,
            } => write!(
                f,
                "expected {expected} elements in `{operand}`; found {found}"
            ),
            Self::OperandLength {
                operand,
                expected,
                found,
            } => write!(
                f,
                "expected {expected} elements in `{operand}`; found {found}"
            ),
            Self::Expression {
                what,
                column,
                known,
            } => {
                write!(f, "{what} at column {column}")?;
                match known.as_str() {
                    "" => Ok(()),
                    known => write!(f, ": {known}"),
                }
            }
            Self::Shape {
                operand,
                expected: [rows, columns],
                found: [r, c],
            } => write!(
                f,
                "expected `{operand}` to be of {rows} x {columns} elements; found {r} x {c}"
            ),
            Self::OutOfBounds {
                shape: [rows, columns],
                strides: [r, c],
                length,
            } => write!(
                f,
                "expected a view inside of {length} elements; found one of {rows} x {columns} with strides of {r} and {c}"
            ),
            Self::Overlap {
                shape: [rows, columns],
                strides: [r, c],
            } => write!(
                f,
                "expected a view with a place for each element, as it is written to; found one of {rows} x {columns} \
                 with strides of {r} and {c}"
            ),
            Self::Unsupported { operation, element } => {
                write!(
                    f,
                    "`{operation}` expects elements of a floating-point type; found {element}"
                )
            }
            Self::UnknownLevel(name) => write!(
                f,
                "expected COVET_SIMD to be scalar, avx2 or avx512; found `{name}`"
            ),
            Self::UnavailableLevel { asked, best } => write!(
                f,
                "expected an instruction set that this processor has, at best {best}; found {asked}"
            ),
            Self::TooManyThreads { most, found } => {
                write!(
                    f,
                    "expected a pool of at most {most} threads; found {found}"
                )
            }
            Self::Threads(reason) => write!(f, "expected to start the threads of a pool; {reason}"),
        }
    }
}

impl std::error::Error for Error {}
