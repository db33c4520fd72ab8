//! A module from an image, made in the attached interpreter.
//!
//! What `_imp.create_dynamic` does for others (Python/import.c), except that the initialisation always runs here. A definition that
//! refuses is taken all the same, since loader.py turns CPython's check off: the image is this interpreter's own.

use super::open::Opened;
use crate::ffi;
use crate::object::{Object, Raised};
use std::ffi::{CString, c_void};
use std::path::Path;

type Init = unsafe extern "C" fn() -> *mut ffi::PyObject;

/// Makes the extension module of `spec`, whose name and file are given, from an image. `suffix` is what the name of its
/// initialisation function ends with (PEP 489). A module with several phases is still to be executed.
///
/// # Errors
/// [`Raised`] with `ImportError` when there is no image, or with what the initialisation raised.
///
/// # Safety
/// Attached to a subinterpreter.
pub(crate) unsafe fn create(
    spec: &Object,
    name: &Object,
    path: &Object,
    suffix: &str,
) -> Result<Object, Raised> {
    // SAFETY: attached, as promised.
    unsafe {
        let image = super::open_image(Path::new(&path.text()))
            .map_err(|why| import_error(&why, name, path))?;
        let made = match hook(&image, "PyInit", suffix) {
            Some(init) => from_init(init, spec, name, path)?,
            None => match from_export(&image, suffix, spec) {
                Some(made) => made?,
                None => {
                    let why = format!(
                        "dynamic module does not define module export function (PyInit{suffix})"
                    );
                    return Err(import_error(&why, name, path));
                }
            },
        };
        Ok(made)
    }
}

fn hook(image: &Opened, prefix: &str, suffix: &str) -> Option<*mut c_void> {
    let symbol = CString::new(format!("{prefix}{suffix}")).ok()?;
    let found = image.symbol(&symbol);
    (!found.is_null()).then_some(found)
}

unsafe fn import_error(why: &str, name: &Object, path: &Object) -> Raised {
    // SAFETY: attached; the objects are alive.
    unsafe {
        if let Ok(text) = Object::string(why) {
            ffi::PyErr_SetImportError(text.as_ptr(), name.as_ptr(), path.as_ptr());
        }
    }
    Raised
}

/// Runs `PyInit_*`, and makes a module of what it returns.
unsafe fn from_init(
    init: *mut c_void,
    spec: &Object,
    name: &Object,
    path: &Object,
) -> Result<Object, Raised> {
    // SAFETY: attached; the function is the initialisation of an extension module. It returns a module (a new reference) or a
    // definition (a borrowed one), or raises.
    unsafe {
        let init = std::mem::transmute::<*mut c_void, Init>(init);
        let found = init();
        let raised = !ffi::PyErr_Occurred().is_null();
        if found.is_null() || raised {
            if !raised {
                system_error(
                    "initialization of it failed without raising an exception",
                    name,
                );
            }
            return Err(Raised);
        }
        if ffi::Py_TYPE(found) == &raw mut ffi::PyModuleDef_Type {
            return Object::owned(ffi::PyModule_FromDefAndSpec2(
                found.cast(),
                spec.as_ptr(),
                ffi::PYTHON_API_VERSION,
            ));
        }
        let module = Object::owned(found)?;
        let definition = ffi::PyModule_GetDef(module.as_ptr());
        if definition.is_null() {
            ffi::PyErr_Clear();
            system_error(
                "initialization of it did not return an extension module",
                name,
            );
            return Err(Raised);
        }
        // An importer's package context would have given it the full name.
        for (key, value) in [(c"__name__", name), (c"__file__", path)] {
            if ffi::PyObject_SetAttrString(module.as_ptr(), key.as_ptr(), value.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        if (*definition).m_slots.is_null()
            && ffi::PyState_FindModule(definition).is_null()
            && ffi::PyState_AddModule(module.as_ptr(), definition) < 0
        {
            return Err(Raised);
        }
        Ok(module)
    }
}

unsafe fn system_error(what: &str, name: &Object) {
    // SAFETY: attached.
    unsafe {
        if let Ok(text) = CString::new(format!("{}: {what}", name.text())) {
            ffi::PyErr_SetString(ffi::PyExc_SystemError, text.as_ptr());
        }
    }
}

/// Makes a module from `PyModExport_*` (PEP 793), if the image has it.
#[cfg(Py_3_15)]
unsafe fn from_export(
    image: &Opened,
    suffix: &str,
    spec: &Object,
) -> Option<Result<Object, Raised>> {
    unsafe extern "C" {
        #[link_name = "PyModule_FromSlotsAndSpec"]
        fn module_from_slots(slots: *const c_void, spec: *mut ffi::PyObject) -> *mut ffi::PyObject;
    }

    let export = hook(image, "PyModExport", suffix)?;
    // SAFETY: attached; the function returns the slots of a module, or raises.
    unsafe {
        let export =
            std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_void>(export);
        let slots = export();
        if slots.is_null() {
            if ffi::PyErr_Occurred().is_null() {
                ffi::PyErr_SetString(
                    ffi::PyExc_SystemError,
                    c"a module export function returned nothing and raised no exception".as_ptr(),
                );
            }
            return Some(Err(Raised));
        }
        Some(Object::owned(module_from_slots(slots, spec.as_ptr())))
    }
}

#[cfg(not(Py_3_15))]
unsafe fn from_export(_: &Opened, _: &str, _: &Object) -> Option<Result<Object, Raised>> {
    None
}
