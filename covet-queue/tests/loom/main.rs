//! Models: every interleaving (up to a bound on preemptions) of a few threads, under the C11 memory model.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p covet-queue --features async --test loom`. There is a file of
//! models for each part of the crate.
//!
//! A model that passes may still be blind: loom skips schedules that it thinks equal to others, and a model of the wrong
//! shape ends after a single one. Three habits guard against that. Every role is a thread of its own and the main thread
//! only joins. Every model counts its schedules and fails below a written minimum. And `weakenings.rs` takes the orderings,
//! fences and steps away one at a time, and fails unless some model notices.
#![cfg(loom)]

mod bytes;
mod drops;
mod future;
mod harness;
mod mpmc;
mod mpsc;
#[path = "../planted/mod.rs"]
mod planted;
mod spsc;
mod wait;
mod weakenings;
