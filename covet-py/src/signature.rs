//! The arguments of a function that CPython calls by `METH_FASTCALL | METH_KEYWORDS`, without an allocation.

use crate::entry::{Kind, raise};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::CStr;

/// What a function takes: as many names as it has parameters.
#[derive(Debug)]
pub(crate) struct Signature<const N: usize> {
    pub(crate) function: &'static str,
    pub(crate) names: [&'static CStr; N],
    /// How many must be given.
    pub(crate) required: usize,
    /// How many may be given by position.
    pub(crate) positional: usize,
}

impl<const N: usize> Signature<N> {
    /// The arguments in the order of the names; `None` for what is not given.
    ///
    /// # Errors
    /// [`Raised`] with `TypeError`.
    ///
    /// # Safety
    /// What CPython passed to the function, during that call.
    #[inline]
    pub(crate) unsafe fn given(
        &self,
        arguments: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        keywords: *mut ffi::PyObject,
    ) -> Result<[Option<*mut ffi::PyObject>; N], Raised> {
        // SAFETY: as promised.
        let found = unsafe { self.sort(arguments, count, keywords, |argument| argument)? };
        Ok(found.map(|argument| (!argument.is_null()).then_some(argument)))
    }

    /// The same for a function that takes Python's None as not given; null for both.
    ///
    /// # Errors
    /// [`Raised`] with `TypeError`.
    ///
    /// # Safety
    /// As [`given`](Self::given).
    #[inline]
    pub(crate) unsafe fn read(
        &self,
        arguments: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        keywords: *mut ffi::PyObject,
    ) -> Result<[*mut ffi::PyObject; N], Raised> {
        // SAFETY: as promised.
        unsafe { self.sort(arguments, count, keywords, none_to_null) }
    }

    /// # Safety
    /// As [`given`](Self::given).
    #[inline(always)]
    unsafe fn sort(
        &self,
        arguments: *const *mut ffi::PyObject,
        count: ffi::Py_ssize_t,
        keywords: *mut ffi::PyObject,
        taken_as: impl Fn(*mut ffi::PyObject) -> *mut ffi::PyObject,
    ) -> Result<[*mut ffi::PyObject; N], Raised> {
        let mut found = [std::ptr::null_mut(); N];
        let count = count as usize;
        if count > self.positional {
            return Err(self.refuse(&format!(
                "expected at most {} positional arguments, found {count}",
                self.positional
            )));
        }
        // SAFETY: as promised: `count` arguments, and one for each keyword.
        unsafe {
            for (place, i) in found.iter_mut().zip(0..count) {
                *place = taken_as(*arguments.add(i));
            }
            if !keywords.is_null() {
                for i in 0..ffi::PyTuple_GET_SIZE(keywords) as usize {
                    let keyword = ffi::PyTuple_GET_ITEM(keywords, i as isize);
                    let place = self.place(keyword, count)?;
                    found[place] = taken_as(*arguments.add(count + i));
                }
            }
        }
        self.complete(found)
    }

    /// The arguments, if all that are required are there.
    #[inline]
    fn complete(&self, found: [*mut ffi::PyObject; N]) -> Result<[*mut ffi::PyObject; N], Raised> {
        match found[..self.required]
            .iter()
            .position(|argument| argument.is_null())
        {
            None => Ok(found),
            Some(missing) => {
                let name = self.names[missing].to_string_lossy();
                Err(self.refuse(&format!("expected the argument {name}, found none")))
            }
        }
    }

    /// Which parameter a keyword names.
    ///
    /// # Safety
    /// Attached; `keyword` is a `str`.
    unsafe fn place(&self, keyword: *mut ffi::PyObject, given: usize) -> Result<usize, Raised> {
        // SAFETY: as promised.
        let place = self.names.iter().position(|name| unsafe {
            ffi::PyUnicode_CompareWithASCIIString(keyword, name.as_ptr()) == 0
        });
        match place {
            Some(place) if place >= given => Ok(place),
            _ => {
                // SAFETY: as promised.
                let name = unsafe { Object::borrowed(keyword)? }.text();
                Err(self.refuse(&match place {
                    Some(_) => format!("got multiple values for argument '{name}'"),
                    None => format!("got an unexpected keyword argument '{name}'"),
                }))
            }
        }
    }

    #[cold]
    fn refuse(&self, what: &str) -> Raised {
        raise(Kind::Type, &format!("{}() {what}", self.function))
    }
}

#[inline]
fn none_to_null(argument: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: `None` is there as long as its interpreter.
    match argument == unsafe { ffi::Py_None() } {
        true => std::ptr::null_mut(),
        false => argument,
    }
}

/// A flag, if it is given.
///
/// # Safety
/// Attached; `argument` is null or alive.
pub(crate) unsafe fn flag(argument: *mut ffi::PyObject) -> Result<Option<bool>, Raised> {
    if argument.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised.
    match unsafe { ffi::PyObject_IsTrue(argument) } {
        -1 => Err(Raised),
        truth => Ok(Some(truth == 1)),
    }
}
