//! Covet measured beside the peers people use today.
//!
//! Each file under `benches/` is a program that first checks what it is about to time, then times Covet and its peers in
//! one run, and at the end prints the ratios. Only ratios of one run mean anything: a figure in nanoseconds belongs to the
//! machine, the load and the minute in which it was taken.
