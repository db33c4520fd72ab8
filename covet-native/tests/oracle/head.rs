//! Heads of requests, and connections that send them.

use covet_native::{Config, Receiver, RequestRef, Rule, Slot};

use super::{
    FIELDS, check_fields, check_offset, check_pieces, cut, framing_rules, line_rules,
    plain_framing, values,
};

pub(crate) fn run(input: &[u8]) {
    let (split, bytes) = cut(input);
    check(bytes, split);
}

/// Parses the head of a request both ways, and in two pieces.
///
/// # Panics
///
/// If the answers differ in another way than the table says.
pub(crate) fn check(bytes: &[u8], split: usize) {
    let mut slots = Slot::table::<FIELDS>();
    let ours = RequestRef::parse(bytes, &Config::DEFAULT, &mut slots);
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut theirs = httparse::Request::new(&mut fields);
    let their_result = theirs.parse(bytes);

    match (&ours, their_result) {
        (Ok(Some(request)), Ok(httparse::Status::Complete(length))) => {
            assert_eq!(request.head_length(), length);
            assert_eq!(Some(request.method()), theirs.method);
            assert_eq!(Some(request.target()), theirs.path.map(str::as_bytes));
            assert_eq!(Some(request.version().1), theirs.version);
            check_fields(request.headers(), theirs.headers);
            let broken = request_rules(&bytes[..length], &theirs);
            assert_eq!(broken, [], "taken though it breaks rules");
            assert_eq!(request.framing(), plain_framing(theirs.headers));
        }
        (Ok(Some(request)), other) => panic!("{request:?}: httparse says {other:?}"),
        (Ok(None), Ok(httparse::Status::Complete(_))) => {
            panic!("incomplete, though httparse has it all")
        }
        (Ok(None), _) => {}
        (Err(error), Ok(httparse::Status::Complete(length))) => {
            let broken = request_rules(&bytes[..length], &theirs);
            assert!(
                broken.contains(&error.rule),
                "{error}: the rules broken are {broken:?}"
            );
        }
        (Err(_), _) => {}
    }
    check_offset(&ours.map(|_| ()), bytes);

    check_pieces(bytes, split, receive);
}

/// What a receiver makes of the pieces, in words.
fn receive(pieces: &[&[u8]]) -> Vec<String> {
    let mut receiver = Receiver::new(&Config::DEFAULT);
    let mut events = Vec::new();
    for piece in pieces {
        receiver.feed(piece);
        loop {
            match receiver.next() {
                Ok(Some(received)) => events.push(format!("{received:?}")),
                Ok(None) => break,
                Err(error) => {
                    events.push(format!("{error:?}"));
                    return events;
                }
            }
        }
    }
    events
}

/// The rules that a head breaks which httparse took.
fn request_rules(head: &[u8], request: &httparse::Request<'_, '_>) -> Vec<Rule> {
    let mut broken = line_rules(head);
    let method = request.method.unwrap_or_default();
    let target = request.path.unwrap_or_default();
    if head.starts_with(b"\r\n\r\n") {
        broken.push(Rule::EmptyLines);
    }
    if method.len() > 32 {
        broken.push(Rule::MethodTooLong);
    }
    if target.len() > 8192 {
        broken.push(Rule::TargetTooLong);
    }
    if target
        .bytes()
        .any(|byte| byte == b'#' || !byte.is_ascii_graphic())
    {
        broken.push(Rule::Target);
    }
    let form_is_right = match (method, target) {
        ("CONNECT", target) => target.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty()
                && !port.is_empty()
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && is_host(target)
        }),
        ("OPTIONS", "*") => true,
        (_, target) if target.starts_with('/') => true,
        (_, target) => is_absolute(target),
    };
    if !form_is_right {
        broken.push(Rule::TargetForm);
    }
    let hosts = values(request.headers, "host");
    match &hosts[..] {
        [] if request.version == Some(1) => broken.push(Rule::MissingHost),
        [] | [_] => {}
        _ => broken.push(Rule::RepeatedHost),
    }
    if hosts
        .iter()
        .any(|host| !str::from_utf8(host).is_ok_and(|host| host.is_empty() || is_host(host)))
    {
        broken.push(Rule::Host);
    }
    broken.extend(framing_rules(
        request.headers,
        request.version == Some(0),
        true,
    ));
    broken
}

fn is_absolute(target: &str) -> bool {
    let Some((scheme, rest)) = target.split_once(':') else {
        return false;
    };
    let mut letters = scheme.chars();
    if !letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        || !letters.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        || rest.is_empty()
    {
        return false;
    }
    if !["http", "https"].contains(&scheme.to_lowercase().as_str()) {
        return true;
    }
    rest.strip_prefix("//")
        .is_some_and(|rest| !rest.starts_with(['/', '?', ':']) && !rest.is_empty())
}

fn is_host(text: &str) -> bool {
    let (host, rest) = if let Some(inner) = text.strip_prefix('[') {
        let Some((inside, rest)) = inner.split_once(']') else {
            return false;
        };
        if inside.is_empty()
            || !inside
                .chars()
                .all(|c| c.is_ascii_hexdigit() || ":.".contains(c))
        {
            return false;
        }
        ("", rest)
    } else {
        let colon = text.find(':').unwrap_or(text.len());
        text.split_at(colon)
    };
    host.chars()
        .all(|c| c.is_ascii_alphanumeric() || "-._~%!$&'()*+,;=".contains(c))
        && (rest.is_empty()
            || rest
                .strip_prefix(':')
                .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit())))
}
