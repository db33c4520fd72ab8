//! What a handle of a ring remembers, and how it waits after a lost race.

use core::hint;
use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::sync;

/// What a handle remembers. They are plain atomics even in models: they order nothing, and a wrong guess costs a look at what
/// is shared. In a line of their own, for handles that are shared.
pub(crate) struct Hint(CachePadded<Memory>);

struct Memory {
    /// The position that is expected to be next, so that a thread which is alone on its side need not load the shared one,
    /// which its last compare-and-swap has just stored. May be old, never ahead.
    position: core::sync::atomic::AtomicUsize,
    /// The handle has claimed something since it last found nothing.
    moving: core::sync::atomic::AtomicBool,
}

impl Hint {
    pub(super) fn new(position: usize) -> Self {
        Self(CachePadded::new(Memory {
            position: position.into(),
            moving: false.into(),
        }))
    }

    #[inline(always)]
    pub(super) fn get(&self) -> usize {
        // Relaxed: a guess.
        self.0.position.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(super) fn set(&self, position: usize) {
        // Relaxed: a guess.
        self.0.position.store(position, Ordering::Relaxed);
    }

    /// Remembers a claim, which ends at `position`.
    #[inline(always)]
    pub(super) fn claimed(&self, position: usize) {
        self.set(position);
        // Relaxed: only about when to pause.
        self.0.moving.store(true, Ordering::Relaxed);
    }

    /// Returns whether something was claimed since the last call.
    #[inline]
    pub(super) fn stop(&self) -> bool {
        // Relaxed, and not one step: as above.
        let moving = self.0.moving.load(Ordering::Relaxed);
        self.0.moving.store(false, Ordering::Relaxed);
        moving
    }
}

impl Clone for Hint {
    fn clone(&self) -> Self {
        Self::new(self.get())
    }
}

/// What a thread does that has lost a race for the tail or the head. A winner who is left alone goes on many times faster than
/// two who take the cache line from each other, so the first pause is as long as some tens of operations; each further one is
/// twice as long, and after a few of them other threads get the core.
///
/// The first loss costs no pause: it may only mean that the position which the handle remembered is old.
pub(super) struct Backoff {
    pauses: u32,
}

impl Backoff {
    const FIRST: u32 = 32;
    const LONGEST: u32 = 128;

    pub(super) fn new() -> Self {
        Self { pauses: 0 }
    }

    #[cold]
    pub(super) fn wait(&mut self) {
        if self.pauses > Self::LONGEST {
            sync::yield_now();
            return;
        }
        for _ in 0..self.pauses {
            hint::spin_loop();
        }
        self.pauses = Self::FIRST.max(2 * self.pauses);
    }
}
