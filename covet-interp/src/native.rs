//! Values of Rust that a crate above binds to Python types, its own or others.
//!
//! An instance of such a type crosses as the value itself, one `Arc`, which makes an object where it arrives. So an object that
//! is a view of memory of Rust, or of memory that another object exports, crosses without a copy, wherever it stands in what is
//! sent, and keeps its identity there as any other.

use crate::ffi;
use crate::object::{Object, Raised};
use crate::pin::{Keep, Memory};
use crate::support::Support;
use std::any::Any;
use std::fmt::Debug;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A value that interpreters share: an instance of a Python type that is made of it is sent without a copy.
pub trait Native: Any + Debug + Send + Sync {
    /// How many bytes it keeps in memory, which are read where they lie.
    fn size(&self) -> usize;

    /// The name of the type of the objects that stand for it.
    fn type_name(&self) -> &str;

    /// Makes the object that stands for it in the interpreter of `support`.
    ///
    /// # Errors
    /// [`Raised`] with whatever kept the object from being made.
    ///
    /// # Safety
    /// Attached to that interpreter.
    unsafe fn object(self: Arc<Self>, support: &Support) -> Result<Object, Raised>;
}

/// What is known of the Python types, one in each interpreter, that stand for one kind of [`Native`] values.
#[derive(Debug)]
pub struct NativeType {
    /// Whether a type is one of them: called attached, for types that the codec does not know itself. A type of one's own has the
    /// same destructor (`tp_dealloc`) in every interpreter, and no other type has that.
    pub is: unsafe fn(*mut ffi::PyTypeObject) -> bool,
    /// The value of an instance, or `None` for one that has to be pickled. Called attached, with one that is alive; runs no Python
    /// code.
    pub share: Share,
}

/// Takes an object to the value that it stands for.
pub type Share = unsafe fn(*mut ffi::PyObject, &Support) -> Result<Option<Arc<dyn Native>>, Raised>;

/// Those that are registered, the newest first: a list that only grows, and that a fork leaves whole.
static NEWEST: AtomicPtr<Registered> = AtomicPtr::new(ptr::null_mut());

/// Lives as long as the process.
struct Registered {
    known: &'static NativeType,
    older: *const Registered,
}

impl NativeType {
    /// Has instances of these types cross as what they stand for, from now on and in every interpreter. Does nothing the second
    /// time.
    pub fn register(&'static self) {
        // Acquire pairs with the release below, of who came first.
        let mut newest = NEWEST.load(Ordering::Acquire);
        let mut new = Box::new(Registered {
            known: self,
            older: newest,
        });
        while !registered(newest).any(|known| ptr::eq(known, self)) {
            new.older = newest;
            let place = Box::into_raw(new);
            match NEWEST.compare_exchange(newest, place, Ordering::Release, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => newest = now,
            }
            // SAFETY: from the box above; nobody else has seen it.
            new = unsafe { Box::from_raw(place) };
        }
    }
}

fn registered(newest: *const Registered) -> impl Iterator<Item = &'static NativeType> {
    let mut next = newest;
    std::iter::from_fn(move || {
        // SAFETY: null, or listed: complete, and never freed.
        let Registered { known, older } = unsafe { next.as_ref()? };
        next = *older;
        Some(*known)
    })
}

/// What `object` stands for; `None` if it has to be pickled, as one of any other type.
///
/// # Safety
/// Attached to the interpreter of `support`; `object` is alive.
pub(crate) unsafe fn value(
    object: *mut ffi::PyObject,
    support: &Support,
) -> Result<Option<Arc<dyn Native>>, Raised> {
    // SAFETY: attached and alive, and so is its type; `share` gets an instance of the types that it is for. Acquire pairs with the
    // release in `register`.
    unsafe {
        let kind = ffi::Py_TYPE(object);
        match registered(NEWEST.load(Ordering::Acquire)).find(|known| (known.is)(kind)) {
            Some(known) => (known.share)(object, support),
            None => Ok(None),
        }
    }
}

/// The memory that an object exports, kept in place until the last clone of this is dropped, by whichever thread.
#[derive(Debug, Clone)]
pub struct Exported(Arc<Memory>);

impl Exported {
    /// Where it begins. Whoever owns it may write to it at any time, as to any buffer of the buffer protocol: it is read through
    /// raw pointers only, and never written to.
    pub fn start(&self) -> *const u8 {
        self.0.start()
    }

    /// How many bytes there are.
    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// A read-only `memoryview` of it in the interpreter of `support`.
    ///
    /// # Errors
    /// [`Raised`] with `MemoryError`.
    ///
    /// # Safety
    /// Attached to that interpreter.
    pub unsafe fn view(&self, support: &Support) -> Result<Object, Raised> {
        // SAFETY: as promised.
        unsafe { support.view(Arc::clone(&self.0)) }
    }
}

impl Support {
    /// Keeps the memory in place that an object exports; copies it, in the order of C, if it has gaps.
    ///
    /// # Errors
    /// [`Raised`] with what the exporter raised, or `MemoryError`.
    ///
    /// # Safety
    /// Attached to this interpreter; `object` is alive.
    pub unsafe fn keep_exported(&self, object: *mut ffi::PyObject) -> Result<Exported, Raised> {
        // SAFETY: as promised.
        let memory = unsafe { self.exported(object, Keep::Shape)? };
        Ok(Exported(Arc::new(memory)))
    }

    /// The module of this name, if this interpreter has imported it. For [`Native::object`], which has to find its type: unlike the
    /// functions of the C API it does not make the name anew each time.
    ///
    /// # Errors
    /// [`Raised`] with `MemoryError`.
    ///
    /// # Safety
    /// Attached to this interpreter.
    pub unsafe fn imported(&self, name: &str) -> Result<Option<Object>, Raised> {
        // SAFETY: attached, as promised; modules stay in place while they are looked at, and what is found is a new reference.
        unsafe {
            let make = |_: &[u8]| Object::string(name);
            let name = self.keys().get(name.as_bytes(), make)?;
            let mut found = ptr::null_mut();
            let modules = ffi::PyImport_GetModuleDict();
            match ffi::compat::PyDict_GetItemRef(modules, name.as_ptr(), &mut found) {
                -1 => Err(Raised),
                0 => Ok(None),
                _ => Object::owned(found).map(Some),
            }
        }
    }
}
