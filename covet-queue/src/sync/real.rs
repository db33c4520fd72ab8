//! The real atomics and cells, and with `std` the real locks, clock and parking.

pub(crate) use alloc::sync::Arc;
pub(crate) use core::sync::atomic::AtomicUsize;

#[cfg(not(feature = "std"))]
mod bare;
#[cfg(not(feature = "std"))]
pub(crate) use bare::*;
#[cfg(feature = "std")]
mod park;
#[cfg(feature = "std")]
pub(crate) use park::*;

macro_rules! acquire {
    ($name:literal) => {
        ::core::sync::atomic::Ordering::Acquire
    };
}
macro_rules! release {
    ($name:literal) => {
        ::core::sync::atomic::Ordering::Release
    };
}
/// A step that a model test may leave out.
macro_rules! step {
    ($name:literal, $step:expr) => {
        $step
    };
}

pub(crate) use {acquire, release, step};

/// A cell whose accesses are closures, so that loom can see where each begins and ends.
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Returns where the content of the first of several cells lies. A model cannot tell that.
#[inline(always)]
pub(crate) fn first_of<T>(cells: *const UnsafeCell<T>) -> *mut T {
    core::cell::UnsafeCell::raw_get(cells.cast())
}
