//! Every bound on input, with its default and the reason for it.

/// Bounds on what a peer may send; what is beyond is refused before it is kept.
///
/// A bound holds for the whole message, however it was cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the head: start line, fields and the empty line. 65,536: eight times what nginx takes by default, and more than
    /// any browser sends with its cookies full. At most 2^31.
    pub head: u32,
    /// Bytes of the method. 32: the longest registered one, UPDATEREDIRECTREF, has 17.
    pub method: u32,
    /// Bytes of the request target. 8,192: RFC 9112 3 asks for 8,000 in the whole request line.
    pub target: u32,
    /// Fields of the head, and fields of the trailer section. 128: browsers send about 20, proxies add a few.
    pub fields: u32,
    /// Empty lines before the request line. 1: RFC 9112 2.2 asks for one; old clients sent it after a form.
    pub empty_lines: u32,
    /// Bytes of the body, without chunk sizes. 1 GiB: enough for uploads, and each piece is handed on as it comes. A service
    /// that collects bodies wants less.
    pub body: u64,
    /// Bytes of all chunk extensions of a body together. 16,384: nobody sends any, and one byte in each of many tiny
    /// chunks must not add up to work without bound (CVE-2023-39326).
    pub chunk_extensions: u32,
    /// Bytes of the trailer section. 8,192: checksums and signatures need a few hundred.
    pub trailers: u32,
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        head: 65_536,
        method: 32,
        target: 8_192,
        fields: 128,
        empty_lines: 1,
        body: 1 << 30,
        chunk_extensions: 16_384,
        trailers: 8_192,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
