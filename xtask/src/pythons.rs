//! Finding the Pythons of this machine, and choosing the best of them.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::{Error, Result};

/// The release lines Covet supports, as minor versions of CPython 3.
const OLDEST: u64 = 11;
const NEWEST: u64 = 15;
/// The first that can give each interpreter a GIL of its own.
const OWN_GIL: u64 = 12;

/// Prints what decides about a Python. A virtual environment answers for the Python below it.
const PROBE: &str = r#"
import json, os, platform, sys, sysconfig
var = sysconfig.get_config_var
if var("PYTHONFRAMEWORK"):
    library = os.path.join(var("PYTHONFRAMEWORKPREFIX"), var("LDLIBRARY"))
else:
    library = os.path.join(var("LIBDIR") or "", var("LDLIBRARY") or "")
print(json.dumps({
    "executable": getattr(sys, "_base_executable", sys.executable),
    "implementation": platform.python_implementation(),
    "version": sys.version_info[:3],
    "release": platform.python_version(),
    "final": sys.version_info.releaselevel == "final",
    "free_threaded": bool(var("Py_GIL_DISABLED")),
    "shared": bool(var("Py_ENABLE_SHARED") or var("PYTHONFRAMEWORK")),
    "library": library,
    "ext_suffix": var("EXT_SUFFIX"),
    "base_prefix": sys.base_prefix,
    "libc": " ".join(platform.libc_ver()),
}))
"#;

#[derive(Clone, Debug)]
pub(crate) struct Python {
    pub(crate) executable: PathBuf,
    implementation: String,
    version: (u64, u64, u64),
    /// The version as Python writes it, such as `3.15.0b1`.
    pub(crate) release: String,
    final_release: bool,
    pub(crate) free_threaded: bool,
    shared: bool,
    library: PathBuf,
    pub(crate) ext_suffix: String,
    base_prefix: PathBuf,
    pub(crate) libc: String,
}

/// What this machine has: the Pythons Covet supports, best first, and what was left out.
pub(crate) struct Found {
    pub(crate) pythons: Vec<Python>,
    pub(crate) unsupported: Vec<Python>,
    /// Whether they were looked for, not named.
    pub(crate) searched: bool,
}

/// Returns the Pythons named, or else the one in `COVET_PYTHON`, or else all this machine has.
///
/// # Errors
/// A named one that does not run or is not supported; none found at all.
pub(crate) fn find(named: &[String]) -> Result<Found> {
    let variable = std::env::var("COVET_PYTHON").unwrap_or_default();
    let named = match named {
        [] if !variable.is_empty() => &[variable],
        named => named,
    };
    if named.is_empty() {
        return search();
    }
    let pythons = named.iter().map(|name| find_named(name));
    Ok(Found {
        pythons: pythons.collect::<Result<_>>()?,
        unsupported: Vec::new(),
        searched: false,
    })
}

fn search() -> Result<Found> {
    let programs = candidates();
    let found = sort(
        programs
            .iter()
            .filter_map(|path| probe(path).ok())
            .collect(),
    );
    if found.pythons.is_empty() {
        let seen: Vec<_> = found.unsupported.iter().map(Python::label).collect();
        return Err(Error::failed(format!(
            "expected a CPython 3.{OLDEST} to 3.{NEWEST} on PATH, in pyenv, uv, /usr/bin or \
             /usr/local/bin; found {}. Install one (3.13, say), or name one with --python PATH",
            if seen.is_empty() {
                "none".into()
            } else {
                seen.join(", ")
            }
        )));
    }
    Ok(found)
}

/// Finds a Python by a path, by a command on PATH, or by a version such as `3.13` or `3.13.5t`.
fn find_named(name: &str) -> Result<Python> {
    if name.starts_with("3.") {
        let mut pythons = search()?.pythons.into_iter();
        return pythons
            .find(|python| python.line() == name || python.label() == name)
            .ok_or_else(|| {
                Error::failed(format!(
                    "expected a Python {name} on this machine; found none"
                ))
            });
    }
    let python = probe(Path::new(name)).map_err(|found| {
        Error::failed(format!(
            "expected a Python at {name}; {found} (--python takes a path, a command, or a version)"
        ))
    })?;
    if !python.is_supported() {
        return Err(Error::failed(format!(
            "expected CPython 3.{OLDEST} to 3.{NEWEST}; {name} is {} {}",
            python.implementation, python.release
        )));
    }
    Ok(python)
}

impl Python {
    /// Returns the name of the release line, such as `3.13` or `3.13t`.
    pub(crate) fn line(&self) -> String {
        let (major, minor, _) = self.version;
        format!(
            "{major}.{minor}{}",
            if self.free_threaded { "t" } else { "" }
        )
    }

    /// Returns the version with the mark of the free-threaded build, such as `3.13.5t`.
    pub(crate) fn label(&self) -> String {
        format!(
            "{}{}",
            self.release,
            if self.free_threaded { "t" } else { "" }
        )
    }

    /// Whether interpreters can have a GIL each.
    pub(crate) fn has_own_gils(&self) -> bool {
        self.version.1 >= OWN_GIL && !self.free_threaded
    }

    /// Returns how threads of this Python share the cores, in words.
    pub(crate) fn gil(&self) -> &'static str {
        match self.version {
            _ if self.free_threaded => "free-threaded, no GIL",
            (3, OWN_GIL.., _) => "a GIL for each interpreter",
            _ => "one GIL for all interpreters",
        }
    }

    /// Returns what makes this the best of those found, in words.
    pub(crate) fn merit(&self) -> &'static str {
        match self.version {
            (3, OWN_GIL.., _) if !self.free_threaded => {
                "the newest whose interpreters can have a GIL each"
            }
            _ if self.free_threaded => "the newest, and without a GIL",
            _ => {
                "the newest; all its interpreters share one GIL (from 3.12 on each can have its own)"
            }
        }
    }

    /// Returns the folder of the shared library, which programs that embed this Python link.
    ///
    /// # Errors
    /// A sentence saying why there is none, and what to do.
    pub(crate) fn library_folder(&self) -> std::result::Result<&Path, String> {
        if !self.shared {
            return Err(format!(
                "Python {} ({}) is built without a shared library, which Covet's tests link; build it with \
                 --enable-shared (pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force {})",
                self.release,
                self.executable.display(),
                self.release
            ));
        }
        if !self.library.is_file() {
            return Err(format!(
                "Python {} ({}) should have its shared library at {}, which does not exist; install the \
                 development package of this Python (libpython3-dev or python3-devel)",
                self.release,
                self.executable.display(),
                self.library.display()
            ));
        }
        Ok(self.library.parent().unwrap_or(Path::new("/")))
    }

    fn is_supported(&self) -> bool {
        self.implementation == "CPython"
            && self.version.0 == 3
            && (OLDEST..=NEWEST).contains(&self.version.1)
    }

    /// The higher, the better: a GIL for each interpreter (or none), a final release, a newer
    /// release line, a GIL build (most packages are made for it), a newer fix.
    fn rank(&self) -> (bool, bool, u64, bool, u64) {
        let (_, minor, micro) = self.version;
        (
            minor >= OWN_GIL,
            self.final_release,
            minor,
            !self.free_threaded,
            micro,
        )
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (label, gil) = (self.label(), self.gil());
        write!(
            f,
            "{} {label} ({gil}) {}",
            self.implementation,
            self.executable.display()
        )
    }
}

/// Drops what was found twice, sets the unsupported apart, and puts the best first.
fn sort(all: Vec<Python>) -> Found {
    let mut seen = HashSet::new();
    let (mut pythons, unsupported): (Vec<_>, Vec<_>) = all
        .into_iter()
        .filter(|python| seen.insert((python.base_prefix.clone(), python.label())))
        .partition(Python::is_supported);
    pythons.sort_by_key(|python| std::cmp::Reverse(python.rank()));
    Found {
        pythons,
        unsupported,
        searched: true,
    }
}

/// Asks one program what Python it is.
fn probe(program: &Path) -> std::result::Result<Python, String> {
    let output = Command::new(program)
        .args(["-I", "-c", PROBE])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("it cannot be started ({error})"))?;
    let python = parse_probe(&output.stdout).ok_or_else(|| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let first = stderr.trim().lines().next().unwrap_or_default();
        format!("it does not answer like one: `{first}`")
    })?;
    // One name for one Python, whichever link was named: what is built for it goes by this path.
    let executable = python
        .executable
        .canonicalize()
        .unwrap_or(python.executable);
    Ok(Python {
        executable,
        ..python
    })
}

fn parse_probe(json: &[u8]) -> Option<Python> {
    let facts: Value = serde_json::from_slice(json).ok()?;
    let text = |name: &str| facts[name].as_str().map(str::to_owned);
    let number = |index: usize| facts["version"][index].as_u64();
    Some(Python {
        executable: text("executable")?.into(),
        implementation: text("implementation")?,
        version: (number(0)?, number(1)?, number(2)?),
        release: text("release")?,
        final_release: facts["final"].as_bool()?,
        free_threaded: facts["free_threaded"].as_bool()?,
        shared: facts["shared"].as_bool()?,
        library: text("library")?.into(),
        ext_suffix: text("ext_suffix")?,
        base_prefix: text("base_prefix")?.into(),
        libc: text("libc")?,
    })
}

/// Returns the programs that may be Pythons, each real file once.
fn candidates() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let pyenv = std::env::var_os("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
    let mut folders: Vec<PathBuf> = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default();
    // A shim starts one of the versions below, or says that it cannot.
    folders.retain(|folder| *folder != pyenv.join("shims"));
    folders.extend(["/usr/bin", "/usr/local/bin"].map(PathBuf::from));
    folders.extend(bin_folders_in(&pyenv.join("versions")));
    folders.extend(bin_folders_in(&home.join(".local/share/uv/python")));

    let versions =
        (OLDEST..=NEWEST).flat_map(|minor| ["t", ""].map(|mark| format!("python3.{minor}{mark}")));
    let names: Vec<_> = versions.chain(["python3".to_owned()]).collect();
    let mut seen = HashSet::new();
    folders
        .iter()
        .flat_map(|folder| names.iter().map(|name| folder.join(name)))
        // The link is what is started, not the file behind it: a link in a virtual environment
        // knows its environment.
        .filter(|path| path.canonicalize().is_ok_and(|real| seen.insert(real)))
        .collect()
}

fn bin_folders_in(versions: &Path) -> Vec<PathBuf> {
    let Ok(entries) = versions.read_dir() else {
        return Vec::new();
    };
    let mut folders: Vec<_> = entries
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use super::{Python, sort};

    /// Makes a Python of a release such as `3.15.0b1`; a final `t` marks a free-threaded one.
    fn python(label: &str) -> Python {
        let release = label.trim_end_matches('t');
        let digits = release
            .split(|c: char| c.is_ascii_alphabetic())
            .next()
            .unwrap();
        let mut numbers = digits.split('.').map(|part| part.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Python {
            executable: format!("/bin/{label}").into(),
            implementation: "CPython".into(),
            version: (next(), next(), next()),
            release: release.into(),
            final_release: digits == release,
            free_threaded: label != release,
            shared: true,
            library: "/does/not/exist.so".into(),
            ext_suffix: ".so".into(),
            base_prefix: "/".into(),
            libc: "glibc 2.36".into(),
        }
    }

    #[test]
    fn the_best_python_comes_first() {
        let cases = [
            ("3.11.7 3.12.1 3.13.0", "3.13.0 3.12.1 3.11.7"),
            ("3.13.0 3.13.2 3.13.5t", "3.13.2 3.13.0 3.13.5t"),
            ("3.13.0 3.14.0t", "3.14.0t 3.13.0"),
            ("3.15.0b1 3.14.2", "3.14.2 3.15.0b1"),
            ("3.15.0b1 3.11.7", "3.15.0b1 3.11.7"),
            ("3.10.4 3.11.7 3.16.0", "3.11.7"),
        ];
        for (given, expected) in cases {
            let found = sort(given.split(' ').map(python).collect());
            let order: Vec<_> = found.pythons.iter().map(Python::label).collect();
            assert_eq!(order.join(" "), expected);
        }
    }

    #[test]
    fn one_python_under_two_names_is_listed_once() {
        let found = sort(["3.13.0", "3.13.0", "3.9.1"].map(python).into());
        assert_eq!(found.pythons.len(), 1);
        assert_eq!(found.unsupported.len(), 1);
    }

    #[test]
    fn a_missing_shared_library_is_a_sentence_that_says_what_to_do() {
        let mut python = python("3.13.0");
        let sentence = python.library_folder().unwrap_err();
        assert!(sentence.contains("development package"), "{sentence}");
        python.shared = false;
        let sentence = python.library_folder().unwrap_err();
        assert!(sentence.contains("--enable-shared"), "{sentence}");
    }
}
