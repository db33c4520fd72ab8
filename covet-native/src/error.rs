//! What is wrong with a message, and at which byte.

use std::error;
use std::fmt;

/// Why a message is refused: the rule it breaks, where, and what was found there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    /// The rule that the message breaks.
    pub rule: Rule,
    /// The byte at which it breaks, counted from the beginning of the message's head, or of its body for the rules of
    /// chunked bodies.
    pub offset: u64,
    /// The byte found there; `None` where the message ended, or where something as a whole is missing or too much.
    pub found: Option<u8>,
}

impl Error {
    pub(crate) fn new(rule: Rule, offset: usize) -> Self {
        Self {
            rule,
            offset: offset as u64,
            found: None,
        }
    }

    /// An error at a byte of `bytes`; its offset is counted from their beginning.
    pub(crate) fn at(rule: Rule, bytes: &[u8], offset: usize) -> Self {
        Self {
            found: bytes.get(offset).copied(),
            ..Self::new(rule, offset)
        }
    }

    /// The same error, where so many bytes came before those that the offset was counted from.
    pub(crate) fn after(self, before: u64) -> Self {
        Self {
            offset: self.offset + before,
            ..self
        }
    }

    /// The status of the answer that a server gives to such a request: 400, 413, 414, 431, 501 or 505.
    ///
    /// The rules that only responses can break give 502, which is what a gateway tells its client of them.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.rule.status()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}; found ", self.rule.expected())?;
        match self.found {
            Some(byte @ 0x21..=0x7e) => write!(f, "`{}`", byte as char)?,
            Some(byte) => write!(f, "the byte {byte:#04x}")?,
            None => write!(f, "{}", self.rule.instead())?,
        }
        write!(f, " at byte {} ({})", self.offset, self.rule.section())
    }
}

impl error::Error for Error {}

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident $status:literal $section:literal $expected:literal $instead:literal)*) => {
        /// The rules that a message can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])* $rule,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// The name of the variant.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => stringify!($rule),)* }
            }

            /// The document and section that hold the rule.
            #[must_use]
            pub const fn section(self) -> &'static str {
                match self { $(Self::$rule => $section,)* }
            }

            /// See [`Error::status`].
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$rule => $status,)* }
            }

            const fn expected(self) -> &'static str {
                match self { $(Self::$rule => $expected,)* }
            }

            /// What was found where no byte is to blame.
            const fn instead(self) -> &'static str {
                match self { $(Self::$rule => $instead,)* }
            }
        }
    };
}

rules! {
    // Lines.

    /// A CR that no LF follows.
    BareCr 400 "RFC 9112 2.2" "LF after CR" "the end"
    /// A LF without a CR before it.
    BareLf 400 "RFC 9112 2.2" "CR LF at the end of a line" "the end"
    /// More empty lines before the request line than [`Limits::empty_lines`](crate::Limits::empty_lines).
    EmptyLines 400 "RFC 9112 2.2" "a request line" "another empty line"

    // The request line.

    /// The method is not a token, or something else than one space follows it.
    Method 400 "RFC 9112 3.1" "a method, which is a token, and one space" "no method"
    /// The method is longer than [`Limits::method`](crate::Limits::method).
    MethodTooLong 501 "RFC 9112 3" "a method within the limit" "a longer one"
    /// The target holds a byte that no target may hold, or something else than one space follows it.
    Target 400 "RFC 9112 3.2" "a request target of visible ASCII without `#`, and one space" "no target"
    /// The target has none of the four forms, or one that the method does not allow.
    TargetForm 400 "RFC 9112 3.2" "a target in the form that belongs to the method" "another form"
    /// The target is longer than [`Limits::target`](crate::Limits::target).
    TargetTooLong 414 "RFC 9112 3" "a target within the limit" "a longer one"
    /// What follows the target is not `HTTP/`, a digit, `.` and a digit.
    Version 400 "RFC 9112 2.3" "HTTP/1.1 or HTTP/1.0" "no version"
    /// A version in the right form that is neither 1.1 nor 1.0.
    VersionNotSupported 505 "RFC 9110 15.6.6" "HTTP/1.1 or HTTP/1.0" "another version"

    // The status line.

    /// The status is not three digits from 100 to 999, or something else than one space follows it.
    StatusCode 502 "RFC 9112 4" "a status of three digits and one space" "no status"
    /// The reason phrase holds a control character.
    Reason 502 "RFC 9112 4" "a reason phrase without control characters" "no reason phrase"

    // Fields.

    /// A field name is not a token, or no colon follows it.
    FieldName 400 "RFC 9112 5" "a field name, which is a token, and a colon" "no field name"
    /// Space between a field name and its colon.
    SpaceBeforeColon 400 "RFC 9112 5.1" "the colon right after the field name" "space"
    /// A line that begins with a space or a tab: the folding of old, or a first line that hides a field.
    Folding 400 "RFC 9112 5.2" "a field on one line" "a folded one"
    /// A field value holds a control character.
    FieldValue 400 "RFC 9110 5.5" "a field value without control characters" "the end"
    /// The head is longer than [`Limits::head`](crate::Limits::head).
    HeadTooLong 431 "RFC 6585 5" "a head within the limit" "a longer one"
    /// More fields than [`Limits::fields`](crate::Limits::fields) or than there are slots.
    TooManyFields 431 "RFC 6585 5" "fewer fields" "another one"
    /// An HTTP/1.1 request without a Host field.
    MissingHost 400 "RFC 9112 3.2" "a Host field" "none"
    /// Two Host fields.
    RepeatedHost 400 "RFC 9112 3.2" "one Host field" "a second one"
    /// The Host field is neither empty nor a host with an optional port.
    Host 400 "RFC 9112 3.2" "a host and an optional port" "another value"

    // Framing.

    /// The content length is not a number of digits only that fits 64 bits.
    ContentLength 400 "RFC 9110 8.6" "a content length of digits only, below 2^64" "another value"
    /// Several content lengths.
    RepeatedContentLength 400 "RFC 9112 6.3" "one content length" "a second one"
    /// Both Content-Length and Transfer-Encoding.
    LengthAndEncoding 400 "RFC 9112 6.3" "either Content-Length or Transfer-Encoding" "both"
    /// Transfer-Encoding in a message of HTTP/1.0.
    EncodingVersion 400 "RFC 9112 6.1" "no Transfer-Encoding before HTTP/1.1" "one"
    /// Transfer-Encoding is not a list of transfer codings, or has `chunked` twice or with parameters.
    TransferEncoding 400 "RFC 9112 6.1" "a list of transfer codings" "another value"
    /// The last transfer coding of a request is not `chunked`.
    ChunkedNotLast 400 "RFC 9112 6.3" "chunked as the last transfer coding" "another one"
    /// A transfer coding other than `chunked`, which this crate does not decode.
    TransferCoding 501 "RFC 9112 6.1" "the transfer coding chunked alone" "another one"
    /// The body is longer than [`Limits::body`](crate::Limits::body).
    BodyTooLong 413 "RFC 9110 15.5.14" "a body within the limit" "a longer one"

    // Chunked bodies.

    /// A chunk size is not hexadecimal digits only, or a line end is missing after it.
    ChunkSize 400 "RFC 9112 7.1" "a chunk size in hexadecimal digits" "no size"
    /// A chunk size of 2^64 or more, or of more than 16 digits.
    ChunkSizeOverflow 400 "RFC 9112 7.1" "a chunk size of 16 digits at most" "a longer one"
    /// A chunk extension outside of the grammar.
    ChunkExtension 400 "RFC 9112 7.1.1" "chunk extensions of `;`, a name and perhaps `=` and a value" "another form"
    /// The chunk extensions of a body are longer than [`Limits::chunk_extensions`](crate::Limits::chunk_extensions).
    ChunkExtensionsTooLong 413 "RFC 9112 7.1.1" "chunk extensions within the limit" "longer ones"
    /// No line end after the data of a chunk.
    ChunkEnd 400 "RFC 9112 7.1" "CR LF after the data of a chunk" "something else"
    /// The trailer section is longer than [`Limits::trailers`](crate::Limits::trailers).
    TrailersTooLong 431 "RFC 9112 7.1.2" "trailers within the limit" "longer ones"
    /// The connection ended within a message.
    UnexpectedEnd 400 "RFC 9112 8" "the rest of the message" "the end"
}
