//! The rings of records.

use std::mem;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use covet_queue::bytes::{self, ClaimError, Consumer, Many, Mode, Producer};
use covet_queue::{TryPopError, fence};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use crate::harness::{Plain, join_all, models, until};

models! {
    one_wrap, 3 preemptions, at least 9_000: || in_order(bytes::spsc_from(32, BEFORE_THE_END), 3);
    many_wrap, 3 preemptions, at least 9_000: || in_order(bytes::mpsc_from(32, BEFORE_THE_END), 3);
    two_producers, 2 preemptions, at least 12_000: two_producers_write_one_record_each;
    abort, 3 preemptions, at least 9_000: aborted_and_forgotten_claims_are_stepped_over;
    unblock, 3 preemptions, at least 4_500: a_dead_producer_is_stepped_over;
    consumer_closes_one, 3 preemptions, at least 1_800: || nothing_is_lost_when_the_consumer_closes(bytes::spsc(64));
    consumer_closes_many, 3 preemptions, at least 1_800: || nothing_is_lost_when_the_consumer_closes(bytes::mpsc(64));
    producer_closes, 2 preemptions, at least 29_000: nothing_is_lost_when_another_producer_closes;
    closed_claim, 4 preemptions, at least 3_000: a_refused_claim_shows_what_was_before;
    closed_read, 4 preemptions, at least 2_400: the_end_shows_what_was_before;
    closed_read_bare, 2 preemptions, at least 1_000: || {
        fence::set_bare(true);
        the_end_shows_what_was_before();
    };
    blocking_one, 2 preemptions, at least 11_000: || blocks_and_goes_on(bytes::spsc(16));
    blocking_many, 1 preemptions, at least 5_000: both_blocked_producers_are_woken;
}

/// A record of 8 bytes finds no room before the end of 32 from here, and soon the position wraps.
const BEFORE_THE_END: usize = usize::MAX - 7;

fn content(kind: i32) -> [u8; 8] {
    [kind as u8; 8]
}

fn write<M: Mode>(producer: &mut Producer<M>, kind: i32) {
    until(|| producer.try_write(kind, &content(kind)).is_ok());
}

/// Reads until `count` records came, and returns the sum of their kinds.
fn read(consumer: &mut Consumer, count: usize) -> i32 {
    let (mut left, mut sum) = (count, 0);
    until(|| {
        let result = consumer.try_read(left, |kind, bytes| {
            assert_eq!(bytes, content(kind));
            sum += kind;
        });
        match result {
            Ok(read) => left -= read,
            Err(error) => assert_eq!(error, TryPopError::Empty),
        }
        left == 0
    });
    sum
}

fn in_order<M: Mode>((mut producer, mut consumer): (Producer<M>, Consumer), count: i32) {
    let stays = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&stays);
    join_all([
        thread::spawn(move || {
            for kind in 1..=count {
                write(&mut producer, kind);
            }
            // Dropping it would close the ring, which other models look at.
            *keep.lock().unwrap() = Some(producer);
        }),
        thread::spawn(move || {
            for kind in 1..=count {
                assert_eq!(read(&mut consumer, 1), kind);
            }
        }),
    ]);
}

fn two_producers_write_one_record_each() {
    // Room for both: two threads that wait for a third would keep each other busy for ever.
    let (producer, mut consumer) = bytes::mpsc_from(64, BEFORE_THE_END);
    let writes = |kind| {
        let mut producer = producer.clone();
        move || write(&mut producer, kind)
    };
    join_all([
        thread::spawn(writes(1)),
        thread::spawn(writes(2)),
        thread::spawn(move || {
            assert_eq!(read(&mut consumer, 2), 3);
        }),
    ]);
}

fn aborted_and_forgotten_claims_are_stepped_over() {
    let (producer, mut consumer) = bytes::mpsc(32);
    let mut writer = producer.clone();
    join_all([
        thread::spawn(move || {
            let mut claim = writer.try_claim(8, 9).unwrap();
            claim.fill(9);
            drop(claim);
            let mut claim = writer.try_claim(8, 9).unwrap();
            claim.fill(9);
            mem::forget(claim);
            write(&mut writer, 1);
        }),
        thread::spawn(move || assert_eq!(read(&mut consumer, 1), 1)),
    ]);
}

fn a_dead_producer_is_stepped_over() {
    let (mut dying, mut consumer) = bytes::mpsc(32);
    let mut other = dying.clone();
    let is_dead = loom::sync::Arc::new(AtomicUsize::new(0));
    let died = loom::sync::Arc::clone(&is_dead);
    // Loom wants everything dropped in the end; nobody uses the ring any more by then.
    let graveyard = Arc::new(Mutex::new(None));
    let bury = Arc::clone(&graveyard);
    join_all([
        thread::spawn(move || {
            let mut claim = dying.try_claim(8, 9).unwrap();
            claim.fill(9);
            mem::forget(claim);
            *bury.lock().unwrap() = Some(dying);
            died.store(1, Ordering::Release);
            write(&mut other, 1);
            write(&mut other, 2);
        }),
        thread::spawn(move || {
            until(|| is_dead.load(Ordering::Acquire) == 1);
            // SAFETY: the oldest claim was forgotten before the flag was set, and its producer is out of reach.
            assert!(unsafe { consumer.unblock() });
            assert_eq!(read(&mut consumer, 1), 1);
            assert_eq!(read(&mut consumer, 1), 2);
        }),
    ]);
}

fn nothing_is_lost_when_the_consumer_closes<M: Mode>(ends: (Producer<M>, Consumer)) {
    let (mut producer, mut consumer) = ends;
    let written = Arc::new(Counter::new(0));
    let read = Arc::new(Counter::new(0));
    let (writes, reads) = (Arc::clone(&written), Arc::clone(&read));
    let stays = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&stays);
    join_all([
        thread::spawn(move || {
            for kind in 1..=2 {
                match producer.try_write(kind, &content(kind)) {
                    Ok(()) => {
                        writes.fetch_add(1, Relaxed);
                    }
                    Err(error) => assert_eq!(error, ClaimError::Closed),
                }
            }
            *keep.lock().unwrap() = Some(producer);
        }),
        thread::spawn(move || {
            let mut take = || {
                consumer.try_read(9, |kind, bytes| {
                    assert_eq!(bytes, content(kind));
                    reads.fetch_add(1, Relaxed);
                })
            };
            let _ = take();
            consumer.close();
            let mut take = || {
                consumer.try_read(9, |kind, bytes| {
                    assert_eq!(bytes, content(kind));
                    reads.fetch_add(1, Relaxed);
                })
            };
            until(|| take() == Err(TryPopError::Closed));
        }),
    ]);
    assert_eq!(written.load(Relaxed), read.load(Relaxed));
}

fn nothing_is_lost_when_another_producer_closes() {
    let (mut producer, mut consumer) = bytes::mpsc(64);
    let mut closer = producer.clone();
    let written = Arc::new(Counter::new(0));
    let read = Arc::new(Counter::new(0));
    let (writes, reads) = (Arc::clone(&written), Arc::clone(&read));
    join_all([
        thread::spawn(move || {
            for kind in 1..=2 {
                match producer.try_write(kind, &content(kind)) {
                    Ok(()) => {
                        writes.fetch_add(1, Relaxed);
                    }
                    Err(error) => assert_eq!(error, ClaimError::Closed),
                }
            }
        }),
        thread::spawn(move || {
            closer.close();
            assert_eq!(closer.try_claim(0, 1).unwrap_err(), ClaimError::Closed);
        }),
        thread::spawn(move || {
            until(|| {
                let each = |kind, bytes: &[u8]| {
                    assert_eq!(bytes, content(kind));
                    reads.fetch_add(1, Relaxed);
                };
                consumer.try_read(9, each) == Err(TryPopError::Closed)
            });
        }),
    ]);
    assert_eq!(written.load(Relaxed), read.load(Relaxed));
}

fn a_refused_claim_shows_what_was_before() {
    let (mut producer, mut consumer) = bytes::spsc(16);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            let _ = consumer.try_read(1, |_, _| ());
            before.write();
            consumer.close();
        }),
        thread::spawn(move || {
            until(|| producer.try_write(1, &[]) == Err(ClaimError::Closed));
            after.assert_written();
        }),
    ]);
}

fn the_end_shows_what_was_before() {
    let (mut producer, mut consumer) = bytes::spsc(16);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            producer.try_write(1, &[]).unwrap();
            before.write();
            producer.close();
        }),
        thread::spawn(move || {
            until(|| consumer.try_read(1, |_, _| ()) == Err(TryPopError::Closed));
            after.assert_written();
        }),
    ]);
}

fn blocks_and_goes_on<M: Mode>((mut producer, mut consumer): (Producer<M>, Consumer)) {
    join_all([
        thread::spawn(move || {
            for kind in 1..=3 {
                producer.write(kind, &[]).unwrap();
            }
        }),
        thread::spawn(move || {
            let mut sum = 0;
            while consumer.read(1, |kind, _| sum += kind).is_ok() {}
            assert_eq!(sum, 6);
        }),
    ]);
}

/// Two writes wait for room, and one read frees enough for both.
fn both_blocked_producers_are_woken() {
    let (mut producer, mut consumer) = bytes::mpsc(16);
    producer.try_write(1, &[]).unwrap();
    producer.try_write(1, &[]).unwrap();
    let write = |mut producer: Producer<Many>| move || producer.write(2, &[]).unwrap();
    // Dropping the consumer would close the ring.
    let stays = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&stays);
    join_all([
        thread::spawn(write(producer.clone())),
        thread::spawn(write(producer.clone())),
        thread::spawn(move || {
            assert_eq!(consumer.try_read(2, |_, _| ()), Ok(2));
            *keep.lock().unwrap() = Some(consumer);
        }),
    ]);
}
