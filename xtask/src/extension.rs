//! Covet built for one Python, in a virtual environment where it can be imported.
//!
//! Everything lies in a folder per Python and C library, so that two never share a build:
//!
//! ```text
//! target/py/cpython-3.13.0-1f2e3d4c/
//!     extension/   cargo's target folder of the extension module
//!     tests/       cargo's target folder of the tests, which link libpython
//!     venv/        the environment: covet_py and what it needs from PyPI
//!     ecosystem/   another, with the packages that are tried
//! ```

use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::args::Args;
use crate::error::{Context, Error, Result};
use crate::pythons::{self, Python};
use crate::workspace;

pub(crate) const PYTHON_USAGE: &str = "\
Usage: cargo xtask python [--python PATH] [--] [ARGS...]

Runs a Python that can import covet_py, built from this folder, with ARGS: a script, -c, -m, or
nothing for the prompt. PATH may also be a version such as 3.13. Without --python (or COVET_PYTHON)
it is the best Python found.
";

/// What covet_py itself needs from PyPI.
const REQUIREMENTS: &[&str] = &["cloudpickle>=3.1,<4"];

/// A Python that can import `covet_py`.
pub(crate) struct Environment {
    pub(crate) python: PathBuf,
    folder: PathBuf,
}

/// `cargo xtask python`
pub(crate) fn run_python(mut args: Args) -> Result<ExitCode> {
    let mut named = Vec::new();
    while let Some(word) = args.peek().map(str::to_owned) {
        if word == "--python" || word.starts_with("--python=") {
            args.next_word();
            named = vec![args.value("--python", PYTHON_USAGE)?];
        } else if word == "--help" || word == "-h" {
            print!("{PYTHON_USAGE}");
            return Ok(ExitCode::SUCCESS);
        } else {
            if word == "--" {
                args.next_word();
            }
            break;
        }
    }
    let found = pythons::find(&named)?;
    let environment = prepare(&found.pythons[0], &[])?;
    let rest: Vec<OsString> = args.into_rest();
    let error = Command::new(&environment.python).args(rest).exec();
    Err(Error::failed(format!(
        "starting {}: {error}",
        environment.python.display()
    )))
}

/// Returns the folder of everything built for one Python.
pub(crate) fn folder(python: &Python) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (&python.executable, &python.libc).hash(&mut hasher);
    let name = format!("cpython-{}-{:08x}", python.label(), hasher.finish() as u32);
    workspace::target().join("py").join(name)
}

/// Builds Covet for a Python and makes it importable, with `packages` beside it.
///
/// Quick when nothing changed: cargo looks at the sources, and files are compared.
///
/// # Errors
/// The build fails, or there is no way to make an environment or to reach a package registry.
pub(crate) fn prepare(python: &Python, packages: &[&str]) -> Result<Environment> {
    prepare_in("venv", python, packages)
}

/// The same, in an environment of this name.
pub(crate) fn prepare_in(name: &str, python: &Python, packages: &[&str]) -> Result<Environment> {
    let folder = folder(python);
    fs::create_dir_all(&folder).context(|| format!("making {}", folder.display()))?;
    // Two commands may want the same Python at once.
    let path = folder.join("lock");
    let lock = File::create(&path).context(|| format!("writing {}", path.display()))?;
    lock.lock()
        .context(|| format!("locking {}", path.display()))?;

    let library = build(python, &folder)?;
    let environment = make_environment(python, folder.join(name))?;
    environment.install(&[REQUIREMENTS, packages].concat())?;
    install_covet(python, &environment, &library)?;
    Ok(environment)
}

/// Builds the extension module; returns the shared library.
fn build(python: &Python, folder: &Path) -> Result<PathBuf> {
    let target = folder.join("extension");
    let library = target.join("release").join(format!(
        "{}covet_py{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    ));
    if !library.exists() {
        eprintln!("building covet-py for Python {}", python.label());
    }
    let status = workspace::cargo(&target)
        .args("build --release --package covet-py --lib --locked --quiet".split(' '))
        .env("PYO3_PYTHON", &python.executable)
        .env("PYO3_BUILD_EXTENSION_MODULE", "1")
        .status()
        .context(|| "starting cargo".into())?;
    if !status.success() {
        return Err(Error::failed(format!(
            "covet-py does not build for {}: what cargo says stands above",
            python.executable.display()
        )));
    }
    Ok(library)
}

/// Makes the virtual environment, unless it is there and its Python still runs.
fn make_environment(python: &Python, venv: PathBuf) -> Result<Environment> {
    let environment = Environment {
        python: venv.join("bin/python"),
        folder: venv.clone(),
    };
    // Written last, so that an environment whose making was cut short is made again.
    let ready = venv.join(".ready");
    if ready.exists() && environment.python.exists() {
        return Ok(environment);
    }
    let output = Command::new(&python.executable)
        .args(["-I", "-m", "venv", "--clear"])
        .arg(&venv)
        .output()
        .context(|| format!("starting {}", python.executable.display()))?;
    if !output.status.success() {
        return Err(Error::failed(format!(
            "{} cannot make a virtual environment, for which it needs its modules venv and ensurepip; \
             install them (Debian and Ubuntu: python{}-venv) or name another Python with --python. It says:\n{}",
            python.executable.display(),
            python.line().trim_end_matches('t'),
            both(&output)
        )));
    }
    fs::write(&ready, "").context(|| format!("writing {}", ready.display()))?;
    Ok(environment)
}

impl Environment {
    /// Installs what is not yet there from PyPI. Only wheels: to compile a package takes minutes, and tools that may not be here.
    ///
    /// # Errors
    /// What pip says.
    pub(crate) fn install(&self, packages: &[&str]) -> Result<()> {
        self.pip(&["--only-binary", ":all:"], packages)
    }

    /// The same, but compiles what has no wheel.
    pub(crate) fn install_or_build(&self, packages: &[&str]) -> Result<()> {
        self.pip(&[], packages)
    }

    fn pip(&self, options: &[&str], packages: &[&str]) -> Result<()> {
        let record = self.folder.join(".packages");
        let installed = fs::read_to_string(&record).unwrap_or_default();
        let missing: Vec<&str> = packages
            .iter()
            .copied()
            .filter(|package| !installed.lines().any(|line| line == *package))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let output = Command::new(&self.python)
            .args("-m pip install --quiet --disable-pip-version-check --no-input".split(' '))
            .args(options)
            .args(&missing)
            .output()
            .context(|| format!("starting {}", self.python.display()))?;
        if !output.status.success() {
            return Err(Error::failed(format!(
                "pip could not install {} from its package registry; check the network, or point pip to a mirror \
                 with PIP_INDEX_URL. It says:\n{}",
                missing.join(", "),
                both(&output)
            )));
        }
        let all = missing
            .iter()
            .fold(installed, |all, package| all + package + "\n");
        fs::write(&record, all).context(|| format!("writing {}", record.display()))
    }
}

/// Puts the Python sources and the extension module into the environment.
fn install_covet(python: &Python, environment: &Environment, library: &Path) -> Result<()> {
    let package = environment
        .folder
        .join("lib")
        .join(format!("python{}", python.line()))
        .join("site-packages/covet_py");
    let extension = package.join(format!("_native{}", python.ext_suffix));
    let sources = workspace::root().join("covet-py/python/covet_py");
    copy_folder(&sources, &package, &extension)?;
    copy_file(library, &extension)
}

/// Makes `to` hold the files of `from` and nothing else but `keep` and bytecode caches.
fn copy_folder(from: &Path, to: &Path, keep: &Path) -> Result<()> {
    fs::create_dir_all(to).context(|| format!("making {}", to.display()))?;
    for old in entries(to)? {
        let is_source = old.file_name().is_some_and(|name| from.join(name).exists());
        if !is_source && old != keep && !old.ends_with("__pycache__") {
            let removed = if old.is_dir() {
                fs::remove_dir_all(&old)
            } else {
                fs::remove_file(&old)
            };
            removed.context(|| format!("removing {}", old.display()))?;
        }
    }
    for source in entries(from)? {
        let copy = to.join(source.file_name().unwrap_or_default());
        if !source.is_dir() {
            copy_file(&source, &copy)?;
        } else if !source.ends_with("__pycache__") {
            copy_folder(&source, &copy, keep)?;
        }
    }
    Ok(())
}

/// Copies a file unless the copy is equal; a process that has the old one mapped keeps it.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).context(|| format!("reading {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == content) {
        return Ok(());
    }
    let new = to.with_extension("new");
    fs::write(&new, content)
        .and_then(|()| fs::rename(&new, to))
        .context(|| format!("writing {}", to.display()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = || folder.read_dir()?.map(|entry| Ok(entry?.path())).collect();
    let result: std::io::Result<_> = read();
    result.context(|| format!("reading {}", folder.display()))
}

fn both(output: &std::process::Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).trim().to_owned()
}
