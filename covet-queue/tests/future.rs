//! Waiting as a task: the promises of the module `future`, polled by hand, and under two runtimes.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use covet_queue::future::{RecvFuture, SendFuture};
use covet_queue::{EventCount, PopError, PushError, bytes, mpmc, mpsc, spsc};
use futures_util::stream::FusedStream;
use futures_util::{Sink, SinkExt, StreamExt};
use proptest::prelude::*;

/// A task that counts how often others woke it.
#[derive(Default)]
struct Task(AtomicUsize);

impl Task {
    fn new() -> Arc<Self> {
        Arc::default()
    }

    fn woken(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// Polls as long as the future wakes the task itself.
    fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        loop {
            let before = self.woken();
            let polled = poll_with(&waker, future);
            if polled.is_ready() || self.woken() == before {
                return polled;
            }
            self.0.store(before, SeqCst);
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn poll_with<F: Future + Unpin>(waker: &Waker, future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Gives up waiting so often that a future which waits there next yields no more than once.
fn tire<F: Future<Output: std::fmt::Debug> + Unpin>(wait: impl Fn() -> F) {
    for _ in 0..5 {
        assert!(Task::new().poll(&mut wait()).is_pending());
    }
}

/// Polls a future that has yielded before, so that it leaves this waker behind.
fn poll_later_with<F: Future + Unpin>(waker: &Waker, future: &mut F) -> Poll<F::Output> {
    assert!(Task::new().poll(future).is_pending());
    poll_with(waker, future)
}

/// The smallest executor: polls, and sleeps until woken.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

/// A waker that runs a closure whenever it is woken.
fn on_wake(run: impl Fn() + Send + Sync + 'static) -> Waker {
    struct Run<F>(F);
    impl<F: Fn() + Send + Sync + 'static> Wake for Run<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }
    Waker::from(Arc::new(Run(run)))
}

#[test]
fn futures_can_move_and_be_sent_to_other_threads() {
    fn check<F: Send + Unpin>(_: &F) {}
    let (mut producer, mut consumer) = spsc::bounded::<u8>(1);
    check(&producer.send(1));
    check(&producer.send_batch([1]));
    check(&producer.sink());
    check(&consumer.recv());
    check(&consumer.recv_batch(1, |_| {}));
    check(&consumer.stream());
    let (producer, mut consumer) = mpsc::bounded::<u8>(1);
    check(&producer.send(1));
    check(&consumer.recv());
    check(&consumer.into_stream());
    check(&producer.into_sink());
    let (producer, consumer) = mpmc::bounded::<u8>(1);
    check(&producer.send(1));
    check(&consumer.recv());
    check(&EventCount::new().wait(|| Some(())));
}

/// Both sides as tasks or as threads, in every combination and kind of ring.
#[test]
fn values_arrive_in_order_whoever_waits() {
    const COUNT: u32 = 2_000;

    macro_rules! relay {
        ($kind:ident, $capacity:expr) => {
            for (sends, receives) in [(true, true), (true, false), (false, true)] {
                #[allow(unused_mut)]
                let (mut producer, mut consumer) = $kind::bounded($capacity);
                let sender = thread::spawn(move || {
                    for value in 0..COUNT {
                        if sends {
                            block_on(producer.send(value)).unwrap();
                        } else {
                            producer.push(value).unwrap();
                        }
                    }
                });
                for value in 0..COUNT {
                    if receives {
                        assert_eq!(block_on(consumer.recv()), Ok(value));
                    } else {
                        assert_eq!(consumer.pop(), Ok(value));
                    }
                }
                assert_eq!(block_on(consumer.recv()), Err(PopError));
                sender.join().unwrap();
            }
        };
    }
    for capacity in [1, 3, 64] {
        relay!(spsc, capacity);
        relay!(mpsc, capacity);
        relay!(mpmc, capacity);
    }
}

#[test]
fn a_future_yields_before_it_takes_a_place_and_but_once_where_waits_are_long() {
    let events = EventCount::new();
    let wait = || events.wait(|| None::<()>);
    let task = Task::new();
    let waker = Waker::from(Arc::clone(&task));
    let mut waiting = wait();
    assert!(poll_with(&waker, &mut waiting).is_pending());
    assert_eq!(task.woken(), 1);
    assert!(!events.has_waiters());
    assert!(task.poll(&mut waiting).is_pending());
    assert!(events.has_waiters());
    drop(waiting);
    assert!(!events.has_waiters());

    tire(wait);
    let mut waiting = wait();
    assert!(poll_with(&waker, &mut waiting).is_pending());
    assert_eq!(task.woken(), 2);
    assert!(!events.has_waiters());
    assert!(poll_with(&waker, &mut waiting).is_pending());
    assert_eq!(task.woken(), 2);
    assert!(events.has_waiters());
}

#[test]
fn a_recv_is_woken_by_a_push_and_only_then() {
    let (producer, consumer) = mpmc::bounded(2);
    let task = Task::new();
    let mut recv = consumer.recv();
    for _ in 0..5 {
        assert!(task.poll(&mut recv).is_pending());
    }
    assert_eq!(task.woken(), 0);
    producer.try_push(1).unwrap();
    producer.try_push(2).unwrap();
    assert_eq!(task.woken(), 1);
    assert_eq!(task.poll(&mut recv), Poll::Ready(Ok(1)));
}

#[test]
fn a_send_is_woken_by_the_first_free_slot() {
    let (mut producer, mut consumer) = spsc::bounded(64);
    assert_eq!(producer.push_batch(0..64).unwrap(), 64);
    let task = Task::new();
    let mut send = producer.send(64);
    assert!(task.poll(&mut send).is_pending());
    consumer.try_pop().unwrap();
    assert_eq!(task.woken(), 1);
    assert_eq!(task.poll(&mut send), Poll::Ready(Ok(())));
}

/// The thread waits for a quarter of the ring, the task behind it for a slot.
#[test]
fn a_patient_thread_does_not_hold_up_a_task() {
    let (producer, consumer) = mpmc::bounded(64);
    assert_eq!(producer.push_batch(0..64).unwrap(), 64);
    thread::scope(|scope| {
        scope.spawn(|| producer.push(64).unwrap());
        thread::sleep(Duration::from_millis(50)); // until it sleeps
        let task = Task::new();
        let mut send = producer.send(65);
        assert!(task.poll(&mut send).is_pending());
        assert!(consumer.try_pop().is_ok());
        // Between two sleeps the thread may have been faster; then it is the task's turn after the next pop.
        if task.woken() == 0 || task.poll(&mut send).is_pending() {
            assert!(consumer.try_pop().is_ok());
            assert!(task.woken() > 0);
            assert_eq!(task.poll(&mut send), Poll::Ready(Ok(())));
        }
        while consumer.try_pop().is_ok() {}
    });
}

#[test]
fn a_notified_future_that_is_dropped_notifies_the_next() {
    let (producer, consumer) = mpmc::bounded(1);
    let tasks: [_; 3] = std::array::from_fn(|_| Task::new());
    let mut recvs = [consumer.recv(), consumer.recv(), consumer.recv()];
    for (task, recv) in tasks.iter().zip(&mut recvs) {
        assert!(task.poll(recv).is_pending());
    }
    let [first, second, mut third] = recvs;
    drop(second); // was not notified
    producer.try_push(1).unwrap();
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 0, 0]);
    drop(first);
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 0, 1]);
    assert_eq!(tasks[2].poll(&mut third), Poll::Ready(Ok(1)));

    // The same for senders.
    producer.try_push(2).unwrap();
    let tasks: [_; 2] = std::array::from_fn(|_| Task::new());
    let [mut first, mut second] = [producer.send(3), producer.send(4)];
    assert!(tasks[0].poll(&mut first).is_pending());
    assert!(tasks[1].poll(&mut second).is_pending());
    consumer.try_pop().unwrap();
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 0]);
    drop(first);
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 1]);
    assert_eq!(tasks[1].poll(&mut second), Poll::Ready(Ok(())));
    assert_eq!(consumer.try_pop(), Ok(4));
}

#[test]
fn a_notified_future_whose_poll_panics_notifies_the_next() {
    let events = EventCount::new();
    let open = AtomicUsize::new(0);
    let mut panics = events.wait(|| {
        assert_eq!(open.load(SeqCst), 0, "the condition cannot be looked at");
        None::<()>
    });
    let mut waits = events.wait(|| (open.load(SeqCst) == 1).then_some(()));
    let tasks = [Task::new(), Task::new()];
    assert!(tasks[0].poll(&mut panics).is_pending());
    assert!(tasks[1].poll(&mut waits).is_pending());
    open.store(1, SeqCst);
    events.notify_one();
    assert!(catch_unwind(AssertUnwindSafe(|| tasks[0].poll(&mut panics))).is_err());
    drop(panics);
    assert_eq!(tasks[1].woken(), 1);
    assert!(tasks[1].poll(&mut waits).is_ready());
}

#[test]
fn a_future_that_came_too_late_is_first_again() {
    let (producer, consumer) = mpmc::bounded(1);
    let tasks: [_; 2] = std::array::from_fn(|_| Task::new());
    let mut recvs = [consumer.recv(), consumer.recv()];
    for (task, recv) in tasks.iter().zip(&mut recvs) {
        assert!(task.poll(recv).is_pending());
    }
    producer.try_push(1).unwrap();
    assert_eq!(consumer.try_pop(), Ok(1));
    assert!(tasks[0].poll(&mut recvs[0]).is_pending());
    producer.try_push(2).unwrap();
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [2, 0]);
    assert_eq!(tasks[0].poll(&mut recvs[0]), Poll::Ready(Ok(2)));
}

#[test]
fn threads_and_tasks_are_notified_in_the_order_in_which_they_came() {
    let events = Arc::new(EventCount::new());
    let open = Arc::new(AtomicUsize::new(0));
    let take = {
        let open = Arc::clone(&open);
        move || {
            let less = |left: usize| left.checked_sub(1);
            open.fetch_update(SeqCst, SeqCst, less).ok()
        }
    };
    let first = Task::new();
    let mut first_wait = events.wait(take.clone());
    assert!(first.poll(&mut first_wait).is_pending());
    let thread = thread::spawn({
        let (events, take) = (Arc::clone(&events), take.clone());
        move || events.wait_until(None, take)
    });
    thread::sleep(Duration::from_millis(50)); // until it sleeps
    let last = Task::new();
    let mut last_wait = events.wait(take.clone());
    assert!(last.poll(&mut last_wait).is_pending());

    open.fetch_add(1, SeqCst);
    events.notify_one();
    assert!(first.poll(&mut first_wait).is_ready());
    open.fetch_add(1, SeqCst);
    events.notify_one();
    thread.join().unwrap();
    assert_eq!(last.woken(), 0);
    open.fetch_add(1, SeqCst);
    events.notify_one();
    assert_eq!(last.woken(), 1);
    assert!(last.poll(&mut last_wait).is_ready());
    assert!(!events.has_waiters());
}

#[test]
fn the_last_waker_is_the_one_that_is_woken() {
    let (producer, consumer) = mpmc::bounded(1);
    let [first, second] = [Task::new(), Task::new()];
    let mut recv = consumer.recv();
    assert!(first.poll(&mut recv).is_pending());
    assert!(second.poll(&mut recv).is_pending());
    assert_eq!(Arc::strong_count(&first), 1, "the first waker is let go");
    producer.try_push(1).unwrap();
    assert_eq!([first.woken(), second.woken()], [0, 1]);
    // A third task finishes what the second was woken for.
    assert_eq!(Task::new().poll(&mut recv), Poll::Ready(Ok(1)));
}

#[test]
fn a_leaked_future_costs_one_notification_and_nothing_else() {
    let (producer, consumer) = mpmc::bounded(4);
    let [leaked, waiting] = [Task::new(), Task::new()];
    let mut recv = consumer.recv();
    assert!(leaked.poll(&mut recv).is_pending());
    mem::forget(recv);
    let mut recv = consumer.recv();
    assert!(waiting.poll(&mut recv).is_pending());
    producer.try_push(1).unwrap();
    assert_eq!([leaked.woken(), waiting.woken()], [1, 0]);
    producer.try_push(2).unwrap();
    assert_eq!([leaked.woken(), waiting.woken()], [1, 1]);
    assert_eq!(waiting.poll(&mut recv), Poll::Ready(Ok(1)));
    assert_eq!(Arc::strong_count(&leaked), 1);

    // Leaked with what it borrows: the handle is used and dropped all the same.
    let (mut producer, mut consumer) = spsc::bounded(1);
    let mut recv = consumer.recv();
    assert!(leaked.poll(&mut recv).is_pending());
    mem::forget(recv);
    producer.push(1).unwrap();
    assert_eq!(consumer.pop(), Ok(1));
}

#[test]
fn a_waker_that_panics_disturbs_nobody() {
    let (producer, consumer) = mpmc::bounded(1);
    tire(|| consumer.recv());
    let task = Task::new();
    let mut panicking = consumer.recv();
    let mut waiting = consumer.recv();
    let waker = on_wake(|| panic!("this waker panics"));
    assert!(poll_later_with(&waker, &mut panicking).is_pending());
    assert!(task.poll(&mut waiting).is_pending());
    assert_eq!(producer.try_push(1), Ok(()));
    drop(panicking); // was notified
    assert_eq!(task.woken(), 1);
    assert_eq!(task.poll(&mut waiting), Poll::Ready(Ok(1)));

    let mut panicking = consumer.recv();
    let mut waiting = consumer.recv();
    assert!(poll_later_with(&waker, &mut panicking).is_pending());
    assert!(task.poll(&mut waiting).is_pending());
    producer.close();
    assert_eq!(task.woken(), 2);
    assert_eq!(task.poll(&mut waiting), Poll::Ready(Err(PopError)));
}

#[test]
fn a_waker_may_use_the_ring() {
    let (producer, consumer) = mpmc::bounded(4);
    tire(|| consumer.recv());
    let received = Arc::new(Mutex::new(Vec::new()));
    let mut recv = consumer.recv();
    let waker = on_wake({
        let (producer, consumer) = (producer.clone(), consumer.clone());
        let received = Arc::clone(&received);
        move || {
            received.lock().unwrap().push(consumer.try_pop().unwrap());
            producer.try_push(10).unwrap();
        }
    });
    assert!(poll_later_with(&waker, &mut recv).is_pending());
    producer.try_push(1).unwrap();
    assert_eq!(*received.lock().unwrap(), [1]);
    assert_eq!(poll_with(&waker, &mut recv), Poll::Ready(Ok(10)));
}

/// A waker that is dropped or cloned does so outside the lock, whatever it then does.
#[test]
fn a_waker_may_use_the_ring_when_it_is_dropped_or_panic_when_it_is_cloned() {
    struct PushOnDrop(mpmc::Producer<u32>);
    impl Wake for PushOnDrop {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for PushOnDrop {
        fn drop(&mut self) {
            self.0.try_push(1).unwrap();
        }
    }

    let (producer, consumer) = mpmc::bounded(4);
    let other = Task::new();
    for ended in [false, true] {
        tire(|| consumer.recv());
        let mut recv = consumer.recv();
        let waker = Waker::from(Arc::new(PushOnDrop(producer.clone())));
        assert!(poll_later_with(&waker, &mut recv).is_pending());
        drop(waker); // the ring has the last clone
        if ended {
            drop(recv);
        } else {
            // The end of the old waker fills the ring, and wakes the new one.
            assert_eq!(other.poll(&mut recv), Poll::Ready(Ok(1)));
            assert_eq!(other.woken(), 1);
        }
    }
    assert_eq!(consumer.try_pop(), Ok(1));

    let panics = {
        use std::task::{RawWaker, RawWakerVTable};
        fn clone(_: *const ()) -> RawWaker {
            panic!("this waker cannot be cloned")
        }
        fn nothing(_: *const ()) {}
        static TABLE: RawWakerVTable = RawWakerVTable::new(clone, nothing, nothing, nothing);
        // SAFETY: none of the functions uses the pointer.
        unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) }
    };
    tire(|| consumer.recv());
    let mut recv = consumer.recv();
    assert!(poll_with(Waker::noop(), &mut recv).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll_with(&panics, &mut recv))).is_err());
    assert!(other.poll(&mut recv).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| poll_with(&panics, &mut recv))).is_err());
    producer.try_push(2).unwrap();
    assert_eq!(other.poll(&mut recv), Poll::Ready(Ok(2)));
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_loses_no_element() {
    use std::task::{RawWaker, RawWakerVTable};
    fn clone(_: *const ()) -> RawWaker {
        RawWaker::new(std::ptr::null(), &TABLE)
    }
    fn nothing(_: *const ()) {}
    fn panics(_: *const ()) {
        panic!("this waker cannot be dropped")
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, nothing, nothing, panics);

    let (producer, consumer) = mpmc::bounded(1);
    tire(|| consumer.recv());
    let first = Task::new();
    let (mut notified, mut overtakes) = (consumer.recv(), consumer.recv());
    assert!(first.poll(&mut notified).is_pending());
    // SAFETY: none of the functions uses the pointer.
    let waker = mem::ManuallyDrop::new(unsafe { Waker::from_raw(clone(std::ptr::null())) });
    assert!(poll_later_with(&waker, &mut overtakes).is_pending());
    producer.try_push(1).unwrap();
    assert_eq!(first.woken(), 1);
    assert_eq!(poll_with(&waker, &mut overtakes), Poll::Ready(Ok(1)));
}

#[test]
fn closing_ends_what_waits() {
    // The producer goes: consumers drain the ring first.
    let (producer, consumer) = mpmc::bounded(2);
    let tasks: [_; 2] = std::array::from_fn(|_| Task::new());
    let mut recvs = [consumer.recv(), consumer.recv()];
    for (task, recv) in tasks.iter().zip(&mut recvs) {
        assert!(task.poll(recv).is_pending());
    }
    producer.try_push(1).unwrap();
    drop(producer);
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 1]);
    assert_eq!(tasks[1].poll(&mut recvs[1]), Poll::Ready(Ok(1)));
    assert_eq!(tasks[0].poll(&mut recvs[0]), Poll::Ready(Err(PopError)));

    // The consumer goes: senders get their values back.
    let (mut producer, consumer) = spsc::bounded(1);
    producer.push("a").unwrap();
    let task = Task::new();
    let mut send = producer.send("b");
    assert!(task.poll(&mut send).is_pending());
    drop(consumer);
    assert_eq!(task.woken(), 1);
    assert_eq!(task.poll(&mut send), Poll::Ready(Err(PushError("b"))));
    drop(send);
    let error = block_on(producer.send_batch(["c", "d"])).unwrap_err();
    assert_eq!(
        (error.pushed, error.rest.collect::<Vec<_>>()),
        (0, vec!["c", "d"])
    );
}

#[test]
fn a_send_that_is_given_up_returns_its_value_or_drops_it_once() {
    let (producer, consumer) = mpmc::bounded(1);
    let value = Arc::new(());
    producer.try_push(Arc::new(())).unwrap();
    let task = Task::new();
    for returned in [true, false] {
        let mut send = producer.send(Arc::clone(&value));
        assert!(task.poll(&mut send).is_pending());
        assert_eq!(Arc::strong_count(&value), 2);
        if returned {
            assert!(send.into_inner().is_some());
        } else {
            drop(send);
        }
        assert_eq!(Arc::strong_count(&value), 1);
    }
    consumer.try_pop().unwrap();
    let mut send = producer.send(Arc::clone(&value));
    assert!(task.poll(&mut send).is_ready());
    assert!(send.into_inner().is_none());
    assert_eq!(consumer.len(), 1);
    assert_eq!(Arc::strong_count(&value), 2);
}

#[test]
#[should_panic(expected = "polled after it had ended")]
fn a_send_that_has_ended_is_not_polled_again() {
    let (producer, _consumer) = mpmc::bounded(2);
    let mut send = producer.send(1);
    let task = Task::new();
    assert!(task.poll(&mut send).is_ready());
    let _ = task.poll(&mut send);
}

#[test]
fn a_batch_that_is_given_up_keeps_what_it_has_not_sent() {
    let (mut producer, mut consumer) = spsc::bounded(3);
    let mut values = 0..10;
    let mut send = producer.send_batch(values.by_ref());
    let task = Task::new();
    assert!(task.poll(&mut send).is_pending());
    assert_eq!(send.sent(), 3);
    drop(send);
    assert_eq!(values, 3..10);

    let mut received = Vec::new();
    let sender = thread::spawn(move || block_on(producer.send_batch(values)));
    while received.len() < 10 {
        block_on(consumer.recv_batch(4, |value| received.push(value))).unwrap();
    }
    assert_eq!(received, (0..10).collect::<Vec<_>>());
    assert_eq!(sender.join().unwrap().unwrap(), 7);
    assert_eq!(block_on(consumer.recv_batch(4, |_| {})), Err(PopError));
    assert_eq!(block_on(consumer.recv_batch(0, |_| {})), Ok(0));
}

/// The hint of this iterator says nothing.
#[test]
fn a_batch_of_unknown_length_is_sent_whole() {
    let (producer, consumer) = mpmc::bounded(4);
    let odd = (0..100).filter(|n| n % 2 == 1);
    let sender = thread::spawn(move || block_on(producer.send_batch(odd)).unwrap());
    let sum: u32 = std::iter::from_fn(|| consumer.pop().ok()).sum();
    assert_eq!((sum, sender.join().unwrap()), (2_500, 50));
}

#[test]
fn a_stream_keeps_its_place_while_its_futures_come_and_go() {
    let (producer, consumer) = mpmc::bounded(2);
    let tasks: [_; 2] = std::array::from_fn(|_| Task::new());
    let mut stream = consumer.stream();
    let mut recv = consumer.recv();
    assert!(tasks[0].poll(&mut stream.next()).is_pending());
    assert!(tasks[1].poll(&mut recv).is_pending());
    assert!(tasks[0].poll(&mut stream.next()).is_pending());
    producer.try_push(1).unwrap();
    assert_eq!(tasks.each_ref().map(|task| task.woken()), [1, 0]);
    assert_eq!(tasks[0].poll(&mut stream.next()), Poll::Ready(Some(1)));
    producer.close();
    assert!(!stream.is_terminated());
    assert_eq!(tasks[0].poll(&mut stream.next()), Poll::Ready(None));
    assert!(stream.is_terminated());
}

#[test]
fn a_sink_holds_one_value_back_while_the_ring_is_full() {
    let (producer, mut consumer) = spsc::bounded(1);
    let mut sink = producer.into_sink();
    let task = Task::new();
    let waker = Waker::from(Arc::clone(&task));
    let context = &mut Context::from_waker(&waker);
    for value in [1, 2] {
        assert_eq!(Pin::new(&mut sink).poll_ready(context), Poll::Ready(Ok(())));
        assert_eq!(Pin::new(&mut sink).start_send(value), Ok(()));
    }
    assert!(Pin::new(&mut sink).poll_ready(context).is_pending());
    assert_eq!(task.woken(), 1); // yields
    assert!(Pin::new(&mut sink).poll_close(context).is_pending());
    assert_eq!(consumer.try_pop(), Ok(1));
    assert_eq!(task.woken(), 2);
    assert!(!consumer.is_closed());
    assert_eq!(Pin::new(&mut sink).poll_close(context), Poll::Ready(Ok(())));
    assert_eq!(consumer.try_pop(), Ok(2));
    assert!(consumer.is_closed());
    assert_eq!(block_on(sink.send(3)), Err(PushError(3)));

    // A sink that borrows its producer leaves it open, and gives a value back if the ring is closed.
    let (producer, consumer) = mpmc::bounded(1);
    block_on(producer.sink().close()).unwrap();
    assert!(!producer.is_closed());
    let mut sink = producer.sink();
    block_on(sink.feed(1)).unwrap();
    block_on(sink.feed(2)).unwrap();
    consumer.close();
    assert_eq!(block_on(sink.flush()), Err(PushError(2)));
    assert_eq!(block_on(sink.send(3)), Err(PushError(3)));
}

#[test]
fn records_are_sent_and_received_by_tasks() {
    const COUNT: i32 = 1_000;

    fn is_send<F: Send>(future: F) -> F {
        future
    }

    let (producer, mut consumer) = bytes::mpsc(64);
    let senders = [1, 2].map(|kind| {
        let mut producer = producer.clone();
        thread::spawn(move || {
            for length in 0..COUNT {
                let bytes = [kind as u8; 24];
                let bytes = &bytes[..length as usize % 24];
                if length % 2 == 0 {
                    block_on(is_send(producer.send(kind, bytes))).unwrap();
                } else {
                    producer.write(kind, bytes).unwrap();
                }
            }
        })
    });
    drop(producer);
    let mut next = [0; 2];
    let mut receive = |kind: i32, bytes: &[u8]| {
        let next = &mut next[kind as usize - 1];
        assert_eq!(bytes.len(), *next % 24);
        assert!(bytes.iter().all(|&byte| byte == kind as u8));
        *next += 1;
    };
    while block_on(is_send(consumer.recv(4, &mut receive))).is_ok() {}
    assert_eq!(next, [COUNT as usize; 2]);
    for sender in senders {
        sender.join().unwrap();
    }
}

#[test]
fn a_record_is_not_claimed_by_a_send_that_is_given_up() {
    let (mut producer, mut consumer) = bytes::spsc(64);
    let bytes = [7; 24];
    producer.write(1, &bytes).unwrap();
    producer.write(2, &bytes).unwrap();
    let task = Task::new();
    assert!(
        task.poll(&mut Box::pin(producer.send(3, &bytes)))
            .is_pending()
    );
    assert_eq!(consumer.try_read(9, |_, _| {}), Ok(2));
    assert!(
        task.poll(&mut Box::pin(consumer.recv(1, |_, _| {})))
            .is_pending()
    );
    assert!(
        task.poll(&mut Box::pin(producer.send(4, &bytes)))
            .is_ready()
    );
    let mut kinds = Vec::new();
    block_on(consumer.recv(9, |kind, _| kinds.push(kind))).unwrap();
    assert_eq!(kinds, [4]);
    assert!(block_on(producer.send(0, &bytes)).is_err());
}

/// What may happen to a ring that tasks wait for.
#[derive(Clone, Copy, Debug)]
enum Step {
    PollRecv(usize),
    DropRecv(usize),
    PollSend(usize),
    DropSend(usize),
    TryPop,
    TryPush,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_usize).prop_map(Step::PollRecv),
        1 => (0..4_usize).prop_map(Step::DropRecv),
        4 => (0..4_usize).prop_map(Step::PollSend),
        1 => (0..4_usize).prop_map(Step::DropSend),
        1 => Just(Step::TryPop),
        1 => Just(Step::TryPush),
    ];
    prop::collection::vec(step, 0..200)
}

/// A future, its task, and how often that had been woken when it was polled last.
struct Waiting<F> {
    future: F,
    task: Arc<Task>,
    seen: usize,
}

impl<F: Future + Unpin> Waiting<F> {
    fn new(future: F) -> Self {
        Self {
            future,
            task: Task::new(),
            seen: 0,
        }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        self.seen = self.task.woken();
        self.task.poll(&mut self.future)
    }

    fn was_notified(&self) -> bool {
        self.task.woken() > self.seen
    }
}

/// Whether somebody is told, if anybody waits.
fn told<F: Future + Unpin>(waiting: &[Option<Waiting<F>>]) -> bool {
    let mut waiting = waiting.iter().flatten().peekable();
    waiting.peek().is_none() || waiting.any(Waiting::was_notified)
}

type Receives<'a> = RecvFuture<&'a mpmc::Consumer<u32>>;
type Sends<'a> = SendFuture<&'a mpmc::Producer<u32>>;

proptest! {
    /// Futures are polled for no reason, dropped at any time and overtaken, and still: as long as there is an element, a
    /// receiver that waits has been notified; as long as there is room, a sender; and values arrive once, in order.
    #[test]
    fn no_wake_up_and_no_value_is_lost_by_cancelling(capacity in 1..4_usize, steps in steps()) {
        let (producer, consumer) = mpmc::bounded(capacity);
        let mut recvs: [Option<Waiting<Receives>>; 4] = Default::default();
        let mut sends: [Option<Waiting<Sends>>; 4] = Default::default();
        let mut values = 0..;
        let mut naive = VecDeque::new();
        let mut carried = [0; 4];
        for step in steps {
            match step {
                Step::PollRecv(index) => {
                    let recv = recvs[index].get_or_insert_with(|| Waiting::new(consumer.recv()));
                    let polled = recv.poll();
                    prop_assert_eq!(polled, naive.pop_front().map_or(Poll::Pending, |value| Poll::Ready(Ok(value))));
                    if polled.is_ready() {
                        recvs[index] = None;
                    }
                }
                Step::DropRecv(index) => recvs[index] = None,
                Step::PollSend(index) => {
                    let send = sends[index].get_or_insert_with(|| {
                        carried[index] = values.next().unwrap();
                        Waiting::new(producer.send(carried[index]))
                    });
                    let polled = send.poll();
                    prop_assert_eq!(polled.is_ready(), naive.len() < capacity);
                    if polled.is_ready() {
                        naive.push_back(carried[index]);
                        sends[index] = None;
                    }
                }
                Step::DropSend(index) => {
                    let value = sends[index].take().map(|send| send.future.into_inner());
                    prop_assert!(value.is_none_or(|value| value == Some(carried[index])));
                }
                Step::TryPop => prop_assert_eq!(consumer.try_pop().ok(), naive.pop_front()),
                Step::TryPush => {
                    let value = values.next().unwrap();
                    if producer.try_push(value).is_ok() {
                        naive.push_back(value);
                    }
                }
            }
            prop_assert_eq!(consumer.len(), naive.len());
            prop_assert!(naive.is_empty() || told(&recvs), "an element, and nobody knows");
            prop_assert!(naive.len() == capacity || told(&sends), "room, and nobody knows");
        }
    }
}

/// Many tasks on several threads, whose futures are dropped all the time.
#[test]
fn cancelled_futures_lose_nothing_under_tokio() {
    const EACH: u32 = if cfg!(debug_assertions) {
        3_000
    } else {
        20_000
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (producer, consumer) = mpmc::bounded(2);
        let mut senders = Vec::new();
        for number in 0..3 {
            let producer = producer.clone();
            senders.push(tokio::spawn(async move {
                for value in number * EACH..(number + 1) * EACH {
                    let mut waiting = Some(value);
                    while let Some(value) = waiting.take() {
                        let mut send = producer.send(value);
                        tokio::select! {
                            biased;
                            sent = &mut send => sent.unwrap(),
                            () = tokio::task::yield_now() => waiting = send.into_inner(),
                        }
                    }
                }
            }));
        }
        drop(producer);
        let mut receivers = Vec::new();
        for _ in 0..3 {
            let consumer = consumer.clone();
            receivers.push(tokio::spawn(async move {
                let mut received = Vec::new();
                loop {
                    tokio::select! {
                        biased;
                        value = consumer.recv() => match value {
                            Ok(value) => received.push(value),
                            Err(PopError) => return received,
                        },
                        () = tokio::task::yield_now() => {}
                    }
                }
            }));
        }
        let mut all = Vec::new();
        for receiver in receivers {
            all.extend(receiver.await.unwrap());
        }
        for sender in senders {
            sender.await.unwrap();
        }
        all.sort_unstable();
        assert_eq!(all, (0..3 * EACH).collect::<Vec<_>>());
    });
}

#[test]
fn select_takes_from_whichever_ring_has_something() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (mut numbers, mut from_numbers) = spsc::bounded(1);
        let (letters, mut from_letters) = mpsc::bounded(1);
        let thread = thread::spawn(move || {
            for number in 0..100 {
                numbers.push(number).unwrap();
                letters.push('x').unwrap();
            }
        });
        let (mut sum, mut count) = (0, 0);
        // Kept over the rounds of the loop, each keeps its place.
        let (mut numbers, mut letters) = (from_numbers.stream(), from_letters.stream());
        loop {
            tokio::select! {
                Some(number) = numbers.next() => sum += number,
                Some(_) = letters.next() => count += 1,
                else => break,
            }
        }
        assert_eq!((sum, count), (4_950, 100));
        thread.join().unwrap();

        let (_producer, consumer) = mpmc::bounded::<u8>(1);
        let timeout = Duration::from_millis(5);
        assert!(
            tokio::time::timeout(timeout, consumer.recv())
                .await
                .is_err()
        );
    });
}

#[test]
fn streams_and_sinks_work_under_the_executor_of_futures() {
    use futures_util::stream;

    let (first, from_first) = mpmc::bounded(3);
    let (second, from_second) = spsc::bounded(2);
    let source = stream::iter(0..1_000).map(Ok).forward(first.into_sink());
    let relay = from_first
        .into_stream()
        .map(|n| Ok(2 * n))
        .forward(second.into_sink());
    let sum = from_second
        .into_stream()
        .fold(0, |sum, n| async move { sum + n });
    let (sent, relayed, sum) =
        futures_executor::block_on(async { futures_util::join!(source, relay, sum) });
    sent.unwrap();
    relayed.unwrap();
    assert_eq!(sum, 999_000);
}
