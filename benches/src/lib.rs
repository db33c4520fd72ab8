//! Covet measured beside the peers people use today.
//!
//! Each program under `src/bin/` first checks what it is about to time, then times Covet and its peers in one run, and
//! prints the ratios; `cargo xtask bench` builds and runs them. Only ratios of one run mean anything: a figure in nanoseconds
//! belongs to the machine, the load and the minute in which it was taken.
//!
//! This part is what such programs share: options, rounds, quartiles, the table and the JSON.

pub mod measure;
pub mod options;
pub mod report;
