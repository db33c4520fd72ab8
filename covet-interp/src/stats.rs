//! What a pool has done so far, in numbers.

pub use crate::seat::WorkerStats;

/// What a [`Pool`](crate::Pool) has done so far.
///
/// Each number was right at some moment of the call, not all at the same one. They are counted in memory that each worker has
/// to itself, and added up here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks and batches that wait in the queue, those included that were cancelled meanwhile.
    pub queued: usize,
    /// Interpreters in which something runs now, calling threads included.
    pub running: usize,
    /// Tasks, and items of batches, that returned a value.
    pub done: u64,
    /// Tasks, and items of batches, that raised.
    pub failed: u64,
    /// Tasks that were cancelled before they began.
    pub cancelled: u64,
    /// Tasks and batches that were given up because they did not stop ([`Error::Lost`](crate::Error::Lost)).
    pub lost: u64,
    /// Interpreters that were made, over the life of the pool.
    pub lives: u64,
    /// Loads of extension modules that were refused, in all pools of this process
    /// ([`Runtime::refused_modules`](crate::Runtime::refused_modules) names the modules).
    pub refused_imports: u64,
    /// Each of the workers that the pool has now.
    pub workers: Vec<WorkerStats>,
}
