//! Rings of `covet-queue` beside their peers: `cargo bench -p covet-benches --bench queue`.
//!
//! Streams send `u64` through a queue of capacity 1024, from one or two producer threads to as many consumers, at most one
//! of a kind waiting in any other way than this: 32 pauses, then yield (`spin`), or the queue's own blocking calls
//! (`block`). Ping-pongs send one value there and back over two queues with the blocking calls. Every run checks order (one
//! producer, one consumer) or sum, the timed ones included.
//!
//! Criterion reports each case by itself. After that, all queues of a case run in turn, round after round, and the table
//! shows the lower quartile of each and its ratio to Covet. `-- ratios` prints only the tables, `-- ratios 2P2C` only those
//! of cases with that word.

use std::collections::VecDeque;
use std::env;
use std::hint;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use covet_queue::{mpmc, spsc};
use criterion::{Criterion, SamplingMode, Throughput};

const CAPACITY: usize = 1024;
/// Values per timed run of a stream, round trips per timed run of a ping-pong.
const STREAM: u64 = 400_000;
const TRIPS: u64 = 20_000;
/// For the check before timing.
const CHECKED: u64 = 20_000;
const ROUNDS: usize = 15;

/// One end that takes values in.
trait Push: Send + 'static {
    fn push(&mut self, value: u64);
}

/// One end that gives values out.
trait Pop: Send + 'static {
    fn pop(&mut self) -> u64;
}

/// Ends made of closures.
struct End<F>(F);

impl<F: FnMut(u64) + Send + 'static> Push for End<F> {
    #[inline(always)]
    fn push(&mut self, value: u64) {
        (self.0)(value);
    }
}

impl<F: FnMut() -> u64 + Send + 'static> Pop for End<F> {
    #[inline(always)]
    fn pop(&mut self) -> u64 {
        (self.0)()
    }
}

/// Retries with 32 pauses, then yields between tries.
#[inline(always)]
fn spin<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    let mut tries = 0;
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        if tries < 32 {
            tries += 1;
            hint::spin_loop();
        } else {
            thread::yield_now();
        }
    }
}

/// Sends `count` values from the producers to the consumers and returns how long that took.
fn stream<P: Push, C: Pop>(producers: Vec<P>, consumers: Vec<C>, count: u64) -> Duration {
    let in_order = producers.len() == 1 && consumers.len() == 1;
    let start = Arc::new(Barrier::new(producers.len() + consumers.len() + 1));
    let each_in = count / producers.len() as u64;
    let each_out = count / consumers.len() as u64;
    let pushing: Vec<_> = producers
        .into_iter()
        .map(|mut producer| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                for value in 0..each_in {
                    producer.push(value);
                }
                // Kept until the consumers are done too: some queues close when an end goes.
                producer
            })
        })
        .collect();
    let producers = pushing.len() as u64;
    let popping: Vec<_> = consumers
        .into_iter()
        .map(|mut consumer| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                start.wait();
                let mut sum = 0;
                for expected in 0..each_out {
                    let value = consumer.pop();
                    assert!(!in_order || value == expected, "out of order");
                    sum += value;
                }
                (sum, consumer)
            })
        })
        .collect();
    start.wait();
    let begin = Instant::now();
    let popped: Vec<_> = popping.into_iter().map(|t| t.join().unwrap()).collect();
    let took = begin.elapsed();
    for thread in pushing {
        thread.join().unwrap();
    }
    let sum: u64 = popped.iter().map(|(sum, _)| sum).sum();
    assert_eq!(sum, producers * (each_in * (each_in - 1) / 2), "wrong sum");
    took
}

/// Sends `count` values there and back, one at a time, and returns how long that took.
fn ping_pong<P: Push, C: Pop>(there: (P, C), back: (P, C), count: u64) -> Duration {
    let (mut to, mut from_here) = there;
    let (mut answer, mut from_there) = back;
    let echo = thread::spawn(move || {
        for _ in 0..count {
            let value = from_here.pop();
            answer.push(value + 1);
        }
        (from_here, answer)
    });
    // The first trip also waits for the thread to start.
    to.push(0);
    assert_eq!(from_there.pop(), 1);
    let begin = Instant::now();
    for value in 1..count {
        to.push(value);
        assert_eq!(from_there.pop(), value + 1);
    }
    let took = begin.elapsed();
    echo.join().unwrap();
    took
}

fn covet_spsc_spin() -> (impl Push, impl Pop) {
    let (mut producer, mut consumer) = spsc::bounded(CAPACITY);
    (
        End(move |value| spin(|| producer.try_push(value).ok())),
        End(move || spin(|| consumer.try_pop().ok())),
    )
}

fn covet_spsc_block() -> (impl Push, impl Pop) {
    let (mut producer, mut consumer) = spsc::bounded(CAPACITY);
    (
        End(move |value| producer.push(value).unwrap()),
        End(move || consumer.pop().unwrap()),
    )
}

fn covet_mpmc_spin() -> (impl Push + Clone, impl Pop + Clone) {
    let (producer, consumer) = mpmc::bounded(CAPACITY);
    (
        End(move |value| spin(|| producer.try_push(value).ok())),
        End(move || spin(|| consumer.try_pop().ok())),
    )
}

fn covet_mpmc_block() -> (impl Push + Clone, impl Pop + Clone) {
    let (producer, consumer) = mpmc::bounded(CAPACITY);
    (
        End(move |value| producer.push(value).unwrap()),
        End(move || consumer.pop().unwrap()),
    )
}

fn rtrb_spin() -> (impl Push, impl Pop) {
    let (mut producer, mut consumer) = rtrb::RingBuffer::new(CAPACITY);
    (
        End(move |value| spin(|| producer.push(value).ok())),
        End(move || spin(|| consumer.pop().ok())),
    )
}

fn array_queue_spin() -> (impl Push + Clone, impl Pop + Clone) {
    let queue = Arc::new(crossbeam_queue::ArrayQueue::new(CAPACITY));
    let other = Arc::clone(&queue);
    (
        End(move |value| spin(|| queue.push(value).ok())),
        End(move || spin(|| other.pop())),
    )
}

fn channel_spin() -> (impl Push + Clone, impl Pop + Clone) {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    (
        End(move |value| spin(|| sender.try_send(value).ok())),
        End(move || spin(|| receiver.try_recv().ok())),
    )
}

fn channel_block() -> (impl Push + Clone, impl Pop + Clone) {
    let (sender, receiver) = crossbeam_channel::bounded(CAPACITY);
    (
        End(move |value| sender.send(value).unwrap()),
        End(move || receiver.recv().unwrap()),
    )
}

fn mutex_block() -> (impl Push + Clone, impl Pop + Clone) {
    #[derive(Default)]
    struct Locked {
        values: Mutex<VecDeque<u64>>,
        not_empty: Condvar,
        not_full: Condvar,
    }
    let queue = Arc::new(Locked::default());
    let other = Arc::clone(&queue);
    (
        End(move |value| {
            let values = queue.values.lock().unwrap();
            let is_full = |values: &mut VecDeque<u64>| values.len() == CAPACITY;
            let mut values = queue.not_full.wait_while(values, is_full).unwrap();
            values.push_back(value);
            drop(values);
            queue.not_empty.notify_one();
        }),
        End(move || {
            let values = other.values.lock().unwrap();
            let is_empty = |values: &mut VecDeque<u64>| values.is_empty();
            let mut values = other.not_empty.wait_while(values, is_empty).unwrap();
            let value = values.pop_front().unwrap();
            drop(values);
            other.not_full.notify_one();
            value
        }),
    )
}

impl<F: Clone> Clone for End<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Runs one queue once, for so many values or round trips.
type Run = fn(u64) -> Duration;

struct Case {
    name: &'static str,
    count: u64,
    /// Covet first.
    queues: &'static [(&'static str, Run)],
}

macro_rules! one_to_one {
    ($make:ident) => {
        (stringify!($make), |count| {
            let (producer, consumer) = $make();
            stream(vec![producer], vec![consumer], count)
        })
    };
}

macro_rules! two_to_two {
    ($make:ident) => {
        (stringify!($make), |count| {
            let (producer, consumer) = $make();
            stream(
                vec![producer.clone(), producer],
                vec![consumer.clone(), consumer],
                count,
            )
        })
    };
}

macro_rules! there_and_back {
    ($make:ident) => {
        (stringify!($make), |count| {
            ping_pong($make(), $make(), count)
        })
    };
}

const CASES: &[Case] = &[
    Case {
        name: "stream 1P1C, one producer and consumer allowed",
        count: STREAM,
        queues: &[
            one_to_one!(covet_spsc_spin),
            one_to_one!(rtrb_spin),
            one_to_one!(array_queue_spin),
            one_to_one!(channel_spin),
            one_to_one!(mutex_block),
        ],
    },
    Case {
        name: "stream 1P1C, many allowed",
        count: STREAM,
        queues: &[
            one_to_one!(covet_mpmc_spin),
            one_to_one!(array_queue_spin),
            one_to_one!(channel_spin),
            one_to_one!(mutex_block),
        ],
    },
    Case {
        name: "stream 2P2C",
        count: STREAM,
        queues: &[
            two_to_two!(covet_mpmc_spin),
            two_to_two!(array_queue_spin),
            two_to_two!(channel_spin),
            two_to_two!(mutex_block),
        ],
    },
    Case {
        name: "blocking stream 1P1C, one producer and consumer allowed",
        count: STREAM,
        queues: &[
            one_to_one!(covet_spsc_block),
            one_to_one!(channel_block),
            one_to_one!(mutex_block),
        ],
    },
    Case {
        name: "blocking stream 2P2C",
        count: STREAM,
        queues: &[
            two_to_two!(covet_mpmc_block),
            two_to_two!(channel_block),
            two_to_two!(mutex_block),
        ],
    },
    Case {
        name: "blocking ping-pong, one producer and consumer allowed",
        count: TRIPS,
        queues: &[
            there_and_back!(covet_spsc_block),
            there_and_back!(channel_block),
            there_and_back!(mutex_block),
        ],
    },
    Case {
        name: "blocking ping-pong, many allowed",
        count: TRIPS,
        queues: &[
            there_and_back!(covet_mpmc_block),
            there_and_back!(channel_block),
            there_and_back!(mutex_block),
        ],
    },
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    for case in CASES {
        for (_, run) in case.queues {
            run(CHECKED);
        }
    }
    println!("checked: order and sums of every queue in every case");
    // Criterion's convention: without `--bench` this is a test run.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    match arguments.iter().position(|argument| argument == "ratios") {
        Some(place) => {
            let word = arguments
                .get(place + 1)
                .filter(|word| !word.starts_with('-'));
            ratios(word.map_or("", String::as_str));
        }
        None => {
            criterion();
            ratios("");
        }
    }
}

fn criterion() {
    let mut criterion = Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for case in CASES {
        let mut group = criterion.benchmark_group(case.name);
        group
            .throughput(Throughput::Elements(case.count))
            .sampling_mode(SamplingMode::Flat);
        for (name, run) in case.queues {
            group.bench_function(*name, |bencher| {
                bencher.iter_custom(|iterations| (0..iterations).map(|_| run(case.count)).sum());
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Prints for each case the lower quartile of every queue, taken in interleaved rounds, and its ratio to Covet's.
fn ratios(word: &str) {
    for case in CASES.iter().filter(|case| case.name.contains(word)) {
        let mut samples = vec![Vec::new(); case.queues.len()];
        for round in 0..ROUNDS {
            for place in 0..case.queues.len() {
                // Each round starts with another queue, so that none always runs after the same neighbour.
                let queue = (place + round) % case.queues.len();
                samples[queue].push((case.queues[queue].1)(case.count));
            }
        }
        let quartiles: Vec<f64> = samples
            .iter_mut()
            .map(|samples| {
                samples.sort();
                samples[ROUNDS / 4].as_nanos() as f64 / case.count as f64
            })
            .collect();
        println!("\n{}", case.name);
        for ((name, _), nanos) in case.queues.iter().zip(&quartiles) {
            let ratio = nanos / quartiles[0];
            println!("  {name:18} {nanos:9.1} ns  {ratio:7.2} x covet");
        }
    }
}
