//! The copies of shared objects on disk.
//!
//! ```text
//!   <folder>/<number of the interpreter>/<hash of path, size and time of the original>/<name>
//! ```
//! Interpreters are numbered from 0 in every process, so the next process finds the copies that this one made. A copy is used
//! only if it is what would be made now, byte by byte: whatever somebody did to it, or an older release of this crate made of it, is
//! made anew. Making one ends with a rename, so processes that do it at the same time do not see each other's halves.
//!
//! The folder is `COVET_IMAGE_CACHE`, or `covet/images` in the user's cache folder, or, where neither can be written or
//! executed from, one in the folder for temporary files. It belongs to the user alone. `COVET_IMAGE_CACHE_SIZE` says how many MiB it
//! may hold (4096); what was not used for longest goes first.

use super::elf::Edit;
use memmap2::Mmap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// A file as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    pub(crate) data: Mmap,
    modified: (i64, i64),
}

impl Original {
    /// # Errors
    /// In words, with the path.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let open = || {
            let file = File::open(path)?;
            let data = file.metadata()?;
            if data.len() == 0 {
                return Err(io::Error::other("the file is empty"));
            }
            // SAFETY: read-only and private. Whoever cuts off a file that is mapped ends the process, as with every library that
            // is loaded; those who replace libraries (pip, apt) put new files in their places.
            let bytes = unsafe { Mmap::map(&file)? };
            Ok(Self {
                path: path.to_owned(),
                file,
                data: bytes,
                modified: (data.mtime(), data.mtime_nsec()),
            })
        };
        open().map_err(|error: io::Error| format!("cannot read {}: {error}", path.display()))
    }

    /// What tells it from other files, and from what was there before: its copies are in a folder of that name.
    pub(crate) fn key(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.path, self.data.len(), self.modified).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// Makes or finds the copy of a file for the interpreter with this number.
///
/// # Errors
/// In words, with what is wrong with each folder that was tried.
pub(crate) fn copy(
    original: &Original,
    number: usize,
    name: &OsStr,
    edits: &[Edit],
) -> Result<PathBuf, String> {
    let mut wrong = Vec::new();
    for folder in folders() {
        match copy_in(&folder, original, number, name, edits) {
            Ok(path) => return Ok(path),
            Err(error) => wrong.push(format!("{}: {error}", folder.display())),
        }
    }
    Err(format!(
        "no folder for a private copy of {} ({})",
        original.path.display(),
        wrong.join("; ")
    ))
}

fn copy_in(
    folder: &Path,
    original: &Original,
    number: usize,
    name: &OsStr,
    edits: &[Edit],
) -> io::Result<PathBuf> {
    check_folder(folder)?;
    let place = folder.join(format!("{number:02x}")).join(original.key());
    let path = place.join(name);
    if let Ok(found) = File::open(&path)
        && is_good(&found, original, edits)
    {
        // Used now: last to be removed. It matters to nothing else.
        let _ = found.set_modified(SystemTime::now());
        return Ok(path);
    }
    private_folders().create(&place)?;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let unique = NEXT.fetch_add(1, Ordering::Relaxed);
    let unfinished = place.join(format!(".{}-{unique}", std::process::id()));
    let made = make(&unfinished, original, edits).and_then(|()| fs::rename(&unfinished, &path));
    if made.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    made?;
    prune_after(folder, original.data.len() as u64);
    Ok(path)
}

fn make(path: &Path, original: &Original, edits: &[Edit]) -> io::Result<()> {
    let copy = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(path)?;
    // Shares the blocks where the file system can. SAFETY: both are open files.
    let cloned = unsafe { libc::ioctl(copy.as_raw_fd(), libc::FICLONE, original.file.as_raw_fd()) };
    if cloned != 0 {
        copy.write_all_at(&original.data, 0)?;
    }
    for edit in edits {
        copy.write_all_at(&edit.bytes, edit.offset as u64)?;
    }
    Ok(())
}

/// Whether a copy belongs to this user alone, and is what would be made.
fn is_good(copy: &File, original: &Original, edits: &[Edit]) -> bool {
    let good = || -> io::Result<bool> {
        let found = copy.metadata()?;
        if !found.is_file() || !is_private(&found) || found.len() != original.data.len() as u64 {
            return Ok(false);
        }
        // SAFETY: as for the original; only this user can write to it.
        let found = unsafe { Mmap::map(copy)? };
        let mut edits: Vec<_> = edits.iter().collect();
        edits.sort_by_key(|edit| edit.offset);
        let mut from = 0;
        for edit in edits {
            let (start, end) = (edit.offset, edit.offset + edit.bytes.len());
            if found[from..start] != original.data[from..start]
                || found[start..end] != edit.bytes[..]
            {
                return Ok(false);
            }
            from = end;
        }
        Ok(found[from..] == original.data[from..])
    };
    good().unwrap_or(false)
}

pub(crate) fn private_folders() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
}

/// Makes the folder if it is not there, and says what is wrong with it.
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    private_folders().create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || !is_private(&found) {
        return Err(io::Error::other(format!(
            "expected a folder of this user alone (mode 700), found mode {:o} of user {}",
            found.mode() & 0o7777,
            found.uid()
        )));
    }
    if is_noexec(folder)? {
        return Err(io::Error::other("it is mounted noexec"));
    }
    Ok(())
}

fn is_private(found: &fs::Metadata) -> bool {
    // SAFETY: cannot fail.
    found.uid() == unsafe { libc::geteuid() } && found.mode() & 0o077 == 0
}

fn is_noexec(folder: &Path) -> io::Result<bool> {
    let path = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes())?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: a C string and room for the answer; zeroes are a valid one.
    unsafe {
        if libc::statvfs(path.as_ptr(), found.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(found.assume_init().f_flag & libc::ST_NOEXEC != 0)
    }
}

/// The folders to try.
pub(crate) fn folders() -> Vec<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(folder) = variable("COVET_IMAGE_CACHE") {
        return vec![folder];
    }
    let of_user = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    // SAFETY: cannot fail.
    let user = unsafe { libc::geteuid() };
    let temporary = std::env::temp_dir().join(format!("covet-images-{user}"));
    of_user
        .map(|folder| folder.join("covet/images"))
        .into_iter()
        .chain([temporary])
        .collect()
}

/// Removes what was not used for longest, if the folder holds more than it may. Looks at the first copy that this process makes, and
/// then from time to time.
fn prune_after(folder: &Path, made: u64) {
    const LOOK_EVERY: u64 = 256 << 20;
    static MADE: AtomicU64 = AtomicU64::new(0);
    let before = MADE.fetch_add(made, Ordering::Relaxed);
    if before != 0 && before / LOOK_EVERY == (before + made) / LOOK_EVERY {
        return;
    }
    let most = std::env::var("COVET_IMAGE_CACHE_SIZE")
        .ok()
        .and_then(|size| size.parse::<u64>().ok())
        .unwrap_or(4096)
        << 20;
    prune(folder, most);
}

fn prune(folder: &Path, most: u64) {
    let inside = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut copies: Vec<_> = inside(folder)
        .flat_map(|interpreter| inside(&interpreter.path()))
        .flat_map(|key| inside(&key.path()))
        .filter_map(|copy| {
            let data = copy.metadata().ok()?;
            Some((data.modified().ok()?, data.len(), copy.path()))
        })
        .collect();
    copies.sort();
    let mut size: u64 = copies.iter().map(|(_, size, _)| size).sum();
    for (_, bytes, path) in copies {
        if size <= most {
            return;
        }
        // Who has mapped it keeps it.
        if fs::remove_file(&path).is_ok() {
            size -= bytes;
        }
        if let Some(key) = path.parent() {
            // Fails while there is something in it.
            let _ = fs::remove_dir(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of this test's own, and a file in it.
    fn original(name: &str) -> (PathBuf, Original) {
        let folder = std::env::temp_dir().join(format!("covet-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        private_folders().create(&folder).unwrap();
        let path = folder.join("original");
        fs::write(&path, b"0123456789").unwrap();
        (folder, Original::open(&path).unwrap())
    }

    fn edits() -> Vec<Edit> {
        let edit = |offset, bytes: &[u8]| Edit {
            offset,
            bytes: bytes.to_vec(),
        };
        vec![edit(8, b"x"), edit(2, b"abc")]
    }

    #[test]
    fn a_copy_has_the_edits_and_is_found_again() {
        let (folder, original) = original("edits");
        let cache = folder.join("cache");
        let name = OsStr::new("lib.so");
        let path = copy_in(&cache, &original, 3, name, &edits()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"01abc567x9");
        let inode = fs::metadata(&path).unwrap().ino();
        assert_eq!(copy_in(&cache, &original, 3, name, &edits()).unwrap(), path);
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_ne!(copy_in(&cache, &original, 4, name, &edits()).unwrap(), path);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_copy_that_was_changed_is_made_anew() {
        let (folder, original) = original("changed");
        let cache = folder.join("cache");
        let name = OsStr::new("lib.so");
        let path = copy_in(&cache, &original, 0, name, &edits()).unwrap();
        for changed in [&b"01abc567x8"[..], b"01abd567x9", b"01abc567x9more", b""] {
            fs::write(&path, changed).unwrap();
            copy_in(&cache, &original, 0, name, &edits()).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"01abc567x9");
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_folder_of_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;

        let (folder, original) = original("open");
        let cache = folder.join("cache");
        private_folders().create(&cache).unwrap();
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
        let error = copy_in(&cache, &original, 0, OsStr::new("lib.so"), &[]).unwrap_err();
        assert!(error.to_string().contains("found mode 777"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_oldest_copies_go_first() {
        let (folder, original) = original("prune");
        let cache = folder.join("cache");
        let paths: Vec<_> = (0..4)
            .map(|number| copy_in(&cache, &original, number, OsStr::new("lib.so"), &[]).unwrap())
            .collect();
        for (path, age) in paths.iter().zip([30, 40, 10, 20]) {
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            File::open(path).unwrap().set_modified(time).unwrap();
        }
        prune(&cache, 25);
        let left: Vec<_> = paths.iter().map(|path| path.exists()).collect();
        assert_eq!(left, [false, false, true, true]);
        fs::remove_dir_all(folder).unwrap();
    }
}
