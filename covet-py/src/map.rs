//! `_native.MapIterator`: the results of a map, in order.

use crate::entry::{self, Kind, raise, slot};
use crate::errors::{raise_error, raise_remote};
use crate::pool::may_run_here;
use crate::state::State;
use covet_interp::raw::{Object, Raised, write_failure};
use covet_interp::{Batch, Block, Chunk, Error, Function, Message, Pool, ffi};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// What the caller of a map wishes.
pub(crate) struct Options {
    pub(crate) timeout: Option<Duration>,
    pub(crate) chunk_size: Option<usize>,
    pub(crate) buffer_size: Option<usize>,
}

/// The memory of an instance. Valid from `make` on.
#[repr(C)]
struct MapObject {
    head: ffi::PyObject,
    /// `None` once the iteration is over. The lock is held while a result is waited for.
    map: Mutex<Option<Map>>,
}

struct Map {
    pool: Arc<Pool>,
    batch: Arc<Batch>,
    /// What is left of the items, if they are taken as results are (`buffersize`).
    items: Option<Object>,
    deadline: Option<(Instant, Duration)>,
    chunk: Chunk,
    /// The next result in `chunk`.
    at: usize,
    /// The number of the result after `chunk`.
    next: usize,
    /// How many items there are (so far).
    count: usize,
    begun: bool,
}

/// Makes the type for a module.
///
/// # Safety
/// Attached; `module` is made from our definition.
pub(crate) unsafe fn make_type(module: *mut ffi::PyObject) -> Result<Object, Raised> {
    let mut slots = [
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
        slot(ffi::Py_tp_iternext, next as *mut c_void),
        slot(
            ffi::Py_tp_doc,
            c"The results of PoolExecutor.map(), in order.".as_ptr() as *mut c_void,
        ),
        slot(0, ptr::null_mut()),
    ];
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_HAVE_GC;
    // SAFETY: as promised; the slots fit `MapObject`, whose functions and tables are static.
    unsafe {
        entry::make_type::<MapObject>(module, c"covet_py._native.MapIterator", flags, &mut slots)
    }
}

/// Items in the first block, which the workers can begin with while the others are written.
const FIRST_BLOCK: usize = 32;
/// Items and bytes in the later ones.
const LATER_BLOCK: usize = 4096;
const BLOCK_BYTES: usize = 256 << 10;

/// Starts a map over `items`, an iterator of tuples of arguments.
///
/// # Safety
/// Attached to the interpreter of `state`.
pub(crate) unsafe fn make(
    state: &State,
    pool: &Arc<Pool>,
    function: Arc<Function>,
    items: Object,
    options: Options,
) -> Result<Object, Raised> {
    let deadline = options
        .timeout
        .map(|timeout| (Instant::now() + timeout, timeout));
    let batch = pool.batch(function, options.chunk_size);
    let mut map = Map {
        pool: Arc::clone(pool),
        batch,
        items: None,
        deadline,
        chunk: Chunk::default(),
        at: 0,
        next: 0,
        count: 0,
        begun: false,
    };
    // SAFETY: attached, as promised; the field is written before anyone else sees the object, or the collector.
    unsafe {
        let fed = map.feed(state, &items, options.buffer_size.unwrap_or(usize::MAX));
        let more = fed.inspect_err(|Raised| map.batch.cancel())?;
        map.items = (more && options.buffer_size.is_some()).then_some(items);
        let kind = state.map_type.as_ptr().cast();
        let this = Object::owned(ffi::PyType_GenericAlloc(kind, 0))?;
        ffi::PyObject_GC_UnTrack(this.as_ptr().cast());
        (&raw mut (*this.as_ptr().cast::<MapObject>()).map).write(Mutex::new(Some(map)));
        ffi::PyObject_GC_Track(this.as_ptr().cast());
        Ok(this)
    }
}

impl Map {
    /// Sends up to `limit` items; returns whether there may be more.
    ///
    /// # Safety
    /// Attached to the interpreter of `state`.
    unsafe fn feed(&mut self, state: &State, items: &Object, limit: usize) -> Result<bool, Raised> {
        let mut left = limit;
        let mut block = Block::default();
        let mut full = FIRST_BLOCK;
        // SAFETY: attached, as promised.
        unsafe { state.support.empty_mailbox() };
        loop {
            // SAFETY: attached; `items` is an iterator.
            let item = unsafe {
                if left == 0 {
                    ptr::null_mut()
                } else {
                    ffi::PyIter_Next(items.as_ptr())
                }
            };
            let end = item.is_null();
            // SAFETY: attached.
            let raised = end && unsafe { !ffi::PyErr_Occurred().is_null() };
            if !end {
                // SAFETY: attached; a new reference.
                let item = unsafe { Object::owned(item)? };
                // SAFETY: as above.
                unsafe { write_item(state, &item, block.buffer())? };
                block.end_message();
                left -= 1;
            }
            if !block.is_empty() && (end || block.len() >= full || block.bytes() >= BLOCK_BYTES) {
                self.count += block.len();
                full = LATER_BLOCK;
                self.send(state, std::mem::take(&mut block))?;
            }
            if raised {
                return Err(Raised);
            }
            if end {
                return Ok(left == 0);
            }
        }
    }

    /// Hands a block of items over. Here Ctrl-C is noticed, and other threads get the GIL, while a long iterable is read.
    fn send(&self, state: &State, block: Block) -> Result<(), Raised> {
        let batch = &self.batch;
        let mut outcome = self.pool.append(batch, block);
        if outcome.is_ok() {
            state.wait(None, |until| {
                outcome = self.pool.start(batch, until);
                !matches!(outcome, Err(Error::TimedOut(_)))
            })?;
        }
        outcome.map_err(|error| raise_error(state, &error))
    }

    /// The next result; `None` at the end.
    ///
    /// # Safety
    /// Attached to the interpreter of `state`.
    unsafe fn next(&mut self, state: &State) -> Result<Option<Object>, Raised> {
        self.begun = true;
        if let Some(items) = self.items.take() {
            // SAFETY: attached, as promised.
            if unsafe { self.feed(state, &items, 1)? } {
                self.items = Some(items);
            }
        }
        if self.at == self.chunk.len() {
            if self.next == self.count {
                return Ok(None);
            }
            self.chunk = self.wait(state)?;
            self.next += self.chunk.len();
            self.at = 0;
        }
        self.at += 1;
        match self.chunk.result(self.at - 1) {
            // SAFETY: attached, as promised.
            Ok(message) => unsafe { state.support.decode(message).map(Some) },
            Err(error) => {
                let raised = raise_remote(state, &error);
                // SAFETY: attached, with an exception raised. As the end of an iteration it would pass for the end of this
                // one (PEP 479).
                unsafe {
                    if ffi::PyErr_ExceptionMatches(ffi::PyExc_StopIteration) == 0 {
                        return Err(raised);
                    }
                    let stop = Object::owned(ffi::take_raised())?;
                    raise(Kind::Runtime, "a task raised StopIteration");
                    let error = Object::owned(ffi::take_raised())?;
                    ffi::PyException_SetCause(error.as_ptr(), stop.into_ptr());
                    ffi::set_raised(error.into_ptr());
                }
                Err(Raised)
            }
        }
    }

    /// Waits for the next chunk, and runs some of them meanwhile if an interpreter is idle and there is no deadline.
    fn wait(&self, state: &State) -> Result<Chunk, Raised> {
        let mut outcome = Ok(None);
        let deadline = self.deadline.map(|(deadline, _)| deadline);
        let mut ready = |until| {
            outcome = self.batch.chunk(self.next, until);
            !matches!(outcome, Ok(None))
        };
        let mut done = ready(Some(Instant::now()));
        // What it ran itself would not end at a deadline.
        while !done
            && deadline.is_none()
            && may_run_here(state, self.batch.function())
            && self.pool.help_batch(&self.batch)
        {
            done = ready(Some(Instant::now()));
        }
        done = done || state.wait(deadline, &mut ready)?;
        match outcome {
            Ok(Some(chunk)) if done => Ok(chunk),
            Ok(_) => {
                let limit = self.deadline.map_or(Duration::ZERO, |(_, limit)| limit);
                Err(raise(Kind::Timeout, &Error::TimedOut(limit).to_string()))
            }
            Err(error) => Err(raise_error(state, &error)),
        }
    }
}

/// Appends the message of one item: a tuple of positional arguments. What cannot be sent is sent as its error.
///
/// # Safety
/// Attached to the interpreter of `state`.
unsafe fn write_item(state: &State, item: &Object, out: &mut Message) -> Result<(), Raised> {
    // SAFETY: attached; the type is checked, and the tuple keeps its items alive.
    unsafe {
        if ffi::PyTuple_Check(item.as_ptr()) == 0 {
            return Err(raise(Kind::Type, "expected an iterator of tuples"));
        }
        let size = ffi::PyTuple_GET_SIZE(item.as_ptr());
        let sent = if size == 1 {
            state.support.encode_call(
                &[ffi::PyTuple_GET_ITEM(item.as_ptr(), 0)],
                ptr::null_mut(),
                out,
            )
        } else {
            let all: Vec<_> = (0..size)
                .map(|i| ffi::PyTuple_GET_ITEM(item.as_ptr(), i))
                .collect();
            state.support.encode_call(&all, ptr::null_mut(), out)
        };
        if let Err(Raised) = sent {
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_Exception) == 0 {
                return Err(Raised);
            }
            write_failure(&state.support.take_error(), out);
        }
        Ok(())
    }
}

unsafe extern "C" fn next(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance that `make` made, of a type that has no subclasses.
    entry::next(|| unsafe {
        let state = State::of_type(ffi::Py_TYPE(this))?;
        // Two threads may share the iterator. Waiting for the other attached would keep its GIL from it.
        let mut map = match (*this.cast::<MapObject>()).map.try_lock() {
            Ok(map) => map,
            Err(TryLockError::Poisoned(map)) => map.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(raise(
                    Kind::Value,
                    "map iterator already executing: another thread waits for its next result",
                ));
            }
        };
        let Some(running) = map.as_mut() else {
            return Ok(None);
        };
        let outcome = running.next(state);
        if !matches!(outcome, Ok(Some(_))) {
            let ended = map.take();
            drop(map);
            if outcome.is_err()
                && let Some(ended) = &ended
            {
                ended.batch.cancel();
                if ffi::PyErr_ExceptionMatches(ffi::PyExc_KeyboardInterrupt) != 0 {
                    ended.pool.interrupt(Some(ended.batch.number()));
                }
            }
        }
        outcome
    })
}

unsafe extern "C" fn traverse(
    this: *mut ffi::PyObject,
    visit: ffi::visitproc,
    data: *mut c_void,
) -> c_int {
    // SAFETY: CPython calls this attached, with an instance that `make` made. Where the lock is taken, the items count
    // as referred to from outside, which is safe.
    unsafe {
        if let Ok(map) = (*this.cast::<MapObject>()).map.try_lock()
            && let Some(Map {
                items: Some(items), ..
            }) = map.as_ref()
        {
            let stop = visit(items.as_ptr(), data);
            if stop != 0 {
                return stop;
            }
        }
        visit(ffi::Py_TYPE(this).cast(), data)
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that `make` made and nobody refers to any more. A
    // heap type is owned by its instances.
    unsafe {
        ffi::PyObject_GC_UnTrack(this.cast());
        let kind = ffi::Py_TYPE(this);
        let memory = this.cast::<MapObject>();
        let map = (*memory)
            .map
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // As with the standard pools: results that nobody began to take are still computed; those that somebody
        // stopped taking are not.
        if let Some(map) = map
            && map.begun
        {
            map.batch.cancel();
        }
        (&raw mut (*memory).map).drop_in_place();
        ffi::PyObject_GC_Del(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}
