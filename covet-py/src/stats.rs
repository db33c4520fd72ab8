//! What a pool has done, as numbers for `_stats.py`.

use crate::entry::{Arguments, tuple};
use crate::pool::pool_of;
use crate::state::State;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::time::Duration;

/// `_stats()`: the numbers of `Stats`, in its order, and last a tuple of those of `WorkerStats` for each worker.
///
/// # Safety
/// Attached, on a live instance of the type.
pub(crate) unsafe fn stats(
    _state: &State,
    this: *mut ffi::PyObject,
    _arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    let integer = |number: u64| {
        // SAFETY: attached, as promised.
        unsafe { Object::owned(ffi::PyLong_FromUnsignedLongLong(number)) }
    };
    let seconds = |time: Duration| {
        // SAFETY: as above.
        unsafe { Object::owned(ffi::PyFloat_FromDouble(time.as_secs_f64())) }
    };
    // SAFETY: on a live instance, as promised.
    let stats = unsafe { pool_of(this)? }.stats();
    let workers = stats.workers.iter().map(|worker| {
        tuple([
            // SAFETY: attached.
            unsafe { Object::owned(ffi::PyBool_FromLong(worker.running.into())) },
            integer(worker.done),
            integer(worker.failed),
            integer(worker.lent),
            integer(worker.lives),
            seconds(worker.busy),
            seconds(worker.waited),
        ])
    });
    tuple([
        integer(stats.queued as u64),
        integer(stats.running as u64),
        integer(stats.done),
        integer(stats.failed),
        integer(stats.cancelled),
        integer(stats.lost),
        integer(stats.lives),
        integer(stats.refused_imports),
        tuple(workers),
    ])
}
