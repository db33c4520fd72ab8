//! Threads that compute and a task that serves, on one ring; and a task that takes from two rings, with a timeout.
//!
//! Run with `cargo run -p covet-queue --features async --example thread_and_task`.

use std::thread;
use std::time::Duration;

use covet_queue::{PopError, mpsc, spsc};
use futures_util::StreamExt;
use tokio::time::timeout;

const NUMBERS: u64 = 10_000;

fn is_prime(n: u64) -> bool {
    n > 1
        && (2..)
            .take_while(|d| d * d <= n)
            .all(|d| !n.is_multiple_of(d))
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Numbers go to the threads one by one, primes come back; both rings are small, so everybody waits for everybody.
    let (found, mut primes) = mpsc::bounded(16);
    let (mut numbers, workers): (Vec<_>, Vec<_>) = (0..2)
        .map(|_| {
            let (numbers, mut work) = spsc::bounded(16);
            let found = found.clone();
            let worker = thread::spawn(move || {
                while let Ok(n) = work.pop() {
                    if is_prime(n) {
                        found.push(n).unwrap();
                    }
                }
            });
            (numbers, worker)
        })
        .unzip();
    drop(found); // the threads have their own: when both are done, the ring is closed

    let feeder = tokio::spawn(async move {
        for n in 0..NUMBERS {
            let ring = &mut numbers[n as usize % 2];
            ring.send(n).await.unwrap();
        }
        // Dropping `numbers` closes the rings, and the threads end.
    });
    let mut count = 0;
    while primes.recv().await.is_ok() {
        count += 1;
    }
    feeder.await.unwrap();
    for worker in workers {
        worker.join().unwrap();
    }
    println!("{count} primes below {NUMBERS}");
    assert_eq!(count, 1_229);

    // Streams keep their place among the waiters while `select!` drops their futures in each round.
    let (mut ticks, from_ticks) = spsc::bounded(4);
    let (words, from_words) = mpsc::bounded(4);
    let thread = thread::spawn(move || {
        for tick in 0..3 {
            ticks.push(tick).unwrap();
            words.push("word").unwrap();
        }
    });
    let (mut from_ticks, mut from_words) = (from_ticks.into_stream(), from_words.into_stream());
    loop {
        tokio::select! {
            Some(tick) = from_ticks.next() => println!("tick {tick}"),
            Some(word) = from_words.next() => println!("{word}"),
            else => break, // both rings are closed and drained
        }
    }
    thread.join().unwrap();

    // A timeout drops the future. Nothing is lost by that.
    let (mut late, mut consumer) = spsc::bounded(1);
    assert!(
        timeout(Duration::from_millis(10), consumer.recv())
            .await
            .is_err()
    );
    late.push("here it is").unwrap();
    drop(late);
    assert_eq!(consumer.recv().await, Ok("here it is"));
    assert_eq!(consumer.recv().await, Err(PopError));
}
