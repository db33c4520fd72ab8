//! A calling thread inside an idle interpreter.
//!
//! The caller gives up the thread state it has, attaches the one it keeps for the interpreter, and does the
//! reverse at the end: two GIL hand-overs that nobody contends, no queue, no other thread. Meanwhile other threads of
//! the interpreter it came from run.

use crate::attach;
use crate::error::{Error, PythonError};
use crate::ffi;
use crate::function::Function;
use crate::job::Job;
use crate::object::{Object, Raised};
use crate::shared::Shared;
use crate::slot::{Local, Slot};
use crate::value::Value;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// This thread is attached to an interpreter of a pool, and has it to itself, while this lives.
///
/// Drop it to give the interpreter back; what was attached to the thread before is attached again then. Not
/// `Send`. Nested use is fine: it takes another interpreter.
#[derive(Debug)]
pub struct Entered<'p> {
    slot: Arc<Slot>,
    pool: &'p Shared,
    /// What was attached before; null if nothing was.
    before: *mut ffi::PyThreadState,
    /// False when this thread was attached to the right interpreter all along.
    switched: bool,
    not_send: PhantomData<*mut ()>,
}

impl<'p> Entered<'p> {
    /// Enters a slot of the pool that the caller has taken.
    pub(crate) fn new(slot: Arc<Slot>, pool: &'p Shared) -> Self {
        let current = ffi::current();
        slot.seat().count_lent();
        if ffi::current_interpreter() == slot.interpreter() {
            return Self {
                slot,
                pool,
                before: current,
                switched: false,
                not_send: PhantomData,
            };
        }
        // SAFETY: the slot is taken, so its interpreter is alive; `current`, if any, is attached and is detached
        // before the thread's own state for the interpreter is attached.
        unsafe {
            if !current.is_null() {
                attach::away(1);
                ffi::PyEval_SaveThread();
            }
            let state = slot.state_for_this_thread();
            ffi::PyEval_RestoreThread(state);
        }
        Self {
            slot,
            pool,
            before: current,
            switched: true,
            not_send: PhantomData,
        }
    }

    fn local(&mut self) -> Result<&mut Local, Raised> {
        // SAFETY: this guard has taken the slot, its thread is attached, and `&mut self` makes the access the only one.
        unsafe { self.slot.local() }.as_mut().ok_or(Raised)
    }

    /// Calls `function` with the arguments of the message in `buffer`, and leaves the message of the result there.
    ///
    /// # Errors
    /// What the call raised, or what sending its result raised. Never fails otherwise.
    #[inline]
    pub fn call(&mut self, function: &Function, buffer: &mut Vec<u8>) -> Result<(), PythonError> {
        self.call_noting(function, buffer, || ())
    }

    /// As [`Entered::call`], and the function remembers how long it took.
    ///
    /// # Errors
    /// As [`Entered::call`].
    #[inline]
    pub fn call_timed(
        &mut self,
        function: &Function,
        buffer: &mut Vec<u8>,
    ) -> Result<(), PythonError> {
        // The clock starts when the function is there: its first import is no part of what a call costs.
        let mut began = None;
        let outcome = self.call_noting(function, buffer, || began = Some(Instant::now()));
        if let Some(began) = began {
            function.took(began.elapsed());
        }
        outcome
    }

    #[inline]
    fn call_noting(
        &mut self,
        function: &Function,
        buffer: &mut Vec<u8>,
        begins: impl FnOnce(),
    ) -> Result<(), PythonError> {
        match self.local() {
            Ok(Local { support, functions }) => {
                // SAFETY: attached to the interpreter that `support` and the object belong to.
                let outcome = unsafe {
                    functions.get(function, support).and_then(|object| {
                        begins();
                        let result = support.call(object, buffer)?;
                        buffer.clear();
                        support.encode(result.as_ptr(), buffer)
                    })
                };
                // SAFETY: attached, and an exception is raised.
                outcome.map_err(|Raised| unsafe { support.take_error() })
            }
            Err(Raised) => unreachable!("a slot that can be entered has its local part"),
        }
    }

    /// Runs source text in a namespace of its own and returns what it leaves in the variable `result` (`None` if
    /// there is none).
    ///
    /// # Errors
    /// [`Error::Python`] with whatever it raised; [`Error::Value`] when the result is no tree of values.
    ///
    /// # Examples
    /// See `examples/two_interpreters.rs`.
    pub fn run(&mut self, source: &str) -> Result<Value, Error> {
        let Local { support, .. } = self.local().map_err(|Raised| Error::Closed)?;
        // SAFETY: attached to the interpreter that `support` belongs to.
        unsafe {
            let outcome = support
                .part(c"run_source")
                .and_then(|run| run.call(&[&Object::string(source)?]))
                .and_then(|result| {
                    let mut message = Vec::new();
                    support.encode(result.as_ptr(), &mut message)?;
                    Ok(message)
                });
            let message = outcome.map_err(|Raised| Error::Python(support.take_error()))?;
            Value::read(&message)
        }
    }

    /// Says that this is where the job runs, until the next [`Entered::finish`]: before its state says so, for whoever
    /// sees that state and wants to interrupt it.
    pub(crate) fn begin(&mut self, job: Arc<dyn Job>) -> Instant {
        self.slot.begin(job)
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
    /// import would be lost, or worse.
    pub(crate) fn open(&mut self, function: &Function) {
        if let Ok(Local { support, functions }) = self.local()
            && let Err(Raised) = functions.get(function, support)
        {
            // SAFETY: attached. The call will fail in the same way, and tell.
            unsafe { ffi::PyErr_Clear() };
        }
        // SAFETY: this guard's thread is attached.
        unsafe { self.slot.open() };
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
        }
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.end_task();
        // SAFETY: this guard attached its thread to the interpreter (if it had to), so it may detach it; `before` was
        // attached to this thread, and nothing is when it is attached again.
        unsafe {
            if self.switched {
                ffi::PyEval_SaveThread();
            }
            self.slot.release();
            self.pool.idle().notify_one();
            if self.switched && !self.before.is_null() {
                ffi::PyEval_RestoreThread(self.before);
                attach::away(-1);
            }
        }
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
