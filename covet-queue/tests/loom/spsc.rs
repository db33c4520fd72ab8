//! The ring for one producer and one consumer.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use covet_queue::{TryClaimError, TryPopError, TryPushError, fence, spsc};
use loom::thread;

use crate::harness::{Plain, join_all, models, until};

models! {
    fifo, 3 preemptions, at least 8_000: || in_order(spsc::bounded(2), 4);
    wrap, 3 preemptions, at least 8_000: || in_order(spsc::bounded_from(2, usize::MAX - 1), 4);
    blocking, 2 preemptions, at least 10_000: blocks_and_goes_on;
    blocking_quarter, 5 preemptions, at least 3_000: wakes_the_push_for_a_quarter;
    batch, 3 preemptions, at least 500: || in_order_by_batch(spsc::bounded_from(2, usize::MAX - 1));
    claim_aborted, 3 preemptions, at least 500: an_aborted_claim_leaves_no_trace;
    claim_against_close, 5 preemptions, at least 500: a_claim_under_way_counts;
    producer_closes, 5 preemptions, at least 1_000: drains_after_producer_closed;
    consumer_closes, 5 preemptions, at least 6_000: || agrees_on_the_end(3);
    consumer_closes_bare, 3 preemptions, at least 1_000: || {
        fence::set_bare(true);
        agrees_on_the_end(1);
    };
    consumer_drops, 5 preemptions, at least 200: push_is_told_after_consumer_dropped;
}

fn in_order(ends: (spsc::Producer<usize>, spsc::Consumer<usize>), count: usize) {
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

fn blocks_and_goes_on() {
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

/// A push waits for a quarter of the ring. The consumer stays, since closing would wake it too.
fn wakes_the_push_for_a_quarter() {
    let (mut producer, mut consumer) = spsc::bounded(8);
    for value in 0..8 {
        producer.try_push(value).unwrap();
    }
    let stays = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&stays);
    join_all([
        thread::spawn(move || producer.push(8).unwrap()),
        thread::spawn(move || {
            for value in 0..2 {
                assert_eq!(consumer.try_pop(), Ok(value));
            }
            *keep.lock().unwrap() = Some(consumer);
        }),
    ]);
}

fn drains_after_producer_closed() {
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

fn agrees_on_the_end(count: usize) {
    let (mut producer, mut consumer) = spsc::bounded(4);
    let before = Plain::new();
    let after = Rc::clone(&before);
    let pushed = Arc::new(Counter::new(0));
    let popped = Arc::new(Counter::new(0));
    let (pushes, pops) = (Arc::clone(&pushed), Arc::clone(&popped));
    join_all([
        thread::spawn(move || {
            for value in 0..count {
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

fn push_is_told_after_consumer_dropped() {
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

fn in_order_by_batch(ends: (spsc::Producer<usize>, spsc::Consumer<usize>)) {
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

fn an_aborted_claim_leaves_no_trace() {
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
fn a_claim_under_way_counts() {
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
