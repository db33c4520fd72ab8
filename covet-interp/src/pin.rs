//! Memory that crosses without being copied.
//!
//! A *pin* is an `Arc` of a [`Memory`]: bytes that stay where they are, readable and at the same address, until the last
//! clone is dropped. The bytes belong to Rust, or to an object of one interpreter, which is kept alive; that one is given
//! back through the [`Mailbox`] of its interpreter, whichever thread drops the last clone.

use crate::ffi;
use crate::mailbox::{Held, Mailbox};
use crate::object::{Object, Raised};
use std::ffi::{CStr, CString, c_char};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::Arc;

/// Keeps memory in place.
pub(crate) type Pin = Arc<Memory>;

/// Bytes that stay in place as long as this lives.
#[derive(Debug)]
pub(crate) struct Memory {
    start: *const u8,
    /// How many bytes; of type `isize` because a buffer's shape may point here.
    len: isize,
    /// What the bytes mean; none: unsigned bytes in one dimension.
    shape: Option<Box<Shape>>,
    owner: Owner,
}

/// What a C-contiguous buffer holds, in the terms of the buffer protocol (PEP 3118).
#[derive(Debug)]
pub(crate) struct Shape {
    format: CString,
    item_size: isize,
    lengths: Vec<isize>,
    strides: Vec<isize>,
}

#[derive(Debug)]
enum Owner {
    Rust(Vec<u8>),
    Python(ManuallyDrop<Held>, Arc<Mailbox>),
    /// Part of other memory.
    Memory(Pin),
}

// SAFETY: nobody writes through the pointer. Memory of Rust, of a `str` and of a `bytes` never changes. That of other
// exporters may be changed by whoever owns it, as with any buffer of the buffer protocol; it is only copied from in here, never
// borrowed as a slice. An owner in Python is only touched as `Held` says.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// Memory of Rust: it never changes.
    pub(crate) fn owned(bytes: Vec<u8>) -> Self {
        Self {
            start: bytes.as_ptr(),
            len: bytes.len() as isize,
            shape: None,
            owner: Owner::Rust(bytes),
        }
    }

    /// The memory of a `str` or `bytes`.
    ///
    /// # Safety
    /// Attached to the interpreter of `mailbox`; `object` is alive, `units` is memory of it that never moves nor changes.
    pub(crate) unsafe fn of_object(
        object: *mut ffi::PyObject,
        units: &[u8],
        mailbox: &Arc<Mailbox>,
    ) -> Self {
        // SAFETY: attached, and alive, so not null; the new reference goes to `Held`.
        let held = unsafe {
            ffi::Py_INCREF(object);
            Held::Object(NonNull::new_unchecked(object))
        };
        mailbox.lend();
        Self {
            start: units.as_ptr(),
            len: units.len() as isize,
            shape: None,
            owner: Owner::Python(ManuallyDrop::new(held), Arc::clone(mailbox)),
        }
    }

    /// The memory that an object exports. What is not laid out as `keep` wants is copied, in the order of C.
    ///
    /// # Errors
    /// [`Raised`] with what the exporter raised, or `MemoryError`.
    ///
    /// # Safety
    /// Attached to the interpreter of `mailbox`; `object` is alive; `root` returns the memory that an exporter of our own has.
    pub(crate) unsafe fn exported(
        object: *mut ffi::PyObject,
        keep: Keep,
        mailbox: &Arc<Mailbox>,
        root: impl FnOnce(*mut ffi::PyObject) -> Option<Pin>,
    ) -> Result<Self, Raised> {
        // SAFETY: attached and alive, as promised; the view is filled in when 0 is returned, and its pointers are valid until
        // it is released, which is done once: here, or by `Held`.
        unsafe {
            let mut view = Box::new(MaybeUninit::<ffi::Py_buffer>::uninit());
            if ffi::PyObject_GetBuffer(object, view.as_mut_ptr(), ffi::PyBUF_FULL_RO) < 0 {
                return Err(Raised);
            }
            let mut view = view.assume_init();
            let (order, shape) = match keep {
                Keep::Shape => (b'C', Shape::of(&view)),
                Keep::Bytes => (b'A', None),
            };
            let (start, len) = (view.buf.cast_const().cast::<u8>(), view.len);
            if ffi::PyBuffer_IsContiguous(&*view, order as c_char) == 0 {
                let copied = contiguous(&mut view);
                ffi::PyBuffer_Release(&mut *view);
                let mut copy = Self::owned(copied?);
                copy.shape = shape;
                return Ok(copy);
            }
            let owner = match exporter(view.obj).and_then(|exporter| root(exporter.as_ptr())) {
                // Its memory stays in place without this object.
                Some(whole) => {
                    ffi::PyBuffer_Release(&mut *view);
                    Owner::Memory(whole)
                }
                None => {
                    mailbox.lend();
                    let held = ManuallyDrop::new(Held::Export(view));
                    Owner::Python(held, Arc::clone(mailbox))
                }
            };
            Ok(Self {
                start,
                len,
                shape,
                owner,
            })
        }
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The memory that this is all of, if its bytes never change.
    pub(crate) fn whole(&self) -> Option<Pin> {
        match &self.owner {
            Owner::Memory(whole) if whole.fixed().is_some() && whole.len == self.len => {
                Some(Arc::clone(whole))
            }
            _ => None,
        }
    }

    /// The bytes, if they never change: those of Rust.
    pub(crate) fn fixed(&self) -> Option<&[u8]> {
        match &self.owner {
            Owner::Rust(bytes) => Some(bytes),
            Owner::Memory(whole) => {
                whole.fixed()?;
                // SAFETY: part of memory that never changes.
                Some(unsafe { self.bytes() })
            }
            Owner::Python(..) => None,
        }
    }

    /// The bytes.
    ///
    /// # Safety
    /// Nobody changes them while the slice is used: they are those of a `str`, of a `bytes` or of Rust, or the caller copies
    /// them at once, and bears with what a writer does meanwhile.
    pub(crate) unsafe fn bytes(&self) -> &[u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the owner keeps so many bytes in place; nobody changes them, as promised.
        unsafe { std::slice::from_raw_parts(self.start, self.len()) }
    }

    /// Fills in a buffer (`bf_getbuffer`) that exports this memory, read-only, but for its owner. Returns false with
    /// `BufferError` raised when the memory does not have the layout that is asked for.
    ///
    /// # Safety
    /// Attached; `view` is to be filled in, and the memory lives until it is released.
    pub(crate) unsafe fn export(&self, view: &mut ffi::Py_buffer, flags: i32) -> bool {
        // SAFETY: attached, as promised; the pointers are to what lives as long as this.
        unsafe {
            let wants = |flag| flags & flag == flag;
            view.obj = std::ptr::null_mut();
            if wants(ffi::PyBUF_WRITABLE) {
                let why = c"this memory belongs to another interpreter, or is shared with one: it is read-only";
                ffi::PyErr_SetString(ffi::PyExc_BufferError, why.as_ptr());
                return false;
            }
            view.buf = self.start.cast_mut().cast();
            view.len = self.len;
            view.readonly = 1;
            view.suboffsets = std::ptr::null_mut();
            view.internal = std::ptr::null_mut();
            let (format, lengths, strides): (&CStr, *const isize, *const isize);
            match &self.shape {
                None => {
                    (format, lengths, strides) = (c"B", &self.len, &ONE);
                    (view.itemsize, view.ndim) = (1, 1);
                }
                Some(shape) => {
                    format = &shape.format;
                    (lengths, strides) = (shape.lengths.as_ptr(), shape.strides.as_ptr());
                    (view.itemsize, view.ndim) = (shape.item_size, shape.lengths.len() as i32);
                }
            }
            (view.shape, view.strides) = (lengths.cast_mut(), strides.cast_mut());
            if wants(ffi::PyBUF_F_CONTIGUOUS)
                && ffi::PyBuffer_IsContiguous(view, b'F' as c_char) == 0
            {
                let why = c"this memory is C-contiguous, not Fortran-contiguous";
                ffi::PyErr_SetString(ffi::PyExc_BufferError, why.as_ptr());
                return false;
            }
            // Without a shape: bytes in one dimension, whatever they mean.
            if !wants(ffi::PyBUF_ND) {
                (view.ndim, view.shape) = (1, std::ptr::null_mut());
            }
            if !wants(ffi::PyBUF_STRIDES) {
                view.strides = std::ptr::null_mut();
            }
            view.format = match wants(ffi::PyBUF_FORMAT) {
                true => format.as_ptr().cast_mut(),
                false => std::ptr::null_mut(),
            };
            true
        }
    }
}

/// The stride of bytes.
static ONE: isize = 1;

/// What is kept of the layout of an exporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Format and shape, of what is C-contiguous.
    Shape,
    /// Only the bytes, of what is contiguous in any order: what `PickleBuffer.raw()` is.
    Bytes,
}

impl Shape {
    /// None for bytes in one dimension.
    ///
    /// # Safety
    /// The buffer was got with format and shape.
    unsafe fn of(view: &ffi::Py_buffer) -> Option<Box<Self>> {
        // SAFETY: as promised: the format is null or a C string, the shape has so many dimensions (null for none).
        let (format, lengths) = unsafe {
            let format = match view.format.is_null() {
                true => c"B",
                false => CStr::from_ptr(view.format),
            };
            let lengths = match view.ndim {
                0 => &[],
                count => std::slice::from_raw_parts(view.shape, count as usize),
            };
            (format, lengths)
        };
        if lengths.len() == 1 && format == c"B" {
            return None;
        }
        let mut strides = vec![view.itemsize; lengths.len()];
        for i in (1..lengths.len()).rev() {
            strides[i - 1] = strides[i] * lengths[i];
        }
        Some(Box::new(Self {
            format: format.to_owned(),
            item_size: view.itemsize,
            lengths: lengths.to_vec(),
            strides,
        }))
    }
}

/// The object whose memory a buffer is: that below a `memoryview`.
///
/// # Safety
/// Attached; `object` is null or alive.
unsafe fn exporter(object: *mut ffi::PyObject) -> Option<Object> {
    // SAFETY: attached and alive; an error (of a view that was released) is cleared.
    unsafe {
        let object = NonNull::new(object)?;
        if ffi::PyMemoryView_Check(object.as_ptr()) == 0 {
            return Object::borrowed(object.as_ptr()).ok();
        }
        let below = Object::owned(ffi::PyObject_GetAttrString(
            object.as_ptr(),
            c"obj".as_ptr(),
        ));
        below.inspect_err(|Raised| ffi::PyErr_Clear()).ok()
    }
}

/// A copy of what a buffer of any layout holds, in the order of C.
///
/// # Safety
/// Attached; the buffer was got with everything.
unsafe fn contiguous(view: &mut ffi::Py_buffer) -> Result<Vec<u8>, Raised> {
    // SAFETY: attached; the vector has room for what is written, which fills it.
    unsafe {
        let mut bytes: Vec<u8> = vec_of(view.len as usize)?;
        let start = bytes.as_mut_ptr().cast();
        if ffi::PyBuffer_ToContiguous(start, view, view.len, b'C' as c_char) < 0 {
            return Err(Raised);
        }
        bytes.set_len(view.len as usize);
        Ok(bytes)
    }
}

/// An empty vector with so much room, or `MemoryError` raised.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn vec_of<T>(count: usize) -> Result<Vec<T>, Raised> {
    let mut empty = Vec::new();
    match empty.try_reserve_exact(count) {
        Ok(()) => Ok(empty),
        Err(_) => {
            // SAFETY: attached, as promised.
            unsafe { ffi::PyErr_NoMemory() };
            Err(Raised)
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Owner::Python(held, mailbox) = &mut self.owner {
            // SAFETY: taken once, as nobody uses `self` after this.
            mailbox.give_back(unsafe { ManuallyDrop::take(held) });
        }
    }
}
