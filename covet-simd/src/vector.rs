//! What a kernel may ask of an instruction set: vectors of 64 bytes, and few operations on them.
//!
//! A vector has 16 lanes of 4 bytes or 8 of 8 bytes *on every set*; where registers are shorter it is several of them. So a
//! kernel, written once, adds the same numbers in the same order everywhere, and its results have the same bits.
//!
//! All methods are unsafe for one reason: they may only run where the set is available. [`dispatch`](crate::dispatch) sees to
//! that. Those that take a pointer read or write as many elements there as the vector has lanes, or as they are told.

/// The bytes of a vector.
pub(crate) const BYTES: usize = 64;

/// An instruction set: its vector of each type.
pub trait Set: Copy {
    /// Its vector of `f32`.
    type F32: RealVector<Element = f32>;
    /// Its vector of `f64`.
    type F64: RealVector<Element = f64>;
    /// Its vector of `i32`.
    type I32: Vector<Element = i32>;
    /// Its vector of `i64`.
    type I64: Vector<Element = i64>;

    /// How many vectors the registers hold.
    const REGISTERS: usize;

    /// The lower and the upper lanes of a vector of `f32`, as `f64`.
    ///
    /// # Safety
    ///
    /// As all of this module.
    unsafe fn widen(vector: Self::F32) -> [Self::F64; 2];

    /// Asks for the line at an address, which may be any: a hint, and nothing where the set has none.
    ///
    /// # Safety
    ///
    /// As all of this module.
    unsafe fn prefetch<T>(_: *const T) {}

    /// Lets other threads see what [`Vector::stream`] stored before they see what is stored from here on.
    ///
    /// # Safety
    ///
    /// As all of this module.
    unsafe fn fence() {}
}

/// A vector of numbers. Integers wrap.
#[allow(clippy::missing_safety_doc, missing_docs)] // the module says it for all
pub trait Vector: Copy {
    type Element: Copy;
    /// One truth value for each lane.
    type Mask: Copy;
    const LANES: usize;

    unsafe fn splat(value: Self::Element) -> Self;
    unsafe fn load(from: *const Self::Element) -> Self;
    unsafe fn store(self, to: *mut Self::Element);
    /// Stores to a multiple of [`BYTES`] and past the caches, where the set can. [`Set::fence`] comes behind the last one.
    unsafe fn stream(self, to: *mut Self::Element) {
        // SAFETY: promised by the caller.
        unsafe { self.store(to) }
    }
    /// Loads the first `count` lanes; the others are those of `self`.
    unsafe fn load_first(self, count: usize, from: *const Self::Element) -> Self;
    /// Stores the first `count` lanes.
    unsafe fn store_first(self, count: usize, to: *mut Self::Element);

    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + addend`, rounded once.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    unsafe fn neg(self) -> Self;
    unsafe fn abs(self) -> Self;
    /// The lesser, or `other` where they are equal or either is NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// The greater, or `other` where they are equal or either is NaN.
    unsafe fn max(self, other: Self) -> Self;

    unsafe fn equal(self, other: Self) -> Self::Mask;
    /// Where either is NaN.
    unsafe fn unordered(self, other: Self) -> Self::Mask;
    /// Takes the lanes of `yes` where `mask` is set.
    unsafe fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    unsafe fn or(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// A bit for each lane, the first lane's lowest.
    unsafe fn bits(mask: Self::Mask) -> u32;
}

/// A vector of floating-point numbers.
#[allow(clippy::missing_safety_doc, missing_docs)] // the module says it for all
pub trait RealVector: Vector {
    unsafe fn div(self, other: Self) -> Self;
    unsafe fn sqrt(self) -> Self;
    /// The magnitude of `self` with the sign of `sign`.
    unsafe fn copy_sign(self, sign: Self) -> Self;
    unsafe fn less(self, other: Self) -> Self::Mask;
    /// The nearest whole number, the even one of two; for |x| < 2^22 (2^51 for `f64`).
    unsafe fn round(self) -> Self;
    /// `self * 2^power`, rounded once, for a whole `power` of at most 1.5 times the exponents' range.
    unsafe fn scale(self, power: Self) -> Self;
    /// Positive finite numbers as a mantissa in [0.75, 1.5) and an exponent; any two numbers for others.
    unsafe fn split(self) -> (Self, Self);
}
