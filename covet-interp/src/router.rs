//! Rust and Python work beside each other: every task in the lane made for its kind, all under one bounded admission.
//!
//! ```text
//!                                        .- io ------ ring --> threads, as many as block, up to a limit
//!   submit -> admission: so many may ----+- cpu ----- ring --> rayon, a thread for each core
//!             wait, a share kept         +- python -- ring --> threads that borrow interpreters of a Pool
//!             for each lane              '- main ---- ring --> at most `max_gil_contention` in the main interpreter
//! ```
//! - A lane never takes threads from another: tasks that block in *io* keep neither a core from *cpu* nor an interpreter
//!   from *python*. A quarter of the places in the queue is shared; the rest belongs to the lanes in equal parts, so a lane
//!   that is flooded shuts no other out. Within a lane tasks begin in the order in which they were admitted.
//! - A full queue makes the submitter wait, until the deadline if the task has one, or refuses the task; what was admitted is
//!   run, or its [`Handle`] says why not. A task that is cancelled, or whose deadline passes, before it begins is not begun.
//! - The *main* lane is the fair semaphore on the main interpreter's GIL: for Python that works nowhere else, and for
//!   Python that blocks with the GIL released. Where the pool itself runs in the main interpreter (3.11), both are one lane.
//!
//! A task is one allocation, two locks that are rarely contended, and the wake-up of a thread: 5 to 20 µs if that thread
//! sleeps, well below 1 µs if it is busy. Work of less than some microseconds belongs into a batch, or on the calling thread
//! ([`Pool::call`]).
//!
//! A task that waits for tasks of its own lane, or for room in it, waits for ever once every thread of the lane does so: use
//! [`Submission::if_room`] inside tasks, and wait for handles outside.

mod admission;
mod handle;
mod lane;

pub use handle::Handle;
pub use lane::LaneStats;

use crate::error::Error;
use crate::function::Function;
use crate::pool::Pool;
use crate::runtime::Runtime;
use crate::strategy::Strategy;
use crate::value::Value;
use crate::worker;
use admission::{Admission, Wait};
use lane::{Crew, LaneQueue, Task, Threads};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a task waits for, and so where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Rust code that blocks: files, sockets, locks, other processes.
    Io,
    /// Rust code that computes.
    Cpu,
    /// Python, in the interpreters of the pool.
    Python,
    /// Python, in the main interpreter.
    Main,
}

impl Lane {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Io, Self::Cpu, Self::Python, Self::Main];

    const COUNT: usize = Self::ALL.len();

    fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Cpu => "cpu",
            Self::Python => "python",
            Self::Main => "main",
        }
    }
}

/// How a [`Router`] is made.
#[derive(Debug)]
pub struct Builder {
    queue_size: usize,
    io_threads: usize,
    cpu_threads: usize,
    max_gil_contention: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            queue_size: 1024,
            io_threads: 32,
            cpu_threads: std::thread::available_parallelism()
                .map_or(1, std::num::NonZeroUsize::get),
            max_gil_contention: 4,
        }
    }
}

impl Builder {
    /// How many tasks may wait to begin, in all lanes together; the default is 1024.
    pub fn task_queue_size(mut self, tasks: usize) -> Self {
        self.queue_size = tasks.max(1);
        self
    }

    /// How many tasks may block at the same time; the default is 32. Threads are made as they are needed and end after
    /// 10 idle seconds.
    pub fn io_threads(mut self, threads: usize) -> Self {
        self.io_threads = threads.max(1);
        self
    }

    /// How many Rust tasks compute at the same time; the default is the number of cores that this process may use.
    pub fn cpu_threads(mut self, threads: usize) -> Self {
        self.cpu_threads = threads.max(1);
        self
    }

    /// How many tasks may be attached to the main interpreter, or wait for its GIL, at the same time; the default is 4.
    /// More of them help only if they block with the GIL released.
    pub fn max_gil_contention(mut self, tasks: usize) -> Self {
        self.max_gil_contention = tasks.max(1);
        self
    }

    /// Makes the router; its Python tasks run in the interpreters of `pool`.
    ///
    /// # Errors
    /// As [`pool::Builder::build`](crate::Builder::build), and [`Error::Thread`] when a thread cannot be had.
    pub fn build(self, runtime: &Runtime, pool: Pool) -> Result<Router, Error> {
        let admission = Admission::new(self.queue_size);
        let pool = Arc::new(pool);
        let queue = |lane, crew| LaneQueue::start(lane, crew, self.queue_size, &admission);
        let threads = |limit, stack| Crew::Threads(Threads::new(limit, stack));
        let io = queue(Lane::Io, threads(self.io_threads, IO_STACK))?;
        let cpu = queue(Lane::Cpu, Crew::rayon(self.cpu_threads)?)?;
        let in_main = pool.decision().strategy == Strategy::MainOnly;
        let limit = if in_main {
            pool.workers().min(self.max_gil_contention)
        } else {
            pool.workers()
        };
        let python = queue(Lane::Python, threads(limit, worker::STACK))?;
        let main = if in_main {
            (Arc::clone(&python), Arc::clone(&pool))
        } else {
            let pool = Pool::builder()
                .strategy(Strategy::MainOnly)
                .workers(self.max_gil_contention)
                .name("covet-main")
                .build(runtime)?;
            let threads = threads(self.max_gil_contention, worker::STACK);
            (queue(Lane::Main, threads)?, Arc::new(pool))
        };
        Ok(Router {
            admission,
            io,
            cpu,
            python: (python, pool),
            main,
        })
    }
}

/// The stack of a thread that blocks: what Rust's own threads have.
const IO_STACK: usize = 2 << 20;

/// Lanes for work that blocks, computes, or runs Python, under one bounded admission. See the [module](self).
///
/// Dropping it closes it and does not wait: what was admitted still runs. Shut it down before the [`Runtime`] ends, or the
/// Python tasks that are left fail with [`Error::Closed`].
pub struct Router {
    admission: Arc<Admission>,
    io: Arc<LaneQueue>,
    cpu: Arc<LaneQueue>,
    python: (Arc<LaneQueue>, Arc<Pool>),
    main: (Arc<LaneQueue>, Arc<Pool>),
}

impl Router {
    /// How to make one.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A submission without a deadline that waits for room: say what it is by [`Submission::io`], [`Submission::cpu`],
    /// [`Submission::python`] or [`Submission::main`].
    pub fn submit(&self) -> Submission<'_> {
        Submission {
            router: self,
            begin_by: None,
            if_room: false,
        }
    }

    /// The pool whose interpreters run the Python tasks.
    pub fn pool(&self) -> &Pool {
        &self.python.1
    }

    /// What became of the tasks of a lane so far. Where the pool runs in the main interpreter, [`Lane::Main`] and
    /// [`Lane::Python`] are one lane.
    pub fn stats(&self, lane: Lane) -> LaneStats {
        self.queue(lane).stats()
    }

    fn queue(&self, lane: Lane) -> &Arc<LaneQueue> {
        match lane {
            Lane::Io => &self.io,
            Lane::Cpu => &self.cpu,
            Lane::Python => &self.python.0,
            Lane::Main => &self.main.0,
        }
    }

    /// Takes no more tasks; whoever waits for room gets [`Error::Closed`]. What was admitted still runs.
    pub fn close(&self) {
        self.admission.close();
    }

    /// Waits (detached) until every task that was admitted is over, or until the deadline. Returns whether they are.
    pub fn drain(&self, deadline: Option<Instant>) -> bool {
        self.admission.wait_settled(deadline)
    }

    /// Closes it and waits (detached) for its tasks. At the deadline, those that have not begun are cancelled: their handles
    /// say so. Returns whether all are over; one that runs on cannot be stopped, and keeps its thread until it returns.
    pub fn shut_down(&self, deadline: Option<Instant>) -> bool {
        self.close();
        let over = self.drain(deadline);
        if !over {
            self.admission.cancel();
        }
        self.end_lanes();
        if !over {
            Lane::ALL.iter().for_each(|&lane| self.queue(lane).flush());
        }
        self.drain(Some(Instant::now()))
    }

    fn end_lanes(&self) {
        Lane::ALL.iter().for_each(|&lane| self.queue(lane).close());
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.close();
        self.end_lanes();
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Router");
        for lane in Lane::ALL {
            out.field(lane.name(), &self.stats(lane));
        }
        out.finish_non_exhaustive()
    }
}

/// How a task is handed in, until a method says what it is.
///
/// # Errors
/// Every method that submits gives [`Error::Closed`] when the router is closed; [`Error::Full`] when the queue has no room
/// for the lane and [`Submission::if_room`] was asked for; [`Error::TimedOut`] when none came until
/// [`Submission::begin_by`]. The task is dropped then. Waiting is done detached.
///
/// What the [`Handle`] gives: [`Error::Late`] or [`Error::Cancelled`] for a task that was not begun, [`Error::Panicked`] if
/// it panicked, and for Python what [`Pool::call`] gives.
#[derive(Debug, Clone, Copy)]
#[must_use = "nothing is submitted until `io`, `cpu`, `python` or `main` is called"]
pub struct Submission<'r> {
    router: &'r Router,
    begin_by: Option<Instant>,
    if_room: bool,
}

impl Submission<'_> {
    /// The task is not begun after this moment, and its submitter waits no longer for room.
    pub fn begin_by(mut self, deadline: Instant) -> Self {
        self.begin_by = Some(deadline);
        self
    }

    /// As [`Submission::begin_by`], counted from now.
    pub fn begin_within(self, limit: Duration) -> Self {
        self.begin_by(Instant::now() + limit)
    }

    /// The task is refused instead of waiting for room.
    pub fn if_room(mut self) -> Self {
        self.if_room = true;
        self
    }

    /// Runs Rust code that blocks, in the io lane.
    ///
    /// # Errors
    /// See [`Submission`].
    pub fn io<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Handle<T>, Error> {
        self.enqueue(&self.router.io, || Ok(work()))
    }

    /// Runs Rust code that computes, in the cpu lane. Inside it, rayon's parallel iterators use the same threads.
    ///
    /// # Errors
    /// See [`Submission`].
    pub fn cpu<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Handle<T>, Error> {
        self.enqueue(&self.router.cpu, || Ok(work()))
    }

    /// Calls a Python function in an interpreter of the pool.
    ///
    /// # Errors
    /// See [`Submission`].
    pub fn python(
        self,
        function: Arc<Function>,
        arguments: Vec<Value>,
    ) -> Result<Handle<Value>, Error> {
        self.call(&self.router.python, function, arguments)
    }

    /// Calls a Python function in the main interpreter.
    ///
    /// # Errors
    /// See [`Submission`].
    pub fn main(
        self,
        function: Arc<Function>,
        arguments: Vec<Value>,
    ) -> Result<Handle<Value>, Error> {
        self.call(&self.router.main, function, arguments)
    }

    fn call(
        self,
        (queue, pool): &(Arc<LaneQueue>, Arc<Pool>),
        function: Arc<Function>,
        arguments: Vec<Value>,
    ) -> Result<Handle<Value>, Error> {
        let pool = Arc::clone(pool);
        self.enqueue(queue, move || pool.call(&function, &arguments))
    }

    fn enqueue<T: Send + 'static>(
        self,
        queue: &Arc<LaneQueue>,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<Handle<T>, Error> {
        let wait = if self.if_room {
            Wait::No
        } else {
            Wait::Until(self.begin_by)
        };
        let admitted = queue.admit(wait)?;
        let (promise, handle) = handle::pair();
        queue.push(Task::new(admitted, self.begin_by, promise, work));
        Ok(handle)
    }
}
