//! The thread that makes, owns and ends an interpreter, and runs queued jobs.
//!
//! ```text
//!   make interpreter -> loader -> support -> preload -> initializer -> slot is free      <---------.
//!        -> [ wait for a job, take a free slot (its own first), run, release ] ...                 | worn out
//!        -> time to leave: take the own slot for good -> clean up -> end interpreter -> thread ends, or
//! ```
//! A worker waits for jobs detached and without a slot, so that its interpreter can be lent meanwhile. It leaves when the
//! pool is closed and drained, when it was dismissed, or when its slot is lost: somebody is stuck in there.

use crate::borrow::Entered;
use crate::cores;
use crate::error::Error;
use crate::ffi;
use crate::function::Functions;
use crate::image;
use crate::job::{self, Job, Turn};
use crate::life::Life;
use crate::loader;
use crate::object::{Object, Raised, c_string};
use crate::records;
use crate::registry;
use crate::seat::Seat;
use crate::shared::{Leave, Next, Shared};
use crate::signals;
use crate::slot::{Local, Slot};
use crate::strategy::Strategy;
use crate::support::Support;
use crate::threads;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker keeps a slot while jobs wait in the ring.
const LEASE: Duration = Duration::from_millis(1);

/// The stack of a worker: Python before 3.14 does not look at how much is left.
pub(crate) const STACK: usize = 16 << 20;

/// The life of the worker in a seat.
fn run(shared: &Arc<Shared>, seat: &Arc<Seat>) -> Ended {
    if shared.options().pin {
        cores::pin(seat.index());
    }
    loop {
        let worker = match Worker::start(shared, seat) {
            Ok(worker) => worker,
            Err(NotStarted { why, ended }) => {
                shared.break_down(&why);
                return ended;
            }
        };
        let why = worker.serve(shared);
        let ended = worker.end(shared);
        if why == Leave::ForGood || ended != Ended::Normally {
            return ended;
        }
    }
}

/// How a worker's thread ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Normally,
    /// Without ending its interpreter, in which a daemon thread or a thread of a library is.
    WithoutEnd,
    /// It was given up before, and nobody counts on it.
    Lost,
}

struct Worker {
    life: Life,
    slot: Arc<Slot>,
}

struct NotStarted {
    why: String,
    ended: Ended,
}

impl Worker {
    /// Makes the interpreter and everything in it. On return it is detached, and its slot is free.
    fn start(shared: &Arc<Shared>, seat: &Arc<Seat>) -> Result<Self, NotStarted> {
        let not_started = |why| NotStarted {
            why,
            ended: Ended::Normally,
        };
        // SAFETY: a fresh thread, or one whose interpreter has ended: nothing attached. Python is initialised, and pools end
        // before it finalizes.
        let life = unsafe {
            match shared.strategy() {
                Strategy::Subinterpreters => Life::begin(),
                Strategy::MainOnly | Strategy::FreeThreading => Life::main(),
            }
        }
        .map_err(|error| not_started(error.to_string()))?;
        // SAFETY: attached to the interpreter that this thread just made.
        let local = match unsafe { first_steps(&life, shared) } {
            Ok(local) => local,
            Err(Raised) => {
                // SAFETY: made here, attached, with an exception raised, and never lent.
                let why = unsafe {
                    let why = raised_text();
                    life.end();
                    why
                };
                return Err(not_started(why));
            }
        };
        let slot = Slot::taken(shared.number(), Arc::clone(seat), life.raw(), local);
        slot.keep_own_state(life.state());
        if life.is_own() {
            slot.mailbox().belongs_to(shared);
        }
        shared.enter_slot(&slot, ffi::thread_ident());
        if life.is_own() {
            image::enter(&slot, shared.options().extensions);
        }
        // SAFETY: attached to the interpreter of the slot, which this thread has taken.
        let prepared = unsafe { prepare(&slot, shared) };
        let worker = Self { life, slot };
        // SAFETY: made here, attached.
        unsafe { worker.life.detach() };
        match prepared {
            Ok(()) => {
                worker.slot.make_ready();
                shared.slot_ready();
                Ok(worker)
            }
            Err(why) => {
                worker.slot.release();
                let ended = worker.end(shared);
                Err(NotStarted { why, ended })
            }
        }
    }

    fn serve(&self, shared: &Shared) -> Leave {
        loop {
            let (job, slot) = match shared.next_job(&self.slot) {
                Next::Leave(why) => return why,
                Next::Mail => {
                    // Emptied on the way out.
                    drop(Entered::new(Arc::clone(&self.slot), shared));
                    continue;
                }
                Next::Any(job) | Next::Own(job) if !job.is_wanted() => continue,
                Next::Any(job) => match shared.take_slot_for(&self.slot) {
                    Some(slot) => (job, slot),
                    None => {
                        // Nobody but this thread has the job.
                        if let Some(job) = shared.put_back(job) {
                            job.abandon(&shared.refusal());
                        }
                        continue;
                    }
                },
                Next::Own(job) => {
                    if !self.slot.take_for_owner() {
                        self.slot.seat().put_back(job);
                        continue;
                    }
                    (job, Arc::clone(&self.slot))
                }
            };
            let mut here = match Entered::new(slot, shared) {
                Ok(here) => here,
                Err(error) => {
                    job.abandon(&error);
                    continue;
                }
            };
            let began = Instant::now();
            let mut next = Some(job);
            while let Some(job) = next {
                next = None;
                if job.is_wanted() && Arc::clone(&job).run(&mut here) == Turn::Again {
                    // Others first; a ring that is full or closed leaves it here.
                    next = shared.put_back(job);
                }
                if next.is_none() && began.elapsed() < LEASE && !here.is_worn_out() {
                    next = shared.next_job_now();
                }
            }
            let others_wait = shared.idle().has_waiters();
            drop(here);
            if others_wait {
                // Whoever was just woken shall find the slot free.
                std::thread::yield_now();
            }
        }
    }

    fn end(self, shared: &Shared) -> Ended {
        let Self { life, slot } = self;
        shared.leave_slot(&slot);
        // A borrower may still be inside: the slot is taken for good once it has left.
        slot.take_to_end();
        // SAFETY: made by this thread, which has nothing attached; the slot is taken, so nothing else runs in it.
        let threads_ended = !life.is_own()
            || unsafe {
                life.attach();
                let ended = threads::end();
                life.detach();
                ended
            };
        let visitors_left = !image::leave(&slot) || slot.shut_out(shared.options().grace);
        if !(threads_ended && visitors_left) {
            // What is kept beside the interpreter stays with it.
            std::mem::forget(slot);
            return Ended::WithoutEnd;
        }
        slot.mark_ended();
        // SAFETY: made by this thread, which has nothing attached; the slot has ended, so nobody is inside and every
        // state that was lent is cleared before the interpreter ends.
        unsafe {
            life.attach();
            slot.clean_up();
            life.end();
        }
        if slot.is_lost() {
            Ended::Lost
        } else {
            Ended::Normally
        }
    }
}

/// What happens in a new interpreter before its first task, for those who want to interrupt it.
struct Startup(u64);

impl Job for Startup {
    fn number(&self) -> u64 {
        self.0
    }

    fn is_wanted(&self) -> bool {
        false
    }

    fn run(self: Arc<Self>, _: &mut Entered<'_>) -> Turn {
        Turn::Done
    }

    fn abandon(&self, _: &Error) {}

    // The pool breaks down by this.
    fn lose(&self, _: Duration) {}
}

/// Imports what is to be preloaded and calls the initializer.
///
/// # Safety
/// The calling thread has taken the slot and is attached to its interpreter.
unsafe fn prepare(slot: &Slot, shared: &Shared) -> Result<(), String> {
    if let Some(why) = shared.failure() {
        return Err(why.to_owned());
    }
    let options = shared.options();
    // SAFETY: taken and attached, as promised; so everywhere below.
    let outcome = unsafe {
        slot.begin(Arc::new(Startup(job::next_number())));
        match slot.local() {
            Some(Local { support, functions }) => options
                .preload
                .iter()
                .try_for_each(|name| {
                    c_string(name)
                        .and_then(|module| Object::import(&module))
                        .map(drop)
                        .map_err(|Raised| {
                            format!(
                                "importing {name}, to be preloaded, raised {}",
                                support.take_error()
                            )
                        })
                })
                .and_then(|()| {
                    let Some((function, arguments)) = &options.initializer else {
                        return Ok(());
                    };
                    let outcome = functions.get(function, support).and_then(|object| {
                        slot.open();
                        support.call(object, arguments)
                    });
                    outcome.map(drop).map_err(|Raised| {
                        format!(
                            "the initializer, {function}, raised {}",
                            support.take_error()
                        )
                    })
                }),
            None => Ok(()),
        }
    };
    // SAFETY: as above.
    unsafe { slot.finish() };
    shared.job_ended();
    outcome
}

/// What every interpreter has before anything else runs in it.
///
/// # Safety
/// Attached to the interpreter of `life`.
unsafe fn first_steps(life: &Life, shared: &Shared) -> Result<Local, Raised> {
    // SAFETY: attached, as the caller promised.
    unsafe {
        if life.is_own() {
            // Before anything that could load an extension module.
            loader::install()?;
            signals::install()?;
            if ffi::IMPORTER_IS_MAIN_THREAD {
                // So that its "main thread" is this one.
                Object::import(c"threading")?;
            }
            threads::install()?;
            if shared.options().forward_records {
                records::install()?;
            }
        }
        let support = Support::load()?;
        if life.is_own() {
            let place = support.decode(shared.place())?;
            // SAFETY: `here` in support.py returns a tuple of two.
            let part = |i| Object::borrowed(ffi::PyTuple_GetItem(place.as_ptr(), i));
            support.part(c"enter")?.call(&[&part(0)?, &part(1)?])?;
        }
        let globals = match shared.options().shared_globals {
            true => Some(support.part(c"new_globals")?.call(&[])?),
            false => None,
        };
        Ok(Local {
            support,
            functions: Functions::new(globals),
        })
    }
}

/// The raised exception as text, where there is no [`Support`] yet.
unsafe fn raised_text() -> String {
    // SAFETY: attached, with an exception raised, as the caller promised.
    unsafe {
        let error = Object::owned(ffi::take_raised());
        let text = error.and_then(|error| Object::owned(ffi::PyObject_Repr(error.as_ptr())));
        let text = text.map(|text| text.text());
        ffi::PyErr_Clear();
        text.unwrap_or_else(|Raised| "an exception that could not be shown".to_owned())
    }
}

/// Makes the pool have so many workers.
///
/// # Errors
/// [`Error::Closed`] or [`Error::Broken`]; [`Error::Thread`] when no thread can be had: it has fewer then.
pub(crate) fn hire(shared: &Arc<Shared>, workers: usize) -> Result<(), Error> {
    let new = shared.arrange(workers)?;
    for (i, seat) in new.iter().enumerate() {
        if let Err(error) = spawn(shared, seat) {
            shared.remove(&new[i..]);
            return Err(error);
        }
    }
    Ok(())
}

/// Starts the thread of the worker in a seat. It is counted as live.
///
/// # Errors
/// [`Error::Thread`] when no thread can be had.
pub(crate) fn spawn(shared: &Arc<Shared>, seat: &Arc<Seat>) -> Result<(), Error> {
    let (shared, seat) = (Arc::clone(shared), Arc::clone(seat));
    std::thread::Builder::new()
        .name(format!("{}-{}", shared.options().name, seat.index()))
        .stack_size(STACK)
        .spawn(move || {
            let ended = catch_unwind(AssertUnwindSafe(|| run(&shared, &seat)));
            match ended {
                Ok(ended @ (Ended::Normally | Ended::WithoutEnd)) => {
                    if ended == Ended::WithoutEnd {
                        registry::interpreter_left();
                    }
                    shared.vacate(&seat);
                    shared.worker_ended();
                }
                Ok(Ended::Lost) => registry::worker_back(),
                Err(_) => {
                    // Its interpreter stays as it is, so Python must not be finalized.
                    registry::worker_lost();
                    shared.break_down("a worker panicked: this is a mistake in covet-interp");
                    shared.worker_ended();
                }
            }
        })
        .map(drop)
        .map_err(|error| Error::Thread(error.to_string()))
}
