//! What a shared object says of itself, and what is changed in a private copy of it.
//!
//! Read from the file before anything of it is loaded: the dynamic loader trusts what it maps, so a file that is cut off or made
//! for another machine has to be refused here. Sources: the System V ABI (gABI), chapters 4 and 5; the GNU extensions
//! `STB_GNU_UNIQUE` and `.gnu.version_r` (Linux Standard Base, Core).

use object::NativeEndian;
use object::elf;
use object::read::StringTable;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, Sym};

/// Bytes at the front of a library's name that a private copy has of its own.
pub(crate) const TAG: usize = 3;

/// A shared object, as far as loading a copy of it goes.
#[derive(Debug)]
pub(crate) struct Elf {
    /// What others call it.
    pub(crate) soname: Option<String>,
    /// The libraries it needs, by the names that it gives them.
    pub(crate) needed: Vec<String>,
    /// The folders where it looks for them first; they may begin with `$ORIGIN`.
    pub(crate) search: Vec<String>,
    pub(crate) segments: Vec<Segment>,
    /// Whether it takes functions or variables of Python from outside.
    pub(crate) uses_python: bool,
    /// Whether its data could hold the slot that says: fits interpreters with a GIL of their own, and may be believed.
    pub(crate) may_fit_own_gil: bool,
    /// Whether its code is changed while it is loaded.
    pub(crate) text_relocations: bool,
    /// What is made read-only once it is loaded: addresses from and to, before it is placed.
    pub(crate) read_only_later: (u64, u64),
    /// Where the names of libraries begin in the file: its own, those it needs, and those whose versions it asks for.
    names: Vec<(usize, String)>,
    /// Where the binding of a symbol stands that is one for the whole process.
    unique: Vec<(usize, u8)>,
}

/// A part of the file that is mapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) address: u64,
    /// Bytes in the file, and in memory.
    pub(crate) size: u64,
    pub(crate) memory: u64,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
}

/// Bytes that a copy has at a place of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) offset: usize,
    pub(crate) bytes: Vec<u8>,
}

type File<'d> = ElfFile64<'d, NativeEndian>;

const MACHINE: elf::Machine = if cfg!(target_arch = "x86_64") {
    elf::EM_X86_64
} else {
    elf::EM_AARCH64
};

impl Elf {
    /// Reads a whole file.
    ///
    /// # Errors
    /// In words, when it is no shared object for this machine, or not all of it is there.
    pub(crate) fn read(data: &[u8]) -> Result<Self, String> {
        let file = File::parse(data).map_err(|error| {
            format!("expected a 64-bit ELF shared object, found none ({error})")
        })?;
        let endian = file.endian();
        let header = file.elf_header();
        let (machine, kind) = (header.e_machine(endian), header.e_type(endian));
        if machine != MACHINE || kind != elf::ET_DYN {
            return Err(format!(
                "expected a shared object for machine {}, found type {} for machine {}",
                MACHINE.0, kind.0, machine.0
            ));
        }
        let segments = segments(&file, data.len())?;
        let malformed = |error: object::read::Error| format!("a malformed shared object ({error})");
        let mut elf = Self {
            soname: None,
            needed: Vec::new(),
            search: Vec::new(),
            may_fit_own_gil: may_fit_own_gil(data, &segments) && !takes_numpy(data),
            segments,
            uses_python: false,
            text_relocations: false,
            read_only_later: relro(&file),
            names: Vec::new(),
            unique: Vec::new(),
        };
        elf.read_dynamic(&file, data).map_err(malformed)?;
        elf.read_symbols(&file, data).map_err(malformed)?;
        Ok(elf)
    }

    fn read_dynamic(&mut self, file: &File<'_>, data: &[u8]) -> object::read::Result<()> {
        let endian = file.endian();
        let table = file.elf_dynamic_table()?;
        let mut names = Vec::new();
        for entry in &table {
            let text = || table.string(entry);
            match entry.tag {
                elf::DT_NEEDED => {
                    names.push(text()?);
                    self.needed.push(lossy(text()?));
                }
                elf::DT_SONAME => {
                    names.push(text()?);
                    self.soname = Some(lossy(text()?));
                }
                elf::DT_RPATH | elf::DT_RUNPATH => {
                    self.search
                        .extend(lossy(text()?).split(':').map(str::to_owned));
                }
                elf::DT_TEXTREL => self.text_relocations = true,
                elf::DT_FLAGS => self.text_relocations |= entry.val & elf::DF_TEXTREL.0 != 0,
                _ => {}
            }
        }
        let strings: StringTable<'_, &[u8]> = *table.strings();
        if let Some((mut versions, _)) = file.elf_section_table().gnu_verneed(endian, data)? {
            while let Some((need, _)) = versions.next()? {
                names.push(need.file(endian, strings)?);
            }
        }
        self.names = names
            .into_iter()
            .map(|name| (offset_in(data, name), lossy(name)))
            .collect();
        self.names.sort();
        self.names.dedup();
        Ok(())
    }

    fn read_symbols(&mut self, file: &File<'_>, data: &[u8]) -> object::read::Result<()> {
        let endian = file.endian();
        let table = file.elf_dynamic_symbol_table();
        for symbol in table.symbols() {
            if symbol.st_bind() == elf::STB_GNU_UNIQUE {
                let info = offset_in(data, std::slice::from_ref(&symbol.st_info));
                self.unique.push((info, symbol.st_info.0));
            }
            self.uses_python |= symbol.is_undefined(endian) && {
                let name = table.symbol_name(endian, symbol)?;
                name.starts_with(b"Py") || name.starts_with(b"_Py")
            };
        }
        Ok(())
    }

    /// How many bytes of memory it takes.
    pub(crate) fn size(&self) -> usize {
        let sizes = self.segments.iter().map(|segment| segment.memory);
        sizes.sum::<u64>() as usize
    }

    /// What a private copy has different: the names of libraries for which there is another (of the same length), and
    /// variables of its own in the place of those that are one for the process.
    pub(crate) fn edits(&self, renamed: impl Fn(&str) -> Option<String>) -> Vec<Edit> {
        let names = self.names.iter().filter_map(|(offset, name)| {
            let new = renamed(name)?;
            debug_assert_eq!(new.len(), name.len());
            Some(Edit {
                offset: *offset,
                bytes: new.into_bytes(),
            })
        });
        let unique = self.unique.iter().map(|&(offset, info)| Edit {
            offset,
            bytes: vec![elf::STB_GLOBAL.0 << 4 | info & 0xf],
        });
        names.chain(unique).collect()
    }
}

/// The parts that are mapped, which must be in the file: what is not there is a bus error once it is touched.
fn segments(file: &File<'_>, length: usize) -> Result<Vec<Segment>, String> {
    let endian = file.endian();
    file.elf_program_headers()
        .iter()
        .filter(|header| header.p_type(endian) == elf::PT_LOAD)
        .map(|header| {
            let (offset, size) = (header.p_offset(endian), header.p_filesz(endian));
            if offset
                .checked_add(size)
                .is_none_or(|end| end > length as u64)
            {
                return Err(format!(
                    "expected a file of at least {} bytes, found {length}: it was cut off",
                    offset.saturating_add(size)
                ));
            }
            let flags = header.p_flags(endian).0;
            Ok(Segment {
                offset,
                address: header.p_vaddr(endian),
                size,
                memory: header.p_memsz(endian),
                writable: flags & elf::PF_W.0 != 0,
                executable: flags & elf::PF_X.0 != 0,
            })
        })
        .collect()
}

fn relro(file: &File<'_>) -> (u64, u64) {
    let endian = file.endian();
    file.elf_program_headers()
        .iter()
        .find(|header| header.p_type(endian) == elf::PT_GNU_RELRO)
        .map_or((0, 0), |header| {
            let start = header.p_vaddr(endian);
            (start, start + header.p_memsz(endian))
        })
}

/// Whether the initial data hold the words (`Py_mod_multiple_interpreters`, `Py_MOD_PER_INTERPRETER_GIL_SUPPORTED`) one after the
/// other, as a slot of a module definition that is a constant does. Other data may happen to hold them as well; what
/// does not, does not fit, or makes the slot while it runs.
fn may_fit_own_gil(data: &[u8], segments: &[Segment]) -> bool {
    // PEP 820 (3.15) gave the slot a second number.
    const SLOTS: [u64; 2] = [3, 86];
    const SUPPORTED: u64 = 2;
    segments
        .iter()
        .filter(|segment| segment.writable)
        .any(|segment| {
            // In the file, as in memory, words are aligned.
            let start = segment.offset.next_multiple_of(8) as usize;
            let end = (segment.offset + segment.size) as usize;
            let words = data.get(start..end).unwrap_or_default().chunks_exact(8);
            let mut words =
                words.map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default()));
            let mut before = 0;
            words.any(|word| {
                let found = SLOTS.contains(&before) && word == SUPPORTED;
                before = word;
                found
            })
        })
}

/// Whether it takes NumPy's C functions, which it then keeps in a variable that is one for the process: whatever its definition
/// says (SciPy's `_special_ufuncs` says that it fits), a second interpreter would get the first one's NumPy.
fn takes_numpy(data: &[u8]) -> bool {
    const NAMES: [&[u8; 10]; 2] = [b"_ARRAY_API", b"_UFUNC_API"];
    data.windows(NAMES[0].len())
        .any(|found| NAMES.iter().any(|name| found == *name))
}

/// The name of a library with the tag in the place of its first bytes; `None` for one that is too short.
pub(crate) fn tagged(name: &str, tag: &[u8; TAG]) -> Option<String> {
    let rest = name.get(TAG..).filter(|rest| !rest.is_empty())?;
    Some(format!("{}{rest}", std::str::from_utf8(tag).ok()?))
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Where `part`, a slice of `data`, begins.
fn offset_in<T>(data: &[u8], part: &[T]) -> usize {
    part.as_ptr() as usize - data.as_ptr() as usize
}
