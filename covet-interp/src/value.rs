//! Values that cross between Rust and any interpreter, without Python.

use crate::buffer::Buffer;
use crate::codec::{Malformed, Reader, Refused, Writer, tag};
use crate::error::Error;
use crate::message::{Message, MessageRef};
use crate::support::DIRECT;
use std::collections::TryReserveError;
use std::fmt;

/// A Python value free of any interpreter: what a Rust program sends to a task and gets back.
///
/// Reading and writing one needs no attached thread. It is a tree: where a Python value holds the same object twice, its
/// `Value` has two equal parts, and a value that holds itself has none, which is an [`Error::Value`]. (Between two
/// interpreters identity is kept.) It is at most [`Value::MAX_DEPTH`] levels deep; a deeper one that a program makes is
/// refused when it is sent, and like any nested Rust value takes stack for each level when it is dropped.
///
/// Equality is that of the parts: a NaN equals nothing, `-0.0` equals `0.0`, `1` does not equal `1.0` or `True` (in
/// Python it does), dicts are compared in order, sets are not, which takes quadratic time if their orders differ.
///
/// [`Display`](fmt::Display) writes a Python expression.
///
/// # Examples
///
/// ```
/// use covet_interp::Value;
///
/// let row = Value::Dict(vec![("id".into(), 7.into()), ("tags".into(), Value::from_iter(["a", "b"]))]);
/// assert_eq!(row.to_string(), "{'id': 7, 'tags': ['a', 'b']}");
/// assert_eq!(row.get("id"), Some(&Value::Int(7)));
/// let tags: Vec<String> = row.get("tags").unwrap().clone().try_into()?;
/// assert_eq!(tags, ["a", "b"]);
/// assert_eq!(
///     i64::try_from(row).unwrap_err().to_string(),
///     "expected an int that fits i64, found a dict of 2 items"
/// );
/// # Ok::<(), covet_interp::WrongType>(())
/// ```
#[derive(Debug, Clone)]
pub enum Value {
    /// `None`
    None,
    /// `bool`
    Bool(bool),
    /// `int` that fits 64 bits
    Int(i64),
    /// `int` that does not: two's complement, little-endian, without bytes that say nothing. Make it from an [`i128`], or
    /// with [`Value::big_int`].
    BigInt(Vec<u8>),
    /// `float`
    Float(f64),
    /// `complex`: its real and its imaginary part
    Complex(f64, f64),
    /// `str`; lone surrogates are replaced by U+FFFD
    Str(String),
    /// `bytes`; what a `memoryview` shows arrives as this, copied once in the order of C
    Bytes(Vec<u8>),
    /// `bytearray`
    ByteArray(Vec<u8>),
    /// `tuple`
    Tuple(Vec<Value>),
    /// `list`
    List(Vec<Value>),
    /// `dict`, in order; of equal keys the last one's value counts
    Dict(Vec<(Value, Value)>),
    /// `set`, in any order
    Set(Vec<Value>),
    /// `frozenset`, in any order
    FrozenSet(Vec<Value>),
    /// `covet_py.Buffer`: memory that is shared, not copied
    Buffer(Buffer),
    /// Anything else: a pickle of it (protocol 5). What holds such an object is pickled with it, as a whole.
    Pickle {
        /// The pickle.
        data: Vec<u8>,
        /// Its out-of-band buffers (PEP 574), copied once, as [`Value::Bytes`]; sent, they may be [`Value::ByteArray`] or
        /// [`Value::Buffer`] as well.
        buffers: Vec<Value>,
    },
}

impl Value {
    /// How many levels of containers a value may have here: few enough that no thread's stack is too small for it.
    pub const MAX_DEPTH: usize = 128;

    /// How many values the parts that a message repeats may be copied into.
    const MOST_COPIES: usize = 1 << 22;

    /// An `int` from its two's complement, little-endian, of any length.
    pub fn big_int(bytes: &[u8]) -> Self {
        let negative = bytes.last().is_some_and(|&last| last >= 128);
        let fill = if negative { 255 } else { 0 };
        let mut size = bytes.len();
        // A byte says nothing if it repeats the sign that the one before has already.
        while size > 1 && bytes[size - 1] == fill && (bytes[size - 2] >= 128) == negative {
            size -= 1;
        }
        if size <= 8 {
            let mut all = [fill; 8];
            all[..size.min(bytes.len())].copy_from_slice(&bytes[..size.min(bytes.len())]);
            return Self::Int(i64::from_le_bytes(all));
        }
        Self::BigInt(bytes[..size].to_vec())
    }

    /// The items of a `tuple`, `list`, `set` or `frozenset`; nothing for another kind.
    pub fn items(&self) -> &[Value] {
        match self {
            Self::Tuple(items) | Self::List(items) | Self::Set(items) | Self::FrozenSet(items) => {
                items
            }
            _ => &[],
        }
    }

    /// The keys and values of a `dict`, in order; nothing for another kind.
    pub fn entries(&self) -> &[(Value, Value)] {
        match self {
            Self::Dict(entries) => entries,
            _ => &[],
        }
    }

    /// The value under a `str` key of a `dict`. Costs a search.
    pub fn get(&self, key: &str) -> Option<&Value> {
        // From the end: of equal keys the last counts.
        self.entries()
            .iter()
            .rev()
            .find(|(found, _)| matches!(found, Self::Str(text) if text == key))
            .map(|(_, value)| value)
    }

    /// The text of a `str`.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The contents of a `bytes`, `bytearray` or `Buffer`.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(data) | Self::ByteArray(data) => Some(data),
            Self::Buffer(buffer) => Some(buffer),
            _ => None,
        }
    }

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Reads the message of a result ([`Chunk::result`](crate::Chunk::result)).
    ///
    /// # Errors
    /// [`Error::Value`] when it cannot be a tree of values, and says why.
    pub fn read<'m>(message: impl Into<MessageRef<'m>>) -> Result<Self, Error> {
        let unreadable = match message.into().split_first() {
            Some((DIRECT, body)) => match Tree::default().read(&mut Reader::new(body), 0, false) {
                Ok(value) => return Ok(value),
                Err(unreadable) => unreadable,
            },
            _ => Unreadable::Malformed,
        };
        Err(Error::Value(unreadable.to_string()))
    }

    /// Appends the positional arguments of a call as a message ([`Block::buffer`](crate::Block::buffer)).
    ///
    /// # Errors
    /// [`Error::Value`] when one of them is too deep or all together are too large; nothing is appended then.
    pub fn write_call(arguments: &[Value], out: &mut Message) -> Result<(), Error> {
        let start = out.mark();
        let mut write = || {
            let mut out = Writer::new(out);
            out.call_head(DIRECT, arguments.len(), 0)?;
            arguments
                .iter()
                .try_for_each(|argument| argument.write(&mut out, 0))?;
            out.finish()
        };
        write().map_err(|refused| {
            out.truncate(start);
            Error::Value(refused.to_string())
        })
    }

    fn write(&self, out: &mut Writer<'_>, depth: usize) -> Result<(), Refused> {
        let all = |out: &mut Writer<'_>, tag, items: &[Value]| {
            out.head(tag, items.len())?;
            items.iter().try_for_each(|item| item.write(out, depth + 1))
        };
        if depth == Self::MAX_DEPTH && self.is_container() {
            return Err(Refused::TooDeep(Self::MAX_DEPTH));
        }
        match self {
            Self::None => out.tag(tag::NONE),
            Self::Bool(false) => out.tag(tag::FALSE),
            Self::Bool(true) => out.tag(tag::TRUE),
            Self::Int(value) => out.int(*value),
            Self::BigInt(bytes) => out.sized(tag::BIG_INT, bytes),
            Self::Float(value) => out.float(*value),
            Self::Complex(real, imaginary) => out.complex(*real, *imaginary),
            Self::Str(text) if text.is_ascii() => out.sized(tag::STR_1, text.as_bytes()),
            Self::Str(text) => {
                out.head(tag::STR_4, 4 * text.chars().count())?;
                text.chars()
                    .try_for_each(|c| out.append(&u32::from(c).to_ne_bytes()))
            }
            Self::Bytes(data) => out.sized(tag::BYTES, data),
            Self::ByteArray(data) => out.sized(tag::BYTEARRAY, data),
            Self::Buffer(buffer) => out.pin(tag::BUFFER, buffer.pin()),
            Self::Tuple(items) => all(out, tag::TUPLE, items),
            Self::List(items) => all(out, tag::LIST, items),
            Self::Set(items) => all(out, tag::SET, items),
            Self::FrozenSet(items) => all(out, tag::FROZENSET, items),
            Self::Dict(entries) => {
                out.head(tag::DICT, entries.len())?;
                entries.iter().try_for_each(|(key, value)| {
                    key.write(out, depth + 1)?;
                    value.write(out, depth + 1)
                })
            }
            Self::Pickle { data, buffers } => {
                out.head(tag::PICKLE, 1 + buffers.len())?;
                out.sized(tag::BYTES, data)?;
                buffers.iter().try_for_each(|buffer| match buffer {
                    Self::Buffer(buffer) => out.pin(tag::VIEW, buffer.pin()),
                    Self::ByteArray(data) => out.sized(tag::BYTEARRAY, data),
                    other => out.sized(tag::BYTES, other.as_bytes().unwrap_or_default()),
                })
            }
        }
    }

    fn is_container(&self) -> bool {
        matches!(
            self,
            Self::Tuple(_) | Self::List(_) | Self::Set(_) | Self::FrozenSet(_) | Self::Dict(_)
        )
    }

    /// What it is, for an error.
    fn describe(&self) -> String {
        let of = |kind: &str, length: usize| {
            let s = if length == 1 { "" } else { "s" };
            format!("a {kind} of {length} item{s}")
        };
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(value) => format!("the bool {}", if *value { "True" } else { "False" }),
            Self::Int(value) => format!("the int {value}"),
            Self::BigInt(bytes) => format!("an int of {} bytes", bytes.len()),
            Self::Float(value) => format!("the float {value:?}"),
            Self::Complex(..) => "a complex".to_owned(),
            Self::Str(text) => format!("a str of {} bytes", text.len()),
            Self::Bytes(data) => format!("a bytes of {} bytes", data.len()),
            Self::ByteArray(data) => format!("a bytearray of {} bytes", data.len()),
            Self::Buffer(buffer) => format!("a Buffer of {} bytes", buffer.len()),
            Self::Tuple(items) => of("tuple", items.len()),
            Self::List(items) => of("list", items.len()),
            Self::Dict(entries) => of("dict", entries.len()),
            Self::Set(items) => of("set", items.len()),
            Self::FrozenSet(items) => of("frozenset", items.len()),
            Self::Pickle { data, .. } => format!("a pickle of {} bytes", data.len()),
        }
    }
}

/// Why a message is not read as a [`Value`].
#[derive(Debug)]
enum Unreadable {
    Malformed,
    TooDeep,
    Cyclic,
    TooManyCopies,
    NoMemory,
}

impl From<TryReserveError> for Unreadable {
    fn from(_: TryReserveError) -> Self {
        Self::NoMemory
    }
}

impl From<Malformed> for Unreadable {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a message between interpreters is malformed"),
            Self::TooDeep => write!(
                f,
                "expected a value of at most {} levels of nesting, found more; return it flat",
                Value::MAX_DEPTH
            ),
            Self::Cyclic => {
                f.write_str("expected a value that is a tree, found one that holds itself")
            }
            Self::NoMemory => f.write_str("no memory for a value that is large"),
            Self::TooManyCopies => write!(
                f,
                "expected a value that is a tree, found one that repeats its parts so often that they would become \
                 more than {} values",
                Value::MOST_COPIES
            ),
        }
    }
}

/// Reads one message.
#[derive(Default)]
struct Tree<'m> {
    /// What is remembered, by number: where it begins, and whether its end was read.
    seen: Vec<(Reader<'m>, bool)>,
    copies: usize,
}

/// A container that is being read.
struct Open {
    tag: u8,
    items: Vec<Value>,
    left: usize,
    number: Option<usize>,
}

impl Open {
    fn close(self) -> Value {
        let items = self.items;
        match self.tag {
            tag::TUPLE => Value::Tuple(items),
            tag::LIST => Value::List(items),
            tag::SET => Value::Set(items),
            tag::FROZENSET => Value::FrozenSet(items),
            _ => {
                let mut flat = items.into_iter();
                Value::Dict(std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect())
            }
        }
    }
}

impl<'m> Tree<'m> {
    /// Reads one value, within `depth` containers. `again` says that it was read before, so that what it remembers is known.
    fn read(
        &mut self,
        reader: &mut Reader<'m>,
        depth: usize,
        again: bool,
    ) -> Result<Value, Unreadable> {
        let mut open: Vec<Open> = Vec::new();
        // Items of all open containers that are still to come.
        let mut owed = 0;
        loop {
            let start = *reader;
            let head = reader.u8()?;
            if let Some(around) = open.last_mut() {
                around.left -= 1;
                owed -= 1;
            }
            if again {
                self.copies += 1;
                if self.copies > Value::MOST_COPIES {
                    return Err(Unreadable::TooManyCopies);
                }
            }
            let tag = head & !tag::REMEMBERED;
            let mut number = None;
            if head != tag && !again {
                number = Some(self.seen.len());
                self.seen.push((start, false));
            }
            let mut value = if tag::is_container(tag) {
                if depth + open.len() == Value::MAX_DEPTH {
                    return Err(Unreadable::TooDeep);
                }
                let left = reader.items(tag, owed)?;
                owed += left;
                open.push(Open {
                    tag,
                    items: Vec::with_capacity(left),
                    left,
                    number,
                });
                None
            } else if tag == tag::SEEN {
                let number = reader.size()?;
                let &(mut place, whole) = self.seen.get(number).ok_or(Malformed)?;
                if !whole {
                    return Err(Unreadable::Cyclic);
                }
                Some(self.read(&mut place, depth + open.len(), true)?)
            } else {
                if let Some(number) = number {
                    self.seen[number].1 = true;
                }
                Some(plain(tag, reader)?)
            };
            // A value is complete, or a container without items.
            loop {
                let Some(inner) = open.last_mut() else {
                    return value.ok_or(Unreadable::Malformed);
                };
                if let Some(value) = value.take() {
                    inner.items.push(value);
                }
                if inner.left > 0 {
                    break;
                }
                if let Some(closed) = open.pop() {
                    if let Some(number) = closed.number {
                        self.seen[number].1 = true;
                    }
                    value = Some(closed.close());
                }
            }
        }
    }
}

/// Reads the payload of a value without items.
fn plain(tag: u8, reader: &mut Reader<'_>) -> Result<Value, Unreadable> {
    const PINNED_BYTES: u8 = tag::BYTES | tag::PINNED;
    Ok(match tag {
        tag::NONE => Value::None,
        tag::FALSE => Value::Bool(false),
        tag::TRUE => Value::Bool(true),
        tag::INT => Value::Int(reader.i64()?),
        tag::BIG_INT => Value::big_int(reader.sized()?),
        tag::FLOAT => Value::Float(reader.f64()?),
        tag::COMPLEX => Value::Complex(reader.f64()?, reader.f64()?),
        tag::PICKLE => {
            let count = reader.items(tag::TUPLE, 0)?;
            let mut part = || match reader.u8()? {
                tag @ (tag::BYTES | PINNED_BYTES | tag::BYTEARRAY | tag::VIEW) => {
                    plain(tag, reader)
                }
                _ => Err(Unreadable::Malformed),
            };
            let Value::Bytes(data) = part()? else {
                return Err(Unreadable::Malformed);
            };
            let buffers = (1..count).map(|_| part()).collect::<Result<_, _>>()?;
            Value::Pickle { data, buffers }
        }
        tag::VIEW => Value::Bytes(reader.memory()?.copied()?),
        tag::BUFFER => {
            let memory = reader.memory()?;
            Value::Buffer(match Buffer::of(memory) {
                Some(shared) => shared,
                None => memory.copied()?.into(),
            })
        }
        _ if tag & tag::PINNED != 0 => reader
            .contents()?
            .read(|bytes| contents(tag & !tag::PINNED, bytes))?,
        _ => contents(tag, reader.sized()?)?,
    })
}

/// A `str`, `bytes` or `bytearray` of these contents.
fn contents(tag: u8, bytes: &[u8]) -> Result<Value, Unreadable> {
    let copied = || {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len())?;
        copy.extend_from_slice(bytes);
        Ok::<_, Unreadable>(copy)
    };
    Ok(match tag {
        tag::STR_1 => Value::Str(bytes.iter().copied().map(char::from).collect()),
        tag::STR_2 => {
            let (units, _) = bytes.as_chunks();
            Value::Str(text(
                units.iter().map(|&unit| u16::from_ne_bytes(unit).into()),
            ))
        }
        tag::STR_4 => {
            let (units, _) = bytes.as_chunks();
            Value::Str(text(units.iter().map(|&unit| u32::from_ne_bytes(unit))))
        }
        tag::BYTES => Value::Bytes(copied()?),
        tag::BYTEARRAY => Value::ByteArray(copied()?),
        _ => return Err(Unreadable::Malformed),
    })
}

fn text(units: impl Iterator<Item = u32>) -> String {
    units
        .map(|unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Complex(a, b), Self::Complex(c, d)) => a == c && b == d,
            (Self::Str(a), Self::Str(b)) => a == b,
            (Self::BigInt(a), Self::BigInt(b))
            | (Self::Bytes(a), Self::Bytes(b))
            | (Self::ByteArray(a), Self::ByteArray(b)) => a == b,
            (Self::Buffer(a), Self::Buffer(b)) => a == b,
            (Self::Tuple(a), Self::Tuple(b)) | (Self::List(a), Self::List(b)) => a == b,
            (Self::Dict(a), Self::Dict(b)) => a == b,
            (Self::Set(a), Self::Set(b)) | (Self::FrozenSet(a), Self::FrozenSet(b)) => {
                a == b || (a.len() == b.len() && a.iter().all(|item| b.contains(item)))
            }
            (
                Self::Pickle { data, buffers },
                Self::Pickle {
                    data: other,
                    buffers: others,
                },
            ) => data == other && buffers == others,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => write!(f, "{value}"),
            Self::BigInt(bytes) => write_hexadecimal(f, bytes),
            Self::Float(value) => write_float(f, *value),
            Self::Complex(real, imaginary) => {
                f.write_str("complex(")?;
                write_float(f, *real)?;
                f.write_str(", ")?;
                write_float(f, *imaginary)?;
                f.write_str(")")
            }
            Self::Str(text) => write_text(f, text),
            Self::Bytes(data) => write_bytes(f, data),
            Self::ByteArray(data) => {
                f.write_str("bytearray(")?;
                write_bytes(f, data)?;
                f.write_str(")")
            }
            Self::Buffer(data) => {
                f.write_str("Buffer(")?;
                write_bytes(f, data)?;
                f.write_str(")")
            }
            Self::Tuple(items) if items.len() == 1 => write!(f, "({},)", items[0]),
            Self::Tuple(items) => write_items(f, "(", items, ")"),
            Self::List(items) => write_items(f, "[", items, "]"),
            Self::Set(items) if items.is_empty() => f.write_str("set()"),
            Self::Set(items) => write_items(f, "{", items, "}"),
            Self::FrozenSet(items) if items.is_empty() => f.write_str("frozenset()"),
            Self::FrozenSet(items) => write_items(f, "frozenset({", items, "})"),
            Self::Dict(entries) => {
                f.write_str("{")?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_str("}")
            }
            Self::Pickle { data, buffers } => {
                f.write_str("pickle.loads(")?;
                write_bytes(f, data)?;
                if !buffers.is_empty() {
                    write_items(f, ", buffers=[", buffers, "]")?;
                }
                f.write_str(")")
            }
        }
    }
}

fn write_items(
    f: &mut fmt::Formatter<'_>,
    open: &str,
    items: &[Value],
    close: &str,
) -> fmt::Result {
    f.write_str(open)?;
    for (i, item) in items.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{item}")?;
    }
    f.write_str(close)
}

fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_finite() {
        write!(f, "{value:?}")
    } else {
        let name = if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        };
        write!(f, "float('{name}')")
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("'")?;
    for c in text.chars() {
        match c {
            '\'' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("'")
}

fn write_bytes(f: &mut fmt::Formatter<'_>, data: &[u8]) -> fmt::Result {
    write!(
        f,
        "b'{}'",
        data.escape_ascii().to_string().replace("\\\"", "\"")
    )
}

/// In hexadecimal: that takes linear time.
fn write_hexadecimal(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let negative = bytes.last().is_some_and(|&last| last >= 128);
    let mut digits = bytes.to_vec();
    if negative {
        f.write_str("-")?;
        // The magnitude of two's complement: inverted, plus one.
        let mut carry = true;
        for digit in &mut digits {
            (*digit, carry) = (!*digit).overflowing_add(u8::from(carry));
        }
        if carry {
            digits.push(1);
        }
    }
    f.write_str("0x")?;
    let mut leading = true;
    for digit in digits.iter().rev() {
        match (leading, digit) {
            (true, 0) => continue,
            (true, _) => write!(f, "{digit:x}")?,
            (false, _) => write!(f, "{digit:02x}")?,
        }
        leading = false;
    }
    Ok(())
}

/// A [`Value`] is not of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongType {
    expected: &'static str,
    found: String,
}

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl std::error::Error for WrongType {}

macro_rules! from {
    ($($kind:ty => $variant:ident),* $(,)?) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
from!(bool => Bool, i8 => Int, i16 => Int, i32 => Int, i64 => Int, u8 => Int, u16 => Int, u32 => Int, f32 => Float,
    f64 => Float, &str => Str, String => Str, char => Str, &[u8] => Bytes, Vec<u8> => Bytes, Buffer => Buffer,
    Vec<Value> => List, Vec<(Value, Value)> => Dict);

macro_rules! from_wide {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                // One byte more, so that the highest bit of an unsigned number is not its sign.
                #[allow(unused_comparisons)]
                let sign = if value < 0 { 255 } else { 0 };
                let mut bytes = [sign; size_of::<$kind>() + 1];
                bytes[..size_of::<$kind>()].copy_from_slice(&value.to_le_bytes());
                Self::big_int(&bytes)
            }
        }
    )*};
}
from_wide!(i128, u64, u128, isize, usize);

/// `()` is `None`.
impl From<()> for Value {
    fn from((): ()) -> Self {
        Self::None
    }
}

/// `None` is `None`.
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::None, Into::into)
    }
}

/// A `list`.
impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

macro_rules! from_tuple {
    ($($name:ident)*) => {
        /// A `tuple`.
        impl<$($name: Into<Value>),*> From<($($name,)*)> for Value {
            #[allow(non_snake_case)]
            fn from(($($name,)*): ($($name,)*)) -> Self {
                Self::Tuple(vec![$($name.into()),*])
            }
        }
    };
}
from_tuple!(A);
from_tuple!(A B);
from_tuple!(A B C);
from_tuple!(A B C D);

macro_rules! try_from {
    ($($kind:ty, $expected:literal: $pattern:pat => $value:expr;)*) => {$(
        impl TryFrom<Value> for $kind {
            type Error = WrongType;

            fn try_from(value: Value) -> Result<Self, WrongType> {
                match value {
                    $pattern => Ok($value),
                    other => Err(WrongType { expected: $expected, found: other.describe() }),
                }
            }
        }
    )*};
}
try_from! {
    (), "None": Value::None => ();
    bool, "a bool": Value::Bool(value) => value;
    f64, "a float": Value::Float(value) => value;
    String, "a str": Value::Str(text) => text;
    Vec<Value>, "a tuple, list, set or frozenset":
        Value::Tuple(items) | Value::List(items) | Value::Set(items) | Value::FrozenSet(items) => items;
    Vec<(Value, Value)>, "a dict": Value::Dict(entries) => entries;
    Vec<u8>, "a bytes or bytearray": Value::Bytes(data) | Value::ByteArray(data) => data;
}

macro_rules! try_from_int {
    ($($kind:ty: $expected:literal),*) => {$(
        impl TryFrom<Value> for $kind {
            type Error = WrongType;

            fn try_from(value: Value) -> Result<Self, WrongType> {
                let wide = match &value {
                    Value::Int(value) => Some(i128::from(*value)),
                    Value::BigInt(bytes) if bytes.len() <= 16 => {
                        let sign = if bytes[bytes.len() - 1] >= 128 { 255 } else { 0 };
                        let mut all = [sign; 16];
                        all[..bytes.len()].copy_from_slice(bytes);
                        Some(i128::from_le_bytes(all))
                    }
                    _ => None,
                };
                wide.and_then(|wide| wide.try_into().ok()).ok_or_else(|| WrongType {
                    expected: concat!("an int that fits ", $expected),
                    found: value.describe(),
                })
            }
        }
    )*};
}
try_from_int!(i8: "i8", i16: "i16", i32: "i32", i64: "i64", i128: "i128", isize: "isize", u8: "u8", u16: "u16",
    u32: "u32", u64: "u64", usize: "usize");

macro_rules! try_from_items {
    ($($kind:ty),*) => {$(
        impl TryFrom<Value> for Vec<$kind> {
            type Error = WrongType;

            fn try_from(value: Value) -> Result<Self, WrongType> {
                Vec::<Value>::try_from(value)?.into_iter().map(<$kind>::try_from).collect()
            }
        }
    )*};
}
try_from_items!(bool, i32, i64, u64, f64, String);

#[cfg(test)]
mod tests {
    use super::*;

    fn message(value: &Value) -> Vec<u8> {
        let mut message = Message::new();
        message.bytes.push(DIRECT);
        let mut out = Writer::new(&mut message);
        value.write(&mut out, 0).unwrap();
        message.bytes
    }

    fn read(message: &[u8]) -> Result<Value, Error> {
        Value::read(MessageRef::default().with_bytes(message))
    }

    fn nested(levels: usize) -> Value {
        (0..levels).fold(Value::None, |inner, _| Value::List(vec![inner]))
    }

    fn error(outcome: Result<Value, Error>) -> String {
        match outcome {
            Err(Error::Value(why)) => why,
            other => panic!("expected a refusal, found {other:?}"),
        }
    }

    #[test]
    fn values_round_trip_without_python() {
        let value = Value::from((
            (),
            Value::from_iter([true, false]),
            Value::from((-7i64, u64::MAX, i128::MIN, u128::MAX)),
            Value::from((
                0.5,
                Value::Complex(-0.0, f64::INFINITY),
                "plain",
                "Ω and 🦀",
            )),
        ));
        assert_eq!(read(&message(&value)), Ok(value));
        let value = Value::List(vec![
            vec![0u8, 255].into(),
            Value::ByteArray(vec![7; 300]),
            Value::Dict(vec![
                ("a".into(), 1.into()),
                (2.into(), Value::Tuple(vec![])),
            ]),
            Value::Set(vec![1.into(), Value::FrozenSet(vec![])]),
            Value::Pickle {
                data: vec![1; 1000],
                buffers: vec![Value::Bytes(vec![]), Value::ByteArray(vec![2])],
            },
        ]);
        assert_eq!(read(&message(&value)), Ok(value));
    }

    #[test]
    fn what_is_met_twice_is_there_twice() {
        let twice = [
            DIRECT,
            tag::LIST,
            3,
            tag::LIST | tag::REMEMBERED,
            1,
            tag::STR_1 | tag::REMEMBERED,
            1,
            b'x',
            tag::SEEN,
            0,
            tag::SEEN,
            1,
        ];
        assert_eq!(
            read(&twice).map(|value| value.to_string()),
            Ok("[['x'], ['x'], 'x']".to_owned())
        );
    }

    #[test]
    fn a_cycle_is_an_error() {
        let cycle = [DIRECT, tag::LIST | tag::REMEMBERED, 1, tag::SEEN, 0];
        assert!(error(read(&cycle)).contains("holds itself"));
    }

    #[test]
    fn repetitions_of_repetitions_are_an_error_instead_of_all_memory() {
        // [[], [0, 0], [1, 1], ...]: the last one unfolds to 2^60 lists.
        let mut bomb = vec![DIRECT, tag::TUPLE, 60, tag::LIST | tag::REMEMBERED, 0];
        for number in 0..59 {
            let inner = [tag::SEEN, number, tag::SEEN, number];
            bomb.extend([tag::LIST | tag::REMEMBERED, 2]);
            bomb.extend(inner);
        }
        assert!(error(read(&bomb)).contains("repeats its parts"));
    }

    #[test]
    fn nesting_is_limited_both_ways() {
        let (most, more) = (nested(Value::MAX_DEPTH), nested(Value::MAX_DEPTH + 1));
        assert_eq!(read(&message(&most)), Ok(most));
        let mut out = Message::new();
        out.bytes.push(7);
        let refused = Value::write_call(&[more], &mut out);
        assert_eq!(out.bytes, [7]);
        assert!(error(refused.map(|()| Value::None)).contains("at most 128 levels"));
        let mut deep = vec![DIRECT];
        deep.extend([tag::LIST, 1].repeat(1_000_000));
        deep.push(tag::NONE);
        assert!(error(read(&deep)).contains("at most 128 levels"));
    }

    #[test]
    fn a_message_cut_anywhere_is_an_error() {
        let message = message(&Value::List(vec![
            "text".into(),
            1.into(),
            Value::Dict(vec![(Value::None, 2.5.into())]),
            u128::MAX.into(),
            vec![0u8; 300].into(),
        ]));
        for end in 0..message.len() {
            assert!(read(&message[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_length_beyond_the_message_reserves_no_memory() {
        for tag in tag::STR_1..=tag::PICKLE {
            let mut message = vec![DIRECT, tag, 255];
            message.extend(u64::MAX.to_ne_bytes());
            message.extend([0; 100]);
            assert!(read(&message).is_err(), "{tag}");
        }
    }

    #[test]
    fn integers_of_every_width_convert_exactly() {
        for shift in 0..128 {
            for step in [-1, 0, 1] {
                let wide = (1i128 << shift).wrapping_add(step);
                for wide in [wide, wide.wrapping_neg()] {
                    let value = Value::from(wide);
                    assert_eq!(i64::try_from(wide).is_ok(), matches!(value, Value::Int(_)));
                    assert_eq!(read(&message(&value)), Ok(value.clone()));
                    assert_eq!(i128::try_from(value.clone()), Ok(wide));
                    assert_eq!(i64::try_from(value.clone()).ok(), i64::try_from(wide).ok());
                    assert_eq!(u64::try_from(value.clone()).ok(), u64::try_from(wide).ok());
                    assert_eq!(u8::try_from(value).ok(), u8::try_from(wide).ok());
                }
            }
        }
        assert_eq!(Value::big_int(&[]), Value::Int(0));
        assert_eq!(Value::big_int(&[255; 20]), Value::Int(-1));
    }

    #[test]
    fn values_print_as_python_expressions() {
        for (value, text) in [
            (Value::None, "None"),
            (true.into(), "True"),
            ((-1).into(), "-1"),
            (u64::MAX.into(), "0xffffffffffffffff"),
            (i128::MIN.into(), "-0x80000000000000000000000000000000"),
            (
                (-(1i128 << 100) - 5).into(),
                "-0x10000000000000000000000005",
            ),
            (1e300.into(), "1e300"),
            (f64::NAN.into(), "float('nan')"),
            (f64::NEG_INFINITY.into(), "float('-inf')"),
            (Value::Complex(1.0, -0.0), "complex(1.0, -0.0)"),
            ("it's \\ \n \0 Ω".into(), "'it\\'s \\\\ \\n \\x00 Ω'"),
            (
                vec![0u8, b'a', b'"', b'\'', 255].into(),
                "b'\\x00a\"\\'\\xff'",
            ),
            (Value::ByteArray(vec![]), "bytearray(b'')"),
            (Value::Tuple(vec![]), "()"),
            ((1,).into(), "(1,)"),
            ((1, "a").into(), "(1, 'a')"),
            (Value::Set(vec![]), "set()"),
            (Value::Set(vec![1.into()]), "{1}"),
            (Value::FrozenSet(vec![1.into()]), "frozenset({1})"),
            (vec![(Value::from(1), Value::None)].into(), "{1: None}"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn sets_are_equal_in_any_order_and_nan_is_not() {
        let set = |items: [i32; 3]| Value::Set(items.map(Value::from).to_vec());
        assert_eq!(set([1, 2, 3]), set([3, 1, 2]));
        assert_ne!(set([1, 2, 3]), set([1, 2, 4]));
        assert_ne!(Value::from(f64::NAN), Value::from(f64::NAN));
        assert_ne!(Value::from(1), Value::from(true));
    }
}
