//! Values from some threads to others, in each way a ring knows: what shuttle and ThreadSanitizer watch.
//!
//! Threads give their handles back and the main thread drops them. (ThreadSanitizer sees the order that a join makes, but not
//! the one that counting references makes in the end, which takes a fence.)

use covet_queue::bytes::{self, Mode};
use covet_queue::{Consumer, Producer, TryPopError};
#[cfg(shuttle)]
use shuttle::thread;
#[cfg(not(shuttle))]
use std::thread;

/// Which methods carry the values.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// `try_push`, `try_pop`
    Try,
    /// `push`, `pop`
    Block,
    /// `push_batch`, `pop_batch`
    Batch,
    /// `claim`, `pop_into`
    Claim,
}

/// Which producer made a value, and how many it had made before.
pub(crate) type Value = (usize, usize);

/// Hands `each` values of every producer to the consumers, and checks that each comes once and in its producer's order.
pub(crate) fn through<P, C>(producers: Vec<P>, consumers: Vec<C>, each: usize, how: How)
where
    P: Producer<Value> + Send + 'static,
    C: Consumer<Value> + Send + 'static,
{
    let count = producers.len();
    let pushing: Vec<_> = (0..)
        .zip(producers)
        .map(|(id, mut producer)| {
            thread::spawn(move || {
                push_each(&mut producer, id, each, how);
                producer
            })
        })
        .collect();
    let popping: Vec<_> = consumers
        .into_iter()
        .map(|mut consumer| {
            thread::spawn(move || {
                let mut seen = Seen::new(count);
                pop_each(&mut consumer, how, |value| seen.see(value));
                (consumer, seen.sum)
            })
        })
        .collect();
    // The last to be dropped closes the ring.
    let producers: Vec<_> = pushing
        .into_iter()
        .map(|push| push.join().unwrap())
        .collect();
    drop(producers);
    let popped: Vec<_> = popping.into_iter().map(|pop| pop.join().unwrap()).collect();
    let sum: usize = popped.iter().map(|(_, sum)| sum).sum();
    assert_eq!(sum, count * (1..=each).sum::<usize>());
}

/// Hands `each` records of every producer to the consumer.
pub(crate) fn through_bytes<M: Mode>(
    producers: Vec<bytes::Producer<M>>,
    mut consumer: bytes::Consumer,
    each: usize,
    how: How,
) {
    let count = producers.len();
    let writing: Vec<_> = (0..)
        .zip(producers)
        .map(|(id, mut producer)| {
            thread::spawn(move || {
                for n in 0..each {
                    let record = [id as u8; 20];
                    let (kind, bytes) = (n as i32 + 1, &record[..n % 20]);
                    // Room is claimed and given up, too.
                    match how {
                        How::Try => {
                            drop(producer.try_claim(n % 3, 9));
                            while producer.try_write(kind, bytes).is_err() {
                                thread::yield_now();
                            }
                        }
                        _ => {
                            drop(producer.claim(n % 3, 9).unwrap());
                            producer.write(kind, bytes).unwrap();
                        }
                    }
                }
                producer
            })
        })
        .collect();
    let reading = thread::spawn(move || {
        let mut kinds = 0;
        let mut each = |kind: i32, bytes: &[u8]| {
            let n = kind as usize - 1;
            assert_eq!(bytes.len(), n % 20);
            assert!(bytes.iter().all(|byte| *byte == bytes[0]));
            kinds += n + 1;
        };
        match how {
            How::Try => loop {
                match consumer.try_read(4, &mut each) {
                    Ok(_) => {}
                    Err(TryPopError::Empty) => thread::yield_now(),
                    Err(TryPopError::Closed) => break,
                }
            },
            _ => while consumer.read(4, &mut each).is_ok() {},
        }
        (consumer, kinds)
    });
    let producers: Vec<_> = writing
        .into_iter()
        .map(|write| write.join().unwrap())
        .collect();
    drop(producers);
    let (_consumer, kinds) = reading.join().unwrap();
    assert_eq!(kinds, count * (1..=each).sum::<usize>());
}

fn push_each(producer: &mut impl Producer<Value>, id: usize, each: usize, how: How) {
    let mut values = (0..each).map(|n| (id, n));
    match how {
        How::Try => {
            for value in values {
                while producer.try_push(value).is_err() {
                    thread::yield_now();
                }
            }
        }
        How::Block => values.for_each(|value| producer.push(value).unwrap()),
        How::Batch => assert_eq!(producer.push_batch(values).unwrap(), each),
        How::Claim => {
            let mut left = each;
            while left > 0 {
                // One slot too many, if there is room: it is given up.
                let claim = producer.claim(3).unwrap();
                let most = claim.len().saturating_sub(1).max(1);
                left -= claim.fill(values.by_ref().take(most));
            }
        }
    }
}

fn pop_each(consumer: &mut impl Consumer<Value>, how: How, mut each: impl FnMut(Value)) {
    match how {
        How::Try => loop {
            match consumer.try_pop() {
                Ok(value) => each(value),
                Err(TryPopError::Empty) => thread::yield_now(),
                Err(TryPopError::Closed) => break,
            }
        },
        How::Block => std::iter::from_fn(|| consumer.pop().ok()).for_each(each),
        How::Batch => while consumer.pop_batch(3, &mut each).is_ok() {},
        How::Claim => {
            let mut values = Vec::new();
            while consumer.pop_into(&mut values, 3).is_ok() {
                values.drain(..).for_each(&mut each);
            }
        }
    }
}

/// What one consumer has seen.
struct Seen {
    /// What may come next from each producer, at the least.
    next: Vec<usize>,
    /// Of the places of all values in what their producers made, from 1 on.
    sum: usize,
}

impl Seen {
    fn new(producers: usize) -> Self {
        Self {
            next: vec![0; producers],
            sum: 0,
        }
    }

    fn see(&mut self, (id, n): Value) {
        assert!(self.next[id] <= n, "out of order");
        self.next[id] = n + 1;
        self.sum += n + 1;
    }
}
