//! A request with its body, without an interpreter.

use covet_native::{
    BodyReader, Buffer, Config, Error, Framing, Headers, Piece, Received, Request, Rule,
};

/// Everything that was received of one request. Immutable.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) request: Request,
    /// Without chunk sizes.
    pub(crate) body: Buffer,
    /// What read the body, if it came in chunks: it keeps the trailers.
    chunks: Option<Box<BodyReader>>,
}

/// Why bytes are not one request.
pub(crate) enum Wrong {
    Rule(Error),
    /// So many bytes follow the request.
    More(usize),
}

impl Message {
    /// Reads the request that the whole buffer is.
    pub(crate) fn read(buffer: &Buffer, config: &Config) -> Result<Self, Wrong> {
        let end = Wrong::Rule(Error {
            rule: Rule::UnexpectedEnd,
            offset: buffer.len() as u64,
            found: None,
        });
        let Some(request) = Request::parse(buffer, config).map_err(Wrong::Rule)? else {
            return Err(end);
        };
        let head = request.head().head_length();
        let framing = request.head().framing();
        let mut rest = &buffer[head..];
        let mut message = Self {
            request,
            body: Buffer::default(),
            chunks: None,
        };
        match framing {
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= rest.len() => {
                    message.body = buffer.slice(head..head + length);
                    rest = &rest[length..];
                }
                _ => return Err(end),
            },
            Framing::Chunked => {
                let mut reader = BodyReader::new(framing, config);
                let mut data = Vec::new();
                loop {
                    match reader.next(&mut rest).map_err(Wrong::Rule)? {
                        Some(Piece::Data(piece)) => data.extend_from_slice(piece),
                        Some(Piece::Chunk { .. }) => {}
                        Some(Piece::End) => break,
                        None => return Err(end),
                    }
                }
                message.body = data.into();
                message.chunks = Some(Box::new(reader));
            }
            _ => {}
        }
        match rest.len() {
            0 => Ok(message),
            more => Err(Wrong::More(more)),
        }
    }

    /// How many bytes are kept of it.
    pub(crate) fn size(&self) -> usize {
        self.request.head().head_length() + self.body.len()
    }

    /// The fields behind a body in chunks.
    pub(crate) fn trailers(&self) -> Option<Headers<'_>> {
        self.chunks.as_ref().map(|reader| reader.trailers())
    }
}

impl From<Received> for Message {
    fn from(received: Received) -> Self {
        let chunked = received.request.head().framing() == Framing::Chunked;
        Self {
            request: received.request,
            body: received.body,
            chunks: chunked.then(|| Box::new(received.reader)),
        }
    }
}
