//! Writing in place: slots that belong to one producer until it commits them or lets them go.

use core::fmt;
use core::mem::MaybeUninit;

use crate::ring::Ring;
use crate::slots::Slot;
use crate::spsc;

/// Free slots at the tail of a ring, to be written in place and then committed together.
///
/// Made by `try_claim` and `claim` of a producer. No consumer sees anything of it before [`commit`](Self::commit) or
/// [`fill`](Self::fill); dropping it aborts. A claim made before the ring was closed can still be committed afterwards: it
/// counts as a push that was under way.
///
/// With one producer an aborted claim leaves no trace. With many, the positions are spent: they are published as marks that
/// consumers step over, and take room until then. Pops behind a claim wait for it, so commit soon. A claim that is leaked
/// ([`mem::forget`](core::mem::forget)) stays open, which is safe and loses nothing: with one producer the slots are simply claimed again, with
/// many they block the pops behind them until the last producer is dropped.
///
/// # Examples
///
/// ```
/// let (mut producer, mut consumer) = covet_queue::spsc::bounded(8);
/// let claim = producer.try_claim(3)?;
/// assert_eq!(claim.fill([1, 2, 3]), 3);
/// assert_eq!(consumer.pop(), Ok(1));
///
/// let mut claim = producer.try_claim(2)?;
/// let (first, second) = claim.as_mut_slices();
/// for slot in first.iter_mut().chain(second).take(1) {
///     slot.write(4);
/// }
/// // SAFETY: the first slot has just been written.
/// unsafe { claim.commit(1) };
/// assert_eq!(consumer.len(), 3);
/// # Ok::<(), covet_queue::TryClaimError>(())
/// ```
#[must_use = "a claim that is dropped aborts"]
pub struct Claim<'a, T> {
    of: Of<'a, T>,
    runs: [&'a [Slot<T>]; 2],
    /// The index of the first slot.
    start: usize,
    /// How many slots, from the first on, are published when the claim ends.
    ready: usize,
}

enum Of<'a, T> {
    One(&'a spsc::Producer<T>),
    Many(&'a Ring<T>),
}

impl<'a, T> Claim<'a, T> {
    pub(crate) fn of_one(
        producer: &'a spsc::Producer<T>,
        start: usize,
        runs: [&'a [Slot<T>]; 2],
    ) -> Self {
        Self {
            of: Of::One(producer),
            runs,
            start,
            ready: 0,
        }
    }

    pub(crate) fn of_many(ring: &'a Ring<T>, start: usize, runs: [&'a [Slot<T>]; 2]) -> Self {
        Self {
            of: Of::Many(ring),
            runs,
            start,
            ready: 0,
        }
    }

    /// Returns how many slots are claimed.
    pub fn len(&self) -> usize {
        self.runs[0].len() + self.runs[1].len()
    }

    /// Returns whether no slot is claimed, as happens only when none was asked for.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lends the slots in order: those up to the end of the ring's memory, then those from its start, which may be none.
    ///
    /// Values written here and not committed are forgotten, not dropped.
    pub fn as_mut_slices(&mut self) -> (&mut [MaybeUninit<T>], &mut [MaybeUninit<T>]) {
        let [first, second] = self.runs;
        // SAFETY: from claim to publication the slots are this claim's alone, `self` is borrowed as long as the slices
        // live, and the runs share no slot.
        unsafe { (Slot::slice(first), Slot::slice(second)) }
    }

    /// Publishes the first `count` slots, and aborts the rest. Costs a store, or with many consumers one for each slot.
    ///
    /// # Safety
    ///
    /// The first `count` slots have been written.
    ///
    /// # Panics
    ///
    /// If `count` is more than [`len`](Self::len); the claim is then aborted.
    pub unsafe fn commit(mut self, count: usize) {
        let len = self.len();
        assert!(count <= len, "commit of {count} slots, claimed {len}");
        self.ready = count;
    }

    /// Moves values from an iterator into the slots, commits those, and returns how many that were.
    ///
    /// Takes no more from the iterator than there are slots. If the iterator panics, what it gave before is committed.
    pub fn fill(mut self, values: impl IntoIterator<Item = T>) -> usize {
        let mut values = values.into_iter();
        'runs: for run in self.runs {
            for slot in run {
                let Some(value) = values.next() else {
                    break 'runs;
                };
                // SAFETY: from claim to publication the slots are this claim's alone, and this one was not written before.
                unsafe { slot.write(value) };
                self.ready += 1;
            }
        }
        self.ready
    }

    /// Writes one slot and commits nothing, as the slices allow; models have no slices.
    #[doc(hidden)]
    pub fn scribble(&mut self, number: usize, value: T) {
        let slot = self.runs[0].iter().chain(self.runs[1]).nth(number);
        // SAFETY: from claim to publication the slots are this claim's alone. A value written before is forgotten.
        unsafe { slot.expect("a claimed slot").write(value) };
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        match self.of {
            Of::One(producer) => producer.publish(self.ready),
            Of::Many(ring) => ring.publish(self.start, self.ready, self.len()),
        }
    }
}

impl<T> fmt::Debug for Claim<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
