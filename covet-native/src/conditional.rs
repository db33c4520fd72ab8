//! Conditional requests (RFC 9110 13): whether to send, to say 304 Not Modified, or 412 Precondition Failed.

use crate::date::HttpDate;
use crate::scan::trim;
use memchr::memchr;

/// An entity tag, `"xyzzy"` or `W/"xyzzy"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ETag<'a> {
    /// Whether it is weak: equal ones name representations that are as good, not the same bytes.
    pub weak: bool,
    /// What stands between the quotes.
    pub tag: &'a [u8],
}

impl<'a> ETag<'a> {
    /// Reads one entity tag.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let (tag, rest) = Self::first(trim(value))?;
        rest.is_empty().then_some(tag)
    }

    /// Whether both are strong and the same (8.8.3.2).
    #[must_use]
    pub fn same_bytes(&self, other: &ETag<'_>) -> bool {
        !self.weak && !other.weak && self.tag == other.tag
    }

    /// Whether they are the same but for weakness (8.8.3.2).
    #[must_use]
    pub fn as_good(&self, other: &ETag<'_>) -> bool {
        self.tag == other.tag
    }

    /// The tag that `text` begins with, and what follows. A tag has no escapes: a backslash is one of its bytes.
    fn first(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (weak, text) = match text.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let inner = text.strip_prefix(b"\"")?;
        let end = memchr(b'"', inner)?;
        let tag = &inner[..end];
        let valid = tag
            .iter()
            .all(|&b| b == 0x21 || (0x23..0x7F).contains(&b) || b >= 0x80);
        valid.then_some((Self { weak, tag }, &inner[end + 1..]))
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ETags<'a> {
    /// `*`: any representation at all.
    Any,
    /// A list of tags, as received: malformed from somewhere on, it ends there.
    List(&'a [u8]),
}

impl<'a> ETags<'a> {
    /// Reads the field value. It is read further when it is asked.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Self {
        match trim(value) {
            b"*" => Self::Any,
            list => Self::List(list),
        }
    }

    /// Whether the current tag, if there is a representation, is among them by `compare`.
    pub fn include(
        &self,
        current: Option<&ETag<'_>>,
        compare: impl Fn(&ETag<'a>, &ETag<'_>) -> bool,
    ) -> bool {
        match *self {
            Self::Any => current.is_some(),
            Self::List(list) => {
                current.is_some_and(|current| tags(list).any(|tag| compare(&tag, current)))
            }
        }
    }
}

/// The tags of a list. They are parted by commas; a comma inside a tag is one of its bytes.
fn tags(mut rest: &[u8]) -> impl Iterator<Item = ETag<'_>> {
    std::iter::from_fn(move || {
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        let (tag, after) = ETag::first(rest)?;
        let parted = matches!(trim(after), [] | [b',', ..]);
        rest = after;
        parted.then_some(tag)
    })
}

/// The conditional fields of a request, as received.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    /// `If-Match`.
    pub if_match: Option<&'a [u8]>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a [u8]>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<&'a [u8]>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<&'a [u8]>,
}

/// What a server knows of the representation that it would send.
#[derive(Debug, Clone, Copy, Default)]
pub struct Current<'a> {
    /// Its entity tag.
    pub etag: Option<ETag<'a>>,
    /// When it was last changed.
    pub last_modified: Option<HttpDate>,
}

/// What to do with a conditional request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// As if there were no condition.
    Proceed,
    /// Answer 304: the client has it already.
    NotModified,
    /// Answer 412, and do nothing.
    Failed,
}

impl Conditions<'_> {
    /// Decides in the order of RFC 9110 13.2.2. `safe` says whether the method is GET or HEAD; `current` is `None` if there is
    /// no representation. A date that cannot be read is ignored.
    #[must_use]
    pub fn evaluate(&self, safe: bool, current: Option<&Current<'_>>) -> Precondition {
        let etag = current.and_then(|current| current.etag.as_ref());
        let modified = current.and_then(|current| current.last_modified);
        // A representation without a tag is still one: `*` includes it, no tag does.
        let nameless = ETag {
            weak: true,
            tag: b"\0",
        };
        let known = current.map(|_| etag.unwrap_or(&nameless));
        let date = |field: Option<&[u8]>| field.and_then(HttpDate::parse);
        if let Some(field) = self.if_match {
            if !ETags::parse(field).include(known, ETag::same_bytes) {
                return Precondition::Failed;
            }
        } else if let (Some(since), Some(modified)) = (date(self.if_unmodified_since), modified)
            && modified > since
        {
            return Precondition::Failed;
        }
        if let Some(field) = self.if_none_match {
            return match ETags::parse(field).include(known, ETag::as_good) {
                false => Precondition::Proceed,
                true if safe => Precondition::NotModified,
                true => Precondition::Failed,
            };
        }
        match (date(self.if_modified_since), modified) {
            (Some(since), Some(modified)) if safe && modified <= since => Precondition::NotModified,
            _ => Precondition::Proceed,
        }
    }
}

/// Whether the ranges of a request with this `If-Range` field are to be sent (13.1.5): only if the client has a part of just
/// these bytes. Otherwise the whole is sent.
#[must_use]
pub fn range_applies(if_range: &[u8], current: &Current<'_>) -> bool {
    match ETag::parse(if_range) {
        Some(tag) => current.etag.is_some_and(|etag| tag.same_bytes(&etag)),
        None => HttpDate::parse(if_range).is_some_and(|date| current.last_modified == Some(date)),
    }
}
