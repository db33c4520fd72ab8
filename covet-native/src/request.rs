//! Requests: a head as positions into the bytes it came in, borrowed or shared.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Arc;

use memchr::memchr;

use crate::buffer::Buffer;
use crate::config::Config;
use crate::error::Error;
use crate::framing::Framing;
use crate::headers::{Headers, Slot};
use crate::message::{HeadRef, Shared, head_accessors};
use crate::request_line::{RequestLine, TargetForm, authority_of, scheme};

/// The head of a request, borrowed from the bytes it was parsed from. Nothing is allocated or copied.
#[derive(Clone, Copy)]
pub struct RequestRef<'a>(pub(crate) HeadRef<'a, RequestLine>);

impl<'a> RequestRef<'a> {
    /// Parses the head that `bytes` begin with; `None` if it is not complete yet.
    ///
    /// What follows the head, from [`head_length`](Self::head_length) on, is its body and the next request.
    ///
    /// ```
    /// use covet_native::{Config, RequestRef, Slot};
    ///
    /// let bytes = b"GET /search?q=rings HTTP/1.1\r\nHost: example.org\r\n\r\n";
    /// let mut slots = Slot::table::<32>();
    /// let request = RequestRef::parse(bytes, &Config::DEFAULT, &mut slots)?.expect("a whole head");
    /// assert_eq!(request.method(), "GET");
    /// assert_eq!(request.path(), b"/search");
    /// assert_eq!(request.headers().get("host"), Some(&b"example.org"[..]));
    /// # Ok::<(), covet_native::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break. More fields than slots break [`Rule::TooManyFields`](crate::Rule::TooManyFields).
    #[inline]
    pub fn parse(
        bytes: &'a [u8],
        config: &Config,
        slots: &'a mut [MaybeUninit<Slot>],
    ) -> Result<Option<Self>, Error> {
        Ok(HeadRef::parse(bytes, config, (), slots)?.map(Self))
    }

    head_accessors!();

    /// Returns the method: a token, in the case it came in.
    #[must_use]
    pub fn method(&self) -> &'a str {
        // A token is ASCII.
        str::from_utf8(self.0.facts.line.method(self.0.bytes())).unwrap_or_default()
    }

    /// Returns the request target as it came.
    ///
    /// Visible ASCII, unless [`Policy::non_ascii_target`](crate::Policy::non_ascii_target) lets other bytes in.
    #[must_use]
    pub fn target(&self) -> &'a [u8] {
        self.0.facts.line.target(self.0.bytes())
    }

    /// Returns which form the target has.
    #[must_use]
    pub fn target_form(&self) -> TargetForm {
        self.0.facts.line.form
    }

    /// Returns the path of the target, not decoded: up to the first `?`, and without scheme and host if it has them. It is
    /// `*` for a target in asterisk form and empty for one in authority form.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        let (path, _) = self.path_and_query();
        path
    }

    /// Returns the query of the target, not decoded: what follows the first `?`.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        let (_, query) = self.path_and_query();
        query
    }

    fn path_and_query(&self) -> (&'a [u8], Option<&'a [u8]>) {
        let target = self.target();
        let whole = match self.0.facts.line.form {
            TargetForm::Origin | TargetForm::Asterisk => target,
            TargetForm::Authority => return (b"", None),
            TargetForm::Absolute => {
                let rest = scheme(target).map_or(target, |(_, rest)| rest);
                match rest.strip_prefix(b"//") {
                    Some(rest) => &rest[authority_of(rest).len()..],
                    None => rest,
                }
            }
        };
        let (path, query) = match memchr(b'?', whole) {
            Some(mark) => (&whole[..mark], Some(&whole[mark + 1..])),
            None => (whole, None),
        };
        // RFC 9112 3.2.1: an empty path is `/`.
        (if path.is_empty() { b"/" } else { path }, query)
    }

    /// Returns host and port: from the target if it names them, which goes before the Host field (RFC 9112 3.2.2).
    #[must_use]
    pub fn authority(&self) -> Option<&'a [u8]> {
        let target = self.target();
        match self.0.facts.line.form {
            TargetForm::Authority => Some(target),
            TargetForm::Absolute => {
                let (_, rest) = scheme(target)?;
                Some(authority_of(rest.strip_prefix(b"//")?))
            }
            TargetForm::Origin | TargetForm::Asterisk => self.headers().get("host"),
        }
    }

    /// Returns whether the connection may serve another request after this one (RFC 9112 9.3): unless it says `close`, and
    /// in HTTP/1.0 only if it says `keep-alive`.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.headers().keep_alive(self.0.facts.line.is_http_1_0)
    }

    /// Returns whether the client waits for `100 Continue` before it sends the body (RFC 9110 10.1.1).
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        !self.0.facts.line.is_http_1_0
            && self.framing() != Framing::Empty
            && self.headers().lists("expect", "100-continue")
    }

    /// Returns the protocols that the client would rather speak (RFC 9110 7.8), as listed; `None` where the connection is not
    /// to be upgraded.
    #[must_use]
    pub fn upgrade(&self) -> Option<&'a [u8]> {
        let headers = self.headers();
        if self.0.facts.line.is_http_1_0 || !headers.lists("connection", "upgrade") {
            return None;
        }
        headers.get("upgrade")
    }

    /// Returns whether the client asks for a tunnel: then what follows the answer, if it is 2xx, is no HTTP.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.0.facts.line.form == TargetForm::Authority
    }
}

impl fmt::Debug for RequestRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The head of a request over a buffer that it shares: one pointer, to be cloned, kept, and read on any thread.
///
/// Nothing in it ever changes. What it says is asked of [`head`](Self::head).
#[derive(Clone)]
pub struct Request(pub(crate) Arc<Shared<RequestLine>>);

impl Request {
    /// Parses the head that the buffer begins with; `None` if it is not complete yet.
    ///
    /// One allocation, with more than four fields two; no byte of the buffer is copied.
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break.
    pub fn parse(buffer: &Buffer, config: &Config) -> Result<Option<Self>, Error> {
        Ok(Shared::parse(buffer, config, ())?.map(Self))
    }

    /// Returns the head, to be read like a borrowed one.
    #[must_use]
    pub fn head(&self) -> RequestRef<'_> {
        RequestRef(self.0.head())
    }

    /// Returns the buffer that the request was parsed from, with what follows the head.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        &self.0.buffer
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head().fmt(f)
    }
}
