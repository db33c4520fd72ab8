//! Where things lie: the repository, and what the commands make under `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in a folder of the repository")
}

/// Returns the folder for everything that is made: cargo's own target folder.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Returns the cargo that runs us, in the repository's root, with a target folder of its own.
///
/// One target folder per purpose: a change of Python, of flags or of C library in a shared one
/// rebuilds everything each time.
pub(crate) fn cargo(target: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target)
        .env_remove("PYO3_BUILD_EXTENSION_MODULE");
    cargo
}
