//! How CPython enters Rust: no panic crosses, every error becomes an exception.

use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Runs the body of a function that CPython calls and that returns an object.
#[inline]
pub(crate) fn object(body: impl FnOnce() -> Result<Object, Raised>) -> *mut ffi::PyObject {
    guarded(body).map_or(ptr::null_mut(), Object::into_ptr)
}

/// The same for an iterator's next: `None` ends the iteration.
#[inline]
pub(crate) fn next(body: impl FnOnce() -> Result<Option<Object>, Raised>) -> *mut ffi::PyObject {
    guarded(body)
        .ok()
        .flatten()
        .map_or(ptr::null_mut(), Object::into_ptr)
}

/// The same for one that returns 0, or -1 with an exception.
pub(crate) fn status(body: impl FnOnce() -> Result<(), Raised>) -> c_int {
    guarded(body).map_or(-1, |()| 0)
}

/// The same for one that returns a size, or -1 with an exception.
pub(crate) fn size(body: impl FnOnce() -> Result<usize, Raised>) -> ffi::Py_ssize_t {
    guarded(body).map_or(-1, |size| size as ffi::Py_ssize_t)
}

#[inline]
fn guarded<R>(body: impl FnOnce() -> Result<R, Raised>) -> Result<R, Raised> {
    // A body that panics leaves nothing half-changed that anyone reads again: what it touched is behind locks or
    // belongs to the call.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(raise(
            Kind::System,
            &format!("covet_py panicked, which is a bug: {text}"),
        ))
    })
}

/// Exceptions that Rust raises by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Buffer,
    Index,
    Memory,
    Overflow,
    Runtime,
    System,
    Timeout,
    Type,
    Value,
    ZeroDivision,
}

/// Raises an exception with a text. The calling thread is attached.
#[cold]
pub(crate) fn raise(kind: Kind, text: &str) -> Raised {
    // SAFETY: attached, as every function that CPython calls; the types are static and immortal.
    unsafe {
        let kind = match kind {
            Kind::Buffer => ffi::PyExc_BufferError,
            Kind::Index => ffi::PyExc_IndexError,
            Kind::Memory => ffi::PyExc_MemoryError,
            Kind::Overflow => ffi::PyExc_OverflowError,
            Kind::Runtime => ffi::PyExc_RuntimeError,
            Kind::System => ffi::PyExc_SystemError,
            Kind::Timeout => ffi::PyExc_TimeoutError,
            Kind::Type => ffi::PyExc_TypeError,
            Kind::Value => ffi::PyExc_ValueError,
            Kind::ZeroDivision => ffi::PyExc_ZeroDivisionError,
        };
        if let Ok(text) = Object::string(text) {
            ffi::PyErr_SetObject(kind, text.as_ptr());
        }
    }
    Raised
}

/// The arguments of a vectorcall (PEP 590): positional ones first, then one for each name in `names`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arguments<'a> {
    pub(crate) all: &'a [*mut ffi::PyObject],
    /// A tuple of `str`, or null.
    pub(crate) names: *mut ffi::PyObject,
}

impl Arguments<'_> {
    /// # Safety
    /// What CPython passed to a function with `METH_FASTCALL | METH_KEYWORDS`, valid during that call.
    #[inline]
    pub(crate) unsafe fn new(
        pointer: *const *mut ffi::PyObject,
        positional: ffi::Py_ssize_t,
        names: *mut ffi::PyObject,
    ) -> Self {
        // SAFETY: as promised: `pointer` names positional + len(names) live references.
        unsafe {
            let named = if names.is_null() {
                0
            } else {
                ffi::PyTuple_GET_SIZE(names)
            };
            let count = (positional + named) as usize;
            let all = if count == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(pointer, count)
            };
            Self { all, names }
        }
    }

    /// The first positional argument, and the rest.
    pub(crate) fn split_first(self, what: &str) -> Result<(*mut ffi::PyObject, Self), Raised> {
        let named = if self.names.is_null() {
            0
        } else {
            // SAFETY: a tuple if it is not null.
            unsafe { ffi::PyTuple_GET_SIZE(self.names) as usize }
        };
        match self.all.split_first() {
            Some((&first, rest)) if rest.len() >= named => Ok((
                first,
                Self {
                    all: rest,
                    names: self.names,
                },
            )),
            _ => Err(raise(
                Kind::Type,
                &format!("expected {what} as the first positional argument"),
            )),
        }
    }
}

/// Seconds from a Python number; `None` from `None`.
pub(crate) fn seconds(value: *mut ffi::PyObject) -> Result<Option<std::time::Duration>, Raised> {
    // SAFETY: attached, and `value` is an argument of the present call.
    unsafe {
        if value == ffi::Py_None() {
            return Ok(None);
        }
        let number = ffi::PyFloat_AsDouble(value);
        if number == -1.0 && !ffi::PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        if number.is_nan() {
            return Err(raise(
                Kind::Value,
                "expected a timeout in seconds, found nan",
            ));
        }
        // Beyond a thousand years there is no difference to waiting for ever.
        Ok(std::time::Duration::try_from_secs_f64(number.max(0.0))
            .ok()
            .filter(|d| d.as_secs() < 1 << 35))
    }
}

/// A `usize` from a Python int; `None` from `None`.
pub(crate) fn integer(value: *mut ffi::PyObject) -> Result<Option<usize>, Raised> {
    // SAFETY: as in `seconds`.
    unsafe {
        if value == ffi::Py_None() {
            return Ok(None);
        }
        let number = ffi::PyLong_AsSize_t(value);
        if ffi::PyErr_Occurred().is_null() {
            Ok(Some(number))
        } else {
            Err(Raised)
        }
    }
}

/// A number of seconds, without its fraction.
///
/// # Safety
/// Attached; `number` is alive.
pub(crate) unsafe fn whole(number: *mut ffi::PyObject) -> Result<i64, Raised> {
    // SAFETY: as promised.
    unsafe {
        if ffi::PyFloat_Check(number) != 0 {
            return Ok(ffi::PyFloat_AsDouble(number).floor() as i64);
        }
        match ffi::PyLong_AsLongLong(number) {
            -1 if !ffi::PyErr_Occurred().is_null() => Err(Raised),
            number => Ok(number),
        }
    }
}

/// A count of at least 1; `None` from `None`.
pub(crate) fn count(value: *mut ffi::PyObject, what: &str) -> Result<Option<usize>, Raised> {
    // SAFETY: as in `seconds`.
    unsafe {
        if value == ffi::Py_None() {
            return Ok(None);
        }
        let number = ffi::PyNumber_AsSsize_t(value, ffi::PyExc_OverflowError);
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        match usize::try_from(number) {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(raise(
                Kind::Value,
                &format!("expected {what} to be at least 1, found {number}"),
            )),
        }
    }
}

/// Whether a type's instances end by this function: then it is one of those, one in each interpreter, that are made with it.
///
/// # Safety
/// Attached; the type is alive.
pub(crate) unsafe fn ends_by(kind: *mut ffi::PyTypeObject, dealloc: ffi::destructor) -> bool {
    // SAFETY: as promised.
    let destructor = unsafe { (*kind).tp_dealloc };
    destructor.is_some_and(|destructor| std::ptr::fn_addr_eq(destructor, dealloc))
}

/// Makes a heap type of a module. Instances have the layout of `T`.
///
/// # Safety
/// Attached; `module` is made from our definition; `T` begins with a `PyObject`; the slots fit it, end with a zero slot, and
/// point to what lives as long as the process.
pub(crate) unsafe fn make_type<T>(
    module: *mut ffi::PyObject,
    name: &'static CStr,
    flags: c_ulong,
    slots: &mut [ffi::PyType_Slot],
) -> Result<Object, Raised> {
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size_of::<T>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | flags) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: as promised; spec and slots are read during the call.
    unsafe {
        Object::owned(ffi::PyType_FromModuleAndSpec(
            module,
            &mut spec,
            ptr::null_mut(),
        ))
    }
}

/// The same for a type that is called: by `new`, without a tuple or a dict for its arguments. It has no `__new__`, so that
/// nothing else makes an instance.
///
/// # Safety
/// As [`make_type`].
pub(crate) unsafe fn make_callable_type<T>(
    module: *mut ffi::PyObject,
    name: &'static CStr,
    new: ffi::vectorcallfunc,
    slots: &mut [ffi::PyType_Slot],
) -> Result<Object, Raised> {
    let flags = ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION | ffi::Py_TPFLAGS_IMMUTABLETYPE;
    // SAFETY: as promised; nobody has seen the type yet, and CPython calls it by this function if there is one.
    unsafe {
        let made = make_type::<T>(module, name, flags, slots)?;
        (*made.as_ptr().cast::<ffi::PyTypeObject>()).tp_vectorcall = Some(new);
        Ok(made)
    }
}

/// A slot of a type.
pub(crate) const fn slot(number: c_int, pointer: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot {
        slot: number,
        pfunc: pointer,
    }
}

/// An attribute that is read by a function.
pub(crate) const fn property(
    name: &'static CStr,
    get: ffi::getter,
    doc: &'static CStr,
) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set: None,
        doc: doc.as_ptr(),
        closure: ptr::null_mut(),
    }
}

/// What ends a table of them.
pub(crate) const END: ffi::PyGetSetDef = ffi::PyGetSetDef {
    name: ptr::null(),
    get: None,
    set: None,
    doc: ptr::null(),
    closure: ptr::null_mut(),
};

/// The text of a `str`, which keeps it in UTF-8 from then on; `None` for another type.
///
/// # Errors
/// [`Raised`] with `UnicodeEncodeError` for a lone surrogate.
///
/// # Safety
/// Attached; `object` is alive for `'a`.
#[inline]
pub(crate) unsafe fn utf8<'a>(object: *mut ffi::PyObject) -> Result<Option<&'a str>, Raised> {
    let mut length = 0;
    // SAFETY: attached and alive; the text belongs to the str, which never changes.
    unsafe {
        if ffi::PyUnicode_Check(object) == 0 {
            return Ok(None);
        }
        let data = ffi::PyUnicode_AsUTF8AndSize(object, &mut length);
        if data.is_null() {
            return Err(Raised);
        }
        let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length as usize);
        Ok(Some(std::str::from_utf8_unchecked(bytes)))
    }
}

/// A tuple of what is made there; the first failure counts. Called attached.
pub(crate) fn tuple<I>(items: I) -> Result<Object, Raised>
where
    I: IntoIterator<Item = Result<Object, Raised>, IntoIter: ExactSizeIterator>,
{
    let mut items = items.into_iter();
    let length = items.len() as ffi::Py_ssize_t;
    // SAFETY: attached; each place of the new tuple takes one reference. Places that are still empty, if there is a failure, are
    // nothing to whoever drops it.
    unsafe {
        let tuple = Object::owned(ffi::PyTuple_New(length))?;
        for i in 0..length {
            let item = items.next().expect("an iterator knows its length")?;
            ffi::PyTuple_SET_ITEM(tuple.as_ptr(), i, item.into_ptr());
        }
        Ok(tuple)
    }
}
