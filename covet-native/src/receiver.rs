//! Whole messages from a connection: requests for a server, responses for a client.

use crate::body::BodyReader;
use crate::buffer::Buffer;
use crate::config::Config;
use crate::error::Error;
use crate::incoming::Incoming;
use crate::request::{Request, RequestRef};
use crate::request_line::RequestLine;
use crate::response::{Response, ResponseRef};
use crate::status_line::StatusLine;

/// Takes the bytes of one connection in pieces of any size and gives out its requests, each with its whole body.
///
/// Each byte of a head is looked at once, however the head is cut. A byte is copied when it is fed, into memory that the
/// requests share. Copied once more is the beginning of a head behind another request, and the data of a body that came in
/// several pieces or chunks where its beginning came with the head. A receiver keeps one head and one body of the
/// [limits](crate::Limits) at most, and what was fed beyond them.
///
/// ```
/// use covet_native::{Config, Receiver};
///
/// let mut receiver = Receiver::new(&Config::DEFAULT);
/// receiver.feed(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPUT /b HTTP/1.1\r\nHost: x\r\nContent-");
/// let received = receiver.next()?.expect("the first is complete");
/// assert_eq!(received.request.head().path(), b"/a");
/// assert!(receiver.next()?.is_none());
/// receiver.feed(b"Length: 2\r\n\r\nok");
/// let received = receiver.next()?.expect("so is the second");
/// assert_eq!(&*received.body, b"ok");
/// # Ok::<(), covet_native::Error>(())
/// ```
#[derive(Debug)]
pub struct Receiver(Incoming<RequestLine>);

/// A request with its whole body.
#[derive(Debug)]
pub struct Received {
    /// The head.
    pub request: Request,
    /// The data of the body.
    pub body: Buffer,
    /// The reader of the body, which knows the [trailers](BodyReader::trailers).
    pub reader: BodyReader,
}

impl Receiver {
    /// Returns a receiver for a new connection.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Incoming::new(config))
    }

    /// Takes the next bytes of the connection. What is wrong with them is told by [`next`](Self::next).
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    /// Returns the next request that is complete, if there is one.
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break. Offsets are counted from the beginning of the request, or of its body. There is no
    /// telling where the next request begins, so each later call gives the same error: answer it and close.
    #[allow(clippy::should_implement_trait, reason = "more may come after `None`")]
    pub fn next(&mut self) -> Result<Option<Received>, Error> {
        let whole = self.0.next(())?;
        Ok(whole.map(|whole| Received {
            request: Request(whole.head),
            body: whole.body,
            reader: whole.reader,
        }))
    }

    /// Returns the head whose body is still to come: the place to look whether the client
    /// [waits for `100 Continue`](RequestRef::expects_continue).
    #[must_use]
    pub fn unfinished(&self) -> Option<RequestRef<'_>> {
        self.0.unfinished().map(RequestRef)
    }

    /// Says that the connection has ended.
    ///
    /// # Errors
    ///
    /// [`Rule::UnexpectedEnd`](crate::Rule::UnexpectedEnd) if that was within a request, or the error met before.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.0.finish()
    }

    /// Returns what came behind the requests given out: after an upgrade or CONNECT, the first bytes of the other protocol.
    #[must_use]
    pub fn into_rest(self) -> Buffer {
        self.0.into_rest()
    }
}

/// Takes the bytes that a server sends over one connection, in pieces of any size, and gives out its responses, each with its
/// whole body: what [`Receiver`] is for a server, at the same cost.
///
/// ```
/// use covet_native::{Config, ResponseReceiver};
///
/// let mut receiver = ResponseReceiver::new(&Config::DEFAULT);
/// receiver.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the ");
/// let received = receiver.next("GET")?.expect("one without a body");
/// assert!(received.response.head().is_interim());
/// assert!(receiver.next("GET")?.is_none());
/// receiver.feed(b"end");
/// receiver.finish()?;
/// let received = receiver.next("GET")?.expect("what only the end completes");
/// assert_eq!(&*received.body, b"to the end");
/// # Ok::<(), covet_native::Error>(())
/// ```
#[derive(Debug)]
pub struct ResponseReceiver(Incoming<StatusLine>);

/// A response with its whole body.
#[derive(Debug)]
pub struct ReceivedResponse {
    /// The head.
    pub response: Response,
    /// The data of the body.
    pub body: Buffer,
    /// The reader of the body, which knows the [trailers](BodyReader::trailers).
    pub reader: BodyReader,
}

impl ResponseReceiver {
    /// Returns a receiver for a new connection.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self(Incoming::new(config))
    }

    /// Takes the next bytes of the connection. What is wrong with them is told by [`next`](Self::next).
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    /// Returns the next response that is complete, if there is one.
    ///
    /// `method` is that of the request it answers, on which it depends whether there is a body. After an
    /// [interim](ResponseRef::is_interim) response comes another one to the same request; after one that opens a
    /// [tunnel](crate::Framing::Tunnel) there is none, and what follows is the [rest](Self::into_rest).
    ///
    /// # Errors
    ///
    /// The first rule that the bytes break. Offsets are counted from the beginning of the response, or of its body. There is
    /// no telling where the next response begins, so each later call gives the same error.
    pub fn next(&mut self, method: &str) -> Result<Option<ReceivedResponse>, Error> {
        let whole = self.0.next(method)?;
        Ok(whole.map(|whole| ReceivedResponse {
            response: Response(whole.head),
            body: whole.body,
            reader: whole.reader,
        }))
    }

    /// Returns the head whose body is still to come.
    #[must_use]
    pub fn unfinished(&self) -> Option<ResponseRef<'_>> {
        self.0.unfinished().map(ResponseRef)
    }

    /// Says that the connection has ended. [`next`](Self::next) then gives the response whose body only that ends, if there
    /// is one.
    ///
    /// # Errors
    ///
    /// [`Rule::UnexpectedEnd`](crate::Rule::UnexpectedEnd) if that was within a response, or the error met before.
    pub fn finish(&mut self) -> Result<(), Error> {
        self.0.finish()
    }

    /// Returns what came behind the responses given out: in a tunnel, the first bytes of the other protocol.
    #[must_use]
    pub fn into_rest(self) -> Buffer {
        self.0.into_rest()
    }
}
