//! Pools, borrowers and the loader, beside each other in one Python.

mod borrow;
mod common;
mod loader;
mod pool;
