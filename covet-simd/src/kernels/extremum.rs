//! The least and the greatest element, and where an element is.

use std::marker::PhantomData;

use crate::dispatch::{Kernel, Level, run};
use crate::kernels::number::Number;
use crate::kernels::sum::BLOCK;
use crate::vector::{Set, Vector};

const ACCUMULATORS: usize = 8;

/// Least or greatest.
pub(crate) trait Order: Copy + Send + Sync {
    /// What every element comes before.
    fn last<T: Number>() -> T;
    /// Tells whether `a` comes before `b`; never where either is NaN.
    fn before<T: Number>(a: T, b: T) -> bool;
    /// The lanes of `x` that come before those of `best`, and else those of `best`. Inlined, as all with vectors.
    unsafe fn pick<V: Vector>(x: V, best: V) -> V;
}

#[derive(Clone, Copy)]
pub(crate) struct Least;

#[derive(Clone, Copy)]
pub(crate) struct Greatest;

impl Order for Least {
    fn last<T: Number>() -> T {
        T::GREATEST
    }

    #[inline(always)]
    fn before<T: Number>(a: T, b: T) -> bool {
        a < b
    }

    #[inline(always)]
    unsafe fn pick<V: Vector>(x: V, best: V) -> V {
        // SAFETY: the set is available, says the caller.
        unsafe { x.min(best) }
    }
}

impl Order for Greatest {
    fn last<T: Number>() -> T {
        T::LEAST
    }

    #[inline(always)]
    fn before<T: Number>(a: T, b: T) -> bool {
        a > b
    }

    #[inline(always)]
    unsafe fn pick<V: Vector>(x: V, best: V) -> V {
        // SAFETY: the set is available, says the caller.
        unsafe { x.max(best) }
    }
}

/// What a search for an extremum found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<T> {
    /// The first in order of those that are numbers; [`Order::last`] if none comes before that.
    pub(crate) best: T,
    /// Whether some element is NaN. Known only where NaN is looked for, and then the search ended there.
    pub(crate) nan: bool,
}

/// Finds the extremum of `n` elements; with `STOP` it looks for NaN as well, and stops where one is.
///
/// # Safety
///
/// As [`run`]; `x` must be good for reads of `n` elements.
pub(crate) unsafe fn extremum<T: Number, O: Order, const STOP: bool>(
    level: Level,
    n: usize,
    x: *const T,
) -> Found<T> {
    let order = PhantomData::<O>;
    // SAFETY: promised by the caller.
    unsafe { run(level, Extremum::<T, O, STOP> { n, x, order }) }
}

struct Extremum<T, O, const STOP: bool> {
    n: usize,
    x: *const T,
    order: PhantomData<O>,
}

impl<T: Number, O: Order, const STOP: bool> Kernel for Extremum<T, O, STOP> {
    type Output = Found<T>;

    #[inline(always)]
    unsafe fn run<S: Set>(self) -> Found<T> {
        let lanes = T::Vector::<S>::LANES;
        // SAFETY: the set is available and there are n elements, says the caller.
        unsafe {
            let last = T::Vector::<S>::splat(O::last());
            let mut best = [last; ACCUMULATORS];
            let never = last.unordered(last);
            let mut start = 0;
            while start < self.n {
                let end = self.n.min(start + BLOCK);
                let mut nan = never;
                let mut i = start;
                while i + ACCUMULATORS * lanes <= end {
                    for (k, best) in best.chunks_exact_mut(2).enumerate() {
                        let at = self.x.add(i + 2 * k * lanes);
                        let (a, b) = (Vector::load(at), Vector::load(at.add(lanes)));
                        best[0] = O::pick(a, best[0]);
                        best[1] = O::pick(b, best[1]);
                        if STOP {
                            nan = T::Vector::<S>::or(nan, a.unordered(b));
                        }
                    }
                    i += ACCUMULATORS * lanes;
                }
                for best in &mut best {
                    if i == end {
                        break;
                    }
                    let count = lanes.min(end - i);
                    let x = last.load_first(count, self.x.add(i));
                    *best = O::pick(x, *best);
                    if STOP {
                        nan = T::Vector::<S>::or(nan, x.unordered(x));
                    }
                    i += count;
                }
                if STOP && T::IS_FLOAT && T::Vector::<S>::bits(nan) != 0 {
                    let best = O::last();
                    return Found { best, nan: true };
                }
                start = end;
            }
            let mut half = ACCUMULATORS / 2;
            while half > 0 {
                for k in 0..half {
                    best[k] = O::pick(best[k + half], best[k]);
                }
                half /= 2;
            }
            let best = first_lane::<T, S, O>(best[0]);
            Found { best, nan: false }
        }
    }
}

/// The lane of a vector without NaN that comes first in order.
#[inline(always)]
unsafe fn first_lane<T: Number, S: Set, O: Order>(vector: T::Vector<S>) -> T {
    let mut lanes = [O::last::<T>(); 16];
    // SAFETY: no vector has more than 16 lanes.
    unsafe { vector.store(lanes.as_mut_ptr()) };
    let mut half = 8;
    while half > 0 {
        for k in 0..half {
            if O::before(lanes[k + half], lanes[k]) {
                lanes[k] = lanes[k + half];
            }
        }
        half /= 2;
    }
    lanes[0]
}

/// Returns the index of the first of `n` elements that equals `value`, or that is NaN if `value` is.
///
/// # Safety
///
/// As [`run`]; `x` must be good for reads of `n` elements.
pub(crate) unsafe fn find<T: Number>(
    level: Level,
    n: usize,
    x: *const T,
    value: T,
) -> Option<usize> {
    // SAFETY: promised by the caller.
    unsafe { run(level, Find { n, x, value }) }
}

struct Find<T> {
    n: usize,
    x: *const T,
    value: T,
}

impl<T: Number> Kernel for Find<T> {
    type Output = Option<usize>;

    #[inline(always)]
    unsafe fn run<S: Set>(self) -> Option<usize> {
        let lanes = T::Vector::<S>::LANES;
        #[allow(clippy::eq_op)] // that is what NaN is
        let is_nan = self.value != self.value;
        // SAFETY: the set is available and there are n elements, says the caller.
        unsafe {
            let value = T::Vector::<S>::splat(self.value);
            let other = T::Vector::<S>::splat(T::ZERO);
            let mut i = 0;
            while i < self.n {
                let count = lanes.min(self.n - i);
                let x = if count == lanes {
                    Vector::load(self.x.add(i))
                } else {
                    other.load_first(count, self.x.add(i))
                };
                let hits = if is_nan {
                    x.unordered(x)
                } else {
                    x.equal(value)
                };
                // Lanes beyond the end are 0, and 0 may be what is looked for.
                let hits = T::Vector::<S>::bits(hits) & ((1 << count) - 1);
                if hits != 0 {
                    return Some(i + hits.trailing_zeros() as usize);
                }
                i += count;
            }
        }
        None
    }
}
