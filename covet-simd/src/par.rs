//! Threads: when a call is worth more than one, and whose.
//!
//! Calls use rayon's pool, the current one or the global one, unless they are made inside of [`Pool::run`]. Work is cut into
//! pieces whose bounds depend on the operands alone, and what the pieces give is put together in their order: so the result
//! has the same bits for any number of threads. The calling thread takes its share: whoever of the pool comes late finds less
//! to do, or nothing.
//!
//! Waking a thread of a pool costs 10 µs and more, and what it reads is in the cache of another core, so a call that is estimated
//! to take less than [`WORTHWHILE`] stays on its thread.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Error;

/// Nanoseconds that a call must be estimated to take before other threads are asked to help.
pub const WORTHWHILE: f64 = 100_000.0;

/// Nanoseconds that a piece should take at least.
const PIECE: f64 = 10_000.0;

/// The most threads of a pool: more than any machine has, and few enough to be started soon.
const MOST: usize = 1024;

/// Threads that share the work of the calls made inside of [`Pool::run`].
///
/// Clones are the same pool. The threads end with the last clone.
#[derive(Clone, Debug)]
pub struct Pool {
    /// None for a pool of one thread, which is the caller's.
    workers: Option<Arc<rayon::ThreadPool>>,
}

impl Pool {
    /// Makes a pool of so many threads, the caller's included; 0 means as many as there are cores.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyThreads`]: more than 1024. [`Error::Threads`]: the system refuses them.
    pub fn new(threads: usize) -> Result<Self, Error> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            _ => threads,
        };
        if threads == 1 {
            return Ok(Self { workers: None });
        }
        if threads > MOST {
            return Err(Error::TooManyThreads {
                most: MOST,
                found: threads,
            });
        }
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(threads - 1)
            .thread_name(|i| format!("covet-simd-{}", i + 1))
            .build()
            .map_err(|error| Error::Threads(error.to_string()))?;
        Ok(Self {
            workers: Some(Arc::new(workers)),
        })
    }

    /// Returns how many threads a call can use, the caller's included.
    pub fn threads(&self) -> usize {
        1 + self
            .workers
            .as_ref()
            .map_or(0, |workers| workers.current_num_threads())
    }

    /// Runs `f` on this thread. Calls made in it, on this thread, use this pool.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        // Takes the pool back from the thread, however `f` ends.
        struct Restore(Option<Pool>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        f()
    }
}

thread_local! {
    /// What the innermost [`Pool::run`] on this thread chose.
    static CURRENT: Cell<Option<Pool>> = const { Cell::new(None) };
}

/// The pool of this thread.
fn current() -> Option<Pool> {
    let current = CURRENT.take();
    CURRENT.set(current.clone());
    current
}

/// Returns how many threads calls of this thread can use.
pub(crate) fn threads() -> usize {
    current().map_or_else(rayon::current_num_threads, |pool| pool.threads())
}

/// Calls `f` with ranges that make up `0..n`, on this thread and others if that pays. All but the last are multiples of
/// `step` long.
pub(crate) fn for_ranges(n: usize, step: usize, nanos: f64, f: impl Fn(Range<usize>) + Sync) {
    if nanos < WORTHWHILE || n <= step {
        return f(0..n);
    }
    // More pieces than threads, so that a thread that is held up holds up little.
    let pieces = ((nanos / PIECE) as usize).clamp(1, 256);
    let length = n.div_ceil(pieces).next_multiple_of(step);
    for_each(n.div_ceil(length), nanos, |piece| {
        let start = piece * length;
        f(start..n.min(start + length));
    });
}

/// Calls `f` for each index below `count`, on this thread and others if that pays.
pub(crate) fn for_each(count: usize, nanos: f64, f: impl Fn(usize) + Sync) {
    share(count, nanos, &|indices: &Indices| {
        while let Some(index) = indices.take() {
            f(index);
        }
    });
}

/// Puts together what `f` gives for each index below `count`, in their order.
pub(crate) fn fold<P: Send>(
    count: usize,
    nanos: f64,
    f: impl Fn(usize) -> P + Sync,
    merge: impl FnMut(P, P) -> P,
) -> Option<P> {
    if nanos < WORTHWHILE || count < 2 {
        return (0..count).map(f).reduce(merge);
    }
    let parts = Mutex::new(Vec::with_capacity(count));
    for_each(count, nanos, |index| {
        let part = f(index);
        parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((index, part));
    });
    let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
    parts.sort_unstable_by_key(|(index, _)| *index);
    parts.into_iter().map(|(_, part)| part).reduce(merge)
}

/// Indices that are handed out one by one, each once.
struct Indices {
    next: AtomicUsize,
    count: usize,
}

impl Indices {
    fn take(&self) -> Option<usize> {
        // Relaxed: each index goes to one thread, and what they do meets at the end of the scope.
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (index < self.count).then_some(index)
    }
}

/// Calls `work` with indices to take, on this thread and others if that pays.
fn share(count: usize, nanos: f64, work: &(dyn Fn(&Indices) + Sync)) {
    let indices = &Indices {
        next: AtomicUsize::new(0),
        count,
    };
    if nanos < WORTHWHILE || count < 2 {
        return work(indices);
    }
    match current() {
        None => rayon::in_place_scope(|scope| {
            spread(scope, rayon::current_num_threads(), indices, work);
        }),
        Some(Pool { workers: None }) => work(indices),
        Some(Pool {
            workers: Some(workers),
        }) => workers.in_place_scope(|scope| {
            spread(scope, 1 + workers.current_num_threads(), indices, work);
        }),
    }
}

/// Calls `work` on so many threads, of which this is one.
fn spread<'scope>(
    scope: &rayon::Scope<'scope>,
    threads: usize,
    indices: &'scope Indices,
    work: &'scope (dyn Fn(&Indices) + Sync),
) {
    for _ in 1..threads.min(indices.count) {
        scope.spawn(move |_| work(indices));
    }
    work(indices);
}
