//! What can be wrong with a device.

use std::fmt;

/// Why something could not be done on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no device, or a library is missing that this needs; with the reason.
    Unavailable(String),
    /// No device has this number.
    NoDevice {
        /// The number that was asked for.
        asked: usize,
        /// How many devices there are, counted from 0.
        found: usize,
    },
    /// An operand is on another device than the first.
    OtherDevice {
        /// Which operand.
        operand: &'static str,
        /// The device that the first is on.
        expected: usize,
        /// The one that this is on.
        found: usize,
    },
    /// A matrix has more rows or columns than cuBLAS can count.
    TooLong([usize; 3]),
    /// The device has no memory left for a result.
    OutOfMemory {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The driver or a library has failed.
    Driver {
        /// What was being done.
        doing: &'static str,
        /// What it says.
        reason: String,
    },
    /// The call would be refused on the host as well.
    Call(crate::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(reason) => f.write_str(reason),
            Self::NoDevice { asked, found } => write!(
                f,
                "expected the number of one of {found} CUDA devices, counted from 0; found {asked}"
            ),
            Self::OtherDevice {
                operand,
                expected,
                found,
            } => write!(
                f,
                "expected `{operand}` on the CUDA device {expected}; found it on {found}"
            ),
            Self::TooLong([m, k, n]) => write!(
                f,
                "expected matrices with fewer than 2^31 rows and columns; found {m} x {k} and {k} x {n}"
            ),
            Self::OutOfMemory { bytes } => write!(
                f,
                "expected {bytes} bytes of memory on the CUDA device; it has none left"
            ),
            Self::Driver { doing, reason } => write!(f, "{doing}: {reason}"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Call(error) => Some(error),
            _ => None,
        }
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Call(error)
    }
}
