//! What can go wrong, as values.

use std::fmt;
use std::time::Duration;

/// An exception that Python code raised, as text, and pickled where it can be.
///
/// No Python object crosses from one interpreter to another, so neither does an exception: this is what is left
/// of it, enough to show it to a person and, in an interpreter, to make it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonError {
    /// Its type: `ValueError`, `json.decoder.JSONDecodeError`.
    pub kind: String,
    /// Its message: `str(error)`.
    pub message: String,
    /// Its traceback, formatted as Python prints it, causes and notes included.
    pub traceback: String,
    /// The pickled exception, unless it does not pickle.
    pub pickled: Option<Vec<u8>>,
}

impl fmt::Display for PythonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl PythonError {
    /// Appends the error to a message.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for part in [
            self.kind.as_bytes(),
            self.message.as_bytes(),
            self.traceback.as_bytes(),
        ] {
            write_part(out, part);
        }
        match &self.pickled {
            Some(data) => {
                out.push(1);
                write_part(out, data);
            }
            None => out.push(0),
        }
    }

    /// Reads what [`PythonError::write`] wrote.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let mut text = || String::from_utf8_lossy(read_part(&mut rest)).into_owned();
        let (kind, message, traceback) = (text(), text(), text());
        let pickled = match rest.split_first() {
            Some((1, mut data)) => Some(read_part(&mut data).to_vec()),
            _ => None,
        };
        Self {
            kind,
            message,
            traceback,
            pickled,
        }
    }
}

fn write_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend_from_slice(&(part.len() as u64).to_ne_bytes());
    out.extend_from_slice(part);
}

fn read_part<'b>(rest: &mut &'b [u8]) -> &'b [u8] {
    let Some((size, after)) = rest.split_first_chunk() else {
        return &[];
    };
    let size = (u64::from_ne_bytes(*size) as usize).min(after.len());
    let (part, after) = after.split_at(size);
    *rest = after;
    part
}

/// Why an interpreter, a pool or a task did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Python code raised an exception.
    Python(PythonError),
    /// This process has no Python yet, has one already, or is about to end it.
    Runtime(String),
    /// An interpreter could not be made, for the reason that CPython gives.
    NewInterpreter(String),
    /// The strategy asked for cannot work on this Python.
    Strategy(String),
    /// A value cannot cross between Rust and Python: too deep, too large, or not a tree.
    Value(String),
    /// What was asked for makes no sense: what was expected, and what was found.
    Invalid(String),
    /// The operating system did not give a thread.
    Thread(String),
    /// There is no memory for the thread state that the calling thread would need in an interpreter. Nothing was begun.
    NoMemory,
    /// The pool was shut down before the task could be taken.
    Closed,
    /// No worker of the pool could start: an interpreter, a preload or the initializer failed.
    Broken(String),
    /// The task was cancelled before it ran.
    Cancelled,
    /// It was interrupted and did not stop within the pool's grace, so its worker was given up, and replaced.
    Lost {
        /// What it ran.
        what: String,
        /// For how long it had run then.
        ran: Duration,
    },
    /// Every interpreter of the pool is kept by a thread that waits for one of them, or for a task of the pool.
    Deadlock,
    /// The time given was not enough.
    TimedOut(Duration),
    /// As many tasks wait already as may; the number says how many. It was not queued.
    Full(usize),
    /// The task's deadline had passed, by this much, when it could have begun. It was not begun.
    Late(Duration),
    /// The Rust code of the task panicked, with this message.
    Panicked(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Python(error) => error.fmt(f),
            Self::Runtime(what) => f.write_str(what),
            Self::NewInterpreter(why) => write!(f, "CPython could not make an interpreter: {why}"),
            Self::Strategy(why) | Self::Value(why) | Self::Invalid(why) => f.write_str(why),
            Self::Thread(why) => write!(f, "the operating system refused a thread: {why}"),
            Self::NoMemory => f.write_str("there is no memory for a thread state"),
            Self::Closed => f.write_str("the pool is shut down: it takes no more tasks"),
            Self::Broken(why) => {
                write!(
                    f,
                    "the pool is broken, because a worker could not start: {why}; mend that and make a new pool"
                )
            }
            Self::Cancelled => f.write_str("the task was cancelled before it ran"),
            Self::Lost { what, ran } => write!(
                f,
                "{what} did not stop when it was interrupted, and was given up after {ran:.1?}: it is blocked in C code, or \
                 catches KeyboardInterrupt"
            ),
            Self::Deadlock => f.write_str(
                "a deadlock: every worker of the pool waits for a task that waits for a worker of the same pool; wait outside of the \
                 pool's tasks, or use a pool of its own for what they wait for",
            ),
            Self::TimedOut(limit) => write!(f, "not done after {limit:?}"),
            Self::Full(size) => write!(
                f,
                "the queue is full: expected fewer than {size} tasks to wait; wait for room, or try again later"
            ),
            Self::Late(by) => write!(
                f,
                "the task was not begun: its deadline had passed {by:?} before it was its turn"
            ),
            Self::Panicked(message) => write!(f, "the task panicked: {message}"),
        }
    }
}

impl std::error::Error for Error {}
