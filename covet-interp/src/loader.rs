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

use crate::attach::Visit;
use crate::ffi;
use crate::object::{Object, Raised};
use std::collections::HashMap;
use std::ffi::CStr;
use std::panic::catch_unwind;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

const NAME: &CStr = c"_covet_loader";

/// What is known of one extension module.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// It may be loaded in every interpreter.
    Fits,
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

fn verdicts() -> &'static Mutex<HashMap<Key, Verdict>> {
    static VERDICTS: OnceLock<Mutex<HashMap<Key, Verdict>>> = OnceLock::new();
    VERDICTS.get_or_init(Mutex::default)
}

/// Makes the attached subinterpreter ask before it loads an extension module.
///
/// # Errors
/// [`Raised`] when memory runs out.
///
/// # Safety
/// Attached to a subinterpreter in which nothing but its own start-up has run.
pub(crate) unsafe fn install() -> Result<(), Raised> {
    static mut ADMIT: ffi::PyMethodDef = ffi::PyMethodDef {
        ml_name: c"admit".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer {
            PyCFunctionFast: admit,
        },
        ml_flags: ffi::METH_FASTCALL,
        ml_doc:
            c"admit(name, path, refused): raises ImportError unless every interpreter may load it."
                .as_ptr(),
    };
    // SAFETY: attached. CPython only reads the method definition, which lives as long as the process.
    unsafe {
        let admit = Object::owned(ffi::PyCFunction_NewEx(
            &raw mut ADMIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        ))?;
        module()?.attribute(c"admit_extensions")?.call(&[&admit])?;
    }
    Ok(())
}

/// The Python half of this file in the attached interpreter.
///
/// # Safety
/// A thread state is attached.
unsafe fn module() -> Result<Object, Raised> {
    // SAFETY: attached; `sys.modules` is borrowed.
    unsafe {
        let modules = ffi::PyImport_GetModuleDict();
        let found = ffi::PyDict_GetItemString(modules, NAME.as_ptr());
        if !found.is_null() {
            return Object::borrowed(found);
        }
        ffi::PyErr_Clear();
        let made = Object::module_from_source(NAME, include_str!("loader.py"))?;
        if ffi::PyDict_SetItemString(modules, NAME.as_ptr(), made.as_ptr()) < 0 {
            return Err(Raised);
        }
        Ok(made)
    }
}

/// `admit(name, path, refused)`, called by a subinterpreter that is about to load an extension module, or that was
/// refused one by CPython.
unsafe extern "C" fn admit(
    _module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
) -> *mut ffi::PyObject {
    let outcome = catch_unwind(|| {
        // SAFETY: CPython calls this attached, with `count` live arguments.
        unsafe {
            if count != 3 {
                ffi::PyErr_SetString(
                    ffi::PyExc_TypeError,
                    c"expected admit(name, path, refused)".as_ptr(),
                );
                return Err(Raised);
            }
            let name = Object::borrowed(*arguments)?;
            let path = Object::borrowed(*arguments.add(1))?.text();
            let verdict = if *arguments.add(2) == ffi::Py_True() {
                refuse(&name.text(), ONE_PLACE)
            } else {
                verdict(&name.text(), &path)
            };
            if let Verdict::Refused(reason) = verdict {
                let text = Object::string(&reason)?;
                let path = Object::string(&path)?;
                ffi::PyErr_SetImportError(text.as_ptr(), name.as_ptr(), path.as_ptr());
                return Err(Raised);
            }
            Object::borrowed(ffi::Py_None())
        }
    });
    match outcome {
        Ok(Ok(none)) => none.into_ptr(),
        Ok(Err(Raised)) => std::ptr::null_mut(),
        Err(_) => {
            // SAFETY: CPython called this attached.
            unsafe {
                ffi::PyErr_SetString(
                    ffi::PyExc_SystemError,
                    c"the extension loader panicked".as_ptr(),
                )
            };
            std::ptr::null_mut()
        }
    }
}

fn verdict(name: &str, path: &str) -> Verdict {
    let changed = std::fs::metadata(path)
        .and_then(|data| data.modified())
        .ok();
    let key = (path.to_owned(), changed);
    let known = verdicts()
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&key)
        .cloned();
    known.unwrap_or_else(|| {
        // Not under the lock: the main interpreter may run Python code, which may come back here.
        let found = match NEEDS.iter().find(|(module, _)| *module == name) {
            Some((_, needed))
                if matches!(
                    verdict(needed, &path.replace(name, needed)),
                    Verdict::Refused(_)
                ) =>
            {
                refuse(name, &format!("it needs {needed}, which is refused"))
            }
            _ => ask_main(name, path),
        };
        verdicts()
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, found.clone());
        found
    })
}

/// Has the main interpreter create the module, and reads its definition.
fn ask_main(name: &str, path: &str) -> Verdict {
    // SAFETY: a subinterpreter is running, so Python is initialised, and pools end before it finalizes. All objects
    // belong to main and die before the visit ends; the module itself is kept for ever, so that main has it.
    unsafe {
        let _visit = Visit::main();
        let created = module().and_then(|loader| {
            loader
                .attribute(c"create_extension")?
                .call(&[&Object::string(name)?, &Object::string(path)?])
        });
        match created {
            Ok(extension) => {
                let definition = ffi::PyModule_GetDef(extension.as_ptr());
                ffi::PyErr_Clear();
                let supported = if definition.is_null() {
                    None
                } else {
                    ffi::supports_own_gil(definition)
                };
                let verdict = match supported {
                    Some(true) => Verdict::Fits,
                    Some(false) => refuse(
                        name,
                        "it keeps its state in one place for the whole process",
                    ),
                    None if ffi::MAIN_FIRST_MANDATORY => {
                        refuse(name, "it has no module definition")
                    }
                    None => Verdict::Unknown,
                };
                // Some initialise static types of the process when they run (`_datetime` before 3.14).
                if ffi::MAIN_FIRST_MANDATORY && verdict == Verdict::Fits {
                    let run = module().and_then(|loader| {
                        loader.attribute(c"execute_extension")?.call(&[&extension])
                    });
                    if let Err(Raised) = run {
                        ffi::PyErr_Clear();
                    }
                }
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

/// Why most modules are refused.
const ONE_PLACE: &str = "it keeps its state in one place for the whole process";

fn refuse(name: &str, why: &str) -> Verdict {
    Verdict::Refused(format!(
        "module {name} cannot be loaded in an interpreter with a GIL of its own ({why}): run this task with \
         strategy=\"main-only\", in a ProcessPoolExecutor, or with another module"
    ))
}
