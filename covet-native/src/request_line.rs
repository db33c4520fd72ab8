//! The first line of a request: method, target, version.

use std::fmt;

use crate::config::Config;
use crate::error::{Error, Rule};
use crate::framing::{Framing, Section, Seen, check_host};
use crate::head::{Input, Line, StartLine, Stop};
use crate::message::MessageLine;
use crate::scan::{Kernel, Scan};

/// The four forms of a request target (RFC 9112 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetForm {
    /// `/path?query`: the usual one.
    #[default]
    Origin,
    /// `http://host/path?query`: to a proxy.
    Absolute,
    /// `host:port`, with CONNECT only.
    Authority,
    /// `*`, with OPTIONS only: the server as a whole.
    Asterisk,
}

/// Where the parts of a request line lie.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestLine {
    method: u32,
    method_end: u32,
    target_end: u32,
    pub(crate) form: TargetForm,
    pub(crate) is_http_1_0: bool,
}

impl RequestLine {
    #[inline]
    pub(crate) fn method<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.method as usize..self.method_end as usize]
    }

    #[inline]
    pub(crate) fn target<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        // One space lies between method and target.
        &bytes[self.method_end as usize + 1..self.target_end as usize]
    }
}

impl StartLine for RequestLine {
    const SECTION: Section = Section::Request;

    #[inline(always)]
    fn parse<K: Kernel>(
        &mut self,
        input: Input<'_, K>,
        scan: &mut K::Scan,
        line: &mut Line,
    ) -> Result<usize, Stop> {
        let bytes = input.bytes;
        let limits = &input.config.limits;

        if line.name_end == 0 {
            let end = scan.token_end(bytes, line.scanned);
            if end - line.start > limits.method as usize {
                let at = line.start + limits.method as usize;
                return Err(Error::at(Rule::MethodTooLong, bytes, at).into());
            }
            line.scanned = end;
            if end == line.start || bytes.get(end) != Some(&b' ') {
                return missing(Rule::Method, bytes, end);
            }
            line.name_end = end;
            line.scanned = end + 1;
        }
        let method_end = line.name_end;
        let target = method_end + 1;
        let mut target_end = scan.target_end(bytes, line.scanned);
        if input.config.policy.non_ascii_target {
            while bytes.get(target_end).is_some_and(|&byte| byte >= 0x80) {
                target_end = scan.target_end(bytes, target_end + 1);
            }
        }
        line.scanned = target_end;
        if target_end - target > limits.target as usize {
            let at = target + limits.target as usize;
            return Err(Error::at(Rule::TargetTooLong, bytes, at).into());
        }
        if target_end == target || bytes.get(target_end) != Some(&b' ') {
            let rule = match bytes.get(target_end) {
                Some(b'\r' | b'\n') if target_end > target => Rule::Version,
                _ => Rule::Target,
            };
            return missing(rule, bytes, target_end);
        }

        let is_http_1_0 = version(bytes, target_end + 1)?;
        let next = input.line_end(target_end + 9, Rule::Version)?;
        *self = Self {
            method: line.start as u32,
            method_end: method_end as u32,
            target_end: target_end as u32,
            form: TargetForm::Origin,
            is_http_1_0,
        };
        let is_connect = self.method(bytes) == b"CONNECT";
        if bytes[target] != b'/' || is_connect {
            self.form = form(self.method(bytes), &bytes[..target_end], target)?;
        }
        Ok(next)
    }

    #[inline(always)]
    fn is_http_1_0(&self) -> bool {
        self.is_http_1_0
    }
}

impl MessageLine for RequestLine {
    type Context<'c> = ();

    #[inline]
    fn framing(&self, seen: &Seen, config: &Config, (): (), end: usize) -> Result<Framing, Error> {
        seen.of_request(&config.policy, self.is_http_1_0, end)
    }

    fn describe<'f, 'w>(
        &self,
        bytes: &[u8],
        f: &'f mut fmt::Formatter<'w>,
    ) -> fmt::DebugStruct<'f, 'w> {
        let mut request = f.debug_struct("Request");
        request
            .field("method", &self.method(bytes).escape_ascii().to_string())
            .field("target", &self.target(bytes).escape_ascii().to_string());
        request
    }
}

/// Another byte was expected at `at`, or there is none yet.
#[cold]
pub(crate) fn missing<T>(rule: Rule, bytes: &[u8], at: usize) -> Result<T, Stop> {
    if at == bytes.len() {
        return Err(Stop::Incomplete);
    }
    Err(Error::at(rule, bytes, at).into())
}

/// Reads the version at `at`, and returns whether it is 1.0.
#[inline(always)]
pub(crate) fn version(bytes: &[u8], at: usize) -> Result<bool, Stop> {
    // Compared as one number of eight bytes, not byte after byte.
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(found) if *found == *b"HTTP/1.1" => Ok(false),
        Some(found) if *found == *b"HTTP/1.0" => Ok(true),
        _ => odd_version(bytes, at),
    }
}

#[cold]
#[inline(never)]
fn odd_version(bytes: &[u8], at: usize) -> Result<bool, Stop> {
    for (i, expected) in b"HTTP/0.0".iter().enumerate() {
        let right = match bytes.get(at + i) {
            None => return Err(Stop::Incomplete),
            Some(found) if *expected == b'0' => found.is_ascii_digit(),
            Some(found) => found == expected,
        };
        if !right {
            return Err(Error::at(Rule::Version, bytes, at + i).into());
        }
    }
    Err(Error::at(Rule::VersionNotSupported, bytes, at + 5).into())
}

/// Returns the form of a target that does not begin with a slash, or belongs to CONNECT. `bytes` end with it.
#[cold]
#[inline(never)]
fn form(method: &[u8], bytes: &[u8], start: usize) -> Result<TargetForm, Error> {
    let wrong = Error::at(Rule::TargetForm, bytes, start);
    let target = &bytes[start..];
    if method == b"CONNECT" {
        // The colon of the port is the last one, and not one of an IPv6 address.
        let colon = target.iter().rposition(|&byte| byte == b':').ok_or(wrong)?;
        let (host, port) = (&target[..colon], &target[colon + 1..]);
        if host.is_empty() || port.is_empty() || !port.iter().all(u8::is_ascii_digit) {
            return Err(wrong);
        }
        return match check_host(bytes, start) {
            Ok(()) => Ok(TargetForm::Authority),
            Err(_) => Err(wrong),
        };
    }
    if target == b"*" {
        return match method {
            b"OPTIONS" => Ok(TargetForm::Asterisk),
            _ => Err(wrong),
        };
    }
    let (scheme, rest) = scheme(target).ok_or(wrong)?;
    let authority = rest.strip_prefix(b"//").map(authority_of);
    let needs_host = scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https");
    match authority {
        Some([] | [b':', ..]) | None if needs_host => Err(wrong),
        _ if rest.is_empty() => Err(wrong),
        _ => Ok(TargetForm::Absolute),
    }
}

/// Parts a target at the colon behind its scheme.
pub(crate) fn scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = target.iter().position(|&byte| byte == b':')?;
    let (scheme, rest) = (&target[..colon], &target[colon + 1..]);
    let sound = scheme.first()?.is_ascii_alphabetic()
        && scheme
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    sound.then_some((scheme, rest))
}

/// The authority that what follows `//` begins with.
pub(crate) fn authority_of(rest: &[u8]) -> &[u8] {
    let end = rest
        .iter()
        .position(|byte| b"/?".contains(byte))
        .unwrap_or(rest.len());
    &rest[..end]
}
