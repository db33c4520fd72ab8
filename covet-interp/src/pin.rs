//! Memory that a message refers to instead of holding a copy.
//!
//! A [`Pin`] keeps bytes in place until the last clone of it is dropped, by whichever thread. They belong to Rust, or to an
//! object of one interpreter, which is kept alive and given back through the [`Mailbox`] of that interpreter. There are two
//! kinds, by what becomes of them when that interpreter ends first:
//!
//! - [`Contents`], of a `str` or `bytes`, are copied by who reads the message. They move into memory of Rust then, so that a
//!   result can be asked for after its pool was shut down.
//! - [`Memory`] is shown where it lies, to Python code that keeps its address. It stays, and its object with it: a leak.

use crate::ffi;
use crate::mailbox::{Held, Mailbox};
use crate::native::Native;
use crate::object::{Object, Raised};
use std::collections::TryReserveError;
use std::ffi::{CStr, CString, c_char};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError, RwLock};

/// Keeps bytes in place.
#[derive(Debug, Clone)]
pub(crate) enum Pin {
    Contents(Arc<Contents>),
    Memory(Arc<Memory>),
    Native(Arc<dyn Native>),
}

impl Pin {
    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Contents(contents) => contents.len,
            Self::Memory(memory) => memory.len(),
            Self::Native(value) => value.size(),
        }
    }
}

/// What a `str` or `bytes` consists of. It never changes, but may move.
#[derive(Debug)]
pub(crate) struct Contents {
    len: usize,
    place: RwLock<Place>,
}

#[derive(Debug)]
enum Place {
    /// In an object, at this address.
    Object(Held, *const u8, Arc<Mailbox>),
    Rust(Vec<u8>),
}

// SAFETY: memory that nobody changes; the object is only touched as `Held` says.
unsafe impl Send for Contents {}
// SAFETY: as above; it moves behind a lock.
unsafe impl Sync for Contents {}

impl Contents {
    /// The contents of a `str` or `bytes`.
    ///
    /// # Safety
    /// Attached to the interpreter of `mailbox`; `object` is alive, and consists of `units`.
    pub(crate) unsafe fn of(
        object: *mut ffi::PyObject,
        units: &[u8],
        mailbox: &Arc<Mailbox>,
    ) -> Arc<Self> {
        // SAFETY: attached, and alive, so not null; the new reference goes to `Held`.
        let held = unsafe {
            ffi::Py_INCREF(object);
            Held::Object(NonNull::new_unchecked(object))
        };
        let contents = Arc::new(Self {
            len: units.len(),
            place: RwLock::new(Place::Object(held, units.as_ptr(), Arc::clone(mailbox))),
        });
        mailbox.lend();
        mailbox.will_move(&contents);
        contents
    }

    /// Lets `read` read them, where they are now.
    pub(crate) fn read<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        let bytes = match &*place {
            // SAFETY: the object is kept alive as long as this is its place.
            Place::Object(_, start, _) => unsafe { std::slice::from_raw_parts(*start, self.len) },
            Place::Rust(bytes) => bytes,
        };
        read(bytes)
    }

    /// Moves them out of their object, whose interpreter is about to end. Where there is no memory for that they stay.
    pub(crate) fn leave_object(&self) {
        let mut copy = Vec::new();
        let mut place = self.place.write().unwrap_or_else(PoisonError::into_inner);
        if let Place::Object(_, start, _) = *place
            && copy.try_reserve_exact(self.len).is_ok()
        {
            // SAFETY: as in `read`.
            copy.extend_from_slice(unsafe { std::slice::from_raw_parts(start, self.len) });
            std::mem::replace(&mut *place, Place::Rust(copy)).give_back();
        }
    }
}

impl Place {
    fn give_back(self) {
        if let Self::Object(held, _, mailbox) = self {
            mailbox.give_back(held);
        }
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(place, Place::Rust(Vec::new())).give_back();
    }
}

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
    Memory(Arc<Memory>),
}

// SAFETY: nobody writes through the pointer. Memory of Rust never changes. That of an exporter may be changed by whoever owns
// it, as with any buffer of the buffer protocol; in here it is only copied from. An owner in Python is only touched as `Held`
// says.
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
        root: impl FnOnce(*mut ffi::PyObject) -> Option<Arc<Memory>>,
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

    /// Where the bytes begin.
    pub(crate) fn start(&self) -> *const u8 {
        self.start
    }

    /// How many bytes there are.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The memory that this is all of, if its bytes never change.
    pub(crate) fn whole(&self) -> Option<Arc<Memory>> {
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
                Some(unsafe { self.borrowed() })
            }
            Owner::Python(..) => None,
        }
    }

    /// A copy of the bytes, as they are now: what a writer does meanwhile is in it or not.
    pub(crate) fn copied(&self) -> Result<Vec<u8>, TryReserveError> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(self.len())?;
        // SAFETY: copied at once.
        copy.extend_from_slice(unsafe { self.borrowed() });
        Ok(copy)
    }

    /// # Safety
    /// Nobody changes the bytes while the slice is used, or it is used for one copy.
    unsafe fn borrowed(&self) -> &[u8] {
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
