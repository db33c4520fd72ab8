//! Owned references and Python errors, for code that is attached.
//!
//! An [`Object`] is one strong reference. It must be dropped while its interpreter is attached, so it is
//! neither `Send` nor `Sync` and never leaves the crates that bind Python.

use crate::ffi;
use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::sync::OnceLock;

/// One strong reference to a Python object of the attached interpreter.
#[derive(Debug)]
pub struct Object(NonNull<ffi::PyObject>);

/// A Python exception is raised in the attached interpreter; whoever gets this takes, clears or passes it on.
#[derive(Debug)]
pub struct Raised;

impl Object {
    /// Takes over a new reference; null means that an exception is raised.
    ///
    /// # Errors
    /// [`Raised`] when `pointer` is null.
    ///
    /// # Safety
    /// A thread state is attached, and `pointer` is null or a strong reference that nobody else gives back.
    #[inline]
    pub unsafe fn owned(pointer: *mut ffi::PyObject) -> Result<Self, Raised> {
        NonNull::new(pointer).map(Self).ok_or(Raised)
    }

    /// Adds a reference to a borrowed one; null means that an exception is raised.
    ///
    /// # Errors
    /// [`Raised`] when `pointer` is null.
    ///
    /// # Safety
    /// A thread state is attached, and `pointer` is null or alive.
    #[inline]
    pub unsafe fn borrowed(pointer: *mut ffi::PyObject) -> Result<Self, Raised> {
        // SAFETY: null or alive, attached: as promised.
        unsafe {
            ffi::Py_XINCREF(pointer);
            Self::owned(pointer)
        }
    }

    /// The pointer, still owned by this object.
    #[inline]
    pub fn as_ptr(&self) -> *mut ffi::PyObject {
        self.0.as_ptr()
    }

    /// The pointer, with its reference.
    #[inline]
    pub fn into_ptr(self) -> *mut ffi::PyObject {
        let pointer = self.0.as_ptr();
        std::mem::forget(self);
        pointer
    }

    /// A second reference to the same object.
    pub fn another(&self) -> Self {
        // SAFETY: alive because `self` owns a reference; attached because `self` exists.
        unsafe { ffi::Py_INCREF(self.as_ptr()) };
        Self(self.0)
    }

    /// The attribute `name`.
    ///
    /// # Errors
    /// [`Raised`], usually `AttributeError`.
    pub fn attribute(&self, name: &CStr) -> Result<Self, Raised> {
        // SAFETY: both pointers are alive, attached; the result is a new reference.
        unsafe { Self::owned(ffi::PyObject_GetAttrString(self.as_ptr(), name.as_ptr())) }
    }

    /// Calls the object with positional arguments.
    ///
    /// # Errors
    /// [`Raised`] with whatever the call raised.
    pub fn call(&self, arguments: &[&Object]) -> Result<Self, Raised> {
        let pointers: Vec<_> = arguments.iter().map(|a| a.as_ptr()).collect();
        // SAFETY: attached; every pointer is alive for the call; the result is a new reference.
        unsafe {
            Self::owned(ffi::PyObject_Vectorcall(
                self.as_ptr(),
                pointers.as_ptr(),
                pointers.len(),
                std::ptr::null_mut(),
            ))
        }
    }

    /// The module `name`, imported.
    ///
    /// # Errors
    /// [`Raised`] with whatever the import raised.
    ///
    /// # Safety
    /// A thread state is attached.
    pub unsafe fn import(name: &CStr) -> Result<Self, Raised> {
        // SAFETY: attached; the result is a new reference.
        unsafe { Self::owned(ffi::PyImport_ImportModule(name.as_ptr())) }
    }

    /// A `str`.
    ///
    /// # Errors
    /// [`Raised`] with `MemoryError`.
    ///
    /// # Safety
    /// A thread state is attached.
    pub unsafe fn string(text: &str) -> Result<Self, Raised> {
        // SAFETY: attached; pointer and length name the bytes of `text`; the result is a new reference.
        unsafe {
            Self::owned(ffi::PyUnicode_FromStringAndSize(
                text.as_ptr().cast(),
                text.len() as isize,
            ))
        }
    }

    /// A `bytes` with a copy of `data`.
    ///
    /// # Errors
    /// [`Raised`] with `MemoryError`.
    ///
    /// # Safety
    /// A thread state is attached.
    pub unsafe fn bytes(data: &[u8]) -> Result<Self, Raised> {
        // SAFETY: attached; pointer and length name `data`; the result is a new reference.
        unsafe {
            Self::owned(ffi::PyBytes_FromStringAndSize(
                data.as_ptr().cast(),
                data.len() as isize,
            ))
        }
    }

    /// The contents of a `bytes`, or `None` for another type.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        // SAFETY: the type is checked first; a bytes object is immutable and lives as long as `self`.
        unsafe {
            (ffi::PyBytes_Check(self.as_ptr()) != 0).then(|| {
                std::slice::from_raw_parts(
                    ffi::PyBytes_AsString(self.as_ptr()).cast::<u8>(),
                    ffi::PyBytes_Size(self.as_ptr()) as usize,
                )
            })
        }
    }

    /// The text of a `str`, lone surrogates replaced; an empty string for another type.
    pub fn text(&self) -> String {
        let mut length = 0;
        // SAFETY: attached and alive; the buffer belongs to the str; an error is cleared at once.
        unsafe {
            if ffi::PyUnicode_Check(self.as_ptr()) == 0 {
                return String::new();
            }
            let data = ffi::PyUnicode_AsUTF8AndSize(self.as_ptr(), &mut length);
            if !data.is_null() {
                let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length as usize);
                return String::from_utf8_lossy(bytes).into_owned();
            }
            ffi::PyErr_Clear();
            let replaced = Self::owned(ffi::PyUnicode_AsEncodedString(
                self.as_ptr(),
                c"utf-8".as_ptr(),
                c"replace".as_ptr(),
            ));
            match &replaced {
                Ok(bytes) => {
                    String::from_utf8_lossy(bytes.as_bytes().unwrap_or_default()).into_owned()
                }
                Err(Raised) => {
                    ffi::PyErr_Clear();
                    String::new()
                }
            }
        }
    }

    /// Runs `source` as the body of a new module called `name` and returns the module.
    ///
    /// # Errors
    /// [`Raised`] when it does not compile or raises.
    ///
    /// # Safety
    /// A thread state is attached.
    pub unsafe fn module_from_source(name: &CStr, source: &str) -> Result<Self, Raised> {
        // SAFETY: attached, as promised.
        unsafe { Self::module_from_code(name, &compile(name, source)?) }
    }

    /// The module `name` of the attached interpreter that is made of a source of this crate; made, and listed in
    /// `sys.modules`, if it is not there.
    ///
    /// # Errors
    /// [`Raised`] when memory runs out.
    ///
    /// # Safety
    /// A thread state is attached.
    pub(crate) unsafe fn own_module(source: &Source) -> Result<Self, Raised> {
        let name = source.name;
        // SAFETY: attached, as promised; `sys.modules` is borrowed from the interpreter.
        unsafe {
            let modules = ffi::PyImport_GetModuleDict();
            let found = ffi::PyDict_GetItemString(modules, name.as_ptr());
            if !found.is_null() {
                return Self::borrowed(found);
            }
            ffi::PyErr_Clear();
            let made = Self::module_from_code(name, &source.code()?)?;
            if ffi::PyDict_SetItemString(modules, name.as_ptr(), made.as_ptr()) < 0 {
                return Err(Raised);
            }
            Ok(made)
        }
    }

    /// Makes a module by running a code object in it.
    ///
    /// # Safety
    /// A thread state is attached.
    unsafe fn module_from_code(name: &CStr, code: &Self) -> Result<Self, Raised> {
        // SAFETY: attached; every new reference is owned at once, every pointer is alive where it is used.
        unsafe {
            let module = Self::owned(ffi::PyModule_New(name.as_ptr()))?;
            let globals = ffi::PyModule_GetDict(module.as_ptr());
            if ffi::PyDict_SetItemString(
                globals,
                c"__builtins__".as_ptr(),
                ffi::PyEval_GetBuiltins(),
            ) < 0
            {
                return Err(Raised);
            }
            Self::owned(ffi::PyEval_EvalCode(code.as_ptr(), globals, globals))?;
            Ok(module)
        }
    }
}

/// The source of a module of this crate. Compiled once in a process: every interpreter needs it, and compiling takes much longer
/// than reading what was compiled.
#[derive(Debug)]
pub(crate) struct Source {
    name: &'static CStr,
    text: &'static str,
    /// The code object, as `marshal` writes it.
    marshalled: OnceLock<Vec<u8>>,
}

impl Source {
    pub(crate) const fn new(name: &'static CStr, text: &'static str) -> Self {
        Self {
            name,
            text,
            marshalled: OnceLock::new(),
        }
    }

    /// Its code object in the attached interpreter.
    ///
    /// # Safety
    /// A thread state is attached.
    unsafe fn code(&self) -> Result<Object, Raised> {
        // SAFETY: attached; `marshal` reads what it wrote in this process, and every new reference is owned at once.
        unsafe {
            if let Some(bytes) = self.marshalled.get() {
                return Object::owned(ffi::PyMarshal_ReadObjectFromString(
                    bytes.as_ptr().cast(),
                    bytes.len() as ffi::Py_ssize_t,
                ));
            }
            let code = compile(self.name, self.text)?;
            let written = Object::owned(ffi::PyMarshal_WriteObjectToString(
                code.as_ptr(),
                ffi::MARSHAL_VERSION,
            ))?;
            // Another interpreter may have done the same meanwhile. Nobody waits for that: they all hold a GIL.
            let _ = self
                .marshalled
                .set(written.as_bytes().unwrap_or_default().to_vec());
            Ok(code)
        }
    }
}

/// The code object of a module.
///
/// # Safety
/// A thread state is attached.
unsafe fn compile(name: &CStr, source: &str) -> Result<Object, Raised> {
    let source = c_string(source)?;
    // Between angle brackets: nobody looks for such a file.
    let file = c_string(&format!("<{}>", name.to_string_lossy()))?;
    // SAFETY: attached; both strings live until the call returns.
    unsafe {
        Object::owned(ffi::Py_CompileString(
            source.as_ptr(),
            file.as_ptr(),
            ffi::Py_file_input,
        ))
    }
}

impl Drop for Object {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the reference is ours; objects live and die while their interpreter is attached.
        unsafe { ffi::Py_DECREF(self.as_ptr()) }
    }
}

/// A C string, or a raised `ValueError` when the text holds a NUL.
pub(crate) fn c_string(text: &str) -> Result<CString, Raised> {
    CString::new(text).map_err(|_| {
        // SAFETY: only called while attached; the message is a static C string.
        unsafe {
            ffi::PyErr_SetString(
                ffi::PyExc_ValueError,
                c"source text must not contain NUL".as_ptr(),
            )
        };
        Raised
    })
}
