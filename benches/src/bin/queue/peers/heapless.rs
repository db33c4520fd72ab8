//! heapless: rings of a size known to the compiler. Its SPSC ring holds one value less than its size.

use std::sync::Arc;

use heapless::mpmc::Queue as Mpmc;
use heapless::spsc::{Consumer, Producer, Queue as Spsc};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct One<const N: usize>;

impl<T: Item, const N: usize> Queue<T> for One<N> {
    type Push = Producer<'static, T>;
    type Pop = Consumer<'static, T>;

    fn ends(_capacity: usize) -> (Self::Push, Self::Pop) {
        // Leaked: the two ends borrow it, from two threads. A few dozen of them are made in a run.
        Box::leak(Box::new(Spsc::<T, N>::new())).split()
    }
}

impl<T: Item> Push<T> for Producer<'static, T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.enqueue(value).is_ok()
    }
}

impl<T: Item> Pop<T> for Consumer<'static, T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.dequeue()
    }
}

pub(crate) struct Many<const N: usize>;

impl<T: Item, const N: usize> Queue<T> for Many<N> {
    type Push = Arc<Mpmc<T, N>>;
    type Pop = Arc<Mpmc<T, N>>;

    #[expect(
        deprecated,
        reason = "its warning: a thread that stalls in a pop can make pushes fail"
    )]
    fn ends(_capacity: usize) -> (Self::Push, Self::Pop) {
        let queue = Arc::new(Mpmc::new());
        (Arc::clone(&queue), queue)
    }
}

impl<T: Item, const N: usize> Push<T> for Arc<Mpmc<T, N>> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.enqueue(value).is_ok()
    }
}

impl<T: Item, const N: usize> Pop<T> for Arc<Mpmc<T, N>> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.dequeue()
    }
}
