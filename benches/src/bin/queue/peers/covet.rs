//! covet-queue itself.

use covet_queue::{mpmc, spsc};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Spsc;

impl<T: Item> Queue<T> for Spsc {
    type Push = spsc::Producer<T>;
    type Pop = spsc::Consumer<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        spsc::bounded(capacity)
    }
}

impl<T: Item> Push<T> for spsc::Producer<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_push(value).is_ok()
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        self.push(value).unwrap();
    }
}

impl<T: Item> Pop<T> for spsc::Consumer<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_pop().ok()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        self.pop().unwrap()
    }
}

pub(crate) struct Mpmc;

impl<T: Item> Queue<T> for Mpmc {
    type Push = mpmc::Producer<T>;
    type Pop = mpmc::Consumer<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        mpmc::bounded(capacity)
    }
}

impl<T: Item> Push<T> for mpmc::Producer<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        mpmc::Producer::try_push(self, value).is_ok()
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        mpmc::Producer::push(self, value).unwrap();
    }
}

impl<T: Item> Pop<T> for mpmc::Consumer<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        mpmc::Consumer::try_pop(self).ok()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        mpmc::Consumer::pop(self).unwrap()
    }
}
