//! Python objects to a message.

use super::{LARGE, MAX_DEPTH, PINNED, Refused, Writer, tag};
use crate::buffer;
use crate::ffi;
use crate::message::Message;
use crate::native;
use crate::object::{Object, Raised};
use crate::pin::{Contents, Keep, Pin};
use crate::support::Support;
use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

impl From<Raised> for Refused {
    fn from(_: Raised) -> Self {
        Self::Raised
    }
}

/// Writes the values of one message.
///
/// On builds with a GIL nothing in here allocates a Python object that the collector tracks, or drops one, so no Python code runs, nothing that is read
/// changes, and what is borrowed stays alive. On free-threaded builds, where other threads could change a container
/// meanwhile, its items are read from a copy.
pub(crate) struct Encoder<'b> {
    pub(crate) out: Writer<'b>,
    support: &'b Support,
    seen: Seen,
}

impl<'b> Encoder<'b> {
    /// An encoder of the message that begins where `out` ends.
    pub(crate) fn new(out: &'b mut Message, support: &'b Support) -> Self {
        Self {
            out: Writer::new(out),
            support,
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
        unsafe {
            if self.write_plain(value)? {
                return Ok(());
            }
            self.write_nested(value, shared)
        }
    }

    /// Writes a value of a common type without items; returns whether it was one.
    #[inline(always)] // into the loop over items, and into the write of an argument
    unsafe fn write_plain(&mut self, value: *mut ffi::PyObject) -> Result<bool, Refused> {
        // SAFETY: `value` is alive and a thread state attached; each branch reads the type it just checked.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            if kind == &raw mut ffi::PyLong_Type {
                let mut overflow = 0;
                let number = ffi::PyLong_AsLongLongAndOverflow(value, &mut overflow);
                if overflow != 0 {
                    self.write_big_int(value)?;
                } else {
                    self.out.int(number)?;
                }
            } else if kind == &raw mut ffi::PyUnicode_Type {
                let (width, units) = ffi::string_units(value);
                let tag = match width {
                    1 => tag::STR_1,
                    2 => tag::STR_2,
                    _ => tag::STR_4,
                };
                if units.len() < LARGE {
                    self.out.sized(tag, units)?;
                } else {
                    self.write_large(value, tag, units)?;
                }
            } else if kind == &raw mut ffi::PyFloat_Type {
                self.out.float(ffi::PyFloat_AS_DOUBLE(value))?;
            } else if value == ffi::Py_None() {
                self.out.tag(tag::NONE)?;
            } else if kind == &raw mut ffi::PyBool_Type {
                self.out.tag(if value == ffi::Py_True() {
                    tag::TRUE
                } else {
                    tag::FALSE
                })?;
            } else if kind == &raw mut ffi::PyBytes_Type {
                let units = std::slice::from_raw_parts(
                    ffi::PyBytes_AS_STRING(value).cast(),
                    ffi::PyBytes_Size(value) as usize,
                );
                if units.len() < LARGE {
                    self.out.sized(tag::BYTES, units)?;
                } else {
                    self.write_large(value, tag::BYTES, units)?;
                }
            } else {
                return Ok(false);
            }
        }
        Ok(true)
    }

    #[cold]
    unsafe fn write_big_int(&mut self, value: *mut ffi::PyObject) -> Result<(), Refused> {
        // SAFETY: an int that is alive; the buffer has the size that was asked for.
        unsafe {
            let size = ffi::int_size(value);
            self.out.head(tag::BIG_INT, size)?;
            self.out.fill(size, |bytes| {
                if ffi::int_bytes(value, bytes) {
                    Ok(())
                } else {
                    Err(Refused::Raised)
                }
            })
        }
    }

    unsafe fn write_large(
        &mut self,
        value: *mut ffi::PyObject,
        tag: u8,
        units: &[u8],
    ) -> Result<(), Refused> {
        // SAFETY: alive, attached; `units` is what a `str` or `bytes` consists of.
        unsafe {
            match self.remember(value, false, tag)? {
                Some(tag) if units.len() >= PINNED => self.write_pinned(value, tag, units),
                Some(tag) => self.out.sized(tag, units),
                None => Ok(()),
            }
        }
    }

    /// Writes a `str` or `bytes` as a reference to what it consists of.
    #[cold]
    unsafe fn write_pinned(
        &mut self,
        value: *mut ffi::PyObject,
        tag: u8,
        units: &[u8],
    ) -> Result<(), Refused> {
        self.out.count_pinned(units.len())?;
        // SAFETY: attached and alive, and consists of these units, as the caller promised.
        let contents = unsafe { Contents::of(value, units, self.support.mailbox()) };
        self.out.pin(tag | tag::PINNED, Pin::Contents(contents))
    }

    /// Writes where `value` was met before, if it was; otherwise returns the tag that it gets.
    #[inline(always)] // most values are met once
    unsafe fn remember(
        &mut self,
        value: *mut ffi::PyObject,
        shared: bool,
        tag: u8,
    ) -> Result<Option<u8>, Refused> {
        // SAFETY: alive.
        if !(shared || ffi::FREE_THREADED_BUILD || unsafe { ffi::Py_REFCNT(value) } > 1) {
            return Ok(Some(tag));
        }
        self.remember_shared(value, tag)
    }

    fn remember_shared(
        &mut self,
        value: *mut ffi::PyObject,
        tag: u8,
    ) -> Result<Option<u8>, Refused> {
        match self.seen.number_of(value) {
            Some(number) => self.out.head(tag::SEEN, number).map(|()| None),
            None => Ok(Some(tag | tag::REMEMBERED)),
        }
    }

    /// Writes a value that is no plain one. Containers that are being written lie in a list, not on the stack; those that hold
    /// nothing but plain values, most of them, do not even get there.
    unsafe fn write_nested(
        &mut self,
        value: *mut ffi::PyObject,
        shared: bool,
    ) -> Result<(), Refused> {
        let mut around: Vec<Items> = Vec::new();
        let (mut value, mut shared) = (value, shared);
        // SAFETY: alive and attached; items are borrowed from containers that are alive and do not change.
        unsafe {
            loop {
                if let Some(mut items) = self.open(value, shared)? {
                    if around.len() == MAX_DEPTH {
                        return Err(Refused::TooDeep(MAX_DEPTH));
                    }
                    if let Some(nested) = self.write_items(&mut items)? {
                        around.push(items);
                        (value, shared) = (nested, false);
                        continue;
                    }
                }
                loop {
                    let Some(items) = around.last_mut() else {
                        return Ok(());
                    };
                    if let Some(nested) = self.write_more_items(items)? {
                        (value, shared) = (nested, false);
                        break;
                    }
                    around.pop();
                }
            }
        }
    }

    /// As [`Encoder::write_items`], after one that is no plain value.
    unsafe fn write_more_items(
        &mut self,
        items: &mut Items,
    ) -> Result<Option<*mut ffi::PyObject>, Refused> {
        // SAFETY: as promised by the caller.
        unsafe { self.write_items(items) }
    }

    /// Writes items up to the first that is no plain value, which it returns.
    #[inline(always)] // so that what is read lies in registers
    unsafe fn write_items(
        &mut self,
        items: &mut Items,
    ) -> Result<Option<*mut ffi::PyObject>, Refused> {
        // SAFETY: as promised by the caller; what is read lies within the container.
        unsafe {
            match &mut items.left {
                Left::Row(next, end) => {
                    while next != end {
                        let item = **next;
                        *next = next.add(1);
                        if !self.write_plain(item)? {
                            return Ok(Some(item));
                        }
                    }
                }
                Left::Dict {
                    dict,
                    position,
                    value,
                } => loop {
                    let mut item = std::mem::replace(value, ptr::null_mut());
                    if item.is_null() && ffi::PyDict_Next(*dict, position, &mut item, value) == 0 {
                        break;
                    }
                    if !self.write_plain(item)? {
                        return Ok(Some(item));
                    }
                },
                Left::Set(set, position) => {
                    while let Some(item) = ffi::set_next(*set, position) {
                        if !self.write_plain(item)? {
                            return Ok(Some(item));
                        }
                    }
                }
            }
        }
        Ok(None)
    }

    /// Writes the head of a container and returns its items; `None` when there are none to write.
    #[inline(always)] // as above
    unsafe fn open(
        &mut self,
        value: *mut ffi::PyObject,
        shared: bool,
    ) -> Result<Option<Items>, Refused> {
        // SAFETY: `value` is alive; each branch reads the type it just checked.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            let tag = if kind == &raw mut ffi::PyTuple_Type {
                tag::TUPLE
            } else if kind == &raw mut ffi::PyList_Type {
                tag::LIST
            } else if kind == &raw mut ffi::PyDict_Type {
                tag::DICT
            } else if kind == &raw mut ffi::PySet_Type {
                tag::SET
            } else if kind == &raw mut ffi::PyFrozenSet_Type {
                tag::FROZENSET
            } else {
                return self.write_rare(value, shared).map(|()| None);
            };
            let Some(head) = self.remember(value, shared, tag)? else {
                return Ok(None);
            };
            let (items, length) = Items::of(value, tag)?;
            self.out.head(head, length)?;
            Ok(Some(items))
        }
    }

    /// Writes a value of the other types.
    #[cold]
    unsafe fn write_rare(
        &mut self,
        value: *mut ffi::PyObject,
        shared: bool,
    ) -> Result<(), Refused> {
        // SAFETY: `value` is alive; each branch reads the type it just checked.
        unsafe {
            let kind = ffi::Py_TYPE(value);
            let tag = if kind == &raw mut ffi::PyComplex_Type {
                let number = ffi::PyComplex_AsCComplex(value);
                return self.out.complex(number.real, number.imag);
            } else if kind == &raw mut ffi::PyByteArray_Type {
                tag::BYTEARRAY
            } else if kind == &raw mut ffi::PyMemoryView_Type {
                tag::VIEW
            } else if kind == self.support.buffer_type() {
                tag::BUFFER
            } else if let Some(native) = native::value(value, self.support)? {
                return match self.remember(value, shared, tag::NATIVE)? {
                    Some(head) => self.out.pin(head, Pin::Native(native)),
                    None => Ok(()),
                };
            } else {
                return Err(Refused::Unsupported);
            };
            let Some(head) = self.remember(value, shared, tag)? else {
                return Ok(());
            };
            match tag {
                tag::VIEW => {
                    let memory = self.support.exported(value, Keep::Shape)?;
                    self.out.pin(head, Pin::Memory(Arc::new(memory)))
                }
                tag::BUFFER => {
                    let memory = Arc::clone(buffer::memory(value));
                    self.out.pin(head, Pin::Memory(memory))
                }
                _ => {
                    let copy = snapshot(value, tag)?;
                    let bytes = match &copy {
                        Some(copy) => copy.as_bytes().unwrap_or_default(),
                        None => std::slice::from_raw_parts(
                            ffi::PyByteArray_AsString(value).cast::<u8>(),
                            ffi::PyByteArray_Size(value) as usize,
                        ),
                    };
                    self.out.sized(head, bytes)
                }
            }
        }
    }
}

/// What is read in the place of a container (a dict of a dict, a tuple of others) or bytearray (a `bytes`) that other threads
/// may change meanwhile; `None` where they cannot.
unsafe fn snapshot(value: *mut ffi::PyObject, tag: u8) -> Result<Option<Object>, Raised> {
    if !ffi::FREE_THREADED_BUILD {
        return Ok(None);
    }
    // SAFETY: attached and alive; each call returns a new reference.
    unsafe {
        Ok(match tag {
            tag::LIST | tag::SET => Some(Object::owned(ffi::PySequence_Tuple(value))?),
            tag::DICT => Some(Object::owned(ffi::PyDict_Copy(value))?),
            tag::BYTEARRAY => Some(Object::owned(ffi::PyBytes_FromObject(value))?),
            _ => None,
        })
    }
}

/// The items of a container that are still to be written, keys and values of a dict in turn.
struct Items {
    left: Left,
    /// Owns the container if it is a copy.
    _copy: Option<Object>,
}

enum Left {
    /// Of a tuple or list: those between the two.
    Row(*const *mut ffi::PyObject, *const *mut ffi::PyObject),
    Dict {
        dict: *mut ffi::PyObject,
        position: isize,
        /// The value that belongs to the key which came last.
        value: *mut ffi::PyObject,
    },
    Set(*mut ffi::PyObject, isize),
}

impl Items {
    /// Those of a container, and how many there are; of a dict, pairs.
    ///
    /// # Safety
    /// Attached; the container is alive, of the type that the tag says, and does not change as long as this is used.
    #[inline(always)] // as above
    unsafe fn of(container: *mut ffi::PyObject, tag: u8) -> Result<(Self, usize), Raised> {
        // SAFETY: alive, and of the type that the tag says.
        unsafe {
            let copy = snapshot(container, tag)?;
            let (container, tag) = match &copy {
                Some(copy) if tag == tag::DICT => (copy.as_ptr(), tag),
                Some(copy) => (copy.as_ptr(), tag::TUPLE),
                None => (container, tag),
            };
            let (left, length) = match tag {
                tag::TUPLE | tag::LIST => {
                    let items = ffi::row(container, tag == tag::LIST);
                    let items = items.as_ptr_range();
                    let length = items.end.offset_from(items.start);
                    (Left::Row(items.start, items.end), length)
                }
                tag::DICT => {
                    let left = Left::Dict {
                        dict: container,
                        position: 0,
                        value: ptr::null_mut(),
                    };
                    (left, ffi::PyDict_Size(container))
                }
                _ => (Left::Set(container, 0), ffi::PySet_Size(container)),
            };
            let items = Self { left, _copy: copy };
            Ok((items, length as usize))
        }
    }
}

/// The objects written so far that may be met again: a list while it is short, a map after that.
#[derive(Default)]
struct Seen {
    few: Vec<*mut ffi::PyObject>,
    many: HashMap<*mut ffi::PyObject, usize>,
}

impl Seen {
    const FEW: usize = 16;

    /// The number of an object met before; otherwise it gets the next one.
    fn number_of(&mut self, object: *mut ffi::PyObject) -> Option<usize> {
        if self.many.is_empty() {
            let known = self.few.iter().position(|&seen| seen == object);
            if known.is_none() {
                self.few.push(object);
                if self.few.len() > Self::FEW {
                    self.many = self.few.drain(..).zip(0..).collect();
                }
            }
            return known;
        }
        let next = self.many.len();
        let number = *self.many.entry(object).or_insert(next);
        (number != next).then_some(number)
    }
}
