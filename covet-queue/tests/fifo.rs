//! Order, exact capacity, errors, closing and timeouts: the same tests for all rings, and each against a `VecDeque`.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use covet_queue::{
    PopError, PopTimeoutError, PushError, PushTimeoutError, TryPopError, TryPushError,
};
use proptest::prelude::*;

/// Long enough for another thread to fall asleep; nothing depends on whether it did.
const A_WHILE: Duration = Duration::from_millis(20);
/// Never reached by a test that passes.
const TOO_LONG: Duration = Duration::from_secs(10);

/// One call on a ring.
#[derive(Clone, Copy, Debug)]
enum Call {
    Push,
    PushTimeout,
    Pop,
    PopTimeout,
    CloseProducer,
    CloseConsumer,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        12 => Just(Call::Push),
        1 => Just(Call::PushTimeout),
        12 => Just(Call::Pop),
        1 => Just(Call::PopTimeout),
        1 => Just(Call::CloseProducer),
        1 => Just(Call::CloseConsumer),
    ];
    prop::collection::vec(call, 0..200)
}

/// Includes starts from which a ring's positions wrap within a run.
fn starts() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(0),
        any::<usize>(),
        (0..300_usize).prop_map(|n| usize::MAX - n),
        (0..300_usize).prop_map(|n| usize::MAX / 2 - n),
    ]
}

macro_rules! for_each_ring {
    ($($ring:ident)*) => {$(
        // Some handles are changed by their methods, others are not.
        #[allow(unused_mut)]
        mod $ring {
            use super::*;
            use covet_queue::$ring::{bounded, bounded_from};

            #[test]
            fn capacity_is_exact_for_any_number() {
                for capacity in 1..=17 {
                    for start in [0, usize::MAX - 5, usize::MAX / 2 - 5] {
                        let (mut producer, mut consumer) = bounded_from(capacity, start);
                        assert_eq!((producer.capacity(), consumer.capacity()), (capacity, capacity));
                        for lap in 0..5 {
                            assert!(producer.is_empty() && consumer.is_empty());
                            for n in 0..capacity {
                                assert!(!producer.is_full());
                                assert_eq!(producer.try_push(lap * capacity + n), Ok(()));
                                assert_eq!((producer.len(), consumer.len()), (n + 1, n + 1));
                            }
                            assert!(producer.is_full() && consumer.is_full());
                            assert_eq!(producer.try_push(99), Err(TryPushError::Full(99)));
                            for n in 0..capacity {
                                assert_eq!(consumer.try_pop(), Ok(lap * capacity + n));
                            }
                            assert_eq!(consumer.try_pop(), Err(TryPopError::Empty));
                        }
                    }
                }
            }

            #[test]
            fn values_without_a_size_are_counted() {
                let (mut producer, mut consumer) = bounded(3);
                for _ in 0..3 {
                    producer.try_push(()).unwrap();
                }
                assert_eq!(producer.try_push(()), Err(TryPushError::Full(())));
                assert_eq!(std::iter::from_fn(|| consumer.try_pop().ok()).count(), 3);
            }

            #[test]
            #[should_panic(expected = "capacity must be at least 1, found 0")]
            fn capacity_zero_is_refused() {
                bounded::<u8>(0);
            }

            #[test]
            #[should_panic(expected = "capacity must be at most")]
            fn capacity_beyond_memory_is_refused() {
                bounded::<u8>(usize::MAX);
            }

            #[test]
            fn errors_of_a_full_ring_give_the_value_back() {
                let (mut producer, _consumer) = bounded(1);
                producer.push("in").unwrap();
                let error = producer.try_push("a").unwrap_err();
                assert_eq!((error, error.into_inner()), (TryPushError::Full("a"), "a"));
                let error = producer.push_timeout("b", A_WHILE).unwrap_err();
                assert_eq!((error, error.into_inner()), (PushTimeoutError::Timeout("b"), "b"));
            }

            #[test]
            fn errors_of_a_closed_ring_give_the_value_back() {
                let (mut producer, mut consumer) = bounded(2);
                producer.push("in").unwrap();
                consumer.close();
                assert!(producer.is_closed() && consumer.is_closed());
                assert_eq!(producer.try_push("a"), Err(TryPushError::Closed("a")));
                assert_eq!(producer.push("b"), Err(PushError("b")));
                assert_eq!(producer.push_timeout("c", TOO_LONG), Err(PushTimeoutError::Closed("c")));
                assert_eq!(consumer.pop(), Ok("in"));
            }

            #[test]
            fn pop_after_producer_dropped_drains_then_closes() {
                let (mut producer, mut consumer) = bounded(4);
                producer.push(1).unwrap();
                producer.push(2).unwrap();
                assert!(!consumer.is_closed());
                drop(producer);
                assert!(consumer.is_closed());
                assert_eq!(consumer.pop(), Ok(1));
                assert_eq!(consumer.pop_timeout(TOO_LONG), Ok(2));
                assert_eq!(consumer.pop(), Err(PopError));
                assert_eq!(consumer.try_pop(), Err(TryPopError::Closed));
                assert_eq!(consumer.pop_timeout(TOO_LONG), Err(PopTimeoutError::Closed));
            }

            #[test]
            fn push_after_consumer_dropped_fails() {
                let (mut producer, consumer) = bounded(4);
                producer.push(1).unwrap();
                drop(consumer);
                assert_eq!(producer.push(2), Err(PushError(2)));
                assert!(producer.is_closed());
            }

            #[test]
            fn timeouts_last_as_long_as_they_say() {
                let (mut producer, mut consumer) = bounded(1);
                let start = Instant::now();
                assert_eq!(consumer.pop_timeout(A_WHILE), Err(PopTimeoutError::Timeout));
                assert!(start.elapsed() >= A_WHILE);
                producer.push(1).unwrap();
                let start = Instant::now();
                assert_eq!(producer.push_timeout(2, A_WHILE), Err(PushTimeoutError::Timeout(2)));
                assert!(start.elapsed() >= A_WHILE);
                // Nothing was taken or left behind by giving up.
                assert_eq!(consumer.try_pop(), Ok(1));
                assert_eq!(consumer.pop_timeout(Duration::ZERO), Err(PopTimeoutError::Timeout));
            }

            #[test]
            fn a_timeout_beyond_the_clock_is_no_limit() {
                let (mut producer, mut consumer) = bounded(1);
                let popping = thread::spawn(move || consumer.pop_timeout(Duration::MAX));
                thread::sleep(A_WHILE);
                producer.push_timeout(1, Duration::MAX).unwrap();
                assert_eq!(popping.join().unwrap(), Ok(1));
            }

            #[test]
            fn a_blocked_pop_gets_what_is_pushed() {
                let (mut producer, mut consumer) = bounded(1);
                let popping = thread::spawn(move || (consumer.pop(), consumer.pop_timeout(TOO_LONG)));
                thread::sleep(A_WHILE);
                producer.push(1).unwrap();
                thread::sleep(A_WHILE);
                producer.push(2).unwrap();
                assert_eq!(popping.join().unwrap(), (Ok(1), Ok(2)));
            }

            #[test]
            fn a_blocked_push_goes_on_when_there_is_room() {
                let (mut producer, mut consumer) = bounded(1);
                producer.push(1).unwrap();
                let pushing = thread::spawn(move || {
                    producer.push(2).unwrap();
                    producer.push_timeout(3, TOO_LONG).unwrap();
                });
                for value in 1..=3 {
                    thread::sleep(A_WHILE);
                    assert_eq!(consumer.pop(), Ok(value));
                }
                pushing.join().unwrap();
            }

            #[test]
            fn a_blocked_pop_ends_when_the_producer_closes() {
                let (mut producer, mut consumer) = bounded::<u8>(1);
                let popping = thread::spawn(move || consumer.pop());
                thread::sleep(A_WHILE);
                producer.close();
                assert_eq!(popping.join().unwrap(), Err(PopError));
            }

            #[test]
            fn a_blocked_push_ends_when_the_consumer_closes() {
                let (mut producer, mut consumer) = bounded(1);
                producer.push(1).unwrap();
                let pushing = thread::spawn(move || producer.push(2));
                thread::sleep(A_WHILE);
                consumer.close();
                assert_eq!(pushing.join().unwrap(), Err(PushError(2)));
                assert_eq!(consumer.pop(), Ok(1));
                assert_eq!(consumer.pop(), Err(PopError));
            }

            #[test]
            fn dropping_a_side_wakes_the_other() {
                let (producer, mut consumer) = bounded::<u8>(1);
                let popping = thread::spawn(move || consumer.pop());
                thread::sleep(A_WHILE);
                drop(producer);
                assert_eq!(popping.join().unwrap(), Err(PopError));

                let (mut producer, consumer) = bounded(1);
                producer.push(1).unwrap();
                let pushing = thread::spawn(move || producer.push(2));
                thread::sleep(A_WHILE);
                drop(consumer);
                assert_eq!(pushing.join().unwrap(), Err(PushError(2)));
            }

            proptest! {
                #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
                #[test]
                fn behaves_like_a_deque(capacity in 1..12_usize, start in starts(), calls in calls()) {
                    let (mut producer, mut consumer) = bounded_from(capacity, start);
                    let mut deque = VecDeque::new();
                    let mut closed = false;
                    for (value, call) in calls.into_iter().enumerate() {
                        let full = deque.len() == capacity;
                        match call {
                            Call::Push => {
                                let expected = match (closed, full) {
                                    (true, _) => Err(TryPushError::Closed(value)),
                                    (false, true) => Err(TryPushError::Full(value)),
                                    (false, false) => Ok(deque.push_back(value)),
                                };
                                prop_assert_eq!(producer.try_push(value), expected);
                            }
                            Call::PushTimeout => {
                                let expected = match (closed, full) {
                                    (true, _) => Err(PushTimeoutError::Closed(value)),
                                    (false, true) => Err(PushTimeoutError::Timeout(value)),
                                    (false, false) => Ok(deque.push_back(value)),
                                };
                                prop_assert_eq!(producer.push_timeout(value, Duration::ZERO), expected);
                            }
                            Call::Pop => {
                                let nothing = if closed { TryPopError::Closed } else { TryPopError::Empty };
                                prop_assert_eq!(consumer.try_pop(), deque.pop_front().ok_or(nothing));
                            }
                            Call::PopTimeout => {
                                let nothing = if closed { PopTimeoutError::Closed } else { PopTimeoutError::Timeout };
                                prop_assert_eq!(consumer.pop_timeout(Duration::ZERO), deque.pop_front().ok_or(nothing));
                            }
                            Call::CloseProducer => {
                                producer.close();
                                closed = true;
                            }
                            Call::CloseConsumer => {
                                consumer.close();
                                closed = true;
                            }
                        }
                        prop_assert_eq!(producer.len(), deque.len());
                        prop_assert_eq!(consumer.is_closed(), closed);
                    }
                }
            }
        }
    )*};
}

for_each_ring!(spsc mpsc mpmc);

#[test]
fn only_the_last_handle_of_a_side_closes() {
    let (producer, consumer) = covet_queue::mpmc::bounded(4);
    drop(producer.clone());
    drop(consumer.clone());
    producer.push(1).unwrap();
    assert_eq!(consumer.pop(), Ok(1));
    let other = producer.clone();
    drop(producer);
    other.push(2).unwrap();
    drop(other);
    assert_eq!(consumer.pop(), Ok(2));
    assert_eq!(consumer.pop(), Err(PopError));
}

#[test]
fn closing_wakes_every_blocked_thread() {
    let (producer, consumer) = covet_queue::mpmc::bounded::<u8>(1);
    let popping = [(); 3].map(|()| {
        let consumer = consumer.clone();
        thread::spawn(move || consumer.pop())
    });
    thread::sleep(A_WHILE);
    producer.close();
    for thread in popping {
        assert_eq!(thread.join().unwrap(), Err(PopError));
    }
}

#[test]
fn handles_may_move_to_other_threads_even_if_values_may_not_be_shared() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    type Value = std::cell::Cell<u8>;
    send::<covet_queue::spsc::Producer<Value>>();
    send::<covet_queue::spsc::Consumer<Value>>();
    send::<covet_queue::mpsc::Consumer<Value>>();
    send::<covet_queue::mpmc::Producer<Value>>();
    sync::<covet_queue::mpmc::Producer<Value>>();
    send::<covet_queue::mpmc::Consumer<Value>>();
    sync::<covet_queue::mpmc::Consumer<Value>>();
}

#[test]
fn errors_say_what_happened() {
    let cases = [
        (TryPushError::Full(1).to_string(), "the ring is full"),
        (TryPushError::Closed(1).to_string(), "the ring is closed"),
        (PushError(1).to_string(), "the ring is closed"),
        (
            PushTimeoutError::Timeout(1).to_string(),
            "the ring stayed full until the time was over",
        ),
        (TryPopError::Empty.to_string(), "the ring is empty"),
        (PopError.to_string(), "the ring is closed and drained"),
        (
            PopTimeoutError::Timeout.to_string(),
            "the ring stayed empty until the time was over",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, expected);
    }
}
