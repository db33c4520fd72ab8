//! Private images of an extension module that refuses interpreters with a GIL of their own: `examples/refusing.rs`.
//!
//! A process of its own: how a trial is made is set for the whole process.

#[cfg(all(target_os = "linux", Py_3_12, not(Py_GIL_DISABLED)))]
mod common;
#[cfg(all(target_os = "linux", Py_3_12, not(Py_GIL_DISABLED)))]
mod refused;
#[cfg(all(target_os = "linux", Py_3_12, not(Py_GIL_DISABLED)))]
mod works;

#[cfg(not(all(target_os = "linux", Py_3_12, not(Py_GIL_DISABLED))))]
#[test]
#[ignore = "they need Linux, and a Python whose interpreters have a GIL each"]
fn images() {}
