//! nexus-queue: rings that only try.

use nexus_queue::{mpsc, spsc};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Spsc;

impl<T: Item> Queue<T> for Spsc {
    type Push = spsc::Producer<T>;
    type Pop = spsc::Consumer<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        spsc::ring_buffer(capacity)
    }
}

impl<T: Item> Push<T> for spsc::Producer<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        spsc::Producer::push(self, value).is_ok()
    }
}

impl<T: Item> Pop<T> for spsc::Consumer<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        spsc::Consumer::pop(self)
    }
}

pub(crate) struct Mpsc;

impl<T: Item> Queue<T> for Mpsc {
    type Push = mpsc::Producer<T>;
    type Pop = mpsc::Consumer<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        mpsc::ring_buffer(capacity)
    }
}

impl<T: Item> Push<T> for mpsc::Producer<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        mpsc::Producer::push(self, value).is_ok()
    }
}

impl<T: Item> Pop<T> for mpsc::Consumer<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        mpsc::Consumer::pop(self)
    }
}
