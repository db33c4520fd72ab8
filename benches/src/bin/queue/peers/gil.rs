//! gil: rings for each number of producers and consumers. Its parking variants lose wake-ups, so nothing here blocks.

use std::ops::Range;

use gil::{mpmc, mpsc, spsc};

use super::nonzero;
use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Spsc;

impl<T: Item> Queue<T> for Spsc {
    type Push = spsc::Sender<T>;
    type Pop = spsc::Receiver<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        spsc::channel(nonzero(capacity))
    }
}

impl<T: Item> Push<T> for spsc::Sender<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_send(value).is_ok()
    }

    #[inline(always)]
    fn try_push_batch(&mut self, numbers: Range<u64>) -> u64 {
        let buffer = self.write_buffer();
        let count = buffer.len().min((numbers.end - numbers.start) as usize);
        for (place, number) in buffer.iter_mut().zip(numbers) {
            place.write(T::new(number));
        }
        // SAFETY: `count` is what both the buffer and the numbers had, and so many were written.
        unsafe { self.commit(count) };
        count as u64
    }
}

impl<T: Item> Pop<T> for spsc::Receiver<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv()
    }

    #[inline(always)]
    fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(T)) -> u64 {
        let mut guard = self.read_guard();
        let count = guard.len().min(most as usize);
        guard.as_slice()[..count].iter().copied().for_each(each);
        guard.advance(count);
        count as u64
    }
}

pub(crate) struct Mpsc;

impl<T: Item> Queue<T> for Mpsc {
    type Push = mpsc::Sender<T>;
    type Pop = mpsc::Receiver<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        mpsc::channel(nonzero(capacity))
    }
}

impl<T: Item> Push<T> for mpsc::Sender<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_send(value).is_ok()
    }
}

impl<T: Item> Pop<T> for mpsc::Receiver<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv()
    }
}

pub(crate) struct Mpmc;

impl<T: Item> Queue<T> for Mpmc {
    type Push = mpmc::Sender<T>;
    type Pop = mpmc::Receiver<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        mpmc::channel(nonzero(capacity))
    }
}

impl<T: Item> Push<T> for mpmc::Sender<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        self.try_send(value).is_ok()
    }
}

impl<T: Item> Pop<T> for mpmc::Receiver<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.try_recv()
    }
}
