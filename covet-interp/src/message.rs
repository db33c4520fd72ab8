//! What crosses from one interpreter to another.

use crate::codec::Refused;
use crate::pin::Pin;
use crate::support::PICKLE;

/// A value, or the arguments of a call, on its way: the bytes of the codec, and pins of the memory that they refer to.
///
/// It keeps what it refers to alive: drop it, or [`Message::clear`] it, when it was read. Any thread may do that.
#[derive(Debug, Clone, Default)]
pub struct Message {
    pub(crate) bytes: Vec<u8>,
    pins: Vec<Pin>,
    /// How many bytes are pinned.
    pinned: usize,
}

/// A message that is borrowed, to be read: [`Message::by_ref`]. One of several that lie in a [`Block`](crate::Block).
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageRef<'m> {
    pub(crate) bytes: &'m [u8],
    pub(crate) pins: &'m [Pin],
}

/// Where a message ends, to go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    bytes: usize,
    pins: usize,
}

impl Message {
    /// An empty message, to be appended to. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How large it is: its own bytes, and those of other memory that it refers to.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.pinned
    }

    /// Bytes that it has room for.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether it refers to memory of an object, which it keeps alive.
    pub fn has_pins(&self) -> bool {
        !self.pins.is_empty()
    }

    /// Whether it holds the arguments of a call that went by pickle, because one of them is beyond the direct codec.
    pub fn is_pickled(&self) -> bool {
        self.bytes.first() == Some(&PICKLE)
    }

    /// Empties it, and keeps its room.
    #[inline]
    pub fn clear(&mut self) {
        self.bytes.clear();
        if self.has_pins() {
            self.pins.clear();
            self.pinned = 0;
        }
    }

    /// To be read.
    #[inline]
    pub fn by_ref(&self) -> MessageRef<'_> {
        self.part(0, self.bytes.len())
    }

    /// What was appended between two lengths of its bytes.
    #[inline]
    pub(crate) fn part(&self, start: usize, end: usize) -> MessageRef<'_> {
        MessageRef {
            bytes: &self.bytes[start..end],
            pins: &self.pins,
        }
    }

    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            pins: self.pins.len(),
        }
    }

    /// Takes back what was appended since.
    #[cold]
    pub(crate) fn truncate(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.pinned -= self.pins[mark.pins..]
            .iter()
            .map(|pin| pin.len())
            .sum::<usize>();
        self.pins.truncate(mark.pins);
    }

    /// Adds a pin and returns its number.
    pub(crate) fn pin(&mut self, pin: Pin) -> Result<usize, Refused> {
        self.pins.try_reserve(1).map_err(|_| Refused::NoMemory)?;
        self.pinned += pin.len();
        self.pins.push(pin);
        Ok(self.pins.len() - 1)
    }
}

impl<'m> MessageRef<'m> {
    /// Its first byte, and what follows.
    #[inline]
    pub(crate) fn split_first(self) -> Option<(u8, Self)> {
        let (&first, bytes) = self.bytes.split_first()?;
        Some((first, Self { bytes, ..self }))
    }
}

impl<'m> MessageRef<'m> {
    /// Its own bytes.
    pub fn bytes(self) -> &'m [u8] {
        self.bytes
    }

    /// Other bytes, which refer to the same memory: to try what reads a message that was not written here. It is refused.
    pub fn with_bytes(self, bytes: &'m [u8]) -> Self {
        Self { bytes, ..self }
    }
}

impl<'m> From<&'m Message> for MessageRef<'m> {
    fn from(message: &'m Message) -> Self {
        message.by_ref()
    }
}
