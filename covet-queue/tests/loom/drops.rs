//! What is left in a ring when its handles go.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering::Relaxed};

use covet_queue::{mpmc, spsc};
use loom::thread;

use crate::harness::{join_all, models};

models! {
    once, 3 preemptions, at least 1_000: what_is_left_is_dropped_once;
}

fn what_is_left_is_dropped_once() {
    struct Counted(Arc<Counter>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    let drops = Arc::new(Counter::new(0));
    let made = || Counted(Arc::clone(&drops));
    let (mut producer, mut consumer) = spsc::bounded(2);
    let (many_producer, many_consumer) = mpmc::bounded(2);
    let values = [made(), made(), made(), made()];
    join_all([
        thread::spawn(move || {
            let [a, b, c, d] = values;
            let _ = producer.try_push(a);
            let _ = producer.try_push(b);
            let _ = many_producer.try_push(c);
            let _ = many_producer.try_push(d);
        }),
        thread::spawn(move || {
            let _ = consumer.try_pop();
            drop(consumer);
            let _ = many_consumer.try_pop();
        }),
    ]);
    assert_eq!(drops.load(Relaxed), 4);
}
