//! What a pool's handle, its workers and its borrowers share: the ring, the seats, and the interpreters that can be lent.

mod loss;

use crate::attach::Detached;
use crate::deadline::wait_while;
use crate::error::Error;
use crate::extensions::Extensions;
use crate::fork::{self, Process};
use crate::function::Function;
use crate::handle::Core;
use crate::inside::Waits;
use crate::job::{self, Job};
use crate::loader;
use crate::message::Message;
use crate::patience::Patience;
use crate::registry;
use crate::seat::Seat;
use crate::slot::Slot;
use crate::stats::{Stats, WorkerStats};
use crate::strategy::{Decision, Strategy};
use covet_queue::mpmc::{self, Consumer, Producer};
use covet_queue::{EventCount, PushTimeoutError, TryPopError, TryPushError};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};
use std::time::{Duration, Instant};

/// What a pool was asked to be.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) decision: Decision,
    pub(crate) queue_size: usize,
    pub(crate) name: String,
    pub(crate) preload: Vec<String>,
    pub(crate) initializer: Option<(Arc<Function>, Message)>,
    pub(crate) shared_globals: bool,
    pub(crate) extensions: Extensions,
    pub(crate) forward_records: bool,
    pub(crate) fallback: Option<Arc<Function>>,
    pub(crate) pin: bool,
    pub(crate) max_tasks: Option<u64>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) grace: Duration,
}

pub(crate) struct Shared {
    pub(crate) process: Process,
    number: u64,
    /// The interpreter that made it.
    home: i64,
    options: Options,
    place: Message,
    ring: Producer<Arc<dyn Job>>,
    intake: Consumer<Arc<dyn Job>>,
    /// Tells workers that there is something to do, or that they shall leave.
    work: EventCount,
    /// The places of the workers.
    seats: RwLock<Vec<Arc<Seat>>>,
    /// Those that are gone.
    past: Mutex<Past>,
    /// The interpreters that are not ended or lost, whether they are free or not.
    slots: RwLock<Vec<Arc<Slot>>>,
    /// Tells when a slot was released or came, or when the pool was closed.
    idle: EventCount,
    /// Tells when a worker has found nothing to do, or an interpreter is ready.
    quiet: EventCount,
    /// How long waiters look for the end of a task before they sleep.
    patience: Patience,
    /// What its own tasks wait for.
    waits: Waits,
    failure: OnceLock<String>,
    census: Mutex<Census>,
    ended: Condvar,
    cancelled: AtomicU64,
    lost: AtomicU64,
}

/// What remains of workers that were dismissed.
#[derive(Debug, Default)]
struct Past {
    leaving: Vec<Arc<Seat>>,
    sum: WorkerStats,
}

/// The workers' threads.
#[derive(Debug, Default)]
struct Census {
    /// Those that have not ended and will, lost ones aside.
    live: usize,
}

/// Why a worker stops looking for jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// The pool is closed and the queue empty, or the worker was dismissed or given up.
    ForGood,
    /// Its interpreter is old.
    WornOut,
}

/// What a worker found.
pub(crate) enum Next {
    /// A job that any interpreter may run.
    Any(Arc<dyn Job>),
    /// A job for this worker's own interpreter.
    Own(Arc<dyn Job>),
    /// Mail for its own interpreter, which it has taken.
    Mail,
    Leave(Leave),
}

impl Shared {
    pub(crate) fn new(options: Options, home: i64, place: Message) -> Arc<Self> {
        let (ring, intake) = mpmc::bounded(options.queue_size);
        Arc::new(Self {
            process: Process::this(),
            number: job::next_number(),
            home,
            options,
            place,
            ring,
            intake,
            work: EventCount::new(),
            seats: RwLock::default(),
            past: Mutex::default(),
            slots: RwLock::default(),
            idle: EventCount::new(),
            quiet: EventCount::new(),
            patience: Patience::new(),
            waits: Waits::default(),
            failure: OnceLock::new(),
            census: Mutex::default(),
            ended: Condvar::new(),
            cancelled: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn home(&self) -> i64 {
        self.home
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn decision(&self) -> &Decision {
        &self.options.decision
    }

    pub(crate) fn strategy(&self) -> Strategy {
        self.options.decision.strategy
    }

    pub(crate) fn place(&self) -> &Message {
        &self.place
    }

    pub(crate) fn idle(&self) -> &EventCount {
        &self.idle
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// The threads that have entered its interpreters; 0 for one that is free.
    pub(crate) fn holders(&self) -> Vec<u64> {
        self.slots().iter().map(|slot| slot.holder()).collect()
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    // Seats and slots.

    fn seats(&self) -> RwLockReadGuard<'_, Vec<Arc<Seat>>> {
        self.seats.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots(&self) -> RwLockReadGuard<'_, Vec<Arc<Slot>>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn slots_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<Slot>>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn workers(&self) -> usize {
        self.seats().len()
    }

    /// The place of a worker.
    pub(crate) fn seat(&self, index: usize) -> Result<Arc<Seat>, Error> {
        let seats = self.seats();
        seats.get(index).cloned().ok_or_else(|| {
            Error::Invalid(format!(
                "expected a worker below {}, found {index}",
                seats.len()
            ))
        })
    }

    /// Makes it so many seats; returns those that have no worker yet, whose threads are counted as live already.
    pub(crate) fn arrange(&self, workers: usize) -> Result<Vec<Arc<Seat>>, Error> {
        let mut seats = self.seats.write().unwrap_or_else(PoisonError::into_inner);
        // Under this lock the last worker of a closed pool ends before or after.
        let mut census = self.census();
        if self.is_closed() {
            return Err(self.refusal());
        }
        let new: Vec<_> = (seats.len()..workers).map(Seat::new).collect();
        census.live += new.len();
        drop(census);
        seats.extend(new.iter().cloned());
        let kept = workers.min(seats.len());
        let surplus = seats.split_off(kept);
        drop(seats);
        if !surplus.is_empty() {
            surplus.iter().for_each(|seat| seat.dismiss());
            self.past().leaving.extend(surplus);
            self.work.notify_all();
        }
        Ok(new)
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker of a seat has left for good: a seat that was dismissed is no more.
    pub(crate) fn vacate(&self, seat: &Arc<Seat>) {
        let mut past = self.past();
        if let Some(i) = past
            .leaving
            .iter()
            .position(|other| Arc::ptr_eq(other, seat))
        {
            past.leaving.swap_remove(i);
            past.sum.add(&seat.stats());
        }
    }

    /// Takes back seats that no thread could be had for.
    pub(crate) fn remove(&self, unused: &[Arc<Seat>]) {
        let mut seats = self.seats.write().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| !unused.iter().any(|other| Arc::ptr_eq(seat, other)));
        drop(seats);
        for seat in unused {
            while !seat.close_if_empty() {
                if let Some(job) = seat.take() {
                    job.abandon(&Error::Closed);
                }
            }
            self.worker_ended();
        }
    }

    /// Lists an interpreter that is not free yet: from here on it can be interrupted.
    pub(crate) fn enter_slot(&self, slot: &Arc<Slot>, thread: u64) {
        slot.seat().take_place(slot, thread);
        self.slots_mut().push(Arc::clone(slot));
    }

    /// Tells that an interpreter has become free for the first time.
    pub(crate) fn slot_ready(&self) {
        self.idle.notify_all();
        self.quiet.notify_all();
    }

    /// Lists an interpreter no more: it ends, or was given up.
    pub(crate) fn leave_slot(&self, slot: &Arc<Slot>) {
        slot.seat().leave_place(slot);
        self.slots_mut().retain(|other| !Arc::ptr_eq(slot, other));
    }

    pub(crate) fn take_any_slot(&self) -> Option<Arc<Slot>> {
        self.slots().iter().find(|slot| slot.try_take()).cloned()
    }

    /// A free slot for a worker, its own first; waits for one. `None` when the pool broke down or the worker was given up.
    pub(crate) fn take_slot_for(&self, own: &Arc<Slot>) -> Option<Arc<Slot>> {
        self.idle
            .wait_until(None, || {
                if self.failure.get().is_some() || own.is_lost() {
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

    /// Whether a worker has no interpreter yet, the first or the next. If it gets none, the pool is broken.
    pub(crate) fn is_growing(&self) -> bool {
        let ready = |seat: &Arc<Seat>| seat.slot().is_some_and(|slot| slot.is_ready());
        !self.seats().iter().all(ready)
    }

    pub(crate) fn wait_ready(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let began = Instant::now();
        self.quiet
            .wait_until(deadline, || {
                if self.is_closed() {
                    Some(Err(self.refusal()))
                } else {
                    (!self.is_growing()).then_some(Ok(()))
                }
            })
            .unwrap_or_else(|| Err(Error::TimedOut(began.elapsed())))
    }

    // Jobs.

    /// The next job for the worker of this slot; waits for one, or until there is reason to leave.
    pub(crate) fn next_job(&self, own: &Slot) -> Next {
        let seat = own.seat();
        let found = self.work.wait_until(own.worn_out_at(&self.options), || {
            if own.is_lost() {
                return Some(Next::Leave(Leave::ForGood));
            }
            if own.is_worn_out(&self.options) {
                return Some(Next::Leave(Leave::WornOut));
            }
            // Loads alone, as long as there is nothing to do: whoever submits next has these lines to itself.
            let something = seat.has_jobs()
                || !self.intake.is_empty()
                || seat.is_dismissed()
                || self.intake.is_closed();
            if something && let Some(next) = self.take_job(seat) {
                return Some(next);
            }
            if seat.is_busy() {
                self.rest(seat);
            }
            own.take_for_mail().then_some(Next::Mail)
        });
        // Whoever leaves may have been woken for a job that others can run.
        match found.unwrap_or(Next::Leave(Leave::WornOut)) {
            Next::Leave(why) => {
                self.rest(seat);
                self.work.notify_one();
                Next::Leave(why)
            }
            next => next,
        }
    }

    /// A reference was given back to an interpreter of this pool: its worker takes it if nobody else is there.
    pub(crate) fn mail_came(&self) {
        self.work.notify_all();
    }

    fn take_job(&self, seat: &Seat) -> Option<Next> {
        // Before it has one: see `is_quiet`.
        seat.set_busy(true);
        if let Some(job) = seat.take() {
            return Some(Next::Own(job));
        }
        if seat.is_dismissed() && seat.close_if_empty() {
            return Some(Next::Leave(Leave::ForGood));
        }
        match self.intake.try_pop() {
            Ok(job) => Some(Next::Any(job)),
            Err(TryPopError::Closed) if seat.close_if_empty() => Some(Next::Leave(Leave::ForGood)),
            Err(_) => None,
        }
    }

    fn rest(&self, seat: &Seat) {
        seat.set_busy(false);
        self.quiet.notify_all();
    }

    pub(crate) fn next_job_now(&self) -> Option<Arc<dyn Job>> {
        self.intake.try_pop().ok()
    }

    /// Puts a job behind those that wait; gives it back if there is no room, or if the ring is closed.
    pub(crate) fn put_back(&self, job: Arc<dyn Job>) -> Option<Arc<dyn Job>> {
        match self.ring.try_push(job) {
            Ok(()) => {
                self.work.notify_one();
                None
            }
            Err(TryPushError::Full(job) | TryPushError::Closed(job)) => Some(job),
        }
    }

    /// Queues a task if there is room now.
    pub(crate) fn try_queue(&self, task: &Arc<Core>) -> Result<(), Error> {
        if !self.process.is_this() {
            return Err(self.refusal());
        }
        let job = Arc::clone(task) as Arc<dyn Job>;
        if let Some(seat) = task.seat() {
            return match self.put(seat, job) {
                Ok(()) => Ok(()),
                Err((_, true)) => Err(self.refusal()),
                Err((_, false)) => Err(Error::Full(self.options.queue_size)),
            };
        }
        match self.ring.try_push(job) {
            Ok(()) => {
                self.work.notify_one();
                Ok(())
            }
            Err(TryPushError::Full(_)) => Err(Error::Full(self.options.queue_size)),
            Err(TryPushError::Closed(_)) => Err(self.refusal()),
        }
    }

    /// Queues a task; waits (detached) while the queue is full, until the deadline.
    pub(crate) fn queue(&self, task: &Arc<Core>, deadline: Option<Instant>) -> Result<(), Error> {
        let job = Arc::clone(task) as Arc<dyn Job>;
        let Some(seat) = task.seat() else {
            return self.push(job, deadline);
        };
        let mut waiting = Some(job);
        let began = Instant::now();
        let mut put = || match self.put(seat, waiting.take()?) {
            Ok(()) => Some(Ok(())),
            Err((_, true)) => Some(Err(self.refusal())),
            Err((job, false)) => {
                waiting = Some(job);
                None
            }
        };
        if let Some(outcome) = put() {
            return outcome;
        }
        let _detached = Detached::new();
        seat.room()
            .wait_until(deadline, put)
            .unwrap_or_else(|| Err(Error::TimedOut(began.elapsed())))
    }

    /// Gives a job to one worker.
    fn put(&self, seat: &Seat, job: Arc<dyn Job>) -> Result<(), (Arc<dyn Job>, bool)> {
        if self.is_closed() {
            return Err((job, true));
        }
        seat.put(job, self.options.queue_size)?;
        // The right one must hear it.
        self.work.notify_all();
        Ok(())
    }

    pub(crate) fn push(&self, job: Arc<dyn Job>, deadline: Option<Instant>) -> Result<(), Error> {
        if !self.process.is_this() {
            return Err(self.refusal());
        }
        let job = match self.ring.try_push(job) {
            Ok(()) => {
                self.work.notify_one();
                return Ok(());
            }
            Err(TryPushError::Closed(_)) => return Err(self.refusal()),
            Err(TryPushError::Full(job)) => job,
        };
        let _detached = Detached::new();
        let pushed = match deadline {
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
        };
        if pushed.is_ok() {
            self.work.notify_one();
        }
        pushed
    }

    /// Why the pool takes nothing.
    pub(crate) fn refusal(&self) -> Error {
        match self.failure.get() {
            _ if !self.process.is_this() => fork::refusal(),
            Some(why) => Error::Broken(why.clone()),
            None => Error::Closed,
        }
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Whether it takes nothing (any more).
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        !self.process.is_this() || self.ring.is_closed()
    }

    /// A worker could not start: the pool runs nothing any more.
    pub(crate) fn break_down(&self, why: &str) {
        let _ = self.failure.set(why.to_owned());
        self.close();
        self.abandon_now(&self.refusal());
    }

    pub(crate) fn close(&self) {
        if !self.process.is_this() {
            return;
        }
        self.ring.close();
        self.work.notify_all();
        self.idle.notify_all();
        self.quiet.notify_all();
        for seat in self.seats().iter() {
            seat.room().notify_all();
        }
    }

    /// Abandons every job that waits.
    pub(crate) fn abandon_now(&self, why: &Error) {
        if !self.process.is_this() {
            return;
        }
        while let Some(job) = self.next_job_now() {
            job.abandon(why);
        }
        let seats: Vec<_> = self.seats().clone();
        for seat in seats {
            while let Some(job) = seat.take() {
                job.abandon(why);
            }
        }
    }

    /// Waits until nothing is queued and nothing runs. Returns whether it was so.
    pub(crate) fn wait_quiet(&self, deadline: Option<Instant>) -> bool {
        if !self.process.is_this() {
            return true;
        }
        self.quiet
            .wait_until(deadline, || self.is_quiet().then_some(()))
            .is_some()
    }

    fn is_quiet(&self) -> bool {
        // In this order: a worker says that it is busy before it takes a job.
        self.ring.is_empty()
            && self
                .seats()
                .iter()
                .all(|seat| seat.waiting() == 0 && !seat.is_busy())
            && self.slots().iter().all(|slot| slot.turn_of(None).is_none())
    }

    /// Tells that a job has ended, or one part of it.
    #[inline]
    pub(crate) fn job_ended(&self) {
        self.quiet.notify_all();
    }

    pub(crate) fn count_cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let seats = self.seats().clone();
        let workers: Vec<_> = seats.iter().map(|seat| seat.stats()).collect();
        let past = self.past();
        let mut sum = past.sum.clone();
        let leaving = past.leaving.iter().map(|seat| seat.stats());
        leaving.for_each(|worker| sum.add(&worker));
        drop(past);
        workers.iter().for_each(|worker| sum.add(worker));
        Stats {
            queued: self.ring.len() + seats.iter().map(|seat| seat.waiting()).sum::<usize>(),
            running: workers.iter().filter(|worker| worker.running).count(),
            done: sum.done,
            failed: sum.failed,
            cancelled: self.cancelled.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            lives: sum.lives,
            refused_imports: loader::refused_imports(),
            workers,
        }
    }

    // The end.

    fn census(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn worker_ended(&self) {
        let mut census = self.census();
        census.live -= 1;
        let last = census.live == 0;
        drop(census);
        if last {
            // Nobody is left to run what came in between the last look at the queue and its closing.
            self.close();
            self.abandon_now(&self.refusal());
            registry::strike_off(self);
            self.ended.notify_all();
        }
    }

    pub(crate) fn wait_ended(&self, deadline: Option<Instant>) -> bool {
        if !self.process.is_this() {
            return true;
        }
        let census = wait_while(&self.ended, self.census(), deadline, |census| {
            census.live > 0
        });
        census.live == 0
    }

    pub(crate) fn shut_down(self: &Arc<Self>, limit: Duration) -> bool {
        self.close();
        // A time too long for the clock is no limit.
        if self.wait_ended(Instant::now().checked_add(limit)) {
            return true;
        }
        loop {
            // Again and again: a job may begin between two looks.
            self.abandon_now(&Error::Cancelled);
            self.interrupt(None);
            if self.wait_ended(Instant::now().checked_add(self.options.grace)) {
                return false;
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("options", &self.options)
            .field("queued", &self.ring.len())
            .finish_non_exhaustive()
    }
}
