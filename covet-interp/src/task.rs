//! One call of one function, and the handle that waits for its result.

use crate::borrow::Entered;
use crate::error::Error;
use crate::fork::{self, Process};
use crate::function::Function;
use crate::job::{self, Job, Turn};
use crate::value::Value;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Where a task is in its life. It only moves forward.
///
/// ```text
/// Queued --> Running --> Done
///    |
///    '-----> Cancelled
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskState {
    /// Accepted, and not begun.
    Queued,
    /// In an interpreter.
    Running,
    /// Cancelled before it began.
    Cancelled,
    /// It has a result or an error.
    Done,
}

impl TaskState {
    fn from(byte: u8) -> Self {
        [Self::Queued, Self::Running, Self::Cancelled, Self::Done][usize::from(byte)]
    }

    /// Whether the state is final.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Done)
    }
}

type Observer = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Waiting {
    threads: usize,
    observers: Vec<Observer>,
}

/// A call of a function with its arguments, and what came of it.
pub struct Task {
    number: u64,
    function: Arc<Function>,
    /// The message of the arguments, until it runs.
    arguments: Mutex<Vec<u8>>,
    state: AtomicU8,
    outcome: OnceLock<Result<Vec<u8>, Error>>,
    waiting: Mutex<Waiting>,
    done: Condvar,
    process: Process,
}

impl Task {
    /// A task that calls `function` with the arguments of a message (see [`Support`](crate::raw::Support)).
    pub fn new(function: Arc<Function>, arguments: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            number: job::next_number(),
            function,
            arguments: Mutex::new(arguments),
            state: AtomicU8::new(TaskState::Queued as u8),
            outcome: OnceLock::new(),
            waiting: Mutex::default(),
            done: Condvar::new(),
            process: Process::this(),
        })
    }

    /// A task that is done already, with an error: one whose arguments could not be sent.
    pub fn failed(error: Error) -> Arc<Self> {
        let task = Self::new(Function::reference("", ""), Vec::new());
        task.abandon(&error);
        task
    }

    /// The number by which a running task can be interrupted.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The function that it calls.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// Where it is in its life. In a child of `fork`, what its parent had not finished is done, with an error.
    pub fn state(&self) -> TaskState {
        // Acquire pairs with the release in `end`: who sees Done sees the outcome.
        let state = TaskState::from(self.state.load(Ordering::Acquire));
        if state.is_final() || self.process.is_this() {
            state
        } else {
            TaskState::Done
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn move_on(&self, from: TaskState, to: TaskState) -> bool {
        self.state
            .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Cancels it if it has not begun. Returns whether it is cancelled.
    pub fn cancel(&self) -> bool {
        if self.process.is_this() && self.move_on(TaskState::Queued, TaskState::Cancelled) {
            self.tell(self.waiting());
        }
        self.state() == TaskState::Cancelled
    }

    /// The message of the result, or the error; `None` until the task is in a final state.
    pub fn outcome(&self) -> Option<&Result<Vec<u8>, Error>> {
        static CANCELLED: Result<Vec<u8>, Error> = Err(Error::Cancelled);
        static INHERITED: LazyLock<Result<Vec<u8>, Error>> = LazyLock::new(|| Err(fork::refusal()));
        match self.state() {
            TaskState::Queued | TaskState::Running => None,
            TaskState::Cancelled => Some(&CANCELLED),
            TaskState::Done => Some(self.outcome.get().unwrap_or(&INHERITED)),
        }
    }

    /// Waits until the task is in a final state, or until the deadline. Returns whether it is.
    ///
    /// Waits detached or not at all: a thread that waits attached keeps its GIL.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.state().is_final() {
            return true;
        }
        let mut waiting = self.waiting();
        waiting.threads += 1;
        while !self.state().is_final() {
            waiting = match deadline {
                None => self
                    .done
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.done
                        .wait_timeout(waiting, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        waiting.threads -= 1;
        self.state().is_final()
    }

    /// Waits for the result. Detach first.
    ///
    /// # Errors
    /// [`Error::Python`] with what the function raised; [`Error::Value`] when its result is no tree of values;
    /// [`Error::Cancelled`]; what became of the pool.
    pub fn result(&self) -> Result<Value, Error> {
        self.wait(None);
        match self.outcome() {
            Some(Ok(message)) => Value::read(message),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::Closed),
        }
    }

    /// Calls `observer` once the task is in a final state: on the thread that brings it there, or now. It must be
    /// quick, and must not call Python.
    pub fn then(&self, observer: impl FnOnce() + Send + 'static) {
        // Looked at before the lock too, which a thread that no child has may hold.
        if !self.state().is_final() {
            let mut waiting = self.waiting();
            if !self.state().is_final() {
                waiting.observers.push(Box::new(observer));
                return;
            }
        }
        observer();
    }

    /// Ends the task, which this thread has moved to Running.
    fn end(&self, outcome: Result<Vec<u8>, Error>) {
        let _ = self.outcome.set(outcome);
        let waiting = self.waiting();
        // Release pairs with the acquire in `state`. Under the lock, so that nobody begins to wait meanwhile.
        self.state.store(TaskState::Done as u8, Ordering::Release);
        self.tell(waiting);
    }

    /// Tells those who wait that the state is final now.
    fn tell(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let threads = waiting.threads;
        let observers = std::mem::take(&mut waiting.observers);
        drop(waiting);
        // A condition variable that nobody waits on would still cost a system call.
        if threads > 0 {
            self.done.notify_all();
        }
        for observer in observers {
            observer();
        }
    }
}

impl Job for Task {
    fn is_wanted(&self) -> bool {
        self.state() == TaskState::Queued
    }

    fn run(&self, here: &mut Entered<'_>) -> Turn {
        here.begin(self.number);
        let begun = self.move_on(TaskState::Queued, TaskState::Running);
        let outcome = begun.then(|| {
            let arguments = self.arguments.lock();
            let mut buffer =
                std::mem::take(&mut *arguments.unwrap_or_else(PoisonError::into_inner));
            here.open(&self.function);
            let called = here.call_timed(&self.function, &mut buffer);
            called.map(|()| buffer).map_err(Error::Python)
        });
        here.finish();
        if let Some(outcome) = outcome {
            self.end(outcome);
        }
        Turn::Done
    }

    fn abandon(&self, why: &Error) {
        if *why == Error::Cancelled {
            self.cancel();
        } else if self.move_on(TaskState::Queued, TaskState::Running) {
            self.end(Err(why.clone()));
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("number", &self.number)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
