//! The thread state that CPython has noted for the calling thread, where `PyGILState_Ensure` looks for one.
//!
//! Attaching a state notes it, and nothing takes it back: a thread that had no state of its own would, once it has borrowed an
//! interpreter, find that state noted, and whatever calls `PyGILState_Ensure` on it would enter the interpreter without having
//! it, even after its end. So whoever lends a thread a state puts back what was noted before ([`put`]).
//!
//! The C API reads the note ([`get`]) but cannot set it. It is a variable of the thread, whose place is found once by its value, and
//! believed only if what is written there is then read by the C API. Where it is not found nothing is put back.

use crate::error::Error;
use crate::ffi;
use crate::runtime::Runtime;
use std::sync::Once;

type State = *mut ffi::PyThreadState;

/// What is noted for this thread, or null.
#[inline]
pub(crate) fn get() -> State {
    // SAFETY: reads a variable of the thread; needs no thread state.
    unsafe { ffi::PyGILState_GetThisThreadState() }
}

/// Notes `state`, or nothing (null).
///
/// # Safety
/// `state` is null or a state of this thread, and it is attached next, or is what was noted before the one attached last.
#[inline]
pub(crate) unsafe fn put(state: State) {
    // SAFETY: as promised.
    unsafe { place::put(state) }
}

/// Finds the place, unless that was tried before.
///
/// # Errors
/// [`Error::NoMemory`].
pub(crate) fn find(runtime: &Runtime) -> Result<(), Error> {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() {
        return Ok(());
    }
    let _main = runtime.attach()?;
    // SAFETY: attached; detached for the moment, so that the state is noted nowhere else. Nothing on this thread looks at the note
    // meanwhile.
    unsafe {
        let state = ffi::PyEval_SaveThread();
        if get() == state {
            ONCE.call_once(|| place::find(state));
        }
        ffi::PyEval_RestoreThread(state);
    }
    Ok(())
}

/// Whether what `write` leaves in the place is what the C API reads. The place holds `state` before and after.
#[cfg(all(Py_3_12, unix))]
unsafe fn is_read(state: State, mut write: impl FnMut(State)) -> bool {
    let other = std::ptr::without_provenance_mut(8);
    write(other);
    let read = get() == other;
    write(state);
    read
}

/// In 3.15: a variable in the thread-local memory of the library that Python is in.
#[cfg(all(Py_3_15, target_os = "linux", target_env = "gnu"))]
mod place {
    use super::{State, is_read};
    use crate::ffi;
    use std::cell::Cell;
    use std::ffi::{c_int, c_void};
    use std::ptr;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    /// The library, and where in its memory the variable is, in bytes; null until it is found.
    static LIBRARY: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());
    static OFFSET: AtomicUsize = AtomicUsize::new(0);

    thread_local! {
        /// Where it is for this thread.
        static PLACE: Cell<*mut State> = const { Cell::new(ptr::null_mut()) };
    }

    #[inline]
    pub(super) unsafe fn put(state: State) {
        let mut place = PLACE.get();
        if place.is_null() {
            let library = LIBRARY.load(Ordering::Acquire);
            if library.is_null() {
                return;
            }
            // SAFETY: a library that stays. The thread has asked for its note before, so it has that memory.
            place = unsafe {
                memory(library)
                    .cast::<u8>()
                    .add(OFFSET.load(Ordering::Relaxed))
                    .cast()
            };
            PLACE.set(place);
        }
        // SAFETY: this thread's variable.
        unsafe { place.write(state) };
    }

    /// The calling thread's copy of the library's thread-local memory; null if there is none yet.
    unsafe fn memory(library: *mut c_void) -> *mut c_void {
        let mut memory = ptr::null_mut::<c_void>();
        // SAFETY: a library that is loaded, and room for the answer.
        unsafe { libc::dlinfo(library, libc::RTLD_DI_TLS_DATA, (&raw mut memory).cast()) };
        memory
    }

    pub(super) unsafe fn find(state: State) {
        // SAFETY: asks the loader about a function that is there; the library with it stays. The words are within the
        // thread-local memory of that library, and the one that is written to holds what the C API has just read.
        unsafe {
            let mut library = std::mem::zeroed::<libc::Dl_info>();
            if libc::dladdr(ffi::PyGILState_Ensure as *const c_void, &mut library) == 0 {
                return;
            }
            let mut handle = libc::dlopen(library.dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD);
            if handle.is_null() {
                // The program itself.
                handle = libc::dlopen(ptr::null(), libc::RTLD_NOW);
            }
            let memory = memory(handle).cast::<State>();
            if memory.is_null() {
                return;
            }
            let words = size(library.dli_fbase) / size_of::<State>();
            let mut places = (0..words).filter(|&i| memory.add(i).read_volatile() == state);
            if let (Some(i), None) = (places.next(), places.next())
                && is_read(state, |other| memory.add(i).write_volatile(other))
            {
                OFFSET.store(i * size_of::<State>(), Ordering::Relaxed);
                LIBRARY.store(handle, Ordering::Release);
            }
        }
    }

    /// How many bytes of thread-local memory the library at an address has.
    fn size(base: *mut c_void) -> usize {
        struct Search {
            base: u64,
            size: usize,
        }

        unsafe extern "C" fn look(
            library: *mut libc::dl_phdr_info,
            _: usize,
            search: *mut c_void,
        ) -> c_int {
            // SAFETY: the loader describes a library that is loaded; the pointer is the search below.
            unsafe {
                let (library, search) = (&*library, &mut *search.cast::<Search>());
                let headers =
                    std::slice::from_raw_parts(library.dlpi_phdr, library.dlpi_phnum.into());
                let is_it = headers.iter().any(|header| {
                    header.p_type == libc::PT_LOAD
                        && header.p_offset == 0
                        && library.dlpi_addr + header.p_vaddr == search.base
                });
                if is_it && let Some(tls) = headers.iter().find(|h| h.p_type == libc::PT_TLS) {
                    search.size = tls.p_memsz as usize;
                }
                c_int::from(is_it)
            }
        }

        let mut search = Search {
            base: base as u64,
            size: 0,
        };
        // SAFETY: the callback gets the search, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
        search.size
    }
}

/// Before 3.15: a key of `pthread_setspecific` (`PyThread_tss_create`).
#[cfg(all(Py_3_12, not(Py_3_15), unix))]
mod place {
    use super::{State, is_read};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The key, after 1; 0 until it is found.
    static KEY: AtomicU32 = AtomicU32::new(0);

    /// Keys that are looked at: as many as glibc has.
    const KEYS: u32 = 1024;

    #[inline]
    pub(super) unsafe fn put(state: State) {
        // Relaxed: a number by itself.
        if let Some(key) = KEY.load(Ordering::Relaxed).checked_sub(1) {
            // SAFETY: a key that CPython made; it gives it back when it finalizes, when nobody is lent a state any more.
            unsafe { libc::pthread_setspecific(key as libc::pthread_key_t, state.cast()) };
        }
    }

    pub(super) unsafe fn find(state: State) {
        let holds = |key: &u32| {
            // SAFETY: reading a key that nobody made gives null.
            let held = unsafe { libc::pthread_getspecific(*key as libc::pthread_key_t) };
            held == state.cast()
        };
        let mut keys = (0..KEYS).filter(holds);
        // SAFETY: the key exists: something was written to it.
        let write = |key: u32, other: State| unsafe {
            libc::pthread_setspecific(key as libc::pthread_key_t, other.cast());
        };
        // SAFETY: the place holds `state`.
        let found = keys.find(|&key| unsafe { is_read(state, |other| write(key, other)) });
        if let Some(key) = found {
            KEY.store(key + 1, Ordering::Relaxed);
        }
    }
}

/// Before 3.12 a thread has one state; elsewhere the place is not known.
#[cfg(not(any(
    all(Py_3_15, target_os = "linux", target_env = "gnu"),
    all(Py_3_12, not(Py_3_15), unix)
)))]
mod place {
    use super::State;

    pub(super) unsafe fn put(_: State) {}

    pub(super) unsafe fn find(_: State) {}
}
