//! The thread that makes, owns and ends an interpreter, and runs queued jobs.
//!
//! ```text
//!   make interpreter -> loader -> support -> preload -> initializer -> slot is free
//!        -> [ wait for a job, take a free slot (its own first), run, release ] ...
//!        -> pool closed and drained: take the own slot for good -> clean up -> end interpreter
//! ```
//! A worker waits for jobs detached and without a slot, so that its interpreter can be lent meanwhile.

use crate::borrow::Entered;
use crate::error::Error;
use crate::function::Functions;
use crate::interpreter::Interpreter;
use crate::job::Turn;
use crate::loader;
use crate::object::{Object, Raised};
use crate::pool::Shared;
use crate::signals;
use crate::slot::{Local, Slot};
use crate::strategy::Strategy;
use crate::support::Support;
use std::ffi::CString;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker keeps a slot while jobs wait in the ring.
const LEASE: Duration = Duration::from_millis(1);

/// The stack of a worker: Python before 3.14 does not look at how much is left.
pub(crate) const STACK: usize = 16 << 20;

/// The life of worker `index`.
pub(crate) fn run(shared: &Arc<Shared>, index: usize) {
    match Worker::start(shared) {
        Ok(worker) => {
            shared.seat(index, &worker.slot);
            worker.serve(shared);
            worker.end(shared);
        }
        Err(why) => {
            shared.break_down(&why);
            shared.abandon_queue(&shared.refusal());
        }
    }
}

struct Worker {
    interpreter: Interpreter,
    slot: Arc<Slot>,
}

impl Worker {
    /// Makes the interpreter and everything in it. On return it is detached, and its slot is free.
    fn start(shared: &Shared) -> Result<Self, String> {
        // SAFETY: a fresh thread: nothing attached. Python is initialised, and pools end before it finalizes.
        let interpreter = unsafe {
            match shared.strategy() {
                Strategy::Subinterpreters => {
                    Interpreter::make().map_err(|error| error.to_string())?
                }
                Strategy::MainOnly | Strategy::FreeThreading => Interpreter::main(),
            }
        };
        // SAFETY: attached to the interpreter that this thread just made.
        match unsafe { prepare(&interpreter, shared) } {
            Ok(local) => {
                let slot = Slot::taken(shared.number(), interpreter.raw(), local);
                slot.keep_own_state(interpreter.state());
                // SAFETY: made here, attached.
                unsafe { interpreter.detach() };
                slot.release();
                Ok(Self { interpreter, slot })
            }
            Err(why) => {
                // SAFETY: made here, attached, and never lent.
                unsafe { interpreter.end() };
                Err(why)
            }
        }
    }

    fn serve(&self, shared: &Shared) {
        while let Some(job) = shared.next_job() {
            if !job.is_wanted() {
                continue;
            }
            let Some(slot) = shared.take_slot_for(&self.slot) else {
                job.abandon(&shared.refusal());
                continue;
            };
            let mut here = Entered::new(slot, shared.idle());
            let began = Instant::now();
            let mut next = Some(job);
            while let Some(job) = next {
                next = None;
                if job.is_wanted() && job.run(&mut here) == Turn::Again {
                    // Others first; a ring that is full or closed leaves it here.
                    next = shared.put_back(job);
                }
                if next.is_none() && began.elapsed() < LEASE {
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

    fn end(self, shared: &Shared) {
        let Self { interpreter, slot } = self;
        // A borrower may still be inside: the slot is taken for good once it has left.
        shared
            .idle()
            .wait_until(None, || slot.try_take().then_some(()));
        slot.mark_ended();
        // SAFETY: made by this thread, which has nothing attached; the slot has ended, so nobody is inside and every
        // state that was lent is cleared before the interpreter ends.
        unsafe {
            interpreter.attach();
            slot.clean_up();
            interpreter.end();
        }
    }
}

/// Everything that happens in a new interpreter before its first task.
///
/// # Safety
/// Attached to `interpreter`.
unsafe fn prepare(interpreter: &Interpreter, shared: &Shared) -> Result<Local, String> {
    // SAFETY: attached, as promised; so everywhere below.
    unsafe {
        let support = first_steps(interpreter, shared).map_err(|Raised| raised_text())?;
        let mut local = Local {
            support,
            functions: Functions::default(),
        };
        let Local { support, functions } = &mut local;
        let outcome = shared.preload().iter().try_for_each(|name| {
            let name = CString::new(name.as_str()).unwrap_or_default();
            Object::import(&name).map(drop)
        });
        outcome
            .map_err(|Raised| format!("a module to preload failed: {}", support.take_error()))?;
        if let Some((function, arguments)) = shared.initializer() {
            let outcome = functions
                .get(function, support)
                .and_then(|object| support.call(object, arguments));
            outcome
                .map(drop)
                .map_err(|Raised| format!("the initializer raised {}", support.take_error()))?;
        }
        Ok(local)
    }
}

unsafe fn first_steps(interpreter: &Interpreter, shared: &Shared) -> Result<Support, Raised> {
    // SAFETY: attached, as the caller promised.
    unsafe {
        if interpreter.is_own() {
            // Before anything that could load an extension module.
            loader::install()?;
            signals::install()?;
            // So that its "main thread" is this one.
            Object::import(c"threading")?;
        }
        let support = Support::load()?;
        if interpreter.is_own() {
            let place = support.decode(shared.place())?;
            // SAFETY: `here` in support.py returns a tuple of two.
            let part = |i| Object::borrowed(crate::ffi::PyTuple_GetItem(place.as_ptr(), i));
            support.part(c"enter")?.call(&[&part(0)?, &part(1)?])?;
        }
        Ok(support)
    }
}

/// The raised exception as text, where there is no [`Support`] yet.
unsafe fn raised_text() -> String {
    // SAFETY: attached, with an exception raised, as the caller promised.
    unsafe {
        let error = Object::owned(crate::ffi::take_raised());
        let text = error.and_then(|error| Object::owned(crate::ffi::PyObject_Repr(error.as_ptr())));
        let text = text.map(|text| text.text());
        crate::ffi::PyErr_Clear();
        text.unwrap_or_else(|Raised| "an exception that could not be shown".to_owned())
    }
}

/// Starts the thread of worker `index`.
pub(crate) fn spawn(shared: &Arc<Shared>, index: usize) -> Result<(), Error> {
    let worker = Arc::clone(shared);
    std::thread::Builder::new()
        .name(format!("{}-{index}", shared.name()))
        .stack_size(STACK)
        .spawn(move || {
            run(&worker, index);
            worker.worker_ended();
        })
        .map(drop)
        .map_err(|error| Error::Thread(error.to_string()))
}
