//! The ring for many producers and many consumers.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering::Relaxed};

use covet_queue::{TryPopError, TryPushError, mpmc};
use loom::thread;

use crate::harness::{Plain, join_all, models, until};

models! {
    fifo, 3 preemptions, at least 10_000: || in_order(mpmc::bounded(2), 4);
    wrap, 3 preemptions, at least 4_000: || in_order(mpmc::bounded_from(2, usize::MAX - 1), 4);
    exact_capacity, 3 preemptions, at least 20_000: || in_order(mpmc::bounded_from(3, usize::MAX - 1), 5);
    two_producers, 2 preemptions, at least 5_000: two_producers_push_one_each;
    two_producers_twice, 3 preemptions, at least 300_000: two_producers_push_twice;
    two_consumers, 2 preemptions, at least 5_000: two_consumers_share;
    two_of_each, 2 preemptions, at least 20_000: two_push_and_two_pop;
    batch, 3 preemptions, at least 500: || in_order_by_batch(usize::MAX - 1);
    batches, 1 preemptions, at least 1_000: two_batches_do_not_mix;
    claim_aborted, 3 preemptions, at least 500: an_aborted_claim_is_stepped_over;
    skip_is_freed, 2 preemptions, at least 5_000: a_slot_that_was_given_up_is_written_again;
    claim_against_close, 3 preemptions, at least 500: a_claim_under_way_counts;
    claim_leaked, 3 preemptions, at least 100: a_leaked_claim_ends_with_its_producer;
    blocking_batch, 1 preemptions, at least 1_000: a_batch_wakes_every_pop;
    blocking_abort, 3 preemptions, at least 500: an_abort_uncovers_what_is_behind;
    close_against_push, 3 preemptions, at least 50_000: loses_nothing_when_closed;
    closed_push, 5 preemptions, at least 2_000: closed_push_shows_what_was_before;
    closed_pop, 5 preemptions, at least 700: closed_pop_shows_what_was_before;
    blocking_pop, 1 preemptions, at least 15_000: wakes_every_pop;
    blocking_push, 1 preemptions, at least 15_000: wakes_every_push;
    blocking_quarter, 3 preemptions, at least 50_000: wakes_a_push_for_a_quarter;
    blocking_close, 1 preemptions, at least 30_000: tells_every_blocked_pop_that_it_is_closed;
}

fn in_order(ends: (mpmc::Producer<usize>, mpmc::Consumer<usize>), count: usize) {
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

fn in_order_by_batch(start: usize) {
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
fn two_batches_do_not_mix() {
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

fn an_aborted_claim_is_stepped_over() {
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
fn a_slot_that_was_given_up_is_written_again() {
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

fn a_claim_under_way_counts() {
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

fn a_leaked_claim_ends_with_its_producer() {
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
fn a_batch_wakes_every_pop() {
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
fn an_abort_uncovers_what_is_behind() {
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

fn two_producers_push_twice() {
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
            for _ in 0..3 {
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

fn two_push_and_two_pop() {
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

fn two_producers_push_one_each() {
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

fn two_consumers_share() {
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

fn loses_nothing_when_closed() {
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

fn closed_push_shows_what_was_before() {
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

fn closed_pop_shows_what_was_before() {
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
fn wakes_every_pop() {
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

/// A push waits for a quarter of the ring, and two pops free one slot of it each.
fn wakes_a_push_for_a_quarter() {
    let (producer, consumer) = mpmc::bounded(8);
    for value in 0..8 {
        producer.try_push(value).unwrap();
    }
    let pop = |consumer: mpmc::Consumer<usize>| move || assert!(consumer.try_pop().is_ok());
    let pushing = producer.clone();
    join_all([
        thread::spawn(move || pushing.push(8).unwrap()),
        thread::spawn(pop(consumer.clone())),
        thread::spawn(pop(consumer.clone())),
    ]);
}

/// Two pops wait, and the ring is closed while the only push is under way: one gets the value, the other the end.
fn tells_every_blocked_pop_that_it_is_closed() {
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
fn wakes_every_push() {
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
