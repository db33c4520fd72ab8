//! Bodies in parts, as forms with files are sent (`multipart/form-data`, RFC 7578; RFC 2046 5.1).
//!
//! [`Multipart`] reads pieces as they arrive and keeps nothing: each step looks at the bytes that are not consumed yet and
//! says what they begin with, so what it hands out lies in the caller's own buffer. [`parts`] reads a body that has arrived.
//!
//! A line of a part's head ends with CR LF, and is no continuation of another. A delimiter that only begins like one (the
//! boundary, then other text) is refused: RFC 2046 lets no part contain it. What stands before the first delimiter and
//! behind the last is skipped.

use crate::lex::token_end;
use crate::media::{MediaType, split};
use crate::scan::trim;
use memchr::memmem;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Bounds on what one body may hold. How long a part may be is bounded by how long the body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultipartLimits {
    /// Parts. Each costs its reader some objects, and its sender a few dozen bytes.
    pub parts: usize,
    /// Bytes of one part's head, and of what precedes the first delimiter. A file name is at most 255 bytes nearly everywhere.
    pub head: usize,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        Self {
            parts: 1000,
            head: 8192,
        }
    }
}

/// A reader of one body.
///
/// ```
/// use covet_native::{Multipart, MultipartLimits, MultipartEvent};
///
/// let body = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--x--\r\n";
/// let mut reader = Multipart::new(b"x", MultipartLimits::default())?;
/// let (mut rest, mut value) = (&body[..], Vec::new());
/// loop {
///     let (consumed, event) = reader.step(rest)?;
///     rest = &rest[consumed..];
///     match event {
///         MultipartEvent::Part(head) => assert_eq!(head.name().as_deref(), Some(&b"a"[..])),
///         MultipartEvent::Data(data) => value.extend_from_slice(data),
///         MultipartEvent::PartEnd => assert_eq!(value, b"one"),
///         MultipartEvent::NeedMore | MultipartEvent::End => break,
///     }
/// }
/// reader.finish()?;
/// # Ok::<(), covet_native::MultipartError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Multipart {
    /// CR LF, two hyphens, and the boundary.
    delimiter: memmem::Finder<'static>,
    limits: MultipartLimits,
    state: State,
    parts: usize,
    /// Bytes consumed so far.
    offset: u64,
    /// How many of the next bytes are known not to end the head.
    scanned: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the first byte: a delimiter may begin here without the CR LF that ends a part.
    Start,
    Preamble,
    /// Behind a delimiter.
    Delimited,
    Head,
    /// At the line end that ends a head, which may be that of a delimiter too.
    Blank,
    Data,
    End,
}

/// What comes next in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipartEvent<'a> {
    /// Nothing yet: step again with the bytes that are left and more behind them.
    NeedMore,
    /// A part begins.
    Part(PartHead<'a>),
    /// Some bytes of the part, never none.
    Data(&'a [u8]),
    /// The part ends.
    PartEnd,
    /// The body ends. Whatever follows is to be skipped.
    End,
}

impl Multipart {
    /// A reader for a body with this boundary: the parameter of its media type.
    ///
    /// # Errors
    /// If it is no boundary (RFC 2046 5.1.1): 1 to 70 bytes of a small set.
    pub fn new(boundary: &[u8], limits: MultipartLimits) -> Result<Self, MultipartError> {
        let valid = (1..=70).contains(&boundary.len())
            && boundary.last() != Some(&b' ')
            && boundary
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte));
        if !valid {
            return Err(MultipartError {
                offset: 0,
                rule: MultipartRule::Boundary,
            });
        }
        let delimiter = [b"\r\n--", boundary].concat();
        Ok(Self {
            delimiter: memmem::Finder::new(&delimiter).into_owned(),
            limits,
            state: State::Start,
            parts: 0,
            offset: 0,
            scanned: 0,
        })
    }

    /// Says what `input` begins with, and how many of its bytes that was. The next step takes what is left.
    ///
    /// # Errors
    /// [`MultipartError`] with the byte at which it is wrong. The reader is of no more use then.
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<(usize, MultipartEvent<'a>), MultipartError> {
        let mut consumed = 0;
        let event = loop {
            let rest = &input[consumed..];
            let (count, event) = self.advance(rest)?;
            consumed += count;
            self.offset += count as u64;
            if let Some(event) = event {
                break event;
            }
        };
        Ok((consumed, event))
    }

    /// To be called when no more bytes come.
    ///
    /// # Errors
    /// If the last delimiter has not come.
    pub fn finish(&self) -> Result<(), MultipartError> {
        match self.state {
            State::End => Ok(()),
            _ => Err(self.wrong(0, MultipartRule::Unfinished)),
        }
    }

    /// One change of state, or one event.
    fn advance<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<(usize, Option<MultipartEvent<'a>>), MultipartError> {
        const NEED_MORE: (usize, Option<MultipartEvent<'_>>) = (0, Some(MultipartEvent::NeedMore));
        match self.state {
            State::Start => {
                let first = &self.delimiter.needle()[2..];
                if input.starts_with(first) {
                    let length = first.len();
                    self.state = State::Delimited;
                    return Ok((length, None));
                }
                if first.starts_with(input) {
                    return Ok(NEED_MORE);
                }
                self.state = State::Preamble;
                Ok((0, None))
            }
            State::Preamble => {
                let (length, delimited) = self.until_delimiter(input);
                let limit = self.limits.head as u64;
                if self.offset + length as u64 > limit {
                    return Err(MultipartError {
                        offset: limit,
                        rule: MultipartRule::HeadTooLong,
                    });
                }
                if delimited {
                    self.state = State::Delimited;
                    return Ok((length + self.delimiter.needle().len(), None));
                }
                Ok((length, Some(MultipartEvent::NeedMore)))
            }
            State::Delimited => {
                let padding = input.len() - trim_start(input).len();
                if padding > self.limits.head {
                    return Err(self.wrong(self.limits.head, MultipartRule::HeadTooLong));
                }
                match &input[padding..] {
                    [b'\r', b'\n', ..] => {
                        self.parts += 1;
                        if self.parts > self.limits.parts {
                            return Err(self.wrong(0, MultipartRule::TooManyParts));
                        }
                        self.state = State::Head;
                        // The line's end stays: it ends a head without fields as well as one with.
                        self.scanned = 0;
                        Ok((padding, None))
                    }
                    [b'-', b'-', ..] if padding == 0 => {
                        self.state = State::End;
                        Ok((2, Some(MultipartEvent::End)))
                    }
                    [] | [b'\r'] => Ok(NEED_MORE),
                    [b'-'] if padding == 0 => Ok(NEED_MORE),
                    _ => Err(self.wrong(padding, MultipartRule::Delimiter)),
                }
            }
            State::Head => {
                let from = self.scanned.min(input.len());
                let found = memmem::find(&input[from..], b"\r\n\r\n").map(|end| from + end);
                // Of a head that is short enough, the last three bytes of its end may be missing.
                if found.unwrap_or(input.len().saturating_sub(3)) > self.limits.head {
                    return Err(self.wrong(self.limits.head, MultipartRule::HeadTooLong));
                }
                let Some(end) = found else {
                    self.scanned = input.len().saturating_sub(3);
                    return Ok(NEED_MORE);
                };
                // Without the line end of the delimiter, with that of the last field.
                let head = if end == 0 { b"" } else { &input[2..end + 2] };
                let boundary = &self.delimiter.needle()[2..];
                check_fields(head, boundary)
                    .map_err(|at| self.wrong(2 + at, MultipartRule::Field))?;
                self.state = State::Blank;
                Ok((end + 2, Some(MultipartEvent::Part(PartHead { raw: head }))))
            }
            State::Blank => {
                let delimiter = self.delimiter.needle();
                if input.starts_with(delimiter) {
                    let length = delimiter.len();
                    self.state = State::Delimited;
                    return Ok((length, Some(MultipartEvent::PartEnd)));
                }
                if delimiter.starts_with(input) {
                    return Ok(NEED_MORE);
                }
                self.state = State::Data;
                Ok((2, None))
            }
            State::Data => {
                let (length, delimited) = self.until_delimiter(input);
                if length > 0 {
                    return Ok((length, Some(MultipartEvent::Data(&input[..length]))));
                }
                if !delimited {
                    return Ok(NEED_MORE);
                }
                self.state = State::Delimited;
                let delimiter = self.delimiter.needle().len();
                Ok((delimiter, Some(MultipartEvent::PartEnd)))
            }
            State::End => Ok((input.len(), Some(MultipartEvent::End))),
        }
    }

    /// How many of these bytes are before the next delimiter for certain, and whether it follows them.
    fn until_delimiter(&self, input: &[u8]) -> (usize, bool) {
        if let Some(at) = self.delimiter.find(input) {
            return (at, true);
        }
        // The delimiter may have begun. No boundary has a CR, so only the last one can be its first byte.
        let delimiter = self.delimiter.needle();
        let tail = input.len().saturating_sub(delimiter.len() - 1);
        let begun = memchr::memrchr(b'\r', &input[tail..]).map(|at| tail + at);
        match begun {
            Some(at) if delimiter.starts_with(&input[at..]) => (at, false),
            _ => (input.len(), false),
        }
    }

    #[cold]
    fn wrong(&self, at: usize, rule: MultipartRule) -> MultipartError {
        MultipartError {
            offset: self.offset + at as u64,
            rule,
        }
    }
}

/// The lines of a part's head. Borrowed and cheap to copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartHead<'a> {
    raw: &'a [u8],
}

impl<'a> PartHead<'a> {
    /// Names and values as received, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        lines(self.raw).filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((&line[..colon], trim(&line[colon + 1..])))
        })
    }

    /// The value of the first field with this name, in whatever case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.fields()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// The name of the form's control. `%22` and the like are left as they are: browsers write a quote so, but nothing
    /// tells it from a name with these characters.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'a, [u8]>> {
        self.disposition("name")
    }

    /// The name of the file, as the sender calls it: no path to write to. `filename*` is ignored, as RFC 7578 4.2 says.
    #[must_use]
    pub fn file_name(&self) -> Option<Cow<'a, [u8]>> {
        self.disposition("filename")
    }

    /// The media type of the part, if it says one.
    #[must_use]
    pub fn media_type(&self) -> Option<MediaType<'a>> {
        MediaType::parse(self.field("content-type")?)
    }

    fn disposition(&self, parameter: &str) -> Option<Cow<'a, [u8]>> {
        let (kind, parameters) = split(self.field("content-disposition")?);
        if !kind.eq_ignore_ascii_case(b"form-data") || !parameters.are_valid() {
            return None;
        }
        parameters
            .of_form()
            .find(|(name, _)| name.eq_ignore_ascii_case(parameter.as_bytes()))
            .map(|(_, value)| value)
    }
}

/// One part of a body that has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its head.
    pub head: PartHead<'a>,
    /// Its bytes.
    pub data: &'a [u8],
}

/// The parts of a whole body. Copies nothing of it.
///
/// # Errors
/// [`MultipartError`], also if the body is not complete.
pub fn parts<'a>(
    body: &'a [u8],
    boundary: &[u8],
    limits: MultipartLimits,
) -> Result<Vec<Part<'a>>, MultipartError> {
    let mut reader = Multipart::new(boundary, limits)?;
    let mut parts: Vec<Part<'a>> = Vec::new();
    let mut rest = body;
    loop {
        let (consumed, event) = reader.step(rest)?;
        rest = &rest[consumed..];
        match event {
            MultipartEvent::Part(head) => parts.push(Part { head, data: b"" }),
            MultipartEvent::Data(data) => {
                let part = parts.last_mut().unwrap_or_else(|| unreachable!("it began"));
                // If more came before the end, the body ends within the part, which is refused below.
                part.data = data;
            }
            MultipartEvent::PartEnd => {}
            MultipartEvent::NeedMore | MultipartEvent::End => {
                reader.finish()?;
                return Ok(parts);
            }
        }
    }
}

fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let end = memmem::find(rest, b"\r\n")?;
        let line = &rest[..end];
        rest = &rest[end + 2..];
        Some(line)
    })
}

/// Checks that each line is a field: a token, a colon, and no control character. A line that begins like a delimiter is none,
/// though two hyphens and the boundary may begin a token: other readers would see a delimiter there.
///
/// # Errors
/// Where the first wrong byte is.
fn check_fields(head: &[u8], boundary: &[u8]) -> Result<(), usize> {
    let mut at = 0;
    for line in lines(head) {
        if line.starts_with(boundary) {
            return Err(at);
        }
        let colon = token_end(line);
        if colon == 0 || line.get(colon) != Some(&b':') {
            return Err(at + colon);
        }
        let control = |&byte: &u8| byte.is_ascii_control() && byte != b'\t';
        if let Some(wrong) = line[colon..].iter().position(control) {
            return Err(at + colon + wrong);
        }
        at += line.len() + 2;
    }
    Ok(())
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// What is wrong with a body in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultipartError {
    /// How many bytes of the body are before the wrong one.
    pub offset: u64,
    /// What it should have been.
    pub rule: MultipartRule,
}

/// What a body in parts has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipartRule {
    /// The boundary is 1 to 70 bytes, letters, digits and some marks, the last no space (RFC 2046 5.1.1).
    Boundary,
    /// Behind a delimiter comes the end of the line, or two hyphens (RFC 2046 5.1.1).
    Delimiter,
    /// A line of a part's head is a name, a colon and a value (RFC 7578 4.8, RFC 9110 5).
    Field,
    /// A part's head is not longer than [`MultipartLimits::head`].
    HeadTooLong,
    /// There are not more parts than [`MultipartLimits::parts`].
    TooManyParts,
    /// The last delimiter ends the body (RFC 2046 5.1.1).
    Unfinished,
}

impl MultipartError {
    /// The status that a server answers: 400 or 413.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.rule {
            MultipartRule::HeadTooLong | MultipartRule::TooManyParts => 413,
            _ => 400,
        }
    }
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self.rule {
            MultipartRule::Boundary => "a boundary of 1 to 70 letters, digits or '()+_,-./:=?",
            MultipartRule::Delimiter => "the end of the line or two hyphens behind the boundary",
            MultipartRule::Field => "a name, a colon and a value in the head of a part",
            MultipartRule::HeadTooLong => "a shorter head of a part",
            MultipartRule::TooManyParts => "fewer parts",
            MultipartRule::Unfinished => "a last delimiter before the end",
        };
        write!(
            f,
            "multipart body: expected {expected}, at byte {}",
            self.offset
        )
    }
}

impl Error for MultipartError {}
