//! Each way to wait, in each ring.

use std::thread;
use std::time::{Duration, Instant};

use covet_queue::{PopTimeoutError, PushTimeoutError, Wait};

/// Long enough for another thread to fall asleep; nothing depends on whether it did.
const A_WHILE: Duration = Duration::from_millis(20);
const ITEMS: usize = if cfg!(miri) { 100 } else { 20_000 };
const WAITS: [Wait; 3] = [Wait::Spin, Wait::Yield, Wait::Park];

macro_rules! for_each_ring {
    ($($ring:ident)*) => {$(
        // Some handles are changed by their methods, others are not.
        #[allow(unused_mut)]
        mod $ring {
            use super::*;
            use covet_queue::$ring::bounded;

            #[test]
            fn every_pair_of_waits_delivers() {
                for (sends, receives) in WAITS.map(|wait| (wait, WAITS)).into_iter().flat_map(|(a, all)| all.map(|b| (a, b))) {
                    // Spinning without ever yielding takes a time slice for each lap if there is one core.
                    let items = if sends == Wait::Spin || receives == Wait::Spin { ITEMS / 10 } else { ITEMS };
                    let (producer, consumer) = bounded(64);
                    let mut producer = producer.with_wait(sends);
                    let mut consumer = consumer.with_wait(receives);
                    let sending = thread::spawn(move || {
                        for value in 0..items {
                            producer.push(value).unwrap();
                        }
                    });
                    for value in 0..items {
                        assert_eq!(consumer.pop(), Ok(value));
                    }
                    assert!(consumer.pop().is_err());
                    sending.join().unwrap();
                }
            }

            #[test]
            fn every_wait_keeps_its_timeout() {
                for wait in WAITS {
                    let (mut producer, mut consumer) = bounded(4);
                    producer.set_wait(wait);
                    consumer.set_wait(wait);
                    let start = Instant::now();
                    assert_eq!(consumer.pop_timeout(A_WHILE), Err(PopTimeoutError::Timeout));
                    assert!(start.elapsed() >= A_WHILE);
                    producer.push_batch(0..4).unwrap();
                    let start = Instant::now();
                    assert_eq!(producer.push_timeout(9, A_WHILE), Err(PushTimeoutError::Timeout(9)));
                    assert!(start.elapsed() >= A_WHILE);
                }
            }

            #[test]
            fn a_parked_push_finds_less_than_a_quarter_by_itself() {
                let (mut producer, mut consumer) = bounded(1000);
                producer.push_batch(0..1000).unwrap();
                let pushing = thread::spawn(move || {
                    producer.push(1000).unwrap();
                    producer.push_timeout(1001, Duration::from_secs(10)).unwrap();
                    producer
                });
                for value in 0..2 {
                    thread::sleep(A_WHILE);
                    assert_eq!(consumer.pop(), Ok(value));
                }
                let producer = pushing.join().unwrap();
                assert!(producer.is_full());
            }

            #[test]
            fn a_parked_push_ends_when_the_ring_is_closed() {
                let (mut producer, mut consumer) = bounded(1000);
                producer.push_batch(0..1000).unwrap();
                let pushing = thread::spawn(move || producer.push(1000));
                thread::sleep(A_WHILE);
                consumer.close();
                assert!(pushing.join().unwrap().is_err());
            }
        }
    )*};
}

for_each_ring!(spsc mpsc mpmc);
