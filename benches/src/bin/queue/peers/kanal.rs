//! kanal: a channel for any number of both sides.

use kanal::{Receiver, Sender};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Channel;

impl<T: Item> Queue<T> for Channel {
    type Push = Sender<T>;
    type Pop = Receiver<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        kanal::bounded(capacity)
    }
}

impl<T: Item> Push<T> for Sender<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        matches!(self.try_send(value), Ok(true))
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        self.send(value).unwrap();
    }
}

impl<T: Item> Pop<T> for Receiver<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv().ok().flatten()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        self.recv().unwrap()
    }
}
