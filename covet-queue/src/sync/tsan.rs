//! What needs an operating system, made of atomics only, for ThreadSanitizer.
//!
//! The standard library comes compiled without it, so what a lock or a parked thread of `std` orders is invisible, and would
//! be reported as a race. These spin, and give the core away while they do.

pub(crate) use std::thread::yield_now;
pub(crate) use std::time::Instant as Deadline;

use std::boxed::Box;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::LockResult;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread_local;
use std::time::{Duration, Instant};

pub(crate) struct Mutex<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives the value to one thread at a time.
unsafe impl<T: Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock. It is never poisoned, but has the signature of one that may be.
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        while self.locked.swap(true, Ordering::Acquire) {
            yield_now();
        }
        Ok(MutexGuard(self))
    }
}

pub(crate) struct MutexGuard<'a, T>(&'a Mutex<T>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock, and is borrowed mutably.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}

/// One thread's token. It is never freed, since counting who has it would take fences, which ThreadSanitizer does not know.
#[derive(Clone)]
pub(crate) struct Parker(&'static AtomicBool);

impl Parker {
    pub(crate) fn current() -> Self {
        thread_local! {
            static TOKEN: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        }
        Self(TOKEN.with(|token| *token))
    }

    pub(crate) fn park(&self, deadline: Option<Instant>) -> bool {
        while !self.0.swap(false, Ordering::Acquire) {
            if deadline.is_some_and(has_passed) {
                return true;
            }
            yield_now();
        }
        false
    }

    pub(crate) fn unpark(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Returns when `time` from now will have passed.
pub(crate) fn after(time: Duration) -> Option<Deadline> {
    Some(Instant::now() + time)
}

/// Returns whether `deadline` is over.
pub(crate) fn has_passed(deadline: Deadline) -> bool {
    Instant::now() >= deadline
}

/// No: what is to be looked at is the sleeping.
pub(crate) fn spinning_helps() -> bool {
    false
}
