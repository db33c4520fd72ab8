//! A message to a [`Value`].

use super::Value;
use crate::buffer::Buffer;
use crate::codec::{Malformed, Reader, tag};
use crate::error::Error;
use crate::message::MessageRef;
use crate::support::DIRECT;
use std::collections::TryReserveError;
use std::fmt;
use std::sync::Arc;

impl Value {
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
        tag::NATIVE => Value::Native(Arc::clone(reader.native()?)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Writer;
    use crate::message::Message;

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
}
