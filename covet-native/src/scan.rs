//! Byte classes, and how far a run of a class reaches: the only loops over the bytes of a head.
//!
//! Each search exists as a loop over a table, with AVX2, 64 bytes at a time, and the longer ones with SSE2, 16 at a time. All
//! give the same answer for any bytes. One way is chosen for each message, so that it is compiled into the parser as a whole.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
mod sse2;

/// The best way that every machine of this architecture has.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use Scalar as Baseline;
#[cfg(target_arch = "x86_64")]
pub(crate) use sse2::Sse2 as Baseline;

/// A way to search.
pub(crate) trait Kernel: Copy {
    type Scan: Scan;

    /// Begins a pass over `bytes`, in which no search starts before `from`.
    fn scan(self, bytes: &[u8], from: usize) -> Self::Scan;

    /// What a host name may hold, without brackets, colon and port. Returns the first place from `from` on whose byte is not
    /// of this class, or the length.
    fn host_end(self, bytes: &[u8], from: usize) -> usize;
}

/// The searches of one pass. The bytes are the same each time, and no search starts before one that was asked for earlier. Each
/// returns the first place from `from` on whose byte is not of the class, or the length.
pub(crate) trait Scan {
    /// Token characters: field names and methods.
    fn token_end(&mut self, bytes: &[u8], from: usize) -> usize;
    /// What a target may hold: visible ASCII but `#`.
    fn target_end(&mut self, bytes: &[u8], from: usize) -> usize;
    /// What a field value may hold: everything but control characters, and the tab.
    fn value_end(&mut self, bytes: &[u8], from: usize) -> usize;
}

/// The searches as loops, for any machine.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Kernel for Scalar {
    type Scan = Self;

    #[inline(always)]
    fn scan(self, _: &[u8], _: usize) -> Self {
        self
    }

    #[inline(always)]
    fn host_end(self, bytes: &[u8], from: usize) -> usize {
        end_of(HOST, bytes, from)
    }
}

impl Scan for Scalar {
    #[inline(always)]
    fn token_end(&mut self, bytes: &[u8], from: usize) -> usize {
        end_of(TOKEN, bytes, from)
    }

    #[inline(always)]
    fn target_end(&mut self, bytes: &[u8], from: usize) -> usize {
        end_of(TARGET, bytes, from)
    }

    #[inline(always)]
    fn value_end(&mut self, bytes: &[u8], from: usize) -> usize {
        end_of(VALUE, bytes, from)
    }
}

#[inline(always)]
fn end_of(class: u8, bytes: &[u8], from: usize) -> usize {
    let mut end = from;
    while end < bytes.len() && CLASSES[bytes[end] as usize] & class != 0 {
        end += 1;
    }
    end
}

const TOKEN: u8 = 1;
const TARGET: u8 = 2;
const VALUE: u8 = 4;
const HOST: u8 = 8;

/// For each byte the classes it is in.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        let mut class = 0;
        if is_token(b) {
            class |= TOKEN;
        }
        if b.is_ascii_graphic() && b != b'#' {
            class |= TARGET;
        }
        if b == b'\t' || !b.is_ascii_control() {
            class |= VALUE;
        }
        if is_host(b) {
            class |= HOST;
        }
        classes[byte] = class;
        byte += 1;
    }
    classes
};

/// `tchar` of RFC 9110 5.6.2.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// `unreserved`, `sub-delims` and the percent sign of RFC 3986 3.2.2.
const fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'%'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
        )
}

/// Without the spaces and tabs around it.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::avx2::Avx2;
    use super::{Baseline, Kernel, Scalar, Scan};

    /// All ends of a kernel from one place, each in a pass of its own that begins at `begin`.
    fn ends<K: Kernel>(kernel: K, bytes: &[u8], begin: usize, from: usize) -> [usize; 4] {
        [
            kernel.scan(bytes, begin).token_end(bytes, from),
            kernel.scan(bytes, begin).target_end(bytes, from),
            kernel.scan(bytes, begin).value_end(bytes, from),
            kernel.host_end(bytes, from),
        ]
    }

    /// Every byte at every place, in inputs of lengths around those of the vectors.
    fn agrees_with_scalar<K: Kernel>(kernel: K) {
        for length in [0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130] {
            let mut bytes = vec![b'a'; length];
            for place in 0..length {
                for byte in 0..=255 {
                    bytes[place] = byte;
                    for from in [0, place, place + 1] {
                        for begin in [0, from] {
                            assert_eq!(
                                ends(kernel, &bytes, begin, from),
                                ends(Scalar, &bytes, begin, from),
                                "byte {byte:#04x} at {place} of {length}, from {from}"
                            );
                        }
                    }
                }
                bytes[place] = b'a';
            }
        }
    }

    #[test]
    fn avx2_agrees_with_scalar_on_every_byte_at_every_offset() {
        match Avx2::new() {
            Some(avx2) => agrees_with_scalar(avx2),
            None => eprintln!("no AVX2 here: nothing to compare"),
        }
    }

    #[test]
    fn sse2_agrees_with_scalar_on_every_byte_at_every_offset() {
        agrees_with_scalar(Baseline);
    }
}
