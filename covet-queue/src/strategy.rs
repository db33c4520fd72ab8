//! How a handle waits: spin, yield or park.

use core::hint;

use crate::sync::{self, Deadline};
use crate::wait::EventCount;

/// What a handle does while its ring is full or empty.
///
/// Each handle has its own, and clones inherit it. It decides about waiting only: whoever pushes or pops looks for
/// sleepers in any case, which costs one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wait {
    /// Spins. Answers soonest, and wastes a core; only for threads that have a core each.
    Spin,
    /// Spins for 32 pauses, and then gives the core to whoever else wants it between looks. Without `std` it spins.
    Yield,
    /// Spins for a bounded time that adapts to how long waits take, and then sleeps until woken: the default. See
    /// [`EventCount`](crate::EventCount).
    ///
    /// A push that sleeps is woken when a quarter of the ring is free, so that a full ring costs one wake-up for so many
    /// elements; should the consumers stop before that, it finds smaller room by itself, within milliseconds.
    #[cfg(feature = "std")]
    Park,
}

impl Default for Wait {
    #[cfg(feature = "std")]
    fn default() -> Self {
        Self::Park
    }

    #[cfg(not(feature = "std"))]
    fn default() -> Self {
        Self::Spin
    }
}

impl Wait {
    /// Waits until `ready` returns a value or `deadline` passes. Looks at least once.
    pub(crate) fn until<R>(
        self,
        events: &EventCount,
        deadline: Option<Deadline>,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let pauses = match self {
            Self::Spin => u32::MAX,
            Self::Yield => 32,
            #[cfg(feature = "std")]
            Self::Park => return events.wait_until(deadline, ready),
        };
        let _ = events;
        let mut tries = 0_u32;
        loop {
            if let Some(value) = ready() {
                return Some(value);
            }
            tries = tries.wrapping_add(1);
            // The clock costs more than a look, so spinning reads it rarely.
            let read_clock = tries >= pauses || tries.is_multiple_of(32);
            if read_clock && deadline.is_some_and(sync::has_passed) {
                return None;
            }
            if tries < pauses {
                hint::spin_loop();
            } else {
                tries = pauses;
                sync::yield_now();
            }
        }
    }

    /// Waits for room, as [`until`](Self::until) does. A sleeper does not rise for less than `roomy`, unless the time is
    /// long in which nothing came of it.
    pub(crate) fn until_room<R>(
        self,
        events: &EventCount,
        deadline: Option<Deadline>,
        roomy: Option<impl Fn() -> bool>,
        mut ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        #[cfg(feature = "std")]
        if let (Self::Park, Some(roomy)) = (self, roomy) {
            use std::time::Duration;
            const FIRST: Duration = Duration::from_millis(1);
            const LONGEST: Duration = Duration::from_millis(8);

            let mut patience = FIRST;
            loop {
                let end = deadline.into_iter().chain(sync::after(patience)).min();
                let result = events.wait_until(end, || if roomy() { ready() } else { None });
                if let Some(value) = result.or_else(&mut ready) {
                    return Some(value);
                }
                if deadline.is_some_and(sync::has_passed) {
                    return None;
                }
                patience = LONGEST.min(2 * patience);
            }
        }
        #[cfg(not(feature = "std"))]
        let _ = roomy;
        self.until(events, deadline, &mut ready)
    }
}
