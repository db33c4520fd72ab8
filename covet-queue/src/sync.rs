//! What the rings build on: atomics, cells, locks and parking, either the real ones or loom's.
//!
//! Only this file decides between the two. Orderings stronger than relaxed are written `acquire!("name")` or
//! `release!("name")`. In every real build the macro *is* the ordering, and the name only helps the
//! reader to find what it pairs with. Under loom the name is also a switch: a test turns one named ordering into relaxed,
//! or leaves out one named `step!`, and demands that some model notices. All of them are
//! listed in `tests/loom/weakenings.rs`.

#[cfg(not(loom))]
pub(crate) mod fence;

#[cfg(not(loom))]
#[path = "sync/real.rs"]
mod imp;

#[cfg(loom)]
#[path = "sync/model.rs"]
mod imp;

#[cfg(loom)]
pub use self::imp::weaken;

pub(crate) use self::imp::*;
