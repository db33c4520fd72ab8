//! Which extension modules a subinterpreter may load: the main interpreter loads each of them first.
//!
//! Before 3.14 an extension module whose first load in the process happens in a subinterpreter can corrupt memory
//! even if the load is then refused (`datetime`, `ssl`, `decimal` and others do). So every interpreter asks before it
//! loads one; the answer comes from the definition of the module, as the main interpreter created it: it says
//! whether the module works under a GIL of its own (`Py_mod_multiple_interpreters`, PEP 489 and 684). One that does
//! not is refused with an `ImportError` before any of its code has run there.
//!
//! The asking thread visits the main interpreter itself, so it must be able to take that GIL: whoever waits for a
//! pool waits detached.

use crate::attach::{AtMain, Detached, Visit};
use crate::callback;
use crate::error::Error;
use crate::extensions::Extensions;
use crate::ffi;
use crate::fork::PerProcess;
use crate::image;
use crate::image::verdict::Wanted;
use crate::object::{Object, Raised, Source};
use crate::support::Support;
use std::collections::HashMap;
use std::path::Path;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Whether a module can be loaded in an interpreter with a GIL of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It can be, in every interpreter.
    Fits,
    /// It must not be, for this reason; but each interpreter can have a private image of it.
    Image(String),
    /// It must not be, for this reason.
    Refused(String),
    /// Its definition does not tell (PEP 793 modules have none): CPython's own check decides, which is safe from 3.14 on.
    Unknown,
}

/// Modules that take another one, which may be refused, for granted: without it they fail in a way that their pure Python
/// replacement is not ready for.
const NEEDS: [(&str, &str); 1] = [("_zoneinfo", "_datetime")];

/// A module file in one state.
type Key = (String, Option<SystemTime>);

/// The name of a module, and what is known of it.
type Known = HashMap<Key, (String, Verdict)>;

fn verdicts() -> MutexGuard<'static, Known> {
    static VERDICTS: PerProcess<Known> = PerProcess::new();
    VERDICTS.lock()
}

/// Makes the attached subinterpreter ask before it loads an extension module.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// Attached to a subinterpreter in which nothing but its own start-up has run.
pub(crate) unsafe fn install() -> Result<(), Raised> {
    static mut ADMIT: ffi::PyMethodDef = callback::definition(
        c"admit",
        c"admit(name, path, importing, refused): whether it fits; raises ImportError if it cannot be loaded.",
        admit,
    );
    static mut IMAGE: ffi::PyMethodDef = callback::definition(
        c"image",
        c"image(spec, name, path, suffix): an extension module from a private image.",
        make_image,
    );
    static mut LIBRARY: ffi::PyMethodDef = callback::definition(
        c"library",
        c"library(path): the handle of a private image of a shared library; None for one that all share.",
        open_library,
    );
    // SAFETY: attached; the method definitions live as long as the process.
    unsafe {
        let [admit, image, library] = [&raw mut ADMIT, &raw mut IMAGE, &raw mut LIBRARY]
            .map(|definition| callback::function(definition));
        let loader = module()?;
        loader
            .attribute(c"admit_extensions")?
            .call(&[&admit?, &image?])?;
        loader.attribute(c"admit_libraries")?.call(&[&library?])?;
    }
    Ok(())
}

/// The Python half of this file in the attached interpreter.
///
/// # Safety
/// A thread state is attached.
unsafe fn module() -> Result<Object, Raised> {
    static SOURCE: Source = Source::new(c"_covet_loader", include_str!("loader.py"));
    // SAFETY: attached, as promised.
    unsafe { Object::own_module(&SOURCE) }
}

/// `admit(name, path, importing, refused)`, called by a subinterpreter that is about to load an extension module for the import of
/// another, or that CPython has refused it to.
unsafe extern "C" fn admit(
    _module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with `count` live arguments.
    unsafe {
        callback::answer(arguments, count, |[name, path, importing, refused]| {
            let refused = refused.as_ptr() == ffi::Py_True();
            let route = route(&name.text(), &path.text(), &importing.text(), refused);
            if let Verdict::Refused(reason) = &route {
                REFUSALS.fetch_add(1, Ordering::Relaxed);
                let may_run_in_main =
                    !image::verdict::is_danger(reason) || main_has(&name.text(), &path.text());
                let reason = Object::string(reason)?;
                ffi::PyErr_SetImportError(reason.as_ptr(), name.as_ptr(), path.as_ptr());
                if may_run_in_main {
                    // What `may_run_in_main` in support.py looks for.
                    let error = Object::owned(ffi::take_raised())?;
                    let mark = c"covet_refused".as_ptr();
                    ffi::PyObject_SetAttrString(error.as_ptr(), mark, ffi::Py_True());
                    ffi::set_raised(error.into_ptr());
                }
                return Err(Raised);
            }
            Object::borrowed(match route {
                Verdict::Fits | Verdict::Refused(_) => ffi::Py_True(),
                Verdict::Image(_) => ffi::Py_False(),
                Verdict::Unknown => ffi::Py_None(),
            })
        })
    }
}

/// `image(spec, name, path, suffix)`, called by a subinterpreter: the module, from a private image.
unsafe extern "C" fn make_image(
    _module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with `count` live arguments.
    unsafe {
        callback::answer(arguments, count, |[spec, name, path, suffix]| {
            image::create(spec, name, path, &suffix.text())
        })
    }
}

/// `library(path)`, called by a subinterpreter whose code opens a library of a package by ctypes.
unsafe extern "C" fn open_library(
    _module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with `count` live arguments. Whoever opens a library has its initialisation run.
    unsafe {
        callback::answer(arguments, count, |[path]| {
            match image::open_library(Path::new(&path.text())) {
                Ok(Some(handle)) => Object::owned(ffi::PyLong_FromVoidPtr(handle)),
                Ok(None) => Object::borrowed(ffi::Py_None()),
                Err(why) => {
                    let why = Object::string(&why)?;
                    ffi::PyErr_SetObject(ffi::PyExc_OSError, why.as_ptr());
                    Err(Raised)
                }
            }
        })
    }
}

/// The extension modules that were refused in this process, by name, with the reason.
pub(crate) fn refused_modules() -> Vec<(String, String)> {
    let mut refused: Vec<_> = verdicts()
        .values()
        .filter_map(|(name, verdict)| match verdict {
            Verdict::Refused(reason) => Some((name.clone(), reason.clone())),
            Verdict::Fits | Verdict::Image(_) | Verdict::Unknown => None,
        })
        .collect();
    refused.sort();
    refused
}

/// Whether `module`, and every extension module that comes with it, fits: the first that is refused decides. Of images it
/// knows what is shipped; it makes no trial.
///
/// # Errors
/// [`Error::Python`] with what importing it in the main interpreter raised; [`Error::NoMemory`].
pub(crate) fn import_verdict(module: &str) -> Result<Verdict, Error> {
    let mut all = Verdict::Fits;
    for (name, path) in extensions_of(module)? {
        match verdict(&name, &path) {
            Verdict::Fits => {}
            other @ (Verdict::Unknown | Verdict::Image(_)) => all = other,
            Verdict::Refused(why) => match image::verdict::known(&name, path.as_ref()) {
                Some(Ok(())) => all = Verdict::Image(why),
                Some(Err(_)) | None => return Ok(Verdict::Refused(why)),
            },
        }
    }
    Ok(all)
}

/// The names and files of the extension modules that come with a module, which the main interpreter imports for that.
fn extensions_of(name: &str) -> Result<Vec<(String, String)>, Error> {
    // SAFETY: only called through a `Runtime`, so Python runs. All objects belong to main and die before it is left; the
    // function returns a list of tuples of two.
    unsafe {
        let _main = AtMain::new()?;
        let support = Support::load().map_err(|Raised| {
            ffi::PyErr_Clear();
            Error::Runtime(format!("cannot import {name}: pickle cannot be imported"))
        })?;
        let found = module().and_then(|loader| {
            let found = loader
                .attribute(c"extensions_of")?
                .call(&[&Object::string(name)?])?;
            (0..ffi::PyList_Size(found.as_ptr()))
                .map(|i| {
                    let pair = Object::borrowed(ffi::PyList_GetItem(found.as_ptr(), i))?;
                    let part = |i| Object::borrowed(ffi::PyTuple_GetItem(pair.as_ptr(), i));
                    Ok((part(0)?.text(), part(1)?.text()))
                })
                .collect()
        });
        found.map_err(|Raised| Error::Python(support.take_error()))
    }
}

/// Loads that were refused.
static REFUSALS: AtomicU64 = AtomicU64::new(0);

/// How many loads were refused in this process.
pub(crate) fn refused_imports() -> u64 {
    REFUSALS.load(Ordering::Relaxed)
}

/// How the attached interpreter gets an extension module. `importing` is the module whose import needs it; `refused` says that
/// CPython does not load it natively.
///
/// # Safety
/// Attached to a subinterpreter.
unsafe fn route(name: &str, path: &str, importing: &str, refused: bool) -> Verdict {
    let extensions = image::extensions();
    if extensions == Extensions::Strict {
        return match refused {
            true => refuse(name, ONE_PLACE),
            false => verdict(name, path),
        };
    }
    // Where main would have to run it first, out of turn, what is not Python's own is better off with an image: a module that fails
    // then (Cython's, when it imports others of its package) stays half-made in main.
    let in_turn = || !ffi::MAIN_FIRST_MANDATORY || is_of_python(path) || main_has(name, path);
    // What works as an image needs nobody's word: asyncpg says that it fits, and does not.
    let has_image =
        || !is_of_python(path) && image::verdict::known(name, path.as_ref()) == Some(Ok(()));
    let native = if !refused && image::may_fit(path) && in_turn() && !has_image() {
        verdict(name, path)
    } else {
        refuse(name, ONE_PLACE)
    };
    let Verdict::Refused(why) = native else {
        return native;
    };
    if is_of_python(path) {
        return match image::verdict::known(name, path.as_ref()) {
            Some(Ok(())) => Verdict::Image(why),
            Some(Err(_)) | None => Verdict::Refused(why),
        };
    }
    if extensions == Extensions::Private {
        return Verdict::Image(why);
    }
    let wanted = Wanted {
        name: name.to_owned(),
        path: path.into(),
        importing: importing.to_owned(),
        // SAFETY: attached, as promised.
        places: unsafe { import_path() },
    };
    let _detached = Detached::new();
    match image::verdict::verdict(&wanted) {
        Ok(()) => Verdict::Image(why),
        Err(fails) => refuse(name, &format!("{ONE_PLACE}, and no private image: {fails}")),
    }
}

/// Whether the main interpreter has imported the extension module of this file.
fn main_has(name: &str, path: &str) -> bool {
    let _detached = Detached::new();
    // SAFETY: as in `ask_main`.
    unsafe {
        let Some(_visit) = Visit::main() else {
            return false;
        };
        let found = module().and_then(|loader| {
            loader
                .attribute(c"has_extension")?
                .call(&[&Object::string(name)?, &Object::string(path)?])
        });
        found.map_or_else(
            |Raised| {
                ffi::PyErr_Clear();
                false
            },
            |found| found.as_ptr() == ffi::Py_True(),
        )
    }
}

/// Whether a module belongs to the standard library. Some lean on one library of the system, as `readline` does, so there images
/// are for those that are listed.
fn is_of_python(path: &str) -> bool {
    path.contains("/lib-dynload/")
}

/// `sys.path`, as far as it is text, without the folders that are packages themselves: one puts itself there while it is imported
/// (`cv2`), and hides modules of Python from a process that has it in the front.
///
/// # Safety
/// Attached.
unsafe fn import_path() -> Vec<String> {
    // SAFETY: attached; borrowed references of a list that this thread does not change meanwhile.
    unsafe {
        let path = ffi::PySys_GetObject(c"path".as_ptr());
        if path.is_null() || ffi::PyList_Check(path) == 0 {
            return Vec::new();
        }
        (0..ffi::PyList_Size(path))
            .filter_map(|i| Some(Object::borrowed(ffi::PyList_GetItem(path, i)).ok()?.text()))
            .filter(|entry| !entry.is_empty() && !Path::new(entry).join("__init__.py").exists())
            .collect()
    }
}

fn verdict(name: &str, path: &str) -> Verdict {
    /// One question at a time: the initialisation of a module may give main's GIL up half-way, and must not begin again then.
    static ASKING: PerProcess<()> = PerProcess::new();

    let changed = std::fs::metadata(path)
        .and_then(|data| data.modified())
        .ok();
    let key = (path.to_owned(), changed);
    if let Some((_, known)) = verdicts().get(&key) {
        return known.clone();
    }
    if let Some((_, needed)) = NEEDS.iter().find(|(module, _)| *module == name)
        && let file = path.replace(name, needed)
        // Else it is built into Python.
        && Path::new(&file).exists()
        && let Verdict::Refused(_) = verdict(needed, &file)
    {
        let refused = refuse(name, &format!("it needs {needed}, which is refused"));
        verdicts().insert(key, (name.to_owned(), refused.clone()));
        return refused;
    }
    let _detached = Detached::new();
    let _asking = ASKING.lock();
    if let Some((_, known)) = verdicts().get(&key) {
        return known.clone();
    }
    let found = ask_main(name, path);
    verdicts().insert(key, (name.to_owned(), found.clone()));
    found
}

/// Has the main interpreter create the module, and reads its definition.
fn ask_main(name: &str, path: &str) -> Verdict {
    static mut MUST_RUN: ffi::PyMethodDef = callback::definition(
        c"must_run",
        c"must_run(module): whether main must run the module before others load it.",
        must_run,
    );
    // SAFETY: a subinterpreter is running, so Python is initialised, and pools end before it finalizes. All objects
    // belong to main and die before the visit ends; the module itself is kept for ever, so that main has it.
    unsafe {
        let Some(_visit) = Visit::main() else {
            return refuse(name, &Error::NoMemory.to_string());
        };
        let created = module().and_then(|loader| {
            loader.attribute(c"create_extension")?.call(&[
                &Object::string(name)?,
                &Object::string(path)?,
                &callback::function(&raw mut MUST_RUN)?,
            ])
        });
        match created {
            Ok(extension) => {
                let verdict = match supports_own_gil(&extension) {
                    Some(true) => Verdict::Fits,
                    Some(false) => refuse(name, ONE_PLACE),
                    None if ffi::MAIN_FIRST_MANDATORY => {
                        refuse(name, "it has no module definition")
                    }
                    None => Verdict::Unknown,
                };
                std::mem::forget(extension);
                verdict
            }
            Err(Raised) => {
                let error = Object::owned(ffi::take_raised());
                let text = error.and_then(|error| Object::owned(ffi::PyObject_Str(error.as_ptr())));
                let text = text.map(|text| text.text()).unwrap_or_default();
                ffi::PyErr_Clear();
                refuse(
                    name,
                    &format!("the main interpreter cannot load it: {text}"),
                )
            }
        }
    }
}

/// `must_run(module)`, called by main: some modules initialise static types of the process when they run (`_datetime` before
/// 3.14), which must happen in main first.
unsafe extern "C" fn must_run(
    _: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with live arguments.
    unsafe {
        callback::answer(arguments, count, |[extension]| {
            let must = ffi::MAIN_FIRST_MANDATORY && supports_own_gil(extension) == Some(true);
            Object::borrowed(if must {
                ffi::Py_True()
            } else {
                ffi::Py_False()
            })
        })
    }
}

/// What the definition of a module says; `None` if it has none, or if only CPython can tell.
fn supports_own_gil(extension: &Object) -> Option<bool> {
    // SAFETY: `extension` is alive and its interpreter attached; a definition lives as long as its library.
    unsafe {
        let definition = ffi::PyModule_GetDef(extension.as_ptr());
        ffi::PyErr_Clear();
        if definition.is_null() {
            None
        } else {
            ffi::supports_own_gil(definition)
        }
    }
}

/// Why most modules are refused.
const ONE_PLACE: &str = "it keeps its state in one place for the whole process";

fn refuse(name: &str, why: &str) -> Verdict {
    Verdict::Refused(format!(
        "module {name} cannot be loaded in an interpreter with a GIL of its own ({why}): run this task with \
         strategy=\"main-only\", in a ProcessPoolExecutor, or with another module"
    ))
}
