//! The parsers that are measured: how each is called, and what it makes of a head in a form that can be compared.

use std::mem::MaybeUninit;
use std::ptr;

use actix_http::h1::{Codec, Message};
use bytes::{Bytes, BytesMut};
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri, Version};
use ntex_httparse::{HeaderParsed, SlicePos, State};
use picohttpparser_sys::{phr_header, phr_parse_request};
use tokio_util::codec::Decoder;

/// What a head says: method, target, and fields as names in lower case with values, ordered by name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
}

impl Said {
    fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        method: impl AsRef<[u8]>,
        target: impl AsRef<[u8]>,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut fields: Vec<_> = fields
            .into_iter()
            .map(|(name, value)| {
                let name = text(name.as_ref()).to_lowercase();
                (name, value.as_ref().to_vec())
            })
            .collect();
        fields.sort();
        Self {
            method: text(method.as_ref()),
            target: text(target.as_ref()),
            fields,
        }
    }
}

/// How many fields every peer has place for.
const FIELDS: usize = 128;

pub(crate) mod covet {
    use super::{FIELDS, Said};
    use covet_native::{Config, Request, RequestRef, Slot};

    pub(crate) use covet_native::Buffer;

    #[inline]
    pub(crate) fn parse<T>(head: &[u8], look: impl FnOnce(RequestRef<'_>) -> T) -> T {
        let mut slots = Slot::table::<FIELDS>();
        let request = RequestRef::parse(head, &Config::DEFAULT, &mut slots);
        look(request.expect("a sound head").expect("a whole one"))
    }

    pub(crate) fn own(head: &Buffer) -> Request {
        let request = Request::parse(head, &Config::DEFAULT);
        request.expect("a sound head").expect("a whole one")
    }

    pub(crate) fn said(request: RequestRef<'_>) -> Said {
        let fields = request.headers().iter();
        let fields = fields.map(|field| (field.name(), field.value()));
        Said::new(request.method(), request.target(), fields)
    }
}

/// Calls httparse the fastest way it has.
#[inline]
pub(crate) fn httparse<T>(head: &[u8], look: impl FnOnce(&httparse::Request<'_, '_>) -> T) -> T {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let status = request.parse_with_uninit_headers(head, &mut fields);
    assert!(status.expect("a sound head").is_complete());
    look(&request)
}

pub(crate) fn httparse_said(request: &httparse::Request<'_, '_>) -> Said {
    Said::new(
        request.method.expect("a method"),
        request.path.expect("a target"),
        request
            .headers
            .iter()
            .map(|field| (field.name, field.value)),
    )
}

/// What picohttpparser leaves behind.
pub(crate) struct Pico {
    pub(crate) method: (*const i8, usize),
    pub(crate) target: (*const i8, usize),
    pub(crate) fields: [MaybeUninit<phr_header>; FIELDS],
    pub(crate) count: usize,
}

#[inline]
pub(crate) fn pico<T>(head: &[u8], look: impl FnOnce(&Pico) -> T) -> T {
    let mut pico = Pico {
        method: (ptr::null(), 0),
        target: (ptr::null(), 0),
        fields: [const { MaybeUninit::uninit() }; FIELDS],
        count: FIELDS,
    };
    let mut minor = 0;
    // SAFETY: pointers to as many bytes and fields as said; it writes through all others.
    let length = unsafe {
        phr_parse_request(
            head.as_ptr().cast(),
            head.len(),
            &mut pico.method.0,
            &mut pico.method.1,
            &mut pico.target.0,
            &mut pico.target.1,
            &mut minor,
            pico.fields.as_mut_ptr().cast(),
            &mut pico.count,
            0,
        )
    };
    assert_eq!(length as usize, head.len());
    look(&pico)
}

pub(crate) fn pico_said(pico: &Pico) -> Said {
    // SAFETY: all point into the head that was parsed, which still lives; the first `count` fields are written.
    unsafe {
        let slice = |(start, length): (*const i8, usize)| {
            std::slice::from_raw_parts(start.cast::<u8>(), length)
        };
        let fields = pico.fields[..pico.count].iter().map(|field| {
            let field = field.assume_init_ref();
            (
                slice((field.name, field.name_len)),
                slice((field.value, field.value_len)),
            )
        });
        Said::new(slice(pico.method), slice(pico.target), fields)
    }
}

/// What ntex-httparse, which is asked field by field, leaves behind.
pub(crate) struct Ntex {
    pub(crate) line: ntex_httparse::Request,
    pub(crate) fields: [MaybeUninit<ntex_httparse::Header>; FIELDS],
    pub(crate) count: usize,
}

#[inline]
pub(crate) fn ntex<T>(head: &[u8], look: impl FnOnce(&Ntex) -> T) -> T {
    let mut ntex = Ntex {
        line: ntex_httparse::Request::default(),
        fields: [const { MaybeUninit::uninit() }; FIELDS],
        count: 0,
    };
    let line = ntex.line.parse(head).expect("a sound line");
    let mut state = State {
        cursor: line.unwrap(),
        ..State::default()
    };
    loop {
        let field = ntex.fields[ntex.count].write(ntex_httparse::Header::default());
        let parsed = field.parse_with_state(head, &mut state);
        match parsed.expect("a sound field").unwrap() {
            HeaderParsed::Header(end) => {
                ntex.count += 1;
                state = State {
                    cursor: end,
                    ..State::default()
                };
            }
            HeaderParsed::Eof(_) => return look(&ntex),
        }
    }
}

pub(crate) fn ntex_said(head: &[u8], ntex: &Ntex) -> Said {
    let slice = |position: SlicePos| &head[position.start..position.end];
    let fields = ntex.fields[..ntex.count].iter().map(|field| {
        // SAFETY: the first `count` fields are written.
        let field = unsafe { field.assume_init_ref() };
        (slice(field.name), slice(field.value))
    });
    Said::new(slice(ntex.line.method), slice(ntex.line.path), fields)
}

/// A request as hyper makes one: httparse, positions, then a slice of the shared bytes for each value and a map of them.
pub(crate) struct HyperLike {
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) _version: Version,
    pub(crate) fields: HeaderMap,
}

pub(crate) fn hyper_like(bytes: &Bytes) -> HyperLike {
    httparse(bytes, |request| {
        let shared = |part: &[u8]| {
            let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
            bytes.slice(start..start + part.len())
        };
        let mut fields = HeaderMap::with_capacity(request.headers.len());
        for field in request.headers.iter() {
            let name = HeaderName::from_bytes(field.name.as_bytes()).expect("a name");
            // SAFETY: httparse has checked the bytes of the value, as it has for hyper.
            let value = unsafe { HeaderValue::from_maybe_shared_unchecked(shared(field.value)) };
            fields.append(name, value);
        }
        let target = shared(request.path.expect("a target").as_bytes());
        HyperLike {
            method: Method::from_bytes(request.method.expect("a method").as_bytes())
                .expect("a method"),
            target: Uri::from_maybe_shared(target).expect("a target"),
            _version: if request.version == Some(1) {
                Version::HTTP_11
            } else {
                Version::HTTP_10
            },
            fields,
        }
    })
}

pub(crate) fn hyper_said(request: &HyperLike) -> Said {
    let fields = request.fields.iter();
    Said::new(request.method.as_str(), request.target.to_string(), fields)
}

/// actix-http's codec, which is given a buffer that it takes the head out of; filling that is part of its time.
pub(crate) fn actix(codec: &mut Codec, head: &[u8]) -> actix_http::Request {
    let mut buffer = BytesMut::with_capacity(head.len());
    buffer.extend_from_slice(head);
    match codec.decode(&mut buffer) {
        Ok(Some(Message::Item(request))) => request,
        other => panic!("expected a request; found {other:?}"),
    }
}
