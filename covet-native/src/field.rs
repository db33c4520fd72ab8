//! The names that most fields have, so that they are recognised without comparing letters, and the tag of any name.
//!
//! A *tag* is one byte made of a name's length, its first letter and its last four, in lower case. Every slot holds the tag of
//! its name, so a look-up compares letters only where tags are equal. The known names have tags of their own, which the
//! compiler checks: a table of 256 entries leads from a tag to the one known name it can be.

macro_rules! fields {
    ($($field:ident $name:literal)*) => {
        /// A known field name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "each is the name it says")]
        pub enum Field {
            $($field,)*
        }

        impl Field {
            /// Every known name; a name's place here is `field as usize`.
            pub const ALL: &[Self] = &[$(Self::$field,)*];

            const NAMES: &[&str] = &[$($name,)*];
        }
    };
}

fields! {
    Host "host"
    ContentLength "content-length"
    TransferEncoding "transfer-encoding"
    Accept "accept"
    AcceptCharset "accept-charset"
    AcceptEncoding "accept-encoding"
    AcceptLanguage "accept-language"
    AcceptRanges "accept-ranges"
    AccessControlAllowOrigin "access-control-allow-origin"
    AccessControlRequestHeaders "access-control-request-headers"
    AccessControlRequestMethod "access-control-request-method"
    Age "age"
    Allow "allow"
    Authorization "authorization"
    CacheControl "cache-control"
    Connection "connection"
    ContentDisposition "content-disposition"
    ContentEncoding "content-encoding"
    ContentLanguage "content-language"
    ContentLocation "content-location"
    ContentRange "content-range"
    ContentType "content-type"
    Cookie "cookie"
    Date "date"
    DoNotTrack "dnt"
    Etag "etag"
    Expect "expect"
    Expires "expires"
    Forwarded "forwarded"
    From "from"
    IfMatch "if-match"
    IfModifiedSince "if-modified-since"
    IfNoneMatch "if-none-match"
    IfRange "if-range"
    IfUnmodifiedSince "if-unmodified-since"
    KeepAlive "keep-alive"
    LastModified "last-modified"
    Location "location"
    MaxForwards "max-forwards"
    Origin "origin"
    Pragma "pragma"
    Priority "priority"
    ProxyAuthorization "proxy-authorization"
    Range "range"
    Referer "referer"
    RetryAfter "retry-after"
    SecChUa "sec-ch-ua"
    SecChUaMobile "sec-ch-ua-mobile"
    SecChUaPlatform "sec-ch-ua-platform"
    SecFetchDest "sec-fetch-dest"
    SecFetchMode "sec-fetch-mode"
    SecFetchSite "sec-fetch-site"
    SecFetchUser "sec-fetch-user"
    SecWebsocketExtensions "sec-websocket-extensions"
    SecWebsocketKey "sec-websocket-key"
    SecWebsocketProtocol "sec-websocket-protocol"
    SecWebsocketVersion "sec-websocket-version"
    Server "server"
    SetCookie "set-cookie"
    Te "te"
    Trailer "trailer"
    Upgrade "upgrade"
    UpgradeInsecureRequests "upgrade-insecure-requests"
    UserAgent "user-agent"
    Vary "vary"
    Via "via"
    WwwAuthenticate "www-authenticate"
    XForwardedFor "x-forwarded-for"
    XForwardedHost "x-forwarded-host"
    XForwardedProto "x-forwarded-proto"
    XRealIp "x-real-ip"
    XRequestId "x-request-id"
}

impl Field {
    /// Returns the name in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Returns the known field of this name, in any case. Compares letters with one name at most.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::tagged(tag(name), name)
    }

    /// Returns the known field of this name, whose tag is known.
    #[inline]
    pub(crate) fn tagged(tag: u8, name: &[u8]) -> Option<Self> {
        BY_TAG[tag as usize].filter(|field| name.eq_ignore_ascii_case(field.name().as_bytes()))
    }
}

/// Returns the tag of a name. Upper and lower case give the same one.
#[inline(always)]
pub(crate) const fn tag(name: &[u8]) -> u8 {
    let last = match name.last_chunk() {
        Some(four) => u32::from_le_bytes(*four),
        None => fewer(name),
    };
    let first = match name.first() {
        Some(&first) => first as u32,
        None => 0,
    };
    // One bit tells upper from lower case. In names of other characters it may make two of them equal, which costs a
    // comparison and nothing else.
    let sum = (last | 0x2020_2020)
        .wrapping_add((name.len() as u32) << 8)
        .wrapping_add((first | 0x20) << 16);
    // The factor was found by trying: with it no two known names have the same tag.
    (sum.wrapping_mul(0x7f74_2b4d) >> 24) as u8
}

#[cold]
const fn fewer(name: &[u8]) -> u32 {
    let mut bytes = 0;
    let mut i = name.len();
    while i > 0 {
        i -= 1;
        bytes = bytes << 8 | name[i] as u32;
    }
    bytes
}

static BY_TAG: [Option<Field>; 256] = {
    let mut table = [None; 256];
    let mut i = 0;
    while i < Field::ALL.len() {
        let tag = tag(Field::NAMES[i].as_bytes()) as usize;
        assert!(table[tag].is_none(), "two known names have the same tag");
        table[tag] = Some(Field::ALL[i]);
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::Field;

    #[test]
    fn known_names_are_found_in_any_case() {
        for &field in Field::ALL {
            let name = field.name();
            assert_eq!(Field::from_name(name.as_bytes()), Some(field));
            assert_eq!(
                Field::from_name(name.to_ascii_uppercase().as_bytes()),
                Some(field)
            );
            assert_eq!(Field::ALL[field as usize], field);
        }
    }

    #[test]
    fn other_names_are_not_taken_for_known_ones() {
        for name in [
            "",
            "x",
            "xy",
            "hosu",
            "nost",
            "hostt",
            "x-real-iq",
            "content_length",
        ] {
            assert_eq!(Field::from_name(name.as_bytes()), None, "{name}");
        }
    }
}
