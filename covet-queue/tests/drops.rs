//! Every element is dropped exactly once, wherever it is when the ring goes.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use covet_queue::{TryPopError, TryPushError};

/// Counts how often it is dropped, and panics then if told to.
struct Counted {
    drops: Arc<AtomicUsize>,
    panics: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Relaxed);
        assert!(!self.panics, "a drop that panics");
    }
}

fn counted(drops: &Arc<AtomicUsize>) -> Counted {
    Counted {
        drops: Arc::clone(drops),
        panics: false,
    }
}

/// Keeps a handle for ever, as `mem::forget` does, but where leak checkers find it.
fn leak(handle: impl Send + 'static) {
    static LEAKED: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());
    LEAKED.lock().unwrap().push(Box::new(handle));
}

macro_rules! for_each_ring {
    ($($ring:ident)*) => {$(
        // Some handles are changed by their methods, others are not.
        #[allow(unused_mut)]
        mod $ring {
            use super::*;
            use covet_queue::$ring::{bounded, bounded_from};

            #[test]
            fn what_is_left_is_dropped_with_the_ring() {
                // Pushed and popped before: the left elements lie across the end of the slots, and positions wrap.
                for passed in 0..9 {
                    for left in 0..=5 {
                        let drops = Arc::new(AtomicUsize::new(0));
                        let (mut producer, mut consumer) = bounded_from(5, usize::MAX - 4);
                        for _ in 0..passed {
                            assert!(producer.try_push(counted(&drops)).is_ok());
                            drop(consumer.try_pop());
                        }
                        assert_eq!(drops.load(Relaxed), passed);
                        for _ in 0..left {
                            assert!(producer.try_push(counted(&drops)).is_ok());
                        }
                        drop(producer);
                        assert_eq!(drops.load(Relaxed), passed);
                        drop(consumer);
                        assert_eq!(drops.load(Relaxed), passed + left);
                    }
                }
            }

            #[test]
            fn a_refused_value_is_dropped_by_who_pushed_it() {
                let drops = Arc::new(AtomicUsize::new(0));
                let (mut producer, mut consumer) = bounded(1);
                assert!(producer.try_push(counted(&drops)).is_ok());
                drop(producer.try_push(counted(&drops)));
                assert_eq!(drops.load(Relaxed), 1);
                consumer.close();
                drop(producer.push(counted(&drops)));
                assert_eq!(drops.load(Relaxed), 2);
                drop((producer, consumer));
                assert_eq!(drops.load(Relaxed), 3);
            }

            #[test]
            fn a_drop_that_panics_does_not_keep_the_others() {
                let drops = Arc::new(AtomicUsize::new(0));
                let (mut producer, consumer) = bounded(4);
                for n in 0..4 {
                    let value = Counted { drops: Arc::clone(&drops), panics: n == 1 };
                    assert!(producer.try_push(value).is_ok());
                }
                drop(producer);
                assert!(catch_unwind(AssertUnwindSafe(|| drop(consumer))).is_err());
                assert_eq!(drops.load(Relaxed), 4);
            }

            #[test]
            fn a_leaked_handle_closes_nothing_and_loses_nothing() {
                let drops = Arc::new(AtomicUsize::new(0));
                let (mut producer, mut consumer) = bounded(2);
                assert!(producer.try_push(counted(&drops)).is_ok());
                leak(producer);
                assert!(consumer.try_pop().is_ok());
                assert!(matches!(consumer.try_pop(), Err(TryPopError::Empty)));
                assert!(!consumer.is_closed());

                let (mut producer, consumer) = bounded(1);
                leak(consumer);
                assert!(producer.try_push(counted(&drops)).is_ok());
                let full = producer.try_push(counted(&drops));
                assert!(matches!(full, Err(TryPushError::Full(_))));
                drop(full);
                // What is in the second ring is neither popped nor dropped as long as the leaked handle might.
                drop(producer);
                assert_eq!(drops.load(Relaxed), 2);
            }

            #[test]
            fn closing_against_pushes_neither_loses_nor_doubles() {
                let drops = Arc::new(AtomicUsize::new(0));
                let mut made = 0;
                for round in 0..ROUNDS {
                    let (mut producer, mut consumer) = bounded(4);
                    let value_drops = Arc::clone(&drops);
                    // Neither side waits inside the ring: without `std` that would be spinning, on cores others may need.
                    let pushing = thread::spawn(move || {
                        let mut pushed = 0;
                        let mut refused = 0;
                        loop {
                            match producer.try_push(counted(&value_drops)) {
                                Ok(()) => pushed += 1,
                                Err(TryPushError::Closed(_)) => break (pushed, refused + 1),
                                Err(TryPushError::Full(_)) => {
                                    refused += 1;
                                    thread::yield_now();
                                }
                            }
                        }
                    });
                    let mut popped = 0;
                    while popped < round % 7 {
                        match consumer.try_pop() {
                            Ok(_) => popped += 1,
                            Err(_) => thread::yield_now(),
                        }
                    }
                    consumer.close();
                    loop {
                        match consumer.try_pop() {
                            Ok(_) => popped += 1,
                            Err(TryPopError::Empty) => thread::yield_now(),
                            Err(TryPopError::Closed) => break,
                        }
                    }
                    let (pushed, refused) = pushing.join().unwrap();
                    assert_eq!(pushed, popped);
                    made += pushed + refused;
                    assert_eq!(drops.load(Relaxed), made);
                }
            }
        }
    )*};
}

const ROUNDS: usize = if cfg!(miri) { 20 } else { 2_000 };

for_each_ring!(spsc mpsc mpmc);
