//! Bodies in parts: the same events for every way to cut them into pieces; and where the whole is right, the same parts as a
//! reader that splits at the delimiters.

use covet_native::{Multipart, MultipartError, MultipartEvent, MultipartLimits, parts};

const LIMITS: MultipartLimits = MultipartLimits { parts: 4, head: 64 };

pub(crate) fn run(data: &[u8]) {
    let Some((&step, body)) = data.split_first() else {
        return;
    };
    let whole = read(body, body.len().max(1));
    assert_eq!(read(body, 1), whole);
    assert_eq!(read(body, 1 + usize::from(step)), whole);

    let Ok(parts) = parts(body, b"x", LIMITS) else {
        return;
    };
    // Behind the first delimiter and before the last; a part may not contain one.
    let mut lines = b"\r\n".to_vec();
    lines.extend_from_slice(body);
    let pieces = split(&lines, b"\r\n--x");
    for (part, piece) in parts.iter().zip(&pieces[1..]) {
        assert!(piece.ends_with(part.data));
        assert!(split(part.data, b"\r\n--x").len() == 1);
    }
    assert!(pieces[parts.len() + 1].starts_with(b"--"));
}

/// What is read in pieces of so many bytes: for each part its head and its data, and how it ended.
fn read(body: &[u8], size: usize) -> (Vec<(String, Vec<u8>)>, Option<MultipartError>) {
    let mut reader = Multipart::new(b"x", LIMITS).expect("a boundary");
    let mut read: Vec<(String, Vec<u8>)> = Vec::new();
    let mut left = Vec::new();
    for piece in body.chunks(size) {
        left.extend_from_slice(piece);
        loop {
            let (consumed, event) = match reader.step(&left) {
                Ok(step) => step,
                Err(error) => return (read, Some(error)),
            };
            let more = match event {
                MultipartEvent::Part(head) => {
                    read.push((
                        format!("{:?}", head.fields().collect::<Vec<_>>()),
                        Vec::new(),
                    ));
                    true
                }
                MultipartEvent::Data(data) => {
                    read.last_mut().expect("a part").1.extend_from_slice(data);
                    true
                }
                MultipartEvent::PartEnd => true,
                MultipartEvent::NeedMore | MultipartEvent::End => false,
            };
            left.drain(..consumed);
            if !more {
                break;
            }
        }
    }
    // Where that is depends on what was held back; whether it is does not.
    let end = reader
        .finish()
        .err()
        .map(|error| MultipartError { offset: 0, ..error });
    // The last part's data are not all there if it did not end.
    if end.is_some() {
        read.clear();
    }
    (read, end)
}

fn split<'a>(bytes: &'a [u8], delimiter: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at + delimiter.len() <= bytes.len() {
        if bytes[at..].starts_with(delimiter) {
            pieces.push(&bytes[start..at]);
            at += delimiter.len();
            start = at;
        } else {
            at += 1;
        }
    }
    pieces.push(&bytes[start..]);
    pieces
}
