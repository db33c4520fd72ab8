//! Why there is no room for a record.

use core::error::Error;
use core::fmt;

/// Why room for a record could not be claimed, or a record not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// There is not enough room now. Only methods that do not wait return this.
    Full,
    /// There was not enough room until the time was over. Only methods with a time limit return this.
    Timeout,
    /// The ring is closed; no later claim will succeed.
    Closed,
    /// The record is longer than the ring's `max_record`.
    TooLong {
        /// How many bytes were asked for.
        len: usize,
        /// The most bytes one record of this ring carries.
        max: usize,
    },
    /// The kind is not positive; 0 and negative kinds are the ring's own.
    Kind(i32),
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the ring has not enough room for the record"),
            Self::Timeout => {
                f.write_str("the ring had no room for the record until the time was over")
            }
            Self::Closed => f.write_str("the ring is closed"),
            Self::TooLong { len, max } => {
                write!(f, "expected a record of at most {max} bytes, found {len}")
            }
            Self::Kind(kind) => write!(f, "expected a positive kind, found {kind}"),
        }
    }
}

impl Error for ClaimError {}
