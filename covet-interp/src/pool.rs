//! The handle of a pool: interpreters behind one ring, made by workers, lent to callers.

use crate::attach::{AtMain, Detached};
use crate::batch::{Batch, Block};
use crate::borrow::{self, Entered};
use crate::builder::{Builder, check_workers};
use crate::error::Error;
use crate::ffi;
use crate::function::Function;
use crate::handle::TaskHandle;
use crate::job::{Job, Turn};
use crate::limit;
use crate::message::Message;
use crate::object::Raised;
use crate::registry;
pub(crate) use crate::shared::{Options, Shared};
use crate::slot::{self, Slot};
use crate::stats::Stats;
use crate::strategy::Decision;
use crate::support::{self, Support};
use crate::task::Task;
use crate::value::Value;
use crate::worker;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A set of interpreters, each owned by a worker thread, that run tasks from one bounded ring and are lent to calling
/// threads while they are idle.
///
/// A task that is interrupted and does not stop within the pool's [grace](Builder::grace), because it is blocked in C code, is
/// *lost*: its handle gets [`Error::Lost`], and a new worker with a new interpreter takes the place of the one that it keeps.
///
/// Dropping it closes it and does not wait: its workers finish what is queued, end their interpreters, and end. Wait for them
/// with [`Pool::wait_ended`]; dropping the [`Runtime`](crate::Runtime) that started Python waits as well.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

/// Where the calling interpreter imports from, as a message for `enter` in support.py.
fn place() -> Result<Message, Error> {
    // SAFETY: a `Runtime` exists, so Python runs; a thread that is not attached visits main. Objects die attached.
    unsafe {
        let _main = match ffi::current().is_null() {
            true => Some(AtMain::new()?),
            false => None,
        };
        let mut message = Message::new();
        let written = Support::load().and_then(|support| {
            let place = support.part(c"here")?.call(&[])?;
            support.encode(place.as_ptr(), &mut message)
        });
        match written {
            Ok(()) => Ok(message),
            Err(Raised) => Err(Error::Python(support::take_error_plainly())),
        }
    }
}

impl Pool {
    /// How to make one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(options: Options) -> Result<Self, Error> {
        let workers = options.workers;
        let shared = Shared::new(options, registry::this_interpreter(), place()?);
        registry::enlist(&shared)?;
        // Dropped after an error, it closes: the workers that run end by themselves.
        let pool = Self { shared };
        worker::hire(&pool.shared, workers)?;
        Ok(pool)
    }

    /// Where its tasks run, and why there.
    pub fn decision(&self) -> &Decision {
        self.shared.decision()
    }

    /// How many workers it has.
    pub fn workers(&self) -> usize {
        self.shared.workers()
    }

    /// Grows or shrinks the pool to so many workers, 1 to 256. Workers that are too many finish what they run and what waits
    /// for them alone; the last ones go. Does not wait for them, nor for new ones to be ready.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another number; [`Error::Closed`] or [`Error::Broken`]; [`Error::Thread`] when no thread can be had:
    /// the pool has fewer workers than asked for then.
    pub fn resize(&self, workers: usize) -> Result<(), Error> {
        worker::hire(&self.shared, check_workers(workers)?)
    }

    /// What it has done so far. Costs some loads and locks for each worker; the workers do not notice.
    pub fn stats(&self) -> Stats {
        self.shared.stats()
    }

    /// Waits (detached) until the interpreters of all workers are ready, or until the deadline.
    ///
    /// # Errors
    /// [`Error::Broken`] with the reason when a worker could not start; [`Error::Closed`]; [`Error::TimedOut`].
    pub fn wait_ready(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let _detached = Detached::new();
        self.shared.wait_ready(deadline)
    }

    /// Lends this thread an idle interpreter; waits (detached) while all are busy.
    ///
    /// The thread needs 6 MiB of stack on Python 3.13 and 3 MiB before, which do not look at how much is left; 256 KiB from
    /// 3.14 on. Rust's own threads have 2 MiB unless made with more.
    ///
    /// # Errors
    /// [`Error::Closed`] or [`Error::Broken`] when the pool has no interpreters (any more); [`Error::Thread`] when the
    /// calling thread has too little stack left; [`Error::NoMemory`] when there is none for its state in that interpreter;
    /// [`Error::Deadlock`] when it runs a task of this pool, and all interpreters are
    /// kept by threads like it.
    pub fn enter(&self) -> Result<Entered<'_>, Error> {
        if let Some(slot) = self.take_idle() {
            return Entered::new(slot, &self.shared);
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
            self.shared.wait_watchfully(None, None, true, |until| {
                self.shared
                    .idle()
                    .wait_until(until, || match self.shared.take_any_slot() {
                        Some(slot) => Some(Ok(slot)),
                        None if self.shared.is_closed() => Some(Err(self.shared.refusal())),
                        None => None,
                    })
            })
        };
        match slot? {
            Some(Ok(slot)) => Entered::new(slot, &self.shared),
            Some(Err(error)) => Err(error),
            None => Err(Error::Closed),
        }
    }

    /// Lends this thread an interpreter if one is idle now, the pool is open, and the thread has enough stack left, and memory for
    /// a state of its own in there. [`Pool::enter`] says what is missing.
    #[inline]
    pub fn try_enter(&self) -> Option<Entered<'_>> {
        Entered::new(self.take_idle()?, &self.shared).ok()
    }

    #[inline]
    fn take_idle(&self) -> Option<Arc<Slot>> {
        let shared = &*self.shared;
        if shared.is_closed() || !borrow::enough_stack() {
            return None;
        }
        slot::take_known(shared.number()).or_else(|| shared.take_any_slot())
    }

    /// Calls `function` with `arguments` on this thread, in an idle interpreter.
    ///
    /// # Errors
    /// [`Error::Python`] with what it raised; [`Error::Value`] when an argument or the result cannot cross; and as
    /// [`Pool::enter`].
    pub fn call(&self, function: &Function, arguments: &[Value]) -> Result<Value, Error> {
        let (mut sent, mut result) = (Message::new(), Message::new());
        Value::write_call(arguments, &mut sent)?;
        let mut here = self.enter()?;
        here.call(function, &sent, &mut result)
            .map_err(Error::Python)?;
        // Large results are memory of that interpreter, which is given back there.
        let here = result.has_pins().then_some(here);
        let value = Value::read(&result);
        drop(result);
        drop(here);
        value
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
        handle.queue(None)?;
        Ok(handle)
    }

    /// Queues a task if there is room for it now.
    ///
    /// # Errors
    /// [`Error::Full`] if there is none, and as [`Pool::submit_task`].
    pub fn try_submit_task(&self, task: Task) -> Result<TaskHandle, Error> {
        let handle = self.prepare(task)?;
        handle.try_queue()?;
        Ok(handle)
    }

    /// The handle of a task for this pool that is not queued yet, for who waits for room in steps of his own.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a task that cannot be sent; [`Error::Thread`] if it has a time limit and there is no thread to watch
    /// it.
    pub fn prepare(&self, task: Task) -> Result<TaskHandle, Error> {
        let (function, message) = task.call?;
        if task.limit.is_some() {
            limit::start()?;
        }
        let seat = task
            .worker
            .map(|index| self.shared.seat(index))
            .transpose()?;
        Ok(TaskHandle::new(
            function,
            message,
            Arc::clone(&self.shared),
            seat,
            task.limit,
        ))
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

    /// Runs a task that is still queued on this thread, if an interpreter is idle and any may run it. Returns whether it did.
    pub fn help_task(&self, task: &TaskHandle) -> bool {
        let core = task.core();
        core.seat().is_none()
            && core.is_wanted()
            && self.try_enter().is_some_and(|mut here| {
                core.run_in(&mut here);
                true
            })
    }

    /// Runs one chunk of a batch on this thread, if an interpreter is idle. Returns whether it did.
    pub fn help_batch(&self, batch: &Arc<Batch>) -> bool {
        self.try_enter()
            .is_some_and(|mut here| batch.run_as_guest(&mut here) == Turn::Again)
    }

    /// Raises `KeyboardInterrupt` in what runs under this number (of a task or a batch; `None`: in all that runs), as soon as
    /// its interpreter's GIL can be had; what waits in a C function notices when that returns. Does not wait for it. What has
    /// not stopped within the [grace](Builder::grace) is given up as [lost](Error::Lost).
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
        self.shared.failure()
    }

    /// Why it takes no tasks: what [`Pool::submit`] would answer once it is closed.
    pub fn refusal(&self) -> Error {
        self.shared.refusal()
    }

    /// Waits (detached) until nothing is queued and nothing runs, or until the deadline. Returns whether that was so at one
    /// moment. Others may go on submitting; calls on borrowed interpreters are not waited for.
    pub fn drain(&self, deadline: Option<Instant>) -> bool {
        let _detached = Detached::new();
        self.shared.wait_quiet(deadline)
    }

    /// Closes the pool and waits (detached) for its workers to end. What has not ended after `limit` is cancelled if it is
    /// queued and interrupted if it runs; what does not stop then is lost after the [grace](Builder::grace). Returns whether
    /// neither was necessary.
    pub fn shutdown(&self, limit: Duration) -> bool {
        let _detached = Detached::new();
        self.shared.shut_down(limit)
    }

    /// Waits until every worker has ended, or until the deadline; not for those that were lost. Returns whether they have.
    /// Detach first.
    pub fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        self.shared.wait_ended(deadline)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.close();
    }
}
