//! What one half writes the other reads: forms, cookies, dates, parts of bodies.

use covet_native::{
    Cookies, HttpDate, MediaType, MultipartLimits, SetCookie, UrlEncoded, parts, percent, urlencode,
};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_form_reads_as_it_was_written(pairs in vec((any::<String>(), any::<String>()), 0..6)) {
        let encoded = urlencode(pairs.iter().map(|(name, value)| (name, value)));
        prop_assert!(encoded.is_ascii());
        let form = UrlEncoded::new(encoded.as_bytes());
        let read: Vec<_> = form.pairs().map(|pair| (pair.name(), pair.value())).collect();
        let written: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect();
        prop_assert_eq!(read, written);
        for (name, _) in &pairs {
            let all: Vec<_> = form.get_all(name).collect();
            let expected: Vec<_> =
                pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_str()).collect();
            let first = form.get(name);
            prop_assert_eq!(first.as_deref(), Some(expected[0]));
            prop_assert_eq!(all, expected);
        }
    }

    /// The look-up compares encoded names without decoding them: it must find what decoding would.
    #[test]
    fn a_name_is_found_as_if_all_were_decoded(raw in "[ab%+&=0-9A-F]{0,24}", name in "[ab %+&=0A]{0,4}") {
        let form = UrlEncoded::new(raw.as_bytes());
        let decoded = form.pairs().find(|pair| *pair.bytes().0 == *name.as_bytes());
        prop_assert_eq!(form.find(&name), decoded);
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = UrlEncoded::new(&bytes).pairs().map(|pair| pair.value().len()).sum::<usize>();
        let _ = Cookies::new(&bytes).iter().count();
        let _ = MediaType::parse(&bytes).map(|media| media.parameters().iter().count());
        let _ = HttpDate::parse(&bytes);
        let _ = covet_native::parse_ranges(&bytes);
        let _ = covet_native::encoding_quality(&bytes, "gzip");
        let _ = parts(&bytes, b"x", MultipartLimits::default());
        prop_assert!(percent::decode(&bytes).len() <= bytes.len());
    }

    #[test]
    fn a_cookie_reads_as_it_was_set(name in "[a-z_]{1,8}", value in "[!#-+--:<-\\[\\]-~]{0,20}") {
        let line = SetCookie::new(&name, &value).to_value().unwrap();
        prop_assert_eq!(Cookies::new(line.as_bytes()).get(&name), Some(value.as_bytes()));
    }

    #[test]
    fn parts_read_as_they_were_written(
        written in vec(vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'y'), any::<u8>()], 0..40), 0..4)
    ) {
        // No part contains the delimiter, for it is longer.
        let boundary = b"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
        let mut body = Vec::new();
        for data in &written {
            body.extend_from_slice(&[b"--", &boundary[..], b"\r\nA: b\r\n\r\n", data, b"\r\n"].concat());
        }
        body.extend_from_slice(&[b"--", &boundary[..], b"--\r\n"].concat());
        let read = parts(&body, boundary, MultipartLimits::default()).unwrap();
        let read: Vec<_> = read.iter().map(|part| part.data).collect();
        prop_assert_eq!(read, written);
    }
}
