//! Arrays on their way to other interpreters and processes.

use super::block::Block;
use super::layout::View;
use super::{dealloc, fields, make};
use crate::entry;
use crate::state::State;
use covet_interp::ffi;
use covet_interp::raw::{Native, NativeType, Object, Raised, Support};
use std::fmt;
use std::sync::Arc;

/// An array without an interpreter.
struct Shared {
    view: View,
    readonly: bool,
    block: Arc<Block>,
}

// SAFETY: the block keeps the memory, and may be had by any interpreter; see there.
unsafe impl Send for Shared {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Shared {}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view.fmt(f)
    }
}

impl Native for Shared {
    fn size(&self) -> usize {
        self.view.bytes()
    }

    fn type_name(&self) -> &str {
        "covet_py.Array"
    }

    unsafe fn object(self: Arc<Self>, support: &Support) -> Result<Object, Raised> {
        // SAFETY: attached, as promised; the state keeps the type.
        unsafe {
            let kind = State::here(support)?.array_type.as_ptr();
            make(
                kind.cast(),
                self.view,
                self.readonly,
                Arc::clone(&self.block),
            )
        }
    }
}

/// Arrays cross as they are.
pub(crate) static ARRAYS: NativeType = NativeType { is, share };

/// # Safety
/// Attached; the type is alive.
unsafe fn is(kind: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: as promised.
    unsafe { entry::ends_by(kind, dealloc) }
}

/// # Safety
/// Attached to the interpreter of `support`; `this` is an instance.
unsafe fn share(
    this: *mut ffi::PyObject,
    support: &Support,
) -> Result<Option<Arc<dyn Native>>, Raised> {
    // SAFETY: as promised.
    unsafe {
        let array = fields(this);
        if array.block.crosses() {
            return Ok(Some(Arc::new(Shared {
                view: array.view,
                readonly: array.readonly,
                block: Arc::clone(&array.block),
            })));
        }
        // The memory of an object stays with its interpreter; what has gaps is copied.
        let memory = support.keep_exported(this)?;
        let start = memory.start().cast_mut();
        Ok(Some(Arc::new(Shared {
            view: View::packed(start, array.view.dtype, array.view.shape()),
            readonly: true,
            block: Block::of_exported(memory),
        })))
    }
}

/// `__reduce_ex__(protocol)`: out of band from protocol 5 on (PEP 574), if nothing has to be copied for that.
pub(crate) unsafe extern "C" fn reduce(
    this: *mut ffi::PyObject,
    protocol: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and one argument.
    entry::object(|| unsafe {
        let view = &fields(this).view;
        let protocol = entry::integer(protocol)?.unwrap_or(0);
        let memory = match protocol >= 5 && view.is_packed() {
            true => Object::owned(ffi::pickle_buffer(this))?,
            false => packed_bytes(this)?,
        };
        let module = Object::import(c"covet_py._native")?;
        let restore = module.attribute(c"_restore")?;
        let shape = super::methods::tuple_of(&view.shape[..view.ndim])?;
        let dtype = Object::string(view.dtype.name())?;
        let arguments = entry::tuple([Ok(memory), Ok(dtype), Ok(shape)])?;
        entry::tuple([Ok(restore), Ok(arguments)])
    })
}

/// The elements as a `bytearray`, in the order of C.
unsafe fn packed_bytes(this: *mut ffi::PyObject) -> Result<Object, Raised> {
    // SAFETY: attached, with an instance; the bytearray is filled before anyone else sees it.
    unsafe {
        let buffer = super::block::HeldBuffer::new(this)?;
        let size = buffer.get().len;
        let bytes = Object::owned(ffi::PyByteArray_FromStringAndSize(std::ptr::null(), size))?;
        let start = ffi::PyByteArray_AsString(bytes.as_ptr());
        match ffi::PyBuffer_ToContiguous(start.cast(), buffer.get(), size, b'C' as _) {
            0 => Ok(bytes),
            _ => Err(Raised),
        }
    }
}
