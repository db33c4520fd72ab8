//! Builds responses: status, fields and framing, as bytes.
//!
//! A field is checked and written when it is added, into one buffer of lines. What depends on the moment or on the body (the
//! date, `Content-Length` or chunked, or neither) is written when the response is serialized, into a small frame on the
//! stack. So a response is four pieces, and each way to serialize puts the same four together:
//!
//! ```text
//!   frame                                          lines                          end    body
//!   HTTP/1.1 200 OK <Date> <Content-Length>        Content-Type: text/plain ...   CRLF   hello
//! ```

use crate::build_error::BuildError;
use crate::date;
use crate::lex::{token_end, value_end};
use crate::scan::trim;
use crate::set_cookie::SetCookie;
use crate::status;
use std::io::{self, IoSlice, Write};

/// A response under construction. It can be serialized as often as one likes, with different bodies.
///
/// ```
/// use covet_native::{ResponseBuilder, SetCookie};
///
/// let mut response = ResponseBuilder::new(200)?;
/// response.header("Content-Type", "text/plain")?.cookie(&SetCookie::new("id", "7"))?;
/// let bytes = response.to_bytes(b"hello")?;
/// assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\nDate: "));
/// assert!(bytes.ends_with(b"Content-Length: 5\r\nContent-Type: text/plain\r\nSet-Cookie: id=7\r\n\r\nhello"));
/// # Ok::<(), covet_native::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ResponseBuilder {
    status: u16,
    /// Whole field lines, each checked.
    lines: Vec<u8>,
    has_date: bool,
    answering: Answering,
}

/// Bytes of the fields of most responses.
const USUAL_LINES: usize = 256;

/// What the response answers, as far as its framing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answering {
    /// Any request but these.
    #[default]
    Other,
    /// `HEAD`: the length is stated, the body is not sent.
    Head,
    /// `CONNECT`: with a 2xx, what follows is the tunnel (RFC 9110 9.3.6).
    Connect,
    /// A request of HTTP/1.0, which knows no chunks: a stream ends with the connection.
    Http10,
}

impl ResponseBuilder {
    /// A response without fields.
    ///
    /// # Errors
    /// [`BuildError::Status`] if it is not 100 to 599.
    pub fn new(status: u16) -> Result<Self, BuildError> {
        if !(100..600).contains(&status) {
            return Err(BuildError::Status(status));
        }
        Ok(Self {
            status,
            lines: Vec::with_capacity(USUAL_LINES),
            has_date: false,
            answering: Answering::Other,
        })
    }

    /// Adds a field. Fields with the same name stay apart, in order. A `Date` replaces the present one.
    ///
    /// # Errors
    /// If name or value hold a byte that no field may, or the field is one that is written from the body.
    #[inline]
    pub fn header(
        &mut self,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<&mut Self, BuildError> {
        let (name, value) = (name.as_ref(), value.as_ref());
        check_name(name)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"date") => self.has_date = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => return Err(framing(name)),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => return Err(framing(name)),
            _ => {}
        }
        write_field(name, value, &mut self.lines)?;
        Ok(self)
    }

    /// Adds a `Set-Cookie` field.
    ///
    /// # Errors
    /// [`BuildError::Cookie`] if a browser would not take it.
    pub fn cookie(&mut self, cookie: &SetCookie<'_>) -> Result<&mut Self, BuildError> {
        const NAME: &[u8] = b"Set-Cookie: ";
        let before = self.lines.len();
        self.lines.extend_from_slice(NAME);
        if let Err(error) = cookie.write(&mut self.lines) {
            self.lines.truncate(before);
            return Err(error);
        }
        self.lines.extend_from_slice(b"\r\n");
        Ok(self)
    }

    /// Says what the response answers.
    pub fn answering(&mut self, answering: Answering) -> &mut Self {
        self.answering = answering;
        self
    }

    /// The fields that were added, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.lines[..];
        std::iter::from_fn(move || {
            // No name has a colon, and no value a line end.
            let colon = memchr::memchr(b':', rest)?;
            let end = memchr::memchr(b'\r', rest)?;
            let field = (&rest[..colon], &rest[colon + 2..end]);
            rest = &rest[end + 2..];
            Some(field)
        })
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The response as one piece. Allocates once.
    ///
    /// # Errors
    /// [`BuildError::Body`] if there is a body, and the status has none.
    pub fn to_bytes(&self, body: &[u8]) -> Result<Vec<u8>, BuildError> {
        let parts = self.parts(body)?;
        let mut bytes = Vec::with_capacity(parts.len());
        for part in parts.slices() {
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }

    /// Writes the response to the beginning of `buffer`, and returns how long it is. Allocates nothing.
    ///
    /// # Errors
    /// [`BuildError::TooSmall`] with the needed length, and [`BuildError::Body`].
    pub fn serialize_into(&self, body: &[u8], buffer: &mut [u8]) -> Result<usize, BuildError> {
        let parts = self.parts(body)?;
        let needed = parts.len();
        let found = buffer.len();
        let mut rest = buffer
            .get_mut(..needed)
            .ok_or(BuildError::TooSmall { needed, found })?;
        for part in parts.slices() {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        }
        Ok(needed)
    }

    /// The response as the pieces that it is made of, to be written by one vectored write. Copies neither the fields nor the
    /// body.
    ///
    /// # Errors
    /// [`BuildError::Body`] if there is a body, and the status has none.
    #[inline]
    pub fn parts<'a>(&'a self, body: &'a [u8]) -> Result<Parts<'a>, BuildError> {
        let mut frame = self.frame();
        let stated = match self.content() {
            Content::Any => true,
            Content::Empty | Content::None if !body.is_empty() => {
                return Err(BuildError::Body {
                    status: self.status,
                    length: body.len(),
                });
            }
            Content::Empty => true,
            Content::None => false,
        };
        if stated {
            frame.push(b"Content-Length: ");
            frame.push_number(body.len());
            frame.push(b"\r\n");
        }
        Ok(Parts {
            frame,
            lines: &self.lines,
            body: match self.answering {
                Answering::Head => b"",
                _ => body,
            },
        })
    }

    /// Writes the response with a body of unknown length, a chunk for each piece that is not empty.
    ///
    /// # Errors
    /// What `out` says; an error of kind `InvalidInput` if there is a piece, and the status has no body.
    pub fn write_stream<P: AsRef<[u8]>>(
        &self,
        pieces: impl IntoIterator<Item = P>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        out.write_all(&self.stream_head())?;
        for piece in pieces {
            let chunk = self.chunk(piece.as_ref()).map_err(invalid)?;
            write_all_vectored(out, &mut chunk.slices().map(IoSlice::new))?;
        }
        out.write_all(self.stream_end())
    }

    /// The head of a response with a body of unknown length. What follows are [chunks](Self::chunk), and the
    /// [end](Self::stream_end).
    #[must_use]
    pub fn stream_head(&self) -> Vec<u8> {
        let mut frame = self.frame();
        match self.content() {
            Content::Any if self.is_chunked() => frame.push(b"Transfer-Encoding: chunked\r\n"),
            Content::Any => frame.push(b"Connection: close\r\n"),
            Content::Empty => frame.push(b"Content-Length: 0\r\n"),
            Content::None => {}
        }
        [&frame, &self.lines[..], b"\r\n"].concat()
    }

    /// A piece of a body of unknown length as it is sent: with its size before it, or as it is if the body ends with the
    /// connection. An empty one is not sent, and none in the answer to `HEAD`.
    ///
    /// # Errors
    /// [`BuildError::Body`] if the status has no body.
    pub fn chunk<'a>(&self, piece: &'a [u8]) -> Result<Chunk<'a>, BuildError> {
        if piece.is_empty() || self.answering == Answering::Head {
            return Ok(Chunk::default());
        }
        if self.content() != Content::Any {
            return Err(BuildError::Body {
                status: self.status,
                length: piece.len(),
            });
        }
        Ok(Chunk {
            size: self.is_chunked().then(|| ChunkSize::new(piece.len())),
            piece,
        })
    }

    /// What follows the last piece of a body of unknown length.
    #[must_use]
    pub fn stream_end(&self) -> &'static [u8] {
        if self.is_chunked() && self.answering != Answering::Head {
            b"0\r\n\r\n"
        } else {
            b""
        }
    }

    fn is_chunked(&self) -> bool {
        self.content() == Content::Any && self.answering != Answering::Http10
    }

    /// What may follow the head.
    fn content(&self) -> Content {
        match self.status {
            100..=199 | 204 | 304 => Content::None,
            200..=299 if self.answering == Answering::Connect => Content::None,
            205 => Content::Empty,
            _ => Content::Any,
        }
    }

    /// The status line, and the date unless there is one.
    #[inline]
    fn frame(&self) -> Frame {
        let mut frame = Frame::new();
        match status::line(self.status) {
            Some(line) => frame.push(line),
            None => {
                frame.push(b"HTTP/1.1 ");
                frame.push_number(self.status.into());
                frame.push(b" \r\n");
            }
        }
        if !self.has_date {
            frame.push(&date::line());
        }
        frame
    }
}

/// A piece of a body, with what frames it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chunk<'a> {
    size: Option<ChunkSize>,
    piece: &'a [u8],
}

impl Chunk<'_> {
    /// What is sent, in order.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 3] {
        match &self.size {
            Some(size) => [size, self.piece, b"\r\n"],
            None => [b"", self.piece, b""],
        }
    }
}

/// The line before a chunk: its size in hexadecimal digits.
#[derive(Debug, Clone, Copy)]
struct ChunkSize {
    /// Sixteen digits and the line end, of which the last ones count.
    text: [u8; 18],
    from: u8,
}

impl ChunkSize {
    fn new(length: usize) -> Self {
        let mut text = *b"0000000000000000\r\n";
        let (mut rest, mut from) = (length, 16);
        while rest > 0 {
            from -= 1;
            text[from] = b"0123456789abcdef"[rest & 15];
            rest >>= 4;
        }
        Self {
            text,
            from: from as u8,
        }
    }
}

impl std::ops::Deref for ChunkSize {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text[usize::from(self.from)..]
    }
}

/// A response in pieces.
#[derive(Debug)]
pub struct Parts<'a> {
    frame: Frame,
    lines: &'a [u8],
    body: &'a [u8],
}

impl Parts<'_> {
    /// The pieces in order: a beginning, the fields, the end of the head, and the body.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 4] {
        [&self.frame, self.lines, b"\r\n", self.body]
    }

    /// The same for a vectored write.
    #[must_use]
    pub fn io_slices(&self) -> [IoSlice<'_>; 4] {
        self.slices().map(IoSlice::new)
    }

    /// The bytes of all pieces.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a response is never empty")]
    pub fn len(&self) -> usize {
        self.slices().iter().map(|slice| slice.len()).sum()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Any,
    /// A length of nothing has to be stated.
    Empty,
    /// No content, and no length.
    None,
}

/// Lines that depend on the moment or the body. The longest: a status line of 50 bytes, a date of 37, and a length of 38.
#[derive(Debug)]
struct Frame {
    text: [u8; 128],
    length: usize,
}

impl Frame {
    fn new() -> Self {
        Self {
            text: [0; 128],
            length: 0,
        }
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        self.text[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    #[inline]
    fn push_number(&mut self, mut number: usize) {
        let mut digits = [0; 20];
        let mut from = digits.len();
        loop {
            from -= 1;
            digits[from] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(&digits[from..]);
    }
}

impl std::ops::Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// Appends a field line, whose name is checked already. Nothing is appended if the value is wrong.
#[inline]
fn write_field(name: &[u8], value: &[u8], lines: &mut Vec<u8>) -> Result<(), BuildError> {
    let value = trim(value);
    if !is_printable(value) {
        let end = value_end(value);
        if end < value.len() {
            return Err(BuildError::Value {
                name: text(name),
                at: end,
                found: value[end],
            });
        }
    }
    lines.reserve(name.len() + value.len() + 4);
    lines.extend_from_slice(name);
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value);
    lines.extend_from_slice(b"\r\n");
    Ok(())
}

/// Whether all bytes are ASCII and no controls, as they are nearly always; looks at eight at a time.
#[inline]
fn is_printable(text: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let eight = |bytes: &[u8]| {
        let mut word = [b' '; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        let word = u64::from_ne_bytes(word);
        // The high bit of each byte: below 0x20 (it borrows), 0x7F (it carries), or not ASCII.
        (word.wrapping_sub(ONES * 0x20) | word.wrapping_add(ONES) | word) & (ONES * 0x80)
    };
    let (words, rest) = text.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | eight(word));
    found | eight(rest) == 0
}

#[inline]
fn check_name(name: &[u8]) -> Result<(), BuildError> {
    let end = token_end(name);
    if end == name.len() && end > 0 {
        return Ok(());
    }
    Err(no_token(name, end))
}

#[cold]
fn no_token(name: &[u8], at: usize) -> BuildError {
    BuildError::Name {
        name: text(name),
        at,
        found: name.get(at).copied(),
    }
}

#[cold]
fn framing(name: &[u8]) -> BuildError {
    BuildError::Framing { name: text(name) }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write_all_vectored(out: &mut impl Write, mut rest: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Without those that are empty at the beginning: to write nothing would look like an end.
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match out.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
