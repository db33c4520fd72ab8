//! HTTP/1.1 messages over one shared buffer, parsed strictly and without copies.
//!
//! A message is the bytes it came in, and a table of positions in them. Parsing fills the table in one pass; nothing is cut
//! out, lower-cased or decoded until somebody asks for it, and what is asked for is borrowed from the buffer. Since the
//! buffer never changes, any number of threads may hold and read the same request at once, without a lock and without a copy.
//!
//! | | owns | allocates | for |
//! |---|---|---|---|
//! | [`RequestRef`] | nothing: borrows bytes and [slots](Slot) | nothing | reading at once, where the bytes are |
//! | [`Request`] | the [`Buffer`], with others, and an exact table of slots | twice | keeping, and handing to other threads |
//! | [`Receiver`] | what a connection sent and was not given out yet | as bytes come | whole requests from pieces of any size |
//!
//! A client has [`ResponseRef`], [`Response`] and [`ResponseReceiver`], which are the same for what it gets.
//!
//! [`Framing`] says how the body behind a head ends, and [`BodyReader`] finds the data in what comes.
//!
//! # Strict
//!
//! The parser takes what RFC 9112 and 9110 allow and refuses the rest: everything by which two servers in a row can be
//! brought to disagree about where a message ends. An [`Error`] says which [`Rule`] is broken and in which section it
//! stands, at which byte, what was found there, and which status answers it. What is taken beyond that, and only where
//! asked for, is listed in [`Policy`]. All that a peer may send is bounded by [`Limits`].
//!
//! A verdict depends on the bytes alone and never on the pieces in which they came.

mod body;
mod buffer;
mod build_error;
mod builder;
mod chunked;
mod conditional;
mod config;
mod cookies;
mod date;
mod error;
mod field;
mod framing;
mod head;
mod headers;
mod incoming;
mod index;
mod lex;
mod limits;
mod media;
mod message;
mod multipart;
mod negotiate;
mod partial;
pub mod percent;
mod policy;
mod range;
mod receiver;
mod request;
mod request_line;
mod response;
mod scan;
mod set_cookie;
mod status;
mod status_line;
mod urlencoded;

pub use body::{BodyReader, Piece};
pub use buffer::Buffer;
pub use build_error::BuildError;
pub use builder::{Answering, Chunk, Parts, ResponseBuilder};
pub use conditional::{Conditions, Current, ETag, ETags, Precondition, range_applies};
pub use config::Config;
pub use cookies::Cookies;
pub use date::HttpDate;
pub use error::{Error, Rule};
pub use field::Field;
pub use framing::Framing;
pub use headers::{Header, Headers, Iter, Slot};
pub use limits::Limits;
pub use media::{MediaType, Parameters};
pub use multipart::{
    Multipart, MultipartError, MultipartEvent, MultipartLimits, MultipartRule, Part, PartHead,
    parts,
};
pub use negotiate::{best, encoding_quality, language_quality, media_quality};
pub use policy::Policy;
pub use range::{
    ByteRange, MOST_RANGES, Unsatisfiable, content_range, parse_ranges, resolve_ranges,
};
pub use receiver::{Received, ReceivedResponse, Receiver, ResponseReceiver};
pub use request::{Request, RequestRef};
pub use request_line::TargetForm;
pub use response::{Response, ResponseRef};
pub use set_cookie::{SameSite, SetCookie};
pub use status::reason;
pub use urlencoded::{Pair, Pairs, UrlEncoded, urlencode};

/// The examples of the README, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
