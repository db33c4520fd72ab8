//! Pools, borrowers and the loader, beside each other in one Python.

mod borrow;
mod codec;
mod common;
mod handle;
mod loader;
mod lost;
mod memory;
mod native;
mod pool;
mod workers;
