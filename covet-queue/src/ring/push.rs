//! What producers do with a ring.

use core::sync::atomic::Ordering;

use super::hint::{Backoff, Hint};
use super::{CLOSED, FULL, MARKS_LAST, One, Ring, SKIP, STEP, count_from};
use crate::error::{TryClaimError, TryPushError};
use crate::strategy::Wait;
use crate::sync::{Deadline, acquire, release, step};

impl<T> Ring<T> {
    #[inline(always)]
    pub(crate) fn try_push(&self, hint: &Hint, value: T) -> Result<(), TryPushError<T>> {
        match self.reserve(hint, 1) {
            Ok((tail, _)) => {
                // SAFETY: `reserve` made the slot this thread's alone, and it holds no value.
                unsafe { self.slots.slot(tail / STEP).write(value) };
                self.fill(tail, FULL);
                self.not_empty.notify_one();
                Ok(())
            }
            Err(TryClaimError::Full) => Err(TryPushError::Full(value)),
            Err(TryClaimError::Closed) => Err(TryPushError::Closed(value)),
        }
    }

    /// Claims up to `most` slots. Returns the index of the first and how many they are, at least one.
    #[inline]
    pub(crate) fn try_reserve(
        &self,
        hint: &Hint,
        most: usize,
    ) -> Result<(usize, usize), TryClaimError> {
        // Also keeps `most * STEP` from overflowing.
        let (tail, count) = self.reserve(hint, most.min(self.capacity()))?;
        Ok((tail / STEP, count))
    }

    /// Claims up to `most` slots, but at least one. Returns the first position and how many.
    #[inline(always)]
    fn reserve(&self, hint: &Hint, most: usize) -> Result<(usize, usize), TryClaimError> {
        let mut backoff = Backoff::new();
        let mut tail = hint.get();
        loop {
            let count = self.free_from(tail, most);
            if count > 0 {
                let end = tail.wrapping_add(count * STEP);
                // Relaxed: positions only choose a slot; its marks carry the happens-before. A closed tail has its low bit
                // set, so against it the swap fails.
                let swapped = self.tail.position.compare_exchange_weak(
                    tail,
                    end,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if swapped.is_ok() {
                    hint.claimed(end);
                    return Ok((tail, count));
                }
                // By the end of the pauses the tail that won is old as well.
                backoff.wait();
            }
            // Acquire: pairs with "mpmc: close", so that who is told also sees what was done before.
            let now = self.tail.position.load(acquire!("mpmc: push sees close"));
            if now & CLOSED != 0 {
                return Err(TryClaimError::Closed);
            }
            if count == 0 && now == tail {
                let is_free = |ahead| self.free_from(tail.wrapping_add(ahead * STEP), 1) == 1;
                if !(hint.stop() && self.fall_back(is_free)) {
                    return Err(TryClaimError::Full);
                }
            }
            tail = now;
        }
    }

    /// Returns what producers said last of the slot of a position.
    #[inline(always)]
    pub(super) fn filled(&self, position: usize) -> usize {
        let filled = self.filled.of(position / STEP);
        // Acquire: pairs with "mpmc: push publishes"; the value is read next.
        filled.load(acquire!("mpmc: pop sees slot"))
    }

    /// Publishes the slot of a position that this thread has claimed.
    #[inline(always)]
    fn fill(&self, position: usize, holds: usize) {
        self.fill_to(position, position.wrapping_add(STEP), holds);
    }

    /// Publishes the slots from `position` to `end` by the mark of the first.
    #[inline(always)]
    pub(super) fn fill_to(&self, position: usize, end: usize, holds: usize) {
        let filled = self.filled.of(position / STEP);
        // Release: pairs with "mpmc: pop sees slot", which must also see the values.
        filled.store(end | holds, release!("mpmc: push publishes"));
    }

    /// Ends the claim of `len` slots from index `start` on: the first `ready` hold values, the others nothing.
    #[inline]
    pub(crate) fn publish(&self, start: usize, ready: usize, len: usize) {
        let parts = [
            (start, ready, FULL),
            (start.wrapping_add(ready), len - ready, SKIP),
        ];
        for (start, len, holds) in parts {
            let mut position = start.wrapping_mul(STEP);
            if self.freed.is_none() && MARKS_LAST {
                if len > 0 {
                    self.fill_to(position, position.wrapping_add(len * STEP), holds);
                }
                continue;
            }
            for run in self.filled.runs(start, len) {
                for filled in run {
                    position = position.wrapping_add(STEP);
                    // Release: as in `fill_to`.
                    filled.store(position | holds, release!("mpmc: push publishes"));
                }
            }
        }
        // An aborted claim too uncovers what was pushed behind it.
        self.not_empty.notify_one();
    }

    /// Aborts claims that were leaked. Called when the last producer is gone, and with it every live claim.
    pub(super) fn abort_leaked(&self) {
        // Relaxed: no producer is left that could change the tail.
        let tail = self.tail.position.load(Ordering::Relaxed) & !CLOSED;
        // Acquire: pairs with "mpsc: pop frees"; a consumer that took part of a batch has marked the rest before. A head that
        // is old only means more to look at.
        let mut position = self.head.load(acquire!("mpsc: abort sees head"));
        while position != tail {
            match self.run_at::<One>(position) {
                Some((end, _)) => position = end,
                None => {
                    self.fill(position, SKIP);
                    position = position.wrapping_add(STEP);
                }
            }
        }
        self.not_empty.notify_all();
    }

    /// Returns how many slots from `tail` on are free, no more than `most`.
    #[inline(always)]
    fn free_from(&self, tail: usize, most: usize) -> usize {
        let Some(freed) = &self.freed else {
            return self.room_at(tail, most);
        };
        // Only a ring with more slots than capacity can be full while its next slot is free.
        let room = if self.room == self.lap {
            most
        } else {
            self.room_at(tail, most)
        };
        count_from(freed, tail, room, |freed, position| {
            // Acquire: pairs with "mpmc: pop frees" and "mpmc: skip frees"; the value of the last lap has been read.
            freed.load(acquire!("mpmc: push sees slot")) == position
        })
    }

    /// Compares a tail with the head and the exact capacity. Returns how much room there is, no more than `most`.
    #[inline]
    fn room_at(&self, tail: usize, most: usize) -> usize {
        // The head may be old, which errs towards full. A tail that is old can be behind the head: then the distance is huge,
        // and there is no room.
        let room = |head: usize| self.room.saturating_sub(tail.wrapping_sub(head)) / STEP;
        let head_seen = &self.tail.head_seen;
        // Acquire: pairs with "mpsc: push tells head".
        let seen = head_seen.load(acquire!("mpsc: push is told head"));
        if room(seen) >= most {
            return most;
        }
        // Acquire: pairs with "mpsc: pop frees"; the values of the last lap have been read.
        let head = self.head.load(acquire!("mpsc: push sees head"));
        // Release: pairs with "mpsc: push is told head"; passes on what was just acquired.
        head_seen.store(head, release!("mpsc: push tells head"));
        room(head).min(most)
    }

    /// Waits until `ready` returns a value, as it does when a push succeeds or the ring is closed.
    #[cold]
    pub(crate) fn wait_for_room<R>(
        &self,
        wait: Wait,
        deadline: Option<Deadline>,
        ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let roomy = (self.quarter() > 1).then_some(|| self.is_roomy() || self.is_closed());
        let result = wait.until_room(&self.not_full, deadline, roomy, ready);
        self.pass_on_room();
        result
    }

    /// Does what a woken producer owes to the others that sleep.
    pub(crate) fn pass_on_room(&self) {
        // Slots can become free out of order: the wake-up for a later slot may have found the earlier one still being
        // read and been spent on nothing. So whoever was woken for the earlier one passes it on.
        step!(
            "mpmc: woken push passes on",
            self.not_full.pass_on_if(|| self.len() < self.capacity())
        );
    }

    /// Tells sleeping producers that slots became free.
    #[inline(always)]
    pub(super) fn tell_freed(&self) {
        self.not_full.notify_one_if(|| self.is_roomy());
    }

    fn quarter(&self) -> usize {
        (self.capacity() / 4).max(1)
    }

    /// Returns whether enough is free to wake a producer for.
    fn is_roomy(&self) -> bool {
        let quarter = self.quarter();
        quarter == 1 || self.capacity() - self.len() >= quarter
    }
}
