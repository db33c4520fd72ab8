//! Waiting at a condition variable, with a deadline or without.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Instant;

/// Waits as long as `condition` holds, but not beyond the deadline: the caller looks again.
pub(crate) fn wait_while<'g, T>(
    changed: &Condvar,
    guard: MutexGuard<'g, T>,
    deadline: Option<Instant>,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'g, T> {
    match deadline {
        None => changed
            .wait_while(guard, condition)
            .unwrap_or_else(PoisonError::into_inner),
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = changed.wait_timeout_while(guard, left, condition);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}
