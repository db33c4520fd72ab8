//! Models: every interleaving (up to a bound on preemptions) of a few threads, under the C11 memory model.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release -p covet-queue --test loom`.
//!
//! A model that passes may still be blind: loom skips schedules that it thinks equal to others, and a model of the wrong
//! shape ends after a single one. Three habits guard against that. Every role is a thread of its own and the main thread
//! only joins. Every model counts its schedules and fails below a written minimum. And `every_weakening_is_rejected` takes
//! the orderings, fences and steps away one at a time, and fails unless some model notices.
#![cfg(loom)]

use std::env;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize as Counter, Ordering::Relaxed};
use std::time::Instant;

use covet_queue::{EventCount, TryPopError, TryPushError, mpmc, spsc, weaken};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicUsize;
use loom::thread::{self, JoinHandle};

struct Model {
    name: &'static str,
    run: fn(),
    /// The most preemptions in one schedule.
    preemptions: usize,
    /// Fewer schedules than this mean that the model has gone blind.
    at_least: usize,
}

impl Model {
    fn explore(&self) -> usize {
        let schedules = Arc::new(Counter::new(0));
        let counter = Arc::clone(&schedules);
        let run = self.run;
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(self.preemptions);
        builder.max_branches = 10_000;
        builder.check(move || {
            counter.fetch_add(1, Relaxed);
            run();
        });
        schedules.load(Relaxed)
    }

    fn check(&self) {
        if let Ok(name) = env::var(WEAKEN) {
            weaken::set(Some(name.leak()));
            self.explore();
            return;
        }
        let schedules = self.explore();
        println!(
            "{}: {schedules} schedules, at most {} preemptions",
            self.name, self.preemptions
        );
        assert!(
            schedules >= self.at_least,
            "{} explored {schedules} schedules, expected at least {}",
            self.name,
            self.at_least
        );
        for met in weaken::met() {
            let listed = WEAKENINGS.iter().any(|(name, _)| *name == met);
            assert!(
                listed || HIDDEN_BY_THE_FENCE.contains(&met),
                "no weakening is tried for {met:?}"
            );
        }
    }
}

/// Declares each model as a test, and all of them as a table.
macro_rules! models {
    ($($name:ident, $preemptions:literal preemptions, at least $at_least:literal: $run:expr;)*) => {
        $(
            #[test]
            fn $name() {
                model(stringify!($name)).check();
            }
        )*

        const MODELS: &[Model] = &[$(Model {
            name: stringify!($name),
            run: $run,
            preemptions: $preemptions,
            at_least: $at_least,
        }),*];
    };
}

fn model(name: &str) -> &'static Model {
    MODELS
        .iter()
        .find(|model| model.name == name)
        .unwrap_or_else(|| panic!("no model is named {name}"))
}

models! {
    spsc_fifo, 3 preemptions, at least 8_000: || spsc_in_order(spsc::bounded(2), 4);
    spsc_wrap, 3 preemptions, at least 8_000: || spsc_in_order(spsc::bounded_from(2, usize::MAX - 1), 4);
    spsc_blocking, 3 preemptions, at least 100_000: spsc_blocks_and_goes_on;
    spsc_producer_closes, 5 preemptions, at least 1_000: spsc_drains_after_producer_closed;
    spsc_consumer_closes, 5 preemptions, at least 6_000: spsc_agrees_on_the_end;
    spsc_consumer_drops, 5 preemptions, at least 200: spsc_push_is_told_after_consumer_dropped;
    mpmc_1p1c, 4 preemptions, at least 20_000: || mpmc_in_order(mpmc::bounded(2), 4);
    mpmc_wrap, 3 preemptions, at least 4_000: || mpmc_in_order(mpmc::bounded_from(2, usize::MAX - 1), 4);
    mpmc_exact_capacity, 3 preemptions, at least 20_000: || mpmc_in_order(mpmc::bounded_from(3, usize::MAX - 1), 5);
    mpmc_2p1c, 3 preemptions, at least 90_000: mpmc_two_producers;
    mpmc_1p2c, 3 preemptions, at least 20_000: mpmc_two_consumers;
    mpmc_close_against_push, 3 preemptions, at least 50_000: mpmc_loses_nothing_when_closed;
    mpmc_closed_push, 5 preemptions, at least 2_000: mpmc_closed_push_shows_what_was_before;
    mpmc_closed_pop, 5 preemptions, at least 700: mpmc_closed_pop_shows_what_was_before;
    mpmc_blocking_pop, 1 preemptions, at least 100_000: mpmc_wakes_every_pop;
    mpmc_blocking_push, 1 preemptions, at least 30_000: mpmc_wakes_every_push;
    mpmc_blocking_close, 1 preemptions, at least 30_000: mpmc_tells_every_blocked_pop_that_it_is_closed;
    drops, 3 preemptions, at least 1_000: what_is_left_is_dropped_once;
    event_count_ping_pong, 5 preemptions, at least 10_000: event_counts_hand_a_turn_back_and_forth;
    event_count_notify_one, 3 preemptions, at least 40_000: every_ticket_finds_its_waiter;
    event_count_timeout, 3 preemptions, at least 20_000: a_waiter_that_gives_up_passes_on;
}

fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Runs `step` until it says that it is done, letting others run in between.
fn until(mut step: impl FnMut() -> bool) {
    while !step() {
        thread::yield_now();
    }
}

/// A value that orders nothing by itself: loom fails unless something else puts the write before the read. Loom's threads
/// take turns on one, so `Rc` can share it.
struct Plain(UnsafeCell<bool>);

impl Plain {
    fn new() -> Rc<Self> {
        Rc::new(Self(UnsafeCell::new(false)))
    }

    fn write(&self) {
        // SAFETY: the pointer comes from a live cell; loom fails on a concurrent access.
        self.0.with_mut(|written| unsafe { *written = true });
    }

    fn assert_written(&self) {
        // SAFETY: as in `write`.
        self.0.with(|written| assert!(unsafe { *written }));
    }
}

fn spsc_in_order(ends: (spsc::Producer<usize>, spsc::Consumer<usize>), count: usize) {
    let (mut producer, mut consumer) = ends;
    join_all([
        thread::spawn(move || {
            for value in 0..count {
                until(|| producer.try_push(value).is_ok());
            }
        }),
        thread::spawn(move || {
            for value in 0..count {
                until(|| match consumer.try_pop() {
                    Ok(popped) => {
                        assert_eq!(popped, value);
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, TryPopError::Empty);
                        false
                    }
                });
            }
        }),
    ]);
}

fn spsc_blocks_and_goes_on() {
    let (mut producer, mut consumer) = spsc::bounded(1);
    join_all([
        thread::spawn(move || {
            for value in 0..3 {
                producer.push(value).unwrap();
            }
        }),
        thread::spawn(move || {
            for value in 0..3 {
                assert_eq!(consumer.pop(), Ok(value));
            }
            assert!(consumer.pop().is_err());
        }),
    ]);
}

fn spsc_drains_after_producer_closed() {
    let (mut producer, mut consumer) = spsc::bounded(2);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            producer.try_push(0).unwrap();
            producer.try_push(1).unwrap();
            before.write();
            producer.close();
            assert_eq!(producer.try_push(2), Err(TryPushError::Closed(2)));
        }),
        thread::spawn(move || {
            let mut next = 0;
            until(|| match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, next);
                    next += 1;
                    false
                }
                Err(error) => error == TryPopError::Closed,
            });
            assert_eq!(next, 2);
            after.assert_written();
        }),
    ]);
}

fn spsc_agrees_on_the_end() {
    let (mut producer, mut consumer) = spsc::bounded(4);
    let before = Plain::new();
    let after = Rc::clone(&before);
    let pushed = Arc::new(Counter::new(0));
    let popped = Arc::new(Counter::new(0));
    let (pushes, pops) = (Arc::clone(&pushed), Arc::clone(&popped));
    join_all([
        thread::spawn(move || {
            for value in 0..3 {
                match producer.try_push(value) {
                    Ok(()) => {
                        pushes.fetch_add(1, Relaxed);
                    }
                    Err(error) => {
                        assert_eq!(error, TryPushError::Closed(value));
                        after.assert_written();
                        break;
                    }
                }
            }
        }),
        thread::spawn(move || {
            let mut take = || match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, pops.fetch_add(1, Relaxed));
                    true
                }
                Err(_) => false,
            };
            take();
            before.write();
            consumer.close();
            let mut ended = false;
            until(|| {
                match consumer.try_pop() {
                    Ok(value) => assert_eq!(value, pops.fetch_add(1, Relaxed)),
                    Err(TryPopError::Closed) => ended = true,
                    Err(TryPopError::Empty) => {
                        panic!("a ring closed by its consumer is never just empty")
                    }
                }
                ended
            });
            assert_eq!(consumer.try_pop(), Err(TryPopError::Closed));
        }),
    ]);
    assert_eq!(pushed.load(Relaxed), popped.load(Relaxed));
}

fn spsc_push_is_told_after_consumer_dropped() {
    let (mut producer, mut consumer) = spsc::bounded(1);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            until(|| matches!(producer.try_push(0), Err(TryPushError::Closed(0))));
            after.assert_written();
        }),
        thread::spawn(move || {
            let _ = consumer.try_pop();
            before.write();
            drop(consumer);
        }),
    ]);
}

fn mpmc_in_order(ends: (mpmc::Producer<usize>, mpmc::Consumer<usize>), count: usize) {
    let (producer, consumer) = ends;
    join_all([
        thread::spawn(move || {
            for value in 0..count {
                until(|| producer.try_push(value).is_ok());
                assert!(producer.len() <= producer.capacity());
            }
        }),
        thread::spawn(move || {
            for value in 0..count {
                until(|| match consumer.try_pop() {
                    Ok(popped) => {
                        assert_eq!(popped, value);
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, TryPopError::Empty);
                        false
                    }
                });
            }
        }),
    ]);
}

fn mpmc_two_producers() {
    let (producer, consumer) = mpmc::bounded(2);
    let other = producer.clone();
    join_all([
        thread::spawn(move || until(|| producer.try_push(1).is_ok())),
        thread::spawn(move || until(|| other.try_push(2).is_ok())),
        thread::spawn(move || {
            let mut sum = 0;
            until(|| {
                sum += consumer.try_pop().unwrap_or(0);
                sum == 3
            });
        }),
    ]);
}

fn mpmc_two_consumers() {
    let (producer, consumer) = mpmc::bounded(2);
    let popped = Arc::new(Counter::new(0));
    let consume = || {
        let (consumer, popped) = (consumer.clone(), Arc::clone(&popped));
        move || {
            // Bounded: two threads that wait for a third would keep each other busy for ever.
            for _ in 0..3 {
                match consumer.try_pop() {
                    Ok(value) => popped.fetch_add(value, Relaxed),
                    Err(error) => {
                        assert_eq!(error, TryPopError::Empty);
                        thread::yield_now();
                        continue;
                    }
                };
            }
        }
    };
    let producer_lives_on = producer.clone();
    join_all([
        thread::spawn(consume()),
        thread::spawn(consume()),
        thread::spawn(move || {
            producer.try_push(1).unwrap();
            producer.try_push(2).unwrap();
        }),
    ]);
    drop(producer_lives_on);
    let left: usize = std::iter::from_fn(|| consumer.try_pop().ok()).sum();
    assert_eq!(popped.load(Relaxed) + left, 3);
}

fn mpmc_loses_nothing_when_closed() {
    let (producer, consumer) = mpmc::bounded(2);
    let closer = producer.clone();
    let pushed = Arc::new(Counter::new(0));
    let popped = Arc::new(Counter::new(0));
    let (pushes, pops) = (Arc::clone(&pushed), Arc::clone(&popped));
    join_all([
        thread::spawn(move || {
            for value in 0..2 {
                match producer.try_push(value) {
                    Ok(()) => {
                        pushes.fetch_add(1, Relaxed);
                    }
                    Err(error) => assert_eq!(error, TryPushError::Closed(value)),
                }
            }
        }),
        thread::spawn(move || {
            closer.close();
            assert!(closer.try_push(9).is_err());
        }),
        thread::spawn(move || {
            until(|| match consumer.try_pop() {
                Ok(value) => {
                    assert_eq!(value, pops.fetch_add(1, Relaxed));
                    false
                }
                Err(error) => error == TryPopError::Closed,
            });
            assert_eq!(consumer.try_pop(), Err(TryPopError::Closed));
        }),
    ]);
    assert_eq!(pushed.load(Relaxed), popped.load(Relaxed));
}

fn mpmc_closed_push_shows_what_was_before() {
    let (producer, consumer) = mpmc::bounded(1);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            let _ = consumer.try_pop();
            before.write();
            consumer.close();
        }),
        thread::spawn(move || {
            until(|| matches!(producer.try_push(0), Err(TryPushError::Closed(0))));
            after.assert_written();
        }),
    ]);
}

fn mpmc_closed_pop_shows_what_was_before() {
    let (producer, consumer) = mpmc::bounded(1);
    let before = Plain::new();
    let after = Rc::clone(&before);
    join_all([
        thread::spawn(move || {
            producer.try_push(0).unwrap();
            before.write();
            producer.close();
        }),
        thread::spawn(move || {
            until(|| consumer.try_pop() == Err(TryPopError::Closed));
            after.assert_written();
        }),
    ]);
}

/// Two pops wait for one element each, and two pushes may be published in the wrong order.
fn mpmc_wakes_every_pop() {
    // These two live until all threads are done: dropping a last handle would close the ring and wake everyone.
    let (producer, consumer) = mpmc::bounded(2);
    let pop = |consumer: mpmc::Consumer<usize>| move || assert!(consumer.pop().is_ok());
    let push = |producer: mpmc::Producer<usize>| move || producer.push(1).unwrap();
    join_all([
        thread::spawn(pop(consumer.clone())),
        thread::spawn(pop(consumer.clone())),
        thread::spawn(push(producer.clone())),
        thread::spawn(push(producer.clone())),
    ]);
}

/// Two pops wait, and the ring is closed while the only push is under way: one gets the value, the other the end.
fn mpmc_tells_every_blocked_pop_that_it_is_closed() {
    let (producer, consumer) = mpmc::bounded(1);
    let ended = Arc::new(Counter::new(0));
    let pop = || {
        let (consumer, ended) = (consumer.clone(), Arc::clone(&ended));
        move || {
            if consumer.pop().is_err() {
                ended.fetch_add(1, Relaxed);
            }
        }
    };
    let pushed = Arc::new(Counter::new(0));
    // One producer lives until all threads are done: dropping the last would close the ring again.
    let (pusher, closer, pushes) = (producer.clone(), producer.clone(), Arc::clone(&pushed));
    join_all([
        thread::spawn(pop()),
        thread::spawn(pop()),
        thread::spawn(move || {
            pushes.fetch_add(pusher.try_push(1).is_ok().into(), Relaxed);
        }),
        thread::spawn(move || closer.close()),
    ]);
    assert_eq!(pushed.load(Relaxed) + ended.load(Relaxed), 2);
}

/// Two pushes wait for one slot each, and two pops may free them in the wrong order.
fn mpmc_wakes_every_push() {
    let (producer, consumer) = mpmc::bounded(2);
    producer.try_push(1).unwrap();
    producer.try_push(2).unwrap();
    let pop = |consumer: mpmc::Consumer<usize>| move || assert!(consumer.pop().is_ok());
    let push = |producer: mpmc::Producer<usize>| move || producer.push(1).unwrap();
    join_all([
        thread::spawn(push(producer.clone())),
        thread::spawn(push(producer.clone())),
        thread::spawn(pop(consumer.clone())),
        thread::spawn(pop(consumer.clone())),
    ]);
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

fn event_counts_hand_a_turn_back_and_forth() {
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
                table.changed[me].wait_until(None, || {
                    (table.turn.load(loom::sync::atomic::Ordering::Relaxed) == mine).then_some(())
                });
                table
                    .turn
                    .store(mine + 1, loom::sync::atomic::Ordering::Relaxed);
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
        self.left
            .fetch_add(1, loom::sync::atomic::Ordering::Relaxed);
        self.changed.notify_one();
    }

    fn take(&self, deadline: Option<Instant>) -> bool {
        use loom::sync::atomic::Ordering::Relaxed;
        let ticket = self.changed.wait_until(deadline, || {
            let less = |left: usize| left.checked_sub(1);
            self.left.fetch_update(Relaxed, Relaxed, less).ok()
        });
        ticket.is_some()
    }
}

fn every_ticket_finds_its_waiter() {
    let tickets = Tickets::new();
    let [a, b, c] = [&tickets, &tickets, &tickets].map(Arc::clone);
    join_all([
        thread::spawn(move || assert!(a.take(None))),
        thread::spawn(move || assert!(b.take(None))),
        thread::spawn(move || {
            c.give();
            c.give();
        }),
    ]);
}

fn a_waiter_that_gives_up_passes_on() {
    let tickets = Tickets::new();
    let [a, b, c] = [&tickets, &tickets, &tickets].map(Arc::clone);
    join_all([
        thread::spawn(move || {
            if a.take(Some(Instant::now())) {
                a.give();
            }
        }),
        thread::spawn(move || assert!(b.take(None))),
        thread::spawn(move || c.give()),
    ]);
}

/// Each ordering, fence or step that a model can do without being there, and the models that must notice.
const WEAKENINGS: &[(&str, &[&str])] = &[
    ("event count: notifier's fence", &["event_count_ping_pong"]),
    ("event count: waiter's fence", &["event_count_ping_pong"]),
    (
        "event count: early leaver passes on",
        &["event_count_notify_one"],
    ),
    ("spsc: push publishes", &["spsc_fifo"]),
    ("spsc: pop sees tail", &["spsc_fifo"]),
    ("spsc: pop frees", &["spsc_fifo"]),
    ("spsc: push sees head", &["spsc_fifo"]),
    ("spsc: producer closes", &["spsc_producer_closes"]),
    ("spsc: pop sees close", &["spsc_producer_closes"]),
    ("spsc: consumer closes", &["spsc_consumer_closes"]),
    ("spsc: push sees close", &["spsc_consumer_drops"]),
    ("spsc: closing fence", &["spsc_consumer_closes"]),
    ("spsc: consumer decides", &["spsc_consumer_closes"]),
    ("spsc: push sees end", &["spsc_consumer_closes"]),
    ("mpmc: push publishes", &["mpmc_1p1c"]),
    ("mpmc: pop sees slot", &["mpmc_1p1c"]),
    ("mpmc: pop frees", &["mpmc_1p1c"]),
    ("mpmc: push sees slot", &["mpmc_1p1c"]),
    ("mpmc: close", &["mpmc_closed_pop"]),
    ("mpmc: push sees close", &["mpmc_closed_push"]),
    ("mpmc: pop sees close", &["mpmc_closed_pop"]),
    ("mpmc: woken pop passes on", &["mpmc_blocking_pop"]),
    ("mpmc: last pop tells the others", &["mpmc_blocking_close"]),
    ("mpmc: woken push passes on", &["mpmc_blocking_push"]),
];

/// What no model here can notice. Loom knows no asymmetric fences, so the light half is a full fence in the models, and
/// that is also a release of everything before it. Where the light half is only a compiler fence, this release is needed.
const HIDDEN_BY_THE_FENCE: &[&str] = &["spsc: push decides"];

/// Names the weakening for a run of this program as the child of `every_weakening_is_rejected`.
const WEAKEN: &str = "COVET_QUEUE_WEAKEN";

/// Runs each model in a process of its own: a model that fails may take the process with it.
#[test]
fn every_weakening_is_rejected() {
    let mut unnoticed = Vec::new();
    for &(name, models) in WEAKENINGS {
        let rejected = models.iter().any(|model| {
            let run = Command::new(env::current_exe().unwrap())
                .args(["--exact", model, "--nocapture"])
                .env(WEAKEN, name)
                .output()
                .unwrap();
            let report = String::from_utf8_lossy(&run.stderr);
            let mut lines = report.lines();
            let failure = lines.find(|line| line.contains("panicked at"));
            let reason = lines.next().unwrap_or_default();
            // A model that only ran for too long has shown nothing.
            if failure.is_none() || reason.contains("maximum number of branches") {
                return false;
            }
            assert!(!run.status.success(), "{model} panicked and passed");
            println!("{name}: rejected by {model}: {reason:.60}");
            true
        });
        if !rejected {
            unnoticed.push(name);
        }
    }
    println!(
        "{} of {} weakenings rejected",
        WEAKENINGS.len() - unnoticed.len(),
        WEAKENINGS.len()
    );
    assert!(unnoticed.is_empty(), "no model notices {unnoticed:?}");
}
