//! A calling thread inside an idle interpreter.
//!
//! The caller gives up the thread state it has, attaches the one it keeps for the interpreter, and does the
//! reverse at the end: two GIL hand-overs that nobody contends, no queue, no other thread. Meanwhile other threads of
//! the interpreter it came from run.

use crate::attach::{self, AtMain, Detached};
use crate::error::{Error, PythonError};
use crate::ffi;
use crate::function::Function;
use crate::job::Job;
use crate::message::{Message, MessageRef};
use crate::object::{Object, Raised};
use crate::shared::Shared;
use crate::slot::{Local, Slot};
use crate::support::{self, Support};
use crate::value::Value;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// This thread is attached to an interpreter of a pool, and has it to itself, while this lives.
///
/// Drop it to give the interpreter back; what was attached to the thread before is attached again then. Not
/// `Send`. Nested use is fine: it takes another interpreter, and this one can be used again once that guard is gone.
///
/// One that is forgotten ([`std::mem::forget`]) keeps the interpreter, and its GIL, for good; without a GIL it keeps the
/// collector of the whole process waiting.
///
/// # Panics
/// Its methods panic while another guard that was made after it ([`Entered`], [`Detached`] or
/// [`Attached`](crate::Attached)) is still there: the thread is attached elsewhere.
#[derive(Debug)]
pub struct Entered<'p> {
    slot: Arc<Slot>,
    pool: &'p Shared,
    /// The state of this thread for the interpreter.
    state: *mut ffi::PyThreadState,
    /// None when this thread was attached to the right interpreter all along.
    outside: Option<Detached>,
    not_send: PhantomData<*mut ()>,
}

impl<'p> Entered<'p> {
    /// The pool that it belongs to.
    pub(crate) fn shared(&self) -> &Shared {
        self.pool
    }

    /// Enters a slot of the pool that the caller has taken.
    ///
    /// # Errors
    /// [`Error::NoMemory`]; the slot is released then. Not on the thread that owns the interpreter, which has a state for it.
    pub(crate) fn new(slot: Arc<Slot>, pool: &'p Shared) -> Result<Self, Error> {
        let mut state = ffi::current();
        let mut outside = None;
        if ffi::current_interpreter() != slot.interpreter() {
            let before = Detached::new();
            // SAFETY: the slot is taken, so its interpreter is alive; nothing is attached.
            let own = unsafe { slot.state_for_this_thread() };
            state = own.inspect_err(|_| give_back(&slot, pool))?;
            // SAFETY: this thread's, and nothing is attached.
            unsafe { attach::attach(state) };
            outside = Some(before);
        }
        slot.seat().count_lent();
        slot.set_holder(ffi::thread_ident());
        Ok(Self {
            slot,
            pool,
            state,
            outside,
            not_send: PhantomData,
        })
    }

    #[inline]
    fn local(&mut self) -> Result<&mut Local, Raised> {
        assert!(
            ffi::current() == self.state,
            "expected the thread to be attached to the interpreter of this guard, found a guard made later that is still there"
        );
        // SAFETY: this guard has taken the slot, its thread is attached, and `&mut self` makes the access the only one.
        unsafe { self.slot.local() }.as_mut().ok_or(Raised)
    }

    /// Calls `function` with the arguments of a message, and appends the message of the result to `result`.
    ///
    /// # Errors
    /// What the call raised, or what sending its result raised: nothing is appended then. Never fails otherwise.
    #[inline]
    pub fn call<'m>(
        &mut self,
        function: &Function,
        arguments: impl Into<MessageRef<'m>>,
        result: &mut Message,
    ) -> Result<(), PythonError> {
        self.call_noting(function, arguments.into(), result, || ())
    }

    /// As [`Entered::call`], and the function remembers how long it took.
    ///
    /// # Errors
    /// As [`Entered::call`].
    #[inline]
    pub fn call_timed<'m>(
        &mut self,
        function: &Function,
        arguments: impl Into<MessageRef<'m>>,
        result: &mut Message,
    ) -> Result<(), PythonError> {
        // The clock starts when the function is there: its first import is no part of what a call costs.
        let mut began = None;
        let begins = || began = Some(Instant::now());
        let outcome = self.call_noting(function, arguments.into(), result, begins);
        if let Some(began) = began {
            function.took(began.elapsed());
        }
        outcome
    }

    /// As [`Entered::call_timed`], for a function that was there at that time ([`Entered::open`]). Also returns how long it took.
    #[inline]
    pub(crate) fn call_since(
        &mut self,
        began: Instant,
        function: &Function,
        arguments: &Message,
        result: &mut Message,
    ) -> (Result<(), PythonError>, Duration) {
        let mut is_there = false;
        let outcome = self.call_noting(function, arguments.by_ref(), result, || is_there = true);
        let took = began.elapsed();
        if is_there {
            function.took(took);
        }
        (outcome, took)
    }

    #[inline]
    fn call_noting(
        &mut self,
        function: &Function,
        arguments: MessageRef<'_>,
        result: &mut Message,
        begins: impl FnOnce(),
    ) -> Result<(), PythonError> {
        if function.is_only_in_main() && self.pool.options().fallback.is_some() {
            begins();
            return self.call_in_main(function, arguments, result, None);
        }
        let (falls_back, error) = match self.local() {
            Ok(Local { support, functions }) => {
                // SAFETY: attached to the interpreter that `support` and the object belong to.
                let outcome = unsafe {
                    functions.get(function, support).and_then(|object| {
                        begins();
                        let returned = support.call(object, arguments)?;
                        support.encode(returned.as_ptr(), result)
                    })
                };
                match outcome {
                    Ok(()) => return Ok(()),
                    // SAFETY: attached, and an exception is raised.
                    Err(Raised) => unsafe { (support.may_run_in_main(), support.take_error()) },
                }
            }
            Err(Raised) => unreachable!("a slot that can be entered has its local part"),
        };
        if falls_back && self.pool.options().fallback.is_some() {
            function.set_only_in_main();
            return self.call_in_main(function, arguments, result, Some(&error.message));
        }
        Err(error)
    }

    /// Has the pool's fallback call `function` in the main interpreter, on this thread. `why` is for the first time.
    #[cold]
    fn call_in_main(
        &mut self,
        function: &Function,
        arguments: MessageRef<'_>,
        result: &mut Message,
        why: Option<&str>,
    ) -> Result<(), PythonError> {
        let Some(fallback) = &self.pool.options().fallback else {
            unreachable!("a pool without a fallback does not fall back");
        };
        // SAFETY: a slot is lent, so Python runs. All objects belong to main and die before it is left.
        unsafe {
            let _main = AtMain::new()
                .map_err(|error| support::plain_error("MemoryError", &error.to_string()))?;
            let support = match Support::load() {
                Ok(support) => support,
                Err(Raised) => return Err(support::take_error_plainly()),
            };
            self.slot.enter_main();
            let outcome = fallback.resolve(&support, None).and_then(|fallback| {
                let why = match why {
                    Some(why) => Object::string(why)?,
                    None => Object::borrowed(ffi::Py_None())?,
                };
                let object = function.resolve(&support, None)?;
                let returned = support.call(&fallback.call(&[&object, &why])?, arguments)?;
                support.encode(returned.as_ptr(), result)
            });
            let outcome = outcome.map_err(|Raised| support.take_error());
            self.slot.leave_main();
            outcome
        }
    }

    /// Runs source text, in a namespace of its own unless the pool has [shared globals](crate::Builder::shared_globals), and
    /// returns what it leaves in the variable `result` (`None` if there is none).
    ///
    /// # Errors
    /// [`Error::Python`] with whatever it raised; [`Error::Value`] when the result is no tree of values.
    ///
    /// # Examples
    /// See `examples/two_interpreters.rs`.
    pub fn run(&mut self, source: &str) -> Result<Value, Error> {
        let Local { support, functions } = self.local().map_err(|Raised| Error::Closed)?;
        // SAFETY: attached to the interpreter that `support` belongs to.
        unsafe {
            let outcome = Function::source(source)
                .resolve(support, functions.globals())
                .and_then(|run| run.call(&[]))
                .and_then(|result| {
                    let mut message = Message::new();
                    support.encode(result.as_ptr(), &mut message)?;
                    Ok(message)
                });
            let message = outcome.map_err(|Raised| Error::Python(support.take_error()))?;
            Value::read(&message)
        }
    }

    /// Says that this is where the job runs, until the next [`Entered::finish`]: before its state says so, for whoever
    /// sees that state and wants to interrupt it.
    pub(crate) fn begin(&mut self, job: Arc<dyn Job>) {
        // SAFETY: this guard has taken the slot; a job begins after the one before it was finished.
        unsafe { self.slot.begin(job) }
    }

    /// Says that the job goes on to its next part: what was interrupted before has reacted.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.slot.advance();
    }

    /// Whether the interpreter has run what it may in its life.
    pub(crate) fn is_worn_out(&self) -> bool {
        self.slot.is_worn_out(self.pool.options())
    }

    /// Counts what was run here.
    pub(crate) fn count(&mut self, done: u64, failed: u64, busy: Duration, waited: Duration) {
        self.slot.count(done, failed, busy, waited);
    }

    /// Lets others interrupt what runs here from now on. The function is resolved first: an exception in the middle of an
    /// import would be lost, or worse. Returns the time when it was.
    pub(crate) fn open(&mut self, function: &Function) -> Instant {
        if let Ok(Local { support, functions }) = self.local()
            && let Err(Raised) = functions.get(function, support)
        {
            // SAFETY: attached. The call will fail in the same way, and tell.
            unsafe { ffi::PyErr_Clear() };
        }
        // SAFETY: this guard's thread is attached.
        unsafe { self.slot.open() }
    }

    /// Ends what [`Entered::begin`] began, and the task.
    pub(crate) fn finish(&mut self) {
        // SAFETY: this guard's thread is attached.
        unsafe { self.slot.finish() }
        self.pool.job_ended();
        self.end_task();
    }

    #[inline]
    fn end_task(&mut self) {
        if let Ok(local) = self.local() {
            local.functions.end_task();
            // SAFETY: attached to the interpreter that `local` belongs to.
            unsafe { local.support.empty_mailbox() };
        }
    }
}

impl Entered<'_> {
    /// [`Entered::end_task`] for a guard that is dropped before one that was made after it.
    #[cold]
    fn end_task_from_outside(&mut self) {
        let _inner = Detached::new();
        // SAFETY: nothing is attached; the state is this thread's own, of an interpreter that the slot keeps alive.
        unsafe {
            attach::attach(self.state);
            self.end_task();
            ffi::PyEval_SaveThread();
        }
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        match &self.outside {
            Some(outside) if outside.is_innermost() => {
                self.end_task();
                // SAFETY: this guard attached its thread, and whatever was inside has put that back.
                unsafe { ffi::PyEval_SaveThread() };
            }
            _ if ffi::current() == self.state => self.end_task(),
            _ => self.end_task_from_outside(),
        }
        self.slot.set_holder(0);
        give_back(&self.slot, self.pool);
        // What was attached before comes back with `outside`.
    }
}

/// Releases a slot, to whose interpreter the caller is not attached, and tells those who wait for one.
#[inline]
fn give_back(slot: &Slot, pool: &Shared) {
    slot.release();
    pool.idle().notify_one();
    // What was given back meanwhile woke a worker that found the slot taken.
    if slot.has_mail() {
        pool.mail_came();
    }
}

/// Whether the calling thread has as much stack left as Python needs.
#[inline]
pub(crate) fn enough_stack() -> bool {
    thread_local! {
        static LOWEST: usize = crate::stack::lowest_address();
    }
    // The address of a local is near the stack pointer.
    let marker = 0u8;
    LOWEST.with(|&lowest| (&raw const marker as usize).saturating_sub(lowest) >= ffi::STACK_NEEDED)
}
