//! What `PoolExecutor.explain` asks: how a function and its arguments would be sent. Nothing is run.

use crate::entry::{Arguments, tuple};
use crate::pool::{may_run_here, none};
use crate::state::State;
use covet_interp::raw::{Object, Raised};
use covet_interp::{Message, ffi};

/// `_sent_as(fn)`: how it is sent, whether the calling thread may run it itself, and the seconds that it took.
///
/// # Safety
/// Attached to the interpreter of `state`, with live arguments.
pub(crate) unsafe fn sent_as(
    state: &State,
    _: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    // SAFETY: as promised.
    unsafe {
        let (callable, _) = arguments.split_first("a function")?;
        let function = state.function(callable)?;
        let how = match (function.is_reference(), function.is_fixed()) {
            (true, _) => "reference",
            (false, true) => "value",
            (false, false) => "value each time",
        };
        let cost = match function.cost() {
            Some(cost) => Object::owned(ffi::PyFloat_FromDouble(cost.as_secs_f64())),
            None => none(),
        };
        let here = may_run_here(state, &function);
        tuple([
            Object::string(how),
            Object::owned(ffi::PyBool_FromLong(here.into())),
            cost,
        ])
    }
}

/// `_weigh(*args, **kwargs)`: whether they are pickled, how many bytes are copied, and how many are read where they lie.
///
/// # Safety
/// Attached to the interpreter of `state`, with live arguments.
pub(crate) unsafe fn weigh(
    state: &State,
    _: *mut ffi::PyObject,
    arguments: Arguments<'_>,
) -> Result<Object, Raised> {
    let mut message = Message::new();
    // SAFETY: as promised.
    unsafe {
        state
            .support
            .encode_call(arguments.all, arguments.names, &mut message)?;
        let copied = message.by_ref().bytes().len();
        tuple([
            Object::owned(ffi::PyBool_FromLong(message.is_pickled().into())),
            Object::owned(ffi::PyLong_FromSize_t(copied)),
            Object::owned(ffi::PyLong_FromSize_t(message.size() - copied)),
        ])
    }
}
