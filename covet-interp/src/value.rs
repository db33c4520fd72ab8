//! Values that cross between Rust and any interpreter, without Python.

use crate::codec::{Malformed, Reader, tag};
use crate::support::{DIRECT, PICKLE};

/// A Python value free of any interpreter: what a Rust program sends to a task and gets back.
///
/// Reading and writing one needs no attached thread.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `None`
    None,
    /// `bool`
    Bool(bool),
    /// `int`, 64 bits
    Int(i64),
    /// `float`
    Float(f64),
    /// `str`; lone surrogates are replaced by U+FFFD
    Str(String),
    /// `bytes`
    Bytes(Vec<u8>),
    /// `tuple`
    Tuple(Vec<Value>),
    /// `list`
    List(Vec<Value>),
    /// `dict`, in order
    Dict(Vec<(Value, Value)>),
    /// Anything else: a pickle of it (protocol 5).
    Pickle(Vec<u8>),
}

impl Value {
    /// Reads a message. An object that occurs twice is there twice; a cycle ends in `None`.
    pub(crate) fn read(message: &[u8]) -> Self {
        match message.split_first() {
            Some((&DIRECT, body)) => {
                let mut seen = Vec::new();
                Self::read_body(&mut Reader::new(body), &mut seen).unwrap_or(Self::None)
            }
            Some((&PICKLE, body)) => Self::Pickle(body.to_vec()),
            _ => Self::None,
        }
    }

    fn read_body(reader: &mut Reader<'_>, seen: &mut Vec<Value>) -> Result<Self, Malformed> {
        let tag = reader.u8()?;
        Ok(match tag {
            tag::NONE => Self::None,
            tag::FALSE => Self::Bool(false),
            tag::TRUE => Self::Bool(true),
            tag::INT => Self::Int(reader.i64()?),
            tag::FLOAT => Self::Float(reader.f64()?),
            tag::STR => {
                let width = reader.u8()?;
                let size = reader.u32()?;
                Self::Str(text(width, reader.take(size)?))
            }
            tag::BYTES => {
                let size = reader.u32()?;
                Self::Bytes(reader.take(size)?.to_vec())
            }
            tag::SEEN => {
                let number = reader.u32()?;
                seen.get(number).cloned().ok_or(Malformed)?
            }
            _ => {
                let count = reader.u32()?;
                let number = seen.len();
                if tag & tag::REMEMBERED != 0 {
                    seen.push(Self::None);
                }
                let mut items = |n: usize| {
                    (0..n)
                        .map(|_| Self::read_body(reader, seen))
                        .collect::<Result<Vec<_>, _>>()
                };
                let made = match tag & !tag::REMEMBERED {
                    tag::TUPLE => Self::Tuple(items(count)?),
                    tag::LIST => Self::List(items(count)?),
                    tag::DICT => {
                        let mut flat = items(2 * count)?.into_iter();
                        Self::Dict(
                            std::iter::from_fn(|| Some((flat.next()?, flat.next()?))).collect(),
                        )
                    }
                    _ => return Err(Malformed),
                };
                if tag & tag::REMEMBERED != 0 {
                    seen[number] = made.clone();
                }
                made
            }
        })
    }

    /// Appends the arguments of a call as a message; `None` when one of them holds a pickle deeper down, which
    /// cannot stand inside a direct message.
    pub(crate) fn write_call(arguments: &[Value], out: &mut Vec<u8>) -> Option<()> {
        out.push(DIRECT);
        out.extend_from_slice(&u32::try_from(arguments.len()).ok()?.to_ne_bytes());
        out.extend_from_slice(&0u32.to_ne_bytes());
        arguments
            .iter()
            .try_for_each(|argument| argument.write_body(out))
    }

    fn write_body(&self, out: &mut Vec<u8>) -> Option<()> {
        let head = |out: &mut Vec<u8>, tag: u8, count: usize| {
            out.push(tag);
            out.extend_from_slice(&u32::try_from(count).ok()?.to_ne_bytes());
            Some(())
        };
        match self {
            Self::None => out.push(tag::NONE),
            Self::Bool(value) => out.push(if *value { tag::TRUE } else { tag::FALSE }),
            Self::Int(value) => {
                out.push(tag::INT);
                out.extend_from_slice(&value.to_ne_bytes());
            }
            Self::Float(value) => {
                out.push(tag::FLOAT);
                out.extend_from_slice(&value.to_ne_bytes());
            }
            Self::Str(text) if text.is_ascii() => {
                out.extend_from_slice(&[tag::STR, 1]);
                out.extend_from_slice(&u32::try_from(text.len()).ok()?.to_ne_bytes());
                out.extend_from_slice(text.as_bytes());
            }
            Self::Str(text) => {
                out.extend_from_slice(&[tag::STR, 4]);
                out.extend_from_slice(&u32::try_from(4 * text.chars().count()).ok()?.to_ne_bytes());
                for c in text.chars() {
                    out.extend_from_slice(&u32::from(c).to_ne_bytes());
                }
            }
            Self::Bytes(data) => {
                head(out, tag::BYTES, data.len())?;
                out.extend_from_slice(data);
            }
            Self::Tuple(items) => {
                head(out, tag::TUPLE, items.len())?;
                items.iter().try_for_each(|item| item.write_body(out))?;
            }
            Self::List(items) => {
                head(out, tag::LIST, items.len())?;
                items.iter().try_for_each(|item| item.write_body(out))?;
            }
            Self::Dict(items) => {
                head(out, tag::DICT, items.len())?;
                items.iter().try_for_each(|(key, value)| {
                    key.write_body(out)?;
                    value.write_body(out)
                })?;
            }
            Self::Pickle(_) => return None,
        }
        Some(())
    }
}

/// Text from code units of 1 (Latin-1), 2 or 4 bytes.
fn text(width: u8, units: &[u8]) -> String {
    let replace = |unit: u32| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
    match width {
        1 => units.iter().map(|&unit| char::from(unit)).collect(),
        2 => units
            .chunks_exact(2)
            .map(|u| replace(u32::from(u16::from_ne_bytes([u[0], u[1]]))))
            .collect(),
        _ => units
            .chunks_exact(4)
            .map(|u| replace(u32::from_ne_bytes([u[0], u[1], u[2], u[3]])))
            .collect(),
    }
}

macro_rules! from {
    ($($kind:ty => $variant:ident),* $(,)?) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
from!(bool => Bool, i32 => Int, u32 => Int, i64 => Int, f32 => Float, f64 => Float, &str => Str, String => Str,
    &[u8] => Bytes, Vec<u8> => Bytes, Vec<Value> => List);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_round_trip_without_python() {
        let value = Value::Tuple(vec![
            Value::None,
            true.into(),
            (-7i64).into(),
            0.5.into(),
            "plain".into(),
            "Ω and 🦀".into(),
            vec![0u8, 255].into(),
            Value::List(vec![Value::Dict(vec![
                ("a".into(), 1.into()),
                (2.into(), Value::Tuple(vec![])),
            ])]),
        ]);
        let mut message = vec![DIRECT];
        value.write_body(&mut message).unwrap();
        assert_eq!(Value::read(&message), value);
    }

    #[test]
    fn an_object_met_twice_is_there_twice_and_a_cycle_ends() {
        // [[], the same] and a list that holds itself
        let twice = [
            DIRECT,
            tag::LIST,
            2,
            0,
            0,
            0,
            tag::LIST | tag::REMEMBERED,
            0,
            0,
            0,
            0,
            tag::SEEN,
            0,
            0,
            0,
            0,
        ];
        assert_eq!(
            Value::read(&twice),
            Value::List(vec![Value::List(vec![]), Value::List(vec![])])
        );
        let cycle = [
            DIRECT,
            tag::LIST | tag::REMEMBERED,
            1,
            0,
            0,
            0,
            tag::SEEN,
            0,
            0,
            0,
            0,
        ];
        assert_eq!(Value::read(&cycle), Value::List(vec![Value::None]));
    }

    #[test]
    fn a_message_cut_anywhere_is_no_panic() {
        let mut message = vec![DIRECT];
        Value::List(vec![
            "text".into(),
            1.into(),
            Value::Dict(vec![(Value::None, 2.5.into())]),
        ])
        .write_body(&mut message)
        .unwrap();
        for end in 0..message.len() {
            let _ = Value::read(&message[..end]);
        }
    }
}
