//! rtrb: one producer, one consumer, with chunks.

use std::ops::Range;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Spsc;

impl<T: Item> Queue<T> for Spsc {
    type Push = Producer<T>;
    type Pop = Consumer<T>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        RingBuffer::new(capacity)
    }
}

impl<T: Item> Push<T> for Producer<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        Producer::push(self, value).is_ok()
    }

    #[inline(always)]
    fn try_push_batch(&mut self, numbers: Range<u64>) -> u64 {
        let wanted = (numbers.end - numbers.start) as usize;
        let room = match self.write_chunk_uninit(wanted) {
            Ok(chunk) => return chunk.fill_from_iter(numbers.map(T::new)) as u64,
            Err(rtrb::chunks::ChunkError::TooFewSlots(room)) => room,
        };
        match self.write_chunk_uninit(room) {
            Ok(chunk) => chunk.fill_from_iter(numbers.map(T::new)) as u64,
            Err(_) => 0,
        }
    }
}

impl<T: Item> Pop<T> for Consumer<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        Consumer::pop(self).ok()
    }

    #[inline(always)]
    fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(T)) -> u64 {
        let count = match self.read_chunk(most as usize) {
            Ok(_) => most as usize,
            Err(rtrb::chunks::ChunkError::TooFewSlots(there)) => there,
        };
        let Ok(chunk) = self.read_chunk(count) else {
            return 0;
        };
        let (first, second) = chunk.as_slices();
        first.iter().chain(second).copied().for_each(each);
        chunk.commit_all();
        count as u64
    }
}
