//! The cookies of a request (RFC 6265bis 4.2).
//!
//! What a browser sends is `name=value` pairs parted by `; `. A piece without `=` has no name that a server could have
//! set, so it is skipped; everything else is handed out as it lies there. Which of two cookies with one name comes first is
//! the browser's choice (the one with the longer path): [`Cookies::get`] takes the first.

use crate::scan::trim;
use memchr::memchr;

/// The cookies of one `Cookie` field, in order. Borrowed and cheap to copy.
///
/// ```
/// use covet_native::Cookies;
///
/// let cookies = Cookies::new(b"id=7; theme=\"dark\"");
/// assert_eq!(cookies.get("id"), Some(&b"7"[..]));
/// assert_eq!(cookies.get("theme"), Some(&b"dark"[..]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cookies<'a> {
    raw: &'a [u8],
}

impl<'a> Cookies<'a> {
    /// Reads the value of a `Cookie` field.
    #[must_use]
    pub const fn new(raw: &'a [u8]) -> Self {
        Self { raw }
    }

    /// The cookies in order, as (name, value). Double quotes around a value are no part of it.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            while !rest.is_empty() {
                let (piece, after) = match memchr(b';', rest) {
                    Some(end) => (&rest[..end], &rest[end + 1..]),
                    None => (rest, &b""[..]),
                };
                rest = after;
                if let Some(equals) = memchr(b'=', piece) {
                    let (name, value) = (trim(&piece[..equals]), trim(&piece[equals + 1..]));
                    return Some((name, unquoted(value)));
                }
            }
            None
        })
    }

    /// The value of the first cookie with this name, which is case-sensitive.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter()
            .find(|(found, _)| *found == name.as_bytes())
            .map(|(_, value)| value)
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}
