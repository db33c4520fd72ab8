//! Batches and claims: the same tests for all rings, and each against a `VecDeque`.

use std::collections::VecDeque;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use covet_queue::{PopError, TryClaimError, TryPopError};
use proptest::prelude::*;

/// One call on a ring; numbers are lengths of batches.
#[derive(Clone, Copy, Debug)]
enum Call {
    Push,
    PushBatch(usize),
    PushBatchOfUnknownLength(usize),
    PushBatchThatPanicsAfter(usize),
    Fill { claim: usize, fill: usize },
    Commit { claim: usize, commit: usize },
    Abort(usize),
    Leak(usize),
    Pop,
    PopBatch(usize),
    PopBatchThatPanicsAt(usize),
    Close,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        4 => Just(Call::Push),
        6 => (0..7_usize).prop_map(Call::PushBatch),
        3 => (0..7_usize).prop_map(Call::PushBatchOfUnknownLength),
        2 => (0..7_usize).prop_map(Call::PushBatchThatPanicsAfter),
        3 => (0..7_usize, 0..7_usize).prop_map(|(claim, fill)| Call::Fill { claim, fill }),
        3 => (0..7_usize, 0..7_usize).prop_map(|(claim, commit)| Call::Commit { claim, commit }),
        2 => (0..7_usize).prop_map(Call::Abort),
        4 => Just(Call::Pop),
        8 => (0..9_usize).prop_map(Call::PopBatch),
        2 => (0..4_usize).prop_map(Call::PopBatchThatPanicsAt),
        1 => Just(Call::Close),
    ];
    // A leak blocks a ring with many producers, so at most one, and nothing after it but the end.
    (
        prop::collection::vec(call, 0..100),
        prop::option::of(0..4_usize),
    )
        .prop_map(|(mut calls, leak)| {
            calls.extend(leak.map(Call::Leak));
            calls
        })
}

fn starts() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(0),
        any::<usize>(),
        (0..300_usize).prop_map(|n| usize::MAX - n),
        (0..300_usize).prop_map(|n| usize::MAX / 4 - n),
    ]
}

fn capacities() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(2), Just(3), Just(8), Just(1000)]
}

/// Values of different sizes that can be told apart, as far as their size allows.
trait Item: Clone + PartialEq + std::fmt::Debug {
    fn new(number: usize) -> Self;

    /// Whether every other copy is gone.
    fn is_alone(&self) -> bool {
        true
    }
}

impl Item for () {
    fn new(_: usize) {}
}

/// Says by its count of references whether one was lost or doubled.
#[derive(Clone, Debug, PartialEq)]
struct Wide([usize; 24], Arc<usize>);

impl Item for Wide {
    fn new(number: usize) -> Self {
        assert_eq!(size_of::<Self>(), 200);
        Self([number; 24], Arc::new(number))
    }

    fn is_alone(&self) -> bool {
        Arc::strong_count(&self.1) == 1
    }
}

macro_rules! for_each_ring {
    ($($ring:ident: claims $spent:expr, panics $kept:expr;)*) => {$(
        // Some handles are changed by their methods, others are not.
        #[allow(unused_mut)]
        mod $ring {
            use super::*;
            use covet_queue::$ring::{bounded, bounded_from};

            fn behaves_like_a_deque<T: Item>(capacity: usize, start: usize, calls: &[Call]) {
                let (mut producer, mut consumer) = bounded_from::<T>(capacity, start);
                // `None` is a slot that was given up and is still in the ring.
                let mut deque = VecDeque::<Option<T>>::new();
                let mut all = Vec::new();
                let mut closed = false;
                let mut made = 0;
                for &call in calls {
                    let mut item = || {
                        made += 1;
                        let item = T::new(made);
                        all.push(item.clone());
                        item
                    };
                    let room = capacity - deque.len();
                    let refused = if closed { TryClaimError::Closed } else { TryClaimError::Full };
                    let claimed = if closed { 0 } else { room };
                    match call {
                        Call::Push => {
                            let item = item();
                            if producer.try_push(item.clone()).is_ok() {
                                deque.push_back(Some(item));
                            }
                        }
                        Call::PushBatch(len) => {
                            let items: Vec<T> = (0..len).map(|_| item()).collect();
                            let mut values = items.iter().cloned();
                            let result = producer.try_push_batch(&mut values);
                            let count = len.min(claimed);
                            assert_eq!(result, if count == 0 && len > 0 { Err(refused) } else { Ok(count) });
                            assert_eq!(values.len(), len - count);
                            deque.extend(items.into_iter().take(count).map(Some));
                        }
                        Call::PushBatchOfUnknownLength(len) => {
                            let items: Vec<T> = (0..len).map(|_| item()).collect();
                            let mut rest = items.iter().cloned();
                            let mut values = std::iter::from_fn(|| rest.next());
                            let _ = producer.try_push_batch(&mut values);
                            let count = len.min(claimed);
                            assert_eq!(rest.len(), len - count);
                            deque.extend(items.into_iter().take(count).map(Some));
                            // It asked for one slot more than it had values, to see that there are none.
                            if $spent && count < claimed {
                                deque.push_back(None);
                            }
                        }
                        Call::PushBatchThatPanicsAfter(len) => {
                            let items: Vec<T> = (0..len).map(|_| item()).collect();
                            let mut rest = items.iter().cloned();
                            let mut values = std::iter::from_fn(|| Some(rest.next().expect("no more")));
                            let result = catch_unwind(AssertUnwindSafe(|| producer.try_push_batch(&mut values)));
                            let count = len.min(claimed);
                            assert_eq!(result.is_err(), count < claimed);
                            deque.extend(items.into_iter().take(count).map(Some));
                            if $spent && count < claimed {
                                deque.push_back(None);
                            }
                        }
                        Call::Fill { claim, fill } => {
                            let len = claim.min(claimed);
                            match producer.try_claim(claim) {
                                Ok(place) => {
                                    assert_eq!(place.len(), len);
                                    assert_eq!(place.is_empty(), claim == 0);
                                    let items: Vec<T> = (0..fill).map(|_| item()).collect();
                                    assert_eq!(place.fill(items.clone()), fill.min(len));
                                    deque.extend(items.into_iter().take(len).map(Some));
                                    if $spent {
                                        deque.extend((fill..len).map(|_| None));
                                    }
                                }
                                Err(error) => assert_eq!((error, len), (refused, 0)),
                            }
                        }
                        Call::Commit { claim, commit } => {
                            let Ok(mut place) = producer.try_claim(claim) else { continue };
                            let len = place.len();
                            let commit = commit.min(len);
                            let (first, second) = place.as_mut_slices();
                            assert_eq!(first.len() + second.len(), len);
                            for slot in first.iter_mut().chain(second).take(commit) {
                                let item = item();
                                slot.write(item.clone());
                                deque.push_back(Some(item));
                            }
                            // SAFETY: so many have just been written.
                            unsafe { place.commit(commit) };
                            if $spent {
                                deque.extend((commit..len).map(|_| None));
                            }
                        }
                        Call::Abort(claim) => {
                            if let Ok(place) = producer.try_claim(claim)
                                && $spent
                            {
                                deque.extend((0..place.len()).map(|_| None));
                            }
                        }
                        Call::Leak(claim) => {
                            // With many producers this ends all pops of what is behind, until the producer is gone.
                            if let Ok(place) = producer.try_claim(claim) {
                                mem::forget(place);
                            }
                            let item = item();
                            if producer.try_push(item.clone()).is_ok() {
                                deque.push_back(Some(item));
                            } else {
                                drop(item);
                            }
                            drop(producer);
                            for item in deque.iter().flatten() {
                                assert_eq!(consumer.pop().as_ref(), Ok(item));
                            }
                            assert_eq!(consumer.pop(), Err(PopError));
                            drop(consumer);
                            drop(deque);
                            return assert_single(&all);
                        }
                        Call::Pop => {
                            let expected = next(&mut deque);
                            match consumer.try_pop() {
                                Ok(item) => assert_eq!(Some(item), expected),
                                Err(error) => assert_eq!((error, expected), (nothing(closed), None)),
                            }
                        }
                        Call::PopBatch(most) => {
                            let mut popped = Vec::new();
                            let result = consumer.try_pop_batch(most, |item| popped.push(item));
                            match result {
                                Ok(count) => {
                                    assert_eq!(popped.len(), count);
                                    assert!(count > 0 || most == 0);
                                }
                                Err(error) => assert_eq!((error, popped.len()), (nothing(closed), 0)),
                            }
                            for item in popped {
                                assert_eq!(Some(item), next(&mut deque));
                            }
                            if result.is_err() {
                                assert_eq!(next(&mut deque), None);
                            }
                            // A batch ends at a slot that was given up, but not before.
                            if result.is_ok_and(|count| count < most) {
                                assert!(deque.front().is_none_or(Option::is_none));
                            }
                        }
                        Call::PopBatchThatPanicsAt(at) => {
                            let mut popped = 0;
                            let most = 3;
                            let result = catch_unwind(AssertUnwindSafe(|| {
                                consumer.try_pop_batch(most, |_| {
                                    assert!(popped < at, "enough");
                                    popped += 1;
                                })
                            }));
                            let gone = match result {
                                Ok(Ok(count)) => count,
                                Ok(Err(_)) => 0,
                                // Those that the claim had taken over are dropped.
                                Err(_) if !$kept => end_of_claim(&deque, at, most),
                                Err(_) => at + 1,
                            };
                            for _ in 0..gone {
                                assert!(next(&mut deque).is_some());
                            }
                            if gone == 0 {
                                assert_eq!(next(&mut deque), None);
                            }
                        }
                        Call::Close => {
                            consumer.close();
                            closed = true;
                        }
                    }
                    // What a consumer steps over on the way is gone only when it has.
                    while $spent && consumer.len() < deque.len() && deque.front() == Some(&None) {
                        deque.pop_front();
                    }
                    assert_eq!(consumer.len(), deque.len(), "after {call:?}");
                }
                drop((producer, consumer, deque));
                assert_single(&all);
            }

            /// Takes the oldest item, and what was given up before it.
            fn next<T>(deque: &mut VecDeque<Option<T>>) -> Option<T> {
                while let Some(slot) = deque.pop_front() {
                    if slot.is_some() {
                        return slot;
                    }
                }
                None
            }

            fn nothing(closed: bool) -> TryPopError {
                if closed { TryPopError::Closed } else { TryPopError::Empty }
            }

            proptest! {
                #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]
                #[test]
                fn batches_behave_like_a_deque(capacity in capacities(), start in starts(), calls in calls()) {
                    behaves_like_a_deque::<()>(capacity, start, &calls);
                    behaves_like_a_deque::<Wide>(capacity, start, &calls);
                }
            }

            #[test]
            fn a_batch_longer_than_the_ring_goes_through_it() {
                let (mut producer, mut consumer) = bounded(3);
                let pushing = thread::spawn(move || producer.push_batch(0..1000).map_err(|error| error.pushed));
                let mut popped = Vec::new();
                while consumer.pop_into(&mut popped, usize::MAX).is_ok() {}
                assert_eq!(pushing.join().unwrap(), Ok(1000));
                assert!(popped.into_iter().eq(0..1000));
            }

            #[test]
            fn a_batch_that_is_cut_short_by_closing_gives_the_rest_back() {
                let (mut producer, mut consumer) = bounded(2);
                let pushing = thread::spawn(move || producer.push_batch(0..10).unwrap_err());
                assert_eq!(consumer.pop(), Ok(0));
                consumer.close();
                let mut popped = 1;
                while let Ok(value) = consumer.pop() {
                    assert_eq!(value, popped);
                    popped += 1;
                }
                let error = pushing.join().unwrap();
                assert_eq!(error.pushed, popped);
                assert!(error.rest.eq(popped..10));
            }

            #[test]
            fn a_claim_made_before_closing_can_be_committed() {
                let (mut producer, mut consumer) = bounded(4);
                let claim = producer.try_claim(2).unwrap();
                consumer.close();
                assert_eq!(consumer.try_pop(), Err(TryPopError::Empty));
                assert_eq!(claim.fill([1, 2]), 2);
                assert_eq!(producer.try_claim(1).err(), Some(TryClaimError::Closed));
                assert_eq!((consumer.pop(), consumer.pop()), (Ok(1), Ok(2)));
                assert_eq!(consumer.pop(), Err(PopError));
            }

            #[test]
            #[should_panic(expected = "commit of 3 slots, claimed 2")]
            fn more_than_was_claimed_cannot_be_committed() {
                let (mut producer, _consumer) = bounded::<u8>(2);
                let claim = producer.try_claim(9).unwrap();
                // SAFETY: panics before anything is published.
                unsafe { claim.commit(3) };
            }
        }
    )*};
}

/// Returns how many items are taken when the claim ends that takes the item after `at` others.
fn end_of_claim<T>(deque: &VecDeque<Option<T>>, at: usize, most: usize) -> usize {
    let mut taken = 0;
    for slot in deque {
        if taken == most || (slot.is_none() && taken > at) {
            break;
        }
        taken += usize::from(slot.is_some());
    }
    taken
}

fn assert_single<T: Item>(all: &[T]) {
    assert!(all.iter().all(T::is_alone), "an item was lost or doubled");
}

const CASES: u32 = if cfg!(miri) { 5 } else { 100 };

for_each_ring! {
    spsc: claims false, panics true;
    mpsc: claims true, panics true;
    mpmc: claims true, panics false;
}
