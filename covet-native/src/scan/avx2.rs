//! The searches with AVX2.
//!
//! A pass goes over the bytes in windows of 64, each classified as a whole into one bit for each byte (Langdale and Lemire 2019,
//! "Parsing gigabytes of JSON per second", 3.1.2); a search is a shift and a count of zeros then. Where the next window lies does
//! not depend on what was found, so the processor classifies it ahead while the parser still looks at this one. That is what
//! makes it faster than to classify from where each token begins, by a third.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_and_si256, _mm256_andnot_si256, _mm256_broadcastsi128_si256,
    _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_max_epu8,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_shuffle_epi8,
    _mm256_srli_epi16,
};

use std::sync::atomic::{AtomicU8, Ordering};

use super::{Kernel, Scan, is_host, is_token};

/// A proof that this machine has AVX2, and BMI1 and BMI2, which came with it.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// `None` on a machine without them. Costs a load: the answer is kept.
    #[inline]
    pub(crate) fn new() -> Option<Self> {
        match AVAILABLE.load(Ordering::Relaxed) {
            YES => Some(Self(())),
            NO => None,
            _ => Self::detect(),
        }
    }

    #[cold]
    #[inline(never)]
    fn detect() -> Option<Self> {
        let available = std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("bmi1")
            && std::is_x86_feature_detected!("bmi2");
        // Relaxed: whoever does not see it yet finds out the same.
        AVAILABLE.store(if available { YES } else { NO }, Ordering::Relaxed);
        available.then_some(Self(()))
    }
}

/// Whether this machine has the three: one answer, where the standard library keeps three.
static AVAILABLE: AtomicU8 = AtomicU8::new(0);
const YES: u8 = 1;
const NO: u8 = 2;

impl Kernel for Avx2 {
    type Scan = Window;

    #[inline(always)]
    fn scan(self, bytes: &[u8], from: usize) -> Window {
        let mut window = Window {
            avx2: self,
            start: from.min(bytes.len().saturating_sub(WIDTH)),
            no_token: 0,
            no_value: 0,
        };
        window.classify(Lanes::load(self, bytes, window.start));
        window
    }

    #[inline(always)]
    fn host_end(self, bytes: &[u8], from: usize) -> usize {
        let mut at = from;
        while at < bytes.len() {
            let start = at.min(bytes.len().saturating_sub(WIDTH));
            let outside = Lanes::load(self, bytes, start).outside(&HOST) >> (at - start);
            if outside != 0 {
                return at + outside.trailing_zeros() as usize;
            }
            at = start + WIDTH;
        }
        bytes.len()
    }
}

/// The bytes of a window, and of a vector.
const WIDTH: usize = 64;
const HALF: usize = WIDTH / 2;

/// A place in a pass: 64 bytes of the input, the last of them at the end, and all if there are fewer.
pub(crate) struct Window {
    avx2: Avx2,
    start: usize,
    /// A bit for each byte that is no token character.
    no_token: u64,
    /// A bit for each byte that no value may hold.
    no_value: u64,
}

impl Window {
    #[inline(always)]
    fn classify(&mut self, lanes: Lanes) {
        self.no_token = lanes.outside(&TOKEN);
        self.no_value = lanes.outside_value();
    }

    /// Searches a byte that has a bit, in this window and those that follow.
    #[inline(always)]
    fn find<O: Outside>(&mut self, bytes: &[u8], mut from: usize) -> usize {
        loop {
            let offset = from - self.start;
            if offset < WIDTH {
                let outside = O::bits(self, bytes) >> offset;
                if outside != 0 {
                    // Where the window is longer than the input, the byte behind the end is in no class.
                    return from + outside.trailing_zeros() as usize;
                }
                from = self.start + WIDTH;
            }
            let next = (self.start + WIDTH).min(bytes.len().saturating_sub(WIDTH));
            if next == self.start {
                return bytes.len();
            }
            // That there is another one means that the input is no shorter than a window.
            self.start = next;
            self.classify(Lanes::window(self.avx2, bytes, next));
        }
    }
}

impl Scan for Window {
    #[inline(always)]
    fn token_end(&mut self, bytes: &[u8], from: usize) -> usize {
        self.find::<Token>(bytes, from)
    }

    #[inline(always)]
    fn target_end(&mut self, bytes: &[u8], from: usize) -> usize {
        self.find::<Target>(bytes, from)
    }

    #[inline(always)]
    fn value_end(&mut self, bytes: &[u8], from: usize) -> usize {
        self.find::<Value>(bytes, from)
    }
}

/// Which bits of a window are searched. These are types and no closures: only a function that is always inlined takes on AVX2
/// from the one it is inlined into.
trait Outside {
    fn bits(window: &Window, bytes: &[u8]) -> u64;
}

struct Token;
struct Target;
struct Value;

impl Outside for Token {
    #[inline(always)]
    fn bits(window: &Window, _: &[u8]) -> u64 {
        window.no_token
    }
}

impl Outside for Value {
    #[inline(always)]
    fn bits(window: &Window, _: &[u8]) -> u64 {
        window.no_value
    }
}

impl Outside for Target {
    /// Asked for in one line only, so not kept.
    #[inline(always)]
    fn bits(window: &Window, bytes: &[u8]) -> u64 {
        Lanes::load(window.avx2, bytes, window.start).outside_target()
    }
}

/// The bytes of a window, in two vectors. Whoever has them has a machine with AVX2.
#[derive(Clone, Copy)]
struct Lanes {
    low: __m256i,
    high: __m256i,
    /// At which byte of the window the second vector begins: of an input shorter than the window they overlap.
    high_at: u32,
}

impl Lanes {
    /// Loads 64 bytes from `start` on; of an input of fewer, all.
    #[inline(always)]
    fn load(avx2: Avx2, bytes: &[u8], start: usize) -> Self {
        if bytes.len() >= WIDTH {
            return Self::window(avx2, bytes, start);
        }
        let few;
        let (low, high, high_at) = if let Some(high_at) = bytes.len().checked_sub(HALF) {
            (&bytes[..HALF], &bytes[high_at..], high_at)
        } else {
            few = padded(bytes);
            (&few[..HALF], &few[HALF..], HALF)
        };
        Self::halves(avx2, low, high, high_at)
    }

    /// Loads 64 bytes from `start` on, which are there.
    #[inline(always)]
    fn window(avx2: Avx2, bytes: &[u8], start: usize) -> Self {
        let (low, high) = bytes[start..start + WIDTH].split_at(HALF);
        Self::halves(avx2, low, high, HALF)
    }

    #[inline(always)]
    fn halves(_: Avx2, low: &[u8], high: &[u8], high_at: usize) -> Self {
        assert!(low.len() == HALF && high.len() == HALF);
        // SAFETY: the proof says that there is AVX2; both are 32 bytes.
        unsafe {
            Self {
                low: _mm256_loadu_si256(low.as_ptr().cast()),
                high: _mm256_loadu_si256(high.as_ptr().cast()),
                high_at: high_at as u32,
            }
        }
    }

    /// A bit for each byte that is not in a class of ASCII characters.
    #[inline(always)]
    fn outside(self, class: &Table) -> u64 {
        // SAFETY: lanes exist only with AVX2.
        unsafe { self.without(inside(class, self.low), inside(class, self.high)) }
    }

    /// A bit for each byte that is no visible ASCII, or `#`.
    #[inline(always)]
    fn outside_target(self) -> u64 {
        // SAFETY: lanes exist only with AVX2.
        unsafe { self.without(target(self.low), target(self.high)) }
    }

    /// A bit for each control character but the tab.
    #[inline(always)]
    fn outside_value(self) -> u64 {
        // SAFETY: lanes exist only with AVX2.
        unsafe { self.without(value(self.low), value(self.high)) }
    }

    /// A bit for each byte whose highest bit is not set in either vector, and for each place behind the end.
    ///
    /// # Safety
    ///
    /// The machine has AVX2.
    #[inline(always)]
    unsafe fn without(self, low: __m256i, high: __m256i) -> u64 {
        // SAFETY: as promised.
        let [low, high] = unsafe { [_mm256_movemask_epi8(low), _mm256_movemask_epi8(high)] };
        !(u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << self.high_at)
    }
}

#[cold]
fn padded(bytes: &[u8]) -> [u8; WIDTH] {
    let mut few = [0; WIDTH];
    few[..bytes.len()].copy_from_slice(bytes);
    few
}

// The functions from here on ask for a machine with AVX2, as their `# Safety`.

/// All bits of each byte that is in the class.
#[inline(always)]
unsafe fn inside(class: &Table, bytes: __m256i) -> __m256i {
    // SAFETY: as promised; the tables are 16 bytes.
    unsafe {
        let rows = _mm256_broadcastsi128_si256(_mm_loadu_si128(class.0.as_ptr().cast()));
        let bits = _mm256_broadcastsi128_si256(_mm_loadu_si128(HIGH.as_ptr().cast()));
        // A byte from 0x80 on picks zero as its row, in which none of its bits is set.
        let row = _mm256_shuffle_epi8(rows, bytes);
        let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(0x0f));
        let bit = _mm256_shuffle_epi8(bits, high);
        _mm256_cmpeq_epi8(_mm256_and_si256(row, bit), bit)
    }
}

/// All bits of each byte that a target may hold.
#[inline(always)]
unsafe fn target(bytes: __m256i) -> __m256i {
    // SAFETY: as promised.
    unsafe {
        // As signed numbers, bytes from 0x80 on are below the space.
        let above_space = _mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(b' ' as i8));
        let delete = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
        let hash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'#' as i8));
        _mm256_andnot_si256(_mm256_or_si256(delete, hash), above_space)
    }
}

/// All bits of each byte that a value may hold.
#[inline(always)]
unsafe fn value(bytes: __m256i) -> __m256i {
    // SAFETY: as promised.
    unsafe {
        let space = _mm256_set1_epi8(b' ' as i8);
        let from_space = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, space), bytes);
        let tab = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'\t' as i8));
        let delete = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(0x7f));
        _mm256_andnot_si256(delete, _mm256_or_si256(from_space, tab))
    }
}

/// For each low half of a byte, a bit for each high half from 0 to 7 with which it is in the class.
struct Table([u8; 16]);

/// The bit of each high half; all of them for those of no ASCII character.
static HIGH: [u8; 16] = [
    1, 2, 4, 8, 16, 32, 64, 128, 255, 255, 255, 255, 255, 255, 255, 255,
];

macro_rules! table {
    ($is_inside:ident) => {{
        let mut rows = [0; 16];
        let mut byte = 0;
        while byte < 128 {
            if $is_inside(byte) {
                rows[byte as usize % 16] |= 1 << (byte / 16);
            }
            byte += 1;
        }
        Table(rows)
    }};
}

static TOKEN: Table = table!(is_token);
static HOST: Table = table!(is_host);
