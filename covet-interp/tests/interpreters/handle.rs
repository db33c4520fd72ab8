//! Tasks as descriptions, and their handles: waiting, awaiting, cancelling, interrupting.

use crate::common::{pool, raised, runtime};
use covet_interp::{Error, Function, Pool, Task, TaskHandle, TaskState, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

fn source(pool: &Pool, text: &str) -> TaskHandle {
    pool.submit_task(Task::source(text, &[])).unwrap()
}

/// A task that runs until it is interrupted, and has begun.
fn endless(pool: &Pool) -> TaskHandle {
    let task = source(pool, "while True: pass");
    while task.state() == TaskState::Queued {
        std::thread::yield_now();
    }
    task
}

#[test]
fn a_task_is_an_import_path_source_text_or_code() {
    let pool = pool();
    let result = |task| pool.submit_task(task).unwrap().result();
    assert_eq!(
        result(Task::import("math:hypot", &[3.into(), 4.into()])),
        Ok(Value::Float(5.0))
    );
    assert_eq!(
        result(Task::import("json:JSONEncoder.encode.__name__.upper", &[])),
        Ok("ENCODE".into())
    );
    let sum = "result = sum(args)";
    assert_eq!(
        result(Task::source(sum, &[1.into(), 2.into()])),
        Ok(3.into())
    );
    assert_eq!(result(Task::source("x = 1", &[])), Ok(Value::None));
    let compile = "import marshal; result = marshal.dumps(compile(args[0], '', 'exec'))";
    let Ok(Value::Bytes(code)) = result(Task::source(compile, &[sum.into()])) else {
        panic!("expected bytes")
    };
    assert_eq!(
        result(Task::code(&code, &[1.into(), 2.into()])),
        Ok(3.into())
    );
}

#[test]
fn source_text_runs_in_a_namespace_of_its_own() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let count = Function::source("n = globals().get('n', 0) + 1\nresult = n");
    for _ in 0..3 {
        let task = pool.submit(Arc::clone(&count), &[]).unwrap();
        assert_eq!(task.result(), Ok(1.into()));
    }
}

#[test]
fn a_task_that_cannot_be_is_refused_by_its_reason() {
    let pool = pool();
    for path in ["math.hypot", ":hypot", "math:", ""] {
        match pool.submit_task(Task::import(path, &[])) {
            Err(Error::Invalid(why)) => {
                assert!(
                    why.contains("\"module:name\"") && why.contains(path),
                    "{why}"
                );
            }
            other => panic!("expected a refusal of {path:?}, found {other:?}"),
        }
    }
    let error = raised(source(&pool, "def f(:").result());
    assert_eq!(error.kind, "SyntaxError");
    let marshalled = |data: &[u8]| pool.submit_task(Task::code(data, &[])).unwrap().result();
    assert!(
        ["EOFError", "ValueError", "TypeError"].contains(&raised(marshalled(b"")).kind.as_str())
    );
    let error = raised(marshalled(b"N"));
    assert_eq!(error.kind, "TypeError");
    assert!(error.message.contains("NoneType"), "{error}");
    assert_eq!(source(&pool, "result = 1").result(), Ok(1.into()));
}

#[test]
fn a_handle_is_awaited_under_any_runtime() {
    let pool = pool();
    let sum = async |n: i64| {
        let mut sum = 0;
        for k in 0..n {
            let task = pool.submit_task(Task::import("operator:neg", &[k.into()]));
            match task.unwrap().await {
                Ok(Value::Int(k)) => sum -= k,
                other => panic!("expected an int, found {other:?}"),
            }
        }
        sum
    };
    assert_eq!(futures_executor::block_on(sum(100)), 4950);
    for runtime in [
        &mut tokio::runtime::Builder::new_current_thread(),
        &mut tokio::runtime::Builder::new_multi_thread(),
    ] {
        let runtime = runtime.enable_time().build().unwrap();
        assert_eq!(runtime.block_on(sum(100)), 4950);
    }
}

#[test]
fn no_wake_up_is_lost() {
    let pool = pool();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let one = Function::reference("operator", "neg");
        for n in 0..2000i64 {
            let task = pool.submit(Arc::clone(&one), &[n.into()]).unwrap();
            // Two tasks of the runtime wait for one task of the pool.
            let other = tokio::spawn(task.clone());
            assert_eq!(task.await, Ok((-n).into()));
            assert_eq!(other.await.unwrap(), Ok((-n).into()));
        }
    });
}

#[test]
fn a_wait_that_is_given_up_loses_nothing() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let blocker = endless(&pool);
    let mut task = source(&pool, "result = 7");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..3 {
            let early = tokio::time::timeout(Duration::from_millis(5), &mut task).await;
            assert!(early.is_err(), "the worker is busy");
        }
        blocker.interrupt();
        assert_eq!(task.await, Ok(7.into()));
        assert_eq!(raised(blocker.await).kind, "KeyboardInterrupt");
    });
}

#[test]
fn the_latest_waker_is_woken_and_none_after_a_drop() {
    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let poll = |task: &mut TaskHandle, count: &Arc<Count>| {
        let waker = Waker::from(Arc::clone(count));
        Future::poll(std::pin::Pin::new(task), &mut Context::from_waker(&waker))
    };
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let blocker = endless(&pool);
    let [first, latest, dropped] = [(); 3].map(|()| Arc::new(Count::default()));
    let mut task = source(&pool, "result = 7");
    assert_eq!(poll(&mut task, &first), Poll::Pending);
    assert_eq!(poll(&mut task, &latest), Poll::Pending);
    let mut other = task.clone();
    assert_eq!(poll(&mut other, &dropped), Poll::Pending);
    drop(other);
    assert_eq!(Arc::strong_count(&dropped), 1, "its waker is gone");
    blocker.interrupt();
    assert_eq!(task.result(), Ok(7.into()));
    while latest.0.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    for _ in 0..2 {
        assert_eq!(poll(&mut task, &latest), Poll::Ready(Ok(7.into())));
    }
    let counts = [first, latest, dropped].map(|count| count.0.load(Ordering::SeqCst));
    assert_eq!(counts, [0, 1, 0]);
}

#[test]
fn a_wait_with_a_limit_ends_and_the_task_goes_on() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let blocker = endless(&pool);
    let limit = Duration::from_millis(5);
    assert_eq!(blocker.result_within(limit), Err(Error::TimedOut(limit)));
    assert_eq!(blocker.state(), TaskState::Running);
    blocker.interrupt();
    let outcome = blocker.result_within(Duration::MAX);
    assert_eq!(raised(outcome).kind, "KeyboardInterrupt");
}

#[test]
fn interrupting_cancels_what_has_not_begun() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let blocker = endless(&pool);
    let queued = source(&pool, "result = 1");
    queued.interrupt();
    assert_eq!(queued.state(), TaskState::Cancelled);
    assert_eq!(queued.result(), Err(Error::Cancelled));
    assert_eq!(blocker.state(), TaskState::Running);
    blocker.interrupt();
    assert_eq!(raised(blocker.result()).kind, "KeyboardInterrupt");
}

#[test]
fn a_full_queue_can_be_an_error() {
    let pool = Pool::builder()
        .workers(1)
        .queue_size(2)
        .build(&runtime())
        .unwrap();
    let blocker = endless(&pool);
    let mut accepted = Vec::new();
    let refusal = loop {
        match pool.try_submit_task(Task::source("result = 1", &[])) {
            Ok(task) => accepted.push(task),
            Err(error) => break error,
        }
    };
    assert_eq!(refusal, Error::Full(2));
    assert_eq!(accepted.len(), 2);
    blocker.interrupt();
    assert!(accepted.iter().all(|task| task.result() == Ok(1.into())));
}

#[test]
fn an_observer_that_panics_takes_nothing_with_it() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let blocker = endless(&pool);
    blocker.then(|| panic!("an observer that panics, as its test wants"));
    blocker.interrupt();
    blocker.wait(None);
    assert_eq!(source(&pool, "result = 1").result(), Ok(1.into()));
}
