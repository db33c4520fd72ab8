//! What the rings build on: atomics, cells, locks and parking, either the real ones or those of a checker.
//!
//! Only this file and `real.rs` decide between them. `--cfg loom` and `--cfg shuttle` are builds whose threads a checker
//! schedules; `--cfg tsan` is a real build whose locks and parking ThreadSanitizer can see into.
//!
//! Orderings stronger than relaxed are written `acquire!("name")` or `release!("name")`. In every real build the macro *is*
//! the ordering, and the name only helps the reader to find what it pairs with. In a build for a checker the name is also a
//! switch: a test turns one named ordering into relaxed, or leaves out one named `step!`, and demands that the checker
//! notices. All of them are listed in `tests/loom/weakenings.rs`.

#[cfg(not(any(loom, shuttle)))]
pub(crate) mod fence;

#[cfg(not(any(loom, shuttle)))]
#[path = "sync/real.rs"]
mod imp;

#[cfg(loom)]
#[path = "sync/model.rs"]
mod imp;
#[cfg(loom)]
pub use self::imp::fence;

#[cfg(shuttle)]
#[path = "sync/random.rs"]
mod imp;

#[cfg(not(loom))]
mod plain;

#[cfg(not(any(loom, shuttle, tsan)))]
mod named;

#[cfg(any(loom, shuttle, tsan))]
pub mod weaken;

pub(crate) use self::imp::*;
#[cfg(not(any(loom, shuttle, tsan)))]
pub(crate) use self::named::{acquire, release, step};
#[cfg(not(loom))]
pub(crate) use self::plain::*;
#[cfg(any(loom, shuttle, tsan))]
pub(crate) use self::weaken::{acquire, release, step};
