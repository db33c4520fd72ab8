//! The lanes of a router, beside each other in one Python.

#[allow(dead_code)] // shared with the tests of pools
#[path = "interpreters/common.rs"]
mod common;

use common::{pool, raised, runtime};
use covet_interp::router::{Builder, Handle, Lane, Router};
use covet_interp::{Error, Function, Strategy, Value};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

fn router(builder: Builder) -> Router {
    builder.build(&runtime(), pool()).expect("a router")
}

fn eval() -> Arc<Function> {
    Function::reference("builtins", "eval")
}

fn exec() -> Arc<Function> {
    Function::reference("builtins", "exec")
}

/// Occupies one thread of the io lane until the sender is dropped. Returns once it does.
fn occupy_io(router: &Router) -> (mpsc::Sender<()>, Handle<()>) {
    let (release, wait) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let handle = router
        .submit()
        .io(move || {
            begin.send(()).unwrap();
            let _ = wait.recv();
        })
        .unwrap();
    begun.recv().unwrap();
    (release, handle)
}

#[test]
fn each_task_runs_in_its_lane() {
    let router = router(Router::builder());
    let name = || thread::current().name().unwrap_or_default().to_owned();
    let io = router.submit().io(name).unwrap();
    let cpu = router.submit().cpu(name).unwrap();
    assert!(io.result().unwrap().starts_with("covet-io-"));
    assert!(cpu.result().unwrap().starts_with("covet-cpu-"));

    let mark = "import builtins; builtins.mark_of_main = 7";
    let marked = router.submit().main(exec(), vec![mark.into()]).unwrap();
    assert_eq!(marked.result(), Ok(Value::None));
    let seen = |submitted: Result<Handle<Value>, Error>| submitted.unwrap().result();
    let look = "getattr(__import__('builtins'), 'mark_of_main', 0)";
    assert_eq!(
        seen(router.submit().main(eval(), vec![look.into()])),
        Ok(Value::Int(7))
    );
    let apart = router.pool().decision().strategy == Strategy::Subinterpreters;
    assert_eq!(
        seen(router.submit().python(eval(), vec![look.into()])),
        Ok(Value::Int(if apart { 0 } else { 7 }))
    );
}

#[test]
fn parallel_iterators_use_the_threads_of_the_cpu_lane() {
    use rayon::prelude::*;
    let router = router(Router::builder().cpu_threads(3));
    let work = || {
        let sum: u64 = (0..100_000_u64).into_par_iter().sum();
        (sum, rayon::current_num_threads())
    };
    assert_eq!(
        router.submit().cpu(work).unwrap().result(),
        Ok((4_999_950_000, 3))
    );
}

#[test]
fn an_error_or_a_panic_belongs_to_its_own_task() {
    let router = router(Router::builder().io_threads(1).cpu_threads(1));
    struct Odd;
    impl Drop for Odd {
        fn drop(&mut self) {
            panic!("the payload panics when it is dropped");
        }
    }
    let submit = || router.submit();
    for _ in 0..3 {
        let plain: Handle<()> = submit().io(|| panic!("plain")).unwrap();
        let made: Handle<()> = submit().cpu(|| panic!("made of {}", 2)).unwrap();
        let odd: Handle<()> = submit().io(|| std::panic::panic_any(Odd)).unwrap();
        let good = submit().cpu(|| 5).unwrap();
        let bad = submit().python(eval(), vec!["1 / 0".into()]).unwrap();
        assert_eq!(plain.result(), Err(Error::Panicked("plain".to_owned())));
        assert_eq!(made.result(), Err(Error::Panicked("made of 2".to_owned())));
        assert!(matches!(odd.result(), Err(Error::Panicked(_))));
        assert_eq!(good.result(), Ok(5));
        assert_eq!(raised(bad.result()).kind, "ZeroDivisionError");
    }
    assert!(router.drain(None));
    let (io, cpu) = (router.stats(Lane::Io), router.stats(Lane::Cpu));
    assert_eq!((io.failed, io.done, io.running), (6, 0, 0));
    assert_eq!((cpu.failed, cpu.done, cpu.running), (3, 3, 0));
    assert_eq!(router.stats(Lane::Python).failed, 3);
}

#[test]
fn a_result_that_panics_when_it_is_dropped_costs_no_thread() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let router = router(Router::builder().io_threads(1).cpu_threads(1));
    for _ in 0..3 {
        let (release, _) = occupy_io(&router);
        drop(router.submit().io(|| Bomb).unwrap());
        drop(release);
        drop(router.submit().cpu(|| Bomb).unwrap());
    }
    assert_eq!(router.submit().io(|| 1).unwrap().result(), Ok(1));
    assert_eq!(router.submit().cpu(|| 2).unwrap().result(), Ok(2));
    assert!(router.drain(None));
}

#[test]
fn a_task_is_not_begun_after_its_deadline_and_says_so() {
    let router = router(Router::builder().io_threads(1));
    let (release, _blocked) = occupy_io(&router);
    let begun = Arc::new(AtomicBool::new(false));
    let mark = Arc::clone(&begun);
    let deadline = Instant::now() + Duration::from_millis(5);
    let late = router
        .submit()
        .begin_by(deadline)
        .io(move || mark.store(true, Ordering::SeqCst))
        .unwrap();
    let in_time = router
        .submit()
        .begin_within(Duration::from_secs(3600))
        .io(|| 1)
        .unwrap();
    while Instant::now() <= deadline {
        thread::yield_now();
    }
    drop(release);
    assert!(matches!(late.result(), Err(Error::Late(_))));
    assert_eq!(in_time.result(), Ok(1));
    assert!(!begun.load(Ordering::SeqCst));
    assert_eq!(router.stats(Lane::Io).late, 1);
}

#[test]
fn a_task_can_be_cancelled_until_it_begins() {
    let router = router(Router::builder().io_threads(1));
    let (release, blocked) = occupy_io(&router);
    let queued = router.submit().io(|| 1).unwrap();
    assert!(!blocked.cancel(), "it runs");
    assert!(!queued.is_over());
    assert!(queued.cancel());
    assert!(queued.is_over() && !queued.cancel());
    drop(release);
    assert_eq!(queued.result(), Err(Error::Cancelled));
    assert_eq!(blocked.result(), Ok(()));
    assert!(router.drain(None));
    assert_eq!(router.stats(Lane::Io).cancelled, 1);
}

#[test]
fn a_full_queue_refuses_or_waits_and_loses_nothing() {
    let router = router(Router::builder().io_threads(1).task_queue_size(1));
    let (release, _blocked) = occupy_io(&router);
    let first = router.submit().io(|| 1).unwrap();
    let full = router.submit().if_room().io(|| 2).unwrap_err();
    assert_eq!(full, Error::Full(1));
    let begin_by = Instant::now() + Duration::from_millis(2);
    let late = router.submit().begin_by(begin_by).io(|| 3).unwrap_err();
    assert!(matches!(late, Error::TimedOut(_)), "{late}");
    thread::scope(|scope| {
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let router = &router;
                scope.spawn(move || router.submit().io(move || n).unwrap().result())
            })
            .collect();
        drop(release);
        for (n, waiter) in waiters.into_iter().enumerate() {
            assert_eq!(waiter.join().unwrap(), Ok(n));
        }
    });
    assert_eq!(first.result(), Ok(1));
    assert_eq!(router.stats(Lane::Io).refused, 2);
}

#[test]
fn a_flooded_lane_shuts_no_other_out() {
    let router = router(Router::builder().io_threads(1).task_queue_size(16));
    let (release, _blocked) = occupy_io(&router);
    let mut flood = Vec::new();
    let full = loop {
        match router.submit().if_room().io(|| ()) {
            Ok(handle) => flood.push(handle),
            Err(error) => break error,
        }
    };
    assert_eq!(full, Error::Full(16));
    assert_eq!(flood.len(), 3 + 4, "its own places and the shared ones");
    for n in 0..100 {
        let cpu = router.submit().cpu(move || n).unwrap();
        let python = router.submit().python(eval(), vec!["1 + 1".into()]);
        let main = router.submit().main(eval(), vec!["2 + 2".into()]);
        assert_eq!(cpu.result(), Ok(n));
        assert_eq!(python.unwrap().result(), Ok(Value::Int(2)));
        assert_eq!(main.unwrap().result(), Ok(Value::Int(4)));
    }
    drop(release);
    for handle in flood {
        assert_eq!(handle.result(), Ok(()));
    }
}

#[test]
fn no_lane_starves_beside_floods_of_all_others() {
    let router = router(Router::builder().io_threads(2).task_queue_size(32));
    for quiet in Lane::ALL {
        let enough = AtomicBool::new(false);
        thread::scope(|scope| {
            for lane in Lane::ALL {
                if lane == quiet {
                    continue;
                }
                let (router, enough) = (&router, &enough);
                scope.spawn(move || {
                    // Without handles: as fast as the queue takes them, until the quiet lane is served.
                    while !enough.load(Ordering::Relaxed) {
                        drop(submit_square(router, lane, 3));
                    }
                });
            }
            for n in 0..200 {
                assert_eq!(submit_square(&router, quiet, n).result(), Ok(n * n));
            }
            enough.store(true, Ordering::Relaxed);
        });
    }
    assert!(router.shut_down(None));
}

/// A handle of any lane, that gives an integer.
enum Square {
    Rust(Handle<i64>),
    Python(Handle<Value>),
}

impl Square {
    fn result(self) -> Result<i64, Error> {
        match self {
            Self::Rust(handle) => handle.result(),
            Self::Python(handle) => handle.result().map(|value| match value {
                Value::Int(n) => n,
                other => panic!("expected an int, found {other:?}"),
            }),
        }
    }
}

fn submit_square(router: &Router, lane: Lane, n: i64) -> Square {
    let multiply = || Function::reference("operator", "mul");
    let submit = router.submit();
    match lane {
        Lane::Io => Square::Rust(submit.io(move || n * n).unwrap()),
        Lane::Cpu => Square::Rust(submit.cpu(move || n * n).unwrap()),
        Lane::Python => Square::Python(submit.python(multiply(), vec![n.into(); 2]).unwrap()),
        Lane::Main => Square::Python(submit.main(multiply(), vec![n.into(); 2]).unwrap()),
    }
}

#[test]
fn a_hundred_thousand_mixed_tasks_and_none_is_lost() {
    const SUBMITTERS: usize = 8;
    const EACH: usize = 12_500;
    let router = router(Router::builder().task_queue_size(256));
    let right = AtomicUsize::new(0);
    thread::scope(|scope| {
        for submitter in 0..SUBMITTERS {
            let (router, right) = (&router, &right);
            scope.spawn(move || {
                let handles: Vec<_> = (0..EACH)
                    .map(|n| submit_square(router, Lane::ALL[(n + submitter) % 4], n as i64))
                    .collect();
                for (n, handle) in handles.into_iter().enumerate() {
                    assert_eq!(handle.result(), Ok((n * n) as i64));
                    right.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(right.load(Ordering::Relaxed), SUBMITTERS * EACH);
    assert!(router.shut_down(None));
    let stats = Lane::ALL.map(|lane| router.stats(lane));
    if router.pool().decision().strategy == Strategy::MainOnly {
        assert_eq!(stats[2], stats[3], "one lane");
        assert_eq!(stats[2].done, 50_000);
    } else {
        assert_eq!(stats.map(|lane| lane.done), [25_000; 4]);
    }
    for lane in stats {
        assert_eq!((lane.queued, lane.running, lane.failed), (0, 0, 0));
        assert!(lane.busy > Duration::ZERO && lane.waited > Duration::ZERO);
    }
}

#[test]
fn tasks_of_a_lane_begin_in_the_order_of_their_submission() {
    let router = router(Router::builder().io_threads(1));
    let (send, order) = mpsc::channel();
    for n in 0..500 {
        let send = send.clone();
        drop(router.submit().io(move || send.send(n).unwrap()).unwrap());
    }
    drop(send);
    assert!(order.iter().eq(0..500));
}

#[test]
fn the_io_lane_grows_to_its_limit_and_no_further() {
    let router = router(Router::builder().io_threads(6));
    let meet = Arc::new(Barrier::new(6));
    let handles: Vec<_> = (0..18)
        .map(|_| {
            let meet = Arc::clone(&meet);
            router
                .submit()
                .io(move || {
                    let _ = meet.wait();
                })
                .unwrap()
        })
        .collect();
    // Fewer than six threads would never meet.
    for handle in handles {
        assert_eq!(handle.result(), Ok(()));
    }
    assert_eq!(router.stats(Lane::Io).threads, 6);
}

#[test]
fn no_more_tasks_are_attached_to_main_than_allowed() {
    let router = router(Router::builder().max_gil_contention(2));
    let source = "
import builtins, threading, time
counts = builtins.__dict__.setdefault('covet_counts', {'lock': threading.Lock(), 'now': 0, 'most': 0})
with counts['lock']:
    counts['now'] += 1
    counts['most'] = max(counts['most'], counts['now'])
time.sleep(0.001)
with counts['lock']:
    counts['now'] -= 1
";
    let tasks: Vec<_> = (0..100)
        .map(|_| router.submit().main(exec(), vec![source.into()]).unwrap())
        .collect();
    for task in tasks {
        assert_eq!(task.result(), Ok(Value::None));
    }
    let most = "__import__('builtins').covet_counts['most']";
    let most = router.submit().main(eval(), vec![most.into()]).unwrap();
    assert!(matches!(most.result(), Ok(Value::Int(1..=2))));
}

#[test]
fn a_shut_down_waits_then_cancels_and_leaves_no_handle_waiting() {
    let router = router(Router::builder().io_threads(1).task_queue_size(64));
    let (release, blocked) = occupy_io(&router);
    let queued: Vec<_> = (0..10).map(|n| router.submit().io(move || n)).collect();
    let done = router
        .submit()
        .python(eval(), vec!["6 * 7".into()])
        .unwrap();
    assert!(done.wait(None));
    assert!(!router.shut_down(Some(Instant::now())), "one task runs");
    for handle in queued {
        assert_eq!(handle.unwrap().result(), Err(Error::Cancelled));
    }
    assert_eq!(done.result(), Ok(Value::Int(42)));
    assert_eq!(router.submit().io(|| ()).unwrap_err(), Error::Closed);
    assert_eq!(router.submit().cpu(|| ()).unwrap_err(), Error::Closed);
    drop(release);
    assert!(router.drain(None));
    assert_eq!(blocked.result(), Ok(()));
}

#[test]
fn closing_wakes_who_waits_for_room() {
    let router = router(Router::builder().io_threads(1).task_queue_size(1));
    let (release, _blocked) = occupy_io(&router);
    let _queued = router.submit().io(|| ()).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| router.submit().io(|| ()).map(drop));
        router.close();
        assert_eq!(waiter.join().unwrap(), Err(Error::Closed));
    });
    drop(release);
    assert!(router.shut_down(None));
}

#[test]
fn a_router_that_is_dropped_with_work_finishes_it() {
    let router = router(Router::builder().io_threads(2));
    let squares: Vec<_> = (0..400)
        .map(|n| submit_square(&router, Lane::ALL[n as usize % 4], n))
        .collect();
    drop(router);
    for (n, square) in squares.into_iter().enumerate() {
        assert_eq!(square.result(), Ok((n * n) as i64));
    }
}

#[test]
fn handles_are_futures() {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    fn block_on<F: Future>(future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }
    let router = router(Router::builder());
    let sum = block_on(async {
        let text = router.submit().io(|| "20 + 1".to_owned())?.await?;
        let half = router.submit().python(eval(), vec![text.into()])?.await?;
        let Value::Int(half) = half else {
            panic!("expected an int, found {half:?}")
        };
        router.submit().cpu(move || 2 * half)?.await
    });
    assert_eq!(sum, Ok(42));
}
