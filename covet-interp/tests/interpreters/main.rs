//! Pools, borrowers and the loader, beside each other in one Python.

mod borrow;
mod codec;
mod common;
mod loader;
mod pool;
