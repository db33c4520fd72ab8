//! Bounded rings that carry values between threads, and the waiting that goes with them.
//!
//! A ring is a fixed number of slots, allocated once. Producers put values in at the tail, consumers take them out at the
//! head in the same order, and neither takes a lock to do so. When a ring is full or empty the caller chooses: learn it at
//! once (`try_push`, `try_pop`), sleep until it changes (`push`, `pop`), or sleep for so long (`push_timeout`,
//! `pop_timeout`). Either side can [close](#closing) the ring; what was pushed before still comes out, and nothing is lost.
//!
//! # Which ring
//!
//! | | [`spsc`] | [`mpmc`] |
//! |---|---|---|
//! | producers, consumers | one each: methods take `&mut self` | any number: clone the handles, methods take `&self` |
//! | order | first in, first out | first in, first out by claim: each producer's values leave in its order |
//! | progress of `try_push` and `try_pop` | wait-free | a thread stalled between claim and publish delays its slot, and with it the pops behind it; others may retry after a lost race |
//! | cost of a push or a pop | no locked instruction; looks at the other side only when its last known position is used up | one compare-and-swap |
//! | a slot holds | the value | the value and a sequence number |
//! | capacity | exactly the number asked for | exactly the number asked for |
//! | when full, when empty | give back, wait, or wait for so long | the same |
//! | source | Lamport 1983; MCRingBuffer (Lee, Bu, Chandranmenon 2010) | Vyukov 2010 |
//!
//! Waking a thread that sleeps takes a lock and a system call, in either ring; looking whether one sleeps is one load.
//!
//! ```
//! use covet_queue::mpmc;
//! use std::thread;
//!
//! let (producer, consumer) = mpmc::bounded(16);
//! let workers: Vec<_> = (0..4)
//!     .map(|_| {
//!         let consumer = consumer.clone();
//!         thread::spawn(move || {
//!             let mut sum = 0;
//!             while let Ok(value) = consumer.pop() {
//!                 sum += value;
//!             }
//!             sum
//!         })
//!     })
//!     .collect();
//! for value in 1..=1000 {
//!     producer.push(value)?;
//! }
//! drop(producer); // closes the ring; the workers drain it and stop
//! let total: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
//! assert_eq!(total, 500_500);
//! # Ok::<(), covet_queue::PushError<u64>>(())
//! ```
//!
//! # Closing
//!
//! `close()` of any handle closes the ring, and so does dropping the last handle of a side. From then on every push fails
//! and gives its value back. A push that overlaps the closing either fails or counts: if it returned `Ok`, its value will be
//! popped by whoever drains the ring. Pops go on until the ring is drained, and report closed only when no successful push
//! can still appear. What was done before closing is visible to a thread that is told so by a push or a pop. Values that
//! nobody pops are dropped with the last handle, each exactly once.
//!
//! # Waiting
//!
//! [`EventCount`] is the waiting part by itself: it puts threads to sleep on any condition, without a lost wake-up. A notifier
//! pays a load, the sleeper pays for the fence of both. How that works is told in [`wait`].
//!
//! # How it is checked
//!
//! `tests/loom.rs` runs both rings, closing and the event count through every interleaving up to a bound, under the C11
//! memory model, and then takes each acquire, release and fence away in turn and demands that a model fails. (One release is
//! beyond the models, which have a full fence in its place; the file says why.) The system's fence and parking, which a model
//! cannot contain either, are covered by the real threads of `tests/stress.rs`.

pub mod bytes;
mod error;
pub mod mpmc;
mod slots;
pub mod spsc;
mod sync;
pub mod wait;

pub use error::{
    PopError, PopTimeoutError, PushError, PushTimeoutError, TryPopError, TryPushError,
};
pub use wait::EventCount;

/// Lets model tests weaken one ordering; exists only in a build for loom.
#[cfg(loom)]
#[doc(hidden)]
pub use sync::weaken;
