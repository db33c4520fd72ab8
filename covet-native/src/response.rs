//! Responses as a client receives them: a head as positions into the bytes it came in, borrowed or shared.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::buffer::Buffer;
use crate::config::Config;
use crate::error::Error;
use crate::framing::Framing;
use crate::headers::{Headers, Slot};
use crate::message::{HeadRef, Shared, head_accessors};
use crate::status_line::StatusLine;

/// The head of a response, borrowed from the bytes it was parsed from. Nothing is allocated or copied.
#[derive(Clone, Copy)]
pub struct ResponseRef<'a>(pub(crate) HeadRef<'a, StatusLine>);

impl<'a> ResponseRef<'a> {
    /// Parses the head that `bytes` begin with; `None` if it is not complete yet.
    ///
    /// `method` is that of the request, on which it depends whether there is a body.
    ///
    /// ```
    /// use covet_native::{Config, Framing, ResponseRef, Slot};
    ///
    /// let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    /// let mut slots = Slot::table::<32>();
    /// let response = ResponseRef::parse(bytes, "GET", &Config::DEFAULT, &mut slots)?.expect("a whole head");
    /// assert_eq!(response.status(), 200);
    /// assert_eq!(response.framing(), Framing::Length(5));
    /// # Ok::<(), covet_native::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break. More fields than slots break [`Rule::TooManyFields`](crate::Rule::TooManyFields).
    pub fn parse(
        bytes: &'a [u8],
        method: &str,
        config: &Config,
        slots: &'a mut [MaybeUninit<Slot>],
    ) -> Result<Option<Self>, Error> {
        Ok(HeadRef::parse(bytes, config, method, slots)?.map(Self))
    }

    head_accessors!();

    /// Returns the status, from 100 to 999. RFC 9110 15 has those above 599 taken for server errors.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.facts.line.status
    }

    /// Returns whether another response to the same request follows: 1xx, but 101 (Switching Protocols).
    #[must_use]
    pub fn is_interim(&self) -> bool {
        matches!(self.status(), 100 | 102..=199)
    }

    /// Returns the reason phrase as it came.
    #[must_use]
    pub fn reason(&self) -> &'a [u8] {
        self.0.facts.line.reason(self.0.bytes())
    }

    /// Returns whether the connection may serve another request after this one (RFC 9112 9.3): not if only its end ends the
    /// body.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        !matches!(self.framing(), Framing::UntilClose | Framing::Tunnel)
            && self.headers().keep_alive(self.0.facts.line.is_http_1_0)
    }
}

impl fmt::Debug for ResponseRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The head of a response over a buffer that it shares: one pointer, to be cloned, kept, and read on any thread.
#[derive(Clone)]
pub struct Response(pub(crate) Arc<Shared<StatusLine>>);

impl Response {
    /// Parses the head that the buffer begins with, as [`ResponseRef::parse`] does; `None` if it is not complete yet.
    ///
    /// One allocation, with more than four fields two; no byte of the buffer is copied.
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break.
    pub fn parse(buffer: &Buffer, method: &str, config: &Config) -> Result<Option<Self>, Error> {
        Ok(Shared::parse(buffer, config, method)?.map(Self))
    }

    /// Returns the head, to be read like a borrowed one.
    #[must_use]
    pub fn head(&self) -> ResponseRef<'_> {
        ResponseRef(self.0.head())
    }

    /// Returns the buffer that the response was parsed from, with what follows the head.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        &self.0.buffer
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head().fmt(f)
    }
}
