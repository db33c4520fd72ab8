//! Many threads, real ones: nothing is lost, doubled or reordered, and nobody sleeps through it.
//!
//! The models in `loom` replace the system's fence and parking; these runs use the real ones. A lost wake-up shows as
//! a test that does not end.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use covet_queue::{PopTimeoutError, PushError, PushTimeoutError, mpmc, spsc};

const fn scaled(count: usize) -> usize {
    if cfg!(miri) { count / 1000 + 2 } else { count }
}

const ROUND_TRIPS: usize = scaled(100_000);
const ITEMS: usize = scaled(100_000);

/// Small values, and such that fill a cache line, for which a producer keeps no copy of its position.
#[test]
fn spsc_keeps_order_under_load() {
    fn check<T: Copy + Debug + PartialEq + Send>(value: impl Fn(usize) -> T + Copy + Send) {
        for capacity in [1, 3, 64] {
            let (mut producer, mut consumer) = spsc::bounded(capacity);
            thread::scope(|scope| {
                scope.spawn(move || {
                    for number in 0..ITEMS {
                        producer.push(value(number)).unwrap();
                    }
                });
                for number in 0..ITEMS {
                    assert_eq!(consumer.pop(), Ok(value(number)));
                }
                assert!(consumer.pop().is_err());
            });
        }
    }

    check(|number| number);
    check(|number| [number; 8]);
}

/// A push that meets the closing is either taken back or popped, for values of both sizes.
#[test]
fn spsc_loses_nothing_that_was_pushed_when_its_consumer_closes() {
    fn check<T: Copy + Debug + PartialEq + Send>(value: impl Fn(usize) -> T + Copy + Send) {
        for round in 0..scaled(1_000) {
            let (mut producer, mut consumer) = spsc::bounded(64);
            let pushing = move || {
                let refused = (0..).find(|&number| producer.push(value(number)).is_err());
                (producer, refused.unwrap())
            };
            let (refused, popped) = thread::scope(|scope| {
                let pushing = scope.spawn(pushing);
                for number in 0..round % 50 {
                    assert_eq!(consumer.pop(), Ok(value(number)));
                }
                consumer.close();
                let (mut producer, refused) = pushing.join().unwrap();
                assert_eq!(producer.push(value(0)), Err(PushError(value(0))));
                for number in round % 50..refused {
                    assert_eq!(consumer.pop(), Ok(value(number)));
                }
                (refused, consumer.pop())
            });
            assert!(popped.is_err(), "{refused} were pushed");
        }
    }

    check(|number| number);
    check(|number| [number; 8]);
}

#[test]
fn spsc_ping_pong_round_trips() {
    let (mut to, mut from_here) = spsc::bounded(1);
    let (mut back, mut from_there) = spsc::bounded(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(value) = from_here.pop() {
                back.push(value + 1).unwrap();
            }
        });
        for value in 0..ROUND_TRIPS {
            to.push(value).unwrap();
            assert_eq!(from_there.pop(), Ok(value + 1));
        }
        drop(to);
    });
}

#[test]
fn mpmc_ping_pong_round_trips() {
    let (to, from_here) = mpmc::bounded(1);
    let (back, from_there) = mpmc::bounded(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            while let Ok(value) = from_here.pop() {
                back.push(value + 1).unwrap();
            }
        });
        for value in 0..ROUND_TRIPS {
            to.push(value).unwrap();
            assert_eq!(from_there.pop(), Ok(value + 1));
        }
        drop(to);
    });
}

#[test]
fn mpmc_delivers_each_once_and_each_producers_in_order() {
    const PRODUCERS: usize = 4;
    const CONSUMERS: usize = 4;
    let each = ITEMS / PRODUCERS;
    for capacity in [1, 2, 3, 64] {
        let (producer, consumer) = mpmc::bounded(capacity);
        let sum = AtomicUsize::new(0);
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            for id in 0..PRODUCERS {
                let producer = producer.clone();
                scope.spawn(move || {
                    for n in 0..each {
                        producer.push((id, n)).unwrap();
                    }
                });
            }
            for _ in 0..CONSUMERS {
                let consumer = consumer.clone();
                let (sum, count) = (&sum, &count);
                scope.spawn(move || {
                    let mut last = [None; PRODUCERS];
                    while let Ok((id, n)) = consumer.pop() {
                        assert!(last[id].is_none_or(|last| last < n), "out of order");
                        last[id] = Some(n);
                        sum.fetch_add(id * each + n, Relaxed);
                        count.fetch_add(1, Relaxed);
                    }
                });
            }
            drop((producer, consumer));
        });
        let total = PRODUCERS * each;
        assert_eq!(count.into_inner(), total);
        assert_eq!(sum.into_inner(), total * (total - 1) / 2);
    }
}

/// Timeouts short enough to collide with wake-ups all the time.
#[test]
fn waits_that_give_up_swallow_no_wake_up() {
    let items = ITEMS / 10;
    let (producer, consumer) = mpmc::bounded(2);
    let popped = AtomicUsize::new(0);
    thread::scope(|scope| {
        for id in 0..3 {
            let producer = producer.clone();
            scope.spawn(move || {
                for _ in 0..items {
                    if id == 0 {
                        producer.push(1).unwrap();
                        continue;
                    }
                    let mut value = 1;
                    while let Err(error) = producer.push_timeout(value, Duration::from_micros(60)) {
                        assert_eq!(error, PushTimeoutError::Timeout(1));
                        value = error.into_inner();
                    }
                }
            });
        }
        for id in 0..3 {
            let consumer = consumer.clone();
            let popped = &popped;
            scope.spawn(move || {
                loop {
                    let result = if id == 0 {
                        consumer.pop().map_err(|_| PopTimeoutError::Closed)
                    } else {
                        consumer.pop_timeout(Duration::from_micros(60))
                    };
                    match result {
                        Ok(value) => popped.fetch_add(value, Relaxed),
                        Err(PopTimeoutError::Timeout) => continue,
                        Err(PopTimeoutError::Closed) => break,
                    };
                }
            });
        }
        drop((producer, consumer));
    });
    assert_eq!(popped.into_inner(), 3 * items);
}

#[test]
fn closing_in_the_middle_loses_nothing_that_was_pushed() {
    for round in 0..scaled(1_000) {
        let (producer, consumer) = mpmc::bounded(3);
        let pushed = AtomicUsize::new(0);
        let popped = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..2 {
                let producer = producer.clone();
                let pushed = &pushed;
                scope.spawn(move || {
                    while producer.push(()).is_ok() {
                        pushed.fetch_add(1, Relaxed);
                    }
                });
            }
            for _ in 0..2 {
                let consumer = consumer.clone();
                let popped = &popped;
                scope.spawn(move || {
                    let mut mine = 0;
                    while consumer.pop().is_ok() {
                        popped.fetch_add(1, Relaxed);
                        mine += 1;
                        if mine == round % 50 {
                            consumer.close();
                        }
                    }
                });
            }
            if round % 50 == 0 {
                producer.close();
            }
        });
        assert_eq!(pushed.into_inner(), popped.into_inner());
    }
}
