//! Cookies beside the rules, written out: what parts them, what is trimmed, what is skipped. And what is set is read again.

use covet_native::{Cookies, SetCookie};

pub(crate) fn run(data: &[u8]) {
    let cookies = Cookies::new(data);
    let read: Vec<_> = cookies.iter().collect();
    let expected: Vec<_> = data
        .split(|&byte| byte == b';')
        .filter_map(|piece| {
            let equals = piece.iter().position(|&byte| byte == b'=')?;
            let (name, value) = (trim(&piece[..equals]), trim(&piece[equals + 1..]));
            let quoted = value.len() >= 2 && value.starts_with(b"\"") && value.ends_with(b"\"");
            let value = if quoted {
                &value[1..value.len() - 1]
            } else {
                value
            };
            Some((name, value))
        })
        .collect();
    assert_eq!(read, expected);

    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let Ok(line) = SetCookie::new(name, value).path("/").to_value() else {
        return;
    };
    assert!(!line.contains(['\r', '\n', '\0']));
    let quoted = value.len() >= 2 && value.starts_with('"') && value.ends_with('"');
    let value = if quoted {
        &value[1..value.len() - 1]
    } else {
        value
    };
    assert_eq!(
        Cookies::new(line.as_bytes()).get(name),
        Some(value.as_bytes())
    );
}

fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
