//! Bodies in pieces: where the data lies in what came, and where the body ends.

use crate::chunked::{Chunked, Found};
use crate::config::Config;
use crate::error::{Error, Rule};
use crate::framing::Framing;
use crate::headers::Headers;

/// Reads a body from pieces as they come, of any size. The data is handed out where it lies; nothing is copied but chunk
/// extensions and trailers, which are kept.
///
/// ```
/// use covet_native::{BodyReader, Config, Framing, Piece};
///
/// let mut body = BodyReader::new(Framing::Chunked, &Config::DEFAULT);
/// let mut data = Vec::new();
/// for mut piece in [&b"5\r\nhel"[..], b"lo\r\n0\r\nX-Sum: 7\r", b"\n\r\nGET /"] {
///     while let Some(found) = body.next(&mut piece)? {
///         match found {
///             Piece::Data(bytes) => data.extend_from_slice(bytes),
///             Piece::Chunk { .. } => {}
///             Piece::End => {
///                 assert_eq!(piece, b"GET /"); // the next request
///                 break;
///             }
///         }
///     }
/// }
/// assert_eq!(data, b"hello");
/// assert_eq!(body.trailers().get("x-sum"), Some(&b"7"[..]));
/// # Ok::<(), covet_native::Error>(())
/// ```
#[derive(Debug)]
pub struct BodyReader {
    kind: Kind,
    failed: Option<Error>,
}

#[derive(Debug)]
enum Kind {
    /// A body of a length, of which so much was read.
    Length { length: u64, read: u64 },
    /// Its extensions and trailers make it large, and most bodies are of a length.
    Chunked(Box<Chunked>),
    /// Ended by the connection; so much was read, of at most so much.
    UntilClose { read: u64, limit: u64, ended: bool },
}

/// What a [`BodyReader`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'i> {
    /// A chunk of this size begins. Its extensions are [`BodyReader::extensions`].
    Chunk {
        /// Bytes of data to come in this chunk, at least one.
        size: u64,
    },
    /// Data, where it lies in the input. Never empty.
    Data(&'i [u8]),
    /// The body is complete; what is left of the input comes after it.
    End,
}

impl BodyReader {
    /// Returns a reader of a body that ends as the head said.
    #[must_use]
    pub fn new(framing: Framing, config: &Config) -> Self {
        let kind = match framing {
            Framing::Empty => Kind::Length { length: 0, read: 0 },
            Framing::Length(length) => Kind::Length { length, read: 0 },
            Framing::Chunked => Kind::Chunked(Box::new(Chunked::new(config))),
            Framing::UntilClose => Kind::UntilClose {
                read: 0,
                limit: config.limits.body,
                ended: false,
            },
            // Whatever comes through a tunnel is data, and nobody counts it.
            Framing::Tunnel => Kind::UntilClose {
                read: 0,
                limit: u64::MAX,
                ended: false,
            },
        };
        Self { kind, failed: None }
    }

    /// Takes the next thing from the input, which then begins behind it; `None` once the input is used up and the body is
    /// not complete. After [`Piece::End`] nothing is taken any more: each call says so again.
    ///
    /// # Errors
    ///
    /// The first rule that the body breaks; its offset is counted from the beginning of the body. Each later call gives
    /// the same error.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Piece<'i>>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let found = self.step(input);
        self.failed = found.err();
        found
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Piece<'i>>, Error> {
        match &mut self.kind {
            Kind::Length { length, read } if read == length => Ok(Some(Piece::End)),
            Kind::Length { length, read } => {
                let data = take(input, *length - *read);
                *read += data.len() as u64;
                Ok((!data.is_empty()).then_some(Piece::Data(data)))
            }
            Kind::Chunked(chunked) => {
                let (found, used) = chunked.next(input)?;
                let used = take(input, used as u64);
                Ok(match found {
                    Found::Chunk(size) => Some(Piece::Chunk { size }),
                    Found::Data(length) => Some(Piece::Data(&used[used.len() - length..])),
                    Found::End => Some(Piece::End),
                    Found::Nothing => None,
                })
            }
            Kind::UntilClose { ended: true, .. } => Ok(Some(Piece::End)),
            Kind::UntilClose { read, limit, .. } => {
                let data = take(input, *limit - *read);
                *read += data.len() as u64;
                match (data, &input[..]) {
                    ([], []) => Ok(None),
                    ([], rest) => Err(Error::at(Rule::BodyTooLong, rest, 0).after(*read)),
                    (data, _) => Ok(Some(Piece::Data(data))),
                }
            }
        }
    }

    /// Says that the connection has ended: the right end for a body that only that ends.
    ///
    /// # Errors
    ///
    /// [`Rule::UnexpectedEnd`] if more of the body was to come, or the error met before.
    pub fn finish(&mut self) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let read = match &mut self.kind {
            Kind::UntilClose { ended, .. } => {
                *ended = true;
                return Ok(());
            }
            Kind::Length { length, read } if read == length => return Ok(()),
            Kind::Length { read, .. } => *read,
            Kind::Chunked(chunked) if chunked.is_done() => return Ok(()),
            Kind::Chunked(chunked) => chunked.offset(),
        };
        let error = Error::new(Rule::UnexpectedEnd, 0).after(read);
        self.failed = Some(error);
        Err(error)
    }

    /// Returns whether the body is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.kind {
            Kind::Length { length, read } => read == length,
            Kind::Chunked(chunked) => chunked.is_done(),
            Kind::UntilClose { ended, .. } => *ended,
        }
    }

    /// Returns the extensions of the chunk that is being read, from the byte behind its size to the end of the line: checked,
    /// but not taken apart. Empty for nearly every chunk there is.
    #[must_use]
    pub fn extensions(&self) -> &[u8] {
        match &self.kind {
            Kind::Chunked(chunked) => chunked.extensions(),
            _ => &[],
        }
    }

    /// Returns the trailers, once the body is complete.
    ///
    /// They are no part of the head: a trailer must not say what only a header may (RFC 9110 6.5.1).
    #[must_use]
    pub fn trailers(&self) -> Headers<'_> {
        match &self.kind {
            Kind::Chunked(chunked) => chunked.trailers(),
            _ => Headers::new(&[], &[], None),
        }
    }
}

/// Takes as many bytes from the front of the input, or all.
fn take<'i>(input: &mut &'i [u8], most: u64) -> &'i [u8] {
    let length = usize::try_from(most).map_or(input.len(), |most| most.min(input.len()));
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}
