//! The dynamic loader: opening a shared object, what it then calls, and where its pages come from.

use super::elf::Elf;
use std::ffi::{CStr, CString, c_int, c_void};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;

/// A shared object in memory. It stays there for the life of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    handle: *mut c_void,
    map: *const LinkMap,
}

/// `struct link_map` of the dynamic loader (link.h).
#[repr(C)]
#[derive(Debug)]
struct LinkMap {
    /// How far it lies from the addresses in its file.
    base: usize,
    name: *const std::ffi::c_char,
    dynamic: *const Dynamic,
}

/// `Elf64_Dyn`.
#[repr(C)]
#[derive(Debug)]
struct Dynamic {
    tag: i64,
    value: u64,
}

/// `Elf64_Rela`.
#[repr(C)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: i64,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

/// Opens a shared object by its path, all symbols resolved, and none of them visible to others.
///
/// # Errors
/// What the dynamic loader says.
///
/// # Safety
/// The file is a shared object whose initialisation may run on this thread.
pub(crate) unsafe fn open(path: &Path) -> Result<Opened, String> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())
        .map_err(|_| "a path with a NUL in it".to_owned())?;
    // SAFETY: a C string; the rest as promised. `dlerror` is this thread's own.
    unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        if handle.is_null() {
            return Err(last_error());
        }
        let mut map = ptr::null::<LinkMap>();
        if libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, (&raw mut map).cast()) != 0 {
            return Err(last_error());
        }
        Ok(Opened { handle, map })
    }
}

fn last_error() -> String {
    // SAFETY: null, or a C string that stays until this thread's next call of the loader.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            return "the dynamic loader gave no reason".to_owned();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

impl Opened {
    /// What `dlopen` returned.
    pub(crate) fn handle(&self) -> *mut c_void {
        self.handle
    }

    /// The address of a symbol, or null.
    pub(crate) fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: an open library and a C string.
        unsafe { libc::dlsym(self.handle, name.as_ptr()) }
    }

    /// Makes the library call the functions at these addresses wherever it refers to those of these names.
    ///
    /// # Safety
    /// `elf` is what was read from its file; the functions have the types of those that they replace; nothing else runs in it yet.
    pub(crate) unsafe fn redirect(&self, elf: &Elf, functions: &[(&'static CStr, usize)]) {
        // SAFETY: the loader keeps the map, and the tables that it names, as long as the library; sizes are in bytes.
        unsafe {
            let Tables {
                symbols,
                strings,
                relocations,
            } = self.tables();
            for (first, bytes) in relocations {
                for i in 0..bytes / size_of::<Relocation>() {
                    let relocation = &*first.add(i);
                    let symbol = (relocation.info >> 32) as usize;
                    if symbol == 0 {
                        continue;
                    }
                    let name = CStr::from_ptr(strings.add((*symbols.add(symbol)).name as usize));
                    if let Some(&(_, address)) = functions.iter().find(|(known, _)| *known == name)
                    {
                        self.write(
                            elf,
                            relocation.offset,
                            address.wrapping_add_signed(relocation.addend as isize),
                        );
                    }
                }
            }
        }
    }

    unsafe fn tables(&self) -> Tables {
        const STRTAB: i64 = 5;
        const SYMTAB: i64 = 6;
        const RELA: i64 = 7;
        const RELASZ: i64 = 8;
        const PLTRELSZ: i64 = 2;
        const JMPREL: i64 = 23;
        // SAFETY: as the caller says; the table ends with a zero entry.
        unsafe {
            let base = (*self.map).base;
            let find = |tag: i64| {
                let mut entry = (*self.map).dynamic;
                while (*entry).tag != 0 && (*entry).tag != tag {
                    entry = entry.add(1);
                }
                if (*entry).tag == 0 {
                    0
                } else {
                    (*entry).value as usize
                }
            };
            // glibc has placed the addresses in this table, musl has not.
            let address = |tag| match find(tag) {
                0 => 0,
                place if place < base => place + base,
                place => place,
            };
            Tables {
                symbols: address(SYMTAB) as *const Symbol,
                strings: address(STRTAB) as *const std::ffi::c_char,
                relocations: [(RELA, RELASZ), (JMPREL, PLTRELSZ)]
                    .map(|(table, size)| (address(table) as *const Relocation, find(size))),
            }
        }
    }

    /// Writes a word at an address of the file, where it may be read-only by now.
    unsafe fn write(&self, elf: &Elf, address: u64, word: usize) {
        let page = page_size();
        // SAFETY: a relocation of the library names a word of it; the page gets back the protection that the loader gave it.
        unsafe {
            let place = (*self.map).base + address as usize;
            let start = ptr::without_provenance_mut::<c_void>(place & !(page - 1));
            let protected = (elf.read_only_later.0..elf.read_only_later.1).contains(&address);
            if protected {
                libc::mprotect(start, page, libc::PROT_READ | libc::PROT_WRITE);
            }
            ptr::with_exposed_provenance_mut::<usize>(place).write(word);
            if protected {
                libc::mprotect(start, page, libc::PROT_READ);
            }
        }
    }

    /// Maps what is never written to from the original file, whose pages all other processes and interpreters have as well. Pages that
    /// hold an edit stay. Returns how many bytes come from the original now.
    ///
    /// # Safety
    /// `elf` is what was read from its file, of which `original` differs only by the edits at these offsets.
    pub(crate) unsafe fn share_pages(
        &self,
        elf: &Elf,
        original: &File,
        edits: &[(usize, usize)],
    ) -> usize {
        if elf.text_relocations {
            return 0;
        }
        let page = page_size() as u64;
        let mut shared = 0;
        for segment in elf.segments.iter().filter(|segment| !segment.writable) {
            let first = segment.offset / page;
            let end = (segment.offset + segment.size).div_ceil(page);
            let mut own: Vec<u64> = edits
                .iter()
                .flat_map(|&(offset, size)| {
                    offset as u64 / page..=(offset + size - 1) as u64 / page
                })
                .filter(|edited| (first..end).contains(edited))
                .chain([end])
                .collect();
            own.sort_unstable();
            let mut from = first;
            for own in own {
                let pages = own.saturating_sub(from);
                if pages > 0 {
                    let offset = from * page;
                    // Both are placed alike within a page.
                    let address = segment.address / page * page + (from - first) * page;
                    let protection = match segment.executable {
                        true => libc::PROT_READ | libc::PROT_EXEC,
                        false => libc::PROT_READ,
                    };
                    // SAFETY: the same bytes in the place of those that the loader mapped there; on failure they stay.
                    let mapped = unsafe {
                        libc::mmap(
                            ptr::without_provenance_mut((*self.map).base + address as usize),
                            (pages * page) as usize,
                            protection,
                            libc::MAP_PRIVATE | libc::MAP_FIXED,
                            original.as_raw_fd(),
                            offset as libc::off_t,
                        )
                    };
                    if mapped != libc::MAP_FAILED {
                        shared += (pages * page) as usize;
                    }
                }
                from = own + 1;
            }
        }
        shared
    }
}

struct Tables {
    symbols: *const Symbol,
    strings: *const std::ffi::c_char,
    relocations: [(*const Relocation, usize); 2],
}

fn page_size() -> usize {
    // SAFETY: a constant of the system.
    let size: c_int = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as c_int;
    size as usize
}
