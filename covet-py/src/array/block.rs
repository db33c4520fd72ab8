//! Who owns the memory of an array: one block, shared by its views and, if it may be, by interpreters.

use super::dlpack::Tensor;
use super::pages::Piece;
use covet_interp::ffi;
use covet_interp::raw::{Exported, Raised};
use std::fmt;
use std::sync::Arc;

/// Keeps memory in place until the last array over it is gone.
#[derive(Debug)]
pub(crate) enum Block {
    /// Of Rust.
    Piece { _memory: Piece },
    /// Of an object of another interpreter; it is only read here.
    Exported { _memory: Exported },
    /// Of an object of this interpreter, by the buffer protocol.
    Buffer { _memory: HeldBuffer },
    /// Of a producer of DLPack in this interpreter.
    Tensor { _memory: Tensor },
}

// SAFETY: the memory is only reached by raw pointers, as that of any buffer of Python. What is of this interpreter is only let
// go of attached to it: arrays over it stay in their interpreter (`Block::crosses`), and drop their block when they are deallocated.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    #[inline]
    pub(crate) fn of_piece(memory: Piece) -> Arc<Self> {
        Arc::new(Self::Piece { _memory: memory })
    }

    pub(crate) fn of_exported(memory: Exported) -> Arc<Self> {
        Arc::new(Self::Exported { _memory: memory })
    }

    pub(crate) fn of_buffer(memory: HeldBuffer) -> Arc<Self> {
        Arc::new(Self::Buffer { _memory: memory })
    }

    pub(crate) fn of_tensor(memory: Tensor) -> Arc<Self> {
        Arc::new(Self::Tensor { _memory: memory })
    }

    /// Whether an array over it may be had by another interpreter as it is.
    pub(crate) fn crosses(&self) -> bool {
        matches!(self, Self::Piece { .. } | Self::Exported { .. })
    }
}

/// A buffer that an object of the attached interpreter exports, until this is dropped: the object neither frees nor moves the memory
/// meanwhile.
pub(crate) struct HeldBuffer(ffi::Py_buffer);

impl fmt::Debug for HeldBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer of {} bytes", self.0.len)
    }
}

impl HeldBuffer {
    /// The buffer of `object`, with its format and strides.
    ///
    /// # Errors
    /// [`Raised`] with what the exporter raised.
    ///
    /// # Safety
    /// Attached, and attached to the same interpreter when it is dropped; `object` is alive.
    #[inline]
    pub(crate) unsafe fn new(object: *mut ffi::PyObject) -> Result<Self, Raised> {
        // SAFETY: attached and alive; the buffer is filled in when 0 is returned.
        unsafe {
            let mut buffer = std::mem::MaybeUninit::uninit();
            match ffi::PyObject_GetBuffer(object, buffer.as_mut_ptr(), ffi::PyBUF_RECORDS_RO) {
                0 => Ok(Self(buffer.assume_init())),
                _ => Err(Raised),
            }
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> &ffi::Py_buffer {
        &self.0
    }
}

impl Drop for HeldBuffer {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: attached to its interpreter, as promised to `new`; released once.
        unsafe { ffi::PyBuffer_Release(&mut self.0) }
    }
}
