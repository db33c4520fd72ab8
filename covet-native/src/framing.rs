//! What follows a head: read from its fields while they are parsed.
//!
//! The three fields that matter here (Host among them, since a request without a sound one is refused) come by as slots with
//! their tags; what they say is gathered in [`Seen`], and judged when the head is complete.

use crate::config::Config;
use crate::error::{Error, Rule};
use crate::field::tag;
use crate::head::Input;
use crate::policy::Policy;
use crate::scan::{Kernel, Scalar, is_token, trim};

/// How the body that follows a head ends (RFC 9112 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// After so many bytes, at least one.
    Length(u64),
    /// With the last chunk and the trailer section.
    Chunked,
    /// With the connection; only responses.
    UntilClose,
    /// It never does: what follows is no HTTP/1.1 (CONNECT, or 101 Switching Protocols); only responses.
    Tunnel,
}

pub(crate) const HOST: u8 = tag(b"host");
pub(crate) const CONTENT_LENGTH: u8 = tag(b"content-length");
pub(crate) const TRANSFER_ENCODING: u8 = tag(b"transfer-encoding");

/// Whether a token is this name of lower-case letters and hyphens. In a token only letters become these by the bit of the case.
#[inline(always)]
fn is<const N: usize>(name: &[u8], expected: &[u8; N]) -> bool {
    let difference = |sum, (a, b): (&u8, &u8)| sum | ((a | 0x20) ^ b);
    name.len() == N && name.iter().zip(expected).fold(0, difference) == 0
}

/// What the fields so far say about the body, and whether there was a Host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) host: bool,
    length: Option<u64>,
    /// Where the value of the last Transfer-Encoding begins; 0 for none.
    codings: u32,
    chunked: bool,
}

/// What the fields belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Request,
    Response,
    /// They say nothing about framing.
    Trailers,
}

impl Seen {
    /// Takes note of a field whose tag is one of the three. The positions are those of its value.
    #[inline(always)]
    pub(crate) fn note<K: Kernel>(
        &mut self,
        input: Input<'_, K>,
        section: Section,
        is_http_1_0: bool,
        tag: u8,
        name: &[u8],
        (start, end): (usize, usize),
    ) -> Result<(), Error> {
        let Input { config, bytes, .. } = input;
        match tag {
            HOST if section == Section::Request && is(name, b"host") => {
                if self.host {
                    return Err(Error::new(Rule::RepeatedHost, start));
                }
                self.host = true;
                // Mostly there is a name alone.
                if input.kernel.host_end(bytes, start) == end {
                    return Ok(());
                }
                check_host(&bytes[..end], start)
            }
            CONTENT_LENGTH if is(name, b"content-length") => {
                self.check_one_framing(self.codings != 0, start)?;
                self.note_lengths(config, &bytes[..end], start)
            }
            TRANSFER_ENCODING if is(name, b"transfer-encoding") => {
                if is_http_1_0 {
                    return Err(Error::new(Rule::EncodingVersion, start));
                }
                self.check_one_framing(self.length.is_some(), start)?;
                self.codings = start as u32;
                self.note_codings(config, &bytes[..end], start)
            }
            _ => Ok(()),
        }
    }

    fn check_one_framing(&self, both: bool, at: usize) -> Result<(), Error> {
        if both {
            return Err(Error::new(Rule::LengthAndEncoding, at));
        }
        Ok(())
    }

    /// Reads the value that begins at `start` and ends with the bytes.
    fn note_lengths(&mut self, config: &Config, bytes: &[u8], start: usize) -> Result<(), Error> {
        let end = bytes.len();
        let repeated = config.policy.repeated_content_length;
        let mut at = start;
        loop {
            let element_end = match bytes[at..end].iter().position(|&byte| byte == b',') {
                Some(comma) if repeated => at + comma,
                Some(comma) => {
                    return Err(Error::at(Rule::RepeatedContentLength, bytes, at + comma));
                }
                None => end,
            };
            let length = parse_length(bytes, at, element_end)?;
            if self
                .length
                .is_some_and(|before| !repeated || before != length)
            {
                return Err(Error::new(Rule::RepeatedContentLength, at));
            }
            if length > config.limits.body {
                return Err(Error::new(Rule::BodyTooLong, at));
            }
            self.length = Some(length);
            if element_end == end {
                return Ok(());
            }
            at = element_end + 1;
        }
    }

    /// As [`note_lengths`](Self::note_lengths).
    fn note_codings(&mut self, config: &Config, bytes: &[u8], start: usize) -> Result<(), Error> {
        let mut at = start;
        for element in bytes[start..].split(|&byte| byte == b',') {
            let element_at = at;
            at += element.len() + 1;
            let element = trim(element);
            let name_length = element
                .iter()
                .position(|&byte| !is_token(byte))
                .unwrap_or(element.len());
            let (name, parameters) = element.split_at(name_length);
            let malformed = Error::new(Rule::TransferEncoding, element_at);
            // Parameters exist for other codings only, and never had a use: any of tokens, `;` and `=` will do.
            let sound = |byte: &u8| is_token(*byte) || b" \t;=".contains(byte);
            if name.is_empty() || !parameters.iter().all(sound) {
                return Err(malformed);
            }
            let is_chunked = name.eq_ignore_ascii_case(b"chunked");
            match (is_chunked, self.chunked) {
                (true, true) => return Err(malformed),
                (true, false) if !parameters.is_empty() => return Err(malformed),
                (true, false) => self.chunked = true,
                (false, true) => return Err(Error::new(Rule::ChunkedNotLast, element_at)),
                (false, false) if config.policy.other_transfer_codings => {}
                (false, false) => return Err(Error::new(Rule::TransferCoding, element_at)),
            }
        }
        Ok(())
    }

    /// The framing of a request whose head ends at `end`.
    #[inline]
    pub(crate) fn of_request(
        &self,
        policy: &Policy,
        is_http_1_0: bool,
        end: usize,
    ) -> Result<Framing, Error> {
        if !self.host && !is_http_1_0 && !policy.missing_host {
            return Err(Error::new(Rule::MissingHost, end));
        }
        match (self.codings, self.length) {
            (0, None | Some(0)) => Ok(Framing::Empty),
            (0, Some(length)) => Ok(Framing::Length(length)),
            _ if self.chunked => Ok(Framing::Chunked),
            (codings, _) => Err(Error::new(Rule::ChunkedNotLast, codings as usize)),
        }
    }

    /// The framing of a response to a request of this method.
    pub(crate) fn of_response(&self, method: &str, status: u16) -> Framing {
        match (status, self.codings, self.length) {
            (101, ..) => Framing::Tunnel,
            (200..=299, ..) if method == "CONNECT" => Framing::Tunnel,
            (100..=199 | 204 | 304, ..) => Framing::Empty,
            _ if method == "HEAD" => Framing::Empty,
            (_, 0, None) => Framing::UntilClose,
            (_, 0, Some(0)) => Framing::Empty,
            (_, 0, Some(length)) => Framing::Length(length),
            _ if self.chunked => Framing::Chunked,
            _ => Framing::UntilClose,
        }
    }
}

/// Spaces around an element of a list are not part of the number; a value without commas has none.
fn parse_length(bytes: &[u8], start: usize, end: usize) -> Result<u64, Error> {
    let digits = trim(&bytes[start..end]);
    if digits.is_empty() {
        return Err(Error::new(Rule::ContentLength, start));
    }
    digits.iter().try_fold(0_u64, |length, &byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Error::new(Rule::ContentLength, start));
        }
        length
            .checked_mul(10)
            .and_then(|length| length.checked_add(u64::from(digit)))
            .ok_or(Error::new(Rule::ContentLength, start))
    })
}

/// Checks `uri-host [ ":" port ]` of RFC 9112 3.2; nothing at all is right too, for targets without an authority.
pub(crate) fn check_host(bytes: &[u8], start: usize) -> Result<(), Error> {
    let mut end = start;
    if bytes.get(start) == Some(&b'[') {
        // An address of IPv6, or of the future: what is inside is for whoever resolves it.
        let inside = |byte: &u8| byte.is_ascii_hexdigit() || b":.".contains(byte);
        end += 1;
        end += bytes[end..].iter().take_while(|&byte| inside(byte)).count();
        if end == start + 1 || bytes.get(end) != Some(&b']') {
            return Err(Error::at(Rule::Host, bytes, end));
        }
        end += 1;
    } else {
        end = Scalar.host_end(bytes, start);
    }
    if bytes.get(end) == Some(&b':') {
        end += 1;
        end += bytes[end..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
    }
    if end < bytes.len() {
        return Err(Error::at(Rule::Host, bytes, end));
    }
    Ok(())
}
