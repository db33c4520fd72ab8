//! Private images: extension modules that refuse interpreters with a GIL of their own, in each of them.
//!
//! Such a module refuses because its C globals exist once per process. Here each interpreter gets an image of it to itself, as each
//! process would: a copy of the shared object under a path of its own, which the dynamic loader therefore maps anew.
//!
//! ```text
//!   main         numpy/_multiarray_umath.so          numpy.libs/libscipy_openblas.so
//!                     | its code, as pages of the file     ^        ^
//!                     |`- copy of interpreter 0 -----------'        |      (thread-safe: shared)
//!                      `- copy of interpreter 1 --------------------'
//! ```
//! What it takes, and where it is:
//! - the [copies](cache), with some bytes [changed](elf), and which [libraries](mod@libraries) are copied along;
//! - the dynamic loader, and the code's pages from the original file again ([`open`]): only what is written to is there twice;
//! - `PyGILState_*` that knows the [interpreter](gilstate) of the image;
//! - the module made in this interpreter ([`create`]), not by CPython's own importer, which from 3.13 on runs the
//!   initialisation of some in the main interpreter.
//!
//! An image stays until the process ends. What a library keeps for the whole process by other means than its globals (signal handlers,
//! the environment, the locale, files) stays one for all, as with threads.

mod cache;
mod elf;
mod gilstate;
mod libraries;
mod module;
mod open;
pub(crate) mod verdict;

pub(crate) use module::create;

use crate::attach::Detached;
use crate::extensions::Extensions;
use crate::ffi;
use crate::fork::PerProcess;
use crate::slot::Slot;
use cache::Original;
use elf::Elf;
use libraries::{Copy, Libraries, Step};
use open::Opened;
use std::collections::{BTreeSet, HashMap};
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

/// The interpreters of pools, by their address.
fn hosts() -> MutexGuard<'static, HashMap<usize, Arc<Host>>> {
    static HOSTS: PerProcess<HashMap<usize, Arc<Host>>> = PerProcess::new();
    HOSTS.lock()
}

/// An interpreter that can have images.
#[derive(Debug)]
struct Host {
    slot: Arc<Slot>,
    extensions: Extensions,
    images: OnceLock<Images>,
}

/// The images of one interpreter.
#[derive(Debug)]
struct Images {
    number: usize,
    libraries: Mutex<Libraries>,
}

/// Lets the interpreter of the slot have images, until [`leave`].
pub(crate) fn enter(slot: &Arc<Slot>, extensions: Extensions) {
    let host = Host {
        slot: Arc::clone(slot),
        extensions,
        images: OnceLock::new(),
    };
    hosts().insert(slot.interpreter() as usize, Arc::new(host));
}

/// The interpreter of the slot is about to end. Returns whether it has images.
pub(crate) fn leave(slot: &Slot) -> bool {
    let host = hosts().remove(&(slot.interpreter() as usize));
    host.is_some_and(|host| host.images.get().is_some())
}

/// The files of which this process has opened private images, sorted.
pub fn images() -> Vec<PathBuf> {
    opened().iter().cloned().collect()
}

fn opened() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    static OPENED: PerProcess<BTreeSet<PathBuf>> = PerProcess::new();
    OPENED.lock()
}

/// Whether an extension module can be loaded natively in an interpreter with a GIL of its own, as far as its file tells: one whose data
/// do not hold the slot that says so cannot. Remembered for each state of a file.
pub(crate) fn may_fit(path: &str) -> bool {
    type Known = HashMap<(String, Option<SystemTime>), bool>;
    static KNOWN: PerProcess<Known> = PerProcess::new();

    let changed = std::fs::metadata(path).and_then(|data| data.modified());
    let key = (path.to_owned(), changed.ok());
    if let Some(&known) = KNOWN.lock().get(&key) {
        return known;
    }
    let fits = Original::open(Path::new(path))
        .and_then(|original| Elf::read(&original.data))
        .map_or(true, |elf| elf.may_fit_own_gil);
    KNOWN.lock().insert(key, fits);
    fits
}

/// How the attached interpreter gets them. CPython's check of extension modules, which images go round, has no switch on free-threaded
/// builds.
pub(crate) fn extensions() -> Extensions {
    if ffi::FREE_THREADED_BUILD {
        return Extensions::Strict;
    }
    Host::current().map_or(Extensions::Strict, |host| host.extensions)
}

impl Host {
    fn current() -> Option<Arc<Self>> {
        hosts().get(&(ffi::current_interpreter() as usize)).cloned()
    }

    fn images(&self) -> Result<&Images, String> {
        static NUMBERING: PerProcess<()> = PerProcess::new();
        let _numbering = NUMBERING.lock();
        if let Some(images) = self.images.get() {
            return Ok(images);
        }
        let number = gilstate::bind(&self.slot).ok_or_else(|| {
            format!(
                "expected at most {} interpreters with private images in the life of a process, found one more",
                gilstate::MOST
            )
        })?;
        Ok(self.images.get_or_init(|| Images {
            number,
            libraries: Mutex::new(Libraries::new(number)),
        }))
    }

    /// Opens what is planned for the file at `path`; returns the last of it, and what else the plan says.
    ///
    /// # Safety
    /// Attached to this interpreter; the planned files are shared objects whose initialisation may run on this thread.
    unsafe fn open<T>(
        &self,
        path: &Path,
        plan: impl FnOnce(&mut Libraries) -> Result<(Vec<Step>, T), String>,
    ) -> Result<(Option<Opened>, T), String> {
        // Nobody waits for a lock, or for a disk, while attached.
        let detached = Detached::new();
        let images = self.images()?;
        let mut libraries = images
            .libraries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (steps, more) = plan(&mut libraries)?;
        drop(detached);
        let mut last = None;
        for step in &steps {
            let opened = match step {
                // SAFETY: as promised.
                Step::Shared(path) => unsafe { open::open(path) },
                // SAFETY: as promised, of a copy.
                Step::Private(copy) => unsafe { open_copy(copy, images.number, &self.slot) },
            };
            match opened {
                Ok(opened) => last = Some(opened),
                Err(error) => {
                    libraries.forget(&steps);
                    return Err(error);
                }
            }
        }
        opened().insert(path.to_owned());
        Ok((last, more))
    }
}

/// Bytes of memory that images may take in a process before the interpreters that open more are not ended to be made anew any more: an
/// image stays when its interpreter ends.
const BUDGET: usize = 1 << 30;

/// Counts an image of the slot's interpreter.
fn count(bytes: usize, slot: &Slot) {
    static ALL: AtomicUsize = AtomicUsize::new(0);
    if ALL.fetch_add(bytes, Ordering::Relaxed) + bytes > BUDGET {
        slot.stay();
    }
}

/// Opens an image of a shared object for the attached interpreter, with the libraries that come with it.
///
/// # Errors
/// In words, with the path of the original.
///
/// # Safety
/// Attached to a subinterpreter; the file is an extension module.
unsafe fn open_image(path: &Path) -> Result<Opened, String> {
    let host = Host::current()
        .ok_or("this interpreter was not made by a pool, so it has no private images")?;
    // SAFETY: as promised.
    let (last, ()) = unsafe {
        host.open(path, |libraries| {
            libraries.plan(path).map(|steps| (steps, ()))
        })?
    };
    last.ok_or_else(|| "nothing to open".to_owned())
}

/// Opens a library that comes with a package, which code of the attached interpreter asks for by its path, as a private image;
/// returns what `dlopen` returns. `None` for one that all interpreters share, as where there are no images.
///
/// # Errors
/// In words, with the path of the original.
///
/// # Safety
/// Attached to a subinterpreter; the file is a shared object whose initialisation may run on this thread.
pub(crate) unsafe fn open_library(path: &Path) -> Result<Option<*mut c_void>, String> {
    let Some(host) = Host::current().filter(|_| extensions() != Extensions::Strict) else {
        return Ok(None);
    };
    // SAFETY: as promised. The copy is open: another time for whoever closes it.
    unsafe {
        let (_, file) = host.open(path, |libraries| libraries.plan_by_path(path))?;
        open::open(&file).map(|library| Some(library.handle()))
    }
}

/// # Safety
/// The copy is of an extension module, or of a library of one.
unsafe fn open_copy(copy: &Copy, number: usize, slot: &Slot) -> Result<Opened, String> {
    let Copy {
        original,
        elf,
        edits,
        path,
    } = copy;
    // SAFETY: as promised; redirected before anybody but its own initialisation runs it.
    unsafe {
        let opened = open::open(path).map_err(|error| {
            let (copy, original) = (path.to_string_lossy(), original.path.to_string_lossy());
            error.replace(&*copy, &original)
        })?;
        opened.redirect(elf, &gilstate::functions(number));
        let edits: Vec<_> = edits
            .iter()
            .map(|edit| (edit.offset, edit.bytes.len()))
            .collect();
        let shared = opened.share_pages(elf, &original.file, &edits);
        count(elf.size().saturating_sub(shared), slot);
        Ok(opened)
    }
}
