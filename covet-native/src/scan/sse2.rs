//! The searches through long runs, targets and values, with SSE2: 16 bytes at a time, on every x86-64. Names are short, and
//! looked up in the table.

use std::arch::x86_64::{
    __m128i, _mm_andnot_si128, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_max_epu8,
    _mm_movemask_epi8, _mm_or_si128, _mm_set1_epi8,
};

use super::{Kernel, Scalar, Scan};

#[derive(Clone, Copy)]
pub(crate) struct Sse2;

impl Kernel for Sse2 {
    type Scan = Self;

    #[inline(always)]
    fn scan(self, _: &[u8], _: usize) -> Self {
        self
    }

    #[inline(always)]
    fn host_end(self, bytes: &[u8], from: usize) -> usize {
        Scalar.host_end(bytes, from)
    }
}

impl Scan for Sse2 {
    #[inline(always)]
    fn token_end(&mut self, bytes: &[u8], from: usize) -> usize {
        Scalar.token_end(bytes, from)
    }

    #[inline(always)]
    fn target_end(&mut self, bytes: &[u8], from: usize) -> usize {
        Scalar.target_end(bytes, run(bytes, from, target))
    }

    #[inline(always)]
    fn value_end(&mut self, bytes: &[u8], from: usize) -> usize {
        Scalar.value_end(bytes, run(bytes, from, value))
    }
}

/// Returns the first place whose byte is not inside, or one behind which there are fewer than 16 bytes.
#[inline(always)]
fn run(bytes: &[u8], mut at: usize, inside: impl Fn(__m128i) -> __m128i) -> usize {
    while let Some(sixteen) = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>) {
        // SAFETY: every x86-64 has SSE2; there are 16 bytes.
        let inside = unsafe { _mm_movemask_epi8(inside(_mm_loadu_si128(sixteen.as_ptr().cast()))) };
        let outside = !inside & 0xffff;
        if outside != 0 {
            return at + outside.trailing_zeros() as usize;
        }
        at += 16;
    }
    at
}

/// All bits of each byte that a target may hold.
#[inline(always)]
fn target(bytes: __m128i) -> __m128i {
    // SAFETY: every x86-64 has SSE2.
    unsafe {
        // As signed numbers, bytes from 0x80 on are below the space.
        let above_space = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(b' ' as i8));
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        let hash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'#' as i8));
        _mm_andnot_si128(_mm_or_si128(delete, hash), above_space)
    }
}

/// All bits of each byte that a value may hold.
#[inline(always)]
fn value(bytes: __m128i) -> __m128i {
    // SAFETY: every x86-64 has SSE2.
    unsafe {
        let space = _mm_set1_epi8(b' ' as i8);
        let from_space = _mm_cmpeq_epi8(_mm_max_epu8(bytes, space), bytes);
        let tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b'\t' as i8));
        let delete = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
        _mm_andnot_si128(delete, _mm_or_si128(from_space, tab))
    }
}
