//! The event count of a crate without `std`: nobody sleeps, so there is nobody to wake.

use crate::sync::{fence, step};

pub(crate) struct EventCount;

impl EventCount {
    pub(crate) const fn new() -> Self {
        Self
    }

    #[inline(always)]
    pub(crate) fn notify_one(&self) {
        self.has_waiters();
    }

    #[inline(always)]
    pub(crate) fn notify_all(&self) {
        self.has_waiters();
    }

    /// Runs the light fence all the same: closing relies on it.
    #[inline(always)]
    pub(crate) fn has_waiters(&self) -> bool {
        step!("event count: notifier's fence", fence::light());
        false
    }

    #[inline(always)]
    pub(crate) fn notify_one_if(&self, _: impl FnOnce() -> bool) {
        self.has_waiters();
    }

    #[inline(always)]
    pub(crate) fn pass_on_if(&self, _: impl FnOnce() -> bool) {}
}
