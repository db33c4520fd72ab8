//! The tables of `tests/cases`: inputs with the verdict that the standard asks for, fed whole and in every way in two pieces
//! and byte by byte. `tests/cases/README.md` tells how they are written.

mod table;

use std::fmt::Debug;

use covet_native::{
    BodyReader, Buffer, Config, Error, Framing, Headers, Piece, Receiver, Request, RequestRef,
    Response, ResponseReceiver, ResponseRef, Slot,
};
use table::{Case, Table};

/// What parsing a head came to.
type Verdict = Result<Option<Vec<String>>, Error>;

fn config(case: &Case) -> Config {
    let mut config = Config::DEFAULT;
    for option in &case.options {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let number = || {
            value
                .parse::<u32>()
                .unwrap_or_else(|_| panic!("{case}: {option}"))
        };
        match name {
            "bare-lf" => config.policy.bare_lf = true,
            "missing-host" => config.policy.missing_host = true,
            "non-ascii-target" => config.policy.non_ascii_target = true,
            "repeated-content-length" => config.policy.repeated_content_length = true,
            "other-transfer-codings" => config.policy.other_transfer_codings = true,
            "missing-reason-space" => config.policy.missing_reason_space = true,
            "head" => config.limits.head = number(),
            "method-length" => config.limits.method = number(),
            "target-length" => config.limits.target = number(),
            "fields" => config.limits.fields = number(),
            "empty-lines" => config.limits.empty_lines = number(),
            "body" => config.limits.body = u64::from(number()),
            "chunk-extensions" => config.limits.chunk_extensions = number(),
            "trailers" => config.limits.trailers = number(),
            "to" => {} // the method of the request that a response answers
            _ => panic!("{case}: unknown option {option}"),
        }
    }
    config
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn fields(headers: Headers<'_>) -> String {
    let fields: Vec<_> = headers
        .iter()
        .map(|field| format!("{}:{}", field.name(), text(field.value())))
        .collect();
    fields.join(",")
}

fn framing(framing: Framing) -> String {
    match framing {
        Framing::Empty => "empty".to_owned(),
        Framing::Length(length) => format!("length {length}"),
        Framing::Chunked => "chunked".to_owned(),
        Framing::UntilClose => "until close".to_owned(),
        Framing::Tunnel => "tunnel".to_owned(),
    }
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn optional(value: Option<&[u8]>) -> String {
    value.map_or("none".to_owned(), text)
}

fn about_request(request: RequestRef<'_>) -> Vec<String> {
    let (major, minor) = request.version();
    vec![
        format!("method={}", request.method()),
        format!("target={}", text(request.target())),
        format!("path={}", text(request.path())),
        format!("query={}", optional(request.query())),
        format!("authority={}", optional(request.authority())),
        format!(
            "form={}",
            format!("{:?}", request.target_form()).to_lowercase()
        ),
        format!("version={major}.{minor}"),
        format!("fields={}", fields(request.headers())),
        format!("framing={}", framing(request.framing())),
        format!("length={}", request.head_length()),
        format!("keep-alive={}", yes(request.keep_alive())),
        format!("continue={}", yes(request.expects_continue())),
        format!("upgrade={}", optional(request.upgrade())),
        format!("connect={}", yes(request.is_connect())),
    ]
}

fn about_response(response: ResponseRef<'_>) -> Vec<String> {
    let (major, minor) = response.version();
    vec![
        format!("status={}", response.status()),
        format!("reason={}", text(response.reason())),
        format!("version={major}.{minor}"),
        format!("fields={}", fields(response.headers())),
        format!("framing={}", framing(response.framing())),
        format!("length={}", response.head_length()),
        format!("keep-alive={}", yes(response.keep_alive())),
        format!("interim={}", yes(response.is_interim())),
    ]
}

fn request(bytes: &[u8], config: &Config) -> Verdict {
    let mut slots = Slot::table::<256>();
    let borrowed =
        RequestRef::parse(bytes, config, &mut slots).map(|request| request.map(about_request));
    let owned = Request::parse(&Buffer::from(bytes), config)
        .map(|request| request.map(|request| about_request(request.head())));
    assert_eq!(borrowed, owned, "borrowed and owned: {}", text(bytes));
    borrowed
}

fn response(bytes: &[u8], method: &str, config: &Config) -> Verdict {
    let mut slots = Slot::table::<256>();
    let borrowed = ResponseRef::parse(bytes, method, config, &mut slots)
        .map(|response| response.map(about_response));
    let owned = Response::parse(&Buffer::from(bytes), method, config)
        .map(|response| response.map(|response| about_response(response.head())));
    assert_eq!(borrowed, owned, "borrowed and owned: {}", text(bytes));
    borrowed
}

/// The verdict of a receiver that is fed pieces.
fn received(pieces: &[&[u8]], config: &Config) -> Verdict {
    let mut receiver = Receiver::new(config);
    for piece in pieces {
        receiver.feed(piece);
        if let Some(received) = receiver.next()? {
            return Ok(Some(about_request(received.request.head())));
        }
        if let Some(request) = receiver.unfinished() {
            return Ok(Some(about_request(request)));
        }
    }
    Ok(None)
}

/// The same for the answer to a request of this method.
fn received_response(pieces: &[&[u8]], method: &str, config: &Config) -> Verdict {
    let mut receiver = ResponseReceiver::new(config);
    for piece in pieces {
        receiver.feed(piece);
        if let Some(received) = receiver.next(method)? {
            return Ok(Some(about_response(received.response.head())));
        }
        if let Some(response) = receiver.unfinished() {
            return Ok(Some(about_response(response)));
        }
    }
    Ok(None)
}

/// In two pieces cut anywhere, and byte by byte, an input comes to the same as whole.
fn check_pieces<T: PartialEq + Debug>(case: &Case, whole: &T, read: impl Fn(&[&[u8]]) -> T) {
    for split in cuts(&case.input) {
        let (first, second) = case.input.split_at(split);
        assert_eq!(&read(&[first, second]), whole, "{case}: split at {split}");
    }
    let bytes: Vec<_> = case.input.chunks(1).collect();
    assert_eq!(&read(&bytes), whole, "{case}: byte by byte");
}

/// A head that was complete, or wrong, stays so whatever follows; before that it is incomplete.
fn check_prefixes(case: &Case, whole: &Verdict, parse: impl Fn(&[u8]) -> Verdict) {
    let mut decided = false;
    for length in cuts(&case.input) {
        let verdict = parse(&case.input[..length]);
        if decided || verdict != Ok(None) {
            assert_eq!(&verdict, whole, "{case}: the first {length} bytes");
            decided = true;
        }
    }
}

/// Every place in an input at which it is cut; of one so long that it can only be about a limit, a hundred.
fn cuts(input: &[u8]) -> impl Iterator<Item = usize> + use<> {
    let length = input.len();
    (0..=length).step_by(if length < 1_000 { 1 } else { length / 100 })
}

fn judge(case: &Case, verdict: &Verdict) {
    match verdict {
        Ok(None) => case.expect_incomplete(),
        Ok(Some(facts)) => case.expect_facts(facts),
        Err(error) => case.expect_error(error),
    }
}

#[test]
fn requests() {
    for case in Table::read("request") {
        let config = config(&case);
        let whole = request(&case.input, &config);
        judge(&case, &whole);
        check_prefixes(&case, &whole, |bytes| request(bytes, &config));
        check_pieces(&case, &whole, |pieces| received(pieces, &config));
    }
}

#[test]
fn responses() {
    for case in Table::read("response") {
        let config = config(&case);
        let method = case.option("to").unwrap_or("GET");
        let whole = response(&case.input, method, &config);
        judge(&case, &whole);
        check_prefixes(&case, &whole, |bytes| response(bytes, method, &config));
        check_pieces(&case, &whole, |pieces| {
            received_response(pieces, method, &config)
        });
    }
}

/// What reading a body from pieces came to.
fn body(pieces: &[&[u8]], config: &Config) -> Verdict {
    let mut reader = BodyReader::new(Framing::Chunked, config);
    let mut data = Vec::new();
    let mut chunks = Vec::new();
    let mut extensions = Vec::new();
    let mut rest = Vec::new();
    for piece in pieces {
        let mut input = *piece;
        while let Some(found) = reader.next(&mut input)? {
            match found {
                Piece::Chunk { size } => {
                    chunks.push(size.to_string());
                    extensions.push(text(reader.extensions()));
                }
                Piece::Data(bytes) => data.extend_from_slice(bytes),
                Piece::End => break,
            }
        }
        rest.extend_from_slice(input);
    }
    if !reader.is_done() {
        assert!(rest.is_empty(), "all of an incomplete body is used");
        return Ok(None);
    }
    Ok(Some(vec![
        format!("data={}", text(&data)),
        format!("chunks={}", chunks.join(",")),
        format!("extensions={}", extensions.join(",")),
        format!("trailers={}", fields(reader.trailers())),
        format!("rest={}", text(&rest)),
    ]))
}

#[test]
fn chunked_bodies() {
    for case in Table::read("chunked") {
        let config = config(&case);
        let whole = body(&[&case.input], &config);
        judge(&case, &whole);
        check_pieces(&case, &whole, |pieces| body(pieces, &config));
    }
}

/// What a connection gives out: each request with its body, and the error that ends it.
fn connection(pieces: &[&[u8]], config: &Config) -> Vec<String> {
    let mut receiver = Receiver::new(config);
    let mut events = Vec::new();
    for piece in pieces {
        receiver.feed(piece);
        loop {
            match receiver.next() {
                Ok(Some(received)) => {
                    let head = received.request.head();
                    events.push(format!(
                        "{} {}={}",
                        head.method(),
                        text(head.target()),
                        text(&received.body)
                    ));
                }
                Ok(None) => break,
                Err(error) => {
                    events.push(error.rule.name().to_owned());
                    return events;
                }
            }
        }
    }
    let end = receiver.finish();
    events.push(end.map_or_else(|error| error.rule.name().to_owned(), |()| "end".to_owned()));
    events
}

#[test]
fn connections() {
    for case in Table::read("connection") {
        let config = config(&case);
        let whole = connection(&[&case.input], &config);
        assert_eq!(whole.join("; "), case.expected, "{case}");
        check_pieces(&case, &whole, |pieces| connection(pieces, &config));
    }
}

/// What a client's connection gives out for requests of one method, and how it ends.
fn answers(pieces: &[&[u8]], method: &str, config: &Config) -> Vec<String> {
    let mut receiver = ResponseReceiver::new(config);
    let mut events = Vec::new();
    let mut drain = |receiver: &mut ResponseReceiver| -> Result<(), Error> {
        while let Some(received) = receiver.next(method)? {
            let status = received.response.head().status();
            events.push(format!("{status}={}", text(&received.body)));
        }
        Ok(())
    };
    let fed = pieces.iter().try_for_each(|piece| {
        receiver.feed(piece);
        drain(&mut receiver)
    });
    let end = fed
        .and_then(|()| receiver.finish())
        .and_then(|()| drain(&mut receiver));
    events.push(match end {
        Ok(()) => format!("end{}", text(&receiver.into_rest())),
        Err(error) => error.rule.name().to_owned(),
    });
    events
}

#[test]
fn connections_of_clients() {
    for case in Table::read("answers") {
        let config = config(&case);
        let method = case.option("to").unwrap_or("GET");
        let whole = answers(&[&case.input], method, &config);
        assert_eq!(whole.join("; "), case.expected, "{case}");
        check_pieces(&case, &whole, |pieces| answers(pieces, method, &config));
    }
}

#[test]
fn there_are_six_hundred_cases() {
    let tables = ["request", "response", "chunked", "connection", "answers"];
    let count: usize = tables.iter().map(|name| Table::read(name).count()).sum();
    assert!(count >= 600, "{count}");
}
