//! Forms and queries, beside the crate that the URL standard's authors of Rust use; and look-ups beside decoding everything.

use covet_native::{UrlEncoded, urlencode};

pub(crate) fn run(data: &[u8]) {
    let form = UrlEncoded::new(data);
    let read: Vec<_> = form
        .pairs()
        .map(|pair| (pair.name(), pair.value()))
        .collect();
    let expected: Vec<_> = form_urlencoded::parse(data).collect();
    assert_eq!(read, expected);

    for pair in form.pairs() {
        let Ok(name) = String::from_utf8(pair.bytes().0.into_owned()) else {
            continue;
        };
        let first = form
            .pairs()
            .find(|other| *other.bytes().0 == *name.as_bytes());
        assert_eq!(form.find(&name), first);
    }

    let encoded = urlencode(read.iter().map(|(name, value)| (name, value)));
    let again: Vec<_> = UrlEncoded::new(encoded.as_bytes())
        .pairs()
        .map(|pair| (pair.name().into_owned(), pair.value().into_owned()))
        .collect();
    let read: Vec<_> = read
        .into_iter()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    assert_eq!(again, read);
}
