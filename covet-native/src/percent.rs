//! Percent-decoding (RFC 3986 2.1), and what becomes of bytes that are not UTF-8.
//!
//! A `%` that no two hexadecimal digits follow stands for itself, as the WHATWG URL standard has it: a target is
//! refused by the parser for other reasons, and what decodes a value must not lose it. Nothing is copied where nothing
//! was encoded.

use memchr::{memchr, memchr2};
use std::borrow::Cow;
use std::str::Utf8Error;

/// What becomes of decoded bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Invalid {
    /// Each becomes U+FFFD, as in browsers.
    #[default]
    Replaced,
    /// The value is refused.
    Refused,
}

impl Invalid {
    /// The text that `bytes` are.
    ///
    /// # Errors
    /// Where the bytes cease to be UTF-8, if they are to be [`Refused`](Self::Refused).
    pub fn text(self, bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Utf8Error> {
        let refused = match bytes {
            Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => return Ok(Cow::Borrowed(text)),
                Err(error) => (Cow::Borrowed(bytes), error),
            },
            Cow::Owned(bytes) => match String::from_utf8(bytes) {
                Ok(text) => return Ok(Cow::Owned(text)),
                Err(error) => {
                    let place = error.utf8_error();
                    (Cow::Owned(error.into_bytes()), place)
                }
            },
        };
        match self {
            Self::Replaced => Ok(Cow::Owned(String::from_utf8_lossy(&refused.0).into_owned())),
            Self::Refused => Err(refused.1),
        }
    }
}

/// The bytes that `encoded` stands for. Allocates only if there is something to decode.
///
/// ```
/// assert_eq!(&*covet_native::percent::decode(b"/caf%C3%A9"), "/café".as_bytes());
/// assert_eq!(&*covet_native::percent::decode(b"50%"), b"50%");
/// ```
#[must_use]
pub fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    match memchr(b'%', encoded) {
        None => Cow::Borrowed(encoded),
        Some(first) => Cow::Owned(decode_from(encoded, first, |rest| memchr(b'%', rest))),
    }
}

/// The same of a name or value of a form, where `+` is a space.
pub(crate) fn decode_form(encoded: &[u8]) -> Cow<'_, [u8]> {
    match memchr2(b'%', b'+', encoded) {
        None => Cow::Borrowed(encoded),
        Some(first) => Cow::Owned(decode_from(encoded, first, |rest| {
            memchr2(b'%', b'+', rest)
        })),
    }
}

/// Decodes what was found at `next`, and at every further place that `find` finds.
fn decode_from(encoded: &[u8], mut next: usize, find: impl Fn(&[u8]) -> Option<usize>) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    loop {
        decoded.extend_from_slice(&rest[..next]);
        let (byte, width) = unit(&rest[next..]);
        decoded.push(byte);
        rest = &rest[next + width..];
        match find(rest) {
            Some(found) => next = found,
            None => {
                decoded.extend_from_slice(rest);
                return decoded;
            }
        }
    }
}

/// The byte that the beginning of a form's text stands for, and of how many bytes that beginning is.
///
/// # Panics
/// If the text is empty.
#[inline]
pub(crate) fn unit(encoded: &[u8]) -> (u8, usize) {
    match *encoded {
        [b'%', high, low, ..] => match (hex(high), hex(low)) {
            (Some(high), Some(low)) => (high << 4 | low, 3),
            _ => (b'%', 1),
        },
        [b'+', ..] => (b' ', 1),
        [byte, ..] => (byte, 1),
        [] => unreachable!("there is a byte"),
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}

/// Writes `byte` as `%` and two digits.
pub(crate) fn encode(byte: u8, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    into.push('%');
    into.push(char::from(DIGITS[usize::from(byte >> 4)]));
    into.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_encoded_is_not_copied() {
        assert!(matches!(decode(b"/plain+path"), Cow::Borrowed(_)));
        assert!(matches!(decode_form(b"plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn decodes_hexadecimal_pairs_and_nothing_else() {
        for (encoded, decoded) in [
            (&b"%41%62%2f"[..], &b"Ab/"[..]),
            (b"%", b"%"),
            (b"%4", b"%4"),
            (b"%4g", b"%4g"),
            (b"%%41", b"%A"),
            (b"%25%34%31", b"%41"),
            (b"a+b", b"a+b"),
            (b"%00%ff", b"\0\xff"),
        ] {
            assert_eq!(&*decode(encoded), decoded, "{encoded:?}");
        }
        assert_eq!(&*decode_form(b"a+b%2Bc"), b"a b+c");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced_or_refused() {
        let bytes = || decode(b"a%FFb");
        assert_eq!(Invalid::Replaced.text(bytes()).unwrap(), "a\u{FFFD}b");
        assert_eq!(Invalid::Refused.text(bytes()).unwrap_err().valid_up_to(), 1);
        let plain = Invalid::Refused.text(Cow::Borrowed(b"ab")).unwrap();
        assert!(matches!(plain, Cow::Borrowed("ab")));
    }
}
