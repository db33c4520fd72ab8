//! Content negotiation (RFC 9110 12): which of the representations a server has the client likes best.
//!
//! A malformed element of a list is skipped, as if it were not there. Qualities are counted in thousandths. A field
//! that was not sent accepts everything: then the server's first choice is best.

use crate::lex::list;
use crate::media::{MediaType, Parameters, split};
use crate::scan::trim;

/// The largest quality, `q=1`.
const WHOLE: u16 = 1000;

/// How much the client likes `offer`, in thousandths, by the value of its `Accept` field: by the most specific range
/// that includes it. 0 is not at all.
///
/// ```
/// use covet_native::{MediaType, media_quality};
///
/// let html = MediaType::parse(b"text/html; level=1").unwrap();
/// assert_eq!(media_quality(b"text/*;q=0.3, text/html;q=0.7, text/html;level=1", &html), 1000);
/// ```
#[must_use]
pub fn media_quality(accept: &[u8], offer: &MediaType<'_>) -> u16 {
    most_specific(list(accept).filter_map(|element| {
        let (essence, parameters) = split(element);
        let slash = memchr::memchr(b'/', essence)?;
        let (main, sub) = (&essence[..slash], &essence[slash + 1..]);
        let (wanted, quality) = weighted(parameters)?;
        let fits = wanted.iter().all(|(name, value)| {
            let offered = std::str::from_utf8(name)
                .ok()
                .and_then(|name| offer.parameter(name));
            offered.is_some_and(|offered| offered.eq_ignore_ascii_case(value))
        });
        let specificity = match (main, sub) {
            (b"*", b"*") => 0,
            (main, b"*") if main.eq_ignore_ascii_case(offer.main()) => 1,
            (main, sub)
                if main.eq_ignore_ascii_case(offer.main())
                    && sub.eq_ignore_ascii_case(offer.sub()) =>
            {
                2 + wanted.len()
            }
            _ => return None,
        };
        fits.then_some((specificity, quality))
    }))
    .unwrap_or(0)
}

/// How much the client likes the content coding `offer` (`gzip`, `identity`), in thousandths, by the value of its
/// `Accept-Encoding` field. `identity` is liked least of all, but accepted unless it is excluded.
#[must_use]
pub fn encoding_quality(accept_encoding: &[u8], offer: &str) -> u16 {
    let identity = offer.eq_ignore_ascii_case("identity");
    most_specific(list(accept_encoding).filter_map(|element| {
        let (name, parameters) = split(element);
        let (_, quality) = weighted(parameters)?;
        if name == b"*" {
            Some((0, quality))
        } else {
            // Two codings have a second name (RFC 9110 8.4.1).
            let name = match name.to_ascii_lowercase().as_slice() {
                b"x-gzip" => b"gzip",
                b"x-compress" => &b"compress"[..],
                _ => name,
            };
            let named = name.eq_ignore_ascii_case(offer.as_bytes());
            named.then_some((1, quality))
        }
    }))
    .unwrap_or(u16::from(identity))
}

/// How much the client likes the language tag `offer` (`en-GB`), in thousandths, by the value of its `Accept-Language`
/// field: by the longest range that it begins with (RFC 4647 3.3.1, basic filtering).
#[must_use]
pub fn language_quality(accept_language: &[u8], offer: &str) -> u16 {
    let offer = offer.as_bytes();
    most_specific(list(accept_language).filter_map(|element| {
        let (range, parameters) = split(element);
        let (_, quality) = weighted(parameters)?;
        if range == b"*" {
            return Some((0, quality));
        }
        let begins = offer
            .get(..range.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(range));
        let whole = matches!(offer.get(range.len()), None | Some(b'-'));
        (begins && whole && !range.is_empty()).then_some((range.len(), quality))
    }))
    .unwrap_or(0)
}

/// The offer of the highest quality, the first of several; `None` if all have none. Without a field, which is `None`, the
/// first.
///
/// ```
/// use covet_native::{best, encoding_quality};
///
/// let codings = ["br", "gzip", "identity"];
/// let quality = |field: &[u8], coding: &&str| encoding_quality(field, coding);
/// assert_eq!(best(Some(b"gzip, br;q=0.5"), &codings, quality), Some(&"gzip"));
/// assert_eq!(best(None, &codings, quality), Some(&"br"));
/// ```
pub fn best<'o, T>(
    field: Option<&[u8]>,
    offers: &'o [T],
    quality: impl Fn(&[u8], &T) -> u16,
) -> Option<&'o T> {
    let Some(field) = field else {
        return offers.first();
    };
    let mut best = None;
    let mut highest = 0;
    for offer in offers {
        let quality = quality(field, offer);
        if quality > highest {
            highest = quality;
            best = Some(offer);
        }
    }
    best
}

/// The quality of the most specific one; of equally specific ones the highest.
fn most_specific(ranges: impl Iterator<Item = (usize, u16)>) -> Option<u16> {
    ranges.max().map(|(_, quality)| quality)
}

type Wanted<'a> = Vec<(&'a [u8], std::borrow::Cow<'a, [u8]>)>;

/// The parameters before `q`, and its quality. `None` if they are malformed.
fn weighted(parameters: Parameters<'_>) -> Option<(Wanted<'_>, u16)> {
    if !parameters.are_valid() {
        return None;
    }
    let mut wanted = Vec::new();
    for (name, value) in parameters.iter() {
        if name.eq_ignore_ascii_case(b"q") {
            return Some((wanted, quality(trim(&value))?));
        }
        wanted.push((name, value));
    }
    Some((wanted, WHOLE))
}

/// A quality (RFC 9110 12.4.2): 0 or 1 with up to three digits behind the point.
fn quality(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text {
        [whole] | [whole, b'.'] => (whole, &b""[..]),
        [whole, b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut thousandths = 0;
    for i in 0..3 {
        let digit = *digits.get(i).unwrap_or(&b'0');
        thousandths = thousandths * 10 + u16::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(WHOLE),
        _ => None,
    }
}
