//! What an event count promises, with real threads and real time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use covet_queue::EventCount;

/// Long enough for another thread to fall asleep.
const A_WHILE: Duration = Duration::from_millis(50);

#[test]
fn a_condition_that_holds_needs_no_notification() {
    let events = EventCount::new();
    assert_eq!(events.wait_until(None, || Some(1)), Some(1));
    // Even if the deadline has passed: one look is always taken.
    assert_eq!(events.wait_until(Some(Instant::now()), || Some(2)), Some(2));
}

#[test]
fn a_deadline_ends_the_wait_and_not_before() {
    let events = EventCount::new();
    let deadline = Instant::now() + A_WHILE;
    assert_eq!(events.wait_until(Some(deadline), || None::<()>), None);
    assert!(Instant::now() >= deadline);
}

#[test]
fn notify_one_wakes_one_and_notify_all_the_rest() {
    const WAITERS: usize = 4;
    let events = EventCount::new();
    let open = AtomicUsize::new(0);
    let through = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WAITERS {
            scope.spawn(|| {
                events.wait_until(None, || (open.load(SeqCst) == 1).then_some(()));
                through.fetch_add(1, SeqCst);
            });
        }
        thread::sleep(A_WHILE);
        open.store(1, SeqCst);
        events.notify_one();
        thread::sleep(A_WHILE);
        assert_eq!(through.load(SeqCst), 1);
        events.notify_all();
    });
    assert_eq!(through.into_inner(), WAITERS);
}

#[test]
fn a_waiter_without_use_for_its_notification_passes_it_on_when_it_gives_up() {
    let events = EventCount::new();
    let open = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Waits longest, so the only notification is its own.
        scope.spawn(|| {
            let deadline = Instant::now() + 4 * A_WHILE;
            events.wait_until(Some(deadline), || None::<()>)
        });
        thread::sleep(A_WHILE);
        scope.spawn(|| events.wait_until(None, || (open.load(SeqCst) == 1).then_some(())));
        thread::sleep(A_WHILE);
        open.store(1, SeqCst);
        events.notify_one();
    });
}

#[test]
fn a_waiter_that_panics_passes_its_notification_on() {
    let events = EventCount::new();
    let open = AtomicUsize::new(0);
    thread::scope(|scope| {
        // Waits longest, so the only notification is its own.
        scope.spawn(|| {
            let wait = || {
                events.wait_until(None, || {
                    assert_eq!(open.load(SeqCst), 0, "the condition cannot be looked at");
                    None::<()>
                })
            };
            assert!(catch_unwind(AssertUnwindSafe(wait)).is_err());
        });
        thread::sleep(A_WHILE);
        scope.spawn(|| events.wait_until(None, || (open.load(SeqCst) == 1).then_some(())));
        thread::sleep(A_WHILE);
        open.store(1, SeqCst);
        events.notify_one();
    });
}

#[test]
fn a_thread_that_was_unparked_before_still_waits() {
    let events = EventCount::new();
    thread::current().unpark();
    let deadline = Instant::now() + A_WHILE;
    assert_eq!(events.wait_until(Some(deadline), || None::<()>), None);
    assert!(Instant::now() >= deadline);
}

#[test]
fn it_can_be_static() {
    static EVENTS: EventCount = EventCount::new();
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    let waiting =
        thread::spawn(|| EVENTS.wait_until(None, || (OPEN.load(SeqCst) == 1).then_some(())));
    thread::sleep(A_WHILE);
    OPEN.store(1, SeqCst);
    EVENTS.notify_all();
    assert_eq!(waiting.join().unwrap(), Some(()));
}
