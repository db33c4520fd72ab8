//! covet-queue itself.

use std::ops::Range;

use covet_queue::{mpmc, mpsc, spsc};

use crate::driver::{Item, Pop, Push, Queue};

macro_rules! ring {
    ($name:ident, $module:ident) => {
        pub(crate) struct $name;

        impl<T: Item> Queue<T> for $name {
            type Push = $module::Producer<T>;
            type Pop = $module::Consumer<T>;

            fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
                $module::bounded(capacity)
            }
        }
    };
}

ring!(Spsc, spsc);
ring!(Mpsc, mpsc);
ring!(Mpmc, mpmc);

macro_rules! producer {
    ($producer:ty) => {
        impl<T: Item> Push<T> for $producer {
            #[inline(always)]
            fn try_push(&mut self, value: T) -> bool {
                <$producer>::try_push(self, value).is_ok()
            }

            #[inline(always)]
            fn push(&mut self, value: T) {
                <$producer>::push(self, value).unwrap();
            }

            #[inline(always)]
            fn try_push_batch(&mut self, numbers: Range<u64>) -> u64 {
                <$producer>::try_push_batch(self, &mut numbers.map(T::new)).unwrap_or(0) as u64
            }
        }
    };
}

producer!(spsc::Producer<T>);
producer!(mpmc::Producer<T>);

macro_rules! consumer {
    ($consumer:ty) => {
        impl<T: Item> Pop<T> for $consumer {
            #[inline(always)]
            fn try_pop(&mut self) -> Option<T> {
                <$consumer>::try_pop(self).ok()
            }

            #[inline(always)]
            fn pop(&mut self) -> T {
                <$consumer>::pop(self).unwrap()
            }

            #[inline(always)]
            fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(T)) -> u64 {
                <$consumer>::try_pop_batch(self, most as usize, each).unwrap_or(0) as u64
            }
        }
    };
}

consumer!(spsc::Consumer<T>);
consumer!(mpsc::Consumer<T>);
consumer!(mpmc::Consumer<T>);
