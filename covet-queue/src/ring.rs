//! The ring with marks for each slot, which [`mpmc`](crate::mpmc) and [`mpsc`](crate::mpsc) share. Producers are in `push.rs`,
//! consumers in `pop.rs`.
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

mod hint;
mod pop;
mod push;

use core::hint::spin_loop;
use core::sync::atomic::Ordering;

use crossbeam_utils::CachePadded;

pub(crate) use self::hint::Hint;
use crate::slots::{Marks, Slots};
use crate::sync::{Arc, AtomicUsize, fence, release};
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

    /// Lets the other side get ahead of a thread that has caught up with it, if it goes on: pauses until the slot that is far
    /// ahead is ready too, but not for long. Returns whether it is worth to look again.
    #[cold]
    fn fall_back(&self, is_ready: impl Fn(usize) -> bool) -> bool {
        let ahead = FAR.min(self.capacity() / 4);
        if ahead == 0 {
            return false;
        }
        spin_loop();
        if !is_ready(0) {
            return false;
        }
        for pauses in PAUSES {
            for _ in 0..pauses {
                spin_loop();
            }
            if is_ready(ahead) {
                break;
            }
        }
        true
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
