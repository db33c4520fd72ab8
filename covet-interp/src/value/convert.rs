//! A [`Value`] from and to the types of Rust.

use super::Value;
use crate::buffer::Buffer;
use std::fmt;

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
