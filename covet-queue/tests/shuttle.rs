//! Random schedules of more threads than the models in `loom` can bear, and of everything that blocks. Half of the schedules are
//! uniformly random, half are PCT (Burckhardt and others, ASPLOS 2010) of depth 3. Memory is sequentially consistent here.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p covet-queue --test shuttle`, with `COVET_QUEUE_SCHEDULES` schedules for each
//! test instead of 4000, if set.
#![cfg(shuttle)]

mod hand_over;
mod planted;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use covet_queue::{bytes, mpmc, mpsc, spsc};
use hand_over::{How, through, through_bytes};
use shuttle::thread;

fn explore(name: &str, run: fn()) {
    let schedules = env::var("COVET_QUEUE_SCHEDULES").map_or(4_000, |text| text.parse().unwrap());
    let explored = Arc::new(AtomicUsize::new(0));
    let counted = || {
        let explored = Arc::clone(&explored);
        move || {
            explored.fetch_add(1, Relaxed);
            run();
        }
    };
    shuttle::check_random(counted(), schedules / 2);
    shuttle::check_pct(counted(), schedules / 2, 3);
    let explored = explored.load(Relaxed);
    println!("{name}: {explored} schedules");
    assert!(explored >= schedules / 2 * 2);
}

macro_rules! explorations {
    ($($name:ident: $run:expr;)*) => {$(
        #[test]
        fn $name() {
            explore(stringify!($name), || $run);
        }
    )*};
}

explorations! {
    spsc_1p1c_try: through_spsc(How::Try);
    spsc_1p1c_block: through_spsc(How::Block);
    spsc_1p1c_batch: through_spsc(How::Batch);
    spsc_1p1c_claim: through_spsc(How::Claim);
    mpsc_3p1c_try: through_mpsc(How::Try);
    mpsc_3p1c_block: through_mpsc(How::Block);
    mpsc_3p1c_batch: through_mpsc(How::Batch);
    mpsc_3p1c_claim: through_mpsc(How::Claim);
    mpmc_3p3c_try: through_mpmc(How::Try);
    mpmc_3p3c_block: through_mpmc(How::Block);
    mpmc_3p3c_counted: as_many_pops_as_pushes(4);
    mpmc_3p3c_once: as_many_pops_as_pushes(1);
    mpmc_3p3c_batch: through_mpmc(How::Batch);
    mpmc_3p3c_claim: through_mpmc(How::Claim);
    bytes_1p1c: {
        let (producer, consumer) = bytes::spsc(64);
        through_bytes(vec![producer], consumer, 4, How::Block);
    };
    bytes_3p1c: {
        let (producer, consumer) = bytes::mpsc(64);
        through_bytes(vec![producer; 3], consumer, 4, How::Block);
    };
}

fn through_spsc(how: How) {
    let (producer, consumer) = spsc::bounded_from(2, usize::MAX - 2);
    through(vec![producer], vec![consumer], 8, how);
}

fn through_mpsc(how: How) {
    let (producer, consumer) = mpsc::bounded_from(2, usize::MAX - 2);
    through(vec![producer; 3], vec![consumer], 4, how);
}

fn through_mpmc(how: How) {
    let (producer, consumer) = mpmc::bounded_from(2, usize::MAX - 2);
    through(vec![producer; 3], vec![consumer; 3], 4, how);
}

/// Every consumer pops as many as every producer pushes, and nobody closes: one lost wake-up, and someone sleeps for ever.
fn as_many_pops_as_pushes(each: usize) {
    let (producer, consumer) = mpmc::bounded(2);
    let pushing = [(); 3].map(|()| {
        let producer = producer.clone();
        thread::spawn(move || (0..each).for_each(|n| producer.push(n).unwrap()))
    });
    let popping = [(); 3].map(|()| {
        let consumer = consumer.clone();
        thread::spawn(move || {
            assert_eq!((0..each).filter_map(|_| consumer.pop().ok()).count(), each)
        })
    });
    for thread in pushing.into_iter().chain(popping) {
        thread.join().unwrap();
    }
}

#[test]
fn a_planted_fault_is_found() {
    let fault = "mpmc: woken pop passes on";
    let run = planted::run("mpmc_3p3c_once", fault);
    let report = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success(), "nobody misses {fault:?}");
    assert!(report.contains("deadlock"), "{report}");
}
