//! ThreadSanitizer on many operations of every kind, with real threads.
//!
//! ```text
//! TSAN_OPTIONS=suppressions=tests/races.supp \
//! RUSTFLAGS="--cfg tsan -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer" \
//!     cargo +nightly test --release -p covet-queue --test races --target x86_64-unknown-linux-gnu -- --test-threads=1
//! ```
//!
//! `COVET_QUEUE_OPERATIONS` says how many values all tests together hand over, 1000000 if it is not set. The standard library
//! is not instrumented, so `--cfg tsan` has locks and parking made of atomics (`src/sync/tsan.rs`), and one channel
//! inside the test runner is suppressed.
#![cfg(tsan)]

mod hand_over;
mod planted;

use std::env;

use covet_queue::{bytes, mpmc, mpsc, spsc, weaken};
use hand_over::{How, through, through_bytes};

macro_rules! tests {
    ($($name:ident: $threads:literal producers, $run:expr;)*) => {
        const TESTS: usize = [$(stringify!($name)),*].len();

        $(
            #[test]
            fn $name() {
                // Looked up before there are other threads, since looking up takes a lock of the standard library.
                weaken::weakened();
                let values = env::var("COVET_QUEUE_OPERATIONS");
                let values: usize = values.map_or(1_000_000, |text| text.parse().unwrap());
                let each = values.div_ceil(TESTS * $threads);
                $run(each);
                println!("{}: {} values", stringify!($name), each * $threads);
            }
        )*
    };
}

tests! {
    spsc_try: 1 producers, |each| through_spsc(each, How::Try);
    spsc_block: 1 producers, |each| through_spsc(each, How::Block);
    spsc_batch: 1 producers, |each| through_spsc(each, How::Batch);
    spsc_claim: 1 producers, |each| through_spsc(each, How::Claim);
    mpsc_try: 2 producers, |each| through_mpsc(each, How::Try);
    mpsc_block: 2 producers, |each| through_mpsc(each, How::Block);
    mpsc_batch: 2 producers, |each| through_mpsc(each, How::Batch);
    mpsc_claim: 2 producers, |each| through_mpsc(each, How::Claim);
    mpmc_try: 2 producers, |each| through_mpmc(each, How::Try);
    mpmc_block: 2 producers, |each| through_mpmc(each, How::Block);
    mpmc_batch: 2 producers, |each| through_mpmc(each, How::Batch);
    mpmc_claim: 2 producers, |each| through_mpmc(each, How::Claim);
    bytes_one_try: 1 producers, |each| through_one_bytes(each, How::Try);
    bytes_one_block: 1 producers, |each| through_one_bytes(each, How::Block);
    bytes_many_try: 2 producers, |each| through_many_bytes(each, How::Try);
    bytes_many_block: 2 producers, |each| through_many_bytes(each, How::Block);
}

fn through_spsc(each: usize, how: How) {
    let (producer, consumer) = spsc::bounded(16);
    through(vec![producer], vec![consumer], each, how);
}

fn through_mpsc(each: usize, how: How) {
    let (producer, consumer) = mpsc::bounded(16);
    through(vec![producer; 2], vec![consumer], each, how);
}

fn through_mpmc(each: usize, how: How) {
    let (producer, consumer) = mpmc::bounded(16);
    through(vec![producer; 2], vec![consumer; 2], each, how);
}

fn through_one_bytes(each: usize, how: How) {
    let (producer, consumer) = bytes::spsc(256);
    through_bytes(vec![producer], consumer, each, how);
}

fn through_many_bytes(each: usize, how: How) {
    let (producer, consumer) = bytes::mpsc(256);
    through_bytes(vec![producer; 2], consumer, each, how);
}

/// Each ordering of the ways that values take, taken away: ThreadSanitizer must see it, or its silence is worth nothing.
/// (Where threads block, the lock that they sleep by mostly orders what is missing.)
#[test]
fn a_planted_race_is_found() {
    for (ordering, test) in [
        ("spsc: push publishes", "spsc_try"),
        ("spsc: pop sees tail", "spsc_try"),
        ("spsc: pop frees", "spsc_try"),
        ("spsc: push sees head", "spsc_try"),
        ("mpmc: push publishes", "mpmc_try"),
        ("mpmc: pop sees slot", "mpmc_try"),
        ("mpmc: pop frees", "mpmc_try"),
        ("mpmc: push sees slot", "mpmc_try"),
        ("mpsc: pop frees", "mpsc_try"),
        ("mpsc: push sees head", "mpsc_try"),
        ("bytes: commit publishes", "bytes_one_try"),
        ("bytes: read sees length", "bytes_many_try"),
        ("bytes: read frees", "bytes_one_try"),
        ("bytes: claim sees head", "bytes_many_try"),
    ] {
        let run = planted::run(test, "nothing");
        assert!(run.status.success(), "{test} fails as it is");
        let run = planted::run(test, ordering);
        let report = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success(), "{test} passes without {ordering:?}");
        assert!(report.contains("ThreadSanitizer: data race"), "{report}");
        println!("{ordering}: rejected by {test}");
    }
}
