//! The example server, with clients that are not ours.

#[allow(dead_code, reason = "a program, of which the part that serves is used")]
#[path = "../examples/server.rs"]
mod example;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

/// Starts a server, which runs as long as the test program, and returns its address.
fn start() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    thread::spawn(move || example::listen(&listener));
    address
}

/// What a client prints. It has to be there: curl and python3 are what a machine that builds this has.
fn output(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("expected a client: {command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}{errors}");
    text
}

#[test]
fn requests_on_one_connection_are_answered_in_order_and_the_wrong_one_ends_it() {
    let address = start();
    let mut stream = TcpStream::connect(&address).unwrap();

    stream
        .write_all(
            b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
              POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\
              GET /3 HTTP/1.1\r\nHost : a\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();

    let starts: Vec<_> = answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| &answers[at + 9..at + 12])
        .collect();
    assert_eq!(starts, ["200", "200", "400"], "{answers}");
    assert!(answers.contains("GET /1\n"), "{answers}");
    assert!(
        answers.contains("POST /2\n") && answers.contains("2 bytes: b\"hi\"\n"),
        "{answers}"
    );
    assert!(answers.contains("RFC 9112 5.1"), "{answers}");
}

#[test]
fn curl_is_served() {
    let address = start();
    let url = format!("http://{}/path?query", address);
    let large = "x".repeat(2000);
    for (words, expected) in [
        (&["--data", "hello"][..], "5 bytes: b\"hello\"\n"),
        (
            &["--data", "hello", "--header", "Transfer-Encoding: chunked"],
            "5 bytes: b\"hello\"\n",
        ),
        (
            &["--data", &large, "--header", "Expect: 100-continue"],
            "2000 bytes: b\"xxx",
        ),
        (&["--http1.0"], "GET /path?query\n"),
        (&["--request", "PATCH"], "PATCH /path?query\n"),
    ] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "20"])
            .args(words);
        // Twice over the same connection.
        let text = output(curl.args([&url, &url]));
        assert_eq!(text.matches(expected).count(), 2, "{words:?}: {text}");
    }
}

#[test]
fn pythons_http_client_is_served() {
    let address = start();
    let script = "
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=20)
for body in (b'one', b'x' * 100_000, iter([b'a', b'bc'])):
    connection.request('PUT', '/path', body, {'X-Name': 'value'})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == 200 and b'X-Name: value' in text, text
    print(text.split(b' bytes: ')[0].split(b'\\n')[-1].decode())
";
    let mut python = Command::new("python3");
    let text = output(python.args(["-c", script, &address]));
    assert_eq!(
        text.split_whitespace().collect::<Vec<_>>(),
        ["3", "100000", "3"]
    );
}
