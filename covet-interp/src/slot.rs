//! An interpreter that one thread owns and that any thread may be lent.
//!
//! ```text
//!             take                 take_for_end
//!    FREE <---------> LENT   FREE ----------> ENDED
//!           release
//! ```
//! Whoever moves the slot from FREE to LENT has the interpreter, and all that is kept beside it, to itself until
//! it releases it. A slot that is ENDED never becomes free again, so a thread that still remembers it finds out
//! before it touches anything.
//!
//! A slot whose job cannot be stopped is *lost*: the pool goes on without it, and its owner ends it if it is ever released.
//!
//! A thread keeps the thread state it got for an interpreter (a new one costs many times what a whole borrowed call does). The slot
//! lists every state that it lent. One whose thread has ended is an *orphan*; orphans are cleared from time to time,
//! and all of them before the interpreter ends. That is done by a thread of its own: deleting a thread state
//! clears the deleting thread's own `PyGILState` record, which a worker needs.

use crate::attach::{self, Detached, MOST_ORPHANS, Visit, clear_states};
use crate::error::Error;
use crate::ffi;
use crate::fork::Process;
use crate::function::Functions;
use crate::job::Job;
use crate::mailbox::Mailbox;
use crate::noted;
use crate::object::Raised;
use crate::seat::Seat;
use crate::shared::Options;
use crate::support::Support;
use covet_queue::EventCount;
use std::cell::{RefCell, UnsafeCell};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const FREE: u32 = 0;
const LENT: u32 = 1;
const ENDED: u32 = 2;

/// What is kept beside an interpreter, for whoever has the slot.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) support: Support,
    pub(crate) functions: Functions,
}

#[derive(Debug)]
pub(crate) struct Slot {
    /// The pool it belongs to.
    pub(crate) pool: u64,
    seat: Arc<Seat>,
    interpreter: *mut ffi::PyInterpreterState,
    /// Whether that is the main interpreter, for which a thread has one state whatever the slot.
    is_main: bool,
    flag: AtomicU32,
    holder: AtomicU64,
    /// Where references to its objects are given back.
    mailbox: Arc<Mailbox>,
    /// What runs here cannot be stopped: the owner ends it once it can.
    lost: AtomicBool,
    /// Tells its owner when the slot was released or lost.
    vacated: EventCount,
    /// Everything that has to happen in it before the first task has.
    ready: AtomicBool,
    /// Its life has no limit any more.
    stays: AtomicBool,
    born: Instant,
    /// Tasks, and items of batches, that ran in it.
    tasks: AtomicU64,
    local: UnsafeCell<Option<Local>>,
    states: Mutex<States>,
    visitors: Visitors,
    running: Running,
    process: Process,
}

/// Threads of libraries, which come in without taking the slot.
#[derive(Debug, Default)]
struct Visitors {
    inside: AtomicUsize,
    shut_out: AtomicBool,
    left: EventCount,
}

/// The thread states that were lent to other threads than the owner.
#[derive(Debug, Default)]
struct States {
    lent: Vec<*mut ffi::PyThreadState>,
    orphans: Vec<*mut ffi::PyThreadState>,
}

/// What runs in the slot now, for those who want to interrupt it.
#[derive(Default)]
struct Running {
    /// The job's number, or 0.
    job: AtomicU64,
    /// Counts the jobs that began here, and the parts of those that have several.
    turn: AtomicU64,
    /// The job: written by who has the slot while there is no number, read by who is counted in `readers` and saw a number.
    what: UnsafeCell<Option<Arc<dyn Job>>>,
    /// Threads that look at `what`.
    readers: AtomicU32,
    /// When the function began, in nanoseconds of the slot's life; 0 before that.
    began: AtomicU64,
    thread: AtomicU64,
    /// Whether it runs where an exception can be raised.
    open: AtomicBool,
    /// Whether the thread runs it in the main interpreter, for once.
    in_main: AtomicBool,
    /// How many threads are about to interrupt it.
    interrupters: AtomicU32,
    /// The last turn whose interruption somebody watches.
    watched: AtomicU64,
    interrupted: AtomicBool,
}

/// A job that is given up.
pub(crate) struct Stuck {
    pub(crate) job: Arc<dyn Job>,
    /// How long its function runs; nothing before that was called.
    pub(crate) ran: Duration,
    /// The thread that runs it.
    pub(crate) thread: u64,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.job.load(Ordering::Relaxed))
    }
}

// SAFETY: the interpreter pointer is only followed by a thread that has taken the slot (or, to interrupt, while one
// has), which keeps the interpreter alive; `local` is only reached through a slot taken, attached to the
// interpreter; `what` as it says; the lists are behind a lock, and their pointers are followed as the module header says.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

impl Slot {
    /// A slot that the calling thread has taken, for an interpreter that it is attached to.
    pub(crate) fn taken(
        pool: u64,
        seat: Arc<Seat>,
        interpreter: *mut ffi::PyInterpreterState,
        local: Local,
    ) -> Arc<Self> {
        Arc::new(Self {
            pool,
            seat,
            interpreter,
            // SAFETY: Python runs: the caller is attached.
            is_main: interpreter == unsafe { ffi::PyInterpreterState_Main() },
            flag: AtomicU32::new(LENT),
            holder: AtomicU64::new(0),
            mailbox: Arc::clone(local.support.mailbox()),
            lost: AtomicBool::new(false),
            vacated: EventCount::new(),
            ready: AtomicBool::new(false),
            stays: AtomicBool::new(false),
            born: Instant::now(),
            tasks: AtomicU64::new(0),
            local: UnsafeCell::new(Some(local)),
            states: Mutex::default(),
            visitors: Visitors::default(),
            running: Running::default(),
            process: Process::this(),
        })
    }

    /// Takes the slot if it is free.
    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        // Acquire pairs with the release of whoever had it before, and with the maker's.
        self.flag.load(Ordering::Relaxed) == FREE
            && self
                .flag
                .compare_exchange(FREE, LENT, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// Gives the slot back. The caller has taken it, and is no longer attached to its interpreter.
    #[inline]
    pub(crate) fn release(&self) {
        self.flag.store(FREE, Ordering::Release);
        self.vacated.notify_one();
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Whether references to its objects were given back that its worker has to drop. Main has no such worker.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        self.mailbox.has_mail() && !self.is_main
    }

    /// Takes the slot for its owner if there is mail and the slot is free: who has it empties the mailbox.
    pub(crate) fn take_for_mail(&self) -> bool {
        self.has_mail() && self.try_take()
    }

    /// Takes the slot for its owner, for good; waits until it is released.
    pub(crate) fn take_to_end(&self) {
        self.vacated
            .wait_until(None, || self.try_take().then_some(()));
    }

    /// Takes the slot for its owner; waits until it is released. Returns whether it did: not if the slot is lost.
    pub(crate) fn take_for_owner(&self) -> bool {
        self.vacated
            .wait_until(None, || {
                if self.is_lost() {
                    return Some(false);
                }
                self.try_take().then_some(true)
            })
            .unwrap_or(false)
    }

    /// Gives the slot, which its owner has made, to everyone.
    pub(crate) fn make_ready(&self) {
        self.ready.store(true, Ordering::Release);
        self.release();
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// When its life is over, if it has a limit.
    pub(crate) fn worn_out_at(&self, options: &Options) -> Option<Instant> {
        let limit = options.max_lifetime.filter(|_| !self.stays())?;
        self.born.checked_add(limit)
    }

    /// Takes the limit off its life: ending it would cost more than it is worth.
    pub(crate) fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    fn stays(&self) -> bool {
        // Relaxed: a word by itself.
        self.stays.load(Ordering::Relaxed)
    }

    /// Whether its life is over.
    pub(crate) fn is_worn_out(&self, options: &Options) -> bool {
        let tasks = || self.tasks.load(Ordering::Relaxed);
        let worn_out = options.max_tasks.is_some_and(|most| tasks() >= most)
            || options
                .max_lifetime
                .is_some_and(|most| self.born.elapsed() >= most);
        worn_out && !self.stays()
    }

    /// Counts what was run in it. The caller has the slot.
    pub(crate) fn count(&self, done: u64, failed: u64, busy: Duration, waited: Duration) {
        // Relaxed, and not one step: only who has the slot writes.
        let tasks = self.tasks.load(Ordering::Relaxed);
        self.tasks.store(tasks + done + failed, Ordering::Relaxed);
        if !self.is_lost() {
            self.seat.count(done, failed, busy, waited);
        }
    }

    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    pub(crate) fn is_lent(&self) -> bool {
        // Relaxed: to be looked at only.
        self.flag.load(Ordering::Relaxed) == LENT
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Marks the slot, which the caller has taken, as ended.
    pub(crate) fn mark_ended(&self) {
        self.flag.store(ENDED, Ordering::Release);
    }

    fn has_ended(&self) -> bool {
        // Relaxed: ENDED is final, and nothing is read on the strength of it.
        self.flag.load(Ordering::Relaxed) == ENDED
    }

    pub(crate) fn interpreter(&self) -> *mut ffi::PyInterpreterState {
        self.interpreter
    }

    /// What is kept beside the interpreter.
    ///
    /// # Safety
    /// The caller has taken the slot, is attached to its interpreter, and holds no other reference from here.
    #[allow(clippy::mut_from_ref)] // the slot taken is the exclusive access
    pub(crate) unsafe fn local(&self) -> &mut Option<Local> {
        // SAFETY: exclusive, as promised.
        unsafe { &mut *self.local.get() }
    }

    /// This thread's state for the interpreter, made if it has none. Nothing is attached by this.
    ///
    /// # Errors
    /// [`Error::NoMemory`]; not on the thread that owns the interpreter, which has one.
    ///
    /// # Safety
    /// The caller has taken the slot, or was [let in](Slot::let_in).
    #[inline]
    pub(crate) unsafe fn state_for_this_thread(
        self: &Arc<Self>,
    ) -> Result<*mut ffi::PyThreadState, Error> {
        KEPT.with_borrow_mut(|kept| {
            let known = kept.iter().find(|known| Arc::ptr_eq(&known.slot, self));
            let state = match known {
                Some(known) => known.state,
                // SAFETY: taken, as promised.
                None => unsafe { self.keep_new_state(kept)? },
            };
            // SAFETY: the slot is taken, so Python runs.
            state.map_or_else(|| unsafe { attach::main_state() }, Ok)
        })
    }

    /// # Safety
    /// As for [`Slot::state_for_this_thread`].
    #[cold]
    unsafe fn keep_new_state(
        self: &Arc<Self>,
        kept: &mut Vec<Kept>,
    ) -> Result<Option<*mut ffi::PyThreadState>, Error> {
        kept.retain(|known| !known.slot.has_ended());
        let state = match self.is_main {
            true => None,
            // SAFETY: taken, as promised.
            false => Some(unsafe { self.lend_new_state()? }),
        };
        kept.push(Kept {
            slot: Arc::clone(self),
            state,
            lent: state.is_some(),
        });
        Ok(state)
    }

    /// # Safety
    /// As for [`Slot::state_for_this_thread`].
    unsafe fn lend_new_state(&self) -> Result<*mut ffi::PyThreadState, Error> {
        // SAFETY: the slot is taken, so the interpreter is alive.
        let state = unsafe { ffi::new_thread_state(self.interpreter) }.ok_or(Error::NoMemory)?;
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        states.lent.push(state);
        let orphans = if states.orphans.len() > MOST_ORPHANS {
            std::mem::take(&mut states.orphans)
        } else {
            Vec::new()
        };
        drop(states);
        // SAFETY: the slot is taken, so the interpreter is alive, and the threads of orphans have ended.
        unsafe { clear_states(self.interpreter, orphans) };
        Ok(state)
    }

    /// Makes this thread use `state`, which it owns, when it takes the slot.
    pub(crate) fn keep_own_state(self: &Arc<Self>, state: *mut ffi::PyThreadState) {
        KEPT.with_borrow_mut(|kept| {
            kept.push(Kept {
                slot: Arc::clone(self),
                state: (!self.is_main).then_some(state),
                lent: false,
            })
        });
    }

    /// A state of the interpreter that this thread has as its owner or as a Python thread of it; not one that it was lent.
    pub(crate) fn own_state(self: &Arc<Self>) -> Option<*mut ffi::PyThreadState> {
        let kept = KEPT.try_with(|kept| {
            let kept = kept.try_borrow().ok()?;
            let known = kept.iter().find(|known| Arc::ptr_eq(&known.slot, self))?;
            Some((known.state, known.lent))
        });
        match kept.ok().flatten() {
            Some((state, lent)) => state.filter(|_| !lent),
            None => {
                let noted = noted::get();
                // SAFETY: what is noted for a thread is alive.
                let is_of_this = !noted.is_null()
                    && unsafe { ffi::PyThreadState_GetInterpreter(noted) } == self.interpreter;
                is_of_this.then_some(noted)
            }
        }
    }

    /// Lets a thread in that has not taken the slot, until it is [let out](Slot::let_out), unless the interpreter is about to end.
    pub(crate) fn let_in(&self) -> bool {
        // One order for this and for `shut_out`: either it sees this visitor, or this sees that it has shut.
        self.visitors.inside.fetch_add(1, Ordering::SeqCst);
        if self.visitors.shut_out.load(Ordering::SeqCst) {
            self.let_out();
            return false;
        }
        true
    }

    pub(crate) fn let_out(&self) {
        self.visitors.inside.fetch_sub(1, Ordering::SeqCst);
        if self.visitors.shut_out.load(Ordering::SeqCst) {
            self.visitors.left.notify_all();
        }
    }

    /// Lets no more visitors in, and waits until those inside have left. Returns whether they have, in this time.
    pub(crate) fn shut_out(&self, time: Duration) -> bool {
        self.visitors.shut_out.store(true, Ordering::SeqCst);
        let left = || (self.visitors.inside.load(Ordering::SeqCst) == 0).then_some(());
        let deadline = Instant::now().checked_add(time);
        self.visitors.left.wait_until(deadline, left).is_some()
    }

    /// Drops what is kept beside the interpreter and clears every thread state that was lent.
    ///
    /// # Safety
    /// The caller owns the interpreter, is attached to it, and has marked the slot as ended.
    pub(crate) unsafe fn clean_up(self: &Arc<Self>) {
        // SAFETY: attached, as promised.
        unsafe { self.mailbox.empty() };
        // SAFETY: ended, so nobody else can take the slot: the caller is alone with it, and attached.
        if let Some(local) = unsafe { self.local() }.take()
            && !self.is_main
            && let Err(Raised) = local
                .support
                .part(c"leave")
                .and_then(|leave| leave.call(&[]))
        {
            // SAFETY: attached.
            unsafe { ffi::PyErr_Clear() };
        }
        KEPT.with_borrow_mut(|kept| kept.retain(|known| !Arc::ptr_eq(&known.slot, self)));
        let states =
            std::mem::take(&mut *self.states.lock().unwrap_or_else(PoisonError::into_inner));
        let _detached = Detached::new();
        // SAFETY: the interpreter is alive until its owner, the caller, ends it; no thread is attached to any of
        // these states, since each of them needs the slot for that.
        unsafe {
            clear_states(
                self.interpreter,
                states.lent.into_iter().chain(states.orphans).collect(),
            )
        };
    }

    /// Says that the caller, who has taken the slot, is about to run `job` in it. An interruption is kept until it is
    /// [open](Slot::open) to it.
    ///
    /// # Safety
    /// The caller has taken the slot, and what it began before is [finished](Slot::finish).
    pub(crate) unsafe fn begin(&self, job: Arc<dyn Job>) {
        let running = &self.running;
        running.thread.store(ffi::thread_ident(), Ordering::Relaxed);
        running.began.store(0, Ordering::Relaxed);
        self.advance();
        let number = job.number();
        // SAFETY: there is no number now, so nobody else looks here.
        unsafe { *running.what.get() = Some(job) };
        // SeqCst: this store and the loads in `finish` against the increments and loads in `interrupt` and `running_job`.
        running.job.store(number, Ordering::SeqCst);
    }

    /// Says that what runs here now is another turn than before.
    #[inline]
    pub(crate) fn advance(&self) {
        let turn = &self.running.turn;
        // Relaxed, and not one step: only who has the slot writes.
        turn.store(turn.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The turn of `job` (of whatever runs, for `None`) that runs here now.
    pub(crate) fn turn_of(&self, job: Option<u64>) -> Option<u64> {
        let now = self.running.job.load(Ordering::SeqCst);
        (now != 0 && job.is_none_or(|job| job == now))
            .then(|| self.running.turn.load(Ordering::Relaxed))
    }

    /// Says which thread has entered it; 0 before it is released.
    #[inline]
    pub(crate) fn set_holder(&self, thread: u64) {
        // Release and acquire: a holder that waits has said so after it entered, and before it leaves.
        self.holder.store(thread, Ordering::Release);
    }

    /// The thread that has entered it, or 0.
    pub(crate) fn holder(&self) -> u64 {
        self.holder.load(Ordering::Acquire)
    }

    /// Whether that turn still runs.
    pub(crate) fn still_runs(&self, turn: u64) -> bool {
        self.turn_of(None) == Some(turn)
    }

    /// Whether an interruption of what runs here is under way already.
    pub(crate) fn is_being_interrupted(&self) -> bool {
        self.running.interrupters.load(Ordering::SeqCst) != 0
    }

    /// Says that the caller watches whether that turn stops. Returns whether nobody did.
    pub(crate) fn watch(&self, turn: u64) -> bool {
        self.running.watched.swap(turn, Ordering::AcqRel) != turn
    }

    /// What runs here, if it still is that turn.
    pub(crate) fn running_job(&self, turn: u64) -> Option<Stuck> {
        let running = &self.running;
        running.readers.fetch_add(1, Ordering::SeqCst);
        let stuck = self.still_runs(turn).then(|| {
            // SAFETY: there is a number, and `finish`, which takes it away first, waits for this reader.
            let job = unsafe { (*running.what.get()).clone() };
            let now = self.born.elapsed();
            let began = match running.began.load(Ordering::Relaxed) {
                0 => now,
                nanos => Duration::from_nanos(nanos),
            };
            job.map(|job| Stuck {
                job,
                ran: now.saturating_sub(began),
                thread: running.thread.load(Ordering::Relaxed),
            })
        });
        running.readers.fetch_sub(1, Ordering::SeqCst);
        stuck.flatten()
    }

    /// Gives up on the slot: its owner shall end it once it can. Returns whether that is new.
    pub(crate) fn give_up(&self) -> bool {
        let new = !self.lost.swap(true, Ordering::AcqRel);
        self.vacated.notify_all();
        new
    }

    /// Lets interruptions through, also one that came since [`Slot::begin`]. Returns the time.
    ///
    /// # Safety
    /// The caller is attached to the interpreter.
    pub(crate) unsafe fn open(&self) -> Instant {
        let now = Instant::now();
        let began = now.duration_since(self.born).as_nanos() as u64;
        // Relaxed: only to be told.
        self.running.began.store(began, Ordering::Relaxed);
        // SeqCst: this store and load against those in `interrupt`, of which at least one sees the other's store.
        self.running.open.store(true, Ordering::SeqCst);
        if self.running.interrupted.load(Ordering::SeqCst) {
            // SAFETY: attached, as promised; KeyboardInterrupt is a static type of the process.
            unsafe { ffi::set_async_exception(ffi::thread_ident(), ffi::PyExc_KeyboardInterrupt) };
        }
        now
    }

    /// Says that what runs here goes on in the main interpreter, where interruptions find it until [`Slot::leave_main`].
    ///
    /// # Safety
    /// The caller has the slot, and is attached to the main interpreter.
    pub(crate) unsafe fn enter_main(&self) {
        let running = &self.running;
        // SeqCst: this store and load against those in `interrupt`, as in `open`.
        running.in_main.store(true, Ordering::SeqCst);
        if running.open.load(Ordering::Relaxed) && running.interrupted.load(Ordering::SeqCst) {
            // SAFETY: attached, as promised; KeyboardInterrupt is a static type of the process.
            unsafe { ffi::set_async_exception(ffi::thread_ident(), ffi::PyExc_KeyboardInterrupt) };
        }
    }

    /// Ends what [`Slot::enter_main`] began.
    ///
    /// # Safety
    /// As there.
    pub(crate) unsafe fn leave_main(&self) {
        let running = &self.running;
        running.in_main.store(false, Ordering::SeqCst);
        if self.is_being_interrupted() {
            // The interrupter needs main's GIL to finish.
            let _detached = Detached::new();
            while self.is_being_interrupted() {
                std::thread::yield_now();
            }
        }
        if running.interrupted.load(Ordering::SeqCst) {
            // SAFETY: attached, as promised.
            unsafe { ffi::set_async_exception(ffi::thread_ident(), std::ptr::null_mut()) };
        }
    }

    /// Says that it is done. An interruption that came too late goes no further.
    ///
    /// # Safety
    /// The caller began it, and is attached to the interpreter.
    pub(crate) unsafe fn finish(&self) {
        let running = &self.running;
        running.job.store(0, Ordering::SeqCst);
        let is_looked_at = || {
            running.interrupters.load(Ordering::SeqCst) != 0
                || running.readers.load(Ordering::SeqCst) != 0
        };
        if is_looked_at() {
            // The interrupter needs this interpreter's GIL to finish.
            let _detached = Detached::new();
            while is_looked_at() {
                std::thread::yield_now();
            }
        }
        // SAFETY: the caller has the slot. Readers that saw a number were counted out above, and others find none.
        let what = unsafe { (*running.what.get()).take() };
        drop(what);
        // Relaxed: the interrupters were counted out above, and others find no job.
        running.open.store(false, Ordering::Relaxed);
        if running.interrupted.load(Ordering::Relaxed) {
            running.interrupted.store(false, Ordering::Relaxed);
            // SAFETY: attached, as promised.
            unsafe { ffi::set_async_exception(ffi::thread_ident(), std::ptr::null_mut()) };
        }
    }

    /// Raises `KeyboardInterrupt` in what runs in the slot, if it is `job` (or whatever runs, for `None`), as soon as it is
    /// [open](Slot::open) to it. Waits for the interpreter's GIL, so for as long as a C function in there keeps it.
    pub(crate) fn interrupt(&self, job: Option<u64>) {
        let running = &self.running;
        running.interrupters.fetch_add(1, Ordering::SeqCst);
        let now = running.job.load(Ordering::SeqCst);
        if now != 0 && job.is_none_or(|job| job == now) {
            running.interrupted.store(true, Ordering::SeqCst);
            if running.open.load(Ordering::SeqCst) {
                // SAFETY: a job runs here, and `finish` does not return before this interrupter is counted out: the
                // slot stays taken and the interpreter alive. KeyboardInterrupt is a static type of the process.
                unsafe {
                    let place = if running.in_main.load(Ordering::SeqCst) {
                        ffi::PyInterpreterState_Main()
                    } else {
                        self.interpreter
                    };
                    if let Some(_visit) = Visit::new(place) {
                        let thread = running.thread.load(Ordering::Relaxed);
                        ffi::set_async_exception(thread, ffi::PyExc_KeyboardInterrupt);
                    }
                }
            }
        }
        running.interrupters.fetch_sub(1, Ordering::SeqCst);
    }

    /// Takes back the thread state of a thread that ends.
    fn orphan(&self, state: *mut ffi::PyThreadState) {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        // Not listed any more: the owner has cleared it.
        if let Some(i) = states.lent.iter().position(|&lent| lent == state) {
            states.lent.swap_remove(i);
            states.orphans.push(state);
        }
    }
}

/// A thread state that this thread keeps for an interpreter.
#[derive(Debug)]
struct Kept {
    slot: Arc<Slot>,
    /// None for the main interpreter, which is asked each time: a thread's state of it may end before the slot does (that
    /// of a worker whose life ends, one that `PyGILState_Release` deletes).
    state: Option<*mut ffi::PyThreadState>,
    /// False for the owner's own state.
    lent: bool,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.lent
            && let Some(state) = self.state
            && self.slot.process.is_this()
            && !self.slot.has_ended()
        {
            self.slot.orphan(state);
        }
    }
}

thread_local! {
    /// The thread states that this thread keeps, the one used last in front.
    static KEPT: RefCell<Vec<Kept>> = const { RefCell::new(Vec::new()) };
}

/// Takes a free slot of the pool that this thread was in before, the latest first.
#[inline]
pub(crate) fn take_known(pool: u64) -> Option<Arc<Slot>> {
    KEPT.try_with(|kept| {
        let mut kept = kept.try_borrow_mut().ok()?;
        let i = kept
            .iter()
            .position(|known| known.slot.pool == pool && known.slot.try_take())?;
        kept.swap(0, i);
        Some(Arc::clone(&kept[0].slot))
    })
    .ok()
    .flatten()
}
