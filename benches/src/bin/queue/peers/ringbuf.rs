//! ringbuf: one producer, one consumer, on the heap.

use std::ops::Range;

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Spsc;

impl<T: Item> Queue<T> for Spsc {
    type Push = HeapProd<T>;
    type Pop = HeapCons<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        HeapRb::new(capacity).split()
    }
}

impl<T: Item> Push<T> for HeapProd<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        Producer::try_push(self, value).is_ok()
    }

    #[inline(always)]
    fn try_push_batch(&mut self, numbers: Range<u64>) -> u64 {
        self.push_iter(numbers.map(T::new)) as u64
    }
}

impl<T: Item> Pop<T> for HeapCons<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        Consumer::try_pop(self)
    }

    #[inline(always)]
    fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(T)) -> u64 {
        let count = self.occupied_len().min(most as usize);
        let (first, second) = self.as_slices();
        first
            .iter()
            .chain(second)
            .take(count)
            .copied()
            .for_each(each);
        self.skip(count);
        count as u64
    }
}
