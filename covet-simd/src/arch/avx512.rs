//! AVX-512: a vector is a register.

// SAFETY (of every unsafe function here): the caller runs where AVX-512 F, BW, DQ and VL are available, as `vector` demands;
// pointers are the caller's promise.
#![allow(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

use core::arch::x86_64::*;

use crate::dispatch::Kernel;
use crate::vector::{BYTES, RealVector, Set, Vector};

/// AVX-512 F, BW, DQ and VL: what all servers with AVX-512 have.
#[derive(Clone, Copy)]
pub(crate) struct Avx512;

impl Set for Avx512 {
    type F32 = F32;
    type F64 = F64;
    type I32 = I32;
    type I64 = I64;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn widen(vector: Self::F32) -> [Self::F64; 2] {
        [
            F64(_mm512_cvtps_pd(_mm512_castps512_ps256(vector.0))),
            F64(_mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(vector.0))),
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
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Runs a kernel, of which all that is inlined here is compiled for this set.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

macro_rules! vector {
    ($name:ident, $element:ty, $register:ty, $mask:ty,
     splat $splat:ident, load $load:ident, store $store:ident, stream $stream:ident, load_first $load_first:ident,
     store_first $store_first:ident, add $add:ident, sub $sub:ident, mul $mul:ident, mul_add $mul_add:ident,
     neg $neg:ident, abs $abs:ident, min $min:ident, max $max:ident, select $select:ident, equal $equal:expr,
     unordered $unordered:expr) => {
        #[doc = concat!("A register of `", stringify!($element), "`.")]
        #[derive(Clone, Copy)]
        pub(crate) struct $name($register);

        impl Vector for $name {
            type Element = $element;
            type Mask = $mask;
            const LANES: usize = BYTES / size_of::<$element>();

            #[inline(always)]
            unsafe fn splat(value: $element) -> Self {
                Self($splat(value))
            }
            #[inline(always)]
            unsafe fn load(from: *const $element) -> Self {
                Self($load(from.cast()))
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $element) {
                $store(to.cast(), self.0)
            }
            #[inline(always)]
            unsafe fn stream(self, to: *mut $element) {
                $stream(to.cast(), self.0)
            }
            #[inline(always)]
            unsafe fn load_first(self, count: usize, from: *const $element) -> Self {
                Self($load_first(
                    self.0,
                    ((1u32 << count) - 1) as $mask,
                    from.cast(),
                ))
            }
            #[inline(always)]
            unsafe fn store_first(self, count: usize, to: *mut $element) {
                $store_first(to.cast(), ((1u32 << count) - 1) as $mask, self.0)
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                Self($add(self.0, other.0))
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                Self($sub(self.0, other.0))
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                Self($mul(self.0, other.0))
            }
            #[inline(always)]
            unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
                Self($mul_add(self.0, factor.0, addend.0))
            }
            #[inline(always)]
            unsafe fn neg(self) -> Self {
                Self($neg(self.0))
            }
            #[inline(always)]
            unsafe fn abs(self) -> Self {
                Self($abs(self.0))
            }
            #[inline(always)]
            unsafe fn min(self, other: Self) -> Self {
                Self($min(self.0, other.0))
            }
            #[inline(always)]
            unsafe fn max(self, other: Self) -> Self {
                Self($max(self.0, other.0))
            }
            #[inline(always)]
            unsafe fn equal(self, other: Self) -> $mask {
                $equal(self.0, other.0)
            }
            #[inline(always)]
            unsafe fn unordered(self, other: Self) -> $mask {
                $unordered(self.0, other.0)
            }
            #[inline(always)]
            unsafe fn select(mask: $mask, yes: Self, no: Self) -> Self {
                Self($select(mask, no.0, yes.0))
            }
            #[inline(always)]
            unsafe fn or(a: $mask, b: $mask) -> $mask {
                a | b
            }
            #[inline(always)]
            unsafe fn bits(mask: $mask) -> u32 {
                u32::from(mask)
            }
        }
    };
}

vector!(F32, f32, __m512, __mmask16,
    splat _mm512_set1_ps, load _mm512_loadu_ps, store _mm512_storeu_ps, stream _mm512_stream_ps, load_first _mm512_mask_loadu_ps,
    store_first _mm512_mask_storeu_ps, add _mm512_add_ps, sub _mm512_sub_ps, mul _mm512_mul_ps,
    mul_add _mm512_fmadd_ps, neg neg_ps, abs _mm512_abs_ps,
    min _mm512_min_ps, max _mm512_max_ps, select _mm512_mask_blend_ps,
    equal _mm512_cmp_ps_mask::<_CMP_EQ_OQ>, unordered _mm512_cmp_ps_mask::<_CMP_UNORD_Q>);
vector!(F64, f64, __m512d, __mmask8,
    splat _mm512_set1_pd, load _mm512_loadu_pd, store _mm512_storeu_pd, stream _mm512_stream_pd, load_first _mm512_mask_loadu_pd,
    store_first _mm512_mask_storeu_pd, add _mm512_add_pd, sub _mm512_sub_pd, mul _mm512_mul_pd,
    mul_add _mm512_fmadd_pd, neg neg_pd, abs _mm512_abs_pd,
    min _mm512_min_pd, max _mm512_max_pd, select _mm512_mask_blend_pd,
    equal _mm512_cmp_pd_mask::<_CMP_EQ_OQ>, unordered _mm512_cmp_pd_mask::<_CMP_UNORD_Q>);
vector!(I32, i32, __m512i, __mmask16,
    splat _mm512_set1_epi32, load _mm512_loadu_si512, store _mm512_storeu_si512, stream _mm512_stream_si512,
    load_first _mm512_mask_loadu_epi32, store_first _mm512_mask_storeu_epi32, add _mm512_add_epi32,
    sub _mm512_sub_epi32, mul _mm512_mullo_epi32, mul_add mul_add_epi32,
    neg neg_epi32, abs _mm512_abs_epi32,
    min _mm512_min_epi32, max _mm512_max_epi32, select _mm512_mask_blend_epi32,
    equal _mm512_cmpeq_epi32_mask, unordered never);
vector!(I64, i64, __m512i, __mmask8,
    splat _mm512_set1_epi64, load _mm512_loadu_si512, store _mm512_storeu_si512, stream _mm512_stream_si512,
    load_first _mm512_mask_loadu_epi64, store_first _mm512_mask_storeu_epi64, add _mm512_add_epi64,
    sub _mm512_sub_epi64, mul _mm512_mullo_epi64, mul_add mul_add_epi64,
    neg neg_epi64, abs _mm512_abs_epi64,
    min _mm512_min_epi64, max _mm512_max_epi64, select _mm512_mask_blend_epi64,
    equal _mm512_cmpeq_epi64_mask, unordered never);

macro_rules! helpers {
    ($($name:ident($($operand:ident: $register:ty),+) -> $result:ty { $body:expr })*) => {
        $(
            #[inline(always)]
            unsafe fn $name($($operand: $register),+) -> $result {
                $body
            }
        )*
    };
}

// Functions rather than closures, which would not always be inlined.
helpers! {
    neg_ps(a: __m512) -> __m512 { _mm512_xor_ps(a, _mm512_set1_ps(-0.0)) }
    neg_pd(a: __m512d) -> __m512d { _mm512_xor_pd(a, _mm512_set1_pd(-0.0)) }
    neg_epi32(a: __m512i) -> __m512i { _mm512_sub_epi32(_mm512_setzero_si512(), a) }
    neg_epi64(a: __m512i) -> __m512i { _mm512_sub_epi64(_mm512_setzero_si512(), a) }
    mul_add_epi32(a: __m512i, b: __m512i, c: __m512i) -> __m512i { _mm512_add_epi32(_mm512_mullo_epi32(a, b), c) }
    mul_add_epi64(a: __m512i, b: __m512i, c: __m512i) -> __m512i { _mm512_add_epi64(_mm512_mullo_epi64(a, b), c) }
}

/// No integer is NaN.
#[inline(always)]
unsafe fn never<M: From<bool>>(_: __m512i, _: __m512i) -> M {
    M::from(false)
}

macro_rules! real_vector {
    ($name:ident, splat $splat:ident, or $or:ident, and $and:ident, and_not $and_not:ident, div $div:ident, sqrt $sqrt:ident, less $less:expr, round $round:expr, scale $scale:ident,
     mantissa $mantissa:expr, exponent $exponent:ident, mask_add $mask_add:ident) => {
        impl RealVector for $name {
            #[inline(always)]
            unsafe fn div(self, other: Self) -> Self {
                Self($div(self.0, other.0))
            }
            #[inline(always)]
            unsafe fn sqrt(self) -> Self {
                Self($sqrt(self.0))
            }
            #[inline(always)]
            unsafe fn copy_sign(self, sign: Self) -> Self {
                let bit = $splat(-0.0);
                Self($or($and_not(bit, self.0), $and(bit, sign.0)))
            }
            #[inline(always)]
            unsafe fn less(self, other: Self) -> Self::Mask {
                $less(self.0, other.0)
            }
            #[inline(always)]
            unsafe fn round(self) -> Self {
                Self($round(self.0))
            }
            #[inline(always)]
            unsafe fn scale(self, power: Self) -> Self {
                Self($scale(self.0, power.0))
            }
            #[inline(always)]
            unsafe fn split(self) -> (Self, Self) {
                let one = $splat(1.0);
                let (mantissa, exponent) = ($mantissa(self.0), $exponent(self.0));
                // The exponent is that of a mantissa in [1, 2).
                let halved = $less(mantissa, one);
                (
                    Self(mantissa),
                    Self($mask_add(exponent, halved, exponent, one)),
                )
            }
        }
    };
}

/// To the nearest, ties to even, no exception.
const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

real_vector!(F32, splat _mm512_set1_ps, or _mm512_or_ps, and _mm512_and_ps, and_not _mm512_andnot_ps, div _mm512_div_ps, sqrt _mm512_sqrt_ps, less _mm512_cmp_ps_mask::<_CMP_LT_OQ>,
    round _mm512_roundscale_ps::<NEAREST>, scale _mm512_scalef_ps,
    mantissa _mm512_getmant_ps::<_MM_MANT_NORM_P75_1P5, _MM_MANT_SIGN_ZERO>, exponent _mm512_getexp_ps, mask_add _mm512_mask_add_ps);
real_vector!(F64, splat _mm512_set1_pd, or _mm512_or_pd, and _mm512_and_pd, and_not _mm512_andnot_pd, div _mm512_div_pd, sqrt _mm512_sqrt_pd, less _mm512_cmp_pd_mask::<_CMP_LT_OQ>,
    round _mm512_roundscale_pd::<NEAREST>, scale _mm512_scalef_pd,
    mantissa _mm512_getmant_pd::<_MM_MANT_NORM_P75_1P5, _MM_MANT_SIGN_ZERO>, exponent _mm512_getexp_pd, mask_add _mm512_mask_add_pd);
