//! References to objects of an interpreter that are given back from anywhere.
//!
//! Nobody touches a reference count without being attached to the interpreter that the object belongs to. So a reference that
//! ends elsewhere is put into the mailbox of that interpreter, which empties it when it next sends or receives a value, after
//! each lease of its slot, and when its worker, woken for that, has nothing else to do. Main's is emptied by a pending call as
//! well (`Py_AddPendingCall`), so that a large argument does not stay until the next call.
//!
//! ```text
//!   any thread:  reference --push--> [ newest -> ... -> oldest ] --take all--> dropped, attached to the owner
//!                                       CLOSED: given up
//! ```
//! The letters are a stack that is taken as a whole (Treiber, 1986), so it has no ABA problem and no lock that a fork could
//! leave taken. When an interpreter ends its mailbox is closed. What is still shown elsewhere then is never given back, so the
//! memory that others read stays where it is. That is a leak, and counted ([`leaked_references`]).

use crate::ffi;
use crate::fork::Process;
use crate::object::{Object, Raised};
use crate::pin::Contents;
use crate::shared::Shared;
use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

static LEAKED: AtomicUsize = AtomicUsize::new(0);

/// How many objects were kept for good, because their interpreter ended while a view of their memory (a `memoryview` in another
/// interpreter, or one in a result that nobody took) was still there. From Python 3.14 on an interpreter that leaves such
/// an object behind leaves its other small objects' memory as well, some 2 MB.
pub fn leaked_references() -> usize {
    // Relaxed: a number by itself.
    LEAKED.load(Ordering::Relaxed)
}

/// A strong reference, or a buffer that an object exports.
pub(crate) enum Held {
    Object(NonNull<ffi::PyObject>),
    Export(Box<ffi::Py_buffer>),
}

impl Held {
    /// # Safety
    /// Attached to the interpreter of the object.
    unsafe fn release(self) {
        // SAFETY: attached, as promised; the reference or the export is ours, and given back once.
        unsafe {
            match self {
                Self::Object(object) => ffi::Py_DECREF(object.as_ptr()),
                Self::Export(mut view) => ffi::PyBuffer_Release(&mut *view),
            }
        }
    }
}

// SAFETY: a value that is moved; only `release`, attached to the owner, follows the pointers.
unsafe impl Send for Held {}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Object(_) => "a reference",
            Self::Export(_) => "an exported buffer",
        })
    }
}

struct Letter {
    held: Held,
    older: *mut Letter,
}

/// Where references to objects of one interpreter are given back.
pub(crate) struct Mailbox {
    /// The number of the interpreter, which no other ever has.
    interpreter: i64,
    newest: AtomicPtr<Letter>,
    /// References that are out.
    lent: AtomicUsize,
    /// What was pinned and has to move before the interpreter ends.
    contents: Mutex<Vec<Weak<Contents>>>,
    /// The pool whose worker owns the interpreter, if one does.
    pool: OnceLock<Weak<Shared>>,
    /// Whether main was asked to empty it.
    asked: AtomicBool,
    process: Process,
}

/// In the place of the newest letter once the interpreter ends; no letter lies there.
const CLOSED: *mut Letter = ptr::without_provenance_mut(1);

impl Mailbox {
    /// The mailbox of the attached interpreter, which lies in its module `_covet_support` and is closed when that is cleared,
    /// at the end of the interpreter.
    ///
    /// # Errors
    /// [`Raised`] with `MemoryError`.
    ///
    /// # Safety
    /// Attached; `module` is that module.
    pub(crate) unsafe fn of(module: &Object) -> Result<Arc<Self>, Raised> {
        const NAME: &CStr = c"_covet_support.mailbox";

        unsafe extern "C" fn close(capsule: *mut ffi::PyObject) {
            // SAFETY: CPython calls this once, attached, with the capsule that was made below and its reference.
            unsafe {
                let mailbox = ffi::PyCapsule_GetPointer(capsule, NAME.as_ptr());
                Arc::from_raw(mailbox.cast_const().cast::<Mailbox>()).close();
            }
        }

        // SAFETY: attached; every new reference is owned at once. The dict keeps the capsule that came first, and that one
        // keeps a reference to its mailbox.
        unsafe {
            let all = ffi::PyModule_GetDict(module.as_ptr());
            let key = Object::string("mailbox")?;
            let mut found = Object::borrowed(ffi::PyDict_GetItemWithError(all, key.as_ptr()));
            if found.is_err() && ffi::PyErr_Occurred().is_null() {
                let made = Arc::into_raw(Arc::new(Self {
                    interpreter: ffi::PyInterpreterState_GetID(ffi::current_interpreter()),
                    newest: AtomicPtr::default(),
                    lent: AtomicUsize::new(0),
                    contents: Mutex::default(),
                    pool: OnceLock::new(),
                    asked: AtomicBool::new(false),
                    process: Process::this(),
                }));
                let capsule =
                    ffi::PyCapsule_New(made.cast_mut().cast(), NAME.as_ptr(), Some(close));
                let capsule =
                    Object::owned(capsule).inspect_err(|Raised| drop(Arc::from_raw(made)))?;
                let first = ffi::set_default(all, key.as_ptr(), capsule.as_ptr());
                found = Object::borrowed(first);
            }
            let mailbox = ffi::PyCapsule_GetPointer(found?.as_ptr(), NAME.as_ptr());
            if mailbox.is_null() {
                return Err(Raised);
            }
            Arc::increment_strong_count(mailbox.cast_const().cast::<Self>());
            Ok(Arc::from_raw(mailbox.cast_const().cast()))
        }
    }

    /// Says whose worker is to be woken for mail.
    pub(crate) fn belongs_to(&self, pool: &Arc<Shared>) {
        self.pool.get_or_init(|| Arc::downgrade(pool));
    }

    /// Counts a reference that goes out.
    pub(crate) fn lend(&self) {
        // Relaxed: a number by itself; `close` runs attached to the same interpreter as this.
        self.lent.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what has to move before the interpreter ends. Main ends with the process, and a child of `fork` may find its lock
    /// taken.
    pub(crate) fn will_move(&self, contents: &Arc<Contents>) {
        if self.interpreter != MAIN {
            let mut all = self.contents();
            if all.len() == all.capacity() {
                all.retain(|known| known.strong_count() > 0);
            }
            all.push(Arc::downgrade(contents));
        }
    }

    fn contents(&self) -> MutexGuard<'_, Vec<Weak<Contents>>> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the calling thread is attached to the interpreter, which is not about to end.
    pub(crate) fn is_here(&self) -> bool {
        let here = ffi::current_interpreter();
        // SAFETY: the calling thread is attached to it, so it is alive. Acquire pairs with the swap in `close`.
        !here.is_null()
            && unsafe { ffi::PyInterpreterState_GetID(here) } == self.interpreter
            && self.newest.load(Ordering::Acquire) != CLOSED
    }

    /// Takes back what was [lent](Mailbox::lend), at once if the calling thread is attached to the interpreter.
    pub(crate) fn give_back(&self, held: Held) {
        if self.is_here() {
            self.lent.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: attached.
            return unsafe { held.release() };
        }
        let letter = Box::into_raw(Box::new(Letter {
            held,
            older: ptr::null_mut(),
        }));
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            if newest == CLOSED {
                // The interpreter has ended: what is held there stays.
                // SAFETY: made above, and nobody else has seen it.
                std::mem::forget(unsafe { Box::from_raw(letter) }.held);
                return;
            }
            // SAFETY: as above.
            unsafe { (*letter).older = newest };
            // Release pairs with the acquire of who takes the letters.
            match self.newest.compare_exchange_weak(
                newest,
                letter,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => newest = now,
            }
        }
        self.wake();
    }

    /// Has the owner look.
    fn wake(&self) {
        if !self.process.is_this() {
            return;
        }
        if let Some(pool) = self.pool.get() {
            if let Some(pool) = pool.upgrade() {
                pool.mail_came();
            }
        } else if self.interpreter == MAIN && !self.asked.swap(true, Ordering::AcqRel) {
            // SAFETY: alive, and needs no thread state. The call takes over a reference.
            unsafe {
                Arc::increment_strong_count(self);
                let argument = ptr::from_ref(self).cast_mut().cast();
                if ffi::Py_AddPendingCall(Some(empty_main), argument) < 0 {
                    // Its list is full: the next letter asks again.
                    Arc::decrement_strong_count(self);
                    self.asked.store(false, Ordering::Release);
                }
            }
        }
    }

    /// Whether there are letters.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        // Relaxed: to be looked at only.
        let newest = self.newest.load(Ordering::Relaxed);
        !newest.is_null() && newest != CLOSED
    }

    /// Drops what was given back from elsewhere. May run Python code: that of finalizers.
    ///
    /// # Safety
    /// Attached to the interpreter.
    #[inline]
    pub(crate) unsafe fn empty(&self) {
        // Acquire pairs with the release of those who put letters there.
        while self.has_mail()
            && let Ok(taken) =
                self.newest
                    .fetch_update(Ordering::Acquire, Ordering::Relaxed, |newest| {
                        (newest != CLOSED).then_some(ptr::null_mut())
                    })
        {
            // SAFETY: attached, as promised; the letters are this thread's alone.
            unsafe { self.release_all(taken) };
        }
    }

    /// Empties it for the last time.
    fn close(&self) {
        let contents = std::mem::take(&mut *self.contents());
        for contents in contents.iter().filter_map(Weak::upgrade) {
            contents.leave_object();
        }
        let newest = self.newest.swap(CLOSED, Ordering::AcqRel);
        // SAFETY: called attached; the letters are this thread's alone.
        unsafe { self.release_all(newest) };
        LEAKED.fetch_add(self.lent.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// # Safety
    /// Attached to the interpreter; the letters were taken out.
    #[cold]
    unsafe fn release_all(&self, mut newest: *mut Letter) {
        while !newest.is_null() && newest != CLOSED {
            // SAFETY: made by `give_back`, and taken out, so nobody else has it; attached.
            unsafe {
                let Letter { held, older } = *Box::from_raw(newest);
                newest = older;
                self.lent.fetch_sub(1, Ordering::Relaxed);
                held.release();
            }
        }
    }
}

/// The number of the main interpreter.
const MAIN: i64 = 0;

/// A pending call, which CPython makes in the main thread, attached to main.
extern "C" fn empty_main(mailbox: *mut c_void) -> c_int {
    // SAFETY: the reference that `wake` gave to this call.
    let mailbox = unsafe { Arc::from_raw(mailbox.cast_const().cast::<Mailbox>()) };
    mailbox.asked.store(false, Ordering::Release);
    // SAFETY: attached to main.
    unsafe { mailbox.empty() };
    0
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "mailbox of interpreter {}", self.interpreter)
    }
}
