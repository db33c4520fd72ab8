//! The keys of dicts that were read lately: records have the same ones, again and again.
//!
//! A key that is found here is not made again, and neither is its hash, which is most of what a small dict costs (orjson does the
//! same). One place for each hash of its bytes; who comes later stays.

use crate::ffi;
use crate::object::{Object, Raised};
use std::cell::RefCell;

/// How many there are in one interpreter.
const PLACES: usize = 256;

/// The longest.
const LONGEST: usize = 32;

/// Keys of one interpreter, of which each has code units of one byte.
#[derive(Debug)]
pub(crate) struct Keys(RefCell<Box<[Option<Object>]>>);

impl Keys {
    pub(crate) fn new() -> Self {
        Self(RefCell::new((0..PLACES).map(|_| None).collect()))
    }

    /// The `str` of these code units; `make` makes it if it is not there.
    #[inline]
    pub(crate) fn get(
        &self,
        units: &[u8],
        make: impl FnOnce(&[u8]) -> Result<Object, Raised>,
    ) -> Result<Object, Raised> {
        // Without a GIL several threads would look here at the same time.
        if ffi::FREE_THREADED_BUILD || units.len() > LONGEST {
            return make(units);
        }
        let mut places = self.0.borrow_mut();
        let place = &mut places[place_of(units)];
        if let Some(key) = place
            // SAFETY: attached, as whoever asks for objects; only such `str` are put here.
            && unsafe { ffi::string_units(key.as_ptr()) } == (1, units)
        {
            return Ok(key.another());
        }
        let key = make(units)?;
        *place = Some(key.another());
        Ok(key)
    }
}

/// By the first eight bytes, the last eight, and the length.
#[inline]
fn place_of(units: &[u8]) -> usize {
    let word = |part: &[u8]| {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        u64::from_ne_bytes(word)
    };
    let (first, last) = match (units.first_chunk::<8>(), units.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)),
        _ => (word(units), 0),
    };
    let mixed =
        (first ^ last.rotate_left(29) ^ units.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 56) as usize % PLACES
}
