//! Heads of responses, and connections that send them.

use covet_native::{Config, Framing, ResponseReceiver, ResponseRef, Rule, Slot};

use super::{
    FIELDS, check_fields, check_offset, check_pieces, cut, framing_rules, line_rules,
    plain_framing, values,
};

pub(crate) fn run(input: &[u8]) {
    let (split, bytes) = cut(input);
    check(bytes, split);
}

/// Parses the head of a response both ways, and in pieces.
///
/// # Panics
///
/// If the answers differ in another way than the table says.
pub(crate) fn check(bytes: &[u8], split: usize) {
    let method = ["GET", "HEAD", "CONNECT"][split % 3];
    let mut slots = Slot::table::<FIELDS>();
    let ours = ResponseRef::parse(bytes, method, &Config::DEFAULT, &mut slots);
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut theirs = httparse::Response::new(&mut fields);
    match (&ours, theirs.parse(bytes)) {
        (Ok(Some(response)), Ok(httparse::Status::Complete(length))) => {
            assert_eq!(response.head_length(), length);
            assert_eq!(Some(response.status()), theirs.code);
            // httparse gives "" for a reason that is no ASCII.
            if response.reason().is_ascii() {
                assert_eq!(Some(response.reason()), theirs.reason.map(str::as_bytes));
            }
            check_fields(response.headers(), theirs.headers);
            let broken = framing_rules(theirs.headers, theirs.version == Some(0), false);
            assert_eq!(broken, [], "taken though it breaks rules");
            let framing = framing(method, response.status(), theirs.headers);
            assert_eq!(response.framing(), framing);
        }
        (Ok(Some(response)), other) => panic!("{response:?}: httparse says {other:?}"),
        (Ok(None), Ok(httparse::Status::Complete(_))) => {
            panic!("incomplete, though httparse has it all")
        }
        (Err(error), Ok(httparse::Status::Complete(length))) => {
            let mut broken = framing_rules(theirs.headers, theirs.version == Some(0), false);
            broken.extend(line_rules(&bytes[..length]));
            if bytes.starts_with(b"\r") || bytes.starts_with(b"\n") {
                broken.extend([Rule::Version, Rule::BareLf]);
            }
            let digits = bytes.iter().position(|&byte| byte == b' ').unwrap_or(0) + 1;
            if bytes.get(digits + 3) != Some(&b' ') || bytes.get(digits) == Some(&b'0') {
                broken.push(Rule::StatusCode);
            }
            assert!(
                broken.contains(&error.rule),
                "{error}: the rules broken are {broken:?}"
            );
        }
        _ => {}
    }
    check_offset(&ours.map(|_| ()), bytes);
    check_pieces(bytes, split, |pieces| receive(method, pieces));
}

/// The framing of a response that breaks no rule, by the list of RFC 9112 6.3.
fn framing(method: &str, status: u16, headers: &[httparse::Header<'_>]) -> Framing {
    let said = |name| !values(headers, name).is_empty();
    match status {
        101 => Framing::Tunnel,
        200..=299 if method == "CONNECT" => Framing::Tunnel,
        100..=199 | 204 | 304 => Framing::Empty,
        _ if method == "HEAD" => Framing::Empty,
        _ if said("transfer-encoding") || said("content-length") => plain_framing(headers),
        _ => Framing::UntilClose,
    }
}

/// What a receiver makes of the pieces and the end, in words.
fn receive(method: &str, pieces: &[&[u8]]) -> Vec<String> {
    let mut receiver = ResponseReceiver::new(&Config::DEFAULT);
    let mut events = Vec::new();
    let mut drain = |receiver: &mut ResponseReceiver| loop {
        match receiver.next(method) {
            Ok(Some(received)) => events.push(format!("{received:?}")),
            Ok(None) => break true,
            Err(error) => {
                events.push(format!("{error:?}"));
                break false;
            }
        }
    };
    for piece in pieces {
        receiver.feed(piece);
        if !drain(&mut receiver) {
            return events;
        }
    }
    let end = receiver.finish();
    drain(&mut receiver);
    events.push(format!("{end:?}"));
    events
}
