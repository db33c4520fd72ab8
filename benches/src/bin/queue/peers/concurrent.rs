//! concurrent-queue: any number of both sides, no waiting of its own.

use std::sync::Arc;

use concurrent_queue::ConcurrentQueue;

use crate::driver::{Item, Pop, Push, Queue};

pub(crate) struct Bounded;

impl<T: Item> Queue<T> for Bounded {
    type Push = Arc<ConcurrentQueue<T>>;
    type Pop = Arc<ConcurrentQueue<T>>;

    fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
        let queue = Arc::new(ConcurrentQueue::bounded(capacity));
        (Arc::clone(&queue), queue)
    }
}

impl<T: Item> Push<T> for Arc<ConcurrentQueue<T>> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> bool {
        ConcurrentQueue::push(self, value).is_ok()
    }
}

impl<T: Item> Pop<T> for Arc<ConcurrentQueue<T>> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        ConcurrentQueue::pop(self).ok()
    }
}
