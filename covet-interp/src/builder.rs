//! How a pool is made: its options, and what is wrong with them.

use crate::error::Error;
use crate::extensions::Extensions;
use crate::ffi;
use crate::fork;
use crate::function::Function;
use crate::noted;
use crate::pool::{Options, Pool};
use crate::runtime::Runtime;
use crate::strategy::Strategy;
use crate::task::Task;
use std::sync::Arc;
use std::time::Duration;

/// How a [`Pool`] is made. What is wrong with an option is said by [`Builder::build`].
#[derive(Debug, Default)]
pub struct Builder {
    workers: Option<usize>,
    strategy: Option<Strategy>,
    queue_size: Option<usize>,
    name: Option<String>,
    preload: Vec<String>,
    initializer: Option<Task>,
    shared_globals: bool,
    extensions: Option<Extensions>,
    forward_records: Option<bool>,
    fallback: Option<Arc<Function>>,
    pin: bool,
    max_tasks: Option<u64>,
    max_lifetime: Option<Duration>,
    accept_leak: bool,
    grace: Option<Duration>,
}

/// Jobs that may wait in the ring, unless the builder says otherwise.
const QUEUE_SIZE: usize = 16 << 10;

/// Workers that a pool may have. Each is a thread with 16 MiB of stack and, mostly, an interpreter of 2.5 MB and more: beyond
/// this it is a mistake, and the kernel would say so by ending the process.
const MOST_WORKERS: usize = 256;

/// How long an interrupted task may take to stop, unless the builder says otherwise.
const GRACE: Duration = Duration::from_secs(5);

impl Builder {
    /// How many workers, 1 to 256. The default is the number of cores that this process may use, by its affinity mask (so by
    /// its cpuset) and by the CPU quota of its control group (v1 and v2).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Where tasks run; by default chosen from what this Python can do.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// How many tasks may wait, at least 1, before [`Pool::submit`] waits itself and [`Pool::try_submit_task`] fails; the
    /// default is 16384. As many may wait for each worker alone ([`Task::on`](crate::Task::on)).
    pub fn queue_size(mut self, tasks: usize) -> Self {
        self.queue_size = Some(tasks);
        self
    }

    /// The name of the worker threads, before their number.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// A module that every interpreter imports before its first task.
    pub fn preload(mut self, module: &str) -> Self {
        self.preload.push(module.to_owned());
        self
    }

    /// A call that every worker makes before its first task. If it raises, the pool is broken. It can be interrupted, by
    /// [`Pool::interrupt`] of everything.
    pub fn initializer(mut self, task: Task) -> Self {
        self.initializer = Some(task);
        self
    }

    /// Has all source text and code objects that an interpreter is sent run in one namespace of it, in which the next finds what
    /// the one before defined; otherwise, which is the default, each run has a namespace of its own. The worker decides which
    /// interpreter that is, so it makes most sense with one worker ([`Interpreter`](crate::Interpreter)), with
    /// [`Task::on`], or for what an initializer defines for all.
    pub fn shared_globals(mut self, shared: bool) -> Self {
        self.shared_globals = shared;
        self
    }

    /// How its interpreters get extension modules that cannot be loaded in them natively. By default as the environment variable
    /// `COVET_EXTENSIONS` says (`auto`, `private`, `strict`), else [`Extensions::Auto`].
    pub fn extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = Some(extensions);
        self
    }

    /// Whether the main interpreter handles what subinterpreters log or warn of (the default): a record of `logging` for which
    /// there is no handler, and a warning that is to be shown, in the thread and at the moment that they are made. Levels of
    /// loggers and filters of warnings are what they were in main when the interpreter imported `logging` and `warnings`. One
    /// costs a visit to main, which waits for its GIL.
    pub fn forward_records(mut self, forward: bool) -> Self {
        self.forward_records = Some(forward);
        self
    }

    /// What becomes of a call that ends because an extension module is refused to its interpreter: without a fallback it raises that
    /// `ImportError`. With one the same thread attaches to the main interpreter, calls `fallback(function, why)` there, with
    /// the reason the first time and `None` when it is known already, and calls what that returns with the same arguments.
    ///
    /// That is for calls of which nothing has run but imports: those that bring the function and its arguments, and statements at the
    /// very beginning of the function. If more has run, the error is raised as it is: nothing is done twice.
    pub fn fallback(mut self, fallback: Arc<Function>) -> Self {
        self.fallback = Some(fallback);
        self
    }

    /// Keeps each worker on one core of those that the process may use, the first worker on the first. Threads that borrow an
    /// interpreter stay where they are. Does nothing where the system does not offer it (it does on Linux).
    pub fn pin(mut self, pin: bool) -> Self {
        self.pin = pin;
        self
    }

    /// How many tasks and items of batches a worker runs, at least 1, before it gets a new interpreter. From 3.14 on, or with
    /// [`Builder::accept_leak`].
    ///
    /// Private images of extension modules stay when their interpreter ends: once all that this process has opened take more
    /// than 1 GiB, interpreters that open more live on.
    pub fn max_tasks(mut self, tasks: u64) -> Self {
        self.max_tasks = Some(tasks);
        self
    }

    /// How old an interpreter becomes before its worker, between two jobs, gets a new one. From 3.14 on, or with
    /// [`Builder::accept_leak`].
    pub fn max_lifetime(mut self, time: Duration) -> Self {
        self.max_lifetime = Some(time);
        self
    }

    /// Allows [`Builder::max_tasks`] and [`Builder::max_lifetime`] before 3.14 too, where CPython leaves 1.6 to 6.3 MB behind
    /// for each interpreter that ends (cpython#110411).
    pub fn accept_leak(mut self, accept: bool) -> Self {
        self.accept_leak = accept;
        self
    }

    /// How long an interrupted task may take to stop before it is given up as [lost](Error::Lost) and its worker is replaced;
    /// the default is 5 s.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Makes the pool. Returns once the workers' threads run; their interpreters are made meanwhile, all at the same time, and
    /// whoever needs one waits for it ([`Pool::wait_ready`] waits for all).
    ///
    /// # Errors
    /// [`Error::Invalid`] when an option makes no sense; [`Error::Value`] when the initializer's arguments cannot be sent; [`Error::Strategy`] when the strategy asked for cannot work here;
    /// [`Error::Runtime`] when the calling interpreter is about to end; [`Error::Thread`] when no thread can be had;
    /// [`Error::NoMemory`].
    pub fn build(self, runtime: &Runtime) -> Result<Pool, Error> {
        let decision = runtime.facts()?.decide(self.strategy)?;
        if decision.strategy == Strategy::Subinterpreters {
            fork::find_list(runtime);
            noted::find(runtime)?;
        }
        let workers = check_workers(self.workers.unwrap_or_else(|| {
            std::thread::available_parallelism()
                .map_or(1, std::num::NonZeroUsize::get)
                .min(MOST_WORKERS)
        }))?;
        let queue_size = self.queue_size.unwrap_or(QUEUE_SIZE);
        at_least_one("place in the queue", queue_size as u64)?;
        if let Some(tasks) = self.max_tasks {
            at_least_one("task in the life of a worker", tasks)?;
        }
        let recycles = self.max_tasks.is_some() || self.max_lifetime.is_some();
        if recycles && decision.strategy == Strategy::Subinterpreters {
            may_recycle(ffi::VERSION, self.accept_leak)?;
        }
        Pool::new(Options {
            workers,
            decision,
            queue_size,
            name: self.name.unwrap_or_else(|| "covet".to_owned()),
            preload: self.preload,
            initializer: self.initializer.map(|task| task.call).transpose()?,
            shared_globals: self.shared_globals,
            extensions: match self.extensions {
                Some(extensions) => extensions,
                None => Extensions::from_environment()?,
            },
            forward_records: self.forward_records.unwrap_or(true),
            fallback: self.fallback,
            pin: self.pin,
            max_tasks: self.max_tasks,
            max_lifetime: self.max_lifetime,
            grace: self.grace.unwrap_or(GRACE),
        })
    }
}

/// The number of workers, if a pool can have so many.
pub(crate) fn check_workers(workers: usize) -> Result<usize, Error> {
    at_least_one("worker", workers as u64)?;
    if workers > MOST_WORKERS {
        return Err(Error::Invalid(format!(
            "expected at most {MOST_WORKERS} workers, found {workers}: each is a thread with an interpreter of 2.5 MB or more, \
             and more of them than cores bring nothing"
        )));
    }
    Ok(workers)
}

fn at_least_one(what: &str, found: u64) -> Result<(), Error> {
    if found == 0 {
        return Err(Error::Invalid(format!(
            "expected at least one {what}, found 0"
        )));
    }
    Ok(())
}

/// Whether interpreters can be ended and made again in this version.
fn may_recycle((major, minor): (u8, u8), accept_leak: bool) -> Result<(), Error> {
    if (major, minor) >= (3, 14) || accept_leak {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "expected no limit to a worker's life: Python {major}.{minor} leaves 1.6 to 6.3 MB behind for each interpreter that ends \
         (cpython#110411); use 3.14 or later, or accept_leak"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recycling_before_3_14_needs_a_word() {
        for (version, accept, allowed) in [
            ((3, 12), false, false),
            ((3, 13), false, false),
            ((3, 13), true, true),
            ((3, 14), false, true),
            ((3, 15), false, true),
        ] {
            let answer = may_recycle(version, accept);
            assert_eq!(answer.is_ok(), allowed, "{version:?} {accept}");
            if let Err(error) = answer {
                let text = error.to_string();
                assert!(
                    text.contains("1.6 to 6.3 MB") && text.contains("accept_leak"),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a_number_of_workers_that_cannot_be_is_refused_with_both_numbers() {
        assert_eq!(check_workers(MOST_WORKERS), Ok(256));
        for (workers, expected) in [
            (0, "at least one worker, found 0"),
            (1000, "at most 256 workers, found 1000"),
        ] {
            let text = check_workers(workers).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
    }
}
