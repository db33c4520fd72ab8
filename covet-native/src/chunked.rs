//! Chunked bodies (RFC 9112 7.1), in pieces of any size.
//!
//! ```text
//! Size ---CR---> SizeLf --LF--> Data --its last byte--> DataCr --CR--> DataLf --LF--> Size
//!   | ;            ^      '-- size 0 --> Trailers --empty line--> Done
//!   v       CR     |
//! Extensions ------'
//! ```
//!
//! Data is handed out where it lies. Copied is only what a later piece may be needed for: extensions and trailers.

use crate::config::Config;
use crate::error::{Error, Rule};
use crate::framing::Section;
use crate::head::{Input, Line, StartLine, Stop};
use crate::headers::Headers;
use crate::limits::Limits;
use crate::partial::Partial;
use crate::scan::{Kernel, Scalar, Scan, is_token};

#[derive(Debug)]
pub(crate) struct Chunked {
    config: Config,
    state: State,
    /// How many bytes of the body came before this piece.
    offset: u64,
    /// The size as far as it was read, and then the bytes of the chunk that are still to come.
    size: u64,
    digits: u32,
    /// Bytes of data in all chunks.
    data: u64,
    /// Bytes of extensions in all chunks.
    all_extensions: u64,
    /// The extensions of the current chunk.
    extensions: Vec<u8>,
    trailers: Vec<u8>,
    trailer_fields: Partial<NoLine>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extensions,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// What [`Chunked::next`] found.
#[derive(Clone, Copy)]
pub(crate) enum Found {
    /// The beginning of a chunk of this size.
    Chunk(u64),
    /// So many bytes of data, the last ones of what was used.
    Data(usize),
    /// The end of the body.
    End,
    /// Nothing more in this piece.
    Nothing,
}

impl Chunked {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            config: *config,
            state: State::Size,
            offset: 0,
            size: 0,
            digits: 0,
            data: 0,
            all_extensions: 0,
            extensions: Vec::new(),
            trailers: Vec::new(),
            trailer_fields: Partial::default(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn extensions(&self) -> &[u8] {
        &self.extensions
    }

    pub(crate) fn trailers(&self) -> Headers<'_> {
        let slots = if self.is_done() {
            self.trailer_fields.slots()
        } else {
            &[]
        };
        Headers::new(&self.trailers, slots, None)
    }

    /// Reads up to the next thing to tell, and says how many bytes of the piece that used.
    pub(crate) fn next(&mut self, piece: &[u8]) -> Result<(Found, usize), Error> {
        let mut at = 0;
        let found = loop {
            if self.state == State::Done {
                break Found::End;
            }
            if at == piece.len() {
                break Found::Nothing;
            }
            match self.state {
                State::Size => at = self.read_size(piece, at)?,
                State::Extensions => at = self.read_extensions(piece, at)?,
                State::SizeLf => {
                    self.expect(b'\n', Rule::BareCr, piece, at)?;
                    if self.size == 0 {
                        self.state = State::Trailers;
                        at += 1;
                        continue;
                    }
                    self.data = self.data.saturating_add(self.size);
                    if self.data > self.config.limits.body {
                        return Err(self.error(Rule::BodyTooLong, piece, at));
                    }
                    self.state = State::Data;
                    at += 1;
                    break Found::Chunk(self.size);
                }
                State::Data => {
                    let data = self.size.min((piece.len() - at) as u64);
                    self.size -= data;
                    if self.size == 0 {
                        self.state = State::DataCr;
                    }
                    at += data as usize;
                    break Found::Data(data as usize);
                }
                State::DataCr => {
                    self.expect(b'\r', Rule::ChunkEnd, piece, at)?;
                    self.state = State::DataLf;
                    at += 1;
                }
                State::DataLf => {
                    self.expect(b'\n', Rule::ChunkEnd, piece, at)?;
                    self.extensions.clear();
                    self.digits = 0;
                    self.state = State::Size;
                    at += 1;
                }
                State::Trailers => at = self.read_trailers(piece, at)?,
                State::Done => {}
            }
        };
        self.offset += at as u64;
        Ok((found, at))
    }

    fn read_size(&mut self, piece: &[u8], mut at: usize) -> Result<usize, Error> {
        while let Some(&byte) = piece.get(at) {
            if let Some(digit) = (byte as char).to_digit(16) {
                if self.digits == MOST_DIGITS {
                    return Err(self.error(Rule::ChunkSizeOverflow, piece, at));
                }
                self.digits += 1;
                self.size = self.size << 4 | u64::from(digit);
                at += 1;
                continue;
            }
            return match byte {
                _ if self.digits == 0 => Err(self.error(Rule::ChunkSize, piece, at)),
                b'\r' => {
                    self.state = State::SizeLf;
                    Ok(at + 1)
                }
                b';' | b' ' | b'\t' => {
                    self.state = State::Extensions;
                    Ok(at)
                }
                b'\n' => Err(self.error(Rule::BareLf, piece, at)),
                _ => Err(self.error(Rule::ChunkSize, piece, at)),
            };
        }
        Ok(at)
    }

    fn read_extensions(&mut self, piece: &[u8], start: usize) -> Result<usize, Error> {
        let end = Scalar.value_end(piece, start);
        let length = (end - start) as u64;
        let left = u64::from(self.config.limits.chunk_extensions) - self.all_extensions;
        if length > left {
            let at = start + left as usize;
            return Err(self.error(Rule::ChunkExtensionsTooLong, piece, at));
        }
        self.all_extensions += length;
        self.extensions.extend_from_slice(&piece[start..end]);
        match piece.get(end) {
            None => Ok(end),
            Some(b'\r') => {
                if let Some(wrong) = extension_error(&self.extensions) {
                    let begin = self.offset + end as u64 - self.extensions.len() as u64;
                    let error = Error::at(Rule::ChunkExtension, &self.extensions, wrong);
                    return Err(error.after(begin));
                }
                self.state = State::SizeLf;
                Ok(end + 1)
            }
            Some(b'\n') => Err(self.error(Rule::BareLf, piece, end)),
            Some(_) => Err(self.error(Rule::ChunkExtension, piece, end)),
        }
    }

    fn read_trailers(&mut self, piece: &[u8], start: usize) -> Result<usize, Error> {
        let before = self.trailers.len();
        let rest = &piece[start..];
        // Nearly always there are none.
        if before == 0 && rest.starts_with(b"\r\n") {
            self.state = State::Done;
            return Ok(start + 2);
        }
        // One byte beyond the limit shows that it is passed.
        let most = self.config.limits.trailers as usize + 1;
        let taken = rest.len().min(most - before);
        self.trailers.extend_from_slice(&rest[..taken]);
        let begin = self.offset + start as u64 - before as u64;
        let parsed = self.trailer_fields.parse(&self.trailers, &self.config);
        Ok(match parsed.map_err(|error| error.after(begin))? {
            Some(end) => {
                self.trailers.truncate(end);
                self.state = State::Done;
                start + end - before
            }
            None => start + taken,
        })
    }

    fn expect(&self, byte: u8, rule: Rule, piece: &[u8], at: usize) -> Result<(), Error> {
        if piece[at] == byte {
            return Ok(());
        }
        Err(self.error(rule, piece, at))
    }

    fn error(&self, rule: Rule, piece: &[u8], at: usize) -> Error {
        Error::at(rule, piece, at).after(self.offset)
    }
}

/// The digits of 2^64 - 1. More are refused even if they begin with zeros, which nobody sends.
const MOST_DIGITS: u32 = 16;

/// Returns where chunk extensions leave their grammar:
/// `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`.
fn extension_error(text: &[u8]) -> Option<usize> {
    let skip = |mut at: usize, is: fn(u8) -> bool| {
        while text.get(at).is_some_and(|&byte| is(byte)) {
            at += 1;
        }
        at
    };
    let is_space: fn(u8) -> bool = |byte| byte == b' ' || byte == b'\t';
    let mut at = 0;
    while at < text.len() {
        at = skip(at, is_space);
        if text.get(at) != Some(&b';') {
            return Some(at);
        }
        let name = skip(at + 1, is_space);
        at = skip(name, is_token);
        if at == name {
            return Some(at);
        }
        let equals = skip(at, is_space);
        if text.get(equals) != Some(&b'=') {
            continue;
        }
        let value = skip(equals + 1, is_space);
        at = match text.get(value) {
            Some(b'"') => match end_of_quoted(text, value) {
                Some(end) => end,
                None => return Some(text.len()),
            },
            _ => skip(value, is_token),
        };
        if at == value {
            return Some(at);
        }
    }
    None
}

/// Where the quoted string that begins at `start` ends; its bytes are no control characters.
fn end_of_quoted(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Trailers have no first line.
#[derive(Clone, Copy, Debug, Default)]
struct NoLine;

impl StartLine for NoLine {
    const SECTION: Section = Section::Trailers;
    const TOO_LONG: Rule = Rule::TrailersTooLong;

    fn limit(limits: &Limits) -> u32 {
        limits.trailers
    }

    fn parse<K: Kernel>(
        &mut self,
        _: Input<'_, K>,
        _: &mut K::Scan,
        line: &mut Line,
    ) -> Result<usize, Stop> {
        Ok(line.start)
    }

    fn is_http_1_0(&self) -> bool {
        false
    }
}
