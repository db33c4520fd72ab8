//! disruptor: events made beforehand and changed in place, read by a poller.

use std::ops::Range;

use disruptor::{
    BusySpin, EventPoller, MissingFreeSlots, MultiProducer, MultiProducerBarrier, Producer,
    SingleConsumerBarrier, SingleProducer, SingleProducerBarrier, build_multi_producer,
    build_single_producer,
};

use crate::driver::{Item, Pop, Push, Queue};

macro_rules! flavour {
    ($name:ident, $build:ident, $producer:ident, $barrier:ident) => {
        pub(crate) struct $name;

        impl<T: Item> Queue<T> for $name {
            type Push = $producer<T, SingleConsumerBarrier>;
            type Pop = EventPoller<T, $barrier>;

            fn ends(capacity: usize) -> (Self::Push, Self::Pop) {
                let (poller, builder) = $build(capacity, T::default, BusySpin).new_event_poller();
                (builder.build(), poller)
            }
        }

        impl<T: Item> Push<T> for $producer<T, SingleConsumerBarrier> {
            #[inline(always)]
            fn try_push(&mut self, value: T) -> bool {
                self.try_publish(|event| *event = value).is_ok()
            }

            #[inline(always)]
            fn try_push_batch(&mut self, numbers: Range<u64>) -> u64 {
                let first = numbers.start;
                let mut publish = |count: u64| {
                    self.try_batch_publish(count as usize, |events| {
                        for (event, number) in events.zip(first..) {
                            *event = T::new(number);
                        }
                    })
                };
                let wanted = numbers.end - first;
                match publish(wanted) {
                    Ok(_) => wanted,
                    Err(MissingFreeSlots(missing)) if missing < wanted => {
                        let room = wanted - missing;
                        publish(room).map_or(0, |_| room)
                    }
                    Err(_) => 0,
                }
            }
        }

        impl<T: Item> Pop<T> for EventPoller<T, $barrier> {
            #[inline(always)]
            fn try_pop(&mut self) -> Option<T> {
                let mut guard = self.take(1).ok()?;
                (&mut guard).next().copied()
            }

            #[inline(always)]
            fn try_pop_batch(&mut self, most: u64, each: &mut impl FnMut(T)) -> u64 {
                let Ok(mut guard) = self.take(most) else {
                    return 0;
                };
                let events = &mut guard;
                let count = events.len() as u64;
                events.copied().for_each(each);
                count
            }
        }
    };
}

flavour!(
    Single,
    build_single_producer,
    SingleProducer,
    SingleProducerBarrier
);
flavour!(
    Multi,
    build_multi_producer,
    MultiProducer,
    MultiProducerBarrier
);
