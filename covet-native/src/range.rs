//! Requests for parts of a representation (RFC 9110 14).

use crate::lex::{list, number};
use crate::scan::trim;
use std::error::Error;
use std::fmt;
use std::ops::Range;

/// The most ranges that one field may ask for. A server may ignore a field that asks for many small ones (14.2): what each
/// costs, its head in a multipart answer, is more than what it asks for.
pub const MOST_RANGES: usize = 64;

/// One range as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// `first-last`, both included.
    Between(u64, u64),
    /// `first-`: all from there on.
    From(u64),
    /// `-length`: the last so many bytes.
    Last(u64),
}

impl ByteRange {
    /// The bytes that this is of a representation of `length` bytes; `None` if there are none.
    #[must_use]
    pub fn of(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::Between(first, last) => first..last.saturating_add(1).min(length),
            Self::From(first) => first..length,
            Self::Last(count) => length.saturating_sub(count)..length,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// Reads the value of a `Range` field. `None` if it is malformed, in another unit than bytes, or asks for more than
/// [`MOST_RANGES`]: then it is to be ignored, and the whole sent.
#[must_use]
pub fn parse_ranges(value: &[u8]) -> Option<Vec<ByteRange>> {
    let equals = memchr::memchr(b'=', value)?;
    if !trim(&value[..equals]).eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut ranges = Vec::new();
    for text in list(&value[equals + 1..]) {
        if ranges.len() == MOST_RANGES {
            return None;
        }
        let dash = memchr::memchr(b'-', text)?;
        ranges.push(match (&text[..dash], &text[dash + 1..]) {
            (b"", count) => ByteRange::Last(number(count)?),
            (first, b"") => ByteRange::From(number(first)?),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if first > last {
                    return None;
                }
                ByteRange::Between(first, last)
            }
        });
    }
    (!ranges.is_empty()).then_some(ranges)
}

/// The parts to send of a representation of `length` bytes, in the order asked for; what overlaps or adjoins an earlier
/// part is joined with it.
///
/// ```
/// use covet_native::{parse_ranges, resolve_ranges};
///
/// let ranges = parse_ranges(b"bytes=0-9, 5-19, -10").unwrap();
/// assert_eq!(resolve_ranges(&ranges, 100).unwrap(), [0..20, 90..100]);
/// ```
///
/// # Errors
/// [`Unsatisfiable`] if there is nothing to send of any: the answer is 416.
pub fn resolve_ranges(ranges: &[ByteRange], length: u64) -> Result<Vec<Range<u64>>, Unsatisfiable> {
    let mut parts: Vec<Range<u64>> = Vec::new();
    for mut part in ranges.iter().filter_map(|range| range.of(length)) {
        let mut place = parts.len();
        let mut i = 0;
        while i < parts.len() {
            if parts[i].start <= part.end && part.start <= parts[i].end {
                let other = parts.remove(i);
                part = part.start.min(other.start)..part.end.max(other.end);
                place = place.min(i);
            } else {
                i += 1;
            }
        }
        parts.insert(place.min(parts.len()), part);
    }
    if parts.is_empty() {
        Err(Unsatisfiable { length })
    } else {
        Ok(parts)
    }
}

/// The `Content-Range` of a part: `bytes 0-9/100`.
///
/// # Panics
/// If the part is empty: no field value means that.
#[must_use]
pub fn content_range(part: &Range<u64>, length: u64) -> String {
    assert!(
        !part.is_empty(),
        "expected a part of at least one byte, found {part:?}"
    );
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

/// None of the ranges has a byte. As text, it is the `Content-Range` of the answer, 416.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsatisfiable {
    /// The length of the representation.
    pub length: u64,
}

impl fmt::Display for Unsatisfiable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes */{}", self.length)
    }
}

impl Error for Unsatisfiable {}
