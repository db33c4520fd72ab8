//! Which libraries an extension module brings along, and what each of them becomes.
//!
//! The libraries of the system are shared, as always. Those that come with a package lie where its `RPATH` says, and many of them
//! lean on the GIL for their locking (HDF5), or hold state of Python themselves (`libarrow_python`): an image gets copies of
//! its own, under names of their own, since the loader takes a library that it knows by its name for the same. Some are known to be
//! safe with any number of threads, and to keep nothing that an interpreter gave them: these stay shared. (Arrow's core is safe
//! with threads, but has tables of types and functions that Python enters itself into.)

use super::cache::{self, Original};
use super::elf::{self, Edit, Elf, TAG};
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Bundled libraries that are safe with any number of threads, by how their names begin.
const SHARED: [&str; 16] = [
    // Linear algebra.
    "libscipy_openblas",
    "libopenblas",
    "libmkl_",
    // Runtimes of compilers.
    "libgcc_s",
    "libgfortran",
    "libgomp",
    "libiomp5",
    "libomp",
    "libquadmath",
    "libstdc++",
    "libtbb",
    // Compression and text, which keep nothing but what they are given.
    "libz.",
    "libz-",
    "libzstd",
    "liblz4",
    "libbrotli",
];

/// Libraries that are never copied, wherever they lie.
const ONE: [&str; 4] = ["libpython", "libc.so", "libpthread.so", "ld-linux"];

/// A copy that is to be opened.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) original: Original,
    pub(crate) elf: Elf,
    pub(crate) edits: Vec<Edit>,
    pub(crate) path: PathBuf,
}

/// What is to be opened for an image.
#[derive(Debug)]
pub(crate) enum Step {
    Private(Box<Copy>),
    Shared(PathBuf),
}

/// What became of the libraries that one interpreter has met, by path: the name of its own copy, or none for a shared one.
#[derive(Debug)]
pub(crate) struct Libraries {
    number: usize,
    tag: [u8; TAG],
    met: HashMap<PathBuf, Option<String>>,
    /// Where its copies are, by the path of the original.
    copies: HashMap<PathBuf, PathBuf>,
}

impl Libraries {
    /// Those of the interpreter with this number.
    pub(crate) fn new(number: usize) -> Self {
        let digit = |value: usize| b"0123456789abcdef"[value % 16];
        Self {
            number,
            tag: [b'~', digit(number / 16), digit(number)],
            met: HashMap::new(),
            copies: HashMap::new(),
        }
    }

    /// What is to be opened for an extension module, in this order; its own copy comes last.
    ///
    /// # Errors
    /// In words: what cannot be read, or where there is no room for a copy.
    pub(crate) fn plan(&mut self, extension: &Path) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        let (original, elf) = read(extension)?;
        let name = extension.file_name().unwrap_or_default().to_owned();
        self.plan_copy(original, elf, name, HashMap::new(), &[], &mut steps)?;
        Ok(steps)
    }

    /// What is to be opened for a library that a program opens by its path, and which file is to be opened then: its copy, or itself.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub(crate) fn plan_by_path(&mut self, library: &Path) -> Result<(Vec<Step>, PathBuf), String> {
        let path = library
            .canonicalize()
            .map_err(|error| format!("{}: {error}", library.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut steps = Vec::new();
        self.plan_library(&name, path.clone(), &[], &mut steps)?;
        let file = self.copies.get(&path).unwrap_or(&path).clone();
        Ok((steps, file))
    }

    /// Forgets what was planned and could not be opened.
    pub(crate) fn forget(&mut self, steps: &[Step]) {
        for step in steps {
            let path = match step {
                Step::Private(copy) => &copy.original.path,
                Step::Shared(path) => path,
            };
            self.met.remove(path);
        }
    }

    fn plan_copy(
        &mut self,
        original: Original,
        elf: Elf,
        name: OsString,
        mut names: HashMap<String, String>,
        inherited: &[PathBuf],
        steps: &mut Vec<Step>,
    ) -> Result<(), String> {
        let folder = original.path.parent().unwrap_or(Path::new("/"));
        let search: Vec<_> = elf
            .search
            .iter()
            .map(|entry| expand(entry, folder))
            .chain(inherited.iter().cloned())
            .collect();
        for needed in &elf.needed {
            if let Some(path) = find(needed, &search)
                && let Some(new) = self.plan_library(needed, path, &search, steps)?
            {
                names.insert(needed.clone(), new);
            }
        }
        let edits = elf.edits(|name| names.get(name).cloned());
        let path = cache::copy(&original, self.number, &name, &edits)?;
        self.copies.insert(original.path.clone(), path.clone());
        steps.push(Step::Private(Box::new(Copy {
            original,
            elf,
            edits,
            path,
        })));
        Ok(())
    }

    /// Plans a bundled library, and returns the name of its copy, if it gets one.
    fn plan_library(
        &mut self,
        name: &str,
        path: PathBuf,
        search: &[PathBuf],
        steps: &mut Vec<Step>,
    ) -> Result<Option<String>, String> {
        if let Some(known) = self.met.get(&path) {
            return Ok(known.clone());
        }
        let begins = |names: &[&str]| names.iter().any(|begin| name.starts_with(begin));
        if begins(&ONE) {
            return Ok(None);
        }
        let (original, elf) = read(&path)?;
        if begins(&SHARED) && !elf.uses_python {
            self.met.insert(path.clone(), None);
            steps.push(Step::Shared(path));
            return Ok(None);
        }
        let rename = |name: &str| {
            elf::tagged(name, &self.tag).ok_or_else(|| {
                format!(
                    "{}: the name {name:?} is too short for a private copy",
                    path.display()
                )
            })
        };
        let new = rename(name)?;
        let mut names = HashMap::from([(name.to_owned(), new.clone())]);
        if let Some(soname) = &elf.soname {
            names.insert(soname.clone(), rename(soname)?);
        }
        self.met.insert(path, Some(new.clone()));
        self.plan_copy(original, elf, new.clone().into(), names, search, steps)?;
        Ok(Some(new))
    }
}

fn read(path: &Path) -> Result<(Original, Elf), String> {
    let original = Original::open(path)?;
    let elf = Elf::read(&original.data).map_err(|why| format!("{}: {why}", path.display()))?;
    Ok((original, elf))
}

/// A folder of an `RPATH`, for a library in `folder`.
fn expand(entry: &str, folder: &Path) -> PathBuf {
    let folder = folder.to_string_lossy();
    PathBuf::from(
        entry
            .replace("${ORIGIN}", &folder)
            .replace("$ORIGIN", &folder),
    )
}

/// The file of a library in the folders where it is looked for first.
fn find(name: &str, search: &[PathBuf]) -> Option<PathBuf> {
    search
        .iter()
        .filter(|folder| folder.is_absolute())
        .find_map(|folder| folder.join(name).canonicalize().ok())
}
