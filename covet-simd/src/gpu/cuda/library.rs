//! The libraries of CUDA, which are looked for when they are first needed.
//!
//! cudarc panics if it does not find one, so [`Library::load`] comes before the first call of each. cudarc knows the system's
//! search path only; what lies elsewhere is loaded here by its path, and then found by its name, as it is there already.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::OnceLock;

use cudarc::{cublas, driver, nvrtc};

use crate::gpu::Error;

/// Where libraries are looked for first, as a list of directories.
const PATH: &str = "COVET_CUDA_PATH";

/// A library, and whether it was found.
pub(super) struct Library {
    what: &'static str,
    /// The file, on Linux.
    file: &'static str,
    /// As cudarc has them.
    names: &'static [&'static str],
    /// Whether cudarc finds it.
    present: unsafe fn() -> bool,
    found: OnceLock<Result<(), Error>>,
}

pub(super) static DRIVER: Library = Library::new(
    "CUDA driver library",
    "libcuda.so.1",
    &["cuda", "nvcuda"],
    driver::sys::is_culib_present,
);
pub(super) static NVRTC: Library = Library::new(
    "NVRTC library, CUDA's compiler for kernels",
    "libnvrtc.so.12 or .13",
    &["nvrtc"],
    nvrtc::sys::is_culib_present,
);
pub(super) static CUBLAS: Library = Library::new(
    "cuBLAS library",
    "libcublas.so.12 or .13",
    &["cublas"],
    cublas::sys::is_culib_present,
);

impl Library {
    const fn new(
        what: &'static str,
        file: &'static str,
        names: &'static [&'static str],
        present: unsafe fn() -> bool,
    ) -> Self {
        Self {
            what,
            file,
            names,
            present,
            found: OnceLock::new(),
        }
    }

    /// Makes sure that the library is there.
    pub(super) fn load(&self) -> Result<(), Error> {
        let look = || self.look(std::env::var_os(PATH).as_deref());
        self.found.get_or_init(look).clone()
    }

    fn look(&self, path: Option<&OsStr>) -> Result<(), Error> {
        for directory in path.map(std::env::split_paths).into_iter().flatten() {
            if self.load_from(&directory) {
                break;
            }
        }
        // SAFETY: loads what has the name of a library of CUDA: its initialisers are taken to be sound.
        match unsafe { (self.present)() } {
            true => Ok(()),
            false => Err(Error::Unavailable(format!(
                "no {}: expected {} where the system looks for libraries{}",
                self.what,
                self.file,
                match path {
                    Some(path) => format!(
                        ", or in one of the directories of {PATH}={}",
                        path.display()
                    ),
                    None => format!(", or in a directory that {PATH} names"),
                }
            ))),
        }
    }

    /// Loads the library by its path, if it is there, for the rest of the process.
    fn load_from(&self, directory: &Path) -> bool {
        let files = self
            .names
            .iter()
            .flat_map(|name| cudarc::get_lib_name_candidates(name));
        for path in files.map(|file| directory.join(file)) {
            // SAFETY: as above, and the user has named the directory.
            if let Ok(library) = unsafe { libloading::Library::new(path) } {
                std::mem::forget(library);
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_nowhere_is_named_with_the_places() {
        let nowhere = Library::new(
            "library of nothing",
            "libnothing.so",
            &["covet-nothing"],
            || false,
        );
        let Err(Error::Unavailable(reason)) = nowhere.look(Some(OsStr::new("/nowhere"))) else {
            panic!("it was found");
        };
        assert!(reason.starts_with("no library of nothing: "), "{reason}");
        assert!(reason.contains("COVET_CUDA_PATH=/nowhere"), "{reason}");
    }

    #[test]
    fn a_verdict_lasts() {
        static MISSING: Library =
            Library::new("library", "libnothing.so", &["covet-nothing"], || false);
        let first = MISSING.load();
        assert!(first.is_err());
        assert_eq!(MISSING.load(), first);
    }
}
