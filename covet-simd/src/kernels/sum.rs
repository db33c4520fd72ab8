//! Sums: of values, products, squares and squared deviations.
//!
//! Floats are summed in blocks of 4096 elements. A round takes 8 vectors, adds them by halves, and adds what comes out to a carry:
//! in `f64` if they are `f32`, and else with the error of the addition kept (Knuth's two-sum). So no number goes through more
//! than three additions that lose digits, and constants through none. The lanes of the carry are added by halves, and the
//! sums of blocks one after the other, with the errors kept. All of that is the same on every set, and so are the bits.

use crate::dispatch::{Kernel, Level, run};
use crate::kernels::number::{Number, Real};
use crate::vector::{Set, Vector};

/// The elements of a block.
pub(crate) const BLOCK: usize = 4096;

/// The vectors of a round.
pub(crate) const ROUND: usize = 8;

/// The vectors from one that is read to one that is asked for: by itself the second-level cache is a tenth slower.
const AHEAD: usize = 2 * ROUND;

/// What a sum is kept in until it is done.
#[allow(missing_docs)] // private to the crate
pub trait Accumulate: Copy + Default + Send {
    /// Adds what came after.
    fn merge(&mut self, later: Self);
    /// The sum over `n`.
    fn mean(self, n: usize) -> f64;
}

/// A sum of floats and the errors of its additions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Total {
    sum: f64,
    error: f64,
}

impl Total {
    pub(crate) const fn new(sum: f64, error: f64) -> Self {
        Self { sum, error }
    }

    fn add(&mut self, value: f64) {
        let (sum, error) = two_sum(self.sum, value);
        self.sum = sum;
        self.error += error;
    }

    /// The sum. The error of one that overflowed is no number.
    pub(crate) fn value(self) -> f64 {
        if self.sum.is_finite() {
            self.sum + self.error
        } else {
            self.sum
        }
    }
}

impl Accumulate for Total {
    fn merge(&mut self, later: Self) {
        self.add(later.sum);
        self.error += later.error;
    }

    fn mean(self, n: usize) -> f64 {
        self.value() / n as f64
    }
}

/// A sum as rounded, and what the rounding lost.
#[inline(always)]
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_part = sum - a;
    (sum, (a - (sum - b_part)) + (b - b_part))
}

/// A sum of integers, exact.
#[derive(Clone, Copy, Debug, Default)]
pub struct Whole(i128);

impl Whole {
    /// The sum, wrapped.
    pub(crate) fn value(self) -> i64 {
        self.0 as i64
    }
}

impl Accumulate for Whole {
    fn merge(&mut self, later: Self) {
        self.0 += later.0;
    }

    fn mean(self, n: usize) -> f64 {
        self.0 as f64 / n as f64
    }
}

/// What is added for each element.
pub(crate) trait Term<T: Real>: Copy {
    /// What an element is set to that is not there, so that nothing is added for it.
    fn nothing(self) -> T {
        T::ZERO
    }

    /// The terms of a vector of elements. Inlined, as all with vectors.
    unsafe fn of<V: Vector<Element = T>>(self, x: V, y: V) -> V;

    /// Adds the terms of a vector of elements. Inlined, as all with vectors.
    unsafe fn add<V: Vector<Element = T>>(self, sum: V, x: V, y: V) -> V;

    /// The term of one element, in `f64`.
    fn exact(self, x: T, y: T) -> f64;
}

/// x
#[derive(Clone, Copy)]
pub(crate) struct Values;

/// x * y
#[derive(Clone, Copy)]
pub(crate) struct Products;

/// (x - center)^2
#[derive(Clone, Copy)]
pub(crate) struct Deviations<T> {
    pub(crate) center: T,
}

impl<T: Real> Term<T> for Values {
    #[inline(always)]
    unsafe fn of<V: Vector<Element = T>>(self, x: V, _: V) -> V {
        x
    }

    #[inline(always)]
    unsafe fn add<V: Vector<Element = T>>(self, sum: V, x: V, _: V) -> V {
        // SAFETY: the set is available, says the caller.
        unsafe { sum.add(x) }
    }

    fn exact(self, x: T, _: T) -> f64 {
        x.to_f64()
    }
}

impl<T: Real> Term<T> for Products {
    #[inline(always)]
    unsafe fn of<V: Vector<Element = T>>(self, x: V, y: V) -> V {
        // SAFETY: the set is available, says the caller.
        unsafe { x.mul(y) }
    }

    #[inline(always)]
    unsafe fn add<V: Vector<Element = T>>(self, sum: V, x: V, y: V) -> V {
        // SAFETY: the set is available, says the caller.
        unsafe { x.mul_add(y, sum) }
    }

    fn exact(self, x: T, y: T) -> f64 {
        x.to_f64() * y.to_f64()
    }
}

impl<T: Real> Term<T> for Deviations<T> {
    fn nothing(self) -> T {
        self.center
    }

    #[inline(always)]
    unsafe fn of<V: Vector<Element = T>>(self, x: V, _: V) -> V {
        // SAFETY: the set is available, says the caller.
        unsafe {
            let deviation = x.sub(V::splat(self.center));
            deviation.mul(deviation)
        }
    }

    #[inline(always)]
    unsafe fn add<V: Vector<Element = T>>(self, sum: V, x: V, _: V) -> V {
        // SAFETY: the set is available, says the caller.
        unsafe {
            let deviation = x.sub(V::splat(self.center));
            deviation.mul_add(deviation, sum)
        }
    }

    fn exact(self, x: T, _: T) -> f64 {
        let deviation = x.to_f64() - self.center.to_f64();
        deviation * deviation
    }
}

/// Adds up the terms of `n` elements; `y` is not read by terms of one operand, and may be `x`.
///
/// # Safety
///
/// As [`run`]; `x` and `y` must be good for reads of `n` elements.
pub(crate) unsafe fn add_up<T: Real, F: Term<T>>(
    level: Level,
    term: F,
    n: usize,
    x: *const T,
    y: *const T,
) -> Total {
    // SAFETY: promised by the caller.
    unsafe { run(level, Terms { term, n, x, y }) }
}

struct Terms<T, F> {
    term: F,
    n: usize,
    x: *const T,
    y: *const T,
}

impl<T: Real, F: Term<T>> Kernel for Terms<T, F> {
    type Output = Total;

    #[inline(always)]
    unsafe fn run<S: Set>(self) -> Total {
        let mut total = Total::default();
        let mut start = 0;
        while start < self.n {
            let n = BLOCK.min(self.n - start);
            // SAFETY: inside of the n elements that the caller promised.
            let (x, y) = unsafe { (self.x.add(start), self.y.add(start)) };
            // SAFETY: as above, and the set is available.
            let mut sum = unsafe { block::<T, S, F>(self.term, n, x, y) };
            if !sum.sum.is_finite() && size_of::<T>() < size_of::<f64>() {
                // SAFETY: as above.
                sum = unsafe { exact_block(self.term, n, [x, y], 1) };
            }
            total.merge(sum);
            start += n;
        }
        total
    }
}

#[inline(always)]
unsafe fn block<T: Real, S: Set, F: Term<T>>(term: F, n: usize, x: *const T, y: *const T) -> Total {
    let lanes = T::Vector::<S>::LANES;
    // SAFETY: the set is available and there are n elements, says the caller.
    unsafe {
        let nothing = T::Vector::<S>::splat(term.nothing());
        let mut carry = T::Carry::<S>::zero();
        let mut i = 0;
        let (mut a, mut b) = ([nothing; ROUND], [nothing; ROUND]);
        while i + ROUND * lanes <= n {
            for k in 0..ROUND {
                S::prefetch(x.wrapping_add(i + (k + AHEAD) * lanes));
                a[k] = Vector::load(x.add(i + k * lanes));
                b[k] = Vector::load(y.add(i + k * lanes));
            }
            carry.add(round::<T, S, F>(term, a, b));
            i += ROUND * lanes;
        }
        if i < n {
            for k in 0..ROUND {
                // Nothing is read where nothing is left.
                let count = lanes.min(n.saturating_sub(i));
                a[k] = nothing.load_first(count, x.wrapping_add(i));
                b[k] = nothing.load_first(count, y.wrapping_add(i));
                i += lanes;
            }
            carry.add(round::<T, S, F>(term, a, b));
        }
        carry.total()
    }
}

/// Adds the terms of a round by halves.
#[inline(always)]
pub(crate) unsafe fn round<T: Real, S: Set, F: Term<T>>(
    term: F,
    x: [T::Vector<S>; ROUND],
    y: [T::Vector<S>; ROUND],
) -> T::Vector<S> {
    // SAFETY: the set is available, says the caller.
    unsafe {
        let mut sums = [x[0]; ROUND / 2];
        for k in 0..ROUND / 2 {
            let later = k + ROUND / 2;
            sums[k] = term.add(term.of(x[later], y[later]), x[k], y[k]);
        }
        let (even, odd) = (sums[0].add(sums[2]), sums[1].add(sums[3]));
        even.add(odd)
    }
}

/// What the sums of rounds are added to.
#[allow(missing_docs, clippy::missing_safety_doc)] // private to the crate
pub trait Carry<V>: Copy {
    unsafe fn zero() -> Self;
    unsafe fn add(&mut self, vector: V);
    /// The sum of all lanes.
    unsafe fn total(self) -> Total;
    /// The sum of each lane.
    unsafe fn lanes(self) -> impl Iterator<Item = Total>;
}

/// The carry of `f32`: sums in `f64`, of the lower and of the upper lanes.
#[derive(Clone, Copy)]
pub struct Wide<S: Set>([S::F64; 2]);

/// The carry of `f64`: sums, and what was lost in them.
#[derive(Clone, Copy)]
pub struct Kept<S: Set> {
    sums: S::F64,
    errors: S::F64,
}

impl<S: Set> Carry<S::F32> for Wide<S> {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the set is available, says the caller.
        Self([unsafe { S::F64::splat(0.0) }; 2])
    }

    #[inline(always)]
    unsafe fn add(&mut self, vector: S::F32) {
        // SAFETY: the set is available, says the caller.
        unsafe {
            let [lower, upper] = S::widen(vector);
            self.0 = [self.0[0].add(lower), self.0[1].add(upper)];
        }
    }

    #[inline(always)]
    unsafe fn total(self) -> Total {
        let mut sums = [0.0; 8];
        // SAFETY: a vector of `f64` has 8 lanes; the set is available, says the caller.
        unsafe { self.0[0].add(self.0[1]).store(sums.as_mut_ptr()) };
        let mut half = 4;
        while half > 0 {
            for k in 0..half {
                sums[k] += sums[k + half];
            }
            half /= 2;
        }
        Total {
            sum: sums[0],
            error: 0.0,
        }
    }

    #[inline(always)]
    unsafe fn lanes(self) -> impl Iterator<Item = Total> {
        let mut sums = [0.0; 16];
        // SAFETY: a vector of `f64` has 8 lanes; the set is available, says the caller.
        unsafe {
            self.0[0].store(sums.as_mut_ptr());
            self.0[1].store(sums.as_mut_ptr().add(8));
        }
        sums.into_iter().map(|sum| Total::new(sum, 0.0))
    }
}

impl<S: Set> Carry<S::F64> for Kept<S> {
    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the set is available, says the caller.
        let zero = unsafe { S::F64::splat(0.0) };
        Self {
            sums: zero,
            errors: zero,
        }
    }

    #[inline(always)]
    unsafe fn add(&mut self, vector: S::F64) {
        // SAFETY: the set is available, says the caller.
        unsafe {
            // As `two_sum`.
            let sum = self.sums.add(vector);
            let part = sum.sub(self.sums);
            let error = self.sums.sub(sum.sub(part)).add(vector.sub(part));
            self.errors = self.errors.add(error);
            self.sums = sum;
        }
    }

    #[inline(always)]
    unsafe fn total(self) -> Total {
        let (mut sums, mut errors) = ([0.0; 8], [0.0; 8]);
        // SAFETY: a vector of `f64` has 8 lanes; the set is available, says the caller.
        unsafe {
            self.sums.store(sums.as_mut_ptr());
            self.errors.store(errors.as_mut_ptr());
        }
        let mut half = 4;
        while half > 0 {
            for k in 0..half {
                let (sum, error) = two_sum(sums[k], sums[k + half]);
                sums[k] = sum;
                errors[k] += errors[k + half] + error;
            }
            half /= 2;
        }
        Total {
            sum: sums[0],
            error: errors[0],
        }
    }

    #[inline(always)]
    unsafe fn lanes(self) -> impl Iterator<Item = Total> {
        let (mut sums, mut errors) = ([0.0; 8], [0.0; 8]);
        // SAFETY: a vector of `f64` has 8 lanes; the set is available, says the caller.
        unsafe {
            self.sums.store(sums.as_mut_ptr());
            self.errors.store(errors.as_mut_ptr());
        }
        let lanes = sums.into_iter().zip(errors);
        lanes.map(|(sum, error)| Total::new(sum, error))
    }
}

/// A block of `f32` that overflows is added once more in `f64`, where it cannot.
#[cold]
#[inline(never)]
pub(crate) unsafe fn exact_block<T: Real, F: Term<T>>(
    term: F,
    n: usize,
    [x, y]: [*const T; 2],
    stride: isize,
) -> Total {
    let mut total = Total::default();
    for i in 0..n as isize {
        // SAFETY: there are n elements, so far from each other, says the caller.
        let (x, y) = unsafe { (x.offset(i * stride).read(), y.offset(i * stride).read()) };
        total.add(term.exact(x, y));
    }
    total
}
/// Sums and dot products of integers: plain loops, as the order of their additions changes nothing and the compiler knows.
pub(crate) struct WholeSum<T> {
    pub(crate) n: usize,
    pub(crate) x: *const T,
}

impl<T: Halves> Kernel for WholeSum<T> {
    type Output = Whole;

    #[inline(always)]
    unsafe fn run<S: Set>(self) -> Whole {
        let mut sum = Whole::default();
        let mut start = 0;
        while start < self.n {
            let end = self.n.min(start + T::MOST);
            let (mut wrapped, mut upper) = (T::ZERO, T::ZERO);
            for i in start..end {
                // SAFETY: inside of the n elements that the caller promised.
                let value = unsafe { self.x.add(i).read() };
                wrapped = wrapped.wrapping_add(value);
                upper = upper.wrapping_add(value.upper());
            }
            sum.merge(T::whole(wrapped, upper));
            start = end;
        }
        sum
    }
}

/// Integers that are summed exactly in their own width: once as they are, wrapped, and once their upper halves. The difference is
/// the sum of the lower halves. So a sum needs no wider lanes, of which there are half as many.
pub(crate) trait Halves: Number {
    /// The sums of so many halves do not overflow.
    const MOST: usize;
    fn wrapping_add(self, other: Self) -> Self;
    /// The upper half, with its sign.
    fn upper(self) -> Self;
    /// The sum from the wrapped one and that of the upper halves.
    fn whole(wrapped: Self, upper: Self) -> Whole;
}

macro_rules! halves {
    ($type:ident, $unsigned:ident, $bits:literal) => {
        impl Halves for $type {
            const MOST: usize = 1 << ($bits - 1);

            #[inline(always)]
            fn wrapping_add(self, other: Self) -> Self {
                $type::wrapping_add(self, other)
            }

            #[inline(always)]
            fn upper(self) -> Self {
                self >> $bits
            }

            #[inline(always)]
            fn whole(wrapped: Self, upper: Self) -> Whole {
                let lower = wrapped.wrapping_sub(upper << $bits) as $unsigned;
                Whole((i128::from(upper) << $bits) + i128::from(lower))
            }
        }
    };
}

halves!(i32, u32, 16);
halves!(i64, u64, 32);

pub(crate) struct WholeDot<T> {
    pub(crate) n: usize,
    pub(crate) x: *const T,
    pub(crate) y: *const T,
}

impl<T: Number + Into<i64>> Kernel for WholeDot<T> {
    type Output = Whole;

    #[inline(always)]
    unsafe fn run<S: Set>(self) -> Whole {
        let mut sum = 0_i64;
        for i in 0..self.n {
            // SAFETY: inside of the n elements that the caller promised.
            let (x, y): (i64, i64) =
                unsafe { (self.x.add(i).read().into(), self.y.add(i).read().into()) };
            sum = sum.wrapping_add(x.wrapping_mul(y));
        }
        Whole(i128::from(sum))
    }
}
