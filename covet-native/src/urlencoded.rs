//! `application/x-www-form-urlencoded`: the query of a target, and the body of a form.
//!
//! The rules are those of the WHATWG URL standard, which every browser follows: pairs are parted by `&`, empty ones are
//! skipped, the first `=` ends the name, `+` is a space, and bytes that are not UTF-8 become U+FFFD (or are refused, if
//! one asks: [`Invalid`]). No text is wrong by these rules.
//!
//! Nothing is decoded before it is asked for: looking a name up compares it with the encoded names as they lie there,
//! and decodes one value.

use crate::percent::{self, Invalid};
use memchr::memchr;
use std::borrow::Cow;
use std::str::Utf8Error;

/// The pairs of a query or of a form, in order. Borrowed and cheap to copy.
///
/// ```
/// use covet_native::UrlEncoded;
///
/// let query = UrlEncoded::new(b"q=caf%C3%A9+noir&page=2&page=3");
/// assert_eq!(query.get("q").as_deref(), Some("café noir"));
/// assert_eq!(query.get_all("page").collect::<Vec<_>>(), ["2", "3"]);
/// assert_eq!(query.get("none"), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UrlEncoded<'a> {
    raw: &'a [u8],
}

impl<'a> UrlEncoded<'a> {
    /// Reads `raw`, which is what follows the `?`, or the body.
    #[must_use]
    pub const fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The encoded text.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The pairs in order, encoded as they are.
    #[must_use]
    pub const fn pairs(&self) -> Pairs<'a> {
        Pairs { rest: self.raw }
    }

    /// The value of the first pair with this name, decoded. Decodes nothing else.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.find(name).map(|pair| pair.value())
    }

    /// The first pair with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Pair<'a>> {
        self.pairs().find(|pair| pair.is_named(name))
    }

    /// The values of all pairs with this name, in order, each decoded when it is reached.
    pub fn get_all<'n>(&self, name: &'n str) -> impl Iterator<Item = Cow<'a, str>> + use<'a, 'n> {
        self.pairs()
            .filter(move |pair| pair.is_named(name))
            .map(|pair| pair.value())
    }
}

/// Encodes pairs, so that [`UrlEncoded`] reads the same ones.
///
/// ```
/// assert_eq!(covet_native::urlencode([("q", "café noir"), ("page", "2")]), "q=caf%C3%A9+noir&page=2");
/// ```
pub fn urlencode<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> String {
    let mut encoded = String::new();
    for (i, (name, value)) in pairs.into_iter().enumerate() {
        if i > 0 {
            encoded.push('&');
        }
        encode_part(name.as_ref(), &mut encoded);
        encoded.push('=');
        encode_part(value.as_ref(), &mut encoded);
    }
    encoded
}

fn encode_part(text: &str, into: &mut String) {
    for &byte in text.as_bytes() {
        match byte {
            b' ' => into.push('+'),
            b'*' | b'-' | b'.' | b'_' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                into.push(char::from(byte));
            }
            _ => percent::encode(byte, into),
        }
    }
}

/// One pair, encoded as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The name, encoded.
    pub raw_name: &'a [u8],
    /// The value, encoded; empty if there was no `=`.
    pub raw_value: &'a [u8],
}

impl<'a> Pair<'a> {
    /// The name, decoded; what is not UTF-8 is replaced.
    #[must_use]
    pub fn name(&self) -> Cow<'a, str> {
        replaced(self.raw_name)
    }

    /// The value, decoded; what is not UTF-8 is replaced.
    #[must_use]
    pub fn value(&self) -> Cow<'a, str> {
        replaced(self.raw_value)
    }

    /// The decoded bytes of the name and of the value, whatever they encode.
    #[must_use]
    pub fn bytes(&self) -> (Cow<'a, [u8]>, Cow<'a, [u8]>) {
        (
            percent::decode_form(self.raw_name),
            percent::decode_form(self.raw_value),
        )
    }

    /// Name and value, decoded.
    ///
    /// # Errors
    /// Where one ceases to be UTF-8, if that is to be refused.
    pub fn text(&self, invalid: Invalid) -> Result<(Cow<'a, str>, Cow<'a, str>), Utf8Error> {
        let (name, value) = self.bytes();
        Ok((invalid.text(name)?, invalid.text(value)?))
    }

    /// Whether the decoded name is this one. Decodes into no memory.
    #[must_use]
    #[inline]
    pub fn is_named(&self, name: &str) -> bool {
        let name = name.as_bytes();
        // Each encoded byte is one or three long. Most names are not encoded, and then they differ early.
        if self.raw_name.len() < name.len() || self.raw_name.len() > 3 * name.len() {
            return false;
        }
        let mut rest = self.raw_name;
        for &byte in name {
            if rest.is_empty() {
                return false;
            }
            let (found, width) = percent::unit(rest);
            if found != byte {
                return false;
            }
            rest = &rest[width..];
        }
        rest.is_empty()
    }
}

fn replaced(raw: &[u8]) -> Cow<'_, str> {
    let text = Invalid::Replaced.text(percent::decode_form(raw));
    text.unwrap_or_else(|_| unreachable!("what is replaced is not refused"))
}

/// The pairs of a [`UrlEncoded`], in order.
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        while !self.rest.is_empty() {
            let (pair, rest) = match memchr(b'&', self.rest) {
                Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
                None => (self.rest, &b""[..]),
            };
            self.rest = rest;
            if pair.is_empty() {
                continue;
            }
            let (raw_name, raw_value) = match memchr(b'=', pair) {
                Some(end) => (&pair[..end], &pair[end + 1..]),
                None => (pair, &b""[..]),
            };
            return Some(Pair {
                raw_name,
                raw_value,
            });
        }
        None
    }
}
