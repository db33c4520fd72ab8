//! What a pool runs: the contract between its ring, its workers, and the kinds of work.

use crate::borrow::Entered;
use crate::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Work for one interpreter. Every job that a pool has accepted is run or abandoned, never dropped silently.
pub(crate) trait Job: Send + Sync {
    /// The number by which it can be interrupted.
    fn number(&self) -> u64;

    /// Whether it still has to be run: not if it was cancelled, or if a waiter took it.
    fn is_wanted(&self) -> bool;

    /// One turn in an interpreter.
    fn run(self: Arc<Self>, here: &mut Entered<'_>) -> Turn;

    /// It will not be run, for this reason.
    fn abandon(&self, why: &Error);

    /// It runs since that long and cannot be stopped: nobody waits for it any more.
    fn lose(&self, ran: Duration);
}

/// What a job wants after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Done,
    /// Another turn, after the jobs that wait.
    Again,
}

/// A number that no other job of this process has; never 0.
pub(crate) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: it only has to be unique.
    NEXT.fetch_add(1, Ordering::Relaxed)
}
