//! crossbeam: `ArrayQueue`, and the channel.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use crossbeam_queue::ArrayQueue;

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Array;

impl<T: Item> Queue<T> for Array {
    type Push = Arc<ArrayQueue<T>>;
    type Pop = Arc<ArrayQueue<T>>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        let queue = Arc::new(ArrayQueue::new(capacity));
        (Arc::clone(&queue), queue)
    }
}

impl<T: Item> Push<T> for Arc<ArrayQueue<T>> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        ArrayQueue::push(self, value).is_ok()
    }
}

impl<T: Item> Pop<T> for Arc<ArrayQueue<T>> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        ArrayQueue::pop(self)
    }
}

pub(crate) struct Channel;

impl<T: Item> Queue<T> for Channel {
    type Push = Sender<T>;
    type Pop = Receiver<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        crossbeam_channel::bounded(capacity)
    }
}

impl<T: Item> Push<T> for Sender<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_send(value).is_ok()
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        self.send(value).unwrap();
    }
}

impl<T: Item> Pop<T> for Receiver<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        self.recv().unwrap()
    }
}
