//! The bytes of a connection, of either side: pieces in as they come, whole messages out.

use std::mem;
use std::sync::Arc;

use crate::body::{BodyReader, Piece};
use crate::buffer::Buffer;
use crate::config::Config;
use crate::error::{Error, Rule};
use crate::framing::Framing;
use crate::message::{HeadRef, MessageLine, Shared};
use crate::partial::Partial;

/// What came and was not given out yet, and how far it is read. A head is continued where it stopped, so each of its bytes is
/// looked at once.
#[derive(Debug)]
pub(crate) struct Incoming<L: MessageLine> {
    config: Config,
    /// What came behind the messages given out, in memory shared with them; empty if `growing` is not.
    shared: Buffer,
    /// The same in memory of its own, to which more is added.
    growing: Vec<u8>,
    head: Partial<L>,
    body: Option<Body<L>>,
    /// What comes is no HTTP any more.
    tunnel: bool,
    failed: Option<Error>,
}

/// A message with its whole body.
pub(crate) struct Whole<L> {
    pub(crate) head: Arc<Shared<L>>,
    pub(crate) body: Buffer,
    pub(crate) reader: BodyReader,
}

impl<L: MessageLine> Incoming<L> {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            config: *config,
            shared: Buffer::default(),
            growing: Vec::new(),
            head: Partial::default(),
            body: None,
            tunnel: false,
            failed: None,
        }
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if let Some(body) = &mut self.body
            && let Err(error) = body.read(&mut bytes, None)
        {
            self.failed = Some(error);
            return;
        }
        if !bytes.is_empty() {
            if !self.shared.is_empty() {
                self.growing = mem::take(&mut self.shared).to_vec();
            }
            self.growing.extend_from_slice(bytes);
        }
    }

    /// Returns the next message that is complete. There is no telling where one begins behind an error, so that one stays.
    pub(crate) fn next(&mut self, context: L::Context<'_>) -> Result<Option<Whole<L>>, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let whole = self.step(context);
        self.failed = whole.as_ref().err().copied();
        whole
    }

    fn step(&mut self, context: L::Context<'_>) -> Result<Option<Whole<L>>, Error> {
        if self.body.is_none() && (self.tunnel || !self.read_head(context)?) {
            return Ok(None);
        }
        let body = self.body.take_if(|body| body.reader.is_done());
        Ok(body.map(Body::finish))
    }

    /// Returns whether the head is complete; then the body is read as far as it came.
    fn read_head(&mut self, context: L::Context<'_>) -> Result<bool, Error> {
        let bytes = if self.growing.is_empty() {
            &self.shared[..]
        } else {
            &self.growing[..]
        };
        let Some(length) = self.head.parse(bytes, &self.config)? else {
            return Ok(false);
        };
        if !self.growing.is_empty() {
            self.shared = mem::take(&mut self.growing).into();
        }
        let head = Shared::new(
            self.shared.slice(..length),
            &self.config,
            context,
            self.head.progress(),
            self.head.slots(),
            length,
        )?;
        self.head.restart();
        let framing = match head.head().facts.framing {
            // Nothing that follows belongs to the message.
            Framing::Tunnel => {
                self.tunnel = true;
                Framing::Empty
            }
            framing => framing,
        };
        let mut body = Body {
            reader: BodyReader::new(framing, &self.config),
            head,
            first: Buffer::default(),
            data: Vec::new(),
        };
        let mut rest = &self.shared[length..];
        body.read(&mut rest, Some(&self.shared))?;
        let used = self.shared.len() - rest.len();
        self.shared = self.shared.slice(used..);
        self.body = Some(body);
        Ok(true)
    }

    /// Returns the head whose body is still to come.
    pub(crate) fn unfinished(&self) -> Option<HeadRef<'_, L>> {
        self.body.as_ref().map(|body| body.head.head())
    }

    /// Says that the connection has ended, which is wrong within a message, but for a body that only that ends.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(body) = &mut self.body {
            return body.reader.finish();
        }
        match self.shared.len() + self.growing.len() {
            length if length > 0 && !self.tunnel => Err(Error::new(Rule::UnexpectedEnd, length)),
            _ => Ok(()),
        }
    }

    pub(crate) fn into_rest(self) -> Buffer {
        if self.growing.is_empty() {
            self.shared
        } else {
            self.growing.into()
        }
    }
}

/// The body that is being received, behind its head.
#[derive(Debug)]
struct Body<L: MessageLine> {
    head: Arc<Shared<L>>,
    reader: BodyReader,
    /// The first data, where it came in the same memory as the head: mostly all there is.
    first: Buffer,
    /// The data behind it; if there is any, all data.
    data: Vec<u8>,
}

impl<L: MessageLine> Body<L> {
    /// Reads to the end of the body or of the input, which is the end of `shared` if that is given.
    fn read(&mut self, input: &mut &[u8], shared: Option<&Buffer>) -> Result<(), Error> {
        while let Some(piece) = self.reader.next(input)? {
            match (piece, shared) {
                (Piece::Chunk { .. }, _) => {}
                (Piece::End, _) => break,
                (Piece::Data(data), Some(shared)) if self.first.is_empty() => {
                    let end = shared.len() - input.len();
                    self.first = shared.slice(end - data.len()..end);
                }
                (Piece::Data(data), _) => {
                    if self.data.is_empty() {
                        self.data.extend_from_slice(&self.first);
                    }
                    self.data.extend_from_slice(data);
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Whole<L> {
        Whole {
            head: self.head,
            body: if self.data.is_empty() {
                self.first
            } else {
                self.data.into()
            },
            reader: self.reader,
        }
    }
}
