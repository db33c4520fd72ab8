//! What a record costs in the rings of bytes: `cargo bench -p covet-queue --bench bytes`.
//!
//! `alone` writes and reads on one thread, which shows the instructions. `stream` has a producer and a consumer thread with the
//! default way to wait; each stream counts its records.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use covet_queue::bytes::{self, Consumer, Mode, Producer};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const CAPACITY: usize = 64 * 1024;
const LENGTHS: [usize; 3] = [8, 64, 512];
/// The most records in one read.
const LIMIT: usize = 64;

type Ends<M> = (Producer<M>, Consumer);

fn alone(c: &mut Criterion) {
    fn one<M: Mode>(c: &mut Criterion, name: &str, (mut producer, mut consumer): Ends<M>) {
        let mut group = c.benchmark_group(format!("alone/bytes {name}"));
        for len in LENGTHS {
            let record = vec![1; len];
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |b| {
                b.iter(|| {
                    producer.try_write(1, black_box(&record)).unwrap();
                    consumer.try_read(1, |_, bytes| assert_eq!(bytes.len(), len))
                });
            });
        }
    }
    one(c, "spsc", bytes::spsc(CAPACITY));
    one(c, "mpsc", bytes::mpsc(CAPACITY));
}

fn stream(c: &mut Criterion) {
    fn run<M: Mode>((mut producer, mut consumer): Ends<M>, len: usize, count: u64) -> Duration
    where
        Producer<M>: Send,
    {
        let record = vec![1; len];
        let start = Instant::now();
        let sending = thread::spawn(move || {
            for _ in 0..count {
                producer.write(1, &record).unwrap();
            }
        });
        let mut read = 0;
        while let Ok(records) = consumer.read(LIMIT, |_, bytes| assert_eq!(bytes.len(), len)) {
            read += records as u64;
        }
        sending.join().unwrap();
        let time = start.elapsed();
        assert_eq!(read, count);
        time
    }

    fn one<M: Mode>(c: &mut Criterion, name: &str, ends: fn(usize) -> Ends<M>) {
        let mut group = c.benchmark_group(format!("stream/bytes {name}"));
        for len in LENGTHS {
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::from_parameter(len), |b| {
                b.iter_custom(|count| run(ends(CAPACITY), len, count));
            });
        }
    }
    one(c, "spsc", bytes::spsc);
    one(c, "mpsc", bytes::mpsc);
}

criterion_group!(benches, alone, stream);
criterion_main!(benches);
