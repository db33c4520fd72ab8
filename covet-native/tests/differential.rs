//! Random heads and bodies, parsed by this crate and by others: the oracle tells what may differ. `fuzz` asks the same of far
//! more of them.

mod oracle;

use proptest::prelude::*;

/// Pieces that heads are made of, whole and broken.
const PARTS: &[&str] = &[
    "GET",
    "POST",
    "CONNECT",
    "OPTIONS",
    " ",
    " ",
    " ",
    "/",
    "/a?b",
    "*",
    "a:80",
    "http://a/b",
    "#",
    "HTTP/1.1",
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "\r\n",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "\t",
    "\0",
    ":",
    ": ",
    "Host",
    "Host: a",
    "host: b:80",
    "Content-Length",
    "Content-Length: 5",
    "content-length: 0",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    ",",
    "chunked",
    "X",
    "X: y",
    "\u{e9}",
    "\"",
    "200",
    "200 OK",
    "5",
    "99999999999999999999",
    "\r\n\r\n",
    "\r\n\r\n",
];

const CHUNKS: &[&str] = &[
    "0",
    "1",
    "5",
    "f",
    "10",
    "\r\n",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "a",
    "hello",
    ";",
    ";a=b",
    "=",
    "\"",
    " ",
    "\n",
    "\r",
    "\0",
    "X: y",
    "0\r\n\r\n",
    "1\r\na\r\n",
    "3\r\nabc\r\n",
    "5;a\r\nhello\r\n",
    "ffffffffffffffff",
    "g",
];

fn made_of(parts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(parts), 0..24)
        .prop_map(|parts| parts.concat().into_bytes())
}

/// A sound request with a few bytes changed.
fn nearly_sound() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let sound = "POST /path?query HTTP/1.1\r\nHost: example.org:80\r\nContent-Length: 12\r\nX-Name: some value\r\nAccept: */*\r\n\r\n";
    changes.prop_map(move |changes| {
        let mut bytes = sound.as_bytes().to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn requests_are_read_as_by_httparse(bytes in prop_oneof![made_of(PARTS), nearly_sound()], split in 0_usize..200) {
        oracle::head::check(&bytes, split);
    }

    #[test]
    fn responses_are_read_as_by_httparse(parts in made_of(PARTS), split in 0_usize..200) {
        oracle::response::check(&parts, split);
        oracle::response::check(&[b"HTTP/1.1 200 OK\r\n", &parts[..]].concat(), split);
    }

    #[test]
    fn chunked_bodies_are_read_as_by_the_plain_rules(bytes in made_of(CHUNKS), split in 0_usize..100) {
        oracle::chunked::check(&bytes, split);
    }
}
