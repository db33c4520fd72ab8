//! One interpreter by itself, with globals that last.

use crate::attach::Detached;
use crate::borrow::Entered;
use crate::error::Error;
use crate::function::Function;
use crate::pool::Pool;
use crate::runtime::Runtime;
use crate::task::Task;
use crate::value::Value;
use std::sync::Arc;

/// An interpreter with a thread and, from Python 3.12 on, a GIL of its own, whose source text runs in one lasting namespace: to
/// embed Python as a scripting language, or to keep one program apart from another.
///
/// It is a [`Pool`] of one worker, so the same holds: calls from several threads take their turns, errors are values, and what
/// cannot be stopped is replaced (with a new interpreter, whose globals are empty). Dropping it ends it, after the tasks that it
/// was sent.
///
/// # Examples
///
/// ```
/// use covet_interp::{Interpreter, Runtime, Value};
///
/// let runtime = Runtime::embed()?;
/// let interpreter = Interpreter::new(&runtime)?;
/// interpreter.run("def area(width, height): return width * height")?;
/// assert_eq!(interpreter.run("result = area(6, 7)")?, Value::Int(42));
/// # drop(interpreter);
/// # Ok::<(), covet_interp::Error>(())
/// ```
#[derive(Debug)]
pub struct Interpreter {
    pool: Pool,
}

impl Interpreter {
    /// Makes an interpreter, and waits (detached) until it is ready.
    ///
    /// # Errors
    /// As [`Builder::build`](crate::Builder::build), and [`Error::Broken`] when it cannot be made.
    pub fn new(runtime: &Runtime) -> Result<Self, Error> {
        let pool = Pool::builder()
            .workers(1)
            .shared_globals(true)
            .name("covet-interpreter")
            .build(runtime)?;
        pool.wait_ready(None)?;
        Ok(Self { pool })
    }

    /// Runs source text in the lasting namespace, on the interpreter's own thread, and waits (detached) for it. Returns what it
    /// leaves in the variable `result`, or [`Value::None`].
    ///
    /// # Errors
    /// [`Error::Python`] with whatever it raised; [`Error::Value`] when the result is no tree of values.
    pub fn run(&self, source: &str) -> Result<Value, Error> {
        self.wait_for(Task::source(source, &[]))
    }

    /// Calls a function with these arguments, on the interpreter's own thread, and waits (detached) for the result.
    ///
    /// # Errors
    /// As [`Interpreter::run`].
    pub fn call(&self, function: &Arc<Function>, arguments: &[Value]) -> Result<Value, Error> {
        self.wait_for(Task::new(Arc::clone(function), arguments))
    }

    /// Enters it with the calling thread: no other thread has to be woken. See [`Pool::enter`].
    ///
    /// # Errors
    /// As [`Pool::enter`].
    pub fn enter(&self) -> Result<Entered<'_>, Error> {
        self.pool.enter()
    }

    /// The pool that it is: to submit tasks without waiting, to interrupt, for its statistics.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    fn wait_for(&self, task: Task) -> Result<Value, Error> {
        let task = self.pool.submit_task(task)?;
        let _detached = Detached::new();
        task.result()
    }
}
