//! Objects that are made when they are first asked for.

use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// A place for one object of one interpreter: empty, then the same for ever. Threads that fill it at the same time (without
/// a GIL) each make an object, and one of these stays; nobody waits.
///
/// All that is done with it is done attached to that interpreter, dropping included.
#[derive(Debug, Default)]
pub(crate) struct Lazy(AtomicPtr<ffi::PyObject>);

impl Lazy {
    /// The object, which `make` makes if there is none yet.
    ///
    /// # Errors
    /// What `make` raised; then the place stays empty.
    ///
    /// # Safety
    /// Attached.
    #[inline]
    pub(crate) unsafe fn get(
        &self,
        make: impl FnOnce() -> Result<Object, Raised>,
    ) -> Result<Object, Raised> {
        // Acquire: what was written to the object before it was put here (see below) is seen.
        let found = self.0.load(Ordering::Acquire);
        if !found.is_null() {
            // SAFETY: attached; the reference that this place owns keeps it alive.
            return unsafe { Object::borrowed(found) };
        }
        let made = make()?;
        let ours = made.another().into_ptr();
        // Release: pairs with the loads.
        let put =
            self.0
                .compare_exchange(ptr::null_mut(), ours, Ordering::AcqRel, Ordering::Acquire);
        match put {
            Ok(_) => Ok(made),
            // SAFETY: attached; the second reference is ours again, and the object that was first is kept by this place.
            Err(theirs) => unsafe {
                drop(Object::owned(ours));
                Object::borrowed(theirs)
            },
        }
    }
}

impl Drop for Lazy {
    fn drop(&mut self) {
        // SAFETY: attached, as everything here; the reference is given back once. Null is nothing.
        unsafe { ffi::Py_XDECREF(*self.0.get_mut()) };
    }
}
