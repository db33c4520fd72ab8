//! The format of a message: values of exact built-in types as flat bytes.
//!
//! A value is a tag and a payload. [`encode`] writes Python objects, [`decode`] makes them, and
//! [`Value`](crate::Value) is the same without Python. Sizes are one byte below 255; else that byte is 255 and a `u64`
//! follows. All numbers are in the byte order of the machine: a message never leaves the process.
//!
//! ```text
//! tag  payload                            tag  payload
//!  0   (None)   1 (False)   2 (True)      10   bytes: size, bytes      11  bytearray: the same
//!  3   int: i64                           12   tuple: length, items    13  list: the same
//!  4   int: size, two's complement,       14   dict:  length, key, value, ...
//!      little-endian                      15   set: length, items      16  frozenset: the same
//!  5   float: f64      6 complex: 2 f64   17   met before: its number, as a size
//!  7   str: size, code units of 1 byte    18   pickle: length, the pickle as bytes, its out-of-band
//!  8   of 2 bytes      9 of 4 bytes            buffers (PEP 574) as memoryview, bytes or bytearray
//! 19   memoryview: number of its pin       20   Buffer: number of its pin
//! 21   value of Rust: number of its pin
//!                                       + 64   str, bytes: the number of a pin instead of size and contents
//!                                       +128   this object is remembered: the next number, from 0
//! ```
//! A *pin* keeps memory in place that the message refers to instead of holding a copy (`pin.rs`). A `str` or `bytes` of at least
//! [`PINNED`] bytes is not copied into the message but once, by its reader. A `memoryview` arrives as a read-only view of the
//! sender's memory, and is not copied at all. A value of Rust that a crate above binds (`native.rs`) makes an object of its own
//! type where it arrives.
//!
//! What is met twice keeps its identity, cycles included: as in `marshal`, only objects that something else refers to
//! as well are remembered, so that the common value pays nothing. That is for containers and bytearrays; a `str` or
//! `bytes` is remembered when it is [`LARGE`], so that a message does not grow by its repetition.
//!
//! Nothing here recurses, so no depth of nesting overflows a stack; [`MAX_DEPTH`] and [`max_message_size`] bound what is sent.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod keys;

use crate::message::{Message, MessageRef};
use crate::native::Native;
use crate::pin::{Contents, Memory, Pin};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How deep a value may be nested that is sent to another interpreter: as deep as Python's own recursion limit is by
/// default, so that what reads it there can.
pub const MAX_DEPTH: usize = 1000;

/// A `str` or `bytes` of this size is remembered.
pub(crate) const LARGE: usize = 256;

/// A `str` or `bytes` of this size is pinned: to copy it twice would take longer than to give it back.
pub(crate) const PINNED: usize = 64 << 10;

static MAX_MESSAGE_SIZE: AtomicUsize = AtomicUsize::new(2 << 30);

/// How many bytes of a message may be copied: of a value that is sent, or of all arguments of one call. 2 GiB unless set
/// otherwise. What is read where it lies, a `memoryview`, a `Buffer` or an array, does not count.
pub fn max_message_size() -> usize {
    // Relaxed: a number by itself.
    MAX_MESSAGE_SIZE.load(Ordering::Relaxed)
}

/// Sets how many bytes a message may have, for the whole process and from the next message on. What is larger is refused
/// with an error that names both sizes, before it is copied.
pub fn set_max_message_size(bytes: usize) {
    MAX_MESSAGE_SIZE.store(bytes, Ordering::Relaxed);
}

pub(crate) mod tag {
    pub(crate) const NONE: u8 = 0;
    pub(crate) const FALSE: u8 = 1;
    pub(crate) const TRUE: u8 = 2;
    pub(crate) const INT: u8 = 3;
    pub(crate) const BIG_INT: u8 = 4;
    pub(crate) const FLOAT: u8 = 5;
    pub(crate) const COMPLEX: u8 = 6;
    pub(crate) const STR_1: u8 = 7;
    pub(crate) const STR_2: u8 = 8;
    pub(crate) const STR_4: u8 = 9;
    pub(crate) const BYTES: u8 = 10;
    pub(crate) const BYTEARRAY: u8 = 11;
    pub(crate) const TUPLE: u8 = 12;
    pub(crate) const LIST: u8 = 13;
    pub(crate) const DICT: u8 = 14;
    pub(crate) const SET: u8 = 15;
    pub(crate) const FROZENSET: u8 = 16;
    pub(crate) const SEEN: u8 = 17;
    pub(crate) const PICKLE: u8 = 18;
    pub(crate) const VIEW: u8 = 19;
    pub(crate) const BUFFER: u8 = 20;
    pub(crate) const NATIVE: u8 = 21;
    /// Added to the tag of what is pinned instead of copied.
    pub(crate) const PINNED: u8 = 64;
    /// Added to the tag of an object that may be met again.
    pub(crate) const REMEMBERED: u8 = 128;

    /// Whether the tag, without [`REMEMBERED`], is of a value with items.
    #[inline]
    pub(crate) fn is_container(tag: u8) -> bool {
        (TUPLE..=FROZENSET).contains(&tag)
    }

    /// How many items a container of this length has.
    #[inline]
    pub(crate) fn items(tag: u8, length: usize) -> Option<usize> {
        length.checked_mul(if tag == DICT { 2 } else { 1 })
    }
}

/// Why a value was not written.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It holds something that the codec does not know.
    Unsupported,
    /// It is nested deeper than the limit, which is given.
    TooDeep(usize),
    /// The message would have at least this many bytes.
    TooLarge(usize),
    /// There is no memory for the message.
    NoMemory,
    /// CPython raised an exception.
    Raised,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported => f.write_str("the value holds something of another type"),
            Self::TooDeep(limit) => write!(
                f,
                "a value cannot be sent to another interpreter: expected at most {limit} levels of nesting, found more; \
                 send it flat"
            ),
            Self::TooLarge(size) => write!(
                f,
                "a value cannot be sent to another interpreter: expected a message of at most {} bytes, found at least \
                 {size}; send it in pieces, or as a memoryview, which is not copied",
                max_message_size()
            ),
            Self::NoMemory => f.write_str("no memory for the message of a value"),
            Self::Raised => f.write_str("Python raised an exception"),
        }
    }
}

/// Appends one message. Every append may be refused; none of them aborts for lack of memory.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    out: &'b mut Message,
    start: usize,
    /// Bytes that the reader will copy from elsewhere.
    pinned: usize,
}

impl<'b> Writer<'b> {
    /// A writer of the message that begins where `out` ends.
    pub(crate) fn new(out: &'b mut Message) -> Self {
        let start = out.bytes.len();
        Self {
            out,
            start,
            pinned: 0,
        }
    }

    /// Makes room for `count` bytes more.
    #[inline]
    pub(crate) fn reserve(&mut self, count: usize) -> Result<(), Refused> {
        if count > self.out.bytes.capacity() - self.out.bytes.len() {
            self.grow(count)?;
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self, count: usize) -> Result<(), Refused> {
        self.check(count)?;
        let reserved = self.out.bytes.try_reserve(count);
        reserved.map_err(|_| Refused::NoMemory)
    }

    fn check(&self, more: usize) -> Result<(), Refused> {
        let size = (self.out.bytes.len() - self.start + self.pinned).saturating_add(more);
        if size > max_message_size() {
            return Err(Refused::TooLarge(size));
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        self.reserve(bytes.len())?;
        self.out.bytes.extend_from_slice(bytes);
        Ok(())
    }

    #[inline]
    pub(crate) fn tag(&mut self, tag: u8) -> Result<(), Refused> {
        self.append(&[tag])
    }

    /// A tag and eight bytes.
    #[inline]
    pub(crate) fn eight(&mut self, tag: u8, payload: [u8; 8]) -> Result<(), Refused> {
        let mut bytes = [tag; 9];
        bytes[1..].copy_from_slice(&payload);
        self.append(&bytes)
    }

    #[inline]
    pub(crate) fn int(&mut self, value: i64) -> Result<(), Refused> {
        self.eight(tag::INT, value.to_ne_bytes())
    }

    #[inline]
    pub(crate) fn float(&mut self, value: f64) -> Result<(), Refused> {
        self.eight(tag::FLOAT, value.to_ne_bytes())
    }

    pub(crate) fn complex(&mut self, real: f64, imaginary: f64) -> Result<(), Refused> {
        self.eight(tag::COMPLEX, real.to_ne_bytes())?;
        self.append(&imaginary.to_ne_bytes())
    }

    /// A tag and a size.
    #[inline(always)] // two bytes, mostly
    pub(crate) fn head(&mut self, tag: u8, size: usize) -> Result<(), Refused> {
        if size < 255 {
            return self.append(&[tag, size as u8]);
        }
        self.long_head(tag, size)
    }

    #[cold]
    fn long_head(&mut self, tag: u8, size: usize) -> Result<(), Refused> {
        let mut bytes = [255; 10];
        bytes[0] = tag;
        bytes[2..].copy_from_slice(&(size as u64).to_ne_bytes());
        self.append(&bytes)
    }

    /// The format byte of a call, and how many positional and keyword arguments it has.
    #[inline]
    pub(crate) fn call_head(
        &mut self,
        format: u8,
        positional: usize,
        named: usize,
    ) -> Result<(), Refused> {
        self.head(format, positional)?;
        match u8::try_from(named) {
            Ok(named) if named < 255 => self.tag(named),
            _ => {
                self.tag(255)?;
                self.append(&(named as u64).to_ne_bytes())
            }
        }
    }

    /// A tag, a size, and as many bytes.
    #[inline]
    pub(crate) fn sized(&mut self, tag: u8, bytes: &[u8]) -> Result<(), Refused> {
        self.head(tag, bytes.len())?;
        self.append(bytes)
    }

    /// Lets `fill` write `count` bytes at the end.
    pub(crate) fn fill(
        &mut self,
        count: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        self.reserve(count)?;
        let start = self.out.bytes.len();
        self.out.bytes.resize(start + count, 0);
        fill(&mut self.out.bytes[start..])
    }

    /// The tag of a value whose contents stay where they are, and the number of their pin.
    pub(crate) fn pin(&mut self, tag: u8, pin: Pin) -> Result<(), Refused> {
        let number = self.out.pin(pin)?;
        self.head(tag, number)
    }

    /// Checks that so many bytes more may be pinned for the reader to copy, and counts them.
    pub(crate) fn count_pinned(&mut self, bytes: usize) -> Result<(), Refused> {
        self.check(bytes)?;
        self.pinned += bytes;
        Ok(())
    }

    /// Ends the message.
    #[inline]
    pub(crate) fn finish(self) -> Result<(), Refused> {
        self.check(0)
    }
}

/// Reads a message, front to back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'b> {
    bytes: &'b [u8],
    pins: &'b [Pin],
}

/// The message is not one that was written here: a bug, reported instead of read.
#[derive(Debug)]
pub(crate) struct Malformed;

impl<'b> Reader<'b> {
    pub(crate) fn new(message: MessageRef<'b>) -> Self {
        let MessageRef { bytes, pins } = message;
        Self { bytes, pins }
    }

    /// How many bytes are left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
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
    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_ne_bytes)
    }

    #[inline]
    pub(crate) fn f64(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_ne_bytes)
    }

    #[inline]
    pub(crate) fn size(&mut self) -> Result<usize, Malformed> {
        match self.u8()? {
            255 => usize::try_from(self.array().map(u64::from_ne_bytes)?).map_err(|_| Malformed),
            size => Ok(usize::from(size)),
        }
    }

    /// A size, and as many bytes.
    #[inline]
    pub(crate) fn sized(&mut self) -> Result<&'b [u8], Malformed> {
        let size = self.size()?;
        self.take(size)
    }

    /// The contents that are referred to.
    pub(crate) fn contents(&mut self) -> Result<&'b Contents, Malformed> {
        let number = self.size()?;
        match self.pins.get(number) {
            Some(Pin::Contents(contents)) => Ok(contents),
            _ => Err(Malformed),
        }
    }

    /// The memory that is referred to.
    pub(crate) fn memory(&mut self) -> Result<&'b Arc<Memory>, Malformed> {
        let number = self.size()?;
        match self.pins.get(number) {
            Some(Pin::Memory(memory)) => Ok(memory),
            _ => Err(Malformed),
        }
    }

    /// The value of Rust that is referred to.
    pub(crate) fn native(&mut self) -> Result<&'b Arc<dyn Native>, Malformed> {
        let number = self.size()?;
        match self.pins.get(number) {
            Some(Pin::Native(value)) => Ok(value),
            _ => Err(Malformed),
        }
    }

    /// How many positional and keyword arguments a call has. Each has at least one byte, and so has each name.
    #[inline]
    pub(crate) fn call_head(&mut self) -> Result<(usize, usize), Malformed> {
        let (positional, named) = (self.size()?, self.size()?);
        match named.checked_mul(2).and_then(|n| n.checked_add(positional)) {
            Some(needed) if needed <= self.left() => Ok((positional, named)),
            _ => Err(Malformed),
        }
    }

    /// The number of items of a container, of which each has at least one byte, and so has each of the `owed` items of the
    /// containers around it: no message makes its reader reserve more memory than its own size is worth.
    #[inline]
    pub(crate) fn items(&mut self, tag: u8, owed: usize) -> Result<usize, Malformed> {
        let length = self.size()?;
        let items = tag::items(tag, length).ok_or(Malformed)?;
        match owed.checked_add(items) {
            Some(needed) if needed <= self.left() => Ok(items),
            _ => Err(Malformed),
        }
    }
}
