//! One lane: a ring of tasks, those who run them, and what became of them.

use super::Lane;
use super::admission::{Admission, Admitted, Wait};
use super::handle::Promise;
use crate::error::Error;
use covet_queue::mpmc::{self, Consumer, Producer};
use covet_queue::{PopTimeoutError, PushError};
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a thread waits for a task before it ends, if it is not the last.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A task without its types: begins or says why not, and tells its handle.
pub(super) struct Task(Box<dyn FnOnce(&LaneQueue) + Send>);

impl Task {
    pub(super) fn new<T: Send + 'static>(
        mut admitted: Admitted,
        begin_by: Option<Instant>,
        promise: Promise<T>,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Self {
        let queued = Instant::now();
        Self(Box::new(move |lane| {
            admitted.leave_queue();
            let counts = &lane.counts;
            let begin = Instant::now();
            counts.waited.add_time(begin - queued);
            if !promise.begin() {
                counts.cancelled.add(1);
                return;
            }
            if lane.admission.is_cancelled() {
                counts.cancelled.add(1);
                promise.keep(Err(Error::Cancelled));
                return;
            }
            if let Some(late) = begin_by.and_then(|by| begin.checked_duration_since(by)) {
                counts.late.add(1);
                promise.keep(Err(Error::Late(late)));
                return;
            }
            counts.begun.add(1);
            let outcome = catch_unwind(AssertUnwindSafe(work))
                .unwrap_or_else(|panic| Err(Error::Panicked(message(panic))));
            counts.busy.add_time(begin.elapsed());
            match outcome {
                Ok(_) => counts.done.add(1),
                Err(_) => counts.failed.add(1),
            }
            promise.keep(outcome);
        }))
    }
}

/// What a panic said.
fn message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => match panic.downcast::<&str>() {
            Ok(text) => (*text).to_owned(),
            Err(panic) => {
                // Its destructor could panic in turn.
                std::mem::forget(panic);
                "a payload that is no text".to_owned()
            }
        },
    }
}

/// The tasks of one lane on their way.
pub(super) struct LaneQueue {
    lane: Lane,
    ring: Producer<Task>,
    intake: Consumer<Task>,
    crew: Crew,
    admission: Arc<Admission>,
    counts: Counts,
}

/// Who runs the tasks of a lane.
pub(super) enum Crew {
    Threads(Threads),
    Rayon(rayon::ThreadPool),
}

impl Crew {
    pub(super) fn rayon(threads: usize) -> Result<Self, Error> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("covet-cpu-{index}"))
            .build()
            .map(Self::Rayon)
            .map_err(|error| Error::Thread(error.to_string()))
    }
}

impl LaneQueue {
    pub(super) fn start(
        lane: Lane,
        crew: Crew,
        size: usize,
        admission: &Arc<Admission>,
    ) -> Result<Arc<Self>, Error> {
        let (ring, intake) = mpmc::bounded(size);
        let this = Arc::new(Self {
            lane,
            ring,
            intake,
            crew,
            admission: Arc::clone(admission),
            counts: Counts::default(),
        });
        if let Crew::Threads(threads) = &this.crew {
            // The first is there before the first task and stays: a task that was admitted has somebody to run it.
            threads.add_one(&mut threads.crew(), &this)?;
        }
        Ok(this)
    }

    pub(super) fn admit(&self, wait: Wait) -> Result<Admitted, Error> {
        self.admission
            .admit(self.lane, wait)
            .inspect_err(|_| self.counts.refused.add(1))
    }

    /// Queues a task that has been admitted: so the ring has room for it, or will have in a moment.
    pub(super) fn push(self: &Arc<Self>, task: Task) {
        if let Err(PushError(task)) = self.ring.push(task) {
            // Closed after it was admitted: by a shut-down at its deadline, so it is told that it is cancelled.
            self.run(task);
            return;
        }
        match &self.crew {
            Crew::Threads(threads) => threads.look_after(self),
            Crew::Rayon(pool) => {
                let this = Arc::clone(self);
                // One for each task. Closed and empty: a shut-down was quicker.
                pool.spawn_fifo(move || {
                    if let Ok(task) = this.intake.pop() {
                        this.run(task);
                    }
                });
            }
        }
    }

    fn run(&self, task: Task) {
        // What is left to panic is the destructor of a result nobody wants, or a waker: no matter of this thread.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task.0(self))) {
            std::mem::forget(panic);
        }
    }

    /// Runs what is left in the closed ring on this thread. For when all of it is cancelled.
    pub(super) fn flush(&self) {
        while let Ok(task) = self.intake.pop() {
            self.run(task);
        }
    }

    /// The crew ends once the ring is empty.
    pub(super) fn close(&self) {
        self.ring.close();
    }

    pub(super) fn stats(&self) -> LaneStats {
        let Counts {
            begun,
            done,
            failed,
            cancelled,
            late,
            refused,
            waited,
            busy,
        } = &self.counts;
        let over = done.get() + failed.get();
        LaneStats {
            queued: self.admission.waiting(self.lane),
            running: begun.get().saturating_sub(over) as usize,
            done: done.get(),
            failed: failed.get(),
            cancelled: cancelled.get(),
            late: late.get(),
            refused: refused.get(),
            threads: match &self.crew {
                Crew::Threads(threads) => threads.crew().alive,
                Crew::Rayon(pool) => pool.current_num_threads(),
            },
            waited: Duration::from_nanos(waited.get()),
            busy: Duration::from_nanos(busy.get()),
        }
    }
}

/// Threads that are made when tasks wait and nobody is free, and end when there is nothing to do for long.
pub(super) struct Threads {
    limit: usize,
    stack: usize,
    crew: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    alive: usize,
    idle: usize,
    made: u64,
}

impl Threads {
    pub(super) fn new(limit: usize, stack: usize) -> Self {
        Self {
            limit,
            stack,
            crew: Mutex::default(),
        }
    }

    fn crew(&self) -> MutexGuard<'_, Counted> {
        self.crew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a thread if more tasks wait than threads are idle. A thread that is refused is no error: there are others.
    fn look_after(&self, lane: &Arc<LaneQueue>) {
        let mut crew = self.crew();
        if crew.alive < self.limit && lane.ring.len() > crew.idle {
            let _ = self.add_one(&mut crew, lane);
        }
    }

    fn add_one(&self, crew: &mut Counted, lane: &Arc<LaneQueue>) -> Result<(), Error> {
        let worker = Arc::clone(lane);
        std::thread::Builder::new()
            .name(format!("covet-{}-{}", lane.lane.name(), crew.made))
            .stack_size(self.stack)
            .spawn(move || {
                if let Crew::Threads(threads) = &worker.crew {
                    threads.serve(&worker);
                }
            })
            .map_err(|error| Error::Thread(error.to_string()))?;
        crew.made += 1;
        crew.alive += 1;
        Ok(())
    }

    /// The life of a thread.
    fn serve(&self, lane: &LaneQueue) {
        loop {
            while let Ok(task) = lane.intake.try_pop() {
                lane.run(task);
            }
            self.crew().idle += 1;
            let next = lane.intake.pop_timeout(KEEP_ALIVE);
            let mut crew = self.crew();
            crew.idle -= 1;
            // A task pushed before this lock was taken is seen here; for one pushed later this thread is not idle.
            let surplus = crew.alive > 1 && lane.ring.is_empty();
            match next {
                Ok(task) => {
                    drop(crew);
                    lane.run(task);
                }
                Err(PopTimeoutError::Timeout) if !surplus => (),
                Err(PopTimeoutError::Timeout | PopTimeoutError::Closed) => {
                    crew.alive -= 1;
                    return;
                }
            }
        }
    }
}

/// What became of the tasks of a lane, and who is there to run them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStats {
    /// Tasks that wait to begin.
    pub queued: usize,
    /// Tasks that run.
    pub running: usize,
    /// Tasks that gave a result.
    pub done: u64,
    /// Tasks that panicked, or raised.
    pub failed: u64,
    /// Tasks that were cancelled before they began.
    pub cancelled: u64,
    /// Tasks that were not begun because their deadline had passed.
    pub late: u64,
    /// Tasks that were not admitted.
    pub refused: u64,
    /// Threads there are now.
    pub threads: usize,
    /// How long all tasks together waited to begin.
    pub waited: Duration,
    /// How long all tasks together ran.
    pub busy: Duration,
}

#[derive(Default)]
struct Counts {
    begun: Count,
    done: Count,
    failed: Count,
    cancelled: Count,
    late: Count,
    refused: Count,
    waited: Count,
    busy: Count,
}

/// Relaxed throughout: nothing depends on the numbers, and they need not agree with each other while tasks run.
#[derive(Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn add_time(&self, time: Duration) {
        self.add(time.as_nanos() as u64);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for LaneQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneQueue")
            .field("lane", &self.lane)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
