//! Values that cross between Rust and any interpreter, without Python.

mod convert;
mod display;
mod read;

pub use convert::WrongType;

use crate::buffer::Buffer;
use crate::codec::{Refused, Writer, tag};
use crate::error::Error;
use crate::message::Message;
use crate::native::Native;
use crate::pin::Pin;
use crate::support::DIRECT;
use std::sync::Arc;

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
/// [`Display`](std::fmt::Display) writes a Python expression (but for [`Value::Native`], which no text makes).
///
/// A [`Value::Native`] equals another that is the same memory.
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
    /// A value of Rust that a crate above binds to a Python type ([`raw::Native`](crate::raw::Native)): as an
    /// `Arc<dyn Any + Send + Sync>` it can be downcast
    Native(Arc<dyn Native>),
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
            Self::Native(value) => out.pin(tag::NATIVE, Pin::Native(Arc::clone(value))),
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
            Self::Native(value) => format!("a value of type {}", value.type_name()),
            Self::Tuple(items) => of("tuple", items.len()),
            Self::List(items) => of("list", items.len()),
            Self::Dict(entries) => of("dict", entries.len()),
            Self::Set(items) => of("set", items.len()),
            Self::FrozenSet(items) => of("frozenset", items.len()),
            Self::Pickle { data, .. } => format!("a pickle of {} bytes", data.len()),
        }
    }
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
            (Self::Native(a), Self::Native(b)) => Arc::ptr_eq(a, b),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_equal_in_any_order_and_nan_is_not() {
        let set = |items: [i32; 3]| Value::Set(items.map(Value::from).to_vec());
        assert_eq!(set([1, 2, 3]), set([3, 1, 2]));
        assert_ne!(set([1, 2, 3]), set([1, 2, 4]));
        assert_ne!(Value::from(f64::NAN), Value::from(f64::NAN));
        assert_ne!(Value::from(1), Value::from(true));
    }
}
