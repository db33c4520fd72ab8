//! crossfire: a channel for each number of producers and consumers.

use crossfire::{MRx, MTx, Rx, Tx, mpmc, mpsc, spsc};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Spsc;

impl<T: Item> Queue<T> for Spsc {
    type Push = Tx<spsc::Array<T>>;
    type Pop = Rx<spsc::Array<T>>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        spsc::bounded_blocking(capacity)
    }
}

impl<T: Item> Push<T> for Tx<spsc::Array<T>> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_send(value).is_ok()
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        self.send(value).unwrap();
    }
}

impl<T: Item> Pop<T> for Rx<spsc::Array<T>> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        self.recv().unwrap()
    }
}

pub(crate) struct Mpsc;

impl<T: Item> Queue<T> for Mpsc {
    type Push = MTx<mpsc::Array<T>>;
    type Pop = Rx<mpsc::Array<T>>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        mpsc::bounded_blocking(capacity)
    }
}

impl<T: Item> Push<T> for MTx<mpsc::Array<T>> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_send(value).is_ok()
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        self.send(value).unwrap();
    }
}

impl<T: Item> Pop<T> for Rx<mpsc::Array<T>> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        self.recv().unwrap()
    }
}

pub(crate) struct Mpmc;

impl<T: Item> Queue<T> for Mpmc {
    type Push = MTx<mpmc::Array<T>>;
    type Pop = MRx<mpmc::Array<T>>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        mpmc::bounded_blocking(capacity)
    }
}

impl<T: Item> Push<T> for MTx<mpmc::Array<T>> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_send(value).is_ok()
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        self.send(value).unwrap();
    }
}

impl<T: Item> Pop<T> for MRx<mpmc::Array<T>> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        self.recv().unwrap()
    }
}
