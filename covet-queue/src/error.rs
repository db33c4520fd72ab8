//! What a push or a pop reports instead of success.
//!
//! An error of a push carries the value, so nothing is lost by failing. None of the types asks anything of `T`: they
//! can be printed and boxed whatever the ring holds.

use core::error::Error;
use core::fmt;

/// Why a value could not be pushed at once; carries the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPushError<T> {
    /// The ring holds as many elements as its capacity, or the slot to write is still being read.
    Full(T),
    /// The ring is closed; no later push will succeed.
    Closed(T),
}

/// Why no slot could be claimed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryClaimError {
    /// The ring holds as many elements as its capacity, or the slot to write is still being read.
    Full,
    /// The ring is closed; no later claim will succeed.
    Closed,
}

/// The ring was closed before a slot could be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimError;

/// The ring was closed before all values could be pushed; carries those that were not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PushBatchError<I> {
    /// How many values were pushed.
    pub pushed: usize,
    /// Gives the values that were not.
    pub rest: I,
}

/// The ring was closed before the value could be pushed; carries the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PushError<T>(pub T);

/// Why a value could not be pushed in the given time; carries the value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushTimeoutError<T> {
    /// The ring stayed full until the time was over.
    Timeout(T),
    /// The ring is closed; no later push will succeed.
    Closed(T),
}

/// Why there was nothing to pop at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryPopError {
    /// Nothing is published at the head of the ring; something may be later.
    Empty,
    /// The ring is closed and drained; no later pop will succeed.
    Closed,
}

/// The ring is closed and drained; no later pop will succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PopError;

/// Why nothing was popped in the given time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PopTimeoutError {
    /// The ring stayed empty until the time was over.
    Timeout,
    /// The ring is closed and drained; no later pop will succeed.
    Closed,
}

const CLOSED: &str = "the ring is closed";
const DRAINED: &str = "the ring is closed and drained";

impl<T> TryPushError<T> {
    /// Returns the value that was not pushed.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> PushError<T> {
    /// Returns the value that was not pushed.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> PushTimeoutError<T> {
    /// Returns the value that was not pushed.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> fmt::Debug for TryPushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushError(..)")
    }
}

impl<T> fmt::Debug for PushTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(_) => "Timeout(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TryPushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the ring is full",
            Self::Closed(_) => CLOSED,
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<T> fmt::Display for PushTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout(_) => "the ring stayed full until the time was over",
            Self::Closed(_) => CLOSED,
        })
    }
}

impl fmt::Display for TryClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the ring is full",
            Self::Closed => CLOSED,
        })
    }
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<I> fmt::Debug for PushBatchError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushBatchError")
            .field("pushed", &self.pushed)
            .finish_non_exhaustive()
    }
}

impl<I> fmt::Display for PushBatchError<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ring was closed after {} values", self.pushed)
    }
}

impl fmt::Display for TryPopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the ring is empty",
            Self::Closed => DRAINED,
        })
    }
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(DRAINED)
    }
}

impl fmt::Display for PopTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "the ring stayed empty until the time was over",
            Self::Closed => DRAINED,
        })
    }
}

impl<T> Error for TryPushError<T> {}
impl<T> Error for PushError<T> {}
impl<T> Error for PushTimeoutError<T> {}
impl<I> Error for PushBatchError<I> {}
impl Error for TryClaimError {}
impl Error for ClaimError {}
impl Error for TryPopError {}
impl Error for PopError {}
impl Error for PopTimeoutError {}
