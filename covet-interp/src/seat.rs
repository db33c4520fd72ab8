//! The place of one worker in a pool: what outlives the workers that take it one after the other.

use crate::job::Job;
use crate::slot::Slot;
use covet_queue::EventCount;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A worker's place. A worker that is lost or worn out leaves it to the next one, with the tasks that wait for it.
#[derive(Debug)]
pub(crate) struct Seat {
    index: usize,
    post: Mutex<Post>,
    /// How many tasks are in there.
    waiting: AtomicUsize,
    /// Tells when a task has left the post.
    room: EventCount,
    /// The interpreter of the worker that sits here, from when it can be interrupted until its end.
    slot: Mutex<Option<Arc<Slot>>>,
    /// The thread of that worker.
    thread: AtomicU64,
    /// The worker may have a job in hand.
    busy: AtomicBool,
    /// The worker is to leave, and nobody comes after it.
    dismissed: AtomicBool,
    counters: Counters,
}

/// The tasks for this worker alone.
#[derive(Default)]
struct Post {
    jobs: VecDeque<Arc<dyn Job>>,
    closed: bool,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} jobs", self.jobs.len())
    }
}

/// What was run in the interpreters of one seat. Only the thread that has the slot writes, so an update is a load and a store;
/// on cache lines of their own, because all threads of a pool write all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    done: AtomicU64,
    failed: AtomicU64,
    lent: AtomicU64,
    lives: AtomicU64,
    busy_nanos: AtomicU64,
    waited_nanos: AtomicU64,
}

#[inline]
fn add(counter: &AtomicU64, more: u64) {
    // Relaxed, and not one step: one writer at a time, and nothing else depends on it.
    let now = counter.load(Ordering::Relaxed);
    counter.store(now.wrapping_add(more), Ordering::Relaxed);
}

/// What one worker of a pool has run. See [`Stats`](crate::Stats).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Whether something runs in its interpreter now, a calling thread included.
    pub running: bool,
    /// Tasks, and items of batches, that returned a value.
    pub done: u64,
    /// Tasks, and items of batches, that raised.
    pub failed: u64,
    /// How often its interpreter was lent: to a worker for some jobs, or to a calling thread.
    pub lent: u64,
    /// Interpreters that were made here: one, and one more each time that the worker was lost or worn out.
    pub lives: u64,
    /// How long tasks and batches ran here.
    pub busy: Duration,
    /// How long the tasks that ran here had waited in the queue before.
    pub waited: Duration,
}

impl WorkerStats {
    /// Adds what another worker has run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.done += other.done;
        self.failed += other.failed;
        self.lent += other.lent;
        self.lives += other.lives;
        self.busy += other.busy;
        self.waited += other.waited;
    }
}

impl Seat {
    pub(crate) fn new(index: usize) -> Arc<Self> {
        Arc::new(Self {
            index,
            post: Mutex::default(),
            waiting: AtomicUsize::new(0),
            room: EventCount::new(),
            slot: Mutex::new(None),
            thread: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            counters: Counters::default(),
        })
    }

    /// The number of the worker, from 0.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a task for this worker, if fewer than `most` wait; gives it back otherwise. The error says whether it never will.
    pub(crate) fn put(&self, job: Arc<dyn Job>, most: usize) -> Result<(), (Arc<dyn Job>, bool)> {
        let mut post = self.post();
        if post.closed || post.jobs.len() >= most {
            return Err((job, post.closed));
        }
        post.jobs.push_back(job);
        self.count_waiting(&post);
        Ok(())
    }

    /// Puts a task back that was taken and cannot be run now.
    pub(crate) fn put_back(&self, job: Arc<dyn Job>) {
        let mut post = self.post();
        post.jobs.push_front(job);
        self.count_waiting(&post);
    }

    /// Takes the oldest task for this worker.
    pub(crate) fn take(&self) -> Option<Arc<dyn Job>> {
        if !self.has_jobs() {
            return None;
        }
        let mut post = self.post();
        let job = post.jobs.pop_front()?;
        self.count_waiting(&post);
        drop(post);
        self.room.notify_one();
        Some(job)
    }

    /// Tells when there may be room for another task.
    pub(crate) fn room(&self) -> &EventCount {
        &self.room
    }

    /// Takes no more tasks, unless some wait. Returns whether it takes none.
    pub(crate) fn close_if_empty(&self) -> bool {
        let mut post = self.post();
        post.closed = post.jobs.is_empty();
        let closed = post.closed;
        drop(post);
        if closed {
            self.room.notify_all();
        }
        closed
    }

    fn count_waiting(&self, post: &Post) {
        // Release pairs with the acquire in `waiting`: who was woken after this sees it.
        self.waiting.store(post.jobs.len(), Ordering::Release);
    }

    /// Tasks that wait for this worker.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether tasks wait for this worker.
    pub(crate) fn has_jobs(&self) -> bool {
        self.waiting() > 0
    }

    /// The worker that sits here from now on, and its interpreter.
    pub(crate) fn take_place(&self, slot: &Arc<Slot>, thread: u64) {
        self.thread.store(thread, Ordering::Relaxed);
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(slot));
        add(&self.counters.lives, 1);
    }

    /// The worker with this interpreter sits here no more.
    pub(crate) fn leave_place(&self, slot: &Arc<Slot>) {
        let mut place = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_some_and(|there| Arc::ptr_eq(there, slot)) {
            *place = None;
        }
    }

    pub(crate) fn slot(&self) -> Option<Arc<Slot>> {
        self.slot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn is_thread(&self, thread: u64) -> bool {
        self.thread.load(Ordering::Relaxed) == thread
    }

    pub(crate) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
    }

    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    /// Says whether the worker may have a job in hand: before it looks for one, and once it found none.
    pub(crate) fn set_busy(&self, busy: bool) {
        // SeqCst: this store and taking a job, against looking at the queue and then at this.
        self.busy.store(busy, Ordering::SeqCst);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::SeqCst)
    }

    /// Counts what was run here. The caller has the slot.
    pub(crate) fn count(&self, done: u64, failed: u64, busy: Duration, waited: Duration) {
        add(&self.counters.done, done);
        add(&self.counters.failed, failed);
        add(&self.counters.busy_nanos, busy.as_nanos() as u64);
        add(&self.counters.waited_nanos, waited.as_nanos() as u64);
    }

    /// Counts that the slot is lent. The caller has it.
    #[inline]
    pub(crate) fn count_lent(&self) {
        add(&self.counters.lent, 1);
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        WorkerStats {
            running: self.slot().is_some_and(|slot| slot.is_lent()),
            done: of(&counters.done),
            failed: of(&counters.failed),
            lent: of(&counters.lent),
            lives: of(&counters.lives),
            busy: Duration::from_nanos(of(&counters.busy_nanos)),
            waited: Duration::from_nanos(of(&counters.waited_nanos)),
        }
    }
}
