//! The event count by itself.

use std::sync::Arc;
use std::time::Instant;

use covet_queue::EventCount;
use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::thread;

use crate::harness::{join_all, models};

models! {
    ping_pong, 5 preemptions, at least 10_000: event_counts_hand_a_turn_back_and_forth;
    notify_one, 3 preemptions, at least 40_000: every_ticket_finds_its_waiter;
    timeout, 3 preemptions, at least 20_000: a_waiter_that_gives_up_passes_on;
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
                table.changed[me]
                    .wait_until(None, || (table.turn.load(Relaxed) == mine).then_some(()));
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

    fn take(&self, deadline: Option<Instant>) -> bool {
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
