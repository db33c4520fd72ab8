//! What is to be run: a function, its arguments, and where.

use crate::error::Error;
use crate::function::Function;
use crate::message::Message;
use crate::value::Value;
use std::sync::Arc;
use std::time::Duration;

/// A function and its arguments, free of any interpreter.
///
/// [`Pool::submit_task`](crate::Pool::submit_task) queues it and returns the [`TaskHandle`](crate::TaskHandle). A description
/// can be cloned and submitted again. What is wrong with it (an import path without a name, arguments that cannot be sent) is
/// said when it is submitted.
///
/// # Examples
///
/// ```
/// use covet_interp::{Pool, Runtime, Task, Value};
///
/// let runtime = Runtime::embed()?;
/// let pool = Pool::builder().workers(1).build(&runtime)?;
/// let twice = Task::source("result = 2 * args[0]", &[21.into()]);
/// assert_eq!(pool.submit_task(twice)?.result()?, Value::Int(42));
/// # drop(pool);
/// # Ok::<(), covet_interp::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Task {
    /// The function, and the message of the arguments.
    pub(crate) call: Result<(Arc<Function>, Message), Error>,
    /// The worker that has to run it, if it matters.
    pub(crate) worker: Option<usize>,
    /// For how long it may run.
    pub(crate) limit: Option<Duration>,
}

impl Task {
    /// A call of `function`. The one to use when a function is called many times: each interpreter makes it once.
    pub fn new(function: Arc<Function>, arguments: &[Value]) -> Self {
        let mut message = Message::new();
        let written = Value::write_call(arguments, &mut message);
        Self {
            call: written.map(|()| (function, message)),
            worker: None,
            limit: None,
        }
    }

    /// A call of what `path` names: `"module:name"`, where the name may be dotted, as in `"json:JSONDecoder.decode"`.
    pub fn import(path: &str, arguments: &[Value]) -> Self {
        match path.split_once(':') {
            Some((module, name)) if !module.is_empty() && !name.is_empty() => {
                Self::new(Function::reference(module, name), arguments)
            }
            _ => Self {
                call: Err(Error::Invalid(format!(
                    "expected an import path of the form \"module:name\", found {path:?}"
                ))),
                worker: None,
                limit: None,
            },
        }
    }

    /// Runs source text in a namespace of its own, where `args` is the tuple of arguments. What it leaves in the variable
    /// `result` is the result. See [`Function::source`].
    pub fn source(text: &str, arguments: &[Value]) -> Self {
        Self::new(Function::source(text), arguments)
    }

    /// As [`Task::source`], for a code object that `marshal.dumps` wrote in this version of Python. See [`Function::code`].
    pub fn code(marshalled: &[u8], arguments: &[Value]) -> Self {
        Self::new(Function::code(marshalled), arguments)
    }

    /// A call of `function` with the arguments of a message (see [`Support`](crate::raw::Support)).
    pub fn message(function: Arc<Function>, arguments: Message) -> Self {
        Self {
            call: Ok((function, arguments)),
            worker: None,
            limit: None,
        }
    }

    /// Has it run by one worker alone, in that worker's interpreter; they count from 0. Such tasks come before others, and
    /// nobody helps that worker with them.
    pub fn on(mut self, worker: usize) -> Self {
        self.worker = Some(worker);
        self
    }

    /// Has it interrupted once it has run for so long. Waiting in the queue does not count, nor does importing its function.
    ///
    /// A task that is interrupted and raises anything fails with `TimeoutError`, and the traceback says where it was; one that
    /// returns all the same has its result. What does not stop within the pool's [grace](crate::Builder::grace) is given up and
    /// fails with `TimeoutError` too.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}
