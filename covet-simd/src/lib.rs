//! Numeric kernels over slices of `f32`, `f64`, `i32` and `i64`: the same bits from AVX-512, AVX2 and plain Rust.
//!
//! Each kernel is one loop, written once over vectors of 64 bytes and compiled for every instruction set; which one runs is
//! found out when the first call is made ([`dispatch`]). A set with shorter registers computes such a vector in parts, so the
//! order of additions is the same everywhere. It does not depend on the number of threads either ([`par`]). Hence results
//! differ neither from machine to machine nor from run to run, in no bit.
//!
//! ```
//! let x = vec![0.1_f32; 1_000_000];
//! assert_eq!(covet_simd::sum(&x), 100_000.0); // one by one, in `f32`, it would be 100958.34
//! assert_eq!(covet_simd::arg_max(&[1, 9, 9, 4]), Some(1));
//!
//! let mut y = vec![1.0; 3];
//! covet_simd::axpy(2.0, &[1.0, 2.0, 3.0], &mut y)?;
//! assert_eq!(y, [3.0, 5.0, 7.0]);
//! covet_simd::sub_into(10.0, &y.clone(), &mut y)?; // a number on either side stands for all
//! assert_eq!(y, [7.0, 5.0, 3.0]);
//! # Ok::<(), covet_simd::Error>(())
//! ```
//!
//! | layer | what it takes |
//! |---|---|
//! | functions of this page | slices |
//! | [`view`], [`axis`], [`matmul`] | slices seen as rows and columns with strides |
//! | [`Expression`] | several operations in one pass: `a*x + y` |
//! | [`raw`] | pointers with strides, for memory that others may write meanwhile |
//! | [`gpu`] | arrays in the memory of a CUDA device, with the feature `cuda` |
//!
//! # Numbers
//!
//! Integers wrap, and are summed in 64 bits. Sums of `f32` are as good as if they were made in `f64`. NaN rules are those of NumPy:
//! it propagates, also through `min` and `max`; `nan_min` and `nan_max` leave it out. Elementary functions have the errors that
//! docs/ACCURACY.md states, and their results for 0, infinities, NaN and subnormal numbers are those of IEEE 754.
//!
//! # Threads
//!
//! A call that is estimated to take more than 100 µs is shared with a pool: rayon's, or one's own. [`par::Pool`] says more.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("covet-simd counts elements in 64 bits");

mod arch;
pub mod axis;
pub mod cost;
pub mod dispatch;
mod element;
mod error;
mod expr;
pub mod gpu;
mod kernels;
mod layout;
mod maps;
mod math;
pub mod matmul;
mod op;
pub mod par;
pub mod plain;
pub mod raw;
mod reductions;
mod vector;
pub mod view;

pub use element::{Element, Float};
pub use error::Error;
pub use expr::Expression;
pub use maps::*;
pub use op::{Binary, Ternary, Unary};
pub use reductions::*;

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
