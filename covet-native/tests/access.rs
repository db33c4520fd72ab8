//! Tables of field values and bodies, and what is read from each.
//!
//! `cases/access/NAME.txt` has a case a line: the input, ` => `, and what the reader called `NAME` below makes of it.
//! `\r`, `\n`, `\t`, `\\`, `\s` (a space at an end) and `\xNN` stand for single bytes; lines that begin with `#` say which rule
//! the next ones are about.

use covet_native::{
    ByteRange, Conditions, Cookies, Current, ETag, HttpDate, MediaType, MultipartLimits,
    Precondition, UrlEncoded, best, encoding_quality, language_quality, media_quality,
    parse_ranges,
    percent::{self, Invalid},
    range_applies, resolve_ranges,
};

macro_rules! tables {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let table = include_str!(concat!("cases/access/", stringify!($name), ".txt"));
            check(table, readers::$name);
        }
    )*};
}

tables! { conditional cookies date encoding form language media media_type multipart path range }

/// So small that a case can break them.
const LIMITS: MultipartLimits = MultipartLimits { parts: 3, head: 80 };

/// Each reads an input and says what it found.
mod readers {
    use super::*;

    pub(super) fn form(input: &[u8]) -> String {
        let form = UrlEncoded::new(input);
        let pairs: Vec<_> = form.pairs().collect();
        for pair in &pairs {
            if let Ok((name, _)) = pair.text(Invalid::Refused) {
                let first = form.find(&name).unwrap();
                assert_eq!(first.name(), name);
            }
        }
        all(pairs.iter().map(|pair| match pair.text(Invalid::Refused) {
            Ok((name, value)) => format!("[{name}={value}]"),
            Err(_) => format!("[{}={}] not UTF-8", pair.name(), pair.value()),
        }))
    }

    pub(super) fn path(input: &[u8]) -> String {
        let decoded = percent::decode(input);
        Invalid::Refused.text(decoded).map_or_else(
            |error| format!("refused at {}", error.valid_up_to()),
            Into::into,
        )
    }

    pub(super) fn cookies(input: &[u8]) -> String {
        all(Cookies::new(input)
            .iter()
            .map(|(name, value)| format!("[{}={}]", escape(name), escape(value))))
    }

    pub(super) fn media_type(input: &[u8]) -> String {
        MediaType::parse(input).map_or_else(
            || "refused".into(),
            |media| {
                let parameters = media
                    .parameters()
                    .iter()
                    .map(|(name, value)| format!(" [{}={}]", escape(name), escape(&value)));
                let essence = [media.main(), media.sub()].map(escape).join("/");
                essence + &parameters.collect::<String>()
            },
        )
    }

    /// `field | offer`: its quality.
    pub(super) fn media(input: &[u8]) -> String {
        offers(input, |field, offer| {
            media_quality(field, &MediaType::parse(offer.as_bytes()).unwrap())
        })
    }

    pub(super) fn encoding(input: &[u8]) -> String {
        offers(input, encoding_quality)
    }

    pub(super) fn language(input: &[u8]) -> String {
        offers(input, language_quality)
    }

    /// `field | offer offer`: the quality of each, and the best one.
    fn offers(input: &[u8], quality: impl Fn(&[u8], &str) -> u16) -> String {
        let (field, offered) = bar(input);
        let offered: Vec<_> = offered.split(' ').collect();
        let qualities = offered
            .iter()
            .map(|offer| quality(field, offer).to_string());
        let qualities = qualities.collect::<Vec<_>>().join(" ");
        let best = best(Some(field), &offered, |field, offer| quality(field, offer));
        format!("{qualities}, {}", best.copied().unwrap_or("none"))
    }

    /// `field | length`: the ranges and the parts.
    pub(super) fn range(input: &[u8]) -> String {
        let (field, length) = bar(input);
        let Some(ranges) = parse_ranges(field) else {
            return "ignored".into();
        };
        let asked = ranges.iter().map(|range| match range {
            ByteRange::Between(first, last) => format!("{first}-{last} "),
            ByteRange::From(first) => format!("{first}- "),
            ByteRange::Last(count) => format!("-{count} "),
        });
        let parts = match resolve_ranges(&ranges, length.parse().unwrap()) {
            Ok(parts) => format!("{parts:?}"),
            Err(unsatisfiable) => unsatisfiable.to_string(),
        };
        asked.collect::<String>() + &parts
    }

    pub(super) fn date(input: &[u8]) -> String {
        // 2026-01-01
        HttpDate::parse_at(input, HttpDate(1_767_225_600))
            .map_or("refused".into(), |date| date.0.to_string())
    }

    /// `Field: value; ... | method etag date`, the current ones, or `none`.
    pub(super) fn conditional(input: &[u8]) -> String {
        let (fields, present) = bar(input);
        let mut conditions = Conditions::default();
        let mut if_range = None;
        for line in fields.split(|&byte| byte == b';') {
            let colon = line.iter().position(|&byte| byte == b':').unwrap();
            let value = Some(line[colon + 1..].trim_ascii());
            match line[..colon].trim_ascii() {
                b"If-Match" => conditions.if_match = value,
                b"If-None-Match" => conditions.if_none_match = value,
                b"If-Modified-Since" => conditions.if_modified_since = value,
                b"If-Unmodified-Since" => conditions.if_unmodified_since = value,
                b"If-Range" => if_range = value,
                other => panic!("{}", escape(other)),
            }
        }
        let (method, current) = present.split_once(' ').unwrap();
        let current = (current != "none").then(|| {
            let (etag, date) = current.split_once(' ').unwrap();
            Current {
                etag: ETag::parse(etag.as_bytes()),
                last_modified: HttpDate::parse(date.as_bytes()),
            }
        });
        if let Some(field) = if_range {
            let applies = range_applies(field, &current.unwrap());
            return if applies { "part" } else { "whole" }.into();
        }
        let safe = matches!(method, "GET" | "HEAD");
        match conditions.evaluate(safe, current.as_ref()) {
            Precondition::Proceed => "proceed".into(),
            Precondition::NotModified => "304".into(),
            Precondition::Failed => "412".into(),
        }
    }

    /// `boundary | body`: fed whole, and in two pieces at every place, and byte by byte.
    pub(super) fn multipart(input: &[u8]) -> String {
        let at = input.windows(3).position(|w| w == b" | ").unwrap();
        let (boundary, body) = (&input[..at], &input[at + 3..]);
        let whole = crate::multipart_events::of([body], boundary);
        for split in 0..=body.len() {
            let halves = [&body[..split], &body[split..]];
            let events = crate::multipart_events::of(halves, boundary);
            assert_eq!(events, whole, "in two pieces at {split}");
        }
        let bytes = crate::multipart_events::of(body.chunks(1), boundary);
        assert_eq!(bytes, whole, "byte by byte");
        let parts = covet_native::parts(body, boundary, LIMITS);
        let ends_well = !whole.contains("error");
        assert_eq!(parts.is_ok(), ends_well, "{parts:?}");
        let count = parts.map_or(0, |parts| parts.len());
        assert!(!ends_well || count == whole.matches('{').count());
        whole
    }

    fn bar(input: &[u8]) -> (&[u8], &str) {
        let at = input.windows(3).rposition(|w| w == b" | ").unwrap();
        let rest = std::str::from_utf8(&input[at + 3..]).unwrap();
        (&input[..at], rest)
    }

    fn all(items: impl Iterator<Item = String>) -> String {
        let text = items.collect::<String>();
        if text.is_empty() { "none".into() } else { text }
    }
}

/// What a multipart reader says of pieces, as text.
mod multipart_events {
    use super::escape;
    use covet_native::{Multipart, MultipartEvent};

    pub(super) fn of<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, boundary: &[u8]) -> String {
        let mut said = String::new();
        let mut reader = match Multipart::new(boundary, super::LIMITS) {
            Ok(reader) => reader,
            Err(error) => return format!("error {:?}", error.rule),
        };
        let mut left = Vec::new();
        'pieces: for piece in pieces {
            left.extend_from_slice(piece);
            loop {
                let (consumed, event) = match reader.step(&left) {
                    Ok(step) => step,
                    Err(error) => {
                        return format!("{said}error {:?} at {}", error.rule, error.offset);
                    }
                };
                let more = match event {
                    MultipartEvent::Part(head) => {
                        said += "{";
                        for text in [head.name(), head.file_name()].into_iter().flatten() {
                            said += &escape(&text);
                            said += ": ";
                        }
                        true
                    }
                    MultipartEvent::Data(data) => {
                        assert!(!data.is_empty());
                        said += &escape(data);
                        true
                    }
                    MultipartEvent::PartEnd => {
                        said += "} ";
                        true
                    }
                    MultipartEvent::NeedMore | MultipartEvent::End => false,
                };
                left.drain(..consumed);
                if !more {
                    continue 'pieces;
                }
            }
        }
        said + &match reader.finish() {
            Ok(()) => "end".into(),
            // Its place is where the bytes end, which were held back or not.
            Err(error) => format!("error {:?}", error.rule),
        }
    }
}

fn check(table: &str, read: fn(&[u8]) -> String) {
    let mut cases = 0;
    for (number, line) in (1..).zip(table.lines()) {
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (input, expected) = line.split_once(" =>").unwrap();
        let found = read(&unescape(input));
        assert_eq!(found.trim(), expected.trim(), "line {number}: {line}");
        cases += 1;
    }
    assert!(cases >= 8, "a table of {cases} cases");
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (escape, after) = rest.split_first().unwrap();
        rest = after;
        bytes.push(match escape {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b's' => b' ',
            b'\\' => b'\\',
            b'x' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                rest = &rest[2..];
                u8::from_str_radix(digits, 16).unwrap()
            }
            other => panic!("unknown escape {}", char::from(*other)),
        });
    }
    bytes
}

fn escape(bytes: &[u8]) -> String {
    bytes
        .escape_ascii()
        .to_string()
        .replace("\\\"", "\"")
        .replace("\\'", "'")
}
