//! How long a thread looks for the end of a task before it sleeps.
//!
//! To sleep and be woken by a thread on another core takes many times what a short task does. So a waiter looks for a while first,
//! and gives its core away between two looks. For how long is learnt from how long the waits of its pool take, as
//! [`EventCount`](covet_queue::EventCount) does for its own.

use std::hint;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest and the shortest time to look.
const MAX_NANOS: u32 = 40_000;
const MIN_NANOS: u32 = 2_000;
/// A wait that took less than this, sleep included, would have been better spent looking.
const SHORT_WAIT: Duration = Duration::from_nanos(3 * MAX_NANOS as u64);

#[derive(Debug)]
pub(crate) struct Patience {
    nanos: AtomicU32,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self {
            nanos: AtomicU32::new(MAX_NANOS),
        }
    }

    /// Looks until `ready`, or until it is time to sleep: then returns when that was begun, for [`Patience::learn`].
    pub(crate) fn look(
        &self,
        deadline: Option<Instant>,
        ready: impl Fn() -> bool,
    ) -> Result<(), Instant> {
        // A worker that is at it answers within these pauses, so the clock is not read before them.
        if has_several_cores() {
            for pauses in [1, 1, 1, 1, 2, 2, 4, 4, 8] {
                for _ in 0..pauses {
                    hint::spin_loop();
                }
                if ready() {
                    return Ok(());
                }
            }
        }
        let start = Instant::now();
        // Relaxed: a guess.
        let nanos = self.nanos.load(Ordering::Relaxed);
        let end = start + Duration::from_nanos(nanos.into());
        let end = deadline.map_or(end, |deadline| deadline.min(end));
        while has_several_cores() && Instant::now() < end {
            // The core goes to whoever else wants it: perhaps to the worker.
            thread::yield_now();
            if ready() {
                return Ok(());
            }
        }
        Err(start)
    }

    /// Learns from a wait that looking did not end.
    pub(crate) fn learn(&self, start: Instant) {
        // Relaxed, and not one step: a lost update costs one wait of the wrong length.
        let nanos = self.nanos.load(Ordering::Relaxed);
        let next = if start.elapsed() < SHORT_WAIT {
            nanos * 2
        } else {
            nanos / 2
        };
        self.nanos
            .store(next.clamp(MIN_NANOS, MAX_NANOS), Ordering::Relaxed);
    }
}

/// Whether another thread can go on while this one looks.
fn has_several_cores() -> bool {
    static SEVERAL: OnceLock<bool> = OnceLock::new();
    *SEVERAL.get_or_init(|| thread::available_parallelism().is_ok_and(|cores| cores.get() > 1))
}
