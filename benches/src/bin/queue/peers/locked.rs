//! What many programs begin with: a `VecDeque` behind a mutex, with condition variables for waiting.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Deque;

pub(crate) struct Locked<T> {
    values: Mutex<VecDeque<T>>,
    capacity: usize,
    not_empty: Condvar,
    not_full: Condvar,
}

impl<T: Item> Queue<T> for Deque {
    type Push = Arc<Locked<T>>;
    type Pop = Arc<Locked<T>>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        let queue = Arc::new(Locked {
            values: Mutex::new(VecDeque::with_capacity(capacity)),
            capacity,
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
        });
        (Arc::clone(&queue), queue)
    }
}

impl<T: Item> Push<T> for Arc<Locked<T>> {
    fn try_push(&mut self, value: T) -> bool {
        let mut values = self.values.lock().unwrap();
        let room = values.len() < self.capacity;
        if room {
            values.push_back(value);
        }
        room
    }

    fn push(&mut self, value: T) {
        let values = self.values.lock().unwrap();
        let is_full = |values: &mut VecDeque<T>| values.len() == self.capacity;
        let mut values = self.not_full.wait_while(values, is_full).unwrap();
        values.push_back(value);
        drop(values);
        self.not_empty.notify_one();
    }

    fn try_push_batch(&mut self, numbers: Range<u64>) -> u64 {
        let mut values = self.values.lock().unwrap();
        let before = values.len();
        values.extend(numbers.take(self.capacity - before).map(T::new));
        (values.len() - before) as u64
    }
}

impl<T: Item> Pop<T> for Arc<Locked<T>> {
    fn try_pop(&mut self) -> Option<T> {
        self.values.lock().unwrap().pop_front()
    }

    fn pop(&mut self) -> T {
        let values = self.values.lock().unwrap();
        let is_empty = |values: &mut VecDeque<T>| values.is_empty();
        let mut values = self.not_empty.wait_while(values, is_empty).unwrap();
        let value = values.pop_front().unwrap();
        drop(values);
        self.not_full.notify_one();
        value
    }

    fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(T)) -> u64 {
        let mut values = self.values.lock().unwrap();
        let count = values.len().min(most as usize);
        values.drain(..count).for_each(each);
        count as u64
    }
}
