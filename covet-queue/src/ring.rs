//! The ring with a sequence number for each slot, which [`mpmc`](crate::mpmc) and [`mpsc`](crate::mpsc) share.
//!
//! The sequence says whose turn it is, so that producers contend only with producers, for the tail, and consumers only
//! with consumers, for the head (Vyukov, "Bounded MPMC queue", 1024cores.net, 2010). A thread claims positions by moving
//! the tail or head past them, and then has their slots to itself until it stores the next sequences. A batch counts how
//! many slots from the tail on are free, claims them all with one compare-and-swap, and publishes each with one store.
//!
//! Positions go up in steps of four. The low bit of the tail says that the ring is closed; the low bits of a sequence say
//! what the slot holds:
//!
//! ```text
//!   sequence == p          free, to be written by whoever claims position p
//!   sequence == p | FULL   holds the value of position p
//!   sequence == p | SKIP   holds nothing: the claim of position p was aborted
//!   sequence == p + lap    read or stepped over, free for the next lap
//! ```
//!
//! Invariants: `head <= tail <= head + capacity` (as wrapping distances); a slot's sequence is stored only by the thread that
//! claimed its position. Because the closed bit shares a word with the tail, no claim can succeed after closing, and a
//! consumer that finds its head equal to a closed tail knows that nothing more will come.
//!
//! What positions cannot see is a thread that sleeps between a load of the tail and its compare-and-swap for exactly as
//! long as all positions take to come round: 2^62 elements, or 2^30 where a pointer has 32 bits.

use core::sync::atomic::Ordering;

use crossbeam_utils::{Backoff, CachePadded};

use crate::error::{TryClaimError, TryPopError, TryPushError};
use crate::slots::Slots;
use crate::strategy::Wait;
use crate::sync::{Arc, AtomicUsize, Deadline, acquire, fence, release, step};
use crate::wait::EventCount;

/// The distance between positions.
const STEP: usize = 4;
/// In the tail: no more claims.
const CLOSED: usize = 1;
/// In a sequence: the slot holds a value.
const FULL: usize = 1;
/// In a sequence: the slot was claimed and holds no value.
const SKIP: usize = 2;

pub(crate) struct Ring<T> {
    tail: CachePadded<Tail>,
    /// Next position to read.
    head: CachePadded<AtomicUsize>,
    /// Capacity in positions.
    room: usize,
    /// Positions in one lap of the slots; more than `room` unless the capacity is a power of two.
    lap: usize,
    slots: Slots<T, AtomicUsize>,
    not_empty: EventCount,
    not_full: EventCount,
}

struct Tail {
    /// Next position to write, and the closed bit.
    position: AtomicUsize,
    /// A head that some producer saw, in the producers' own cache line. May be old, never ahead.
    head_seen: AtomicUsize,
}

/// The position that a handle expects to be next, so that a thread which is alone on its side need not load the shared
/// one, which its last compare-and-swap has just stored. May be old, never ahead. It is a plain atomic even in models: it
/// orders nothing, and a wrong guess costs a look at the shared position. In a line of its own, for handles that are shared.
pub(crate) struct Hint(CachePadded<core::sync::atomic::AtomicUsize>);

impl Hint {
    #[inline(always)]
    fn get(&self) -> usize {
        // Relaxed: a guess.
        self.0.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn set(&self, position: usize) {
        // Relaxed: a guess.
        self.0.store(position, Ordering::Relaxed);
    }
}

impl Clone for Hint {
    fn clone(&self) -> Self {
        Self(CachePadded::new(self.get().into()))
    }
}

/// How many consumers a ring has: how they move its head.
pub(crate) trait Consumers {
    /// The most elements that are claimed before the first of them is taken.
    const AHEAD: usize;

    /// Moves the head from `from` to `to`. Returns false if another consumer has moved it.
    fn advance(head: &AtomicUsize, from: usize, to: usize) -> bool;
}

/// One consumer: nobody else moves the head.
pub(crate) struct One;

impl Consumers for One {
    // Nothing is gained by claiming ahead, and what is not claimed stays in the ring if the caller panics.
    const AHEAD: usize = 1;

    #[inline(always)]
    fn advance(head: &AtomicUsize, _: usize, to: usize) -> bool {
        // Relaxed: positions only choose a slot; its sequence carries the happens-before.
        head.store(to, Ordering::Relaxed);
        true
    }
}

/// Any number of consumers: they compete for the head.
pub(crate) struct Many;

impl Consumers for Many {
    const AHEAD: usize = usize::MAX;

    #[inline(always)]
    fn advance(head: &AtomicUsize, from: usize, to: usize) -> bool {
        // Relaxed: positions only choose a slot; its sequence carries the happens-before.
        head.compare_exchange_weak(from, to, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }
}

/// Shared by all handles of one side: when the last one goes, the ring is closed.
pub(crate) struct Side<T> {
    ring: Arc<Ring<T>>,
    writes: bool,
}

impl<T> Drop for Side<T> {
    fn drop(&mut self) {
        self.ring.close();
        if self.writes {
            self.ring.abort_leaked();
        }
    }
}

/// Makes a ring as if `start` elements had already passed, what the handles of each side share, and the first hint.
#[allow(clippy::type_complexity)] // Taken apart at once by who calls it.
pub(crate) fn new<T>(capacity: usize, start: usize) -> (Arc<Ring<T>>, [Arc<Side<T>>; 2], Hint) {
    fence::prepare();
    let slots = Slots::new(capacity, start, |index| {
        AtomicUsize::new(index.wrapping_mul(STEP))
    });
    let position = start.wrapping_mul(STEP);
    let ring = Arc::new(Ring {
        tail: CachePadded::new(Tail {
            position: AtomicUsize::new(position),
            head_seen: AtomicUsize::new(position),
        }),
        head: CachePadded::new(AtomicUsize::new(position)),
        room: capacity * STEP,
        lap: slots.len() * STEP,
        slots,
        not_empty: EventCount::new(),
        not_full: EventCount::new(),
    });
    let side = |writes| {
        Arc::new(Side {
            ring: Arc::clone(&ring),
            writes,
        })
    };
    let sides = [side(true), side(false)];
    let hint = Hint(CachePadded::new(position.into()));
    (ring, sides, hint)
}

impl<T> Ring<T> {
    #[inline(always)]
    pub(crate) fn try_push(&self, hint: &Hint, value: T) -> Result<(), TryPushError<T>> {
        match self.reserve(hint, 1) {
            Ok((tail, _)) => {
                // SAFETY: `reserve` made the slot this thread's alone, and it holds no value.
                unsafe { self.slots.slot(tail / STEP).write(value) };
                self.store_sequence(tail, FULL);
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
        let backoff = Backoff::new();
        let mut tail = hint.get();
        loop {
            let turn = self.sequence_to_write(tail).wrapping_sub(tail) as isize;
            if turn == 0 {
                // Only a ring with more slots than capacity can be full while its next slot is free.
                let mut room = most;
                if self.room != self.lap {
                    match self.room_at(tail, most) {
                        Room::Free(count) => room = count.min(most),
                        Room::Full => {
                            tail = self.look_again(tail)?;
                            continue;
                        }
                        Room::Passed => {
                            tail = self.reload_tail()?;
                            continue;
                        }
                    }
                }
                let mut count = 1;
                let mut end = tail.wrapping_add(STEP);
                while count < room && self.sequence_to_write(end) == end {
                    count += 1;
                    end = end.wrapping_add(STEP);
                }
                // Relaxed: positions only choose a slot; its sequence carries the happens-before. A closed tail has its
                // low bit set, so against it the swap fails.
                match self.tail.position.compare_exchange_weak(
                    tail,
                    end,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        hint.set(end);
                        return Ok((tail, count));
                    }
                    Err(_) => {
                        // By the end of the pauses the tail that won is old as well.
                        backoff.spin();
                        tail = self.reload_tail()?;
                    }
                }
            } else if turn < 0 {
                // The slot still holds the value of the last lap, so nobody has claimed this position: it is the tail, or a
                // hint so old that positions have come half round since.
                tail = self.look_again(tail)?;
            } else {
                // Another producer has used this position meanwhile.
                tail = self.reload_tail()?;
            }
        }
    }

    /// Returns the tail as it is now, unless it is closed.
    #[inline(always)]
    fn reload_tail(&self) -> Result<usize, TryClaimError> {
        // Relaxed: as in `reserve`.
        let tail = self.tail.position.load(Ordering::Relaxed);
        if tail & CLOSED == 0 {
            Ok(tail)
        } else {
            self.look_again(tail)
        }
    }

    #[inline(always)]
    fn sequence_to_write(&self, position: usize) -> usize {
        let sequence = self.slots.mark(position / STEP);
        // Acquire: pairs with "mpmc: pop frees" and "mpmc: skip frees"; the value of the last lap has been read.
        sequence.load(acquire!("mpmc: push sees slot"))
    }

    #[inline(always)]
    fn sequence_to_read(&self, position: usize) -> usize {
        let sequence = self.slots.mark(position / STEP);
        // Acquire: pairs with "mpmc: push publishes"; the value is read next.
        sequence.load(acquire!("mpmc: pop sees slot"))
    }

    #[inline(always)]
    fn store_sequence(&self, position: usize, holds: usize) {
        let sequence = self.slots.mark(position / STEP);
        // Release: pairs with "mpmc: pop sees slot", which must also see the value.
        sequence.store(position | holds, release!("mpmc: push publishes"));
    }

    /// Ends the claim of `len` slots from index `start` on: the first `ready` hold values, the others nothing.
    #[inline]
    pub(crate) fn publish(&self, start: usize, ready: usize, len: usize) {
        let mut position = start.wrapping_mul(STEP);
        for _ in 0..ready {
            self.store_sequence(position, FULL);
            position = position.wrapping_add(STEP);
        }
        for _ in ready..len {
            self.store_sequence(position, SKIP);
            position = position.wrapping_add(STEP);
        }
        // An aborted claim too uncovers what was pushed behind it.
        self.not_empty.notify_one();
    }

    /// Aborts claims that were leaked. Called when the last producer is gone, and with it every live claim.
    fn abort_leaked(&self) {
        // Relaxed, both: no producer is left that could change the tail, and a head that is old only means more to look at.
        let tail = self.tail.position.load(Ordering::Relaxed) & !CLOSED;
        let mut position = self.head.load(Ordering::Relaxed);
        while position != tail {
            // Relaxed: only the claimer stores the sequence of a position that is still to be written, and it is gone.
            if self.slots.mark(position / STEP).load(Ordering::Relaxed) == position {
                self.store_sequence(position, SKIP);
            }
            position = position.wrapping_add(STEP);
        }
        self.not_empty.notify_all();
    }

    /// Tells why nothing can be claimed at a tail: closed, if that is so, before full. Or returns the tail if it is another.
    #[cold]
    fn look_again(&self, tail: usize) -> Result<usize, TryClaimError> {
        // Acquire: pairs with "mpmc: close", so that who is told also sees what was done before.
        let now = self.tail.position.load(acquire!("mpmc: push sees close"));
        if now & CLOSED != 0 {
            Err(TryClaimError::Closed)
        } else if now == tail {
            Err(TryClaimError::Full)
        } else {
            Ok(now)
        }
    }

    /// Compares a tail with the exact capacity.
    #[inline]
    fn room_at(&self, tail: usize, most: usize) -> Room {
        // Relaxed: the head that was seen may be old, which errs towards full.
        let used = tail.wrapping_sub(self.tail.head_seen.load(Ordering::Relaxed));
        if used < self.room && self.room - used >= most * STEP {
            return Room::Free(most);
        }
        self.refresh_room(tail)
    }

    #[cold]
    fn refresh_room(&self, tail: usize) -> Room {
        // Relaxed: the head only moves on, so whatever is loaded, there was that much room or less used.
        let head = self.head.load(Ordering::Relaxed);
        self.tail.head_seen.store(head, Ordering::Relaxed);
        let used = tail.wrapping_sub(head) as isize;
        if used < 0 {
            Room::Passed
        } else if used < self.room as isize {
            Room::Free((self.room - used as usize) / STEP)
        } else {
            Room::Full
        }
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
    fn freed(&self) {
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

    #[inline(always)]
    pub(crate) fn try_pop<C: Consumers>(&self, hint: &Hint) -> Result<T, TryPopError> {
        let (head, _) = self.take_over::<C>(hint, 1)?;
        let value = self.take(head);
        self.freed();
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
            match self.take_over::<C>(hint, (most - popped).min(C::AHEAD)) {
                Ok((head, count)) => {
                    popped += count;
                    let taken = Taken {
                        ring: self,
                        next: head,
                        end: head.wrapping_add(count * STEP),
                    };
                    taken.for_each(&mut each);
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
        let head = self.head_to_read::<One>(hint.get())?;
        hint.set(head);
        // SAFETY: the sequence said full and was acquired; only this consumer could take the value, and does not.
        Ok(unsafe { self.slots.slot(head / STEP).get() })
    }

    /// Claims up to `most` values, but at least one. Returns the position of the first and how many.
    #[inline(always)]
    fn take_over<C: Consumers>(
        &self,
        hint: &Hint,
        most: usize,
    ) -> Result<(usize, usize), TryPopError> {
        let backoff = Backoff::new();
        let mut head = hint.get();
        loop {
            head = self.head_to_read::<C>(head)?;
            let mut count = 1;
            let mut end = head.wrapping_add(STEP);
            while count < most && self.sequence_to_read(end) == end | FULL {
                count += 1;
                end = end.wrapping_add(STEP);
            }
            if C::advance(&self.head, head, end) {
                hint.set(end);
                return Ok((head, count));
            }
            // By the end of the pauses the head that won is old as well.
            backoff.spin();
            // Relaxed: as in `head_to_read`.
            head = self.head.load(Ordering::Relaxed);
        }
    }

    /// Returns the head if its slot holds a value, after stepping over slots that were given up. `head` may be old.
    #[inline(always)]
    fn head_to_read<C: Consumers>(&self, mut head: usize) -> Result<usize, TryPopError> {
        loop {
            let turn = self.sequence_to_read(head).wrapping_sub(head | FULL) as isize;
            if turn == 0 {
                return Ok(head);
            }
            if turn < 0 {
                // Nobody has taken this position, so it is the head, or a hint so old that positions have come half round.
                // Relaxed: as below.
                let now = self.head.load(Ordering::Relaxed);
                if now == head {
                    return Err(self.nothing_at(head));
                }
                head = now;
                continue;
            }
            if turn == (SKIP - FULL) as isize {
                self.step_over::<C>(head);
            }
            // Otherwise another consumer has used this position meanwhile.
            // Relaxed: positions only choose a slot; its sequence carries the happens-before.
            head = self.head.load(Ordering::Relaxed);
        }
    }

    #[cold]
    fn step_over<C: Consumers>(&self, head: usize) {
        if C::advance(&self.head, head, head.wrapping_add(STEP)) {
            let sequence = self.slots.mark(head / STEP);
            // Release: pairs with "mpmc: push sees slot". Nothing was read here, but whoever gave the slot up may have
            // written to it, which this thread has acquired and passes on.
            sequence.store(head.wrapping_add(self.lap), release!("mpmc: skip frees"));
            self.freed();
        }
    }

    /// Takes the value at a position that `take_over` has claimed, and frees its slot.
    #[inline(always)]
    fn take(&self, position: usize) -> T {
        // SAFETY: the sequence said full, and moving the head past it made the value this thread's alone.
        let value = unsafe { self.slots.slot(position / STEP).take() };
        let sequence = self.slots.mark(position / STEP);
        // Release: pairs with "mpmc: push sees slot"; the value has been read.
        sequence.store(position.wrapping_add(self.lap), release!("mpmc: pop frees"));
        value
    }

    /// Tells whether something may still be published at `head`.
    #[inline]
    fn nothing_at(&self, head: usize) -> TryPopError {
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

    /// Where consumers wait.
    #[cfg(feature = "async")]
    pub(crate) fn not_empty(&self) -> &EventCount {
        &self.not_empty
    }

    /// Where producers wait.
    #[cfg(feature = "async")]
    pub(crate) fn not_full(&self) -> &EventCount {
        &self.not_full
    }

    pub(crate) fn close(&self) {
        // Release: pairs with "mpmc: push sees close" and "mpmc: pop sees close".
        self.tail.position.fetch_or(CLOSED, release!("mpmc: close"));
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    pub(crate) fn is_closed(&self) -> bool {
        // Relaxed: an answer about now, which promises nothing about anything else.
        self.tail.position.load(Ordering::Relaxed) & CLOSED != 0
    }

    pub(crate) fn len(&self) -> usize {
        // Relaxed: a snapshot of two moving positions. The head is read first, so that it is not beyond the tail; what was
        // pushed in between can make the distance too large.
        let head = self.head.load(Ordering::Relaxed);
        let tail = self.tail.position.load(Ordering::Relaxed) & !CLOSED;
        let distance = tail.wrapping_sub(head);
        if distance as isize <= 0 {
            0
        } else {
            distance.min(self.room) / STEP
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.room / STEP
    }

    pub(crate) fn slots(&self) -> &Slots<T, AtomicUsize> {
        &self.slots
    }
}

enum Room {
    /// Room for so many.
    Free(usize),
    Full,
    /// The tail that was compared is no longer the tail.
    Passed,
}

/// Values that a consumer has claimed. Those that are not asked for are dropped.
struct Taken<'a, T> {
    ring: &'a Ring<T>,
    next: usize,
    end: usize,
}

impl<T> Iterator for Taken<'_, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        let position = self.next;
        self.next = position.wrapping_add(STEP);
        Some(self.ring.take(position))
    }
}

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Tells producers of free slots when dropped.
struct Freed<'a, T>(&'a Ring<T>);

impl<T> Drop for Freed<'_, T> {
    fn drop(&mut self) {
        self.0.freed();
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Relaxed, here and below: all handles are gone, and with the last reference came everything they did.
        let head = self.head.load(Ordering::Relaxed) / STEP;
        let left = self.len();
        let indices = (0..left).map(|offset| head.wrapping_add(offset));
        let holds_value = |sequence: &AtomicUsize, index: usize| {
            sequence.load(Ordering::Relaxed) == index.wrapping_mul(STEP) | FULL
        };
        // SAFETY: no claim is under way, so the slots from head to tail that say full are the ones that hold values; they
        // are fewer than a lap.
        unsafe { self.slots.drop_values(indices, holds_value) };
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{Hint, Many, STEP, new};
    use crate::error::{TryPopError, TryPushError};
    use crossbeam_utils::CachePadded;

    /// As of a handle that slept while positions came half round, which with 32 bits is a matter of seconds.
    fn hint_before(position: usize) -> Hint {
        Hint(CachePadded::new(
            position.wrapping_sub(usize::MAX / 2 + 1).into(),
        ))
    }

    #[test]
    fn a_hint_may_be_half_round_old() {
        for capacity in [2, 3] {
            let (ring, _sides, _) = new(capacity, 5);
            for n in 0..capacity {
                assert_eq!(ring.try_push(&hint_before((5 + n) * STEP), n), Ok(()));
            }
            let full = ring.try_push(&hint_before((5 + capacity) * STEP), 9);
            assert_eq!(full, Err(TryPushError::Full(9)));
            for n in 0..capacity {
                assert_eq!(ring.try_pop::<Many>(&hint_before((5 + n) * STEP)), Ok(n));
            }
            let hint = || hint_before((5 + capacity) * STEP);
            assert_eq!(ring.try_pop::<Many>(&hint()), Err(TryPopError::Empty));
            ring.close();
            assert_eq!(ring.try_push(&hint(), 9), Err(TryPushError::Closed(9)));
            assert_eq!(ring.try_pop::<Many>(&hint()), Err(TryPopError::Closed));
        }
    }
}
