//! Private images of extension modules: how they are tried, and which there are.

use crate::entry;
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// `set_trial_command(command)`: the program and arguments, a tuple of `str`.
pub(crate) unsafe extern "C" fn set_trial_command(
    _: *mut ffi::PyObject,
    command: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached, with a live argument.
    entry::object(|| unsafe {
        let words = Object::owned(ffi::PySequence_Tuple(command))?;
        let command = (0..ffi::PyTuple_GET_SIZE(words.as_ptr()))
            .map(|i| {
                let word = ffi::PyTuple_GET_ITEM(words.as_ptr(), i);
                let bytes = Object::owned(ffi::PyUnicode_EncodeFSDefault(word))?;
                Ok(OsString::from_vec(
                    bytes.as_bytes().unwrap_or_default().to_vec(),
                ))
            })
            .collect::<Result<_, Raised>>()?;
        covet_interp::set_trial_command(command);
        Object::borrowed(ffi::Py_None())
    })
}

/// `images()`: the files of which this process has private images, a list of `str`.
pub(crate) unsafe extern "C" fn images(
    _: *mut ffi::PyObject,
    _: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: CPython calls this attached; the list is filled with new references.
    entry::object(|| unsafe {
        let list = Object::owned(ffi::PyList_New(0))?;
        for path in covet_interp::images() {
            let bytes = path.as_os_str().as_encoded_bytes();
            let name = Object::owned(ffi::PyUnicode_DecodeFSDefaultAndSize(
                bytes.as_ptr().cast(),
                bytes.len() as ffi::Py_ssize_t,
            ))?;
            if ffi::PyList_Append(list.as_ptr(), name.as_ptr()) < 0 {
                return Err(Raised);
            }
        }
        Ok(list)
    })
}
