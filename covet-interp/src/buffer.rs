//! Immutable bytes that all interpreters and Rust share.
//!
//! [`Buffer`] is the Rust side. In Python it is the type `Buffer`, one per interpreter, whose instances hold an `Arc` and
//! nothing else: sent to another interpreter, that goes and the bytes stay. It is also what a `memoryview` that came from
//! another interpreter is a view of, so that the memory it shows lives as long as any view of it.

use crate::ffi;
use crate::object::{Object, Raised};
use crate::pin::{Keep, Memory, Pin};
use crate::support::Support;
use std::ffi::{c_int, c_void};
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

/// Immutable bytes that interpreters and Rust share: sent to a task or returned by one, they are not copied.
///
/// Clones are the same memory, which is freed when the last of them, and the last view of it in any interpreter, is gone. In
/// Python it is a `Buffer`: `memoryview(buffer)`, `bytes(buffer)` and whatever else takes a buffer read it.
///
/// # Examples
///
/// ```
/// use covet_interp::{Buffer, Function, Pool, Runtime, Value};
///
/// let runtime = Runtime::embed()?;
/// let pool = Pool::builder().workers(1).build(&runtime)?;
/// let table = Buffer::from(vec![1; 1 << 20]);
/// let sum = pool.submit(Function::reference("builtins", "sum"), &[table.clone().into()])?;
/// assert_eq!(sum.result()?, Value::Int(1 << 20));
/// # drop(pool);
/// # Ok::<(), covet_interp::Error>(())
/// ```
#[derive(Clone)]
pub struct Buffer(Arc<Memory>);

impl Buffer {
    /// The buffer that some memory is, if its bytes never change.
    pub(crate) fn of(memory: &Arc<Memory>) -> Option<Self> {
        memory.fixed().map(|_| Self(Arc::clone(memory)))
    }

    pub(crate) fn pin(&self) -> Pin {
        Pin::Memory(Arc::clone(&self.0))
    }
}

impl From<Vec<u8>> for Buffer {
    /// Takes the memory over; copies nothing.
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Memory::owned(bytes)))
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // A buffer is only made of such memory.
        self.0.fixed().unwrap_or_default()
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer of {} bytes", self.len())
    }
}

/// The memory of an instance of the Python type. Valid from `make` on.
#[repr(C)]
struct Instance {
    head: ffi::PyObject,
    memory: Arc<Memory>,
}

/// The memory of an instance.
///
/// # Safety
/// `this` is one, alive for `'a`.
pub(crate) unsafe fn memory<'a>(this: *mut ffi::PyObject) -> &'a Arc<Memory> {
    // SAFETY: instances are only made by `make`, which fills the field; the type has no subclasses.
    unsafe { &(*this.cast::<Instance>()).memory }
}

/// Makes an instance.
///
/// # Errors
/// [`Raised`] with `MemoryError`.
///
/// # Safety
/// Attached to the interpreter of `kind`, which [`make_type`] made.
pub(crate) unsafe fn make(
    kind: *mut ffi::PyTypeObject,
    memory: Arc<Memory>,
) -> Result<Object, Raised> {
    // SAFETY: attached; the field is written before anyone else sees the object.
    unsafe {
        let this = Object::owned(ffi::PyType_GenericAlloc(kind, 0))?;
        (&raw mut (*this.as_ptr().cast::<Instance>()).memory).write(memory);
        Ok(this)
    }
}

/// Makes the type for the attached interpreter, whose instances `reduce` takes apart to be pickled.
///
/// # Errors
/// [`Raised`] with `MemoryError`.
///
/// # Safety
/// Attached.
pub(crate) unsafe fn make_type(reduce: &Object) -> Result<Object, Raised> {
    let slot = |number, pointer| ffi::PyType_Slot {
        slot: number,
        pfunc: pointer,
    };
    let mut slots = [
        slot(ffi::Py_tp_new, new as *mut c_void),
        slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
        slot(ffi::Py_tp_repr, repr as *mut c_void),
        slot(ffi::Py_bf_getbuffer, get_buffer as *mut c_void),
        slot(ffi::Py_tp_iter, iterate as *mut c_void),
        slot(ffi::Py_mp_length, length as *mut c_void),
        slot(ffi::Py_mp_subscript, subscript as *mut c_void),
        slot(
            ffi::Py_tp_doc,
            c"Buffer(source, /)\n--\n\n\
            Immutable bytes that all interpreters of this process share: sent to a task, or returned by one, they are not\n\
            copied, and every interpreter reads the same memory. It is freed with the last Buffer and the last view of it.\n\n\
            Copies source, any object with the buffer protocol, once; a Buffer is not copied. Read it with memoryview(buffer)\n\
            or anything else that takes a buffer; a slice of it is a memoryview. Pickled for another process it is copied.\n\
            Raises TypeError for an object without the buffer protocol, and MemoryError."
                .as_ptr() as *mut c_void,
        ),
        slot(0, ptr::null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"_covet_support.Buffer".as_ptr(),
        basicsize: size_of::<Instance>() as c_int,
        itemsize: 0,
        flags: ffi::Py_TPFLAGS_DEFAULT as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: attached; spec and slots are read during the call, fit `Instance`, and point to what is static.
    unsafe {
        let made = Object::owned(ffi::PyType_FromSpec(&mut spec))?;
        let name = c"__reduce_ex__".as_ptr();
        match ffi::PyObject_SetAttrString(made.as_ptr(), name, reduce.as_ptr()) {
            0 => Ok(made),
            _ => Err(Raised),
        }
    }
}

unsafe extern "C" fn new(
    kind: *mut ffi::PyTypeObject,
    arguments: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with our type, a tuple, and null or a dict.
    let made = unsafe {
        if ffi::PyTuple_GET_SIZE(arguments) == 1
            && (keywords.is_null() || ffi::PyDict_Size(keywords) == 0)
        {
            copy_of(kind, ffi::PyTuple_GET_ITEM(arguments, 0))
        } else {
            let what = c"Buffer() takes exactly one argument: an object with the buffer protocol";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, what.as_ptr());
            Err(Raised)
        }
    };
    made.map_or(ptr::null_mut(), Object::into_ptr)
}

/// An instance with the bytes of `source`.
///
/// # Safety
/// Attached; `kind` is our type and `source` is alive.
unsafe fn copy_of(
    kind: *mut ffi::PyTypeObject,
    source: *mut ffi::PyObject,
) -> Result<Object, Raised> {
    // SAFETY: attached, and alive, as promised.
    unsafe {
        let support = Support::load()?;
        let shown = support.exported(source, Keep::Shape)?;
        if let Some(same) = shown.whole() {
            return make(kind, same);
        }
        match shown.copied() {
            Ok(copy) => make(kind, Arc::new(Memory::owned(copy))),
            Err(_) => {
                ffi::PyErr_NoMemory();
                Err(Raised)
            }
        }
    }
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: CPython calls this once, attached, with an instance that nobody refers to any more. A heap type is owned by its
    // instances.
    unsafe {
        let kind = ffi::Py_TYPE(this);
        (&raw mut (*this.cast::<Instance>()).memory).drop_in_place();
        ffi::PyObject_Free(this.cast());
        ffi::Py_DECREF(kind.cast());
    }
}

unsafe extern "C" fn get_buffer(
    this: *mut ffi::PyObject,
    view: *mut ffi::Py_buffer,
    flags: c_int,
) -> c_int {
    // SAFETY: CPython calls this attached, with an instance and a buffer to fill in, which gets a reference to the instance.
    unsafe {
        if !memory(this).export(&mut *view, flags) {
            return -1;
        }
        ffi::Py_INCREF(this);
        (*view).obj = this;
    }
    0
}

unsafe extern "C" fn length(this: *mut ffi::PyObject) -> ffi::Py_ssize_t {
    // SAFETY: CPython calls this with an instance.
    unsafe { memory(this).len() as ffi::Py_ssize_t }
}

unsafe extern "C" fn subscript(
    this: *mut ffi::PyObject,
    key: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance and a live key.
    unsafe {
        match Object::owned(ffi::PyMemoryView_FromObject(this)) {
            Ok(view) => ffi::PyObject_GetItem(view.as_ptr(), key),
            Err(Raised) => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn iterate(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    unsafe {
        match Object::owned(ffi::PyMemoryView_FromObject(this)) {
            Ok(view) => ffi::PyObject_GetIter(view.as_ptr()),
            Err(Raised) => ptr::null_mut(),
        }
    }
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with an instance.
    unsafe {
        let text = format!("<Buffer of {} bytes>", memory(this).len());
        Object::string(&text).map_or(ptr::null_mut(), Object::into_ptr)
    }
}
