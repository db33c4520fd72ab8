//! `PyGILState_*` for the code of private images.
//!
//! CPython's own attach a thread that has no state to the *main* interpreter. A thread that a library made for an image would run
//! there with objects of another interpreter. So each image calls the functions of this file instead, which know its
//! interpreter: by their own number, since C gives them nothing else to know it by.
//!
//! A thread that comes in this way gets a state that it keeps, as a borrower does ([`Slot::state_for_this_thread`]). Before the interpreter
//! ends it is shut for them: those inside are waited for, and one that comes later sleeps for ever, as CPython's
//! own do once it finalizes.
//!
//! `Py_AddPendingCall`, by which a thread leaves something to be done by whoever has the GIL next, means the main interpreter as well;
//! here it means that of the image, and what is left to one that ends is forgotten, as CPython forgets it.

use crate::attach::{Detached, attach};
use crate::ffi;
use crate::slot::Slot;
use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::{Arc, OnceLock};

/// How many interpreters of one process can have images: images stay, so a number is never used again.
pub(crate) const MOST: usize = 256;

/// The slots of the interpreters with images, by number. What is here stays: a library's thread may come at any time.
static SLOTS: [OnceLock<Arc<Slot>>; MOST] = [const { OnceLock::new() }; MOST];

/// The next number, for the interpreter of this slot; `None` when there are no more.
pub(crate) fn bind(slot: &Arc<Slot>) -> Option<usize> {
    SLOTS
        .iter()
        .position(|free| free.set(Arc::clone(slot)).is_ok())
}

fn slot(number: usize) -> &'static Arc<Slot> {
    match SLOTS[number].get() {
        Some(slot) => slot,
        None => unreachable!("an image has a number that was bound before it was opened"),
    }
}

/// The functions that an image of this number calls, with the names of those that they replace.
pub(crate) fn functions(number: usize) -> [(&'static CStr, usize); 5] {
    let [ensure, release, check, this, add_pending] = TABLE[number];
    [
        (c"PyGILState_Ensure", ensure as usize),
        (c"PyGILState_Release", release as usize),
        (c"PyGILState_Check", check as usize),
        (c"PyGILState_GetThisThreadState", this as usize),
        (c"Py_AddPendingCall", add_pending as usize),
    ]
}

/// Functions of different types, as addresses.
type Functions = [*const (); 5];

/// One row for each number.
static TABLE: Table = Table(table());

struct Table([Functions; MOST]);

// SAFETY: addresses of functions.
unsafe impl Sync for Table {}

impl std::ops::Deref for Table {
    type Target = [Functions; MOST];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

const fn row<const N: usize>() -> Functions {
    [
        ensure::<N> as *const (),
        release::<N> as *const (),
        check::<N> as *const (),
        this_thread_state::<N> as *const (),
        add_pending_call::<N> as *const (),
    ]
}

const fn table() -> [Functions; MOST] {
    macro_rules! sixteen {
        ($table:ident, $($high:literal)*) => {
            $(sixteen!(@ $table, $high, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);)*
        };
        (@ $table:ident, $high:literal, $($low:literal)*) => {
            $($table[16 * $high + $low] = row::<{ 16 * $high + $low }>();)*
        };
    }
    let mut table = [[ptr::null(); 5]; MOST];
    sixteen!(table, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    table
}

unsafe extern "C" fn ensure<const N: usize>() -> c_int {
    enter(slot(N))
}

unsafe extern "C" fn release<const N: usize>(state: c_int) {
    if state == ffi::PyGILState_STATE::PyGILState_UNLOCKED as c_int {
        leave();
    }
}

unsafe extern "C" fn check<const N: usize>() -> c_int {
    is_attached(slot(N)).into()
}

unsafe extern "C" fn this_thread_state<const N: usize>() -> *mut ffi::PyThreadState {
    let slot = slot(N);
    if is_attached(slot) {
        return ffi::current();
    }
    slot.own_state().unwrap_or(ptr::null_mut())
}

unsafe extern "C" fn add_pending_call<const N: usize>(
    function: ffi::PendingCall,
    argument: *mut c_void,
) -> c_int {
    let slot = slot(N);
    if !slot.let_in() {
        return 0;
    }
    // SAFETY: let in: the interpreter is alive. It calls the function as the image expects.
    let added = unsafe { ffi::add_pending_call(slot.interpreter(), function, argument) };
    slot.let_out();
    added
}

fn is_attached(slot: &Slot) -> bool {
    ffi::current_interpreter() == slot.interpreter()
}

/// A visit that has not been left.
struct Visit {
    /// What was attached before comes back when it ends.
    _before: Detached,
    /// The interpreter, if it waits for this visit before it ends.
    counted: Option<&'static Slot>,
}

thread_local! {
    static VISITS: RefCell<Vec<Visit>> = const { RefCell::new(Vec::new()) };
}

fn enter(slot: &'static Arc<Slot>) -> c_int {
    if is_attached(slot) {
        return ffi::PyGILState_STATE::PyGILState_LOCKED as c_int;
    }
    let before = Detached::new();
    // A thread that has the interpreter may only have given its GIL away for a while.
    let (state, counted) = match slot.own_state() {
        Some(state) => (state, None),
        None => {
            while !slot.let_in() {
                std::thread::park();
            }
            // SAFETY: let in: the interpreter is alive until this visit is counted out. Who asked knows no failure: CPython's own
            // function ends the process as well.
            let state = unsafe {
                slot.state_for_this_thread().unwrap_or_else(|_| {
                    ffi::Py_FatalError(c"no memory for a thread state".as_ptr())
                })
            };
            (state, Some(&**slot))
        }
    };
    // SAFETY: nothing is attached; `state` is this thread's.
    unsafe { attach(state) };
    VISITS.with_borrow_mut(|visits| {
        visits.push(Visit {
            _before: before,
            counted,
        });
    });
    ffi::PyGILState_STATE::PyGILState_UNLOCKED as c_int
}

fn leave() {
    let Some(Visit { _before, counted }) = VISITS.with_borrow_mut(Vec::pop) else {
        return;
    };
    // SAFETY: attached by `enter`.
    unsafe { ffi::PyEval_SaveThread() };
    if let Some(slot) = counted {
        slot.let_out();
    }
}
