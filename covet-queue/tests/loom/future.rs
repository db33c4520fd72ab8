//! Waiting as a task: the list with tasks in it, and the futures of the rings.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use covet_queue::{EventCount, PopError, PushError, mpmc, spsc};
use loom::sync::atomic::AtomicUsize;
use loom::sync::{Condvar, Mutex};
use loom::thread;

use crate::harness::{join_all, models};

models! {
    ping_pong, 5 preemptions, at least 15_000: tasks_hand_a_turn_back_and_forth;
    notify_one, 3 preemptions, at least 80_000: every_ticket_finds_its_task;
    cancelled, 3 preemptions, at least 30_000: a_task_that_gives_up_passes_on;
    cancelled_before_a_thread, 3 preemptions, at least 25_000: a_task_that_gives_up_passes_on_to_a_thread;
    new_waker, 3 preemptions, at least 200: the_new_waker_is_woken;
    spsc_stream, 2 preemptions, at least 10_000: a_task_sends_and_a_task_receives;
    spsc_thread_and_task, 2 preemptions, at least 10_000: a_thread_pushes_and_a_task_receives;
    spsc_send_closed, 5 preemptions, at least 8_000: a_send_is_told_that_the_consumer_closed;
    spsc_quarter, 3 preemptions, at least 250: a_task_does_not_wait_for_a_quarter;
    mpmc_recv, 1 preemptions, at least 15_000: wakes_every_recv;
    mpmc_send, 1 preemptions, at least 15_000: wakes_every_send;
    mpmc_close, 1 preemptions, at least 20_000: tells_every_recv_that_the_ring_is_closed;
}

/// What ends the sleep of an executor.
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            woken: Mutex::new(false),
            changed: Condvar::new(),
        })
    }

    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn poll_with<F: Future>(signal: &Arc<Signal>, future: Pin<&mut F>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(signal));
    future.poll(&mut Context::from_waker(&waker))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let signal = Signal::new();
    let mut future = pin!(future);
    loop {
        match poll_with(&signal, future.as_mut()) {
            Poll::Ready(value) => return value,
            Poll::Pending => signal.wait(),
        }
    }
}

/// Polls until the task has a place, and gives up.
fn give_up<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    match poll_twice(&Signal::new(), future.as_mut()) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => {
            thread::yield_now();
            None
        }
    }
}

/// In the first poll a future only yields.
fn poll_twice<F: Future>(signal: &Arc<Signal>, mut future: Pin<&mut F>) -> Poll<F::Output> {
    let polled = poll_with(signal, future.as_mut());
    if polled.is_ready() {
        return polled;
    }
    poll_with(signal, future)
}

fn tasks_hand_a_turn_back_and_forth() {
    struct Table {
        turn: AtomicUsize,
        changed: [EventCount; 2],
    }
    let table = Arc::new(Table {
        turn: AtomicUsize::new(0),
        changed: [EventCount::new(), EventCount::new()],
    });
    let player = |me: usize| {
        let table = Arc::clone(&table);
        move || {
            for round in 0..2 {
                let mine = 2 * round + me;
                let my_turn = || (table.turn.load(Relaxed) == mine).then_some(());
                block_on(table.changed[me].wait(my_turn));
                table.turn.store(mine + 1, Relaxed);
                table.changed[1 - me].notify_one();
            }
        }
    };
    join_all([thread::spawn(player(0)), thread::spawn(player(1))]);
}

struct Tickets {
    left: AtomicUsize,
    changed: EventCount,
}

impl Tickets {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(0),
            changed: EventCount::new(),
        })
    }

    fn give(&self) {
        self.left.fetch_add(1, Relaxed);
        self.changed.notify_one();
    }

    fn try_take(&self) -> Option<usize> {
        let less = |left: usize| left.checked_sub(1);
        self.left.fetch_update(Relaxed, Relaxed, less).ok()
    }

    fn take(&self) -> impl Future<Output = usize> {
        self.changed.wait(|| self.try_take())
    }
}

fn every_ticket_finds_its_task() {
    let tickets = Tickets::new();
    let [a, b, c] = [&tickets, &tickets, &tickets].map(Arc::clone);
    join_all([
        thread::spawn(move || assert!(block_on(a.take()) > 0)),
        thread::spawn(move || assert!(block_on(b.take()) > 0)),
        thread::spawn(move || {
            c.give();
            c.give();
        }),
    ]);
}

fn a_task_that_gives_up_passes_on() {
    let tickets = Tickets::new();
    let [a, b, c] = [&tickets, &tickets, &tickets].map(Arc::clone);
    join_all([
        thread::spawn(move || {
            if give_up(a.take()).is_some() {
                a.give();
            }
        }),
        thread::spawn(move || assert!(block_on(b.take()) > 0)),
        thread::spawn(move || c.give()),
    ]);
}

fn a_task_that_gives_up_passes_on_to_a_thread() {
    let tickets = Tickets::new();
    let [a, b, c] = [&tickets, &tickets, &tickets].map(Arc::clone);
    join_all([
        thread::spawn(move || {
            if give_up(a.take()).is_some() {
                a.give();
            }
        }),
        thread::spawn(move || assert!(b.changed.wait_until(None, || b.try_take()).is_some())),
        thread::spawn(move || c.give()),
    ]);
}

/// A future is polled with one waker, and then by another task.
fn the_new_waker_is_woken() {
    let tickets = Tickets::new();
    let giver = Arc::clone(&tickets);
    join_all([
        thread::spawn(move || {
            let mut take = pin!(tickets.take());
            if poll_twice(&Signal::new(), take.as_mut()).is_pending() {
                block_on(take);
            }
        }),
        thread::spawn(move || giver.give()),
    ]);
}

fn a_task_sends_and_a_task_receives() {
    let (mut producer, mut consumer) = spsc::bounded(1);
    join_all([
        thread::spawn(move || {
            for value in 0..3 {
                block_on(producer.send(value)).unwrap();
            }
        }),
        thread::spawn(move || {
            for value in 0..3 {
                assert_eq!(block_on(consumer.recv()), Ok(value));
            }
            assert_eq!(block_on(consumer.recv()), Err(PopError));
        }),
    ]);
}

fn a_thread_pushes_and_a_task_receives() {
    let (mut producer, mut consumer) = spsc::bounded(1);
    join_all([
        thread::spawn(move || {
            for value in 0..3 {
                producer.push(value).unwrap();
            }
        }),
        thread::spawn(move || {
            for value in 0..3 {
                assert_eq!(block_on(consumer.recv()), Ok(value));
            }
            assert_eq!(block_on(consumer.recv()), Err(PopError));
        }),
    ]);
}

fn a_send_is_told_that_the_consumer_closed() {
    let (mut producer, mut consumer) = spsc::bounded(1);
    producer.try_push(0).unwrap();
    join_all([
        thread::spawn(move || assert_eq!(block_on(producer.send(1)), Err(PushError(1)))),
        thread::spawn(move || consumer.close()),
    ]);
}

/// One pop of a ring of eight, and no more: less than a quarter.
fn a_task_does_not_wait_for_a_quarter() {
    let (mut producer, mut consumer) = spsc::bounded(8);
    assert_eq!(producer.try_push_batch(&mut (0..8)), Ok(8));
    // Neither handle goes before both threads are done: that would close the ring and wake the task.
    let sender = thread::spawn(move || {
        block_on(producer.send(8)).unwrap();
        producer
    });
    let popper = thread::spawn(move || {
        assert_eq!(consumer.try_pop(), Ok(0));
        consumer
    });
    let _ends = (sender.join().unwrap(), popper.join().unwrap());
}

/// Two tasks wait for one element each, and two pushes may be published in the wrong order.
fn wakes_every_recv() {
    // These two live until all threads are done: dropping a last handle would close the ring and wake everyone.
    let (producer, consumer) = mpmc::bounded(2);
    let recv = |consumer: mpmc::Consumer<usize>| move || assert!(block_on(consumer.recv()).is_ok());
    let push = |producer: mpmc::Producer<usize>| move || producer.try_push(1).unwrap();
    join_all([
        thread::spawn(recv(consumer.clone())),
        thread::spawn(recv(consumer.clone())),
        thread::spawn(push(producer.clone())),
        thread::spawn(push(producer.clone())),
    ]);
}

/// Two tasks wait for one slot each, and two pops may free them in the wrong order.
fn wakes_every_send() {
    let (producer, consumer) = mpmc::bounded(2);
    producer.try_push(1).unwrap();
    producer.try_push(2).unwrap();
    let pop = |consumer: mpmc::Consumer<usize>| move || assert!(consumer.try_pop().is_ok());
    let send = |producer: mpmc::Producer<usize>| move || block_on(producer.send(1)).unwrap();
    join_all([
        thread::spawn(send(producer.clone())),
        thread::spawn(send(producer.clone())),
        thread::spawn(pop(consumer.clone())),
        thread::spawn(pop(consumer.clone())),
    ]);
}

/// Two tasks wait, and the ring is closed while the only push is under way: one gets the value, the other the end.
fn tells_every_recv_that_the_ring_is_closed() {
    let (producer, consumer) = mpmc::bounded(1);
    let ended = Arc::new(Counter::new(0));
    let recv = || {
        let (consumer, ended) = (consumer.clone(), Arc::clone(&ended));
        move || {
            if block_on(consumer.recv()).is_err() {
                ended.fetch_add(1, Relaxed);
            }
        }
    };
    let pushed = Arc::new(Counter::new(0));
    // One producer lives until all threads are done: dropping the last would close the ring again.
    let (pusher, closer, pushes) = (producer.clone(), producer.clone(), Arc::clone(&pushed));
    join_all([
        thread::spawn(recv()),
        thread::spawn(recv()),
        thread::spawn(move || {
            pushes.fetch_add(pusher.try_push(1).is_ok().into(), Relaxed);
        }),
        thread::spawn(move || closer.close()),
    ]);
    assert_eq!(pushed.load(Relaxed) + ended.load(Relaxed), 2);
}
