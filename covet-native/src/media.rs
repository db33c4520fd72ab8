//! Media types with parameters (RFC 9110 8.3.1), and the parameters of other fields (5.6.6).

use crate::lex::{is_token, quoted, token_end, unescaped};
use crate::scan::trim;
use std::borrow::Cow;
use std::fmt;

/// A media type such as `text/html; charset=utf-8`. Borrowed and cheap to copy.
///
/// ```
/// use covet_native::MediaType;
///
/// let html = MediaType::parse(b"Text/HTML; Charset=\"utf-8\"").unwrap();
/// assert!(html.is("text", "html"));
/// assert_eq!(html.parameter("charset").as_deref(), Some(&b"utf-8"[..]));
/// ```
#[derive(Clone, Copy)]
pub struct MediaType<'a> {
    main: &'a [u8],
    sub: &'a [u8],
    parameters: Parameters<'a>,
}

impl<'a> MediaType<'a> {
    /// Reads a field value. `None` if it is no media type or one of its parameters is malformed: two readers that
    /// guess at the meaning of a damaged `boundary` may guess differently.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let value = trim(value);
        let (essence, parameters) = split(value);
        let slash = memchr::memchr(b'/', essence)?;
        let (main, sub) = (&essence[..slash], &essence[slash + 1..]);
        (is_token(main) && is_token(sub) && parameters.are_valid()).then_some(Self {
            main,
            sub,
            parameters,
        })
    }

    /// What stands before the slash, as received.
    #[must_use]
    pub const fn main(&self) -> &'a [u8] {
        self.main
    }

    /// What stands behind the slash, as received.
    #[must_use]
    pub const fn sub(&self) -> &'a [u8] {
        self.sub
    }

    /// Whether it is this type, in whatever case.
    #[must_use]
    pub fn is(&self, main: &str, sub: &str) -> bool {
        self.main.eq_ignore_ascii_case(main.as_bytes())
            && self.sub.eq_ignore_ascii_case(sub.as_bytes())
    }

    /// Whether it is JSON: `application/json` or a type that ends in `+json` (RFC 6839).
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.is("application", "json")
            || (self.sub.len() > 5 && self.sub[self.sub.len() - 5..].eq_ignore_ascii_case(b"+json"))
    }

    /// The value of the first parameter with this name, in whatever case, unquoted.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.parameters.get(name)
    }

    /// All parameters.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'a> {
        self.parameters
    }
}

impl fmt::Debug for MediaType<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy;
        write!(
            f,
            "{}/{}{:?}",
            text(self.main),
            text(self.sub),
            self.parameters
        )
    }
}

/// A field value's part before the first `;`, and the parameters behind it.
pub(crate) fn split(value: &[u8]) -> (&[u8], Parameters<'_>) {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    (trim(&value[..end]), Parameters { raw: &value[end..] })
}

/// Parameters, `; name=value` each, in order. Values are tokens or quoted strings. Borrowed and cheap to copy.
#[derive(Clone, Copy, Default)]
pub struct Parameters<'a> {
    /// Empty, or begins with `;`.
    raw: &'a [u8],
}

impl<'a> Parameters<'a> {
    /// The value of the first parameter with this name, in whatever case, unquoted.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| value)
    }

    /// Names as received, and values unquoted, up to the first malformed one.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + use<'a> {
        self.raw_iter()
            .map_while(Result::ok)
            .map(|(name, value)| (name, unquoted(value, |_| true)))
    }

    /// The same for `Content-Disposition` in a form: browsers send a backslash in a file name as it is, so it
    /// escapes a quote or a backslash only.
    pub(crate) fn of_form(&self) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + use<'a> {
        self.raw_iter().map_while(Result::ok).map(|(name, value)| {
            let value = unquoted(value, |escaped| matches!(escaped, b'"' | b'\\'));
            (name, value)
        })
    }

    pub(crate) fn are_valid(&self) -> bool {
        self.raw_iter().all(|parameter| parameter.is_ok())
    }

    /// The parameters with their quotes. The first malformed one ends them.
    fn raw_iter(&self) -> impl Iterator<Item = Result<(&'a [u8], &'a [u8]), Malformed>> + use<'a> {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            loop {
                rest = trim(rest);
                if rest.is_empty() {
                    return None;
                }
                let Some(after) = rest.strip_prefix(b";") else {
                    rest = b"";
                    return Some(Err(Malformed));
                };
                // Empty ones are allowed: `a; ; b=c;`.
                let after = trim(after);
                if after.is_empty() || after[0] == b';' {
                    rest = after;
                    continue;
                }
                let Some((name, value, length)) = parameter(after) else {
                    rest = b"";
                    return Some(Err(Malformed));
                };
                rest = &after[length..];
                return Some(Ok((name, value)));
            }
        })
    }
}

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.raw))
    }
}

struct Malformed;

/// The name and the value, still quoted, of the parameter that `text` begins with, and its length.
fn parameter(text: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let name = token(text);
    let value = text[name.len()..].strip_prefix(b"=")?;
    let value = match value.first()? {
        b'"' => &value[..quoted(value)?.1],
        _ => token(value),
    };
    let valid = !name.is_empty() && !value.is_empty();
    valid.then_some((name, value, name.len() + 1 + value.len()))
}

fn token(text: &[u8]) -> &[u8] {
    &text[..token_end(text)]
}

fn unquoted(value: &[u8], escapes: impl Fn(u8) -> bool) -> Cow<'_, [u8]> {
    match quoted(value) {
        Some((inner, _)) => unescaped(inner, escapes),
        None => Cow::Borrowed(value),
    }
}
