//! In the place of private images, where there are none: they need the ELF files and the dynamic loader of Linux with glibc.

use crate::extensions::Extensions;
use crate::object::{Object, Raised};
use crate::slot::Slot;
use std::ffi::c_void;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) fn enter(_: &Arc<Slot>, _: Extensions) {}

pub(crate) fn leave(_: &Slot) -> bool {
    false
}

pub(crate) fn extensions() -> Extensions {
    Extensions::Strict
}

pub(crate) fn may_fit(_: &str) -> bool {
    true
}

/// The files of which this process has opened private images: none.
pub fn images() -> Vec<PathBuf> {
    Vec::new()
}

/// Never called: [`extensions`] is strict.
pub(crate) unsafe fn create(_: &Object, _: &Object, _: &Object, _: &str) -> Result<Object, Raised> {
    Err(Raised)
}

/// Every library is shared.
pub(crate) unsafe fn open_library(_: &Path) -> Result<Option<*mut c_void>, String> {
    Ok(None)
}

pub(crate) mod verdict {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    /// Says how a trial is made. None is made here.
    pub fn set_trial_command(_: Vec<OsString>) {}

    #[allow(dead_code)] // made all the same
    pub(crate) struct Wanted {
        pub(crate) name: String,
        pub(crate) path: PathBuf,
        pub(crate) importing: String,
        pub(crate) places: Vec<String>,
    }

    pub(crate) fn verdict(_: &Wanted) -> Result<(), String> {
        Err("there are none on this system".to_owned())
    }

    pub(crate) fn is_danger(_: &str) -> bool {
        false
    }

    pub(crate) fn known(_: &str, _: &Path) -> Option<Result<(), String>> {
        None
    }
}
