//! Pools: tasks, batches, errors, ends.

use crate::common::{on_big_stack, pool, raised, runtime};
use covet_interp::{Batch, Block, Error, Function, Pool, Strategy, Task, TaskState, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// `eval` in the interpreter: any expression as a task.
fn eval() -> Arc<Function> {
    Function::reference("builtins", "eval")
}

fn submit(pool: &Pool, expression: &str) -> Result<Value, Error> {
    pool.submit(eval(), &[expression.into()])?.result()
}

#[test]
fn submitted_tasks_return_their_values() {
    let pool = pool();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            pool.submit(eval(), &[format!("{n} * {n}").as_str().into()])
                .unwrap()
        })
        .collect();
    for (n, task) in tasks.iter().enumerate() {
        assert_eq!(task.result(), Ok(Value::Int((n * n) as i64)));
    }
}

#[test]
fn values_of_every_kind_come_back_as_they_went() {
    let pool = pool();
    let echo = Function::reference("copy", "copy");
    for value in [
        Value::None,
        true.into(),
        i64::MIN.into(),
        f64::NEG_INFINITY.into(),
        "".into(),
        "plain, Ω, 🦀, \0".into(),
        vec![0u8, 255].into(),
        Value::Tuple(vec![1.into(), Value::List(vec!["a".into()])]),
        Value::Dict(vec![
            ("k".into(), Value::Dict(vec![])),
            (1.5.into(), Value::None),
        ]),
    ] {
        assert_eq!(
            pool.submit(Arc::clone(&echo), std::slice::from_ref(&value))
                .unwrap()
                .result(),
            Ok(value)
        );
    }
}

#[test]
fn an_exception_is_a_value_with_type_message_and_traceback() {
    let pool = pool();
    let error = raised(submit(&pool, "1 / 0"));
    assert_eq!(
        (error.kind.as_str(), error.message.as_str()),
        ("ZeroDivisionError", "division by zero")
    );
    assert!(
        error
            .traceback
            .contains("Traceback (most recent call last)"),
        "{}",
        error.traceback
    );
    assert!(error.pickled.is_some());
    assert_eq!(submit(&pool, "1 + 1"), Ok(Value::Int(2)));
}

#[test]
fn every_error_belongs_to_its_own_task() {
    let pool = pool();
    let kinds = [
        "MemoryError",
        "SystemExit",
        "KeyboardInterrupt",
        "RecursionError",
        "ValueError",
    ];
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let expression = match n % 10 {
                k @ 0..5 => format!("(_ for _ in ()).throw({}({n}))", kinds[k]),
                _ => n.to_string(),
            };
            pool.submit(eval(), &[expression.as_str().into()]).unwrap()
        })
        .collect();
    for (n, task) in tasks.iter().enumerate() {
        if n % 10 < 5 {
            let error = raised(task.result());
            assert_eq!(
                (error.kind.as_str(), error.message),
                (kinds[n % 10], n.to_string())
            );
        } else {
            assert_eq!(task.result(), Ok(Value::Int(n as i64)));
        }
    }
}

#[test]
fn a_module_that_does_not_exist_fails_its_task_only() {
    let pool = pool();
    let task = pool
        .submit(Function::reference("no_such_module", "f"), &[])
        .unwrap();
    assert_eq!(raised(task.result()).kind, "ModuleNotFoundError");
    assert_eq!(submit(&pool, "7"), Ok(Value::Int(7)));
}

#[test]
fn a_batch_gives_its_results_in_order_with_errors_in_their_places() {
    let pool = pool();
    let batch = pool.batch(eval(), None);
    let mut block = Block::default();
    let count = 5000;
    for n in 0..count {
        let text = if n == 777 {
            "1 / 0".to_owned()
        } else {
            format!("{n} + 1")
        };
        Value::write_call(&[text.into()], block.buffer()).unwrap();
        block.end_message();
    }
    pool.append(&batch, block).unwrap();
    pool.start(&batch, None).unwrap();
    let mut n = 0;
    while n < count {
        let chunk = batch.chunk(n, None).unwrap().unwrap();
        for i in 0..chunk.len() {
            match chunk.result(i) {
                Ok(message) => assert_eq!(Value::read(message), Ok((n as i64 + 1).into())),
                Err(error) => assert_eq!((n, error.kind.as_str()), (777, "ZeroDivisionError")),
            }
            n += 1;
        }
    }
}

/// `time.sleep`, known to cost next to nothing.
fn cheap_sleep(pool: &Pool) -> Arc<Function> {
    let sleep = Function::reference("time", "sleep");
    for _ in 0..50 {
        let task = pool.submit(sleep.clone(), &[0.0.into()]);
        task.unwrap().result().unwrap();
    }
    sleep
}

/// A batch that sleeps for so many seconds each; nobody runs it yet.
fn sleeps(pool: &Pool, sleep: Arc<Function>, seconds: &[f64]) -> Arc<Batch> {
    let batch = pool.batch(sleep, None);
    let mut block = Block::default();
    for &seconds in seconds {
        Value::write_call(&[seconds.into()], block.buffer()).unwrap();
        block.end_message();
    }
    pool.append(&batch, block).unwrap();
    batch
}

#[test]
fn what_is_left_of_a_chunk_that_takes_too_long_is_given_back() {
    let pool = pool();
    let count = 200;
    let batch = sleeps(&pool, cheap_sleep(&pool), &[0.003; 200]);
    pool.start(&batch, None).unwrap();
    let mut n = 0;
    while n < count {
        let chunk = batch.chunk(n, None).unwrap().unwrap();
        // By what the function cost before, a quarter of all; the clock is read after a sixteenth of that.
        assert!((1..=4).contains(&chunk.len()), "{}", chunk.len());
        n += chunk.len();
    }
    assert_eq!(n, count);
}

#[test]
fn what_a_guest_gives_back_last_is_run_by_a_worker() {
    let pool = pool();
    let seconds = [0.3, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let batch = sleeps(&pool, cheap_sleep(&pool), &seconds);
    let helps = || on_big_stack(|| pool.help_batch(&batch));
    std::thread::scope(|scope| {
        // Takes the first two as soon as a worker lets go, and is late; nobody else is left when it gives the second back.
        scope.spawn(|| {
            while !helps() {
                std::thread::yield_now();
            }
        });
        while format!("{batch:?}").contains("left: 8") {
            std::thread::yield_now();
        }
        while helps() {}
    });
    let soon = Some(Instant::now() + Duration::from_secs(20));
    let mut n = 0;
    while n < seconds.len() {
        let chunk = batch.chunk(n, soon).unwrap();
        n += chunk.expect("somebody runs it").len();
    }
}

#[test]
fn a_queued_task_can_be_cancelled_and_a_running_one_interrupted() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let endless = pool
        .submit(
            Function::reference("builtins", "exec"),
            &["while True: pass".into()],
        )
        .unwrap();
    while endless.state() == TaskState::Queued {
        std::thread::yield_now();
    }
    let queued = pool.submit(eval(), &["1".into()]).unwrap();
    assert!(queued.cancel());
    assert_eq!(queued.result(), Err(Error::Cancelled));
    assert!(!endless.cancel());
    assert!(!endless.wait(Some(Instant::now() + Duration::from_millis(20))));
    pool.interrupt(Some(endless.number()));
    assert_eq!(raised(endless.result()).kind, "KeyboardInterrupt");
    assert_eq!(submit(&pool, "2"), Ok(Value::Int(2)));
}

#[test]
fn an_interruption_of_a_finished_task_hits_nobody() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    for n in 0..200 {
        let task = pool.submit(eval(), &["sum(range(1000))".into()]).unwrap();
        if n % 2 == 0 {
            task.wait(None);
        }
        pool.interrupt(Some(task.number()));
        let outcome = task.result();
        assert!(
            outcome == Ok(Value::Int(499_500))
                || raised(outcome.clone()).kind == "KeyboardInterrupt",
            "{outcome:?}"
        );
        assert_eq!(submit(&pool, "3"), Ok(Value::Int(3)));
    }
}

#[test]
fn closing_lets_queued_tasks_finish_and_refuses_new_ones() {
    let pool = pool();
    let tasks: Vec<_> = (0..50)
        .map(|_| pool.submit(eval(), &["sum(range(10000))".into()]).unwrap())
        .collect();
    pool.close();
    assert_eq!(
        pool.submit(eval(), &["1".into()]).unwrap_err(),
        Error::Closed
    );
    assert!(matches!(
        on_big_stack(|| pool.enter().map(drop)),
        Err(Error::Closed)
    ));
    assert!(pool.wait_ended(None));
    assert!(
        tasks
            .iter()
            .all(|task| task.result() == Ok(Value::Int(49_995_000)))
    );
}

#[test]
fn a_pool_that_is_dropped_with_work_finishes_it() {
    let pool = pool();
    let tasks: Vec<_> = (0..50)
        .map(|_| pool.submit(eval(), &["sum(range(10000))".into()]).unwrap())
        .collect();
    drop(pool);
    assert!(
        tasks
            .iter()
            .all(|task| task.result() == Ok(Value::Int(49_995_000)))
    );
}

#[test]
fn a_full_queue_makes_the_submitter_wait_and_loses_nothing() {
    let pool = Pool::builder()
        .workers(1)
        .queue_size(2)
        .build(&runtime())
        .unwrap();
    let tasks: Vec<_> = (0..300)
        .map(|n| {
            pool.submit(eval(), &[n.to_string().as_str().into()])
                .unwrap()
        })
        .collect();
    for (n, task) in tasks.iter().enumerate() {
        assert_eq!(task.result(), Ok(Value::Int(n as i64)));
    }
}

#[test]
fn a_failing_initializer_breaks_the_pool_with_its_reason() {
    let pool = Pool::builder()
        .workers(2)
        .initializer(Task::import("os:no_such_function", &[]))
        .build(&runtime())
        .unwrap();
    assert!(pool.wait_ended(None));
    let error = pool.submit(eval(), &["1".into()]).unwrap_err();
    assert!(
        matches!(&error, Error::Broken(why) if why.contains("no_such_function")),
        "{error}"
    );
    let entered = on_big_stack(|| pool.enter().map(drop));
    assert!(matches!(entered, Err(Error::Broken(_))), "{entered:?}");
}

#[test]
fn a_failing_preload_breaks_the_pool_and_abandons_what_was_queued() {
    let pool = Pool::builder()
        .workers(1)
        .preload("no_such_module")
        .build(&runtime())
        .unwrap();
    match pool.submit(eval(), &["1".into()]) {
        Ok(task) => assert!(matches!(task.result(), Err(Error::Broken(_)))),
        Err(error) => assert!(matches!(error, Error::Broken(_))),
    }
}

#[test]
fn each_strategy_that_works_here_gives_the_same_results() {
    let runtime = runtime();
    let facts = runtime.facts().unwrap();
    let mut tried = 0;
    for strategy in [
        Strategy::MainOnly,
        Strategy::Subinterpreters,
        Strategy::FreeThreading,
    ] {
        match Pool::builder()
            .workers(2)
            .strategy(strategy)
            .build(&runtime)
        {
            Ok(pool) => {
                assert_eq!(pool.decision().strategy, strategy);
                assert_eq!(submit(&pool, "sum(range(100))"), Ok(Value::Int(4950)));
                tried += 1;
            }
            Err(error) => assert_eq!(Err(error), facts.decide(Some(strategy))),
        }
    }
    assert!(tried > usize::from(facts.own_gil));
}

#[test]
fn two_workers_run_at_the_same_time() {
    let pool = pool();
    // Each task waits until it has seen the other: one after the other would never end.
    let folder = std::env::temp_dir().join(format!("covet-meet-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let meet = |mine: &str, other: &str| {
        let source = format!(
            "import os, time\nopen({:?}, 'w').close()\nwhile not os.path.exists({:?}): time.sleep(0.001)",
            folder.join(mine),
            folder.join(other)
        );
        pool.submit(
            Function::reference("builtins", "exec"),
            &[source.as_str().into()],
        )
        .unwrap()
    };
    let (a, b) = (meet("a", "b"), meet("b", "a"));
    assert_eq!((a.result(), b.result()), (Ok(Value::None), Ok(Value::None)));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn observers_are_called_once_whenever_they_come() {
    let pool = pool();
    let called = Arc::new([const { AtomicBool::new(false) }; 2]);
    let task = pool.submit(eval(), &["1".into()]).unwrap();
    let set = |i: usize| {
        let called = Arc::clone(&called);
        move || assert!(!called[i].swap(true, Ordering::SeqCst))
    };
    task.then(set(0));
    task.result().unwrap();
    task.then(set(1));
    assert!(called[1].load(Ordering::SeqCst));
    while !called[0].load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
}
