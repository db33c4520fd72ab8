//! The ring for many producers and one consumer: what differs from `mpmc`, its popping, its free slots and its batches.

use std::sync::Arc;

use covet_queue::{TryPushError, mpsc};
use loom::thread;

use crate::harness::{join_all, models, until};

models! {
    fifo, 3 preemptions, at least 1_000: || in_order(mpsc::bounded_from(2, usize::MAX - 1), 4);
    two_producers, 2 preemptions, at least 1_000: two_producers_push_one_each;
    parts_of_batches, 3 preemptions, at least 500: a_batch_is_taken_in_parts;
    head_is_told, 2 preemptions, at least 500: a_producer_relies_on_the_head_that_another_saw;
    claim_aborted, 3 preemptions, at least 500: an_aborted_part_is_stepped_over;
    leak_behind_a_batch, 3 preemptions, at least 500: a_leaked_claim_ends_while_a_batch_is_taken;
}

fn in_order(ends: (mpsc::Producer<usize>, mpsc::Consumer<usize>), count: usize) {
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

fn two_producers_push_one_each() {
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

/// The batches are longer than what is popped at once.
fn a_batch_is_taken_in_parts() {
    let (producer, mut consumer) = mpsc::bounded_from(3, usize::MAX - 1);
    join_all([
        thread::spawn(move || {
            let mut values = 0..5;
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
                next == 5
            });
        }),
    ]);
}

/// Both slots are popped; one producer looks at the head, and the other may find that it has.
fn a_producer_relies_on_the_head_that_another_saw() {
    let (producer, mut consumer) = mpsc::bounded(2);
    assert_eq!(producer.try_push_batch(&mut [1, 2].into_iter()), Ok(2));
    let other = producer.clone();
    join_all([
        // The consumer closes the ring when it has popped.
        thread::spawn(move || until(|| producer.try_push(3) != Err(TryPushError::Full(3)))),
        thread::spawn(move || {
            let _ = other.try_push(4);
        }),
        thread::spawn(move || assert_eq!(consumer.try_pop_batch(2, drop), Ok(2))),
    ]);
}

/// Each claim commits its first slot and gives up the others.
fn an_aborted_part_is_stepped_over() {
    let (producer, mut consumer) = mpsc::bounded(3);
    join_all([
        thread::spawn(move || {
            for value in [0, 1] {
                until(|| {
                    producer.try_claim(3).is_ok_and(|mut claim| {
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
                until(|| match consumer.try_pop() {
                    Ok(popped) => {
                        assert_eq!(popped, value);
                        true
                    }
                    Err(_) => false,
                });
            }
        }),
    ]);
}

/// The last producer goes and looks for the claim that was leaked, while a part of the batch before that is taken. The other
/// part is dropped with the ring.
fn a_leaked_claim_ends_while_a_batch_is_taken() {
    let (producer, mut consumer) = mpsc::bounded(4);
    let value = Arc::new(());
    let mut batch = vec![Arc::clone(&value), Arc::clone(&value)].into_iter();
    join_all([
        thread::spawn(move || {
            assert_eq!(producer.try_push_batch(&mut batch), Ok(2));
            let _ = producer.try_claim(1).map(std::mem::forget);
        }),
        thread::spawn(move || until(|| consumer.try_pop().is_ok())),
    ]);
    assert_eq!(Arc::strong_count(&value), 1);
}
