//! The same questions answered another way: by httparse, and by rules written down as slowly and plainly as can be.
//!
//! Where httparse and this crate disagree, and who is right by RFC 9112:
//!
//! | httparse takes | this crate | right |
//! |---|---|---|
//! | LF alone as a line end | `BareLf` | both: 2.2 lets a recipient take it; two servers in a row that differ in it can be made to disagree |
//! | any number of empty lines first | one, by `Limits::empty_lines` | both: 2.2 asks for one at least |
//! | any target of visible ASCII, and bytes from 0x80 | `Target`, `TargetForm` | this crate: 3.2 has four forms, and URIs are ASCII without a fragment |
//! | a request without Host, with two, or with anything in it | `MissingHost`, `RepeatedHost`, `Host` | this crate: 3.2 says a server MUST answer 400 |
//! | any Content-Length and Transfer-Encoding, it reads none | the rules of framing | this crate: 6.1 and 6.3; httparse leaves them to its caller |
//! | a response whose status line has no space behind the status | `StatusCode` | this crate: 4; many servers send it, hence the leniency |
//! | a status from 000 to 099 | `StatusCode` | this crate: 9110 15 |
//!
//! Nothing else may differ, and nothing that this crate takes may httparse refuse, or read otherwise.

#![allow(dead_code, reason = "each program asks one of the questions")]

use std::fmt::Debug;

use covet_native::{Error, Framing, Headers, Rule};

pub(crate) mod chunked;
pub(crate) mod cookie;
pub(crate) mod form;
pub(crate) mod head;
pub(crate) mod multipart;
pub(crate) mod response;

/// What each program of `fuzz` asks of its inputs, by name. Each panics if the answers differ.
pub(crate) const TARGETS: [(&str, Run); 6] = [
    ("head", head::run),
    ("chunked", chunked::run),
    ("response", response::run),
    ("form", form::run),
    ("cookie", cookie::run),
    ("multipart", multipart::run),
];

pub(crate) type Run = fn(&[u8]);

const FIELDS: usize = 128;

/// Of an input of a fuzzer the first byte, which says where the rest is cut, and the rest.
fn cut(input: &[u8]) -> (usize, &[u8]) {
    match input {
        [split, bytes @ ..] => (usize::from(*split), bytes),
        [] => (0, input),
    }
}

/// However the bytes are cut, what comes out is the same.
fn check_pieces<T: PartialEq + Debug>(
    bytes: &[u8],
    split: usize,
    read: impl Fn(&[&[u8]]) -> T,
) -> T {
    let whole = read(&[bytes]);
    let (first, second) = bytes.split_at(split.min(bytes.len()));
    assert_eq!(read(&[first, second]), whole, "cut at {split}");
    let one_by_one: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(read(&one_by_one), whole, "byte by byte");
    whole
}

fn check_offset(result: &Result<(), Error>, bytes: &[u8]) {
    if let Err(error) = result {
        let at = error.offset as usize;
        assert!(at <= bytes.len());
        if let Some(found) = error.found {
            assert_eq!(bytes[at], found);
        }
        assert!(error.to_string().contains(error.rule.section()));
    }
}

fn check_fields(ours: Headers<'_>, theirs: &[httparse::Header<'_>]) {
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert_eq!(ours.name(), theirs.name);
        assert_eq!(ours.value(), theirs.value);
    }
    for field in theirs {
        let mut same = theirs
            .iter()
            .filter(|other| other.name.eq_ignore_ascii_case(field.name));
        assert_eq!(
            ours.get(&field.name.to_uppercase()),
            same.next().map(|first| first.value)
        );
        assert_eq!(ours.get_all(field.name).count(), 1 + same.count());
    }
}

fn line_rules(head: &[u8]) -> Vec<Rule> {
    let mut broken = Vec::new();
    let bare = |at: &usize| head[*at] == b'\n' && (*at == 0 || head[at - 1] != b'\r');
    if (0..head.len()).any(|at| bare(&at)) {
        broken.push(Rule::BareLf);
        // Behind it httparse may go on where a line has ended for nobody else.
        broken.extend([Rule::BareCr, Rule::Version, Rule::EmptyLines]);
    }
    if head.len() > 65_536 {
        broken.push(Rule::HeadTooLong);
    }
    broken
}

fn values<'a>(headers: &[httparse::Header<'a>], name: &str) -> Vec<&'a [u8]> {
    let same = headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case(name));
    same.map(|header| header.value).collect()
}

fn framing_rules(
    headers: &[httparse::Header<'_>],
    is_http_1_0: bool,
    is_request: bool,
) -> Vec<Rule> {
    let mut broken = Vec::new();
    let lengths = values(headers, "content-length");
    let codings = values(headers, "transfer-encoding");
    if !lengths.is_empty() && !codings.is_empty() {
        broken.push(Rule::LengthAndEncoding);
    }
    if lengths.len() > 1 || lengths.iter().any(|value| value.contains(&b',')) {
        broken.push(Rule::RepeatedContentLength);
    }
    for value in &lengths {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        match str::from_utf8(value)
            .ok()
            .filter(|_| digits)
            .map(str::parse::<u64>)
        {
            Some(Ok(length)) if length > 1 << 30 => broken.push(Rule::BodyTooLong),
            Some(Ok(_)) => {}
            _ => broken.push(Rule::ContentLength),
        }
    }
    if !codings.is_empty() && is_http_1_0 {
        broken.push(Rule::EncodingVersion);
    }
    let elements: Vec<String> = codings
        .iter()
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(|element| {
            String::from_utf8_lossy(element)
                .trim_matches([' ', '\t'])
                .to_lowercase()
        })
        .collect();
    let is_chunked = |element: &String| element == "chunked";
    if elements.iter().any(|element| !is_chunked(element)) {
        broken.extend([Rule::TransferCoding, Rule::TransferEncoding]);
    }
    if elements
        .iter()
        .filter(|element| is_chunked(element))
        .count()
        > 1
    {
        broken.push(Rule::TransferEncoding);
    }
    if elements.iter().rev().skip(1).any(is_chunked)
        || (is_request && !elements.is_empty() && !elements.last().is_some_and(is_chunked))
    {
        broken.push(Rule::ChunkedNotLast);
    }
    broken
}

/// The framing of a message that breaks no rule, if it is a request or has a length or a coding.
fn plain_framing(headers: &[httparse::Header<'_>]) -> Framing {
    if !values(headers, "transfer-encoding").is_empty() {
        return Framing::Chunked;
    }
    let length = values(headers, "content-length")
        .first()
        .map_or(0, |value| {
            value
                .iter()
                .fold(0, |length, digit| length * 10 + u64::from(digit - b'0'))
        });
    if length == 0 {
        Framing::Empty
    } else {
        Framing::Length(length)
    }
}
