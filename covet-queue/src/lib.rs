//! Bounded rings that carry values between threads, and the waiting that goes with them.
//!
//! A ring is a fixed number of slots, allocated once. Producers put values in at the tail, consumers take them out at the
//! head in the same order, and neither takes a lock to do so. When a ring is full or empty the caller chooses: learn it at
//! once (`try_push`, `try_pop`), sleep until it changes (`push`, `pop`), or sleep for so long (`push_timeout`,
//! `pop_timeout`). Either side can [close](#closing) the ring; what was pushed before still comes out, and nothing is lost.
//!
//! # Which ring
//!
//! | | [`spsc`] | [`mpsc`] | [`mpmc`] |
//! |---|---|---|---|
//! | producers | one: methods take `&mut self` | any number: clone the handle, methods take `&self` | as `mpsc`, the same type |
//! | consumers | one | one | any number |
//! | order | first in, first out | by claim: each producer's values leave in its order | as `mpsc` |
//! | progress of `try_push` | wait-free | a thread stalled between claim and publish delays its slots, and with them the pops behind; others may retry after a lost race | as `mpsc` |
//! | progress of `try_pop` | wait-free | wait-free, but for stepping over aborted claims | as `try_push` |
//! | cost of a push, of a pop | a store each | a compare-and-swap, a store | a compare-and-swap each |
//! | cost of a batch | a store each | a compare-and-swap and a store, a store | a compare-and-swap in all and a store per element, each |
//! | `peek` | yes | yes | no: another consumer may take it |
//! | an aborted claim | leaves no trace | leaves marks that the consumer steps over | as `mpsc` |
//! | source | Lamport 1983; MCRingBuffer (Lee, Bu, Chandranmenon 2010) | Vyukov 2010 | Vyukov 2010 |
//!
//! [`bytes`] has rings of records whose length is chosen for each (Aeron's ring buffer), for one or many producers.
//!
//! All hold exactly as many elements as asked for. [`Producer`] and [`Consumer`] are traits over all of them.
//!
//! # Batches and claims
//!
//! `push_batch` takes an iterator, `pop_batch` hands elements to a closure. `claim` lends free slots themselves, as two slices,
//! and [`Claim::commit`] publishes what was written; dropping the claim aborts. Many producers claim a batch with one
//! compare-and-swap, which is what makes batches several times as fast as single pushes there.
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
//! [`Wait`] chooses, for each handle, between spinning, yielding and parking, which is the default. [`EventCount`] is the
//! parking by itself: it puts threads to sleep on any condition, without a lost wake-up. A notifier
//! pays a load, the sleeper pays for the fence of both. How that works is told in [`wait`].
//!
//! # Tasks
//!
//! With the feature `async`, tasks wait beside threads on the same rings: `recv().await` is to a task what `pop()` is to a
//! thread, and `send(value).await` what `push(value)` is. The module `future` tells what dropped futures leave behind, and
//! in which order waiters are served.
//!
//! # Without `std`
//!
//! The crate needs `alloc` only, if the default feature `std` is off. Then there are no timeouts and nobody parks, and each
//! publication pays for a full fence, on which closing relies.
//!
//! # Leaks and panics
//!
//! A handle that is leaked never closes its side. A claim that is leaked loses nothing; see [`Claim`]. An iterator or closure
//! that panics in a batch leaves the ring as if the batch had been as long as it came.
//!
//! # How it is checked
//!
//! `tests/loom` runs the rings, claims, closing and the event count through every interleaving up to a bound, under the C11
//! memory model, and then takes each acquire, release and fence away in turn and demands that a model fails. More threads
//! than a model can bear go through random schedules in `tests/shuttle.rs`, and ThreadSanitizer watches real ones in
//! `tests/races.rs`. The system's fence and parking, which no checker contains, are covered by `tests/stress.rs` and
//! `tests/round_trips.rs`.

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod bytes;
mod claim;
mod error;
#[cfg(feature = "async")]
pub mod future;
mod methods;
pub mod mpmc;
pub mod mpsc;
mod ring;
mod slots;
pub mod spsc;
mod strategy;
mod sync;
mod traits;
#[cfg(feature = "std")]
pub mod wait;
#[cfg(not(feature = "std"))]
#[path = "wait/bare.rs"]
mod wait;

pub use claim::Claim;
pub use error::{
    ClaimError, PopError, PopTimeoutError, PushBatchError, PushError, PushTimeoutError,
    TryClaimError, TryPopError, TryPushError,
};
pub use strategy::Wait;
pub use traits::{Consumer, Producer};
#[cfg(feature = "std")]
pub use wait::EventCount;

/// Lets tests take one ordering away; exists only in builds for a checker.
#[cfg(any(loom, shuttle, tsan))]
#[doc(hidden)]
pub use sync::weaken;

/// Lets models choose how strong the fence pair is; exists only in builds for loom.
#[cfg(loom)]
#[doc(hidden)]
pub use sync::fence;

/// What must not compile, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../tests/must_not_compile.md")]
struct MustNotCompile;

/// The examples of the README, run as tests. One of them is about tasks.
#[cfg(all(doctest, feature = "async"))]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
