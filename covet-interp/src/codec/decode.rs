//! A message to Python objects of the attached interpreter.

use super::{MAX_DEPTH, Malformed, Reader, tag};
use crate::buffer;
use crate::ffi;
use crate::message::MessageRef;
use crate::object::{Object, Raised};
use crate::pin;
use crate::support::Support;
use std::sync::Arc;

impl From<Malformed> for Raised {
    #[cold]
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

/// Makes the objects of one message.
pub(crate) struct Decoder<'b> {
    pub(crate) reader: Reader<'b>,
    support: &'b Support,
    /// Remembered objects by number.
    seen: Vec<Seen>,
}

struct Seen {
    /// `None` for a frozenset that is being made: while it is filled nothing else may refer to it, and no cycle goes
    /// through one.
    object: Option<Object>,
    /// Whether it is complete, and so is all that it holds. What is in a cycle never counts as that.
    whole: bool,
}

impl<'b> Decoder<'b> {
    /// # Safety
    /// A thread state of the interpreter of `support` is attached as long as the decoder lives.
    pub(crate) unsafe fn new(message: MessageRef<'b>, support: &'b Support) -> Self {
        Self {
            reader: Reader::new(message),
            support,
            seen: Vec::new(),
        }
    }

    /// Reads one value.
    #[inline]
    pub(crate) fn read(&mut self) -> Result<Object, Raised> {
        let tag = self.reader.u8()?;
        if tag::is_container(tag & !tag::REMEMBERED) {
            self.read_nested(tag)
        } else if tag == tag::SEEN {
            let object = self.read_seen()?.object.as_ref().ok_or(Malformed)?;
            Ok(object.another())
        } else {
            self.read_plain(tag)
        }
    }

    #[inline(always)] // into the loop over items, and into the read of an argument
    fn read_plain(&mut self, tag: u8) -> Result<Object, Raised> {
        // SAFETY: attached; every new reference is owned at once; pointers and sizes are those of slices.
        unsafe {
            match tag {
                tag::NONE => Object::borrowed(ffi::Py_None()),
                tag::FALSE => Object::borrowed(ffi::Py_False()),
                tag::TRUE => Object::borrowed(ffi::Py_True()),
                tag::INT => Object::owned(ffi::PyLong_FromLongLong(self.reader.i64()?)),
                tag::FLOAT => Object::owned(ffi::PyFloat_FromDouble(self.reader.f64()?)),
                tag::STR_1 => string(1, self.reader.sized()?),
                tag::BYTES => Object::bytes(self.reader.sized()?),
                tag::STR_2 => string(2, self.reader.sized()?),
                tag::STR_4 => string(4, self.reader.sized()?),
                tag::BIG_INT => {
                    let bytes = self.reader.sized()?;
                    Object::owned(ffi::int_from_bytes(bytes))
                }
                tag::COMPLEX => {
                    let (real, imaginary) = (self.reader.f64()?, self.reader.f64()?);
                    Object::owned(ffi::PyComplex_FromDoubles(real, imaginary))
                }
                tag::BYTEARRAY => {
                    let bytes = self.reader.sized()?;
                    Object::owned(ffi::PyByteArray_FromStringAndSize(
                        bytes.as_ptr().cast(),
                        bytes.len() as isize,
                    ))
                }
                tag::PICKLE => self.read_pickle(),
                _ if tag & tag::REMEMBERED != 0 => self.read_remembered(tag & !tag::REMEMBERED),
                _ => self.read_pinned(tag),
            }
        }
    }

    /// Reads what is not in the message itself.
    #[cold]
    fn read_pinned(&mut self, tag: u8) -> Result<Object, Raised> {
        const STR_1: u8 = tag::STR_1 | tag::PINNED;
        const STR_2: u8 = tag::STR_2 | tag::PINNED;
        const STR_4: u8 = tag::STR_4 | tag::PINNED;
        const BYTES: u8 = tag::BYTES | tag::PINNED;
        // SAFETY: attached to the interpreter of `support`, which the type belongs to.
        unsafe {
            match tag {
                BYTES => self.reader.contents()?.read(|bytes| Object::bytes(bytes)),
                STR_1 => self.reader.contents()?.read(|units| string(1, units)),
                STR_2 => self.reader.contents()?.read(|units| string(2, units)),
                STR_4 => self.reader.contents()?.read(|units| string(4, units)),
                tag::BUFFER => {
                    let memory = Arc::clone(self.reader.memory()?);
                    buffer::make(self.support.buffer_type(), memory)
                }
                tag::VIEW => self.support.view(Arc::clone(self.reader.memory()?)),
                tag::NATIVE => Arc::clone(self.reader.native()?).object(self.support),
                _ => Err(Malformed.into()),
            }
        }
    }

    #[cold]
    fn read_remembered(&mut self, tag: u8) -> Result<Object, Raised> {
        // Nothing but these may be met again; what has items is not read here.
        if !(tag::STR_1..=tag::BYTEARRAY).contains(&(tag & !tag::PINNED))
            && !matches!(tag, tag::VIEW | tag::BUFFER | tag::NATIVE)
        {
            return Err(Malformed.into());
        }
        let object = self.read_plain(tag)?;
        self.seen.push(Seen {
            object: Some(object.another()),
            whole: true,
        });
        Ok(object)
    }

    /// Reads a number, and returns what was remembered under it.
    fn read_seen(&mut self) -> Result<&Seen, Malformed> {
        let number = self.reader.size()?;
        self.seen.get(number).ok_or(Malformed)
    }

    /// Reads the payload of a pickle, and unpickles it.
    pub(crate) fn read_pickle(&mut self) -> Result<Object, Raised> {
        const PINNED_BYTES: u8 = tag::BYTES | tag::PINNED;
        let length = self.reader.items(tag::TUPLE, 0)?;
        let parts = (0..length)
            .map(|_| {
                let tag = self.reader.u8()?;
                match tag {
                    tag::BYTES | PINNED_BYTES | tag::BYTEARRAY | tag::VIEW => self.read_plain(tag),
                    _ => Err(Malformed.into()),
                }
            })
            .collect::<Result<Vec<_>, Raised>>()?;
        match parts.split_first() {
            Some((data, buffers)) => self.support.loads(data, buffers),
            None => Err(Malformed.into()),
        }
    }

    /// Reads a container. Those that are being made lie in a list, not on the stack; those that hold nothing but plain values,
    /// most of them, do not even get there.
    fn read_nested(&mut self, tag: u8) -> Result<Object, Raised> {
        let mut around: Vec<Made> = Vec::new();
        // Items of the containers in `around` that are still to come.
        let mut owed = 0;
        let (mut tag, mut hashed) = (tag, false);
        loop {
            if around.len() == MAX_DEPTH {
                return Err(Malformed.into());
            }
            let mut made = self.open(tag, owed, hashed)?;
            if let Some(nested) = self.read_items(&mut made)? {
                (tag, hashed) = (nested, made.hashes_next());
                owed += made.left;
                around.push(made);
                continue;
            }
            loop {
                let Made {
                    object,
                    number,
                    whole,
                    ..
                } = made;
                if let Some(number) = number {
                    self.seen[number as usize] = Seen {
                        object: Some(object.another()),
                        whole,
                    };
                }
                let Some(outer) = around.last_mut() else {
                    return Ok(object);
                };
                owed -= outer.left;
                outer.whole &= whole;
                outer.add(object)?;
                if let Some(nested) = self.read_more_items(outer)? {
                    (tag, hashed) = (nested, outer.hashes_next());
                    owed += outer.left;
                    break;
                }
                made = around.pop().ok_or(Malformed)?;
            }
        }
    }

    /// As [`Decoder::read_items`], after one that is a container.
    fn read_more_items(&mut self, made: &mut Made) -> Result<Option<u8>, Raised> {
        self.read_items(made)
    }

    /// Reads items up to the first that is a container, whose tag it returns.
    #[inline(always)] // so that what is made lies in registers
    fn read_items(&mut self, made: &mut Made) -> Result<Option<u8>, Raised> {
        while made.left > 0 {
            let tag = self.reader.u8()?;
            made.left -= 1;
            if tag::is_container(tag & !tag::REMEMBERED) {
                return Ok(Some(tag));
            }
            let item = if tag == tag::SEEN {
                self.read_seen_item(made)?
            } else if tag == tag::STR_1 && made.kind == tag::DICT && made.key.is_none() {
                let units = self.reader.sized()?;
                // SAFETY: attached.
                let make = |units: &[u8]| unsafe { string(1, units) };
                self.support.keys().get(units, make)?
            } else {
                self.read_plain(tag)?
            };
            made.add(item)?;
        }
        Ok(None)
    }

    /// Reads which object that was met before is the next item.
    fn read_seen_item(&mut self, made: &mut Made) -> Result<Object, Raised> {
        let hashed = made.hashes_next();
        let Seen { object, whole } = self.read_seen()?;
        // Only what is whole can be hashed.
        if hashed && !whole {
            return Err(Malformed.into());
        }
        made.whole &= whole;
        Ok(object.as_ref().ok_or(Malformed)?.another())
    }

    /// Makes the container that begins here. `hashed` says that it is, or belongs to, a key or an element of a set.
    #[inline(always)] // as above
    fn open(&mut self, tag: u8, owed: usize, hashed: bool) -> Result<Made, Raised> {
        let kind = tag & !tag::REMEMBERED;
        let left = self.reader.items(kind, owed)?;
        // SAFETY: attached; each call returns a new reference. The number of items fits an isize, as the message does. A tuple or
        // list has room for so many items, which nothing reads before they are there.
        let (object, next) = unsafe {
            let object = Object::owned(match kind {
                tag::TUPLE => ffi::PyTuple_New(left as isize),
                tag::LIST => ffi::PyList_New(left as isize),
                tag::DICT => ffi::PyDict_New(),
                tag::SET => ffi::PySet_New(std::ptr::null_mut()),
                _ => ffi::PyFrozenSet_New(std::ptr::null_mut()),
            })?;
            let next = match kind {
                tag::TUPLE | tag::LIST => ffi::row(object.as_ptr(), kind == tag::LIST).as_ptr(),
                _ => std::ptr::null(),
            };
            (object, next.cast_mut())
        };
        let mut number = None;
        if tag & tag::REMEMBERED != 0 {
            number = Some(u32::try_from(self.seen.len()).map_err(|_| Malformed)?);
            self.seen.push(Seen {
                object: (kind != tag::FROZENSET).then(|| object.another()),
                whole: false,
            });
        }
        Ok(Made {
            object,
            next,
            left,
            key: None,
            number,
            kind,
            whole: true,
            hashed,
        })
    }
}

/// A container that is being made.
struct Made {
    object: Object,
    /// Where the next item of a tuple or list belongs; null for others.
    next: *mut *mut ffi::PyObject,
    left: usize,
    /// The key whose value comes next.
    key: Option<Object>,
    /// Its number, if it is remembered.
    number: Option<u32>,
    kind: u8,
    /// Whether all items that it has so far are whole.
    whole: bool,
    /// Whether it is, or belongs to, a key or an element of a set.
    hashed: bool,
}

impl Made {
    /// Whether the next item will be hashed.
    fn hashes_next(&self) -> bool {
        self.hashed
            || match self.kind {
                tag::DICT => self.key.is_none(),
                tag::SET | tag::FROZENSET => true,
                _ => false,
            }
    }

    #[inline(always)] // into the loop over items
    fn add(&mut self, item: Object) -> Result<(), Raised> {
        // SAFETY: attached; the container is of the kind that it says, was made here with room for its items, and
        // nothing reads the room that is not filled yet.
        unsafe {
            if !self.next.is_null() {
                self.next.write(item.into_ptr());
                self.next = self.next.add(1);
                return Ok(());
            }
            let object = self.object.as_ptr();
            let added = if self.kind == tag::DICT {
                match self.key.take() {
                    None => {
                        self.key = Some(item);
                        return Ok(());
                    }
                    Some(key) => ffi::PyDict_SetItem(object, key.as_ptr(), item.as_ptr()),
                }
            } else {
                ffi::PySet_Add(object, item.as_ptr())
            };
            if added < 0 { Err(Raised) } else { Ok(()) }
        }
    }
}

/// A `str` from code units of 1, 2 or 4 bytes.
///
/// # Safety
/// A thread state is attached.
#[inline]
unsafe fn string(width: u8, units: &[u8]) -> Result<Object, Raised> {
    if width == 1 {
        // SAFETY: attached; any byte is a code unit of Latin-1.
        return unsafe { from_units(1, units.as_ptr(), units.len()) };
    }
    if !units.len().is_multiple_of(usize::from(width)) {
        return Err(Malformed.into());
    }
    // SAFETY: attached; aligned, and every unit of 4 bytes is a code point.
    unsafe {
        if width == 2 {
            let mut copy = Vec::new();
            let units = aligned(units, u16::from_ne_bytes, &mut copy)?;
            return from_units(2, units.as_ptr().cast(), units.len());
        }
        let mut copy = Vec::new();
        let units = aligned(units, u32::from_ne_bytes, &mut copy)?;
        if units.iter().any(|&unit| unit > u32::from(char::MAX)) {
            return Err(Malformed.into());
        }
        from_units(4, units.as_ptr().cast(), units.len())
    }
}

/// Code units of `N` bytes at their own alignment, where CPython reads them: a message does not pad. Copies them if need be.
///
/// # Safety
/// A thread state is attached; any `N` bytes are a `U`.
unsafe fn aligned<'u, const N: usize, U>(
    units: &'u [u8],
    unit: impl Fn([u8; N]) -> U,
    copy: &'u mut Vec<U>,
) -> Result<&'u [U], Raised> {
    // SAFETY: attached, and any bytes will do, as promised.
    unsafe {
        if let ([], all, []) = units.align_to() {
            return Ok(all);
        }
        let (units, _) = units.as_chunks();
        *copy = pin::vec_of(units.len())?;
        copy.extend(units.iter().map(|&bytes| unit(bytes)));
        Ok(copy)
    }
}

/// # Safety
/// A thread state is attached; `units` points to `count` aligned code units of `width` bytes.
#[inline]
unsafe fn from_units(width: i32, units: *const u8, count: usize) -> Result<Object, Raised> {
    // SAFETY: as promised; the result is a new reference.
    unsafe {
        Object::owned(ffi::PyUnicode_FromKindAndData(
            width,
            units.cast(),
            count as isize,
        ))
    }
}
