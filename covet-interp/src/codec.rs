//! The direct codec: values of exact built-in types as flat bytes.
//!
//! `None`, `bool`, `int` (64 bits), `float`, `str`, `bytes`, `tuple`, `list` and `dict`, nested to a depth of
//! [`MAX_DEPTH`], are written as a tag and a payload; whatever holds anything else is refused here and goes
//! by pickle as a whole, so that identity inside one message is never split between two formats.
//! Lists, dicts and tuples that are met twice keep their identity, cycles included: as in `marshal`, only
//! objects that something else refers to as well are remembered.
//!
//! ```text
//! tag  payload                       tag  payload
//!  0   (None)                         7   bytes: length u32, bytes
//!  1   (False)      2  (True)         8   tuple: length u32, items
//!  3   int: i64                       9   list:  length u32, items
//!  4   float: f64                    10   dict:  length u32, key, value, ...
//!  5   str: width u8, bytes u32,     11   met before: its number u32
//!      code units                    +128 this container is remembered: the next number
//! ```
//! All numbers are in the byte order of the machine: a message never leaves the process.

use crate::ffi;
use crate::object::{Object, Raised};
use std::collections::HashMap;

/// Nesting beyond this goes by pickle.
pub(crate) const MAX_DEPTH: usize = 100;

pub(crate) mod tag {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const FALSE: u8 = 1;
    pub(crate) const TRUE: u8 = 2;
    pub(crate) const INT: u8 = 3;
    pub(crate) const FLOAT: u8 = 4;
    pub(crate) const STR: u8 = 5;
    pub(crate) const BYTES: u8 = 7;
    pub(crate) const TUPLE: u8 = 8;
    pub(crate) const LIST: u8 = 9;
    pub(crate) const DICT: u8 = 10;
    pub(crate) const SEEN: u8 = 11;
    /// Added to the tag of a container that may be met again.
    pub(crate) const REMEMBERED: u8 = 128;
}

/// Why a value was not written.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Its type, size or depth is not for this codec.
    Unsupported,
    /// CPython failed (out of memory).
    Raised,
}

impl From<Raised> for Refused {
    fn from(_: Raised) -> Self {
        Self::Raised
    }
}

/// Writes values to the end of a buffer.
pub(crate) struct Encoder<'b> {
    out: &'b mut Vec<u8>,
    seen: Seen,
}

impl<'b> Encoder<'b> {
    pub(crate) fn new(out: &'b mut Vec<u8>) -> Self {
        Self {
            out,
            seen: Seen::default(),
        }
    }

    /// Writes one value. `shared` says that it may be met again in this message although nothing but the
    /// caller refers to it.
    ///
    /// # Safety
    /// A thread state is attached; `value` is alive.
    #[inline]
    pub(crate) unsafe fn write(
        &mut self,
        value: *mut ffi::PyObject,
        shared: bool,
    ) -> Result<(), Refused> {
        // SAFETY: as promised by the caller.
        unsafe { self.write_at(value, shared, 0) }
    }

    unsafe fn write_at(
        &mut self,
        value: *mut ffi::PyObject,
        shared: bool,
        depth: usize,
    ) -> Result<(), Refused> {
        // SAFETY: `value` is alive and a thread state attached; each branch reads the type it just checked. No
        // Python code runs in here, so nothing that is read can change meanwhile (free-threaded builds, where
        // another thread could change it, iterate over private copies).
        unsafe {
            let kind = ffi::Py_TYPE(value);
            if kind == &raw mut ffi::PyLong_Type {
                let mut overflow = 0;
                let number = ffi::PyLong_AsLongLongAndOverflow(value, &mut overflow);
                if overflow != 0 {
                    return Err(Refused::Unsupported);
                }
                self.out.push(tag::INT);
                self.out.extend_from_slice(&number.to_ne_bytes());
            } else if kind == &raw mut ffi::PyUnicode_Type {
                let (width, units) = ffi::string_units(value);
                let length = length(units.len())?;
                self.out.extend_from_slice(&[tag::STR, width]);
                self.out.extend_from_slice(&length);
                self.out.extend_from_slice(units);
            } else if kind == &raw mut ffi::PyFloat_Type {
                self.out.push(tag::FLOAT);
                self.out
                    .extend_from_slice(&ffi::PyFloat_AS_DOUBLE(value).to_ne_bytes());
            } else if value == ffi::Py_None() {
                self.out.push(tag::NONE);
            } else if kind == &raw mut ffi::PyBool_Type {
                self.out.push(if value == ffi::Py_True() {
                    tag::TRUE
                } else {
                    tag::FALSE
                });
            } else if kind == &raw mut ffi::PyBytes_Type {
                let size = ffi::PyBytes_Size(value) as usize;
                let length = length(size)?;
                self.out.push(tag::BYTES);
                self.out.extend_from_slice(&length);
                self.out.extend_from_slice(std::slice::from_raw_parts(
                    ffi::PyBytes_AS_STRING(value).cast(),
                    size,
                ));
            } else {
                return self.write_container(value, shared, depth);
            }
        }
        Ok(())
    }

    unsafe fn write_container(
        &mut self,
        value: *mut ffi::PyObject,
        shared: bool,
        depth: usize,
    ) -> Result<(), Refused> {
        // SAFETY: as in `write_at`; items are borrowed from containers that are alive and do not change.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            let tag = if kind == &raw mut ffi::PyTuple_Type {
                tag::TUPLE
            } else if kind == &raw mut ffi::PyList_Type {
                tag::LIST
            } else if kind == &raw mut ffi::PyDict_Type {
                tag::DICT
            } else {
                return Err(Refused::Unsupported);
            };
            if depth == MAX_DEPTH {
                return Err(Refused::Unsupported);
            }
            if shared || ffi::FREE_THREADED_BUILD || ffi::Py_REFCNT(value) > 1 {
                if let Some(number) = self.seen.number_of(value) {
                    self.out.push(tag::SEEN);
                    self.out.extend_from_slice(&number.to_ne_bytes());
                    return Ok(());
                }
                self.out.push(tag | tag::REMEMBERED);
            } else {
                self.out.push(tag);
            }
            match tag {
                tag::TUPLE => {
                    let size = ffi::PyTuple_GET_SIZE(value);
                    self.out.extend_from_slice(&length(size as usize)?);
                    for i in 0..size {
                        self.write_at(ffi::PyTuple_GET_ITEM(value, i), false, depth + 1)?;
                    }
                }
                tag::LIST if ffi::FREE_THREADED_BUILD => {
                    let copy = Object::owned(ffi::PyList_AsTuple(value))?;
                    let size = ffi::PyTuple_GET_SIZE(copy.as_ptr());
                    self.out.extend_from_slice(&length(size as usize)?);
                    for i in 0..size {
                        self.write_at(ffi::PyTuple_GET_ITEM(copy.as_ptr(), i), false, depth + 1)?;
                    }
                }
                tag::LIST => {
                    let size = ffi::PyList_GET_SIZE(value);
                    self.out.extend_from_slice(&length(size as usize)?);
                    for i in 0..size {
                        self.write_at(ffi::PyList_GET_ITEM(value, i), false, depth + 1)?;
                    }
                }
                _ if ffi::FREE_THREADED_BUILD => {
                    let copy = Object::owned(ffi::PyDict_Copy(value))?;
                    self.write_items(copy.as_ptr(), depth)?;
                }
                _ => self.write_items(value, depth)?,
            }
        }
        Ok(())
    }

    unsafe fn write_items(
        &mut self,
        dict: *mut ffi::PyObject,
        depth: usize,
    ) -> Result<(), Refused> {
        // SAFETY: `dict` is a dict that does not change while it is read.
        unsafe {
            self.out
                .extend_from_slice(&length(ffi::PyDict_Size(dict) as usize)?);
            let (mut position, mut key, mut value) =
                (0, std::ptr::null_mut(), std::ptr::null_mut());
            while ffi::PyDict_Next(dict, &mut position, &mut key, &mut value) != 0 {
                self.write_at(key, false, depth + 1)?;
                self.write_at(value, false, depth + 1)?;
            }
        }
        Ok(())
    }
}

#[inline]
fn length(size: usize) -> Result<[u8; 4], Refused> {
    u32::try_from(size)
        .map(u32::to_ne_bytes)
        .map_err(|_| Refused::Unsupported)
}

/// The containers written so far that may be met again: a list while it is short, a map after that.
#[derive(Default)]
struct Seen {
    few: Vec<*mut ffi::PyObject>,
    many: HashMap<*mut ffi::PyObject, u32>,
}

impl Seen {
    const FEW: usize = 16;

    /// The number of a container met before; otherwise it gets the next one.
    fn number_of(&mut self, container: *mut ffi::PyObject) -> Option<u32> {
        let known = if self.few.len() <= Self::FEW {
            self.few
                .iter()
                .position(|&seen| seen == container)
                .map(|i| i as u32)
        } else {
            self.many.get(&container).copied()
        };
        if known.is_none() {
            self.few.push(container);
            match self.few.len() {
                n if n == Self::FEW + 1 => {
                    self.many = self
                        .few
                        .iter()
                        .enumerate()
                        .map(|(i, &c)| (c, i as u32))
                        .collect();
                }
                n if n > Self::FEW => {
                    self.many.insert(container, (n - 1) as u32);
                }
                _ => {}
            }
        }
        known
    }
}

/// Reads the bytes of a message, front to back.
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
}

/// The message is not one that an [`Encoder`] wrote: a bug, reported instead of read.
#[derive(Debug)]
pub(crate) struct Malformed;

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'b [u8], Malformed> {
        let (front, rest) = self.bytes.split_at_checked(count).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(front)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (front, rest) = self.bytes.split_first_chunk().ok_or(Malformed)?;
        self.bytes = rest;
        Ok(*front)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<usize, Malformed> {
        self.array().map(|bytes| u32::from_ne_bytes(bytes) as usize)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_ne_bytes)
    }

    #[inline]
    pub(crate) fn f64(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_ne_bytes)
    }
}

impl From<Malformed> for Raised {
    fn from(_: Malformed) -> Self {
        // SAFETY: a message becomes objects only while attached; the text is a static C string.
        unsafe {
            ffi::PyErr_SetString(
                ffi::PyExc_SystemError,
                c"a message between interpreters is malformed".as_ptr(),
            );
        }
        Raised
    }
}

/// Makes objects of the attached interpreter from the bytes of a message.
pub(crate) struct Decoder<'b> {
    pub(crate) reader: Reader<'b>,
    /// Containers by number, borrowed: each is owned by an object that is still being made.
    seen: Vec<*mut ffi::PyObject>,
}

impl<'b> Decoder<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
            seen: Vec::new(),
        }
    }

    /// Reads one value.
    ///
    /// # Safety
    /// A thread state is attached, and the objects that this decoder made before are still alive.
    #[inline]
    pub(crate) unsafe fn read(&mut self) -> Result<Object, Raised> {
        // SAFETY: attached; every new reference is owned at once; items are given to containers that were just
        // made with room for them, and that nothing else has seen yet.
        unsafe {
            let tag = self.reader.u8()?;
            match tag {
                tag::NONE => Object::borrowed(ffi::Py_None()),
                tag::FALSE => Object::borrowed(ffi::Py_False()),
                tag::TRUE => Object::borrowed(ffi::Py_True()),
                tag::INT => Object::owned(ffi::PyLong_FromLongLong(self.reader.i64()?)),
                tag::FLOAT => Object::owned(ffi::PyFloat_FromDouble(self.reader.f64()?)),
                tag::STR => {
                    let width = self.reader.u8()?;
                    let size = self.reader.u32()?;
                    let units = self.reader.take(size)?;
                    string(width, units)
                }
                tag::BYTES => {
                    let size = self.reader.u32()?;
                    Object::bytes(self.reader.take(size)?)
                }
                tag::SEEN => {
                    let number = self.reader.u32()?;
                    Object::borrowed(*self.seen.get(number).ok_or(Malformed)?)
                }
                _ => self.read_container(tag),
            }
        }
    }

    unsafe fn read_container(&mut self, tag: u8) -> Result<Object, Raised> {
        let size = self.reader.u32()?;
        let count = isize::try_from(size).map_err(|_| Malformed)?;
        // SAFETY: as in `read`.
        unsafe {
            let made = Object::owned(match tag & !tag::REMEMBERED {
                tag::TUPLE => ffi::PyTuple_New(count),
                tag::LIST => ffi::PyList_New(count),
                tag::DICT => ffi::PyDict_New(),
                _ => return Err(Malformed.into()),
            })?;
            if tag & tag::REMEMBERED != 0 {
                self.seen.push(made.as_ptr());
            }
            match tag & !tag::REMEMBERED {
                tag::TUPLE => {
                    for i in 0..count {
                        ffi::PyTuple_SET_ITEM(made.as_ptr(), i, self.read()?.into_ptr());
                    }
                }
                tag::LIST => {
                    for i in 0..count {
                        ffi::PyList_SET_ITEM(made.as_ptr(), i, self.read()?.into_ptr());
                    }
                }
                _ => {
                    for _ in 0..count {
                        let key = self.read()?;
                        let value = self.read()?;
                        if ffi::PyDict_SetItem(made.as_ptr(), key.as_ptr(), value.as_ptr()) < 0 {
                            return Err(Raised);
                        }
                    }
                }
            }
            Ok(made)
        }
    }
}

/// A `str` from code units of 1, 2 or 4 bytes.
#[inline]
unsafe fn string(width: u8, units: &[u8]) -> Result<Object, Raised> {
    let count = (units.len() / usize::from(width.max(1))) as isize;
    let kind = i32::from(width);
    if width > 1 && units.as_ptr().align_offset(usize::from(width)) != 0 {
        // CPython reads code units at their own alignment; a message does not pad.
        return match width {
            2 => {
                let copy: Vec<u16> = units
                    .chunks_exact(2)
                    .map(|unit| u16::from_ne_bytes([unit[0], unit[1]]))
                    .collect();
                // SAFETY: attached; the copy is aligned and holds `count` units.
                unsafe {
                    Object::owned(ffi::PyUnicode_FromKindAndData(
                        kind,
                        copy.as_ptr().cast(),
                        count,
                    ))
                }
            }
            _ => {
                let copy: Vec<u32> = units
                    .chunks_exact(4)
                    .map(|unit| u32::from_ne_bytes([unit[0], unit[1], unit[2], unit[3]]))
                    .collect();
                // SAFETY: as above.
                unsafe {
                    Object::owned(ffi::PyUnicode_FromKindAndData(
                        kind,
                        copy.as_ptr().cast(),
                        count,
                    ))
                }
            }
        };
    }
    // SAFETY: attached; `units` is aligned and holds `count` units.
    unsafe {
        Object::owned(ffi::PyUnicode_FromKindAndData(
            kind,
            units.as_ptr().cast(),
            count,
        ))
    }
}
