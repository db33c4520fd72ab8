//! Responses that are built: their bytes, what is refused, and that each way to serialize gives the same ones.

use covet_native::{Answering, BuildError, HttpDate, ResponseBuilder, SameSite, SetCookie, reason};

/// A response without the date, which would change.
fn response(status: u16) -> ResponseBuilder {
    let mut response = ResponseBuilder::new(status).unwrap();
    response.header("Date", "now").unwrap();
    response
}

fn text(response: &ResponseBuilder, body: &[u8]) -> String {
    String::from_utf8(response.to_bytes(body).unwrap()).unwrap()
}

#[test]
fn fields_stand_in_the_order_in_which_they_were_added() {
    let mut builder = response(200);
    builder
        .header("B", "1")
        .and_then(|builder| builder.header("a", "\t2 "))
        .and_then(|builder| builder.header("b", b"caf\xE9"))
        .and_then(|builder| builder.header("Empty", ""))
        .unwrap();
    assert_eq!(
        builder.to_bytes(b"body").unwrap(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nDate: now\r\nB: 1\r\na: 2\r\nb: caf\xE9\r\nEmpty: \r\n\r\nbody"
    );
    let expected: [(&[u8], &[u8]); 5] = [
        (b"Date", b"now"),
        (b"B", b"1"),
        (b"a", b"2"),
        (b"b", b"caf\xE9"),
        (b"Empty", b""),
    ];
    assert!(builder.fields().eq(expected));
}

#[test]
fn a_response_without_a_date_gets_the_present_one() {
    let before = HttpDate::now();
    let bytes = ResponseBuilder::new(200).unwrap().to_bytes(b"").unwrap();
    let date = bytes.strip_prefix(b"HTTP/1.1 200 OK\r\nDate: ").unwrap();
    let date = HttpDate::parse(&date[..29]).unwrap();
    assert!(before <= date && date <= HttpDate::now());
}

#[test]
fn every_status_has_a_line() {
    for status in 100..600 {
        let line = format!("HTTP/1.1 {status} {}\r\n", reason(status).unwrap_or(""));
        assert!(text(&response(status), b"").starts_with(&line));
    }
    for status in [0, 99, 600, 1000, u16::MAX] {
        assert_eq!(
            ResponseBuilder::new(status).unwrap_err(),
            BuildError::Status(status)
        );
    }
}

#[test]
fn a_length_is_stated_unless_the_status_has_no_content() {
    for (status, answering, stated) in [
        (200, Answering::Other, true),
        (404, Answering::Other, true),
        (205, Answering::Other, true),
        (200, Answering::Head, true),
        (200, Answering::Http10, true),
        (400, Answering::Connect, true),
        (100, Answering::Other, false),
        (101, Answering::Other, false),
        (204, Answering::Other, false),
        (304, Answering::Other, false),
        (304, Answering::Head, false),
        (200, Answering::Connect, false),
    ] {
        let mut builder = response(status);
        builder.answering(answering);
        let stream = String::from_utf8(builder.stream_head()).unwrap();
        let both = text(&builder, b"") + &stream;
        let found = text(&builder, b"").contains("\r\nContent-Length: 0\r\n");
        assert_eq!(found, stated, "{status} {answering:?}");
        assert_eq!(
            both.contains("chunked") || both.contains("Content-Length"),
            stated,
            "{status} {answering:?}"
        );
    }
}

#[test]
fn a_body_where_none_belongs_is_refused() {
    for status in [100, 101, 204, 205, 304] {
        let error = BuildError::Body { status, length: 1 };
        assert_eq!(response(status).to_bytes(b"x").unwrap_err(), error);
        let stream = response(status).write_stream(["", "x"], &mut Vec::new());
        let found = stream.unwrap_err().into_inner().unwrap();
        assert_eq!(found.to_string(), error.to_string());
    }
}

#[test]
fn the_answer_to_head_states_the_length_and_sends_nothing() {
    let mut builder = response(200);
    builder.answering(Answering::Head);
    let expected = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: now\r\n\r\n";
    assert_eq!(text(&builder, b"hello"), expected);
    let mut sent = Vec::new();
    builder.write_stream(["a", "b"], &mut sent).unwrap();
    let expected = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: now\r\n\r\n";
    assert_eq!(sent, expected);
}

#[test]
fn a_stream_is_sent_in_chunks_or_until_the_connection_ends() {
    let pieces = ["hello", "", "0123456789abcdef"];
    let mut sent = Vec::new();
    response(200).write_stream(pieces, &mut sent).unwrap();
    assert_eq!(
        String::from_utf8(sent).unwrap(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nDate: now\r\n\r\n\
         5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
    );
    let mut sent = Vec::new();
    let mut builder = response(200);
    builder.answering(Answering::Http10);
    builder.write_stream(pieces, &mut sent).unwrap();
    assert_eq!(
        String::from_utf8(sent).unwrap(),
        "HTTP/1.1 200 OK\r\nConnection: close\r\nDate: now\r\n\r\nhello0123456789abcdef"
    );
    let sizes = [1, 15, 16, 255, 65_536].map(|length| {
        let piece = vec![b'x'; length];
        let slices = response(200).chunk(&piece).unwrap().slices().concat();
        let end = slices.iter().position(|&byte| byte == b'\r').unwrap();
        String::from_utf8_lossy(&slices[..end]).into_owned()
    });
    assert_eq!(sizes, ["1", "f", "10", "ff", "10000"]);
}

#[test]
fn a_buffer_that_is_too_small_stays_as_it_was() {
    let builder = response(200);
    let whole = builder.to_bytes(b"hello").unwrap();
    let needed = whole.len();
    for found in 0..needed {
        let mut buffer = vec![b'#'; found];
        let error = builder.serialize_into(b"hello", &mut buffer).unwrap_err();
        assert_eq!(error, BuildError::TooSmall { needed, found });
        assert!(buffer.iter().all(|&byte| byte == b'#'));
    }
    let mut buffer = vec![b'#'; needed + 1];
    assert_eq!(builder.serialize_into(b"hello", &mut buffer), Ok(needed));
    assert_eq!(buffer, [&whole[..], b"#"].concat());
    let parts = builder.parts(b"hello").unwrap();
    assert_eq!(parts.slices().concat(), whole);
    assert_eq!(parts.len(), needed);
    assert_eq!(
        parts.io_slices().map(|slice| slice.to_vec()).concat(),
        whole
    );
}

#[test]
fn every_byte_that_would_split_a_field_is_refused() {
    for byte in 0..=255_u8 {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let name = [b'a', byte, b'b'];
        let found = response(200).header(name, "x").err();
        let refused = (!token).then(|| BuildError::Name {
            name: String::from_utf8_lossy(&name).into(),
            at: 1,
            found: Some(byte),
        });
        assert_eq!(found, refused, "name with {byte:#04x}");

        let control = byte < 0x20 && byte != b'\t' || byte == 0x7F;
        let mut builder = response(200);
        let found = builder.header("a", [b'x', byte, b'y']).err();
        let refused = control.then_some(BuildError::Value {
            name: "a".into(),
            at: 1,
            found: byte,
        });
        assert_eq!(found, refused, "value with {byte:#04x}");
        if control {
            assert_eq!(
                builder.to_bytes(b"").unwrap(),
                response(200).to_bytes(b"").unwrap()
            );
        }
    }
    let error = response(200).header("", "x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected a header name, found an empty one"
    );
    let error = response(200)
        .header("Location", "/\r\nSet-Cookie: a=b")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "value of header \"Location\": expected no control character, found byte 0x0d at 1"
    );
}

#[test]
fn the_framing_is_not_set_by_hand() {
    for name in ["Content-Length", "content-length", "TRANSFER-ENCODING"] {
        let error = response(200).header(name, "5").unwrap_err();
        assert_eq!(error, BuildError::Framing { name: name.into() });
    }
}

#[test]
fn a_cookie_says_its_attributes_in_one_order() {
    let cookie = SetCookie::new("id", "7")
        .partitioned()
        .same_site(SameSite::None)
        .http_only()
        .secure()
        .path("/a")
        .domain("example.com")
        .max_age(-1)
        .expires(HttpDate(0));
    let value = "id=7; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=-1; Domain=example.com; \
                 Path=/a; Secure; HttpOnly; SameSite=None; Partitioned";
    assert_eq!(cookie.to_value().unwrap(), value);
    let mut builder = response(200);
    builder.cookie(&cookie).unwrap();
    builder.cookie(&SetCookie::new("b", "\"q\"")).unwrap();
    let lines = format!("Set-Cookie: {value}\r\nSet-Cookie: b=\"q\"\r\n\r\n");
    assert!(text(&builder, b"").ends_with(&lines));
}

#[test]
fn a_cookie_that_a_browser_would_drop_is_refused() {
    let long = "x".repeat(4096);
    for (cookie, taken) in [
        (SetCookie::new("", "7"), false),
        (SetCookie::new("a b", "7"), false),
        (SetCookie::new("a=b", "7"), false),
        (SetCookie::new("a", ""), true),
        (SetCookie::new("a", "b c"), false),
        (SetCookie::new("a", "b;c"), false),
        (SetCookie::new("a", "b,c"), false),
        (SetCookie::new("a", "b\\c"), false),
        (SetCookie::new("a", "b\"c"), false),
        (SetCookie::new("a", "\"b\""), true),
        (SetCookie::new("a", "\""), false),
        (SetCookie::new("a", "caf\u{e9}"), false),
        (SetCookie::new("a", "b\r\nc"), false),
        (SetCookie::new("a", &long), false),
        (SetCookie::new("a", &long[1..]), true),
        (SetCookie::new("a", "b").path("x"), false),
        (SetCookie::new("a", "b").path("/x;y"), false),
        (SetCookie::new("a", "b").path("/\r\n"), false),
        (SetCookie::new("a", "b").domain("e;x"), false),
        (SetCookie::new("a", "b").domain(&long), false),
        (SetCookie::new("a", "b").same_site(SameSite::None), false),
        (SetCookie::new("a", "b").same_site(SameSite::Lax), true),
        (SetCookie::new("a", "b").partitioned(), false),
        (SetCookie::new("a", "b").partitioned().secure(), true),
        (SetCookie::new("__Secure-a", "b"), false),
        (SetCookie::new("__secure-a", "b").secure(), true),
        (SetCookie::new("__Host-a", "b").secure(), false),
        (SetCookie::new("__Host-a", "b").path("/"), false),
        (SetCookie::new("__Host-a", "b").secure().path("/"), true),
        (
            SetCookie::new("__Host-a", "b")
                .secure()
                .path("/")
                .domain("e"),
            false,
        ),
    ] {
        let mut builder = response(200);
        let result = builder.cookie(&cookie).map(|_| ());
        assert_eq!(result.is_ok(), taken, "{cookie:?}: {result:?}");
        assert_eq!(cookie.to_value().is_ok(), taken);
        if !taken {
            assert_eq!(text(&builder, b""), text(&response(200), b""));
        }
    }
}
