//! `_native.Pool`, the base of `covet_py.PoolExecutor`: interpreters that run Python functions.

use crate::entry::{self, Arguments, END, Kind, property, raise, slot};
use crate::errors::{raise_error, raise_remote};
use crate::state::{Once, State, method};
use crate::{explain, map, stats, task};
use covet_interp::raw::{Object, Raised};
use covet_interp::{Entered, Error, Function, Message, Pool, Runtime, Task, TaskHandle, ffi};
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// The memory of an instance.
#[repr(C)]
struct PoolObject {
    head: ffi::PyObject,
    pool: Once<Arc<Pool>>,
}

/// The longest that a function may have taken to be run by the thread that handles signals, which cannot handle them
/// meanwhile (CPython does that in the main interpreter only).
const BRIEF: Duration = Duration::from_millis(1);

/// Whether the calling thread may run `function` itself.
pub(crate) fn may_run_here(state: &State, function: &Function) -> bool {
    !state.handles_signals() || function.cost().is_some_and(|cost| cost < BRIEF)
}

/// The pool of an instance of the type.
///
/// # Safety
/// Attached; `this` is an instance of our type or of a subclass, alive for `'a`.
#[inline]
pub(crate) unsafe fn pool_of<'a>(this: *mut ffi::PyObject) -> Result<&'a Arc<Pool>, Raised> {
    // SAFETY: the layout of instances, as promised; `new` made the field valid.
    unsafe { (*this.cast::<PoolObject>()).pool.get() }.ok_or_else(|| {
        raise(
            Kind::Runtime,
            "this pool was never started: call super().__init__()",
        )
    })
}

/// A method of the type: called attached, on a live instance of it, with live arguments.
type Method = unsafe fn(&State, *mut ffi::PyObject, Arguments<'_>) -> Result<Object, Raised>;

const KEYWORDS: c_int = ffi::METH_METHOD | ffi::METH_FASTCALL | ffi::METH_KEYWORDS;

/// What CPython calls (PEP 590, with the defining class of PEP 573) to run a [`Method`].
macro_rules! entry_point {
    ($method:expr) => {{
        unsafe extern "C" fn enter(
            this: *mut ffi::PyObject,
            class: *mut ffi::PyTypeObject,
            arguments: *const *mut ffi::PyObject,
            positional: ffi::Py_ssize_t,
            names: *mut ffi::PyObject,
        ) -> *mut ffi::PyObject {
            const METHOD: Method = $method;
            // SAFETY: CPython calls this attached, with live arguments, on an instance of `class`.
            entry::object(|| unsafe {
                let arguments = Arguments::new(arguments, positional, names);
                METHOD(State::of_type(class)?, this, arguments)
            })
        }
        ffi::PyMethodDefPointer { PyCMethod: enter }
    }};
}

static mut METHODS: [ffi::PyMethodDef; 13] = [
    method!(
        c"call",
        entry_point!(call),
        KEYWORDS,
        c"call($self, fn, /, *args, **kwargs)\n--\n\nCalls fn(*args, **kwargs) in an idle interpreter on the calling thread, and returns what it returns.\n\nNo future, no queue, no other thread: the caller gives its GIL up and takes that of the interpreter, so other\nthreads run meanwhile. Arguments and result are copied, but for\na memoryview, a Buffer and the memory of arrays, which arrive read-only. From the main thread, a function that was not seen to take\nless than 1 ms runs on a worker, so that Ctrl-C works; one that was and now takes longer is not interrupted: Ctrl-C is\nnoticed when it returns. Raises what fn raises, with its remote traceback as the\ncause; PicklingError for what cannot be sent; RuntimeError after shutdown()."
    ),
    method!(
        c"_submit",
        entry_point!(submit),
        KEYWORDS,
        c"_submit($self, fn, /, *args, **kwargs)\n--\n\nQueues a call and returns its Task. What cannot be sent fails the task."
    ),
    method!(
        c"_prepare",
        entry_point!(prepare_for),
        KEYWORDS,
        c"_prepare($self, worker, limit, fn, /, *args, **kwargs)\n--\n\nMakes the Task of a call, not queued yet: for one worker alone, unless that is None (they count from 0), interrupted\nwhen it has run for `limit` seconds, unless that is None."
    ),
    method!(
        c"_map",
        entry_point!(map_items),
        KEYWORDS,
        c"_map($self, fn, items, timeout, chunksize, buffersize, /)\n--\n\nQueues fn(*item) for every item and returns the iterator over the results."
    ),
    method!(
        c"_start",
        entry_point!(start),
        KEYWORDS,
        c"_start($self, workers, name, strategy, queue_size, preload, initializer, initargs, max_tasks, accept_leak, pin, extensions, forward_records, fallback, /)\n--\n\nMakes the workers."
    ),
    method!(
        c"_stats",
        entry_point!(stats::stats),
        KEYWORDS,
        c"_stats($self, /)\n--\n\nThe numbers of Stats, in its order, and last a tuple of those of WorkerStats for each worker."
    ),
    method!(
        c"_close",
        entry_point!(close),
        KEYWORDS,
        c"_close($self, cancel_queued, /)\n--\n\nTakes no more tasks."
    ),
    method!(
        c"_wait_ready",
        entry_point!(wait_ready),
        KEYWORDS,
        c"_wait_ready($self, timeout, /)\n--\n\nWaits until every worker can take tasks, or until none will; returns whether that is so."
    ),
    method!(
        c"_wait_ended",
        entry_point!(wait_ended),
        KEYWORDS,
        c"_wait_ended($self, timeout, /)\n--\n\nWaits until every worker has ended; returns whether they have."
    ),
    method!(
        c"_interrupt",
        entry_point!(interrupt),
        KEYWORDS,
        c"_interrupt($self, number, /)\n--\n\nRaises KeyboardInterrupt in the task or the map of this number, if it runs; None: in all that run."
    ),
    method!(
        c"_sent_as",
        entry_point!(explain::sent_as),
        KEYWORDS,
        c"_sent_as($self, fn, /)\n--\n\n(\"reference\", \"value\" or \"value each time\", whether this thread may run it, seconds that it took or None)."
    ),
    method!(
        c"_weigh",
        entry_point!(explain::weigh),
        KEYWORDS,
        c"_weigh($self, /, *args, **kwargs)\n--\n\n(whether they are pickled, bytes that are copied, bytes that are read where they lie)."
    ),
    ffi::PyMethodDef::zeroed(),
];

static mut PROPERTIES: [ffi::PyGetSetDef; 5] = [
    property(
        c"strategy",
        strategy,
        c"Where tasks run: \"subinterpreters\", \"free-threading\" or \"main-only\".",
    ),
    property(
        c"strategy_reason",
        strategy_reason,
        c"Why they run there, in one sentence.",
    ),
    property(c"_closed", closed, c"Whether it takes no more tasks."),
    property(c"_broken", broken, c"Why no worker could start, or False."),
    END,
];

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_methods, (&raw mut METHODS).cast()),
        slot(ffi::Py_tp_getset, (&raw mut PROPERTIES).cast()),
        slot(
            ffi::Py_tp_doc,
            c"Interpreters behind one queue: the base of covet_py.PoolExecutor.".as_ptr()
                as *mut c_void,
        ),
        slot(0, ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_BASETYPE;
    // SAFETY: as promised; the slots fit `PoolObject`, whose functions and tables are static.
    unsafe { entry::make_type::<PoolObject>(module, c"covet_py._native.Pool", flags, &mut slots) }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with our type or a subclass: instances have our layout, and the field is
    // written before anyone else sees the object.
    entry::object(|| unsafe {
        let allocate = (*kind).tp_alloc.ok_or(Raised)?;
        let this = Object::owned(allocate(kind, 0))?;
        (&raw mut (*this.as_ptr().cast::<PoolObject>()).pool).write(Once::new());
        Ok(this)
    })
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that nobody refers to any more. A heap type is owned
    // by its instances. Dropping the pool does not wait and calls no Python.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        (&raw mut (*this.cast::<PoolObject>()).pool).drop_in_place();
        if let Some(free) = (*kind).tp_free {
            free(this.cast());
        }
        ffi::Py_DECREF(kind.cast());
    }
}

/// The messages of one call.
#[derive(Default)]
struct Messages {
    arguments: Message,
    result: Message,
}

impl Messages {
    /// A message with more room than this is given back to the allocator after a call.
    const MOST_KEPT: usize = 1 << 20;

    /// Empties them, attached to the caller's interpreter.
    #[inline]
    fn clear(&mut self, pool: &Pool) {
        let Self { arguments, result } = self;
        arguments.clear();
        if result.has_pins() {
            // A large result is memory of the interpreter that made it: it is given back there at once, if that is idle.
            let _there = pool.try_enter();
            result.clear();
        }
        result.clear();
        for message in [arguments, result] {
            if message.capacity() > Self::MOST_KEPT {
                *message = Message::new();
            }
        }
    }
}

thread_local! {
    /// Room that the calls of this thread use again.
    static MESSAGES: Cell<Option<Box<Messages>>> = const { Cell::new(None) };
}

/// # Safety
/// As [`Method`].
unsafe fn call(
    state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let pool = pool_of(this)?;
        let (callable, arguments) = arguments.split_first("a function")?;
        let function = state.function(callable)?;
        let mut messages = MESSAGES.take().unwrap_or_default();
        let result = call_with(state, pool, function, arguments, &mut messages);
        messages.clear(pool);
        MESSAGES.set(Some(messages));
        result
    }
}

/// # Safety
/// Attached to the interpreter of `state`; the arguments are alive.
#[inline]
unsafe fn call_with(
    state: &State,
    pool: &Arc<Pool>,
    function: Arc<Function>,
    arguments: Arguments<'_>,
    messages: &mut Messages,
) -> Result<Object, Raised> {
    let Messages {
        arguments: sent,
        result,
    } = messages;
    // SAFETY: attached and alive, as promised; `result` holds the message of the result once a call has succeeded.
    unsafe {
        state.support.empty_mailbox();
        state
            .support
            .encode_call(arguments.all, arguments.names, sent)?;
        if may_run_here(state, &function)
            && let Some(here) = enter(state, pool)?
        {
            return match run(here, state, &function, sent, result) {
                Ok(()) => state.support.decode(&*result),
                Err(error) => Err(raise_remote(state, &error)),
            };
        }
        let task = prepare(state, pool, Task::message(function, std::mem::take(sent)))?;
        queue(state, &task)?;
        if let Err(Raised) = task::wait_until(state, &task, None) {
            // Ctrl-C: nobody waits for it any more.
            task.interrupt();
            return Err(Raised);
        }
        task::value(state, &task)
    }
}

#[inline]
fn run(
    mut here: Entered<'_>,
    state: &State,
    function: &Function,
    arguments: &Message,
    result: &mut Message,
) -> Result<(), covet_interp::PythonError> {
    if state.handles_signals() || function.cost().is_none() {
        here.call_timed(function, arguments, result)
    } else {
        here.call(function, arguments, result)
    }
}

/// An interpreter for the calling thread; `None` when a worker has to do it: while all are busy if this thread handles
/// signals, and when it has too little stack.
#[inline]
fn enter<'p>(state: &State, pool: &'p Pool) -> Result<Option<Entered<'p>>, Raised> {
    if let Some(here) = pool.try_enter() {
        return Ok(Some(here));
    }
    if state.handles_signals() {
        return Ok(None);
    }
    match pool.enter() {
        Ok(here) => Ok(Some(here)),
        Err(Error::Thread(_)) => Ok(None),
        Err(error) => Err(raise_error(state, &error)),
    }
}

fn prepare(state: &State, pool: &Pool, task: Task) -> Result<TaskHandle, Raised> {
    pool.prepare(task)
        .map_err(|error| raise_error(state, &error))
}

/// Queues a task; waits while the queue is full.
pub(crate) fn queue(state: &State, task: &TaskHandle) -> Result<(), Raised> {
    let mut refusal = None;
    state.wait(None, |until| match task.queue(until) {
        Err(Error::TimedOut(_)) => false,
        outcome => {
            refusal = outcome.err();
            true
        }
    })?;
    refusal.map_or(Ok(()), |error| Err(raise_error(state, &error)))
}

/// # Safety
/// As [`Method`].
unsafe fn submit(
    state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let pool = pool_of(this)?;
        let task = prepare_call(state, pool, arguments, |task| task)?;
        queue(state, &task)?;
        task::make(state, pool, task)
    }
}

/// # Safety
/// As [`Method`].
unsafe fn prepare_for(
    state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: as above.
    unsafe {
        let pool = pool_of(this)?;
        let (worker, arguments) = arguments.split_first("a worker or None")?;
        let (limit, arguments) = arguments.split_first("a time limit or None")?;
        let worker = entry::integer(worker)?;
        let limit = entry::seconds(limit)?;
        let task = prepare_call(state, pool, arguments, |mut task| {
            if let Some(worker) = worker {
                task = task.on(worker);
            }
            if let Some(limit) = limit {
                task = task.limit(limit);
            }
            task
        })?;
        task::make(state, pool, task)
    }
}

/// The task of a call, not queued yet; one that cannot be sent has failed already.
///
/// # Safety
/// Attached to the interpreter of `state`; the arguments, a function and its own, are alive.
unsafe fn prepare_call(
    state: &State,
    pool: &Pool,
    arguments: Arguments<'_>,
    describe: impl FnOnce(Task) -> Task,
) -> Result<TaskHandle, Raised> {
    // SAFETY: attached and alive, as promised.
    unsafe {
        let (callable, arguments) = arguments.split_first("a function")?;
        if pool.is_closed() {
            return Err(raise_error(state, &pool.refusal()));
        }
        let mut message = Message::new();
        state.support.empty_mailbox();
        let sent = state.function(callable).and_then(|function| {
            state
                .support
                .encode_call(arguments.all, arguments.names, &mut message)?;
            Ok(function)
        });
        match sent {
            Ok(function) => prepare(state, pool, describe(Task::message(function, message))),
            Err(Raised) => Ok(TaskHandle::failed(Error::Python(
                state.support.take_error(),
            ))),
        }
    }
}

/// # Safety
/// As [`Method`].
unsafe fn map_items(
    state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let pool = pool_of(this)?;
        let &[callable, items, timeout, chunk_size, buffer_size] = arguments.all else {
            return Err(raise(
                Kind::Type,
                "expected _map(fn, items, timeout, chunksize, buffersize)",
            ));
        };
        if pool.is_closed() {
            return Err(raise_error(state, &pool.refusal()));
        }
        let function = state.function(callable)?;
        let options = map::Options {
            timeout: entry::seconds(timeout)?,
            chunk_size: entry::count(chunk_size, "chunksize")?,
            buffer_size: entry::count(buffer_size, "buffersize")?,
        };
        map::make(state, pool, function, Object::borrowed(items)?, options)
    }
}

/// # Safety
/// As [`Method`].
unsafe fn start(
    state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let &[
            workers,
            name,
            strategy,
            queue_size,
            preload,
            initializer,
            initargs,
            max_tasks,
            accept_leak,
            pin,
            extensions,
            forward_records,
            fallback,
        ] = arguments.all
        else {
            return Err(raise(Kind::Type, "expected thirteen arguments"));
        };
        let mut builder = Pool::builder().name(&Object::borrowed(name)?.text());
        if let Some(workers) = entry::count(workers, "max_workers")? {
            builder = builder.workers(workers);
        }
        if let Some(size) = entry::count(queue_size, "queue_size")? {
            builder = builder.queue_size(size);
        }
        if let Some(tasks) = entry::count(max_tasks, "max_tasks_per_child")? {
            builder = builder.max_tasks(tasks as u64);
        }
        builder = builder
            .accept_leak(ffi::PyObject_IsTrue(accept_leak) == 1)
            .pin(ffi::PyObject_IsTrue(pin) == 1)
            .forward_records(ffi::PyObject_IsTrue(forward_records) == 1);
        if extensions != ffi::Py_None() {
            let extensions = FromStr::from_str(&Object::borrowed(extensions)?.text())
                .map_err(|error| raise_error(state, &error))?;
            builder = builder.extensions(extensions);
        }
        if fallback != ffi::Py_None()
            && let Some((module, name)) = Object::borrowed(fallback)?.text().split_once(':')
        {
            builder = builder.fallback(Function::reference(module, name));
        }
        let strategy = Object::borrowed(strategy)?.text();
        if strategy != "auto" {
            let strategy =
                FromStr::from_str(&strategy).map_err(|error| raise_error(state, &error))?;
            builder = builder.strategy(strategy);
        }
        let preload = Object::owned(ffi::PySequence_Tuple(preload))?;
        for i in 0..ffi::PyTuple_GET_SIZE(preload.as_ptr()) {
            builder = builder
                .preload(&Object::borrowed(ffi::PyTuple_GET_ITEM(preload.as_ptr(), i))?.text());
        }
        if initializer != ffi::Py_None() {
            let function = state.function(initializer)?;
            let initargs = Object::owned(ffi::PySequence_Tuple(initargs))?;
            let all: Vec<_> = (0..ffi::PyTuple_GET_SIZE(initargs.as_ptr()))
                .map(|i| ffi::PyTuple_GET_ITEM(initargs.as_ptr(), i))
                .collect();
            let mut message = Message::new();
            state
                .support
                .encode_call(&all, ptr::null_mut(), &mut message)?;
            builder = builder.initializer(Task::message(function, message));
        }
        let pool = Runtime::join()
            .and_then(|runtime| builder.build(&runtime))
            .map_err(|error| raise_error(state, &error))?;
        if (*this.cast::<PoolObject>())
            .pool
            .set(Arc::new(pool))
            .is_err()
        {
            return Err(raise(Kind::Runtime, "this pool was started before"));
        }
        none()
    }
}

/// # Safety
/// As [`Method`].
unsafe fn close(
    _state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let (cancel, _) = arguments.split_first("cancel_queued")?;
        let pool = pool_of(this)?;
        pool.close();
        if ffi::PyObject_IsTrue(cancel) == 1 {
            pool.cancel_queued();
        }
        none()
    }
}

/// # Safety
/// As [`Method`].
unsafe fn wait_ready(
    state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let pool = pool_of(this)?;
        let (timeout, _) = arguments.split_first("a timeout")?;
        let deadline = entry::seconds(timeout)?.map(|limit| std::time::Instant::now() + limit);
        let settled = state.wait(deadline, |until| {
            !matches!(pool.wait_ready(until), Err(Error::TimedOut(_)))
        })?;
        Object::owned(ffi::PyBool_FromLong(settled.into()))
    }
}

/// # Safety
/// As [`Method`].
unsafe fn wait_ended(
    state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let pool = pool_of(this)?;
        let (timeout, _) = arguments.split_first("a timeout")?;
        let deadline = entry::seconds(timeout)?.map(|limit| std::time::Instant::now() + limit);
        let ended = state.wait(deadline, |until| pool.wait_ended(until))?;
        Object::owned(ffi::PyBool_FromLong(ended.into()))
    }
}

/// # Safety
/// As [`Method`].
unsafe fn interrupt(
    _state: &State,
    this: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: attached, on a live instance, with live arguments, as promised.
    unsafe {
        let (number, _) = arguments.split_first("a number")?;
        let number = if number == ffi::Py_None() {
            None
        } else {
            let number = ffi::PyLong_AsUnsignedLongLong(number);
            if !ffi::PyErr_Occurred().is_null() {
                return Err(Raised);
            }
            Some(number)
        };
        pool_of(this)?.interrupt(number);
        none()
    }
}

pub(crate) fn none() -> Result<Object, Raised> {
    // SAFETY: only called attached; None lives for ever.
    unsafe { Object::borrowed(ffi::Py_None()) }
}

unsafe extern "C" fn strategy(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { Object::string(pool_of(this)?.decision().strategy.name()) })
}

unsafe extern "C" fn strategy_reason(
    this: *mut ffi::PyObject,
    _: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe { Object::string(&pool_of(this)?.decision().reason) })
}

unsafe extern "C" fn closed(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        Object::owned(ffi::PyBool_FromLong(pool_of(this)?.is_closed().into()))
    })
}

unsafe extern "C" fn broken(this: *mut ffi::PyObject, _: *mut c_void) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    entry::object(|| unsafe {
        match pool_of(this)?.failure() {
            Some(why) => Object::string(why),
            None => Object::borrowed(ffi::Py_False()),
        }
    })
}
