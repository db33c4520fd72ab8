//! What is done with every queue: streams and ping-pongs over two traits.

use std::hint;
use std::ops::Range;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// What the queues carry: values that know their number.
pub(crate) trait Item: Copy + Default + Send + Sync + Unpin + 'static {
    fn new(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Item for u64 {
    #[inline(always)]
    fn new(number: u64) -> Self {
        number
    }

    #[inline(always)]
    fn number(&self) -> u64 {
        *self
    }
}

/// 64 bytes, aligned as the queue likes.
impl Item for [u64; 8] {
    #[inline(always)]
    fn new(number: u64) -> Self {
        [number; 8]
    }

    #[inline(always)]
    fn number(&self) -> u64 {
        self[7]
    }
}

/// A queue to measure: how its ends are made.
pub(crate) trait Queue<T: Item> {
    type Push: Push<T>;
    type Pop: Pop<T>;
    fn ends(capacity: usize) -> (Self::Push, Self::Pop);
}

/// The end that takes values. What a queue lacks is never called.
pub(crate) trait Push<T: Item>: Send + 'static {
    /// Pushes if there is room.
    fn try_push(&mut self, value: T) -> bool;

    /// Pushes by the queue's own waiting.
    fn push(&mut self, _value: T) {
        unreachable!("not among the blocking queues");
    }

    /// Pushes the first values of these numbers for which there is room, and returns how many. One by one, if the queue
    /// knows no batches.
    #[inline(always)]
    fn try_push_batch(&mut self, mut numbers: Range<u64>) -> u64 {
        let first = numbers.start;
        let full = numbers.find(|&number| !self.try_push(T::new(number)));
        full.unwrap_or(numbers.end) - first
    }
}

/// The end that gives values.
pub(crate) trait Pop<T: Item>: Send + 'static {
    /// Pops if there is a value.
    fn try_pop(&mut self) -> Option<T>;

    /// Pops by the queue's own waiting.
    fn pop(&mut self) -> T {
        unreachable!("not among the blocking queues");
    }

    /// Pops what there is, but no more than `most`, and returns how many that was. One by one, if the queue knows no
    /// batches.
    #[inline(always)]
    fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(T)) -> u64 {
        let values = std::iter::from_fn(|| self.try_pop());
        values.take(most as usize).map(each).count() as u64
    }
}

/// How values are sent and received.
pub(crate) trait Manner {
    /// Whether threads of a pair get a core each. Not where the queue decides how to wait: threads that block are placed by
    /// the system, and a thread that may use one core only looks to it like a machine with one core.
    const PINNED: bool;

    fn send<T: Item>(producer: &mut impl Push<T>, numbers: Range<u64>);
    fn receive<T: Item>(consumer: &mut impl Pop<T>, count: u64, each: &mut impl FnMut(T));
}

/// One at a time; whoever cannot go on pauses 32 times and then yields between tries. The same for all queues.
pub(crate) enum Spin {}
/// One at a time, by the queue's own blocking calls.
pub(crate) enum Block {}
/// As `Spin`, in batches.
pub(crate) enum Batch {}

const BATCH: u64 = 64;

/// Retries until there is a result.
#[inline(always)]
pub(crate) fn spin<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
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

impl Manner for Spin {
    const PINNED: bool = true;

    #[inline(always)]
    fn send<T: Item>(producer: &mut impl Push<T>, numbers: Range<u64>) {
        for number in numbers {
            spin(|| producer.try_push(T::new(number)).then_some(()));
        }
    }

    #[inline(always)]
    fn receive<T: Item>(consumer: &mut impl Pop<T>, count: u64, each: &mut impl FnMut(T)) {
        for _ in 0..count {
            each(spin(|| consumer.try_pop()));
        }
    }
}

impl Manner for Block {
    const PINNED: bool = false;

    #[inline(always)]
    fn send<T: Item>(producer: &mut impl Push<T>, numbers: Range<u64>) {
        for number in numbers {
            producer.push(T::new(number));
        }
    }

    #[inline(always)]
    fn receive<T: Item>(consumer: &mut impl Pop<T>, count: u64, each: &mut impl FnMut(T)) {
        for _ in 0..count {
            each(consumer.pop());
        }
    }
}

impl Manner for Batch {
    const PINNED: bool = true;

    #[inline(always)]
    fn send<T: Item>(producer: &mut impl Push<T>, numbers: Range<u64>) {
        let mut next = numbers.start;
        while next < numbers.end {
            let end = numbers.end.min(next + BATCH);
            next += spin(|| Some(producer.try_push_batch(next..end)).filter(|&n| n > 0));
        }
    }

    #[inline(always)]
    fn receive<T: Item>(consumer: &mut impl Pop<T>, count: u64, each: &mut impl FnMut(T)) {
        let mut left = count;
        while left > 0 {
            let most = left.min(BATCH);
            left -= spin(|| Some(consumer.try_pop_batch(most, each)).filter(|&n| n > 0));
        }
    }
}

/// Sends `count` values from one thread to another.
pub(crate) fn one_to_one<T: Item, Q: Queue<T>, M: Manner>(capacity: usize, count: u64) -> Duration {
    let (producer, consumer) = Q::ends(capacity);
    stream::<T, M>(vec![producer], vec![consumer], count, M::PINNED)
}

/// Sends `count` values from several threads to one.
pub(crate) fn many_to_one<T: Item, Q: Queue<T>, M: Manner>(
    (capacity, producers): (usize, usize),
    count: u64,
) -> Duration
where
    Q::Push: Clone,
{
    let (producer, consumer) = Q::ends(capacity);
    stream::<T, M>(vec![producer; producers], vec![consumer], count, false)
}

/// Sends `count` values from several threads to as many.
pub(crate) fn many_to_many<T: Item, Q: Queue<T>, M: Manner>(
    (capacity, each): (usize, usize),
    count: u64,
) -> Duration
where
    Q::Push: Clone,
    Q::Pop: Clone,
{
    let (producer, consumer) = Q::ends(capacity);
    stream::<T, M>(vec![producer; each], vec![consumer; each], count, false)
}

/// Returns the time from the first start to the last end, as the threads themselves saw it.
fn stream<T: Item, M: Manner>(
    producers: Vec<impl Push<T>>,
    consumers: Vec<impl Pop<T>>,
    count: u64,
    pinned: bool,
) -> Duration {
    let in_order = producers.len() == 1 && consumers.len() == 1;
    let (senders, receivers) = (producers.len() as u64, consumers.len() as u64);
    let (each_in, each_out) = (count / senders, count / receivers);
    assert!(count.is_multiple_of(senders) && count.is_multiple_of(receivers));
    let start = Arc::new(Barrier::new(producers.len() + consumers.len()));
    let pushing: Vec<_> = producers
        .into_iter()
        .map(|mut producer| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                if pinned {
                    pin(0);
                }
                start.wait();
                let begin = Instant::now();
                M::send(&mut producer, 0..each_in);
                // Kept until the consumers are done too: some queues close when an end goes.
                (begin, producer)
            })
        })
        .collect();
    let popping: Vec<_> = consumers
        .into_iter()
        .map(|mut consumer| {
            let start = Arc::clone(&start);
            thread::spawn(move || {
                if pinned {
                    pin(1);
                }
                start.wait();
                let (mut sum, mut next) = (0, 0);
                M::receive(&mut consumer, each_out, &mut |value: T| {
                    assert!(!in_order || value.number() == next, "out of order");
                    next += 1;
                    sum += value.number();
                });
                (Instant::now(), sum, consumer)
            })
        })
        .collect();
    let popped: Vec<_> = popping.into_iter().map(|t| t.join().unwrap()).collect();
    let pushed: Vec<_> = pushing.into_iter().map(|t| t.join().unwrap()).collect();
    let sum: u64 = popped.iter().map(|(_, sum, _)| sum).sum();
    assert_eq!(sum, senders * (each_in * (each_in - 1) / 2), "wrong sum");
    let begin = pushed.iter().map(|(begin, _)| *begin).min().unwrap();
    let end = popped.iter().map(|(end, ..)| *end).max().unwrap();
    end - begin
}

/// Sends `count` numbers there and back, one at a time.
pub(crate) fn ping_pong<T: Item, Q: Queue<T>, M: Manner>(capacity: usize, count: u64) -> Duration {
    let (mut to, mut from_here) = Q::ends(capacity);
    let (mut answer, mut from_there) = Q::ends(capacity);
    let echo = thread::spawn(move || {
        if M::PINNED {
            pin(1);
        }
        for _ in 0..=count {
            let mut number = 0;
            M::receive(&mut from_here, 1, &mut |value: T| number = value.number());
            M::send::<T>(&mut answer, number..number + 1);
        }
        (from_here, answer)
    });
    let near = thread::spawn(move || {
        if M::PINNED {
            pin(0);
        }
        // The first trip also waits for the other thread to start.
        let mut begin = Instant::now();
        for trip in 0..=count {
            M::send::<T>(&mut to, trip..trip + 1);
            M::receive(&mut from_there, 1, &mut |value: T| {
                assert_eq!(value.number(), trip, "another answer");
            });
            if trip == 0 {
                begin = Instant::now();
            }
        }
        (begin.elapsed(), to, from_there)
    });
    let (took, ..) = near.join().unwrap();
    echo.join().unwrap();
    took
}

/// Keeps the calling thread on one of the cores it may use. Does nothing where that is not possible.
pub(crate) fn pin(which: usize) {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: the sets are plain bits that live through the calls, which get their size.
        unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            let size = size_of::<libc::cpu_set_t>();
            if libc::sched_getaffinity(0, size, &mut allowed) != 0 {
                return;
            }
            let cores: Vec<_> = (0..libc::CPU_SETSIZE as usize)
                .filter(|&core| libc::CPU_ISSET(core, &allowed))
                .collect();
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cores[which % cores.len()], &mut one);
            libc::sched_setaffinity(0, size, &one);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = which;
}
