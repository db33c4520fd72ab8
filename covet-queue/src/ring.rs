//! The ring with marks for each slot, which [`mpmc`](crate::mpmc) and [`mpsc`](crate::mpsc) share.
//!
//! Marks say whose turn it is, so that producers contend only with producers, for the tail, and consumers only with
//! consumers, for the head (Vyukov, "Bounded MPMC queue", 1024cores.net, 2010). A thread claims positions by moving the
//! tail or head past them, and then has their slots to itself until it marks them. A batch counts how many slots from the
//! tail on are free, and claims them all with one compare-and-swap.
//!
//! Several consumers can end in any order, so each slot has two marks, one stored by producers and one by consumers, in arrays
//! of their own: who publishes a slot does not take away the cache line in which the neighbour is being freed. A single
//! consumer takes values in order. So its head says which slots are free, and a batch for it needs one mark, at its first
//! slot, which says how far the batch goes; when it takes a part of one, it marks where the rest begins.
//!
//! Positions go up in steps of four. The low bit of the tail says that the ring is closed; a mark is a position, whose low bits
//! say more:
//!
//! ```text
//!   filled == e | FULL   the slots from here to position e hold values
//!   filled == e | SKIP   they hold nothing: the claim was aborted
//!   freed  == p          this one is free, to be written by whoever claims position p
//! ```
//!
//! Any other mark of the tail or of the head is from the lap before: the ring is full, or empty. Whoever finds one at a
//! position that it only believes to be the tail or the head looks whether it is.
//!
//! A thread that has caught up with the other side would take away each cache line that is still being written there. So one
//! that finds nothing where it has just found something pauses before it says so, if there comes more; as in
//! [`spsc`](crate::spsc).
//!
//! Invariants: `head <= tail <= head + capacity` (as wrapping distances); a slot's marks are stored only by whoever has its
//! position for itself. Because the closed bit shares a word with the tail, no claim can succeed after closing, and a
//! consumer that finds its head equal to a closed tail knows that nothing more will come.
//!
//! What positions cannot see is a thread that sleeps between a load of the tail and its compare-and-swap for exactly as
//! long as all positions take to come round: 2^62 elements, or 2^30 where a pointer has 32 bits.

use core::hint;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

use crate::error::{TryClaimError, TryPopError, TryPushError};
use crate::slots::{Marks, Slot, Slots};
use crate::strategy::Wait;
use crate::sync::{self, Arc, AtomicUsize, Deadline, acquire, fence, release, step};
use crate::wait::EventCount;

/// The distance between positions.
const STEP: usize = 4;
/// In the tail: no more claims.
const CLOSED: usize = 1;
/// In a mark: the slots hold values.
const FULL: usize = 1;
/// In a mark: the slots were claimed and hold no value.
const SKIP: usize = 2;
/// How many slots the other side gets ahead of a thread that has caught up with it, if it can; less if a quarter of the ring
/// is less.
const FAR: usize = 128;
/// How often a thread pauses for that before it looks again.
const PAUSES: [u32; 3] = [16, 32, 64];
/// Whether positions take so long to come round that a mark can stay in its slot for ever: those inside a batch for one
/// consumer are not renewed.
const MARKS_LAST: bool = usize::BITS >= 64;
/// The largest capacity: positions advance by four and are compared as signed distances.
const MAX_CAPACITY: usize = 1 << (usize::BITS - 4);

pub(crate) struct Ring<T> {
    tail: CachePadded<Tail>,
    /// Next position to read.
    head: CachePadded<AtomicUsize>,
    /// Capacity in positions.
    room: usize,
    /// Positions in one lap of the slots; more than `room` unless the capacity is a power of two.
    lap: usize,
    /// Not 0 if the tail has its closed bit, or is about to get it. Consumers that find nothing look here first, and leave
    /// the tail to the producers.
    closing: AtomicUsize,
    slots: Slots<T>,
    /// What producers say of each slot.
    filled: Marks,
    /// What consumers say of each slot, where there can be several.
    freed: Option<Marks>,
    not_empty: EventCount,
    not_full: EventCount,
}

struct Tail {
    /// Next position to write, and the closed bit.
    position: AtomicUsize,
    /// A head that some producer saw, in the producers' own cache line. May be old, never ahead.
    head_seen: AtomicUsize,
}

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
    fn new(position: usize) -> Self {
        Self(CachePadded::new(Memory {
            position: position.into(),
            moving: false.into(),
        }))
    }

    #[inline(always)]
    fn get(&self) -> usize {
        // Relaxed: a guess.
        self.0.position.load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn set(&self, position: usize) {
        // Relaxed: a guess.
        self.0.position.store(position, Ordering::Relaxed);
    }

    /// Remembers a claim, which ends at `position`.
    #[inline(always)]
    fn claimed(&self, position: usize) {
        self.set(position);
        // Relaxed: only about when to pause.
        self.0.moving.store(true, Ordering::Relaxed);
    }

    /// Returns whether something was claimed since the last call.
    #[inline]
    fn stop(&self) -> bool {
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
struct Backoff {
    pauses: u32,
}

impl Backoff {
    const FIRST: u32 = 32;
    const LONGEST: u32 = 128;

    fn new() -> Self {
        Self { pauses: 0 }
    }

    #[cold]
    fn wait(&mut self) {
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

/// How many consumers a ring has: how they move its head.
pub(crate) trait Consumers {
    /// Whether the head moves past values before they are taken, so that they are this consumer's alone.
    const CLAIM: bool;

    /// Moves the head from `from` to `to`. Returns false if another consumer has moved it.
    fn advance(head: &AtomicUsize, from: usize, to: usize) -> bool;
}

/// One consumer: nobody else moves the head.
pub(crate) struct One;

impl Consumers for One {
    // They are its own anyway, and what is not claimed stays in the ring if the caller panics.
    const CLAIM: bool = false;

    #[inline(always)]
    fn advance(head: &AtomicUsize, _: usize, to: usize) -> bool {
        // Release: pairs with "mpsc: push sees head"; the values have been read.
        head.store(to, release!("mpsc: pop frees"));
        true
    }
}

/// Any number of consumers: they compete for the head.
pub(crate) struct Many;

impl Consumers for Many {
    const CLAIM: bool = true;

    #[inline(always)]
    fn advance(head: &AtomicUsize, from: usize, to: usize) -> bool {
        // Relaxed: positions only choose a slot; its marks carry the happens-before.
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
pub(crate) fn new<T, C: Consumers>(
    capacity: usize,
    start: usize,
) -> (Arc<Ring<T>>, [Arc<Side<T>>; 2], Hint) {
    fence::prepare();
    let position = start.wrapping_mul(STEP);
    let slots = Slots::new(capacity, MAX_CAPACITY);
    let marks = || Marks::new(slots.len(), start, |index| index.wrapping_mul(STEP));
    let (filled, freed) = (marks(), C::CLAIM.then(marks));
    let ring = Arc::new(Ring {
        tail: CachePadded::new(Tail {
            position: AtomicUsize::new(position),
            head_seen: AtomicUsize::new(position),
        }),
        head: CachePadded::new(AtomicUsize::new(position)),
        room: capacity * STEP,
        lap: slots.len() * STEP,
        closing: AtomicUsize::new(0),
        slots,
        filled,
        freed,
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
    (ring, sides, Hint::new(position))
}

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
    fn filled(&self, position: usize) -> usize {
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
    fn fill_to(&self, position: usize, end: usize, holds: usize) {
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
    fn abort_leaked(&self) {
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
    fn tell_freed(&self) {
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
    fn run_at<C: Consumers>(&self, position: usize) -> Option<(usize, usize)> {
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

    /// Lets the other side get ahead of a thread that has caught up with it, if it goes on: pauses until the slot that is far
    /// ahead is ready too, but not for long. Returns whether it is worth to look again.
    #[cold]
    fn fall_back(&self, is_ready: impl Fn(usize) -> bool) -> bool {
        let ahead = FAR.min(self.capacity() / 4);
        if ahead == 0 {
            return false;
        }
        hint::spin_loop();
        if !is_ready(0) {
            return false;
        }
        for pauses in PAUSES {
            for _ in 0..pauses {
                hint::spin_loop();
            }
            if is_ready(ahead) {
                break;
            }
        }
        true
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
        // Relaxed: whoever sees the closed bit sees this too, by the release below.
        self.closing.store(1, Ordering::Relaxed);
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

    pub(crate) fn slots(&self) -> &Slots<T> {
        &self.slots
    }
}

/// Returns whether position `a` comes before `b`.
#[inline(always)]
fn is_before(a: usize, b: usize) -> bool {
    (b.wrapping_sub(a) as isize) > 0
}

/// Returns how many marks from that of `position` on are as they should be, no more than `most`.
#[inline(always)]
fn count_from(
    marks: &Marks,
    mut position: usize,
    most: usize,
    is_right: impl Fn(&AtomicUsize, usize) -> bool,
) -> usize {
    // The first for itself: often nobody asks for more.
    if most == 0 || !is_right(marks.of(position / STEP), position) {
        return 0;
    }
    let mut count = 1;
    if most > 1 {
        // One loop in the other: flattened, they are slower.
        for run in marks.runs(position / STEP + 1, most - 1) {
            for mark in run {
                position = position.wrapping_add(STEP);
                if !is_right(mark, position) {
                    return count;
                }
                count += 1;
            }
        }
    }
    count
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

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let ring = &*self;
        // Relaxed: all handles are gone, and with the last reference came everything they did.
        let head = ring.head.load(Ordering::Relaxed);
        let positions = (0..ring.len()).map(|offset| head.wrapping_add(offset * STEP));
        let mut full_to = head;
        let full = positions.filter(|&position| {
            if let Some((end, FULL)) = ring.run_at::<One>(position) {
                full_to = end;
            }
            is_before(position, full_to)
        });
        // SAFETY: no claim is under way, so the slots from head to tail that a mark calls full are the ones that hold values;
        // they are no more than a lap.
        unsafe {
            ring.slots.drop_values(full.map(|position| position / STEP));
        }
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::{Hint, Many, STEP, new};
    use crate::error::{TryPopError, TryPushError};

    /// As of a handle that slept while positions came half round, which with 32 bits is a matter of seconds.
    fn hint_before(position: usize) -> Hint {
        Hint::new(position.wrapping_sub(usize::MAX / 2 + 1))
    }

    #[test]
    fn a_hint_may_be_half_round_old() {
        for capacity in [2, 3] {
            let (ring, _sides, _) = new::<_, Many>(capacity, 5);
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
