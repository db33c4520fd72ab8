//! What an element costs in each ring: `cargo bench -p covet-queue`.
//!
//! `alone` pushes and pops on one thread, which shows the instructions. `stream` has a producer and a consumer thread with the
//! default way to wait, one by one and in batches of 64; each stream checks the sum. Peers are in the workspace's `benches`.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use covet_queue::{Consumer, Producer, mpmc, mpsc, spsc};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const CAPACITY: usize = 1024;
const BATCH: usize = 64;

fn alone(c: &mut Criterion) {
    fn one<P: Producer<u64>, C: Consumer<u64>>(c: &mut Criterion, name: &str, ends: (P, C)) {
        let (mut producer, mut consumer) = ends;
        let mut group = c.benchmark_group(format!("alone/{name}"));
        group.throughput(Throughput::Elements(1));
        group.bench_function("item", |b| {
            b.iter(|| {
                producer.try_push(black_box(1)).unwrap();
                consumer.try_pop()
            });
        });
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function("batch", |b| {
            b.iter(|| {
                producer.push_batch(0..black_box(BATCH as u64)).unwrap();
                let mut sum = 0;
                consumer.pop_batch(BATCH, |value| sum += value).unwrap();
                assert_eq!(sum, (BATCH * (BATCH - 1) / 2) as u64);
            });
        });
    }
    one(c, "spsc", spsc::bounded(CAPACITY));
    one(c, "mpsc", mpsc::bounded(CAPACITY));
    one(c, "mpmc", mpmc::bounded(CAPACITY));
}

fn stream(c: &mut Criterion) {
    fn run<P, C>(ends: (P, C), count: u64, batch: usize) -> Duration
    where
        P: Producer<u64> + Send + 'static,
        C: Consumer<u64>,
    {
        let (mut producer, mut consumer) = ends;
        let start = Instant::now();
        let sending = thread::spawn(move || {
            if batch == 1 {
                for value in 0..count {
                    producer.push(value).unwrap();
                }
                return;
            }
            let mut next = 0;
            while next < count {
                let end = count.min(next + batch as u64);
                producer.push_batch(next..end).unwrap();
                next = end;
            }
        });
        let mut sum = 0_u64;
        if batch == 1 {
            while let Ok(value) = consumer.pop() {
                sum = sum.wrapping_add(value);
            }
        } else {
            while consumer
                .pop_batch(batch, |value| sum = sum.wrapping_add(value))
                .is_ok()
            {}
        }
        sending.join().unwrap();
        let time = start.elapsed();
        let expected = u128::from(count) * u128::from(count.saturating_sub(1)) / 2;
        assert_eq!(sum, expected as u64);
        time
    }

    fn both<P, C>(c: &mut Criterion, name: &str, ends: fn(usize) -> (P, C))
    where
        P: Producer<u64> + Send + 'static,
        C: Consumer<u64>,
    {
        let mut group = c.benchmark_group(format!("stream/{name}"));
        group.throughput(Throughput::Elements(1));
        for (case, batch) in [("item", 1), ("batch", BATCH)] {
            group.bench_function(case, |b| {
                b.iter_custom(|count| run(ends(CAPACITY), count, batch));
            });
        }
    }
    both(c, "spsc", spsc::bounded);
    both(c, "mpsc", mpsc::bounded);
    both(c, "mpmc", mpmc::bounded);
}

criterion_group!(benches, alone, stream);
criterion_main!(benches);
