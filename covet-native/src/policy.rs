//! What is taken beyond the strict rules, each leniency by name.

/// Departures from the strict rules. By default there are none.
///
/// The strict rules are those of RFC 9112 and 9110, with every doubtful freedom of a recipient used to refuse. Where the
/// standard leaves a choice, this crate chooses:
///
/// - An empty element in the list of transfer codings is refused, although RFC 9110 5.6.1.2 has recipients ignore it in
///   lists: two readings of a field that frames a message are how requests are smuggled.
/// - A target may hold any visible ASCII but `#`. Browsers send `|`, `{` and `"` as they are, though the grammar of URIs has no
///   place for them.
/// - Only HTTP/1.1 and HTTP/1.0 are taken; 1.2 to 1.9 do not exist.
///
/// No leniency makes Transfer-Encoding and Content-Length go together, or folds lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a leniency of its own"
)]
pub struct Policy {
    /// Takes LF alone as the end of a line (RFC 9112 2.2: a recipient MAY). In the head only, never in a chunked body.
    pub bare_lf: bool,
    /// Takes HTTP/1.1 requests without a Host field (against RFC 9112 3.2), for parsing what is not about to be served.
    pub missing_host: bool,
    /// Takes bytes from 0x80 in the target, which clients that do not percent-encode send as UTF-8.
    pub non_ascii_target: bool,
    /// Takes the same content length given several times, in one list or in several fields (RFC 9110 8.6: a recipient MAY).
    pub repeated_content_length: bool,
    /// Takes transfer codings before `chunked`. The body is handed out as it was coded: decoding it is the caller's part.
    pub other_transfer_codings: bool,
    /// Takes a status line that ends right after the status, without the space (against RFC 9112 4, but many servers).
    pub missing_reason_space: bool,
}

impl Policy {
    /// No leniency.
    pub const STRICT: Self = Self {
        bare_lf: false,
        missing_host: false,
        non_ascii_target: false,
        repeated_content_length: false,
        other_transfer_codings: false,
        missing_reason_space: false,
    };
}
