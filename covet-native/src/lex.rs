//! The small grammar that field values share (RFC 9110 5.6): tokens, quoted strings, lists.

use crate::scan::{Scalar, Scan, trim};
use memchr::memchr;
use std::borrow::Cow;

/// How many bytes the token that `text` begins with has (RFC 9110 5.6.2).
#[inline]
pub(crate) fn token_end(text: &[u8]) -> usize {
    Scalar.token_end(text, 0)
}

/// How many bytes may be a field value, before the first control character (RFC 9110 5.5).
pub(crate) fn value_end(text: &[u8]) -> usize {
    Scalar.value_end(text, 0)
}

/// Whether this is a token and nothing else.
#[inline]
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && token_end(text) == text.len()
}

/// The elements of a comma-separated list, without the spaces around them and without empty ones. A comma inside
/// a quoted string parts nothing.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = end_of_element(rest);
            let element = trim(&rest[..end]);
            rest = rest.get(end + 1..).unwrap_or_default();
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    })
}

fn end_of_element(text: &[u8]) -> usize {
    let mut i = 0;
    while i < text.len() {
        match text[i] {
            b',' => return i,
            b'"' => match quoted(&text[i..]) {
                Some((_, length)) => i += length,
                None => return text.len(),
            },
            _ => i += 1,
        }
    }
    i
}

/// What stands between the quotes of the quoted string that `text` begins with, escapes as they are, and the length
/// with both quotes. `None` if it does not end.
pub(crate) fn quoted(text: &[u8]) -> Option<(&[u8], usize)> {
    let inner = text.strip_prefix(b"\"")?;
    let mut i = 0;
    loop {
        match *inner.get(i)? {
            b'"' => return Some((&inner[..i], i + 2)),
            b'\\' => i += 2,
            _ => i += 1,
        }
    }
}

/// A quoted string's text without the backslashes for which `escapes` says so, given what follows each.
pub(crate) fn unescaped(inner: &[u8], escapes: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    if memchr(b'\\', inner).is_none() {
        return Cow::Borrowed(inner);
    }
    let mut text = Vec::with_capacity(inner.len());
    let mut i = 0;
    while i < inner.len() {
        if inner[i] == b'\\' && inner.get(i + 1).is_some_and(|&next| escapes(next)) {
            i += 1;
        }
        text.push(inner[i]);
        i += 1;
    }
    Cow::Owned(text)
}

/// A number of ASCII digits only; `None` if it is empty or too large.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
