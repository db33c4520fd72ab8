//! Interpreters behind one ring: made by workers, lent to callers.

use crate::attach::{AtMain, Detached};
use crate::batch::{Batch, Block};
use crate::borrow::{self, Entered};
use crate::error::Error;
use crate::ffi;
use crate::fork::{self, Process};
use crate::function::Function;
use crate::handle::TaskHandle;
use crate::job::{self, Job, Turn};
use crate::object::Raised;
use crate::registry;
use crate::runtime::Runtime;
use crate::slot::{self, Slot};
use crate::strategy::{Decision, Strategy};
use crate::support::Support;
use crate::task::Task;
use crate::value::Value;
use crate::worker;
use covet_queue::mpmc::{self, Consumer, Producer};
use covet_queue::{EventCount, PushTimeoutError, TryPushError};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

/// Jobs that may wait in the ring, unless the builder says otherwise.
const QUEUE_SIZE: usize = 16 << 10;

/// A set of interpreters, each owned by a worker thread, that run tasks from one bounded ring and are lent to calling
/// threads while they are idle.
///
/// Dropping it closes it and does not wait: its workers finish what is queued, end their interpreters, and end. Wait for them
/// with [`Pool::wait_ended`]; dropping the [`Runtime`] that started Python waits as well.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// How a [`Pool`] is made.
#[derive(Debug, Default)]
pub struct Builder {
    workers: Option<usize>,
    strategy: Option<Strategy>,
    queue_size: Option<usize>,
    name: Option<String>,
    preload: Vec<String>,
    initializer: Option<(Arc<Function>, Vec<u8>)>,
}

impl Builder {
    /// How many workers; the default is the number of cores that this process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers.max(1));
        self
    }

    /// Where tasks run; by default chosen from what this Python can do.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// How many tasks may wait before [`Pool::submit`] waits itself; the default is 16384.
    pub fn queue_size(mut self, tasks: usize) -> Self {
        self.queue_size = Some(tasks.max(1));
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

    /// A function that every worker calls before its first task, with the arguments of a message. If it raises, the pool is
    /// broken.
    pub fn initializer(mut self, function: Arc<Function>, arguments: Vec<u8>) -> Self {
        self.initializer = Some((function, arguments));
        self
    }

    /// Makes the pool. Returns once the workers' threads run; their interpreters are made meanwhile, and whoever needs
    /// one waits for it.
    ///
    /// # Errors
    /// [`Error::Strategy`] when the strategy asked for cannot work here; [`Error::Runtime`] when the calling interpreter is
    /// about to end; [`Error::Thread`] when no thread can be had.
    pub fn build(self, runtime: &Runtime) -> Result<Pool, Error> {
        let decision = runtime.facts().decide(self.strategy)?;
        if decision.strategy == Strategy::Subinterpreters {
            fork::find_list(runtime);
        }
        let workers = self.workers.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
        });
        let (ring, intake) = mpmc::bounded(self.queue_size.unwrap_or(QUEUE_SIZE));
        let shared = Arc::new(Shared {
            process: Process::this(),
            number: job::next_number(),
            home: registry::this_interpreter(),
            name: self.name.unwrap_or_else(|| "covet".to_owned()),
            decision,
            place: place(),
            preload: self.preload,
            initializer: self.initializer,
            ring,
            intake,
            seats: (0..workers).map(|_| OnceLock::new()).collect(),
            idle: EventCount::new(),
            failure: OnceLock::new(),
            live: Mutex::new(workers),
            ended: Condvar::new(),
        });
        registry::enlist(&shared)?;
        for index in 0..workers {
            if let Err(error) = worker::spawn(&shared, index) {
                // The ones that do not run count as ended; those that do end by themselves.
                shared.ring.close();
                for _ in index..workers {
                    shared.worker_ended();
                }
                return Err(error);
            }
        }
        Ok(Pool { shared })
    }
}

/// Where the calling interpreter imports from, as a message for `enter` in support.py.
fn place() -> Vec<u8> {
    // SAFETY: a `Runtime` exists, so Python runs; a thread that is not attached visits main. Objects die attached.
    unsafe {
        let _main = ffi::current().is_null().then(|| AtMain::new());
        let mut message = Vec::new();
        let written = Support::load().and_then(|support| {
            let place = support.part(c"here")?.call(&[])?;
            support.encode(place.as_ptr(), &mut message)
        });
        if let Err(Raised) = written {
            ffi::PyErr_Clear();
        }
        message
    }
}

impl Pool {
    /// How to make one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where its tasks run, and why there.
    pub fn decision(&self) -> &Decision {
        &self.shared.decision
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.shared.seats.len()
    }

    /// Lends this thread an idle interpreter; waits (detached) while all are busy.
    ///
    /// The thread needs 6 MiB of stack on Python 3.13 and 3 MiB before, which do not look at how much is left; 256 KiB from
    /// 3.14 on. Rust's own threads have 2 MiB unless made with more.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::Broken`] when the pool has no interpreters (any more); [`Error::Thread`] when the
    /// calling thread has too little stack left.
    pub fn enter(&self) -> Result<Entered<'_>, Error> {
        if let Some(entered) = self.try_enter() {
            return Ok(entered);
        }
        if self.shared.is_closed() {
            return Err(self.shared.refusal());
        }
        if !borrow::enough_stack() {
            return Err(Error::Thread(format!(
                "expected {} KiB of stack below a caller that runs Python, found less: make the thread with a larger stack, \
                 or submit the task to a worker",
                ffi::STACK_NEEDED >> 10
            )));
        }
        let slot = {
            let _detached = Detached::new();
            self.shared
                .idle
                .wait_until(None, || match self.shared.take_any_slot() {
                    Some(slot) => Some(Ok(slot)),
                    None if self.shared.is_closed() => Some(Err(self.shared.refusal())),
                    None => None,
                })
        };
        match slot {
            Some(Ok(slot)) => Ok(Entered::new(slot, &self.shared.idle)),
            Some(Err(error)) => Err(error),
            None => Err(Error::Closed),
        }
    }

    /// Lends this thread an interpreter if one is idle now, the pool is open, and the thread has enough stack left.
    #[inline]
    pub fn try_enter(&self) -> Option<Entered<'_>> {
        let shared = &*self.shared;
        if shared.is_closed() || !borrow::enough_stack() {
            return None;
        }
        let slot = slot::take_known(shared.number).or_else(|| shared.take_any_slot())?;
        Some(Entered::new(slot, &shared.idle))
    }

    /// Calls `function` with `arguments` on this thread, in an idle interpreter.
    ///
    /// # Errors
    /// [`Error::Python`] with what it raised; [`Error::Value`] when an argument or the result cannot cross; and as
    /// [`Pool::enter`].
    pub fn call(&self, function: &Function, arguments: &[Value]) -> Result<Value, Error> {
        let mut message = Vec::new();
        Value::write_call(arguments, &mut message)?;
        self.enter()?
            .call(function, &mut message)
            .map_err(Error::Python)?;
        Value::read(&message)
    }

    /// Has a worker call `function` with `arguments`; waits (detached) while the queue is full.
    ///
    /// # Errors
    /// As [`Pool::submit_task`].
    pub fn submit(
        &self,
        function: Arc<Function>,
        arguments: &[Value],
    ) -> Result<TaskHandle, Error> {
        self.submit_task(Task::new(function, arguments))
    }

    /// Queues a task; waits (detached) while the queue is full.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a task that cannot be sent; [`Error::Closed`] or [`Error::Broken`].
    pub fn submit_task(&self, task: Task) -> Result<TaskHandle, Error> {
        let handle = self.prepare(task)?;
        self.queue(&handle, None)?;
        Ok(handle)
    }

    /// Queues a task if there is room for it now.
    ///
    /// # Errors
    /// [`Error::Full`] if there is none, and as [`Pool::submit_task`].
    pub fn try_submit_task(&self, task: Task) -> Result<TaskHandle, Error> {
        let handle = self.prepare(task)?;
        match self
            .shared
            .ring
            .try_push(Arc::clone(handle.core()) as Arc<dyn Job>)
        {
            Ok(()) => Ok(handle),
            Err(TryPushError::Full(_)) => Err(Error::Full(self.shared.ring.capacity())),
            Err(TryPushError::Closed(_)) => Err(self.shared.refusal()),
        }
    }

    /// The handle of a task for this pool that is not queued yet, for who waits for room in steps of his own.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a task that cannot be sent.
    pub fn prepare(&self, task: Task) -> Result<TaskHandle, Error> {
        let (function, message) = task.into_call()?;
        Ok(TaskHandle::new(function, message, Arc::clone(&self.shared)))
    }

    /// Queues a task that was [prepared](Pool::prepare), once; waits (detached) while the queue is full, until the deadline.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Broken`], or [`Error::TimedOut`]: it is not queued then.
    pub fn queue(&self, task: &TaskHandle, deadline: Option<Instant>) -> Result<(), Error> {
        self.shared
            .push(Arc::clone(task.core()) as Arc<dyn Job>, deadline)
    }

    /// An empty batch, to be filled by [`Pool::append`]. With `chunk_size`, chunks have that many items; otherwise they are
    /// sized by time.
    pub fn batch(&self, function: Arc<Function>, chunk_size: Option<usize>) -> Arc<Batch> {
        Batch::new(function, self.workers(), chunk_size)
    }

    /// Adds items to a batch. [`Pool::start`] makes workers run them.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::Broken`]; the batch fails with the same error then.
    pub fn append(&self, batch: &Batch, block: Block) -> Result<(), Error> {
        if self.shared.is_closed() {
            let error = self.shared.refusal();
            batch.fail(error.clone());
            return Err(error);
        }
        batch.append(block);
        Ok(())
    }

    /// Queues a batch for as many workers as can share what is left of it; waits (detached) for room in a full queue until
    /// the deadline, if nobody runs the batch yet.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::Broken`]; the batch fails with the same error then. [`Error::TimedOut`]: nobody runs it
    /// yet, start it again.
    pub fn start(&self, batch: &Arc<Batch>, deadline: Option<Instant>) -> Result<(), Error> {
        if !self.shared.process.is_this() {
            return Err(self.shared.refusal());
        }
        while let Some(alone) = batch.wants_runner() {
            let job = Arc::clone(batch) as Arc<dyn Job>;
            let queued = if alone {
                self.shared.push(job, deadline)
            } else {
                match self.shared.put_back(job) {
                    None => Ok(()),
                    // Full or closed: those that run it do without more hands.
                    Some(_) => {
                        batch.lose_runner();
                        return Ok(());
                    }
                }
            };
            if let Err(error) = queued {
                batch.lose_runner();
                if !matches!(error, Error::TimedOut(_)) {
                    batch.fail(error.clone());
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Runs a task that is still queued on this thread, if an interpreter is idle. Returns whether it did.
    pub fn help_task(&self, task: &TaskHandle) -> bool {
        let core = task.core();
        core.is_wanted()
            && self.try_enter().is_some_and(|mut here| {
                core.run(&mut here);
                true
            })
    }

    /// Runs one chunk of a batch on this thread, if an interpreter is idle. Returns whether it did.
    pub fn help_batch(&self, batch: &Batch) -> bool {
        self.try_enter()
            .is_some_and(|mut here| batch.run_as_guest(&mut here) == Turn::Again)
    }

    /// Raises `KeyboardInterrupt` in what runs under this number (of a task or a batch; `None`: in all that runs), as soon as
    /// its interpreter's GIL can be had; what waits in a C function notices when that returns. Does not wait for it.
    pub fn interrupt(&self, number: Option<u64>) {
        self.shared.interrupt(number);
    }

    /// Takes no more tasks. Those that are queued still run.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Cancels every task that is queued.
    pub fn cancel_queued(&self) {
        self.shared.abandon_now(&Error::Cancelled);
    }

    /// Whether it takes no more tasks.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed()
    }

    /// Why no worker could start, if none could.
    pub fn failure(&self) -> Option<&str> {
        self.shared.failure.get().map(String::as_str)
    }

    /// Why it takes no tasks: what [`Pool::submit`] would answer once it is closed.
    pub fn refusal(&self) -> Error {
        self.shared.refusal()
    }

    /// Waits until every worker has ended, or until the deadline. Returns whether they have. Detach first.
    pub fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        self.shared.wait_ended(deadline)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
    }
}

/// What a pool's handle, its workers and its borrowers share.
pub(crate) struct Shared {
    process: Process,
    number: u64,
    /// The interpreter that made it.
    home: i64,
    name: String,
    decision: Decision,
    place: Vec<u8>,
    preload: Vec<String>,
    initializer: Option<(Arc<Function>, Vec<u8>)>,
    ring: Producer<Arc<dyn Job>>,
    intake: Consumer<Arc<dyn Job>>,
    /// The slot of each worker, once it is ready.
    seats: Box<[OnceLock<Arc<Slot>>]>,
    /// Tells when a slot was released, seated or lost.
    idle: EventCount,
    failure: OnceLock<String>,
    /// Workers that have not ended.
    live: Mutex<usize>,
    ended: Condvar,
}

impl Shared {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn home(&self) -> i64 {
        self.home
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn strategy(&self) -> Strategy {
        self.decision.strategy
    }

    pub(crate) fn place(&self) -> &[u8] {
        &self.place
    }

    pub(crate) fn preload(&self) -> &[String] {
        &self.preload
    }

    pub(crate) fn initializer(&self) -> Option<&(Arc<Function>, Vec<u8>)> {
        self.initializer.as_ref()
    }

    pub(crate) fn idle(&self) -> &EventCount {
        &self.idle
    }

    /// Shows the slot of a worker that is ready.
    pub(crate) fn seat(&self, index: usize, slot: &Arc<Slot>) {
        let _ = self.seats[index].set(Arc::clone(slot));
        self.idle.notify_all();
    }

    fn take_any_slot(&self) -> Option<Arc<Slot>> {
        self.seats
            .iter()
            .filter_map(OnceLock::get)
            .find(|slot| slot.try_take())
            .cloned()
    }

    /// A free slot for a worker, its own first; waits for one. `None` when the pool broke down.
    pub(crate) fn take_slot_for(&self, own: &Arc<Slot>) -> Option<Arc<Slot>> {
        self.idle
            .wait_until(None, || {
                if self.failure.get().is_some() {
                    return Some(None);
                }
                if own.try_take() {
                    Some(Some(Arc::clone(own)))
                } else {
                    self.take_any_slot().map(Some)
                }
            })
            .flatten()
    }

    /// The next job; waits for one. `None` when the pool is closed and the queue empty.
    pub(crate) fn next_job(&self) -> Option<Arc<dyn Job>> {
        self.intake.pop().ok()
    }

    pub(crate) fn next_job_now(&self) -> Option<Arc<dyn Job>> {
        self.intake.try_pop().ok()
    }

    /// Puts a job behind those that wait; gives it back if there is no room, or if the ring is closed.
    pub(crate) fn put_back(&self, job: Arc<dyn Job>) -> Option<Arc<dyn Job>> {
        match self.ring.try_push(job) {
            Ok(()) => None,
            Err(TryPushError::Full(job) | TryPushError::Closed(job)) => Some(job),
        }
    }

    fn push(&self, job: Arc<dyn Job>, deadline: Option<Instant>) -> Result<(), Error> {
        if !self.process.is_this() {
            return Err(self.refusal());
        }
        let job = match self.ring.try_push(job) {
            Ok(()) => return Ok(()),
            Err(TryPushError::Closed(_)) => return Err(self.refusal()),
            Err(TryPushError::Full(job)) => job,
        };
        let _detached = Detached::new();
        match deadline {
            None => self.ring.push(job).map_err(|_| self.refusal()),
            Some(deadline) => {
                let limit = deadline.saturating_duration_since(Instant::now());
                self.ring
                    .push_timeout(job, limit)
                    .map_err(|error| match error {
                        PushTimeoutError::Timeout(_) => Error::TimedOut(limit),
                        PushTimeoutError::Closed(_) => self.refusal(),
                    })
            }
        }
    }

    /// Why the pool takes nothing.
    pub(crate) fn refusal(&self) -> Error {
        match self.failure.get() {
            _ if !self.process.is_this() => fork::refusal(),
            Some(why) => Error::Broken(why.clone()),
            None => Error::Closed,
        }
    }

    /// A worker could not start: the pool runs nothing any more.
    pub(crate) fn break_down(&self, why: &str) {
        let _ = self.failure.set(why.to_owned());
        self.close();
    }

    pub(crate) fn close(&self) {
        if self.process.is_this() {
            self.ring.close();
            self.idle.notify_all();
        }
    }

    /// Whether it takes nothing (any more).
    #[inline]
    fn is_closed(&self) -> bool {
        !self.process.is_this() || self.ring.is_closed()
    }

    /// Abandons every job until the closed queue is empty.
    pub(crate) fn abandon_queue(&self, why: &Error) {
        while let Some(job) = self.next_job() {
            job.abandon(why);
        }
    }

    pub(crate) fn abandon_now(&self, why: &Error) {
        while self.process.is_this()
            && let Some(job) = self.next_job_now()
        {
            job.abandon(why);
        }
    }

    pub(crate) fn interrupt(self: &Arc<Self>, job: Option<u64>) {
        if !self.process.is_this() {
            return;
        }
        for seat in self.seats.iter() {
            let Some(slot) = seat.get().cloned() else {
                continue;
            };
            // It waits for the GIL of the interpreter, which a C function may keep for long: nobody waits with it.
            let _ = std::thread::Builder::new()
                .name("covet-interrupt".to_owned())
                .spawn(move || slot.interrupt(job));
        }
    }

    fn live(&self) -> MutexGuard<'_, usize> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn worker_ended(&self) {
        let mut live = self.live();
        *live -= 1;
        let last = *live == 0;
        drop(live);
        if last {
            // Nobody is left to run what came in between the last look at the queue and its closing.
            self.abandon_now(&self.refusal());
            registry::strike_off(self);
            self.ended.notify_all();
        }
    }

    pub(crate) fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        if !self.process.is_this() {
            return true;
        }
        let mut live = self.live();
        while *live > 0 {
            live = match deadline {
                None => self
                    .ended
                    .wait(live)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.ended
                        .wait_timeout(live, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        *live == 0
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("decision", &self.decision)
            .field("workers", &self.seats.len())
            .field("queued", &self.ring.len())
            .finish_non_exhaustive()
    }
}
