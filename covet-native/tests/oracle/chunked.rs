//! Chunked bodies, beside rules that look at them whole.

use covet_native::{BodyReader, Config, Error, Framing, Piece, ResponseRef, Slot};

use super::{FIELDS, check_offset, check_pieces, cut};

pub(crate) fn run(input: &[u8]) {
    let (split, bytes) = cut(input);
    check(bytes, split);
}

/// What a chunked body comes to: data, trailers as they came, and how much was used.
type Body = Result<Option<(Vec<u8>, usize)>, ()>;

/// Reads a chunked body both ways, and in pieces.
///
/// # Panics
///
/// If the answers differ.
pub(crate) fn check(bytes: &[u8], split: usize) {
    let (whole, error) = check_pieces(bytes, split, read);
    check_offset(&error.map_or(Ok(()), Err), bytes);

    let plain = plain_chunked(bytes);
    // The reader sees an error at its byte, the plain one at the end of a line.
    if plain != Ok(None) {
        assert_eq!(whole, plain, "{error:?}");
    }
}

fn read(pieces: &[&[u8]]) -> (Body, Option<Error>) {
    let mut reader = BodyReader::new(Framing::Chunked, &Config::DEFAULT);
    let mut data = Vec::new();
    let mut used = 0;
    for piece in pieces {
        let mut input = *piece;
        loop {
            match reader.next(&mut input) {
                Ok(Some(Piece::Data(bytes))) => data.extend_from_slice(bytes),
                Ok(Some(Piece::Chunk { .. })) => {}
                Ok(Some(Piece::End) | None) => break,
                Err(error) => return (Err(()), Some(error)),
            }
        }
        used += piece.len() - input.len();
    }
    if !reader.is_done() {
        return (Ok(None), None);
    }
    (Ok(Some((data, used))), None)
}

fn plain_chunked(bytes: &[u8]) -> Body {
    let mut data = Vec::new();
    let mut at = 0;
    let line = |at: usize| {
        bytes[at..]
            .windows(2)
            .position(|two| two == b"\r\n")
            .map(|end| &bytes[at..at + end])
    };
    loop {
        let Some(size) = line(at) else {
            return Ok(None);
        };
        at += size.len() + 2;
        if size
            .iter()
            .any(|byte| byte.is_ascii_control() && *byte != b'\t')
        {
            return Err(());
        }
        let digits = size
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let text = str::from_utf8(&size[..digits]).map_err(|_| ())?;
        if digits > 16 || !plain_extensions(&size[digits..]) {
            return Err(());
        }
        let size = usize::from_str_radix(text, 16).map_err(|_| ())?;
        if size == 0 {
            break;
        }
        if data.len().saturating_add(size) > 1 << 30 {
            return Err(());
        }
        let Some(chunk) = bytes.get(at..at + size) else {
            return Ok(None);
        };
        data.extend_from_slice(chunk);
        at += size;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(_) => return Err(()),
            None => return Ok(None),
        }
    }
    // A head of which only the fields matter.
    let head = [b"HTTP/1.1 204 \r\n", &bytes[at..]].concat();
    let mut slots = Slot::table::<FIELDS>();
    match bytes.get(at..at + 2) {
        Some(b"\r\n") => return Ok(Some((data, at + 2))),
        _ if bytes.len() - at > 8_000 => return Ok(None),
        _ => {}
    }
    match ResponseRef::parse(&head, "GET", &Config::DEFAULT, &mut slots) {
        Ok(Some(response)) => Ok(Some((data, at + response.head_length() - 15))),
        Ok(None) => Ok(None),
        // Trailers say nothing about framing, so what is wrong with that is no error.
        Err(error)
            if matches!(
                error.rule.section(),
                "RFC 9112 6.1" | "RFC 9112 6.3" | "RFC 9110 8.6" | "RFC 9110 15.5.14"
            ) =>
        {
            Ok(None)
        }
        Err(_) => Err(()),
    }
}

fn plain_extensions(mut text: &[u8]) -> bool {
    let token = |text: &[u8]| {
        text.iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
            .count()
    };
    let spaces = |text: &[u8]| text.iter().take_while(|byte| b" \t".contains(byte)).count();
    while !text.is_empty() {
        text = &text[spaces(text)..];
        let Some(rest) = text.strip_prefix(b";") else {
            return false;
        };
        text = &rest[spaces(rest)..];
        let name = token(text);
        if name == 0 {
            return false;
        }
        text = &text[name..];
        let Some(rest) = text[spaces(text)..].strip_prefix(b"=") else {
            continue;
        };
        text = &rest[spaces(rest)..];
        let length = if text.starts_with(b"\"") {
            let mut end = 1;
            loop {
                match text.get(end) {
                    None => return false,
                    Some(b'"') => break end + 1,
                    Some(b'\\') => end += 2,
                    Some(_) => end += 1,
                }
            }
        } else {
            token(text)
        };
        if length == 0 || length > text.len() {
            return false;
        }
        text = &text[length..];
    }
    true
}
