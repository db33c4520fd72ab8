//! The ends of any ring, for code that does not care which kind it is.

use alloc::vec::Vec;
#[cfg(feature = "std")]
use core::time::Duration;

use crate::claim::Claim;
use crate::error::{
    ClaimError, PopError, PushBatchError, PushError, TryClaimError, TryPopError, TryPushError,
};
#[cfg(feature = "std")]
use crate::error::{PopTimeoutError, PushTimeoutError};
use crate::{mpmc, mpsc, spsc};

/// The writing end of any ring. Each method is the handle's own of the same name, where errors and costs are told.
///
/// # Examples
///
/// ```
/// use covet_queue::{Consumer, Producer, mpmc, spsc};
///
/// fn send_all(mut to: impl Producer<u32>, mut from: impl Consumer<u32>) -> u32 {
///     to.push_batch(1..=4).unwrap();
///     to.close();
///     std::iter::from_fn(|| from.pop().ok()).sum()
/// }
///
/// let (producer, consumer) = spsc::bounded(8);
/// assert_eq!(send_all(producer, consumer), 10);
/// let (producer, consumer) = mpmc::bounded(8);
/// assert_eq!(send_all(producer, consumer), 10);
/// ```
pub trait Producer<T> {
    /// Pushes a value if there is room now.
    fn try_push(&mut self, value: T) -> Result<(), TryPushError<T>>;

    /// Pushes a value, waiting while the ring is full.
    fn push(&mut self, value: T) -> Result<(), PushError<T>>;

    /// Pushes a value, waiting while the ring is full, but no longer than `timeout`.
    #[cfg(feature = "std")]
    fn push_timeout(&mut self, value: T, timeout: Duration) -> Result<(), PushTimeoutError<T>>;

    /// Pushes values as long as there is room now; the others stay in the iterator.
    fn try_push_batch(
        &mut self,
        values: &mut impl Iterator<Item = T>,
    ) -> Result<usize, TryClaimError>;

    /// Pushes all values, waiting whenever the ring is full.
    fn push_batch<I: IntoIterator<Item = T>>(
        &mut self,
        values: I,
    ) -> Result<usize, PushBatchError<I::IntoIter>>;

    /// Claims up to `most` free slots, to write them in place.
    fn try_claim(&mut self, most: usize) -> Result<Claim<'_, T>, TryClaimError>;

    /// Claims up to `most` free slots, waiting while the ring is full.
    fn claim(&mut self, most: usize) -> Result<Claim<'_, T>, ClaimError>;

    /// Closes the ring.
    fn close(&mut self);

    /// Returns whether the ring was closed, from either side.
    fn is_closed(&self) -> bool;

    /// Returns how many elements are in the ring, as far as can be told.
    fn len(&self) -> usize;

    /// Returns whether the ring holds no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the ring holds as many elements as it can.
    fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Returns the most elements the ring ever holds.
    fn capacity(&self) -> usize;
}

/// The reading end of any ring. Each method is the handle's own of the same name, where errors and costs are told.
pub trait Consumer<T> {
    /// Pops the oldest element if it is there now.
    fn try_pop(&mut self) -> Result<T, TryPopError>;

    /// Pops the oldest element, waiting while the ring is empty.
    fn pop(&mut self) -> Result<T, PopError>;

    /// Pops the oldest element, waiting while the ring is empty, but no longer than `timeout`.
    #[cfg(feature = "std")]
    fn pop_timeout(&mut self, timeout: Duration) -> Result<T, PopTimeoutError>;

    /// Pops up to `most` elements that are there now into `each`.
    fn try_pop_batch(&mut self, most: usize, each: impl FnMut(T)) -> Result<usize, TryPopError>;

    /// Pops up to `most` elements into `each`, waiting while there is none.
    fn pop_batch(&mut self, most: usize, each: impl FnMut(T)) -> Result<usize, PopError>;

    /// Pops up to `most` elements to the end of `values`, waiting while there is none.
    fn pop_into(&mut self, values: &mut Vec<T>, most: usize) -> Result<usize, PopError>;

    /// Closes the ring.
    fn close(&mut self);

    /// Returns whether the ring was closed, from either side. There may still be elements to pop.
    fn is_closed(&self) -> bool;

    /// Returns how many elements are in the ring, as far as can be told.
    fn len(&self) -> usize;

    /// Returns whether the ring holds no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the ring holds as many elements as it can.
    fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Returns the most elements the ring ever holds.
    fn capacity(&self) -> usize;
}

/// Implements a trait by the inherent methods of the same names, which come first in a path through the type.
macro_rules! forward {
    ($trait:ident for $handle:ty {
        $($(#[$meta:meta])* fn $name:ident $(<$generic:ident: $bound:path>)? (&mut self $(, $arg:ident: $type:ty)*) $(-> $ret:ty)?;)*
    }) => {
        impl<T> $trait<T> for $handle {
            $(
                $(#[$meta])*
                #[inline]
                fn $name $(<$generic: $bound>)? (&mut self $(, $arg: $type)*) $(-> $ret)? {
                    <$handle>::$name(self $(, $arg)*)
                }
            )*
            fn is_closed(&self) -> bool {
                <$handle>::is_closed(self)
            }
            fn len(&self) -> usize {
                <$handle>::len(self)
            }
            fn capacity(&self) -> usize {
                <$handle>::capacity(self)
            }
        }
    };
}

macro_rules! producer {
    ($($handle:ty)*) => {$(
        forward! { Producer for $handle {
            fn try_push(&mut self, value: T) -> Result<(), TryPushError<T>>;
            fn push(&mut self, value: T) -> Result<(), PushError<T>>;
            #[cfg(feature = "std")]
            fn push_timeout(&mut self, value: T, timeout: Duration) -> Result<(), PushTimeoutError<T>>;
            fn try_push_batch(&mut self, values: &mut impl Iterator<Item = T>) -> Result<usize, TryClaimError>;
            fn push_batch<I: IntoIterator<Item = T>>(&mut self, values: I) -> Result<usize, PushBatchError<I::IntoIter>>;
            fn try_claim(&mut self, most: usize) -> Result<Claim<'_, T>, TryClaimError>;
            fn claim(&mut self, most: usize) -> Result<Claim<'_, T>, ClaimError>;
            fn close(&mut self);
        } }
    )*};
}

macro_rules! consumer {
    ($($handle:ty)*) => {$(
        forward! { Consumer for $handle {
            fn try_pop(&mut self) -> Result<T, TryPopError>;
            fn pop(&mut self) -> Result<T, PopError>;
            #[cfg(feature = "std")]
            fn pop_timeout(&mut self, timeout: Duration) -> Result<T, PopTimeoutError>;
            fn try_pop_batch(&mut self, most: usize, each: impl FnMut(T)) -> Result<usize, TryPopError>;
            fn pop_batch(&mut self, most: usize, each: impl FnMut(T)) -> Result<usize, PopError>;
            fn pop_into(&mut self, values: &mut Vec<T>, most: usize) -> Result<usize, PopError>;
            fn close(&mut self);
        } }
    )*};
}

// The producers of `mpsc` are those of `mpmc`.
producer! { spsc::Producer<T> mpmc::Producer<T> }
consumer! { spsc::Consumer<T> mpsc::Consumer<T> mpmc::Consumer<T> }
