//! One adapter for each queue that is measured: how its ends are made, and which of its calls is which.

pub(crate) mod concurrent;
pub(crate) mod covet;
pub(crate) mod crossbeam;
pub(crate) mod crossfire;
pub(crate) mod disruptor;
pub(crate) mod flume;
pub(crate) mod gil;
pub(crate) mod heapless;
pub(crate) mod kanal;
pub(crate) mod locked;
pub(crate) mod nexus;
pub(crate) mod ringbuf;
pub(crate) mod rtrb;
pub(crate) mod standard;

/// Says that a capacity is not 0.
fn nonzero(capacity: usize) -> std::num::NonZeroUsize {
    capacity.try_into().expect("no queue here is empty")
}
