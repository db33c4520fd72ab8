//! What requests and responses have in common: a complete head, borrowed from its bytes or kept over a buffer.
//!
//! The public types are thin faces of the two here, [`HeadRef`] and [`Shared`]; they differ in their first line alone.

use std::fmt;
use std::mem::MaybeUninit;
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::buffer::Buffer;
use crate::config::Config;
use crate::error::Error;
use crate::framing::{Framing, Seen};
use crate::head::{self, Progress, StartLine};
use crate::headers::{Headers, Slot, written};
use crate::index::Index;
use crate::limits::Limits;

/// The first line of a message, which trailers have none of.
pub(crate) trait MessageLine: StartLine {
    /// What the framing depends on besides the head: for a response, the method of the request.
    type Context<'c>: Copy;

    /// Returns how the body ends, given what the fields said, of a head that ends at `end`.
    fn framing(
        &self,
        seen: &Seen,
        config: &Config,
        context: Self::Context<'_>,
        end: usize,
    ) -> Result<Framing, Error>;

    /// Begins what `{:?}` prints of the message.
    fn describe<'f, 'w>(
        &self,
        bytes: &[u8],
        f: &'f mut fmt::Formatter<'w>,
    ) -> fmt::DebugStruct<'f, 'w>;
}

/// What is known of a complete head besides its fields.
#[derive(Clone, Copy)]
pub(crate) struct Facts<L> {
    pub(crate) line: L,
    pub(crate) framing: Framing,
    pub(crate) length: usize,
}

impl<L: MessageLine> Facts<L> {
    #[inline]
    fn new(
        progress: &Progress<L>,
        config: &Config,
        context: L::Context<'_>,
        length: usize,
    ) -> Result<Self, Error> {
        let line = progress.start;
        Ok(Self {
            line,
            framing: line.framing(&progress.seen, config, context, length)?,
            length,
        })
    }
}

/// A complete head, borrowed from its bytes and slots.
#[derive(Clone, Copy)]
pub(crate) struct HeadRef<'a, L> {
    pub(crate) headers: Headers<'a>,
    pub(crate) facts: Facts<L>,
}

impl<'a, L: MessageLine> HeadRef<'a, L> {
    /// Parses the head that `bytes` begin with; `None` if it is not complete yet.
    #[inline]
    pub(crate) fn parse(
        bytes: &'a [u8],
        config: &Config,
        context: L::Context<'_>,
        slots: &'a mut [MaybeUninit<Slot>],
    ) -> Result<Option<Self>, Error> {
        let mut progress = Progress::default();
        let Some(length) = head::parse(bytes, config, &mut progress, slots)? else {
            return Ok(None);
        };
        // SAFETY: the parser has written the first `progress.fields` slots.
        let slots = unsafe { written(slots, progress.fields) };
        Ok(Some(Self {
            headers: Headers::new(bytes, slots, None),
            facts: Facts::new(&progress, config, context, length)?,
        }))
    }

    /// Returns the bytes that the positions of the first line are in.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.headers.bytes()
    }
}

impl<L: MessageLine> fmt::Debug for HeadRef<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = &self.facts.line;
        line.describe(self.bytes(), f)
            .field("version", &(1, u8::from(!line.is_http_1_0())))
            .field("headers", &self.headers)
            .field("framing", &self.facts.framing)
            .finish()
    }
}

/// A complete head over a buffer that it shares, with a table of slots, and an index of it if it is large.
pub(crate) struct Shared<L> {
    pub(crate) buffer: Buffer,
    facts: Facts<L>,
    slots: SmallVec<[Slot; INSIDE]>,
    /// Made by the first look-up where there are many fields; `None` where places cannot be counted.
    index: OnceLock<Option<Index>>,
}

impl<L: MessageLine> Shared<L> {
    /// Parses the head that the buffer begins with; `None` if it is not complete yet.
    #[inline]
    pub(crate) fn parse(
        buffer: &Buffer,
        config: &Config,
        context: L::Context<'_>,
    ) -> Result<Option<Arc<Self>>, Error> {
        let mut few: [MaybeUninit<Slot>; FEW] = Slot::table();
        let mut many = Vec::new();
        let wanted = most_fields(buffer.len(), config);
        let slots = if wanted <= FEW {
            &mut few[..]
        } else {
            many.reserve_exact(wanted);
            many.spare_capacity_mut()
        };
        let mut progress = Progress::default();
        let Some(length) = head::parse(buffer, config, &mut progress, slots)? else {
            return Ok(None);
        };
        // SAFETY: the parser has written the first `progress.fields` slots.
        let slots = unsafe { written(slots, progress.fields) };
        Self::new(buffer.clone(), config, context, &progress, slots, length).map(Some)
    }

    /// Keeps a head of this length that was parsed from the buffer's bytes.
    #[inline]
    pub(crate) fn new(
        buffer: Buffer,
        config: &Config,
        context: L::Context<'_>,
        progress: &Progress<L>,
        slots: &[Slot],
        length: usize,
    ) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            facts: Facts::new(progress, config, context, length)?,
            buffer,
            slots: SmallVec::from_slice(slots),
            index: OnceLock::new(),
        }))
    }

    #[inline]
    pub(crate) fn head(&self) -> HeadRef<'_, L> {
        let index = if self.slots.len() < Index::WORTH {
            None
        } else {
            self.index.get_or_init(|| Index::new(&self.slots)).as_ref()
        };
        HeadRef {
            headers: Headers::new(&self.buffer, &self.slots, index),
            facts: self.facts,
        }
    }
}

impl<L: MessageLine> fmt::Debug for Shared<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head().fmt(f)
    }
}

/// Slots that a head keeps in its own allocation: as many as small requests have fields. With more the copies of a head cost what
/// the second allocation does.
const INSIDE: usize = 4;

/// Slots that fit on the stack: as many as the default limits allow fields.
const FEW: usize = Limits::DEFAULT.fields as usize;

/// How many fields so many bytes can hold, of which a field takes at least four, within the limits.
pub(crate) fn most_fields(bytes: usize, config: &Config) -> usize {
    (bytes / 4 + 1).min(config.limits.fields as usize)
}

/// What every borrowed head says the same way, whose field `0` is a [`HeadRef`].
macro_rules! head_accessors {
    () => {
        /// Returns the version: (1, 1) or (1, 0).
        #[must_use]
        pub fn version(&self) -> (u8, u8) {
            (1, u8::from(!self.0.facts.line.is_http_1_0))
        }

        /// Returns the fields.
        #[must_use]
        pub fn headers(&self) -> Headers<'a> {
            self.0.headers
        }

        /// Returns how the body ends (RFC 9112 6.3), as it was judged when the head was parsed.
        #[must_use]
        pub fn framing(&self) -> Framing {
            self.0.facts.framing
        }

        /// Returns how many bytes the head takes, with its empty line.
        #[must_use]
        pub fn head_length(&self) -> usize {
            self.0.facts.length
        }
    };
}
pub(crate) use head_accessors;
