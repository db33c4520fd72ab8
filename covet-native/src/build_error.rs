//! What is wrong with a response that is being built.

use std::error::Error;
use std::fmt;

/// Why a response was not built. Nothing of what was refused is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A status is 100 to 599 (RFC 9110 15).
    Status(u16),
    /// A field name is a token (RFC 9110 5.1).
    Name {
        /// The name, as far as it is text.
        name: String,
        /// Where it is wrong.
        at: usize,
        /// The byte there; `None` if the name is empty.
        found: Option<u8>,
    },
    /// A field value has no control characters but tabs, so no line ends (RFC 9110 5.5).
    Value {
        /// The name of the field.
        name: String,
        /// Where the value is wrong.
        at: usize,
        /// The byte there.
        found: u8,
    },
    /// The builder chooses the framing: `Content-Length` and `Transfer-Encoding` are not set by hand.
    Framing {
        /// The name of the field.
        name: String,
    },
    /// A browser would not take the cookie.
    Cookie {
        /// Its name.
        name: String,
        /// What is expected.
        expected: &'static str,
    },
    /// No content goes with this status: 1xx, 204, 304 (RFC 9110 6.4.1), or 205 (15.3.6).
    Body {
        /// The status.
        status: u16,
        /// How many bytes were to be sent.
        length: usize,
    },
    /// The caller's buffer is too small.
    TooSmall {
        /// How many bytes it takes.
        needed: usize,
        /// How many there are.
        found: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(found) => write!(f, "expected a status from 100 to 599, found {found}"),
            Self::Name {
                name,
                at,
                found: Some(byte),
            } => write!(
                f,
                "header name {name:?}: expected token characters, found byte {byte:#04x} at {at}"
            ),
            Self::Name { .. } => f.write_str("expected a header name, found an empty one"),
            Self::Value { name, at, found } => write!(
                f,
                "value of header {name:?}: expected no control character, found byte {found:#04x} at {at}"
            ),
            Self::Framing { name } => write!(
                f,
                "header {name:?}: expected none, it is written from the body"
            ),
            Self::Cookie { name, expected } => write!(f, "cookie {name:?}: expected {expected}"),
            Self::Body { status, length } => write!(
                f,
                "expected no body with status {status}, found {length} bytes"
            ),
            Self::TooSmall { needed, found } => write!(
                f,
                "expected a buffer of at least {needed} bytes, found {found}"
            ),
        }
    }
}

impl Error for BuildError {}
