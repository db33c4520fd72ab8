//! Models: every interleaving (up to a bound on preemptions) of a few threads, under the C11 memory model.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p covet-queue --test loom`.
//!
//! A model that passes may still be blind: loom skips schedules that it thinks equal to others, and a model of the wrong
//! shape ends after a single one. Three habits guard against that. Every role is a thread of its own and the main thread
//! only joins. Every model counts its schedules and fails below a written minimum. And `every_weakening_is_rejected` takes
//! the orderings, fences and steps away one at a time, and fails unless some model notices.
#![cfg(loom)]

use std::env;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering::Relaxed};
use std::time::Instant;

use covet_queue::{EventCount, TryClaimError, TryPopError, TryPushError, mpmc, mpsc, spsc, weaken};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize;
use loom::thread::{self, JoinHandle};

struct Model {
    name: &'static str,
    run: fn(),
    /// The most preemptions in one schedule.
    preemptions: usize,
    /// Fewer schedules than this mean that the model has gone blind.
    at_least: usize,
}

impl Model {
    fn explore(&self) -> usize {
        let schedules = Arc::new(Counter::new(0));
        let counter = Arc::clone(&schedules);
        let run = self.run;
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions);
        builder.max_branches = 10_000;
        builder.check(move || {
            counter.fetch_add(1, Relaxed);
            run();
        });
        schedules.load(Relaxed)
    }

    fn check(&self) {
        if let Ok(name) = env::var(WEAKEN) {
            weaken::set(Some(name.leak()));
            self.explore();
            return;
        }
        let schedules = self.explore();
        println!(
            "{}: {schedules} schedules, at most {} preemptions",
            self.name, self.preemptions
        );
        assert!(
            schedules >= self.at_least,
            "{} explored {schedules} schedules, expected at least {}",
            self.name,
            self.at_least
        );
        for met in weaken::met() {
            let listed = WEAKENINGS.iter().any(|(name, _)| *name == met);
            assert!(
                listed || HIDDEN_BY_THE_FENCE.contains(&met),
                "no weakening is tried for {met:?}"
            );
        }
    }
}

/// Declares each model as a test, and all of them as a table.
macro_rules! models {
    ($($name:ident, $preemptions:literal preemptions, at least $at_least:literal: $run:expr;)*) => {
        $(
            #[test]
            fn $name() {
                model(stringify!($name)).check();
            }
        )*

        const MODELS: &[Model] = &[$(Model {
            name: stringify!($name),
            run: $run,
            preemptions: $preemptions,
            at_least: $at_least,
        }),*];
    };
}

fn model(name: &str) -> &'static Model {
    MODELS
        .iter()
        .find(|model| model.name == name)
        .unwrap_or_else(|| panic!("no model is named {name}"))
}

models! {
    spsc_fifo, 3 preemptions, at least 8_000: || spsc_in_order(spsc::bounded(2), 4);
    spsc_wrap, 3 preemptions, at least 8_000: || spsc_in_order(spsc::bounded_from(2, usize::MAX - 1), 4);
    spsc_blocking, 2 preemptions, at least 10_000: spsc_blocks_and_goes_on;
    spsc_batch, 3 preemptions, at least 500: || spsc_in_order_by_batch(spsc::bounded_from(2, usize::MAX - 1));
    spsc_claim_aborted, 3 preemptions, at least 500: spsc_an_aborted_claim_leaves_no_trace;
    spsc_claim_against_close, 5 preemptions, at least 500: spsc_a_claim_under_way_counts;
    spsc_producer_closes, 5 preemptions, at least 1_000: spsc_drains_after_producer_closed;
    spsc_consumer_closes, 5 preemptions, at least 6_000: spsc_agrees_on_the_end;
    spsc_consumer_drops, 5 preemptions, at least 200: spsc_push_is_told_after_consumer_dropped;
    mpmc_1p1c, 3 preemptions, at least 10_000: || mpmc_in_order(mpmc::bounded(2), 4);
    mpmc_wrap, 3 preemptions, at least 4_000: || mpmc_in_order(mpmc::bounded_from(2, usize::MAX - 1), 4);
    mpmc_exact_capacity, 3 preemptions, at least 20_000: || mpmc_in_order(mpmc::bounded_from(3, usize::MAX - 1), 5);
    mpmc_2p1c, 2 preemptions, at least 5_000: mpmc_two_producers;
    mpmc_2p1c_twice, 2 preemptions, at least 5_000: mpmc_two_producers_twice;
    mpmc_1p2c, 2 preemptions, at least 5_000: mpmc_two_consumers;
    mpmc_2p2c, 2 preemptions, at least 40_000: mpmc_two_of_each;
    mpmc_batch, 3 preemptions, at least 500: || mpmc_in_order_by_batch(usize::MAX - 1);
    mpmc_batches, 1 preemptions, at least 1_000: mpmc_two_batches_do_not_mix;
    mpmc_claim_aborted, 3 preemptions, at least 500: mpmc_an_aborted_claim_is_stepped_over;
    mpmc_skip_is_freed, 2 preemptions, at least 5_000: mpmc_a_slot_that_was_given_up_is_written_again;
    mpmc_claim_against_close, 3 preemptions, at least 500: mpmc_a_claim_under_way_counts;
    mpmc_claim_leaked, 3 preemptions, at least 100: mpmc_a_leaked_claim_ends_with_its_producer;
    mpmc_blocking_batch, 1 preemptions, at least 1_000: mpmc_a_batch_wakes_every_pop;
    mpmc_blocking_abort, 3 preemptions, at least 500: mpmc_an_abort_uncovers_what_is_behind;
    mpsc_fifo, 3 preemptions, at least 1_000: || mpsc_in_order(mpsc::bounded_from(2, usize::MAX - 1), 4);
    mpsc_2p1c, 2 preemptions, at least 1_000: mpsc_two_producers;
    mpmc_close_against_push, 3 preemptions, at least 50_000: mpmc_loses_nothing_when_closed;
    mpmc_closed_push, 5 preemptions, at least 2_000: mpmc_closed_push_shows_what_was_before;
    mpmc_closed_pop, 5 preemptions, at least 700: mpmc_closed_pop_shows_what_was_before;
    mpmc_blocking_pop, 1 preemptions, at least 100_000: mpmc_wakes_every_pop;
    mpmc_blocking_push, 1 preemptions, at least 30_000: mpmc_wakes_every_push;
    mpmc_blocking_close, 1 preemptions, at least 30_000: mpmc_tells_every_blocked_pop_that_it_is_closed;
    drops, 3 preemptions, at least 1_000: what_is_left_is_dropped_once;
    event_count_ping_pong, 5 preemptions, at least 10_000: event_counts_hand_a_turn_back_and_forth;
    event_count_notify_one, 3 preemptions, at least 40_000: every_ticket_finds_its_waiter;
    event_count_timeout, 3 preemptions, at least 20_000: a_waiter_that_gives_up_passes_on;
}

fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Runs `step` until it says that it is done, letting others run in between.
fn until(mut step: impl FnMut() -> bool) {
    while !step() {
        thread::yield_now();
    }
}

/// A value that orders nothing by itself: loom fails unless something else puts the write before the read. Loom's threads
/// take turns on one, so `Rc` can share it.
struct Plain(UnsafeCell<bool>);

impl Plain {
    fn new() -> Rc<Self> {
        Rc::new(Self(UnsafeCell::new(false)))
    }

    fn write(&self) {
        // SAFETY: the pointer comes from a live cell; loom fails on a concurrent access.
        self.0.with_mut(|written| unsafe { *written = true });
    }

    fn assert_written(&self) {
        // SAFETY: as in `write`.
        self.0.with(|written| assert!(unsafe { *written }));
    }
}

fn spsc_in_order(ends: (spsc::Producer<usize>, spsc::Consumer<usize>), count: usize) {
    let (mut producer, mut consumer) = ends;
    join_all([
        thread::spawn(move || {
            for value in 0..count {
                until(|| producer.try_push(value).is_ok());
            }
        }),
        thread::spawn(move || {
            for value in 0..count {
                until(|| match consumer.try_pop() {
                    Ok(popped) => {
                        assert_eq!(popped, value);
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, TryPopError::Empty);
                        false
                    }
                });
            }
        }),
    ]);
}

fn spsc_blocks_and_goes_on() {
    let (mut producer, mut consumer) = spsc::bounded(1);
    join_all([
        thread::spawn(move || {
            for value in 0..3 {
                producer.push(value).unwrap();
            }
        }),
        thread::spawn(move || {
            for value in 0..3 {
                assert_eq!(consumer.pop(), Ok(value));
            }
            assert!(consumer.pop().is_err());
        }),
    ]);
}

fn spsc_drains_after_producer_closed() {
    let (mut producer, mut consumer) = spsc::bounded(2);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            producer.try_push(0).unwrap();
            producer.try_push(1).unwrap();
            before.write();
            producer.close();
            assert_eq!(producer.try_push(2), Err(TryPushError::Closed(2)));
        }),
        thread::spawn(move || {
            let mut next = 0;
            until(|| match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, next);
                    next += 1;
                    false
                }
                Err(error) => error == TryPopError::Closed,
            });
            assert_eq!(next, 2);
            after.assert_written();
        }),
    ]);
}

fn spsc_agrees_on_the_end() {
    let (mut producer, mut consumer) = spsc::bounded(4);
    let before = Plain::new();
    let after = Rc::clone(&before);
    let pushed = Arc::new(Counter::new(0));
    let popped = Arc::new(Counter::new(0));
    let (pushes, pops) = (Arc::clone(&pushed), Arc::clone(&popped));
    join_all([
        thread::spawn(move || {
            for value in 0..3 {
                match producer.try_push(value) {
                    Ok(()) => {
                        pushes.fetch_add(1, Relaxed);
                    }
                    Err(error) => {
                        assert_eq!(error, TryPushError::Closed(value));
                        after.assert_written();
                        break;
                    }
                }
            }
        }),
        thread::spawn(move || {
            let mut take = || match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, pops.fetch_add(1, Relaxed));
                    true
                }
                Err(_) => false,
            };
            take();
            before.write();
            consumer.close();
            let mut ended = false;
            until(|| {
                match consumer.try_pop() {
                    Ok(value) => assert_eq!(value, pops.fetch_add(1, Relaxed)),
                    Err(TryPopError::Closed) => ended = true,
                    Err(TryPopError::Empty) => {
                        panic!("a ring closed by its consumer is never just empty")
                    }
                }
                ended
            });
            assert_eq!(consumer.try_pop(), Err(TryPopError::Closed));
        }),
    ]);
    assert_eq!(pushed.load(Relaxed), popped.load(Relaxed));
}

fn spsc_push_is_told_after_consumer_dropped() {
    let (mut producer, mut consumer) = spsc::bounded(1);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            until(|| matches!(producer.try_push(0), Err(TryPushError::Closed(0))));
            after.assert_written();
        }),
        thread::spawn(move || {
            let _ = consumer.try_pop();
            before.write();
            drop(consumer);
        }),
    ]);
}

fn mpmc_in_order(ends: (mpmc::Producer<usize>, mpmc::Consumer<usize>), count: usize) {
    let (producer, consumer) = ends;
    join_all([
        thread::spawn(move || {
            for value in 0..count {
                until(|| producer.try_push(value).is_ok());
                assert!(producer.len() <= producer.capacity());
            }
        }),
        thread::spawn(move || {
            for value in 0..count {
                until(|| match consumer.try_pop() {
                    Ok(popped) => {
                        assert_eq!(popped, value);
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, TryPopError::Empty);
                        false
                    }
                });
            }
        }),
    ]);
}

fn spsc_in_order_by_batch(ends: (spsc::Producer<usize>, spsc::Consumer<usize>)) {
    let (mut producer, mut consumer) = ends;
    join_all([
        thread::spawn(move || {
            let mut values = 0..4;
            until(|| {
                let _ = producer.try_push_batch(&mut values);
                values.is_empty()
            });
        }),
        thread::spawn(move || {
            let mut next = 0;
            until(|| {
                let _ = consumer.try_pop_batch(2, |value| {
                    assert_eq!(value, next);
                    next += 1;
                });
                next == 4
            });
        }),
    ]);
}

fn spsc_an_aborted_claim_leaves_no_trace() {
    let (mut producer, mut consumer) = spsc::bounded(2);
    join_all([
        thread::spawn(move || {
            producer.try_push(0).unwrap();
            for value in [1, 2] {
                until(|| {
                    if let Ok(mut claim) = producer.try_claim(2) {
                        claim.scribble(0, 9);
                    }
                    producer.try_push(value).is_ok()
                });
            }
        }),
        thread::spawn(move || {
            for value in 0..3 {
                until(|| {
                    consumer.try_pop().is_ok_and(|popped| {
                        assert_eq!(popped, value);
                        true
                    })
                });
            }
        }),
    ]);
}

/// The consumer closes around a claim: it is refused, or all that it commits comes out.
fn spsc_a_claim_under_way_counts() {
    let (mut producer, mut consumer) = spsc::bounded(4);
    let pushed = Arc::new(Counter::new(0));
    let popped = Arc::new(Counter::new(0));
    let (pushes, pops) = (Arc::clone(&pushed), Arc::clone(&popped));
    join_all([
        thread::spawn(move || {
            for start in [0, 2] {
                match producer.try_claim(2) {
                    Ok(claim) => {
                        pushes.fetch_add(claim.fill(start..start + 2), Relaxed);
                    }
                    Err(error) => assert_eq!(error, TryClaimError::Closed),
                }
            }
        }),
        thread::spawn(move || {
            consumer.close();
            until(|| match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, pops.fetch_add(1, Relaxed));
                    false
                }
                Err(error) => error == TryPopError::Closed,
            });
            assert_eq!(consumer.try_pop(), Err(TryPopError::Closed));
        }),
    ]);
    assert_eq!(pushed.load(Relaxed), popped.load(Relaxed));
}

fn mpmc_in_order_by_batch(start: usize) {
    let (producer, consumer) = mpmc::bounded_from(2, start);
    join_all([
        thread::spawn(move || {
            let mut values = 0..4;
            until(|| {
                let _ = producer.try_push_batch(&mut values);
                values.is_empty()
            });
        }),
        thread::spawn(move || {
            let mut next = 0;
            until(|| {
                let _ = consumer.try_pop_batch(2, |value| {
                    assert_eq!(value, next);
                    next += 1;
                });
                next == 4
            });
        }),
    ]);
}

/// Each batch was claimed at once, so its values leave next to each other.
fn mpmc_two_batches_do_not_mix() {
    let (producer, consumer) = mpmc::bounded(4);
    let other = producer.clone();
    join_all([
        thread::spawn(move || assert_eq!(producer.try_push_batch(&mut [1, 2].into_iter()), Ok(2))),
        thread::spawn(move || assert_eq!(other.try_push_batch(&mut [3, 4].into_iter()), Ok(2))),
        thread::spawn(move || {
            let mut popped = Vec::new();
            until(|| {
                let _ = consumer.try_pop_batch(3, |value| popped.push(value));
                popped.len() == 4
            });
            assert!(
                popped == [1, 2, 3, 4] || popped == [3, 4, 1, 2],
                "{popped:?}"
            );
        }),
    ]);
}

fn mpmc_an_aborted_claim_is_stepped_over() {
    let (producer, consumer) = mpmc::bounded(2);
    join_all([
        thread::spawn(move || {
            for value in [0, 1] {
                until(|| {
                    producer.try_claim(2).is_ok_and(|mut claim| {
                        // The last slot is written and given up, if there is more than one.
                        let last = claim.len() - 1;
                        claim.scribble(last, 9);
                        claim.fill([value]) == 1
                    })
                });
            }
        }),
        thread::spawn(move || {
            for value in [0, 1] {
                until(|| {
                    consumer.try_pop().is_ok_and(|popped| {
                        assert_eq!(popped, value);
                        true
                    })
                });
            }
        }),
    ]);
}

/// One producer writes to a slot and gives it up, another writes to it a lap later.
fn mpmc_a_slot_that_was_given_up_is_written_again() {
    let (producer, consumer) = mpmc::bounded(1);
    let other = producer.clone();
    join_all([
        thread::spawn(move || {
            if let Ok(mut claim) = other.try_claim(1) {
                claim.scribble(0, 9);
            }
        }),
        // Bounded: two threads that wait for a third would keep each other busy for ever.
        thread::spawn(move || {
            let _ = producer.try_push(1).or_else(|_| {
                thread::yield_now();
                producer.try_push(1)
            });
        }),
        thread::spawn(move || {
            for _ in 0..2 {
                let _ = consumer.try_pop();
                thread::yield_now();
            }
        }),
    ]);
}

fn mpmc_a_claim_under_way_counts() {
    let (producer, consumer) = mpmc::bounded(4);
    let pushed = Arc::new(Counter::new(0));
    let popped = Arc::new(Counter::new(0));
    let (pushes, pops) = (Arc::clone(&pushed), Arc::clone(&popped));
    join_all([
        thread::spawn(move || {
            // The first slot is committed and the second given up.
            if let Ok(claim) = producer.try_claim(2) {
                pushes.fetch_add(claim.fill([0]), Relaxed);
            }
            pushes.fetch_add(producer.try_push(1).is_ok().into(), Relaxed);
        }),
        thread::spawn(move || {
            consumer.close();
            until(|| match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, pops.fetch_add(1, Relaxed));
                    false
                }
                Err(error) => error == TryPopError::Closed,
            });
        }),
    ]);
    assert_eq!(pushed.load(Relaxed), popped.load(Relaxed));
}

fn mpmc_a_leaked_claim_ends_with_its_producer() {
    let (producer, consumer) = mpmc::bounded(2);
    join_all([
        thread::spawn(move || {
            std::mem::forget(producer.try_claim(1).unwrap());
            producer.try_push(1).unwrap();
        }),
        thread::spawn(move || {
            until(|| consumer.try_pop() == Ok(1));
            until(|| consumer.try_pop() == Err(TryPopError::Closed));
        }),
    ]);
}

/// One notification for two values: the pop that it wakes wakes the other.
fn mpmc_a_batch_wakes_every_pop() {
    // These two live until all threads are done: dropping a last handle would close the ring and wake everyone.
    let (producer, consumer) = mpmc::bounded(2);
    let pop = |consumer: mpmc::Consumer<usize>| move || assert!(consumer.pop().is_ok());
    let pushing = producer.clone();
    join_all([
        thread::spawn(pop(consumer.clone())),
        thread::spawn(pop(consumer.clone())),
        thread::spawn(move || assert_eq!(pushing.push_batch([1, 2]).unwrap(), 2)),
    ]);
}

/// A pop waits, a value is pushed behind a claim, and the claim is aborted: nothing but that wakes the pop.
fn mpmc_an_abort_uncovers_what_is_behind() {
    let (producer, consumer) = mpmc::bounded(2);
    let (pushing, popping) = (producer.clone(), consumer.clone());
    join_all([
        thread::spawn(move || assert_eq!(popping.pop(), Ok(1))),
        thread::spawn(move || {
            let claim = pushing.try_claim(1).unwrap();
            pushing.try_push(1).unwrap();
            drop(claim);
        }),
    ]);
}

fn mpsc_in_order(ends: (mpsc::Producer<usize>, mpsc::Consumer<usize>), count: usize) {
    let (producer, mut consumer) = ends;
    join_all([
        thread::spawn(move || {
            for value in 0..count {
                until(|| producer.try_push(value).is_ok());
            }
        }),
        thread::spawn(move || {
            let mut next = 0;
            until(|| {
                let peeked = consumer.peek().ok().copied();
                let _ = consumer.try_pop_batch(2, |value| {
                    assert!(peeked.is_none_or(|peeked| peeked <= value));
                    assert_eq!(value, next);
                    next += 1;
                });
                next == count
            });
        }),
    ]);
}

fn mpsc_two_producers() {
    let (producer, mut consumer) = mpsc::bounded(2);
    let other = producer.clone();
    join_all([
        thread::spawn(move || until(|| producer.try_push(1).is_ok())),
        thread::spawn(move || until(|| other.try_push(2).is_ok())),
        thread::spawn(move || {
            let mut sum = 0;
            until(|| {
                sum += consumer.try_pop().unwrap_or(0);
                sum == 3
            });
        }),
    ]);
}

fn mpmc_two_producers_twice() {
    let (producer, consumer) = mpmc::bounded(4);
    // Lives until all threads are done: dropping the last consumer would close the ring.
    let consumer_lives_on = consumer.clone();
    let push = |producer: mpmc::Producer<usize>, values: [usize; 2]| {
        move || {
            values
                .into_iter()
                .for_each(|value| producer.try_push(value).unwrap())
        }
    };
    join_all([
        thread::spawn(push(producer.clone(), [1, 2])),
        thread::spawn(push(producer, [10, 20])),
        thread::spawn(move || {
            // Bounded: what is left is dropped with the ring.
            let mut last = [0, 0];
            for _ in 0..4 {
                if let Ok(value) = consumer.try_pop() {
                    let last = &mut last[usize::from(value >= 10)];
                    assert!(*last < value);
                    *last = value;
                }
            }
        }),
    ]);
    drop(consumer_lives_on);
}

fn mpmc_two_of_each() {
    let (producer, consumer) = mpmc::bounded(2);
    let popped = Arc::new(Counter::new(0));
    let pop = || {
        let (consumer, popped) = (consumer.clone(), Arc::clone(&popped));
        move || {
            popped.fetch_add(consumer.try_pop().unwrap_or(0), Relaxed);
        }
    };
    let push = |value| {
        let producer = producer.clone();
        move || producer.try_push(value).unwrap()
    };
    join_all([
        thread::spawn(push(1)),
        thread::spawn(push(2)),
        thread::spawn(pop()),
        thread::spawn(pop()),
    ]);
    let left: usize = std::iter::from_fn(|| consumer.try_pop().ok()).sum();
    assert_eq!(popped.load(Relaxed) + left, 3);
}

fn mpmc_two_producers() {
    let (producer, consumer) = mpmc::bounded(2);
    let other = producer.clone();
    join_all([
        thread::spawn(move || until(|| producer.try_push(1).is_ok())),
        thread::spawn(move || until(|| other.try_push(2).is_ok())),
        thread::spawn(move || {
            let mut sum = 0;
            until(|| {
                sum += consumer.try_pop().unwrap_or(0);
                sum == 3
            });
        }),
    ]);
}

fn mpmc_two_consumers() {
    let (producer, consumer) = mpmc::bounded(2);
    let popped = Arc::new(Counter::new(0));
    let consume = || {
        let (consumer, popped) = (consumer.clone(), Arc::clone(&popped));
        move || {
            // Bounded: two threads that wait for a third would keep each other busy for ever.
            for _ in 0..3 {
                match consumer.try_pop() {
                    Ok(value) => popped.fetch_add(value, Relaxed),
                    Err(error) => {
                        assert_eq!(error, TryPopError::Empty);
                        thread::yield_now();
                        continue;
                    }
                };
            }
        }
    };
    let producer_lives_on = producer.clone();
    join_all([
        thread::spawn(consume()),
        thread::spawn(consume()),
        thread::spawn(move || {
            producer.try_push(1).unwrap();
            producer.try_push(2).unwrap();
        }),
    ]);
    drop(producer_lives_on);
    let left: usize = std::iter::from_fn(|| consumer.try_pop().ok()).sum();
    assert_eq!(popped.load(Relaxed) + left, 3);
}

fn mpmc_loses_nothing_when_closed() {
    let (producer, consumer) = mpmc::bounded(2);
    let closer = producer.clone();
    let pushed = Arc::new(Counter::new(0));
    let popped = Arc::new(Counter::new(0));
    let (pushes, pops) = (Arc::clone(&pushed), Arc::clone(&popped));
    join_all([
        thread::spawn(move || {
            for value in 0..2 {
                match producer.try_push(value) {
                    Ok(()) => {
                        pushes.fetch_add(1, Relaxed);
                    }
                    Err(error) => assert_eq!(error, TryPushError::Closed(value)),
                }
            }
        }),
        thread::spawn(move || {
            closer.close();
            assert!(closer.try_push(9).is_err());
        }),
        thread::spawn(move || {
            until(|| match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, pops.fetch_add(1, Relaxed));
                    false
                }
                Err(error) => error == TryPopError::Closed,
            });
            assert_eq!(consumer.try_pop(), Err(TryPopError::Closed));
        }),
    ]);
    assert_eq!(pushed.load(Relaxed), popped.load(Relaxed));
}

fn mpmc_closed_push_shows_what_was_before() {
    let (producer, consumer) = mpmc::bounded(1);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            let _ = consumer.try_pop();
            before.write();
            consumer.close();
        }),
        thread::spawn(move || {
            until(|| matches!(producer.try_push(0), Err(TryPushError::Closed(0))));
            after.assert_written();
        }),
    ]);
}

fn mpmc_closed_pop_shows_what_was_before() {
    let (producer, consumer) = mpmc::bounded(1);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            producer.try_push(0).unwrap();
            before.write();
            producer.close();
        }),
        thread::spawn(move || {
            until(|| consumer.try_pop() == Err(TryPopError::Closed));
            after.assert_written();
        }),
    ]);
}

/// Two pops wait for one element each, and two pushes may be published in the wrong order.
fn mpmc_wakes_every_pop() {
    // These two live until all threads are done: dropping a last handle would close the ring and wake everyone.
    let (producer, consumer) = mpmc::bounded(2);
    let pop = |consumer: mpmc::Consumer<usize>| move || assert!(consumer.pop().is_ok());
    let push = |producer: mpmc::Producer<usize>| move || producer.push(1).unwrap();
    join_all([
        thread::spawn(pop(consumer.clone())),
        thread::spawn(pop(consumer.clone())),
        thread::spawn(push(producer.clone())),
        thread::spawn(push(producer.clone())),
    ]);
}

/// Two pops wait, and the ring is closed while the only push is under way: one gets the value, the other the end.
fn mpmc_tells_every_blocked_pop_that_it_is_closed() {
    let (producer, consumer) = mpmc::bounded(1);
    let ended = Arc::new(Counter::new(0));
    let pop = || {
        let (consumer, ended) = (consumer.clone(), Arc::clone(&ended));
        move || {
            if consumer.pop().is_err() {
                ended.fetch_add(1, Relaxed);
            }
        }
    };
    let pushed = Arc::new(Counter::new(0));
    // One producer lives until all threads are done: dropping the last would close the ring again.
    let (pusher, closer, pushes) = (producer.clone(), producer.clone(), Arc::clone(&pushed));
    join_all([
        thread::spawn(pop()),
        thread::spawn(pop()),
        thread::spawn(move || {
            pushes.fetch_add(pusher.try_push(1).is_ok().into(), Relaxed);
        }),
        thread::spawn(move || closer.close()),
    ]);
    assert_eq!(pushed.load(Relaxed) + ended.load(Relaxed), 2);
}

/// Two pushes wait for one slot each, and two pops may free them in the wrong order.
fn mpmc_wakes_every_push() {
    let (producer, consumer) = mpmc::bounded(2);
    producer.try_push(1).unwrap();
    producer.try_push(2).unwrap();
    let pop = |consumer: mpmc::Consumer<usize>| move || assert!(consumer.pop().is_ok());
    let push = |producer: mpmc::Producer<usize>| move || producer.push(1).unwrap();
    join_all([
        thread::spawn(push(producer.clone())),
        thread::spawn(push(producer.clone())),
        thread::spawn(pop(consumer.clone())),
        thread::spawn(pop(consumer.clone())),
    ]);
}

fn what_is_left_is_dropped_once() {
    struct Counted(Arc<Counter>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    let drops = Arc::new(Counter::new(0));
    let made = || Counted(Arc::clone(&drops));
    let (mut producer, mut consumer) = spsc::bounded(2);
    let (many_producer, many_consumer) = mpmc::bounded(2);
    let values = [made(), made(), made(), made()];
    join_all([
        thread::spawn(move || {
            let [a, b, c, d] = values;
            let _ = producer.try_push(a);
            let _ = producer.try_push(b);
            let _ = many_producer.try_push(c);
            let _ = many_producer.try_push(d);
        }),
        thread::spawn(move || {
            let _ = consumer.try_pop();
            drop(consumer);
            let _ = many_consumer.try_pop();
        }),
    ]);
    assert_eq!(drops.load(Relaxed), 4);
}

fn event_counts_hand_a_turn_back_and_forth() {
    struct Table {
        turn: AtomicUsize,
        changed: [EventCount; 2],
    }
    let table = Arc::new(Table {
        turn: AtomicUsize::new(0),
        changed: [EventCount::new(), EventCount::new()],
    });
    let player = |me: usize| {
        let table = Arc::clone(&table);
        move || {
            for round in 0..2 {
                let mine = 2 * round + me;
                table.changed[me].wait_until(None, || {
                    (table.turn.load(loom::sync::atomic::Ordering::Relaxed) == mine).then_some(())
                });
                table
                    .turn
                    .store(mine + 1, loom::sync::atomic::Ordering::Relaxed);
                table.changed[1 - me].notify_one();
            }
        }
    };
    join_all([thread::spawn(player(0)), thread::spawn(player(1))]);
}

struct Tickets {
    left: AtomicUsize,
    changed: EventCount,
}

impl Tickets {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(0),
            changed: EventCount::new(),
        })
    }

    fn give(&self) {
        self.left
            .fetch_add(1, loom::sync::atomic::Ordering::Relaxed);
        self.changed.notify_one();
    }

    fn take(&self, deadline: Option<Instant>) -> bool {
        use loom::sync::atomic::Ordering::Relaxed;
        let ticket = self.changed.wait_until(deadline, || {
            let less = |left: usize| left.checked_sub(1);
            self.left.fetch_update(Relaxed, Relaxed, less).ok()
        });
        ticket.is_some()
    }
}

fn every_ticket_finds_its_waiter() {
    let tickets = Tickets::new();
    let [a, b, c] = [&tickets, &tickets, &tickets].map(Arc::clone);
    join_all([
        thread::spawn(move || assert!(a.take(None))),
        thread::spawn(move || assert!(b.take(None))),
        thread::spawn(move || {
            c.give();
            c.give();
        }),
    ]);
}

fn a_waiter_that_gives_up_passes_on() {
    let tickets = Tickets::new();
    let [a, b, c] = [&tickets, &tickets, &tickets].map(Arc::clone);
    join_all([
        thread::spawn(move || {
            if a.take(Some(Instant::now())) {
                a.give();
            }
        }),
        thread::spawn(move || assert!(b.take(None))),
        thread::spawn(move || c.give()),
    ]);
}

/// Each ordering, fence or step that a model can do without being there, and the models that must notice.
const WEAKENINGS: &[(&str, &[&str])] = &[
    ("event count: notifier's fence", &["event_count_ping_pong"]),
    ("event count: waiter's fence", &["event_count_ping_pong"]),
    (
        "event count: early leaver passes on",
        &["event_count_notify_one"],
    ),
    ("spsc: push publishes", &["spsc_fifo"]),
    ("spsc: pop sees tail", &["spsc_fifo"]),
    ("spsc: pop frees", &["spsc_fifo"]),
    ("spsc: push sees head", &["spsc_fifo"]),
    ("spsc: producer closes", &["spsc_producer_closes"]),
    ("spsc: pop sees close", &["spsc_producer_closes"]),
    ("spsc: consumer closes", &["spsc_consumer_closes"]),
    ("spsc: push sees close", &["spsc_consumer_drops"]),
    ("spsc: closing fence", &["spsc_consumer_closes"]),
    ("spsc: consumer decides", &["spsc_consumer_closes"]),
    ("spsc: push sees end", &["spsc_consumer_closes"]),
    ("mpmc: push publishes", &["mpmc_1p1c"]),
    ("mpmc: pop sees slot", &["mpmc_1p1c"]),
    ("mpmc: pop frees", &["mpmc_1p1c"]),
    ("mpmc: push sees slot", &["mpmc_1p1c"]),
    ("spsc: claim's fence", &["spsc_claim_against_close"]),
    ("spsc: claim ends", &["spsc_claim_against_close"]),
    ("spsc: close sees claim", &["spsc_claim_against_close"]),
    ("mpmc: skip frees", &["mpmc_skip_is_freed"]),
    ("mpmc: close", &["mpmc_closed_pop"]),
    ("mpmc: push sees close", &["mpmc_closed_push"]),
    ("mpmc: pop sees close", &["mpmc_closed_pop"]),
    ("mpmc: woken pop passes on", &["mpmc_blocking_pop"]),
    ("mpmc: last pop tells the others", &["mpmc_blocking_close"]),
    ("mpmc: woken push passes on", &["mpmc_blocking_push"]),
];

/// What no model here can notice. Loom knows no asymmetric fences, so the light half is a full fence in the models, and
/// that is also a release of everything before it. Where the light half is only a compiler fence, this release is needed.
const HIDDEN_BY_THE_FENCE: &[&str] = &["spsc: push decides"];

/// Names the weakening for a run of this program as the child of `every_weakening_is_rejected`.
const WEAKEN: &str = "COVET_QUEUE_WEAKEN";

/// Runs each model in a process of its own: a model that fails may take the process with it.
#[test]
fn every_weakening_is_rejected() {
    let mut unnoticed = Vec::new();
    for &(name, models) in WEAKENINGS {
        let rejected = models.iter().any(|model| {
            let run = Command::new(env::current_exe().unwrap())
                .args(["--exact", model, "--nocapture"])
                .env(WEAKEN, name)
                .output()
                .unwrap();
            let report = String::from_utf8_lossy(&run.stderr);
            let mut lines = report.lines();
            let failure = lines.find(|line| line.contains("panicked at"));
            let reason = lines.next().unwrap_or_default();
            // A model that only ran for too long has shown nothing.
            if failure.is_none() || reason.contains("maximum number of branches") {
                return false;
            }
            assert!(!run.status.success(), "{model} panicked and passed");
            println!("{name}: rejected by {model}: {reason:.60}");
            true
        });
        if !rejected {
            unnoticed.push(name);
        }
    }
    println!(
        "{} of {} weakenings rejected",
        WEAKENINGS.len() - unnoticed.len(),
        WEAKENINGS.len()
    );
    assert!(unnoticed.is_empty(), "no model notices {unnoticed:?}");
}
