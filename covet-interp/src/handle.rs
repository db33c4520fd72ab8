//! The handle of a task: waits for its result, in a thread or in an async task, and can stop it.
//!
//! All handles of a task and the pool share its *core*, which moves through [`TaskState`] by compare-and-swap only, so a
//! cancel, a helping waiter and a worker cannot all have it.

use crate::borrow::Entered;
use crate::deadline::wait_while;
use crate::error::{Error, PythonError};
use crate::fork::{self, Process};
use crate::function::Function;
use crate::job::{self, Job, Turn};
use crate::limit::Limited;
use crate::message::Message;
use crate::pool::Shared;
use crate::seat::Seat;
use crate::value::Value;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

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

/// What a task's handles and its pool share.
pub(crate) struct Core {
    number: u64,
    function: Arc<Function>,
    /// The pool that it is for; none for one that has failed before.
    pool: Option<Arc<Shared>>,
    /// The worker that has to run it, if it matters.
    seat: Option<Arc<Seat>>,
    /// For how long it may run.
    limit: Option<Duration>,
    /// Whether it was interrupted because it ran longer.
    overdue: AtomicBool,
    made: Instant,
    /// The message of the arguments, until it runs or is done without.
    arguments: Mutex<Message>,
    state: AtomicU8,
    outcome: OnceLock<Result<Message, Error>>,
    waiting: Mutex<Waiting>,
    done: Condvar,
    process: Process,
}

impl Core {
    fn new(
        function: Arc<Function>,
        arguments: Message,
        pool: Option<Arc<Shared>>,
        seat: Option<Arc<Seat>>,
        limit: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new(Self {
            number: job::next_number(),
            function,
            pool,
            seat,
            limit,
            overdue: AtomicBool::new(false),
            made: Instant::now(),
            arguments: Mutex::new(arguments),
            state: AtomicU8::new(TaskState::Queued as u8),
            outcome: OnceLock::new(),
            waiting: Mutex::default(),
            done: Condvar::new(),
            process: Process::this(),
        })
    }

    /// The worker that has to run it, if it matters.
    pub(crate) fn seat(&self) -> Option<&Arc<Seat>> {
        self.seat.as_ref()
    }

    /// In a child of `fork`, what its parent had not finished is done, with an error.
    pub(crate) fn state(&self) -> TaskState {
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

    fn cancel(&self) -> bool {
        if self.process.is_this() && self.move_on(TaskState::Queued, TaskState::Cancelled) {
            if let Some(pool) = &self.pool {
                pool.count_cancelled();
            }
            self.tell(self.waiting());
        }
        self.state() == TaskState::Cancelled
    }

    fn outcome(&self) -> Option<&Result<Message, Error>> {
        static CANCELLED: Result<Message, Error> = Err(Error::Cancelled);
        static INHERITED: LazyLock<Result<Message, Error>> = LazyLock::new(|| Err(fork::refusal()));
        match self.state() {
            TaskState::Queued | TaskState::Running => None,
            TaskState::Cancelled => Some(&CANCELLED),
            TaskState::Done => Some(self.outcome.get().unwrap_or(&INHERITED)),
        }
    }

    fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.state().is_final() {
            return true;
        }
        let Some(pool) = &self.pool else {
            return self.sleep(deadline);
        };
        match pool.patience().look(deadline, || self.state().is_final()) {
            Ok(()) => true,
            Err(start) => {
                let is_final = self.sleep(deadline);
                pool.patience().learn(start);
                is_final
            }
        }
    }

    fn sleep(&self, deadline: Option<Instant>) -> bool {
        let mut waiting = self.waiting();
        waiting.threads += 1;
        let mut waiting = wait_while(&self.done, waiting, deadline, |_| !self.state().is_final());
        waiting.threads -= 1;
        self.state().is_final()
    }

    fn then(&self, observer: impl FnOnce() + Send + 'static) {
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

    /// Runs it, unless it was begun or cancelled.
    pub(crate) fn run_in(self: &Arc<Self>, here: &mut Entered<'_>) {
        here.begin(Arc::clone(self) as Arc<dyn Job>);
        if !self.move_on(TaskState::Queued, TaskState::Running) {
            here.finish();
            return;
        }
        let arguments = self.take_arguments();
        let mut result = Message::new();
        let began = here.open(&self.function);
        // A time too long for the clock is no limit.
        let deadline = self.limit.and_then(|limit| began.checked_add(limit));
        let limited = deadline.map(|deadline| Limited::new(self, deadline));
        let (called, took) = here.call_since(began, &self.function, &arguments, &mut result);
        drop(limited);
        here.finish();
        drop(arguments);
        let failed = u64::from(called.is_err());
        here.count(1 - failed, failed, took, began - self.made);
        self.end(called.map(|()| result).map_err(|error| self.failure(error)));
    }

    /// It has run for as long as it may.
    pub(crate) fn run_out_of_time(&self) {
        // Release pairs with the acquire in `failure`: who sees the exception that this leads to sees why.
        self.overdue.store(true, Ordering::Release);
        if let Some(pool) = &self.pool {
            pool.interrupt(Some(self.number));
        }
    }

    /// What to say when it raised `error`.
    fn failure(&self, error: PythonError) -> Error {
        match self.limit {
            Some(limit) if self.overdue.load(Ordering::Acquire) => Error::Python(PythonError {
                kind: "TimeoutError".to_owned(),
                message: format!(
                    "{} was interrupted after {limit:?}, its time limit",
                    self.function
                ),
                traceback: error.traceback,
                pickled: None,
            }),
            _ => Error::Python(error),
        }
    }

    /// Ends the task, which is Running. The first outcome counts: a task that was given up may still return.
    fn end(&self, outcome: Result<Message, Error>) {
        if self.outcome.set(outcome).is_err() {
            return;
        }
        let waiting = self.waiting();
        // Release pairs with the acquire in `state`. Under the lock, so that nobody begins to wait meanwhile.
        self.state.store(TaskState::Done as u8, Ordering::Release);
        self.tell(waiting);
    }

    fn take_arguments(&self) -> Message {
        let arguments = self.arguments.lock();
        std::mem::take(&mut *arguments.unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells those who wait that the state is final now.
    fn tell(&self, mut waiting: MutexGuard<'_, Waiting>) {
        let threads = waiting.threads;
        let observers = std::mem::take(&mut waiting.observers);
        drop(waiting);
        // They are still there if it never ran: what they keep alive goes now.
        drop(self.take_arguments());
        // A condition variable that nobody waits on would still cost a system call.
        if threads > 0 {
            self.done.notify_all();
        }
        for observer in observers {
            // The panic of an observer is its own: it was reported, and the thread belongs to the pool.
            let _ = catch_unwind(AssertUnwindSafe(observer));
        }
    }
}

impl Job for Core {
    fn number(&self) -> u64 {
        self.number
    }

    fn is_wanted(&self) -> bool {
        self.state() == TaskState::Queued
    }

    fn run(self: Arc<Self>, here: &mut Entered<'_>) -> Turn {
        self.run_in(here);
        Turn::Done
    }

    fn abandon(&self, why: &Error) {
        if *why == Error::Cancelled {
            self.cancel();
        } else if self.move_on(TaskState::Queued, TaskState::Running) {
            self.end(Err(why.clone()));
        }
    }

    fn lose(&self, ran: Duration) {
        let lost = Error::Lost {
            what: self.function.to_string(),
            ran,
        };
        self.end(Err(if self.overdue.load(Ordering::Acquire) {
            Error::Python(PythonError {
                kind: "TimeoutError".to_owned(),
                message: lost.to_string(),
                traceback: String::new(),
                pickled: None,
            })
        } else {
            lost
        }));
    }
}

/// The handle of a task that was submitted: waits for it and can stop it.
///
/// Dropping it does not cancel the task. Cheap to clone; each clone can be waited for or awaited by itself.
///
/// It is a [`Future`] for any runtime: it needs no reactor and no timer, allocates once when it is first polled before the task
/// is done, and is cancel-safe: dropping or no longer polling it loses nothing. Polling it again after it was ready gives the
/// result again.
///
/// Whoever *waits* does so detached or not at all: a thread that waits attached keeps its GIL. The methods that return at once
/// may be called anywhere.
pub struct TaskHandle {
    core: Arc<Core>,
    waker: Option<Arc<WakerCell>>,
}

/// Who is to be woken for one handle, between two polls.
type WakerCell = Mutex<Option<Waker>>;

impl TaskHandle {
    /// A task that is not queued yet.
    pub(crate) fn new(
        function: Arc<Function>,
        arguments: Message,
        pool: Arc<Shared>,
        seat: Option<Arc<Seat>>,
        limit: Option<Duration>,
    ) -> Self {
        Self::of(Core::new(function, arguments, Some(pool), seat, limit))
    }

    fn of(core: Arc<Core>) -> Self {
        Self { core, waker: None }
    }

    /// The handle of a task that is done already, with an error: one whose arguments could not be sent.
    pub fn failed(error: Error) -> Self {
        let core = Core::new(
            Function::reference("", ""),
            Message::new(),
            None,
            None,
            None,
        );
        core.abandon(&error);
        Self::of(core)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The number by which it can be interrupted while it runs; no other task or batch of this process has it.
    pub fn number(&self) -> u64 {
        self.core.number
    }

    /// The function that it calls.
    pub fn function(&self) -> &Arc<Function> {
        &self.core.function
    }

    /// Where it is in its life. In a child of `fork`, what its parent had not finished is done, with an error.
    pub fn state(&self) -> TaskState {
        self.core.state()
    }

    /// Queues a task that was [prepared](crate::Pool::prepare), once; waits (detached) while the queue is full, until the
    /// deadline. One that has [failed](TaskHandle::failed) needs no place.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Broken`], or [`Error::TimedOut`]: it is not queued then.
    pub fn queue(&self, deadline: Option<Instant>) -> Result<(), Error> {
        match &self.core.pool {
            Some(pool) => pool.queue(&self.core, deadline),
            None => Ok(()),
        }
    }

    /// Queues a task that was [prepared](crate::Pool::prepare), once, if there is room for it now. One that has
    /// [failed](TaskHandle::failed) needs no place.
    ///
    /// # Errors
    /// [`Error::Full`] if there is none; [`Error::Closed`] or [`Error::Broken`].
    pub fn try_queue(&self) -> Result<(), Error> {
        match &self.core.pool {
            Some(pool) => pool.try_queue(&self.core),
            None => Ok(()),
        }
    }

    /// Cancels it if it has not begun. Returns whether it is cancelled.
    pub fn cancel(&self) -> bool {
        self.core.cancel()
    }

    /// Stops it wherever it is: cancels it if it has not begun, else has `KeyboardInterrupt` raised in it, as
    /// [`Pool::interrupt`](crate::Pool::interrupt) does. Does not wait for it.
    pub fn interrupt(&self) {
        if !self.cancel()
            && let Some(pool) = &self.core.pool
        {
            pool.interrupt(Some(self.number()));
        }
    }

    /// The message of the result, or the error; `None` until the task is in a final state.
    pub fn outcome(&self) -> Option<&Result<Message, Error>> {
        self.core.outcome()
    }

    /// Waits until the task is in a final state, or until the deadline. Returns whether it is.
    pub fn wait(&self, deadline: Option<Instant>) -> bool {
        self.core.wait(deadline)
    }

    /// As [`TaskHandle::wait`], for a thread that may be running a task of the same pool. `for_ever` says that it would wait again
    /// after the deadline.
    ///
    /// # Errors
    /// [`Error::Deadlock`] when it would wait for ever, because all interpreters of the pool are kept by threads that wait like
    /// this one.
    pub fn wait_inside(&self, deadline: Option<Instant>, for_ever: bool) -> Result<bool, Error> {
        let step = |until| self.wait(until).then_some(());
        match &self.core.pool {
            Some(pool) => pool
                .wait_watchfully(Some(self), deadline, for_ever, step)
                .map(|done| done.is_some()),
            None => Ok(self.wait(deadline)),
        }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`Error::Python`] with what the function raised; [`Error::Value`] when its result is no tree of values;
    /// [`Error::Cancelled`]; what became of the pool.
    pub fn result(&self) -> Result<Value, Error> {
        self.wait(None);
        self.read().unwrap_or(Err(Error::Closed))
    }

    /// Waits for the result, but no longer than `limit`. The task goes on if that was not enough.
    ///
    /// # Errors
    /// [`Error::TimedOut`], and as [`TaskHandle::result`].
    pub fn result_within(&self, limit: Duration) -> Result<Value, Error> {
        // A time too long for the clock is no limit.
        self.wait(Instant::now().checked_add(limit));
        self.read().unwrap_or(Err(Error::TimedOut(limit)))
    }

    /// Calls `observer` once the task is in a final state: on the thread that brings it there, or now. It must be
    /// quick, and must not call Python. If it panics on a thread of the pool, nobody else notices.
    pub fn then(&self, observer: impl FnOnce() + Send + 'static) {
        self.core.then(observer);
    }

    fn read(&self) -> Option<Result<Value, Error>> {
        self.outcome().map(|outcome| match outcome {
            Ok(message) => Value::read(message),
            Err(error) => Err(error.clone()),
        })
    }
}

impl Future for TaskHandle {
    type Output = Result<Value, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Some(result) = this.read() {
            return Poll::Ready(result);
        }
        let mut observe = false;
        let cell = this.waker.get_or_insert_with(|| {
            observe = true;
            Arc::default()
        });
        let waker = context.waker();
        let mut waiting = cell.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.as_ref().is_some_and(|w| w.will_wake(waker)) {
            *waiting = Some(waker.clone());
        }
        drop(waiting);
        if observe {
            let cell = Arc::clone(cell);
            this.core.then(move || {
                let waiting = cell.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(waker) = waiting {
                    waker.wake();
                }
            });
        }
        // The observer looks into the cell after the state became final. So either it finds the waker that was put there, or
        // the state is final now.
        this.read().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for TaskHandle {
    fn drop(&mut self) {
        if let Some(cell) = &self.waker {
            // Nobody waits here any more; what the waker keeps alive goes now.
            let waiting = cell.lock().unwrap_or_else(PoisonError::into_inner).take();
            drop(waiting);
        }
    }
}

impl Clone for TaskHandle {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.core))
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("number", &self.number())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
