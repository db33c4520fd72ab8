//! CPython from Rust, on every core of one process.
//!
//! Since 3.12 an interpreter of CPython can have a GIL of its own (PEP 684). This crate makes that safe to use from any
//! thread. The idea is the *slot*: an interpreter that one worker thread makes, owns and ends by the one sequence of
//! calls that works on every version, and that is lent to whoever has something to run, one at a time:
//!
//! - **Borrowed**: the calling thread itself enters an idle interpreter ([`Pool::enter`], [`Pool::call`]). Two GIL hand-overs
//!   that nobody contends; no queue, no wake-up, no other thread.
//! - **Dispatched**: a worker takes the task from a bounded ring ([`Pool::submit`], [`Pool::append`]), for many tasks or long
//!   ones.
//!
//! ```text
//!                 .--------- ring ---------.
//!   submit ------>|  jobs, oldest first    |----> worker threads --.
//!                 '------------------------'                       |  take / release
//!   call, enter ---------------------------------------------------+-----> slots: interpreter + its own GIL
//! ```
//! A [`Task`] says what to run (a function, an import path, source text, code); its [`TaskHandle`] waits for the result, in a
//! thread or in an async task, and stops it. [`Router`] runs Rust and Python work beside each other, each kind on threads of
//! its own, under one bounded admission. [`Interpreter`] is a single one, with globals that last.
//!
//! No Python object crosses from one interpreter to another. What crosses is a [`Message`]: values of the built-in types go by
//! a direct codec, everything else by pickle ([`Value`] is the Rust side of it). Large memory stays where it is: a message
//! keeps it alive, and it is copied once (`str`, `bytes`) or not at all (`memoryview`, [`Buffer`], arrays).
//!
//! Where an interpreter cannot have its own GIL (3.11), or needs none (free-threaded builds), the same calls run in threads
//! of the main interpreter; [`Strategy`] says which, and [`Decision`] why.
//!
//! # Example
//!
//! ```
//! use covet_interp::{Function, Pool, Runtime, Value};
//!
//! let runtime = Runtime::embed()?;
//! let pool = Pool::builder().workers(2).build(&runtime)?;
//! let task = pool.submit(Function::reference("math", "hypot"), &[3.into(), 4.into()])?;
//! assert_eq!(task.result()?, Value::Float(5.0));
//! # drop(pool);
//! # Ok::<(), covet_interp::Error>(())
//! ```
//!
//! # What it does not do
//! Subinterpreters are not a sandbox: a crash in one ends the process. Extension modules that keep their state in C globals
//! cannot be loaded in them; each interpreter gets a private image of one, where a trial has shown that this works
//! ([`Extensions`]), and otherwise they are refused with an `ImportError`.

mod attach;
mod batch;
mod borrow;
mod buffer;
mod builder;
mod callback;
mod codec;
mod cores;
mod deadline;
mod error;
mod extensions;
pub mod ffi;
mod fork;
mod frames;
mod function;
mod handle;
#[cfg_attr(
    not(all(
        target_os = "linux",
        target_env = "gnu",
        any(target_arch = "x86_64", target_arch = "aarch64")
    )),
    path = "image/none.rs"
)]
mod image;
mod inside;
mod interpreter;
mod job;
mod life;
mod limit;
mod loader;
mod mailbox;
mod message;
mod native;
mod noted;
mod object;
mod patience;
mod pin;
mod pool;
mod records;
mod registry;
pub mod router;
mod runtime;
mod seat;
mod shared;
mod signals;
mod slot;
mod stack;
mod stats;
mod strategy;
mod support;
mod task;
mod threads;
mod value;
mod worker;

pub use attach::{Attached, Detached};
pub use batch::{Batch, Block, Chunk};
pub use borrow::Entered;
pub use buffer::Buffer;
pub use builder::Builder;
pub use codec::{MAX_DEPTH, max_message_size, set_max_message_size};
pub use error::{Error, PythonError};
pub use extensions::Extensions;
pub use fork::fork_is_safe;
pub use function::Function;
pub use handle::{TaskHandle, TaskState};
pub use image::images;
pub use image::verdict::set_trial_command;
pub use interpreter::Interpreter;
pub use loader::Verdict;
pub use mailbox::leaked_references;
pub use message::{Message, MessageRef};
pub use pool::Pool;
pub use registry::{PoolsOf, lost_workers, when_lost};
pub use router::Router;
pub use runtime::{Runtime, before_finalize};
pub use stats::{Stats, WorkerStats};
pub use strategy::{Decision, Facts, Strategy};
pub use task::Task;
pub use value::{Value, WrongType};

/// For crates that bind Python themselves: owned references, and the codec between objects and messages.
///
/// Everything here works on raw pointers of `pyo3-ffi` and is only as safe as its caller.
pub mod raw {
    pub use crate::native::{Exported, Native, NativeType, Share};
    pub use crate::object::{Object, Raised};
    pub use crate::support::{Support, write_failure};
}

/// The example of the crate's page is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
