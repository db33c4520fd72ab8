//! AVX2 with FMA: a vector is two registers.

// SAFETY (of every unsafe function here): the caller runs where AVX2 and FMA are available, as `vector` demands; pointers are
// the caller's promise.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

use core::arch::x86_64::*;

use crate::dispatch::Kernel;
use crate::vector::{BYTES, RealVector, Set, Vector};

/// AVX2 and FMA: Intel since Haswell (2013), AMD since Zen.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

impl Set for Avx2 {
    type F32 = F32;
    type F64 = F64;
    type I32 = I32;
    type I64 = I64;
    const REGISTERS: usize = 8;

    #[inline(always)]
    unsafe fn widen(vector: Self::F32) -> [Self::F64; 2] {
        [
            F64(
                _mm256_cvtps_pd(_mm256_castps256_ps128(vector.0)),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(vector.0)),
            ),
            F64(
                _mm256_cvtps_pd(_mm256_castps256_ps128(vector.1)),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(vector.1)),
            ),
        ]
    }

    #[inline(always)]
    unsafe fn prefetch<T>(from: *const T) {
        _mm_prefetch::<_MM_HINT_T0>(from.cast());
    }

    #[inline(always)]
    unsafe fn fence() {
        _mm_sfence();
    }
}

pub(crate) fn is_available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Runs a kernel, of which all that is inlined here is compiled for this set.
#[target_feature(enable = "avx2,fma")]
pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

macro_rules! vector {
    ($name:ident, $element:ty, $register:ty, $half:literal,
     splat $splat:ident, load $load:ident, store $store:ident, stream $stream:ident, mask_load $mask_load:ident,
     mask_store $mask_store:ident, first $first:ident, add $add:ident, sub $sub:ident, mul $mul:ident,
     mul_add $mul_add:ident, neg $neg:ident, abs $abs:ident, min $min:ident, max $max:ident,
     select $select:ident, equal $equal:ident, unordered $unordered:ident, bits $bits:ident) => {
        #[doc = concat!("Two registers of `", stringify!($element), "`.")]
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register, $register);

        impl Vector for $name {
            type Element = $element;
            type Mask = [$register; 2];
            const LANES: usize = BYTES / size_of::<$element>();

            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                Self($splat(value), $splat(value))
            }
            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                Self($load(from.cast()), $load(from.add($half).cast()))
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                $store(to.cast(), self.0);
                $store(to.add($half).cast(), self.1);
            }
            #[inline(always)]
            unsafe fn stream(self, to: *mut $element) {
                $stream(to.cast(), self.0);
                $stream(to.add($half).cast(), self.1);
            }
            #[inline(always)]
            unsafe fn load_first(self, count: usize, from: *const $element) -> Self {
                let [low, high] = $first(count);
                let there = Self(
                    $mask_load(from.cast(), low),
                    // Nothing is read where nothing is set, wherever that is.
                    $mask_load(from.wrapping_add($half).cast(), high),
                );
                let unset = Self::from_integers(low, high);
                Self::select([unset.0, unset.1], there, self)
            }
            #[inline(always)]
            unsafe fn store_first(self, count: usize, to: *mut $element) {
                let [low, high] = $first(count);
                $mask_store(to.cast(), low, self.0);
                $mask_store(to.wrapping_add($half).cast(), high, self.1);
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self($add(self.0, other.0), $add(self.1, other.1))
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self($sub(self.0, other.0), $sub(self.1, other.1))
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Self($mul(self.0, other.0), $mul(self.1, other.1))
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                Self(
                    $mul_add(self.0, factor.0, addend.0),
                    $mul_add(self.1, factor.1, addend.1),
                )
            }
            #[inline(always)]
            unsafe fn neg(self) -> Self {
                Self($neg(self.0), $neg(self.1))
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                Self($abs(self.0), $abs(self.1))
            }
            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                Self($min(self.0, other.0), $min(self.1, other.1))
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                Self($max(self.0, other.0), $max(self.1, other.1))
            }
            #[inline(always)]
            unsafe fn equal(self, other: Self) -> Self::Mask {
                [$equal(self.0, other.0), $equal(self.1, other.1)]
            }
            #[inline(always)]
            unsafe fn unordered(self, other: Self) -> Self::Mask {
                [$unordered(self.0, other.0), $unordered(self.1, other.1)]
            }
            #[inline(always)]
            unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
                Self($select(no.0, yes.0, mask[0]), $select(no.1, yes.1, mask[1]))
            }
            #[inline(always)]
            unsafe fn or(a: Self::Mask, b: Self::Mask) -> Self::Mask {
                Self::join(a, b)
            }
            #[inline(always)]
            unsafe fn bits(mask: Self::Mask) -> u32 {
                $bits(mask[0]) as u32 | ($bits(mask[1]) as u32) << $half
            }
        }
    };
}

/// What differs between registers of floats and of integers only in how it is spelled.
macro_rules! registers {
    ($name:ident, $register:ty, or $or:ident, from_integers $from_integers:ident) => {
        impl $name {
            #[inline(always)]
            unsafe fn from_integers(low: __m256i, high: __m256i) -> Self {
                Self($from_integers(low), $from_integers(high))
            }
            #[inline(always)]
            unsafe fn join(a: [$register; 2], b: [$register; 2]) -> [$register; 2] {
                [$or(a[0], b[0]), $or(a[1], b[1])]
            }
        }
    };
}

vector!(F32, f32, __m256, 8,
    splat _mm256_set1_ps, load _mm256_loadu_ps, store _mm256_storeu_ps, stream _mm256_stream_ps, mask_load _mm256_maskload_ps,
    mask_store _mm256_maskstore_ps, first first_of_16, add _mm256_add_ps, sub _mm256_sub_ps, mul _mm256_mul_ps,
    mul_add _mm256_fmadd_ps, neg neg_ps, abs abs_ps, min _mm256_min_ps, max _mm256_max_ps,
    select _mm256_blendv_ps, equal equal_ps, unordered unordered_ps, bits _mm256_movemask_ps);
vector!(F64, f64, __m256d, 4,
    splat _mm256_set1_pd, load _mm256_loadu_pd, store _mm256_storeu_pd, stream _mm256_stream_pd, mask_load _mm256_maskload_pd,
    mask_store _mm256_maskstore_pd, first first_of_8, add _mm256_add_pd, sub _mm256_sub_pd, mul _mm256_mul_pd,
    mul_add _mm256_fmadd_pd, neg neg_pd, abs abs_pd, min _mm256_min_pd, max _mm256_max_pd,
    select _mm256_blendv_pd, equal equal_pd, unordered unordered_pd, bits _mm256_movemask_pd);
vector!(I32, i32, __m256i, 8,
    splat _mm256_set1_epi32, load _mm256_loadu_si256, store _mm256_storeu_si256, stream _mm256_stream_si256,
    mask_load _mm256_maskload_epi32, mask_store _mm256_maskstore_epi32, first first_of_16,
    add _mm256_add_epi32, sub _mm256_sub_epi32, mul _mm256_mullo_epi32, mul_add mul_add_epi32, neg neg_epi32,
    abs _mm256_abs_epi32, min _mm256_min_epi32, max _mm256_max_epi32, select _mm256_blendv_epi8,
    equal _mm256_cmpeq_epi32, unordered never, bits bits_epi32);
vector!(I64, i64, __m256i, 4,
    splat _mm256_set1_epi64x, load _mm256_loadu_si256, store _mm256_storeu_si256, stream _mm256_stream_si256,
    mask_load _mm256_maskload_epi64, mask_store _mm256_maskstore_epi64, first first_of_8,
    add _mm256_add_epi64, sub _mm256_sub_epi64, mul mul_epi64, mul_add mul_add_epi64, neg neg_epi64,
    abs abs_epi64, min min_epi64, max max_epi64, select _mm256_blendv_epi8,
    equal _mm256_cmpeq_epi64, unordered never, bits bits_epi64);

registers!(F32, __m256, or _mm256_or_ps, from_integers _mm256_castsi256_ps);
registers!(F64, __m256d, or _mm256_or_pd, from_integers _mm256_castsi256_pd);
registers!(I32, __m256i, or _mm256_or_si256, from_integers same);
registers!(I64, __m256i, or _mm256_or_si256, from_integers same);

macro_rules! helpers {
    ($($name:ident($($operand:ident: $register:ty),+) -> $result:ty $body:block)*) => {
        $(
            #[inline(always)]
            unsafe fn $name($($operand: $register),+) -> $result $body
        )*
    };
}

// What the set has no instruction for. Functions rather than closures, which would not always be inlined.
helpers! {
    neg_ps(a: __m256) -> __m256 { _mm256_xor_ps(a, _mm256_set1_ps(-0.0)) }
    neg_pd(a: __m256d) -> __m256d { _mm256_xor_pd(a, _mm256_set1_pd(-0.0)) }
    abs_ps(a: __m256) -> __m256 { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
    abs_pd(a: __m256d) -> __m256d { _mm256_andnot_pd(_mm256_set1_pd(-0.0), a) }
    equal_ps(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_EQ_OQ>(a, b) }
    equal_pd(a: __m256d, b: __m256d) -> __m256d { _mm256_cmp_pd::<_CMP_EQ_OQ>(a, b) }
    less_ps(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    less_pd(a: __m256d, b: __m256d) -> __m256d { _mm256_cmp_pd::<_CMP_LT_OQ>(a, b) }
    unordered_ps(a: __m256, b: __m256) -> __m256 { _mm256_cmp_ps::<_CMP_UNORD_Q>(a, b) }
    unordered_pd(a: __m256d, b: __m256d) -> __m256d { _mm256_cmp_pd::<_CMP_UNORD_Q>(a, b) }
    round_ps(a: __m256) -> __m256 { _mm256_round_ps::<NEAREST>(a) }
    round_pd(a: __m256d) -> __m256d { _mm256_round_pd::<NEAREST>(a) }

    copy_sign_ps(a: __m256, sign: __m256) -> __m256 {
        _mm256_or_ps(abs_ps(a), _mm256_and_ps(sign, _mm256_set1_ps(-0.0)))
    }
    copy_sign_pd(a: __m256d, sign: __m256d) -> __m256d {
        _mm256_or_pd(abs_pd(a), _mm256_and_pd(sign, _mm256_set1_pd(-0.0)))
    }

    same(a: __m256i) -> __m256i { a }
    never(_a: __m256i, _b: __m256i) -> __m256i { _mm256_setzero_si256() }
    bits_epi32(a: __m256i) -> i32 { _mm256_movemask_ps(_mm256_castsi256_ps(a)) }
    bits_epi64(a: __m256i) -> i32 { _mm256_movemask_pd(_mm256_castsi256_pd(a)) }
    neg_epi32(a: __m256i) -> __m256i { _mm256_sub_epi32(_mm256_setzero_si256(), a) }
    neg_epi64(a: __m256i) -> __m256i { _mm256_sub_epi64(_mm256_setzero_si256(), a) }
    abs_epi64(a: __m256i) -> __m256i { _mm256_blendv_epi8(a, neg_epi64(a), _mm256_cmpgt_epi64(_mm256_setzero_si256(), a)) }
    min_epi64(a: __m256i, b: __m256i) -> __m256i { _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b)) }
    max_epi64(a: __m256i, b: __m256i) -> __m256i { _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b)) }
    mul_add_epi32(a: __m256i, b: __m256i, c: __m256i) -> __m256i { _mm256_add_epi32(_mm256_mullo_epi32(a, b), c) }
    mul_add_epi64(a: __m256i, b: __m256i, c: __m256i) -> __m256i { _mm256_add_epi64(mul_epi64(a, b), c) }

    mul_epi64(a: __m256i, b: __m256i) -> __m256i {
        // From halves of 32 bits; that of the two upper halves lies beyond.
        let crossed = _mm256_mullo_epi32(a, _mm256_shuffle_epi32::<0b10_11_00_01>(b));
        let crossed = _mm256_add_epi32(_mm256_slli_epi64::<32>(crossed), crossed);
        let crossed = _mm256_and_si256(crossed, _mm256_set1_epi64x(!0xffff_ffff));
        _mm256_add_epi64(crossed, _mm256_mul_epu32(a, b))
    }
}

/// To the nearest, ties to even, no exception.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

/// Sets the first `count` of 16 lanes.
#[inline(always)]
unsafe fn first_of_16(count: usize) -> [__m256i; 2] {
    let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    let count = count as i32;
    [
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane),
        _mm256_cmpgt_epi32(_mm256_set1_epi32(count - 8), lane),
    ]
}

/// Sets the first `count` of 8 lanes.
#[inline(always)]
unsafe fn first_of_8(count: usize) -> [__m256i; 2] {
    let lane = _mm256_setr_epi64x(0, 1, 2, 3);
    let count = count as i64;
    [
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lane),
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(count - 4), lane),
    ]
}

macro_rules! real_vector {
    ($name:ident, copy_sign $copy_sign:ident, div $div:ident, sqrt $sqrt:ident, less $less:ident, round $round:ident,
     scale $scale:ident, split $split:ident) => {
        impl RealVector for $name {
            #[inline(always)]
            unsafe fn div(self, other: Self) -> Self {
                Self($div(self.0, other.0), $div(self.1, other.1))
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                Self($sqrt(self.0), $sqrt(self.1))
            }
            #[inline(always)]
            unsafe fn copy_sign(self, sign: Self) -> Self {
                Self($copy_sign(self.0, sign.0), $copy_sign(self.1, sign.1))
            }
            #[inline(always)]
            unsafe fn less(self, other: Self) -> Self::Mask {
                [$less(self.0, other.0), $less(self.1, other.1)]
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                Self($round(self.0), $round(self.1))
            }
            #[inline(always)]
            unsafe fn scale(self, power: Self) -> Self {
                Self($scale(self.0, power.0), $scale(self.1, power.1))
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                let (low, high) = ($split(self.0), $split(self.1));
                (Self(low.0, high.0), Self(low.1, high.1))
            }
        }
    };
}

real_vector!(F32, copy_sign copy_sign_ps, div _mm256_div_ps, sqrt _mm256_sqrt_ps, less less_ps, round round_ps,
    scale scale_ps, split split_ps);
real_vector!(F64, copy_sign copy_sign_pd, div _mm256_div_pd, sqrt _mm256_sqrt_pd, less less_pd, round round_pd,
    scale scale_pd, split split_pd);

/// In two steps, neither of which leaves the range of exponents; only the second can round.
#[inline(always)]
unsafe fn scale_ps(a: __m256, power: __m256) -> __m256 {
    let power = _mm256_cvtps_epi32(power);
    let first = _mm256_srai_epi32::<1>(power);
    let second = _mm256_sub_epi32(power, first);
    let bias = _mm256_set1_epi32(127);
    let first = _mm256_slli_epi32::<23>(_mm256_add_epi32(first, bias));
    let second = _mm256_slli_epi32::<23>(_mm256_add_epi32(second, bias));
    let scaled = _mm256_mul_ps(a, _mm256_castsi256_ps(first));
    _mm256_mul_ps(scaled, _mm256_castsi256_ps(second))
}

#[inline(always)]
unsafe fn scale_pd(a: __m256d, power: __m256d) -> __m256d {
    // The bits of `whole + n` end in n, as 1.5 * 2^52 has none set there: no instruction makes integers of 64 bits.
    let whole = _mm256_set1_pd(6_755_399_441_055_744.0);
    let half = _mm256_mul_pd(power, _mm256_set1_pd(0.5));
    let first = _mm256_add_pd(half, whole);
    let second = _mm256_add_pd(_mm256_sub_pd(power, _mm256_sub_pd(first, whole)), whole);
    let bias = _mm256_set1_epi64x(1023);
    let first = _mm256_slli_epi64::<52>(_mm256_add_epi64(_mm256_castpd_si256(first), bias));
    let second = _mm256_slli_epi64::<52>(_mm256_add_epi64(_mm256_castpd_si256(second), bias));
    let scaled = _mm256_mul_pd(a, _mm256_castsi256_pd(first));
    _mm256_mul_pd(scaled, _mm256_castsi256_pd(second))
}

#[inline(always)]
unsafe fn split_ps(a: __m256) -> (__m256, __m256) {
    let subnormal = less_ps(a, _mm256_set1_ps(f32::MIN_POSITIVE));
    let shift = _mm256_blendv_ps(_mm256_set1_ps(0.0), _mm256_set1_ps(23.0), subnormal);
    let normal = _mm256_blendv_ps(a, _mm256_mul_ps(a, _mm256_set1_ps(8_388_608.0)), subnormal);
    let bits = _mm256_castps_si256(normal);
    // So the exponent goes up where the mantissa reaches 1.5.
    let field = _mm256_srli_epi32::<23>(_mm256_add_epi32(bits, _mm256_set1_epi32(1 << 22)));
    let exponent = _mm256_sub_epi32(field, _mm256_set1_epi32(127));
    let mantissa = _mm256_sub_epi32(bits, _mm256_slli_epi32::<23>(exponent));
    (
        _mm256_castsi256_ps(mantissa),
        _mm256_sub_ps(_mm256_cvtepi32_ps(exponent), shift),
    )
}

#[inline(always)]
unsafe fn split_pd(a: __m256d) -> (__m256d, __m256d) {
    let subnormal = less_pd(a, _mm256_set1_pd(f64::MIN_POSITIVE));
    let shift = _mm256_blendv_pd(
        _mm256_set1_pd(1023.0),
        _mm256_set1_pd(1023.0 + 52.0),
        subnormal,
    );
    let normal = _mm256_blendv_pd(
        a,
        _mm256_mul_pd(a, _mm256_set1_pd(4_503_599_627_370_496.0)),
        subnormal,
    );
    let bits = _mm256_castpd_si256(normal);
    // So the exponent goes up where the mantissa reaches 1.5.
    let field = _mm256_srli_epi64::<52>(_mm256_add_epi64(bits, _mm256_set1_epi64x(1 << 51)));
    let exponent = _mm256_sub_epi64(field, _mm256_set1_epi64x(1023));
    let mantissa = _mm256_sub_epi64(bits, _mm256_slli_epi64::<52>(exponent));
    // 2^52 with n in its last bits is 2^52 + n: no instruction makes floats of 64-bit integers.
    let whole = _mm256_set1_pd(4_503_599_627_370_496.0);
    let exponent = _mm256_or_si256(field, _mm256_castpd_si256(whole));
    let exponent = _mm256_sub_pd(_mm256_castsi256_pd(exponent), whole);
    (
        _mm256_castsi256_pd(mantissa),
        _mm256_sub_pd(exponent, shift),
    )
}
