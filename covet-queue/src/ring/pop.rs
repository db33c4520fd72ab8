//! What consumers do with a ring.

use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use super::hint::{Backoff, Hint};
use super::{CLOSED, Consumers, FULL, One, Ring, SKIP, STEP, count_from, is_before};
use crate::error::TryPopError;
use crate::slots::Slot;
use crate::strategy::Wait;
use crate::sync::{AtomicUsize, Deadline, acquire, release, step};

impl<T> Ring<T> {
    #[inline(always)]
    pub(crate) fn try_pop<C: Consumers>(&self, hint: &Hint) -> Result<T, TryPopError> {
        let mut taken = self.take_over::<C>(hint, 1)?;
        let value = self.take(taken.step());
        drop(taken);
        self.tell_freed();
        Ok(value)
    }

    /// Pops up to `most` values into `each`.
    #[inline]
    pub(crate) fn try_pop_batch<C: Consumers>(
        &self,
        hint: &Hint,
        most: usize,
        mut each: impl FnMut(T),
    ) -> Result<usize, TryPopError> {
        let _freed = Freed(self);
        // Not more than a lap, lest fast producers keep one call busy for ever.
        let most = most.min(self.capacity());
        let mut popped = 0;
        while popped < most {
            match self.take_over::<C>(hint, most - popped) {
                Ok(taken) => {
                    popped += taken.len();
                    taken.hand_to(&mut each);
                }
                Err(error) if popped == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(popped)
    }

    /// Returns the oldest value, which stays.
    ///
    /// # Safety
    ///
    /// The caller is the only consumer, and pops nothing as long as the reference lives.
    pub(crate) unsafe fn peek(&self, hint: &Hint) -> Result<&T, TryPopError> {
        let (head, _) = self.head_to_read::<One>(hint)?;
        // SAFETY: the mark said full and was acquired; only this consumer could take the value, and does not.
        Ok(unsafe { self.slots.slot(head / STEP).get() })
    }

    /// Finds up to `most` values, but at least one, that this consumer can take.
    #[inline(always)]
    fn take_over<'a, C: Consumers>(
        &'a self,
        hint: &'a Hint,
        most: usize,
    ) -> Result<Taken<'a, T, C>, TryPopError> {
        let mut backoff = Backoff::new();
        loop {
            let (head, run_end) = self.head_to_read::<C>(hint)?;
            let wanted = head.wrapping_add(most * STEP);
            let run_end = self.full_to::<C>(run_end, wanted);
            // More than wanted is in a batch for one consumer only.
            let end = if is_before(wanted, run_end) {
                wanted
            } else {
                run_end
            };
            if !C::CLAIM || C::advance(&self.head, head, end) {
                if C::CLAIM {
                    hint.claimed(end);
                }
                return Ok(Taken {
                    ring: self,
                    hint,
                    next: head,
                    end,
                    run_end,
                    consumers: PhantomData,
                });
            }
            // By the end of the pauses the head that won is old as well.
            backoff.wait();
            self.reload_head(hint);
        }
    }

    /// Returns the head if its slot holds a value, and the end of what was published with it, after stepping over slots that
    /// were given up. With many consumers the head may be old.
    #[inline(always)]
    fn head_to_read<C: Consumers>(&self, hint: &Hint) -> Result<(usize, usize), TryPopError> {
        loop {
            let head = hint.get();
            match self.run_at::<C>(head) {
                Some((end, FULL)) => return Ok((head, end)),
                Some((end, _)) => {
                    self.step_over::<C>(head, end);
                    self.reload_head(hint);
                }
                None if self.reload_head(hint) == head => {
                    let is_full = |ahead: usize| {
                        // Inside a batch for one consumer there are no marks.
                        if C::CLAIM || ahead == 0 {
                            self.run_at::<C>(head.wrapping_add(ahead * STEP)).is_some()
                        } else {
                            self.len() > ahead
                        }
                    };
                    if !(hint.stop() && self.fall_back(is_full)) {
                        return Err(self.nothing_at(head));
                    }
                }
                None => {}
            }
        }
    }

    /// Looks for more values from `position` on, until they reach `wanted`. Returns where they end.
    #[inline(always)]
    fn full_to<C: Consumers>(&self, mut position: usize, wanted: usize) -> usize {
        if C::CLAIM {
            // Each slot has a mark of its own.
            let most = wanted.wrapping_sub(position) / STEP;
            let count = count_from(&self.filled, position, most, |filled, position| {
                // Acquire: as in `filled`.
                filled.load(acquire!("mpmc: pop sees slot")) == position.wrapping_add(STEP) | FULL
            });
            return position.wrapping_add(count * STEP);
        }
        while is_before(position, wanted) {
            match self.run_at::<C>(position) {
                Some((end, FULL)) => position = end,
                _ => break,
            }
        }
        position
    }

    /// Returns what was published with `position` as the first slot, if it was: up to where, and whether it holds values.
    #[inline(always)]
    pub(super) fn run_at<C: Consumers>(&self, position: usize) -> Option<(usize, usize)> {
        let filled = self.filled(position);
        let holds = filled & (FULL | SKIP);
        if C::CLAIM {
            let end = position.wrapping_add(STEP);
            return (filled == end | holds).then_some((end, holds));
        }
        let end = filled - holds;
        // One of an earlier lap ends here or before.
        is_before(position, end).then_some((end, holds))
    }

    #[inline(always)]
    fn reload_head(&self, hint: &Hint) -> usize {
        // Relaxed: positions only choose a slot; its marks carry the happens-before.
        let head = self.head.load(Ordering::Relaxed);
        hint.set(head);
        head
    }

    #[cold]
    fn step_over<C: Consumers>(&self, head: usize, end: usize) {
        if C::advance(&self.head, head, end) {
            if let Some(freed) = &self.freed {
                // Release: pairs with "mpmc: push sees slot". Nothing was read here, but whoever gave the slot up may have
                // written to it, which this thread has acquired and passes on.
                freed
                    .of(head / STEP)
                    .store(head.wrapping_add(self.lap), release!("mpmc: skip frees"));
            }
            self.tell_freed();
        }
    }

    /// Takes the value at a position that `take_over` has found, and frees its slot.
    #[inline(always)]
    fn take(&self, position: usize) -> T {
        let index = position / STEP;
        let freed = self.freed.as_ref().map(|freed| freed.of(index));
        self.take_from(position, self.slots.slot(index), freed)
    }

    #[inline(always)]
    fn take_from(&self, position: usize, slot: &Slot<T>, freed: Option<&AtomicUsize>) -> T {
        // SAFETY: the mark said full, and there is no other consumer or moving the head past it made the value this one's.
        let value = unsafe { slot.take() };
        if let Some(freed) = freed {
            // Release: pairs with "mpmc: push sees slot"; the value has been read.
            freed.store(position.wrapping_add(self.lap), release!("mpmc: pop frees"));
        }
        value
    }

    /// Tells whether something may still be published at `head`.
    #[inline]
    fn nothing_at(&self, head: usize) -> TryPopError {
        // Relaxed: if it does not say so yet, the ring is not closed yet; else the tail tells.
        if self.closing.load(Ordering::Relaxed) == 0 {
            return TryPopError::Empty;
        }
        // Acquire: pairs with "mpmc: close", so that whoever sees the end also sees all that was done before closing. That
        // the ring is drained follows from the value alone: nothing changes the tail after the bit is set, and all
        // positions before `head` have been claimed by consumers.
        let tail = self.tail.position.load(acquire!("mpmc: pop sees close"));
        if tail == head | CLOSED {
            TryPopError::Closed
        } else {
            TryPopError::Empty
        }
    }

    /// Waits until `ready` returns a value, as it does when a pop succeeds or the ring is closed.
    #[cold]
    pub(crate) fn wait_for_value<R>(
        &self,
        wait: Wait,
        deadline: Option<Deadline>,
        ready: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let result = wait.until(&self.not_empty, deadline, ready);
        self.pass_on_values();
        result
    }

    /// Does what a woken consumer owes to the others that sleep.
    pub(crate) fn pass_on_values(&self) {
        // Slots can become full out of order: the wake-up for a later slot may have found the earlier one still being
        // written and been spent on nothing. So whoever was woken for the earlier one passes it on.
        step!(
            "mpmc: woken pop passes on",
            self.not_empty.pass_on_if(|| self.len() > 0)
        );
        // A ring that was closed during a push is drained only now, and nobody but the last to pop knows.
        step!(
            "mpmc: last pop tells the others",
            self.not_empty.pass_on_if(|| self.is_closed())
        );
    }
}

/// Values that a consumer can take. Those that it does not take are dropped if it has claimed them, and else stay.
struct Taken<'a, T, C: Consumers> {
    ring: &'a Ring<T>,
    hint: &'a Hint,
    next: usize,
    end: usize,
    /// Where what was published together with the last of them ends.
    run_end: usize,
    consumers: PhantomData<C>,
}

impl<T, C: Consumers> Taken<'_, T, C> {
    fn len(&self) -> usize {
        self.end.wrapping_sub(self.next) / STEP
    }

    /// Returns the next position, which is to be taken.
    #[inline(always)]
    fn step(&mut self) -> usize {
        let position = self.next;
        self.next = position.wrapping_add(STEP);
        position
    }

    #[inline]
    fn hand_to(mut self, each: &mut impl FnMut(T)) {
        let ring = self.ring;
        let (index, count) = (self.next / STEP, self.len());
        let slots = ring.slots.runs(index, count);
        match &ring.freed {
            Some(freed) => {
                for (slots, freed) in slots.into_iter().zip(freed.runs(index, count)) {
                    for (slot, freed) in slots.iter().zip(freed) {
                        each(ring.take_from(self.step(), slot, Some(freed)));
                    }
                }
            }
            None => {
                for slots in slots {
                    for slot in slots {
                        each(ring.take_from(self.step(), slot, None));
                    }
                }
            }
        }
    }
}

impl<T, C: Consumers> Drop for Taken<'_, T, C> {
    #[inline]
    fn drop(&mut self) {
        if C::CLAIM {
            while self.next != self.end {
                let position = self.step();
                drop(self.ring.take(position));
            }
        } else {
            if self.next != self.run_end {
                // What is left begins here now. If the caller has panicked that may be several batches.
                self.ring.fill_to(self.next, self.run_end, FULL);
            }
            C::advance(&self.ring.head, self.hint.get(), self.next);
            self.hint.claimed(self.next);
        }
    }
}

/// Tells producers of free slots when dropped.
struct Freed<'a, T>(&'a Ring<T>);

impl<T> Drop for Freed<'_, T> {
    fn drop(&mut self) {
        self.0.tell_freed();
    }
}
