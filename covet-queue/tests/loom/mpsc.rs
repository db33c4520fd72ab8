//! The ring for many producers and one consumer: what differs from `mpmc`, its popping.

use covet_queue::mpsc;
use loom::thread;

use crate::harness::{join_all, models, until};

models! {
    fifo, 3 preemptions, at least 1_000: || in_order(mpsc::bounded_from(2, usize::MAX - 1), 4);
    two_producers, 2 preemptions, at least 1_000: two_producers_push_one_each;
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
