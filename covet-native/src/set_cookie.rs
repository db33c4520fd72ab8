//! Cookies that a server sets (RFC 6265bis 4.1).
//!
//! What a browser would drop without a word is an error here: a value with a byte that no cookie has, a name whose prefix
//! (`__Host-`, `__Secure-`) promises what the attributes do not keep, `SameSite=None` without `Secure`, and too many bytes.

use crate::build_error::BuildError;
use crate::date::HttpDate;
use crate::lex::is_token;

/// When a browser sends a cookie along with a request that another site began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When a link is followed.
    Lax,
    /// Always; needs `Secure`.
    None,
}

/// A cookie with attributes, for [`ResponseBuilder::cookie`](crate::ResponseBuilder::cookie).
///
/// ```
/// use covet_native::{SameSite, SetCookie};
///
/// let cookie = SetCookie::new("__Host-id", "7").path("/").secure().http_only().same_site(SameSite::Lax);
/// assert_eq!(cookie.to_value()?, "__Host-id=7; Path=/; Secure; HttpOnly; SameSite=Lax");
/// # Ok::<(), covet_native::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SetCookie<'a> {
    name: &'a str,
    value: &'a str,
    expires: Option<HttpDate>,
    max_age: Option<i64>,
    domain: Option<&'a str>,
    path: Option<&'a str>,
    secure: bool,
    http_only: bool,
    same_site: Option<SameSite>,
    partitioned: bool,
}

/// The most bytes of name and value together, and of one attribute's value, that browsers take (RFC 6265bis 5.6).
const LONGEST_PAIR: usize = 4096;
const LONGEST_ATTRIBUTE: usize = 1024;

impl<'a> SetCookie<'a> {
    /// A cookie that ends with the browser's session, for the host and the path that set it.
    #[must_use]
    pub const fn new(name: &'a str, value: &'a str) -> Self {
        Self {
            name,
            value,
            expires: None,
            max_age: None,
            domain: None,
            path: None,
            secure: false,
            http_only: false,
            same_site: None,
            partitioned: false,
        }
    }

    /// Ends at this date.
    #[must_use]
    pub const fn expires(mut self, date: HttpDate) -> Self {
        self.expires = Some(date);
        self
    }

    /// Ends after so many seconds; at once if they are none or negative. Counts more than a date.
    #[must_use]
    pub const fn max_age(mut self, seconds: i64) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// Is sent to the hosts of this domain too.
    #[must_use]
    pub const fn domain(mut self, domain: &'a str) -> Self {
        self.domain = Some(domain);
        self
    }

    /// Is sent with what lies under this path.
    #[must_use]
    pub const fn path(mut self, path: &'a str) -> Self {
        self.path = Some(path);
        self
    }

    /// Is sent over encrypted connections only.
    #[must_use]
    pub const fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// Is not shown to scripts.
    #[must_use]
    pub const fn http_only(mut self) -> Self {
        self.http_only = true;
        self
    }

    /// Says what happens with requests that other sites began.
    #[must_use]
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Is kept apart for each site that embeds the one that set it (CHIPS); needs `Secure`.
    #[must_use]
    pub const fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// The value of the `Set-Cookie` field.
    ///
    /// # Errors
    /// [`BuildError::Cookie`] if a browser would not take it.
    pub fn to_value(&self) -> Result<String, BuildError> {
        let mut value = Vec::with_capacity(self.name.len() + self.value.len() + 96);
        self.write(&mut value)?;
        Ok(String::from_utf8(value).unwrap_or_else(|_| unreachable!("it is made of text")))
    }

    /// Appends the value. Nothing is appended if it is wrong.
    pub(crate) fn write(&self, into: &mut Vec<u8>) -> Result<(), BuildError> {
        self.check()?;
        let mut attribute = |parts: &[&str]| {
            for part in parts {
                into.extend_from_slice(part.as_bytes());
            }
        };
        attribute(&[self.name, "=", self.value]);
        if let Some(date) = self.expires {
            let date = date.format();
            attribute(&["; Expires=", std::str::from_utf8(&date).unwrap_or_default()]);
        }
        if let Some(seconds) = self.max_age {
            attribute(&["; Max-Age=", &seconds.to_string()]);
        }
        if let Some(domain) = self.domain {
            attribute(&["; Domain=", domain]);
        }
        if let Some(path) = self.path {
            attribute(&["; Path=", path]);
        }
        if self.secure {
            attribute(&["; Secure"]);
        }
        if self.http_only {
            attribute(&["; HttpOnly"]);
        }
        match self.same_site {
            Some(SameSite::Strict) => attribute(&["; SameSite=Strict"]),
            Some(SameSite::Lax) => attribute(&["; SameSite=Lax"]),
            Some(SameSite::None) => attribute(&["; SameSite=None"]),
            None => {}
        }
        if self.partitioned {
            attribute(&["; Partitioned"]);
        }
        Ok(())
    }

    fn check(&self) -> Result<(), BuildError> {
        let wrong = |expected| {
            Err(BuildError::Cookie {
                name: self.name.into(),
                expected,
            })
        };
        if !is_token(self.name.as_bytes()) {
            return wrong("a name of token characters");
        }
        let octets = match self.value.as_bytes() {
            [b'"', inner @ .., b'"'] => inner,
            value => value,
        };
        if !octets.iter().copied().all(is_cookie_octet) {
            return wrong(
                "a value without controls, spaces, quotes, commas, semicolons, backslashes and non-ASCII",
            );
        }
        if self.name.len() + self.value.len() > LONGEST_PAIR {
            return wrong("at most 4096 bytes of name and value");
        }
        for attribute in [self.domain, self.path].into_iter().flatten() {
            if attribute.len() > LONGEST_ATTRIBUTE {
                return wrong("at most 1024 bytes of an attribute");
            }
            if !attribute
                .bytes()
                .all(|b| (0x20..0x7F).contains(&b) && b != b';')
            {
                return wrong("a domain and a path of printable ASCII without semicolons");
            }
        }
        if self.path.is_some_and(|path| !path.starts_with('/')) {
            return wrong("a path that begins with a slash");
        }
        if !self.secure {
            if self.same_site == Some(SameSite::None) {
                return wrong("Secure with SameSite=None");
            }
            if self.partitioned {
                return wrong("Secure with Partitioned");
            }
        }
        let begins = |prefix: &str| {
            let start = self.name.as_bytes().get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        if begins("__Secure-") && !self.secure {
            return wrong("Secure with a name that begins with __Secure-");
        }
        if begins("__Host-") && !(self.secure && self.domain.is_none() && self.path == Some("/")) {
            return wrong("Secure, Path=/ and no Domain with a name that begins with __Host-");
        }
        Ok(())
    }
}

const fn is_cookie_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2B | 0x2D..=0x3A | 0x3C..=0x5B | 0x5D..=0x7E)
}
