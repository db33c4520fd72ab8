//! The real atomics, and with `std` the real locks, clock and parking.

pub(crate) use alloc::sync::Arc;
pub(crate) use core::sync::atomic::AtomicUsize;

#[cfg(not(feature = "std"))]
mod bare;
#[cfg(not(feature = "std"))]
pub(crate) use bare::*;

#[cfg(all(feature = "std", not(tsan)))]
mod park;
#[cfg(all(feature = "std", not(tsan)))]
pub(crate) use park::*;

#[cfg(all(feature = "std", tsan))]
mod tsan;
#[cfg(all(feature = "std", tsan))]
pub(crate) use tsan::*;
