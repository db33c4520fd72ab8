//! Rings of records: layout, order, limits, claims in every state, closing, waiting, and many threads.

use std::collections::VecDeque;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use covet_queue::bytes::{self, ClaimError, Consumer, Many, Mode, One, Producer};
use covet_queue::{PopError, PopTimeoutError, TryPopError, Wait};
use proptest::prelude::*;

const fn scaled(count: usize) -> usize {
    if cfg!(miri) { count / 1000 + 2 } else { count }
}

const RECORDS: usize = scaled(60_000);
const SHORT: Duration = Duration::from_millis(20);

/// Runs the same test on both kinds of ring.
macro_rules! both {
    ($($name:ident)*) => {
        mod one_producer {
            $(#[test] fn $name() { super::$name(super::bytes::spsc, super::bytes::spsc_from); })*
        }
        mod many_producers {
            $(#[test] fn $name() { super::$name(super::bytes::mpsc, super::bytes::mpsc_from); })*
        }
    };
}

both! {
    a_record_comes_out_as_it_was_written
    every_offset_is_wrapped_at
    a_ring_is_filled_to_the_last_byte
    positions_wrap
    limits_are_told
    a_claim_is_empty_at_first_and_keeps_later_records_back
    a_dropped_or_aborted_claim_is_stepped_over
    a_panic_in_a_producer_aborts_its_claim
    a_forgotten_claim_is_aborted_by_the_next_use_of_its_producer
    a_forgotten_claim_is_aborted_by_the_drop_of_its_producer
    unblock_steps_over_the_claim_of_a_dead_producer
    a_panic_in_the_closure_consumes_its_record_and_no_other
    limit_is_kept
    every_way_to_wait_goes_on_and_ends
    closing_drains_what_was_committed_and_what_still_is
    a_dropped_consumer_closes
    claims_time_out_and_go_on_when_there_is_room
    reads_time_out_and_end_when_closed
}

type Ends<M> = (Producer<M>, Consumer);
type New<M> = fn(usize) -> Ends<M>;
type From<M> = fn(usize, usize) -> Ends<M>;

/// Takes everything that is there.
fn drain(consumer: &mut Consumer) -> Vec<(i32, Vec<u8>)> {
    let mut records = Vec::new();
    let _ = consumer.try_read(usize::MAX, |kind, bytes| {
        records.push((kind, bytes.to_vec()))
    });
    records
}

fn kinds(consumer: &mut Consumer) -> Vec<i32> {
    drain(consumer).into_iter().map(|(kind, _)| kind).collect()
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + seed * 7 + 1) as u8).collect()
}

fn a_record_comes_out_as_it_was_written<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(1024);
    for len in 0..40 {
        producer.try_write(i32::MAX, &pattern(len, len)).unwrap();
        assert_eq!(drain(&mut consumer), [(i32::MAX, pattern(len, len))]);
        assert!(producer.is_empty() && consumer.is_empty());
    }
}

fn every_offset_is_wrapped_at<M: Mode>(_: New<M>, from: From<M>) {
    for start in (0..64).step_by(8) {
        for len in 0..=24 {
            let (mut producer, mut consumer) = from(64, start);
            for round in 0..20 {
                producer.try_write(1, &pattern(len, round)).unwrap();
                producer.try_write(2, &[]).unwrap();
                assert_eq!(
                    drain(&mut consumer),
                    [(1, pattern(len, round)), (2, vec![])],
                    "start {start}, length {len}, round {round}"
                );
            }
        }
    }
}

fn a_ring_is_filled_to_the_last_byte<M: Mode>(_: New<M>, from: From<M>) {
    for start in (0..128_usize).step_by(8) {
        for len in [0, 8, 24, 56] {
            let size = len + bytes::BYTES_OFFSET;
            if !start.is_multiple_of(size) {
                continue;
            }
            let (mut producer, mut consumer) = from(128, start);
            for round in 0..3 {
                for n in 0..128 / size {
                    assert_eq!(producer.len(), n * size);
                    producer.try_write(1, &pattern(len, n + round)).unwrap();
                }
                assert_eq!(producer.len(), producer.capacity());
                assert_eq!(producer.try_write(1, &[]), Err(ClaimError::Full));
                let all: Vec<_> = (0..128 / size)
                    .map(|n| (1, pattern(len, n + round)))
                    .collect();
                assert_eq!(drain(&mut consumer), all);
            }
        }
    }
    // The longest record fits wherever the ring is empty.
    for start in (0..128).step_by(8) {
        let (mut producer, mut consumer) = from(128, start);
        let longest = pattern(producer.max_record(), start);
        producer.try_write(1, &longest).unwrap();
        assert_eq!(drain(&mut consumer), [(1, longest)]);
    }
}

fn positions_wrap<M: Mode>(_: New<M>, from: From<M>) {
    for back in (8..=256).step_by(8) {
        let (mut producer, mut consumer) = from(128, 0_usize.wrapping_sub(back));
        for round in 0..12 {
            producer.try_write(1, &pattern(20, round)).unwrap();
            producer.try_write(2, &pattern(3, round)).unwrap();
            assert!(producer.len() >= 48);
            assert_eq!(
                drain(&mut consumer),
                [(1, pattern(20, round)), (2, pattern(3, round))]
            );
        }
    }
}

fn limits_are_told<M: Mode>(new: New<M>, _: From<M>) {
    for (asked, got) in [(1, 16), (16, 16), (17, 32), (1000, 1024)] {
        let (producer, consumer) = new(asked);
        assert_eq!(producer.capacity(), got);
        assert_eq!(consumer.capacity(), got);
        assert_eq!(producer.max_record(), got / 2 - bytes::BYTES_OFFSET);
        assert_eq!(consumer.max_record(), producer.max_record());
    }
    let (mut producer, consumer) = new(64);
    let too_long = ClaimError::TooLong { len: 25, max: 24 };
    assert_eq!(producer.try_claim(25, 1).unwrap_err(), too_long);
    assert_eq!(producer.write(1, &[0; 25]).unwrap_err(), too_long);
    for kind in [0, -1, i32::MIN] {
        assert_eq!(
            producer.try_claim(1, kind).unwrap_err(),
            ClaimError::Kind(kind)
        );
    }
    let too_long = ClaimError::TooLong {
        len: usize::MAX,
        max: 24,
    };
    assert_eq!(producer.try_claim(usize::MAX, 1).unwrap_err(), too_long);
    assert!(consumer.is_empty());
    for capacity in [0, (1 << 30) + 1, usize::MAX] {
        assert!(panic::catch_unwind(|| new(capacity)).is_err());
    }
}

fn a_claim_is_empty_at_first_and_keeps_later_records_back<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(64);
    for _ in 0..5 {
        producer.try_write(1, &[0xff; 24]).unwrap();
        assert_eq!(kinds(&mut consumer), [1]);
        let mut claim = producer.try_claim(24, 2).unwrap();
        assert_eq!(*claim, [0; 24]);
        assert_eq!(claim.kind(), 2);
        assert_eq!(
            consumer.try_read(9, |_, _| panic!("not committed")),
            Err(TryPopError::Empty)
        );
        assert!(!consumer.is_empty());
        claim[23] = 9;
        claim.commit();
        assert_eq!(drain(&mut consumer)[0].1[23], 9);
    }
}

fn a_dropped_or_aborted_claim_is_stepped_over<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(128);
    for round in 0..50 {
        producer.try_write(1, b"before").unwrap();
        let mut claim = producer.try_claim(round % 30, 2).unwrap();
        claim.fill(0xee);
        if round % 2 == 0 {
            drop(claim);
        } else {
            claim.abort();
        }
        producer.try_write(3, b"after").unwrap();
        assert_eq!(kinds(&mut consumer), [1, 3]);
    }
    drop(producer.try_claim(5, 1).unwrap());
    assert_eq!(
        consumer.try_read(1, |_, _| panic!("aborted")),
        Err(TryPopError::Empty)
    );
    assert!(consumer.is_empty(), "what was stepped over is free");
}

fn a_panic_in_a_producer_aborts_its_claim<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(128);
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let _claim = producer.try_claim(8, 1).unwrap();
        panic!("planted");
    }));
    assert!(result.is_err());
    producer.try_write(2, &[]).unwrap();
    assert_eq!(kinds(&mut consumer), [2]);
}

fn a_forgotten_claim_is_aborted_by_the_next_use_of_its_producer<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(128);
    mem::forget(producer.try_claim(8, 1).unwrap());
    assert!(kinds(&mut consumer).is_empty());
    producer.try_write(2, &[]).unwrap();
    assert_eq!(kinds(&mut consumer), [2]);
    mem::forget(producer.try_claim(8, 3).unwrap());
    producer.close();
    assert_eq!(
        consumer.try_read(1, |_, _| panic!("aborted")),
        Err(TryPopError::Closed)
    );
}

fn a_forgotten_claim_is_aborted_by_the_drop_of_its_producer<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(128);
    mem::forget(producer.try_claim(8, 1).unwrap());
    drop(producer);
    assert_eq!(consumer.read(1, |_, _| panic!("aborted")), Err(PopError));
}

/// Takes a producer out of reach without dropping it. Leak checkers still find it.
fn bury<M: Mode>(producer: Producer<M>) {
    static DEAD: Mutex<Vec<Box<dyn Send>>> = Mutex::new(Vec::new());
    let dead = Box::new(mem::ManuallyDrop::new(producer));
    DEAD.lock().unwrap().push(dead);
}

fn unblock_steps_over_the_claim_of_a_dead_producer<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(128);
    producer.try_write(1, b"before").unwrap();
    mem::forget(producer.try_claim(30, 2).unwrap());
    // SAFETY: the oldest record is committed, so nothing happens.
    assert!(!unsafe { consumer.unblock() });
    assert_eq!(kinds(&mut consumer), [1]);
    bury(producer);
    assert_eq!(consumer.try_read(1, |_, _| ()), Err(TryPopError::Empty));
    // SAFETY: the claim was forgotten, and nobody reaches its producer.
    assert!(unsafe { consumer.unblock() });
    assert_eq!(
        consumer.try_read(1, |_, _| panic!("unblocked")),
        Err(TryPopError::Empty)
    );
    assert!(consumer.is_empty());
    // SAFETY: no record is there.
    assert!(!unsafe { consumer.unblock() });
}

#[test]
fn unblock_lets_the_other_producers_through() {
    let (mut producer, mut consumer) = bytes::mpsc(128);
    let mut other = producer.clone();
    mem::forget(producer.try_claim(30, 1).unwrap());
    bury(producer);
    for round in 0..20 {
        other.try_write(2, &pattern(20, round)).unwrap();
        if round == 0 {
            assert!(kinds(&mut consumer).is_empty());
            // SAFETY: the claim was forgotten, and nobody reaches its producer.
            assert!(unsafe { consumer.unblock() });
        }
        assert_eq!(drain(&mut consumer), [(2, pattern(20, round))]);
    }
}

fn a_panic_in_the_closure_consumes_its_record_and_no_other<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(256);
    for blocking in [false, true] {
        for kind in 1..=5 {
            producer.try_write(kind, &[1; 10]).unwrap();
        }
        let mut seen = Vec::new();
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            let each = |kind, _: &[u8]| {
                seen.push(kind);
                assert_ne!(kind, 3, "planted");
            };
            if blocking {
                let _ = consumer.read(9, each);
            } else {
                let _ = consumer.try_read(9, each);
            }
        }));
        assert!(result.is_err());
        assert_eq!(seen, [1, 2, 3]);
        assert_eq!(kinds(&mut consumer), [4, 5]);
        assert!(consumer.is_empty());
    }
}

fn every_way_to_wait_goes_on_and_ends<M: Mode>(new: New<M>, _: From<M>) {
    for (writes, reads) in [
        (Wait::Spin, Wait::Yield),
        (Wait::Yield, Wait::Park),
        (Wait::Park, Wait::Spin),
    ] {
        let (producer, consumer) = new(64);
        let mut producer = producer.with_wait(writes);
        let mut consumer = consumer.with_wait(reads);
        let error = consumer.read_timeout(SHORT, 1, |_, _| ()).unwrap_err();
        assert_eq!(error, PopTimeoutError::Timeout);
        let writing = thread::spawn(move || {
            for kind in 1..=200 {
                producer.write(kind, &[0; 20]).unwrap();
            }
        });
        let mut sum = 0;
        while consumer.read(3, |kind, _| sum += kind).is_ok() {}
        assert_eq!(sum, (1..=200).sum());
        writing.join().unwrap();
    }
}

fn limit_is_kept<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(256);
    for kind in 1..=5 {
        producer.try_write(kind, &[]).unwrap();
    }
    let mut seen = Vec::new();
    for (limit, count) in [(0, 0), (1, 1), (3, 3), (9, 1)] {
        assert_eq!(
            consumer.try_read(limit, |kind, _| seen.push(kind)),
            Ok(count)
        );
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    assert_eq!(consumer.try_read(0, |_, _| ()), Ok(0));
    assert_eq!(consumer.read(0, |_, _| ()), Ok(0));
}

fn closing_drains_what_was_committed_and_what_still_is<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(256);
    producer.try_write(1, &[]).unwrap();
    let claim = producer.try_claim(3, 2).unwrap();
    consumer.close();
    assert!(consumer.is_closed());
    assert_eq!(kinds(&mut consumer), [1]);
    assert_eq!(
        consumer.try_read(1, |_, _| ()),
        Err(TryPopError::Empty),
        "one is being written"
    );
    claim.commit();
    assert_eq!(producer.try_claim(1, 1).unwrap_err(), ClaimError::Closed);
    assert_eq!(producer.write(1, &[]), Err(ClaimError::Closed));
    assert_eq!(
        producer.write_timeout(1, &[], SHORT),
        Err(ClaimError::Closed)
    );
    assert_eq!(kinds(&mut consumer), [2]);
    for _ in 0..2 {
        assert_eq!(consumer.try_read(1, |_, _| ()), Err(TryPopError::Closed));
        assert_eq!(consumer.read(1, |_, _| ()), Err(PopError));
    }

    let (mut producer, mut consumer) = new(256);
    producer.try_write(1, &[]).unwrap();
    producer.close();
    producer.close();
    assert_eq!(producer.try_write(2, &[]), Err(ClaimError::Closed));
    assert_eq!(kinds(&mut consumer), [1]);
    assert_eq!(consumer.try_read(1, |_, _| ()), Err(TryPopError::Closed));
}

fn a_dropped_consumer_closes<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, consumer) = new(64);
    producer.try_write(1, &[]).unwrap();
    drop(consumer);
    assert!(producer.is_closed());
    assert_eq!(producer.claim(1, 1).unwrap_err(), ClaimError::Closed);
}

#[test]
fn the_last_producer_dropped_closes() {
    let (producer, mut consumer) = bytes::mpsc(64);
    let mut other = producer.clone();
    drop(producer);
    assert!(!consumer.is_closed());
    other.try_write(1, &[]).unwrap();
    drop(other);
    assert!(consumer.is_closed());
    assert_eq!(kinds(&mut consumer), [1]);
}

fn claims_time_out_and_go_on_when_there_is_room<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(64);
    producer.try_write(1, &[0; 24]).unwrap();
    producer.try_write(2, &[0; 24]).unwrap();
    assert_eq!(producer.try_write(3, &[]), Err(ClaimError::Full));
    let begin = Instant::now();
    assert_eq!(
        producer.write_timeout(3, &[], SHORT),
        Err(ClaimError::Timeout)
    );
    assert!(begin.elapsed() >= SHORT);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SHORT);
            assert_eq!(consumer.try_read(1, |_, _| ()), Ok(1));
        });
        producer.write(3, &[1; 24]).unwrap();
    });
    assert_eq!(kinds(&mut consumer), [2, 3]);
    producer
        .claim_timeout(24, 4, Duration::MAX)
        .unwrap()
        .commit();
    producer.try_write(5, &[0; 24]).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SHORT);
            consumer.close();
        });
        assert_eq!(producer.write(6, &[1; 24]), Err(ClaimError::Closed));
    });
    assert_eq!(kinds(&mut consumer), [4, 5]);
}

fn reads_time_out_and_end_when_closed<M: Mode>(new: New<M>, _: From<M>) {
    let (mut producer, mut consumer) = new(64);
    let begin = Instant::now();
    assert_eq!(
        consumer.read_timeout(SHORT, 1, |_, _| ()),
        Err(PopTimeoutError::Timeout)
    );
    assert!(begin.elapsed() >= SHORT);
    producer.try_write(1, &[]).unwrap();
    assert_eq!(consumer.read_timeout(Duration::MAX, 9, |_, _| ()), Ok(1));
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(SHORT);
            producer.try_write(1, &[]).unwrap();
            thread::sleep(SHORT);
        });
        assert_eq!(consumer.read(9, |_, _| ()), Ok(1));
        assert_eq!(consumer.read(9, |_, _| ()), Err(PopError));
    });
    assert_eq!(
        consumer.read_timeout(SHORT, 1, |_, _| ()),
        Err(PopTimeoutError::Closed)
    );
}

#[test]
fn errors_say_what_was_expected() {
    let too_long = ClaimError::TooLong { len: 25, max: 24 };
    let texts = [
        (too_long, "expected a record of at most 24 bytes, found 25"),
        (ClaimError::Kind(-3), "expected a positive kind, found -3"),
        (ClaimError::Closed, "the ring is closed"),
    ];
    for (error, text) in texts {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn handles_cross_threads() {
    fn is_send<T: Send>() {}
    is_send::<Producer<One>>();
    is_send::<Producer<Many>>();
    is_send::<Consumer>();
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Abort(usize),
    Forget(usize),
    Read(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..70_usize).prop_map(Step::Write),
        1 => (0..70_usize).prop_map(Step::Abort),
        1 => (0..70_usize).prop_map(Step::Forget),
        3 => (0..6_usize).prop_map(Step::Read),
    ];
    prop::collection::vec(step, 0..200)
}

/// Plays the steps on a ring and on a queue of what it must hold.
fn behaves_like_a_queue<M: Mode>(ends: Ends<M>, steps: Vec<Step>) {
    let (mut producer, mut consumer) = ends;
    let mut expected = VecDeque::new();
    for (n, step) in steps.into_iter().enumerate() {
        let kind = n as i32 + 1;
        match step {
            Step::Write(len) => match producer.try_write(kind, &pattern(len, n)) {
                Ok(()) => expected.push_back((kind, pattern(len, n))),
                Err(ClaimError::Full) => {
                    let size = (len + bytes::BYTES_OFFSET).next_multiple_of(bytes::ALIGNMENT);
                    assert!(consumer.len() + 2 * size > consumer.capacity());
                }
                Err(error) => assert_eq!(
                    error,
                    ClaimError::TooLong {
                        len,
                        max: producer.max_record()
                    }
                ),
            },
            Step::Abort(len) => {
                if let Ok(mut claim) = producer.try_claim(len, kind) {
                    claim.fill(0xdd);
                }
            }
            Step::Forget(len) => {
                if let Ok(mut claim) = producer.try_claim(len, kind) {
                    claim.fill(0xcc);
                    mem::forget(claim);
                }
            }
            Step::Read(limit) => {
                let mut got = Vec::new();
                let result =
                    consumer.try_read(limit, |kind, bytes| got.push((kind, bytes.to_vec())));
                let count = limit.min(expected.len());
                assert_eq!(got, expected.drain(..count).collect::<Vec<_>>());
                match result {
                    Ok(read) => assert_eq!(read, count),
                    Err(error) => {
                        assert_eq!(error, TryPopError::Empty);
                        assert_eq!(count, 0);
                    }
                }
            }
        }
        assert!(producer.len() <= producer.capacity());
    }
    drop(producer);
    assert_eq!(drain(&mut consumer), Vec::from(expected));
    assert_eq!(consumer.try_read(1, |_, _| ()), Err(TryPopError::Closed));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn one_producer_behaves_like_a_queue(
        exponent in 4..9_u32, start in any::<usize>(), steps in steps(),
    ) {
        behaves_like_a_queue(bytes::spsc_from(1 << exponent, start & !7), steps);
    }

    #[test]
    fn many_producers_behave_like_a_queue(
        exponent in 4..9_u32, start in any::<usize>(), steps in steps(),
    ) {
        behaves_like_a_queue(bytes::mpsc_from(1 << exponent, start & !7), steps);
    }
}

/// Cheap numbers that are not in order.
fn scramble(seed: usize) -> usize {
    let x = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (x ^ x >> 29) as usize
}

/// The bytes of the `n`th record of a producer: its number and something that only it would say.
fn record(producer: usize, n: usize) -> Vec<u8> {
    let len = 4 + scramble(n ^ producer << 20) % 61;
    let mut bytes = pattern(len, producer * 1000 + n);
    bytes[..4].copy_from_slice(&(n as u32).to_ne_bytes());
    bytes
}

/// Checks that each producer's records come whole and in its order; records whose number the producer gave up are missing.
fn check_stream(
    consumer: &mut Consumer,
    producers: usize,
    is_given_up: fn(usize) -> bool,
) -> usize {
    let mut next = vec![0; producers];
    let mut count = 0;
    while consumer
        .read(37, |kind, bytes| {
            let producer = kind as usize - 1;
            while is_given_up(next[producer]) {
                next[producer] += 1;
            }
            assert_eq!(bytes, record(producer, next[producer]));
            next[producer] += 1;
            count += 1;
        })
        .is_ok()
    {}
    count
}

fn is_given_up(n: usize) -> bool {
    n % 7 == 3
}

fn produce<M: Mode>(mut producer: Producer<M>, id: usize, count: usize) -> usize {
    let mut committed = 0;
    for n in 0..count {
        let bytes = record(id, n);
        let mut claim = producer.claim(bytes.len(), id as i32 + 1).unwrap();
        claim.copy_from_slice(&bytes);
        if !is_given_up(n) {
            claim.commit();
            committed += 1;
        } else if n % 2 == 0 {
            mem::forget(claim);
        }
    }
    committed
}

#[test]
fn one_producer_streams_whole_records_in_order() {
    for capacity in [256, 4096] {
        let (producer, mut consumer) = bytes::spsc(capacity);
        thread::scope(|scope| {
            let sent = scope.spawn(move || produce(producer, 0, RECORDS));
            let read = check_stream(&mut consumer, 1, is_given_up);
            assert_eq!(read, sent.join().unwrap());
        });
    }
}

#[test]
fn many_producers_stream_whole_records_each_in_order() {
    const PRODUCERS: usize = 4;
    for capacity in [256, 4096] {
        let (producer, mut consumer) = bytes::mpsc(capacity);
        thread::scope(|scope| {
            let sent: Vec<_> = (0..PRODUCERS)
                .map(|id| {
                    let producer = producer.clone();
                    scope.spawn(move || produce(producer, id, RECORDS / PRODUCERS))
                })
                .collect();
            drop(producer);
            let read = check_stream(&mut consumer, PRODUCERS, is_given_up);
            let sent: usize = sent.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(read, sent);
        });
    }
}

#[test]
fn closing_from_the_consumer_loses_no_committed_record() {
    for round in 0..scaled(300) {
        let (producer, mut consumer) = bytes::mpsc(512);
        thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|id| {
                    let mut producer = producer.clone();
                    scope.spawn(move || {
                        (0..)
                            .take_while(|_| producer.write(id + 1, &[7; 9]).is_ok())
                            .count()
                    })
                })
                .collect();
            let mut read = consumer.read(round % 20 + 1, |_, _| ()).unwrap();
            consumer.close();
            while let Ok(count) = consumer.read(5, |_, bytes| assert_eq!(bytes, [7; 9])) {
                read += count;
            }
            let written: usize = threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum();
            assert_eq!(read, written);
        });
    }
}

#[test]
fn ping_pong_loses_no_wake_up() {
    let (mut to, mut from_here) = bytes::spsc(16);
    let (mut back, mut from_there) = bytes::mpsc(16);
    thread::scope(|scope| {
        scope.spawn(move || {
            while from_here
                .read(1, |kind, _| back.write(kind, &[]).unwrap())
                .is_ok()
            {}
        });
        for kind in 1..=scaled(50_000) as i32 {
            to.write(kind, &[]).unwrap();
            from_there
                .read(1, |answer, _| assert_eq!(answer, kind))
                .unwrap();
        }
        drop(to);
    });
}
