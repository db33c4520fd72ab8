//! The fields of a head or a trailer section: positions into the bytes they came in.

use std::fmt;
use std::mem::MaybeUninit;

use crate::field::{Field, tag};
use crate::index::Index;

/// Where one field lies: 16 bytes, positions instead of slices, so that a table of them can move, be kept and be shared
/// with the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    name: u32,
    value: u32,
    value_length: u32,
    name_length: u16,
    tag: u8,
}

impl Slot {
    /// A table of slots without fields yet, to be parsed into.
    #[must_use]
    pub const fn table<const N: usize>() -> [MaybeUninit<Self>; N] {
        [MaybeUninit::uninit(); N]
    }

    #[inline(always)]
    pub(crate) fn new(name: usize, name_length: u16, tag: u8, value: usize, end: usize) -> Self {
        Self {
            name: name as u32,
            value: value as u32,
            value_length: (end - value) as u32,
            name_length,
            tag,
        }
    }

    #[inline]
    pub(crate) fn name<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.name as usize;
        &bytes[start..start + self.name_length as usize]
    }

    #[inline]
    pub(crate) fn value<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let start = self.value as usize;
        &bytes[start..start + self.value_length as usize]
    }

    #[inline]
    pub(crate) fn is(&self, name: &[u8], tag: u8, bytes: &[u8]) -> bool {
        self.tag == tag
            && self.name_length as usize == name.len()
            && self.name(bytes).eq_ignore_ascii_case(name)
    }

    #[inline]
    pub(crate) fn field(&self, bytes: &[u8]) -> Option<Field> {
        Field::tagged(self.tag, self.name(bytes))
    }

    pub(crate) fn tag(&self) -> u8 {
        self.tag
    }
}

/// Returns the slots that a parser has written.
///
/// # Safety
///
/// The first `count` of them are written.
#[inline]
pub(crate) unsafe fn written(slots: &[MaybeUninit<Slot>], count: usize) -> &[Slot] {
    // SAFETY: these are initialised, as promised, and a `MaybeUninit<Slot>` lies in memory like a `Slot`.
    unsafe { &*(&raw const slots[..count] as *const [Slot]) }
}

/// Fields in the order they came in, with the case they had.
///
/// A view: it borrows the bytes and the slots, and copies nothing. Names are ASCII; values may hold any byte but control
/// characters, with the spaces around them taken off.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    slots: &'a [Slot],
    index: Option<&'a Index>,
}

impl<'a> Headers<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], slots: &'a [Slot], index: Option<&'a Index>) -> Self {
        Self {
            bytes,
            slots,
            index,
        }
    }

    /// The bytes that the positions are in.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns how many fields there are; one that came twice counts twice.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the field at a place in the order, from 0.
    #[must_use]
    pub fn nth(&self, place: usize) -> Option<Header<'a>> {
        let slot = *self.slots.get(place)?;
        Some(Header {
            bytes: self.bytes,
            slot,
        })
    }

    /// Returns the value of the first field of this name, in any case.
    ///
    /// Compares a byte for each field, and letters where that byte agrees; a [`Request`](crate::Request) with more than 24
    /// fields is asked through a table instead, made by the first look-up.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let name = name.as_bytes();
        let tag = tag(name);
        let matches = |slot: &&Slot| slot.is(name, tag, self.bytes);
        let slot = match self.index {
            Some(index) => index.slots(tag, self.slots).find(matches),
            None => self.slots.iter().find(matches),
        };
        slot.map(|slot| slot.value(self.bytes))
    }

    /// Returns the value of the first field of a known name.
    #[must_use]
    pub fn known(&self, field: Field) -> Option<&'a [u8]> {
        self.get(field.name())
    }

    /// Returns the values of all fields of this name, in any case, in order.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let name = name.as_bytes();
        let tag = tag(name);
        let bytes = self.bytes;
        self.slots
            .iter()
            .filter(move |slot| slot.is(name, tag, bytes))
            .map(move |slot| slot.value(bytes))
    }

    /// Returns all fields in order.
    #[must_use]
    pub fn iter(&self) -> Iter<'a> {
        Iter {
            bytes: self.bytes,
            slots: self.slots.iter(),
        }
    }

    /// Returns whether any field of this name lists the token, in any case: `Connection: keep-alive, Upgrade` lists `upgrade`.
    #[must_use]
    pub fn lists(&self, name: &str, token: &str) -> bool {
        self.get_all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    pub(crate) fn keep_alive(&self, is_http_1_0: bool) -> bool {
        let says = |option| self.lists("connection", option);
        !says("close") && (!is_http_1_0 || says("keep-alive"))
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// One field.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    bytes: &'a [u8],
    slot: Slot,
}

impl<'a> Header<'a> {
    /// Returns the name in the case it came in.
    #[must_use]
    pub fn name(&self) -> &'a str {
        // The parser took a token, which is ASCII.
        str::from_utf8(self.slot.name(self.bytes)).unwrap_or_default()
    }

    /// Returns the value, without the spaces around it.
    #[must_use]
    pub fn value(&self) -> &'a [u8] {
        self.slot.value(self.bytes)
    }

    /// Returns which known name this is. Compares letters with one name at most.
    #[must_use]
    pub fn field(&self) -> Option<Field> {
        self.slot.field(self.bytes)
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.value().escape_ascii())
    }
}

/// The fields of [`Headers::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    slots: std::slice::Iter<'a, Slot>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        let slot = *self.slots.next()?;
        Some(Header {
            bytes: self.bytes,
            slot,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.slots.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}
