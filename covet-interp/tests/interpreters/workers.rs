//! The workers of a pool: how many, where, for how long, and what they count.

use crate::common::{on_big_stack, pool, raised, runtime};
use covet_interp::{Error, Function, Interpreter, Pool, Strategy, Task, TaskState, Value, Verdict};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn text(value: Result<Value, Error>) -> String {
    format!("{:?}", value.unwrap())
}

fn invalid(outcome: Result<Pool, Error>) -> String {
    match outcome {
        Err(Error::Invalid(why)) => why,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

/// The arguments of a call without any, as a message.

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let runtime = runtime();
    let build = |builder: covet_interp::Builder| invalid(builder.build(&runtime));
    let why = build(Pool::builder().workers(0));
    assert!(why.contains("at least one worker, found 0"), "{why}");
    let why = build(Pool::builder().workers(1000));
    assert!(why.contains("at most 256 workers, found 1000"), "{why}");
    let why = build(Pool::builder().queue_size(0));
    assert!(
        why.contains("at least one place in the queue, found 0"),
        "{why}"
    );
    let why = build(Pool::builder().max_tasks(0));
    assert!(
        why.contains("at least one task in the life of a worker, found 0"),
        "{why}"
    );
    let pool = pool();
    for workers in [0, 1000] {
        assert!(matches!(pool.resize(workers), Err(Error::Invalid(_))));
    }
    match pool.submit_task(Task::source("", &[]).on(2)) {
        Err(Error::Invalid(why)) => assert_eq!(why, "expected a worker below 2, found 2"),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn a_module_to_preload_that_is_missing_or_refused_breaks_the_pool_by_its_name() {
    for name in ["no_such_module", "no\0module"] {
        let pool = Pool::builder()
            .workers(2)
            .preload(name)
            .build(&runtime())
            .unwrap();
        match pool.wait_ready(None) {
            Err(Error::Broken(why)) => assert!(why.contains(&format!("importing {name}")), "{why}"),
            other => panic!("expected a broken pool, found {other:?}"),
        }
    }
}

#[test]
fn a_module_to_preload_that_interpreters_refuse_breaks_the_pool_with_the_reason() {
    let runtime = runtime();
    let names = ["readline", "_curses", "_testcapi", "_testsinglephase"];
    for name in names {
        let Ok(Verdict::Refused(reason)) = runtime.import_verdict(name) else {
            continue;
        };
        let pool = Pool::builder()
            .workers(1)
            .preload(name)
            .strategy(Strategy::Subinterpreters)
            .build(&runtime)
            .unwrap();
        match pool.wait_ready(None) {
            Err(Error::Broken(why)) => {
                assert!(why.contains(&format!("importing {name}")), "{why}");
                assert!(why.contains(&reason), "{why}");
            }
            other => panic!("expected a broken pool, found {other:?}"),
        }
    }
}

#[test]
fn an_initializer_that_forks_is_refused_or_forks() {
    let fork = "import os\nchild = os.fork()\nif child == 0: os._exit(0)\nos.waitpid(child, 0)";
    let pool = Pool::builder()
        .workers(1)
        .initializer(Task::source(fork, &[]))
        .build(&runtime())
        .unwrap();
    let ready = pool.wait_ready(None);
    if pool.decision().strategy == Strategy::Subinterpreters {
        let Err(Error::Broken(why)) = ready else {
            panic!("expected a broken pool, found {ready:?}");
        };
        assert!(
            why.contains("fork not supported for isolated subinterpreters"),
            "{why}"
        );
    } else {
        assert_eq!(ready, Ok(()));
        let task = pool.submit_task(Task::source("result = 1", &[])).unwrap();
        assert_eq!(task.result(), Ok(1.into()));
    }
}

#[test]
fn workers_are_made_at_the_same_time() {
    // Each initializer waits until it has seen the others: made one after the other, the pool would never be ready.
    let folder = std::env::temp_dir().join(format!("covet-start-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let source = format!(
        "import os, tempfile, time\ntempfile.mkstemp(dir={folder:?})\nwhile len(os.listdir({folder:?})) < 3: time.sleep(0.001)"
    );
    let pool = Pool::builder()
        .workers(3)
        .initializer(Task::source(&source, &[]))
        .build(&runtime())
        .unwrap();
    assert_eq!(pool.wait_ready(None), Ok(()));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_task_for_one_worker_runs_there() {
    let pool = pool();
    let mark = "import sys; sys.mark = args[0]";
    let read = "import sys; result = getattr(sys, 'mark', None)";
    if pool.decision().strategy != Strategy::Subinterpreters {
        // All workers share one interpreter: any thread will do.
        assert_eq!(
            pool.submit_task(Task::source("result = 1", &[]).on(1))
                .unwrap()
                .result(),
            Ok(1.into())
        );
        return;
    }
    for worker in 0..2 {
        let task = Task::source(mark, &[(worker as i64).into()]).on(worker);
        let task = pool.submit_task(task).unwrap();
        assert!(
            !on_big_stack(|| pool.help_task(&task)),
            "no other thread runs it"
        );
        task.result().unwrap();
    }
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            (
                n % 2,
                pool.submit_task(Task::source(read, &[]).on(n % 2)).unwrap(),
            )
        })
        .collect();
    for (worker, task) in tasks {
        assert_eq!(task.result(), Ok((worker as i64).into()));
    }
    let [first, second] = &pool.stats().workers[..] else {
        panic!("expected two workers")
    };
    assert_eq!((first.done, second.done), (51, 51));
}

#[test]
fn tasks_for_one_worker_wait_in_a_bounded_queue() {
    let pool = Pool::builder()
        .workers(2)
        .queue_size(2)
        .build(&runtime())
        .unwrap();
    let blocker = pool
        .submit_task(Task::source("while True: pass", &[]).on(0))
        .unwrap();
    while blocker.state() == TaskState::Queued {
        std::thread::yield_now();
    }
    let one = || Task::source("result = 1", &[]).on(0);
    let tasks = [(); 2].map(|()| pool.try_submit_task(one()).unwrap());
    assert_eq!(pool.try_submit_task(one()).unwrap_err(), Error::Full(2));
    assert_eq!(
        pool.try_submit_task(Task::source("result = 2", &[]))
            .unwrap()
            .result(),
        Ok(2.into())
    );
    let late = pool.prepare(one()).unwrap();
    let outcome = late.queue(Some(Instant::now()));
    assert!(matches!(outcome, Err(Error::TimedOut(_))), "{outcome:?}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| late.queue(None));
        blocker.interrupt();
        assert_eq!(waiting.join().unwrap(), Ok(()));
    });
    assert!(
        tasks
            .iter()
            .chain([&late])
            .all(|task| task.result() == Ok(1.into()))
    );
    pool.close();
    assert_eq!(pool.submit_task(one()).unwrap_err(), Error::Closed);
}

#[test]
fn a_pool_grows_and_shrinks_without_losing_a_task() {
    let pool = Pool::builder().workers(1).build(&runtime()).unwrap();
    let square = Function::source("result = args[0] ** 2");
    let mut tasks = Vec::new();
    for (round, workers) in [3, 1, 4, 2, 1, 3].into_iter().enumerate() {
        for n in 0..100 {
            let task = Task::new(Arc::clone(&square), &[n.into()]);
            let task = if n % 10 == 0 {
                task.on(n as usize % pool.workers())
            } else {
                task
            };
            tasks.push((n, pool.submit_task(task).unwrap()));
        }
        pool.resize(workers).unwrap();
        assert_eq!(pool.workers(), workers, "round {round}");
    }
    for (n, task) in tasks {
        assert_eq!(task.result(), Ok((n * n).into()));
    }
    assert_eq!(pool.wait_ready(None), Ok(()));
    let stats = pool.stats();
    assert_eq!((stats.done, stats.failed, stats.workers.len()), (600, 0, 3));
    pool.close();
    assert_eq!(pool.resize(2), Err(Error::Closed));
    assert!(pool.wait_ended(None));
}

#[test]
fn a_worker_that_grew_old_gets_a_new_interpreter() {
    let runtime = runtime();
    let limited = || Pool::builder().workers(1).max_tasks(5);
    match limited().build(&runtime) {
        Ok(_) => {
            assert!(covet_interp::ffi::VERSION >= (3, 14) || !runtime.facts().unwrap().own_gil)
        }
        Err(error) => {
            assert!(covet_interp::ffi::VERSION < (3, 14));
            assert!(error.to_string().contains("1.6 to 6.3 MB"), "{error}");
        }
    }
    let pool = limited().accept_leak(true).build(&runtime).unwrap();
    let own = pool.decision().strategy == Strategy::Subinterpreters;
    let count = Function::source(
        "import sys; sys.count = getattr(sys, 'count', 0) + 1; result = sys.count",
    );
    let tasks: Vec<_> = (0..20)
        .map(|_| pool.submit(Arc::clone(&count), &[]).unwrap())
        .collect();
    for (n, task) in tasks.iter().enumerate() {
        let seen = task.result();
        if own {
            assert_eq!(seen, Ok((n as i64 % 5 + 1).into()));
        }
    }
    assert!(pool.drain(None));
    pool.close();
    assert!(pool.wait_ended(None));
    assert!(pool.stats().lives >= 4);
    // By age: the worker looks when it has nothing to do.
    let pool = Pool::builder()
        .workers(1)
        .max_lifetime(Duration::from_millis(1))
        .accept_leak(true)
        .build(&runtime)
        .unwrap();
    while pool.stats().lives < 3 {
        std::thread::yield_now();
    }
    assert_eq!(
        pool.submit_task(Task::source("result = 1", &[]))
            .unwrap()
            .result(),
        Ok(1.into())
    );
}

#[test]
fn draining_waits_for_what_is_queued_and_leaves_the_pool_open() {
    let pool = pool();
    for _ in 0..50 {
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                pool.submit_task(Task::source("sum(range(100))", &[]))
                    .unwrap()
            })
            .collect();
        assert!(pool.drain(None));
        assert!(tasks.iter().all(|task| task.state() == TaskState::Done));
    }
    let endless = pool
        .submit_task(Task::source("while True: pass", &[]))
        .unwrap();
    assert!(!pool.drain(Some(Instant::now() + Duration::from_millis(5))));
    endless.interrupt();
    assert!(pool.drain(None));
    assert!(endless.state().is_final());
}

#[test]
fn what_was_done_is_counted() {
    let pool = Pool::builder().workers(2).build(&runtime()).unwrap();
    let good: Vec<_> = (0..30)
        .map(|_| pool.submit_task(Task::source("", &[])).unwrap())
        .collect();
    let bad: Vec<_> = (0..12)
        .map(|_| pool.submit_task(Task::source("1 / 0", &[])).unwrap())
        .collect();
    good.iter()
        .for_each(|task| assert_eq!(task.result(), Ok(Value::None)));
    bad.iter()
        .for_each(|task| assert_eq!(raised(task.result()).kind, "ZeroDivisionError"));
    let blockers = [(); 2].map(|()| {
        pool.submit_task(Task::source("while True: pass", &[]))
            .unwrap()
    });
    while blockers
        .iter()
        .any(|task| task.state() == TaskState::Queued)
    {
        std::thread::yield_now();
    }
    let queued = pool.submit_task(Task::source("", &[])).unwrap();
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running), (1, 2));
    assert!(queued.cancel() && queued.cancel());
    blockers.iter().for_each(|task| task.interrupt());
    blockers.iter().for_each(|task| assert!(task.wait(None)));
    assert!(pool.drain(None));
    let stats = pool.stats();
    assert_eq!((stats.queued, stats.running), (0, 0));
    assert_eq!(
        (stats.done, stats.failed, stats.cancelled, stats.lost),
        (30, 14, 1, 0)
    );
    assert!(stats.lives <= 2);
    let sum = |of: fn(&covet_interp::WorkerStats) -> u64| stats.workers.iter().map(of).sum::<u64>();
    assert_eq!((sum(|w| w.done), sum(|w| w.failed)), (30, 14));
    assert!(
        stats
            .workers
            .iter()
            .all(|w| w.busy > Duration::ZERO && w.waited > Duration::ZERO)
    );
}

#[test]
#[cfg(target_os = "linux")]
fn the_default_number_of_workers_and_their_cores_follow_the_affinity_mask() {
    let cores = "import os; result = sorted(os.sched_getaffinity(0))";
    let all = std::thread::available_parallelism().unwrap().get();
    let pool = Pool::builder()
        .workers(all.min(2))
        .pin(true)
        .build(&runtime())
        .unwrap();
    let places: HashSet<_> = (0..pool.workers())
        .map(|worker| {
            let task = pool
                .submit_task(Task::source(cores, &[]).on(worker))
                .unwrap();
            let place = task.result();
            assert!(
                matches!(&place, Ok(Value::List(cores)) if cores.len() == 1),
                "{place:?}"
            );
            text(place)
        })
        .collect();
    assert_eq!(
        places.len(),
        pool.workers(),
        "each on a core of its own: {places:?}"
    );
    // The mask of a thread is what its own threads start with.
    let narrow = std::thread::spawn(|| {
        // SAFETY: plain zeros are an empty set, and the calls read and write a set of its size.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(libc::sched_getcpu() as usize, &mut set);
            let size = std::mem::size_of_val(&set);
            assert_eq!(libc::sched_setaffinity(0, size, &set), 0);
        }
        Pool::builder().build(&runtime()).unwrap().workers()
    });
    assert_eq!(narrow.join().unwrap(), 1);
}

#[test]
fn globals_are_shared_only_if_asked_for() {
    for shared in [false, true] {
        let pool = Pool::builder()
            .workers(2)
            .shared_globals(shared)
            .initializer(Task::source("shared = 'initializer'", &[]))
            .build(&runtime())
            .unwrap();
        pool.wait_ready(None).unwrap();
        let on = |worker, text: &str| {
            let task = Task::source(text, &[]).on(worker);
            pool.submit_task(task).unwrap().result()
        };
        let look = "result = [globals().get(name) for name in ('shared', 'mine', 'result')]";
        assert_eq!(on(0, "mine = result = 0"), Ok(Value::Int(0)));
        let seen = |worker| match on(worker, look) {
            Ok(Value::List(items)) => items,
            other => panic!("expected a list, found {other:?}"),
        };
        let none = Value::None;
        let initial = if shared {
            "initializer".into()
        } else {
            Value::None
        };
        let mine = if shared { 0.into() } else { Value::None };
        assert_eq!(seen(0), [initial.clone(), mine.clone(), none.clone()]);
        assert_eq!(seen(1), [initial.clone(), none.clone(), none.clone()]);
        // What borrows the interpreters has the same.
        let outcome = on_big_stack(|| {
            let look = "result = globals().get('mine')";
            let mut outer = pool.enter().unwrap();
            let inner = pool.enter().unwrap().run(look);
            [inner, outer.run(look)]
        });
        assert_eq!(
            outcome
                .iter()
                .filter(|found| **found == Ok(mine.clone()))
                .count(),
            1 + usize::from(!shared)
        );
    }
}

#[test]
fn one_interpreter_by_itself_keeps_its_globals() {
    let runtime = runtime();
    let interpreters = [
        Interpreter::new(&runtime).unwrap(),
        Interpreter::new(&runtime).unwrap(),
    ];
    for (number, interpreter) in interpreters.iter().enumerate() {
        let define = format!(
            "import threading\ndef number(): return {number}\nthread = threading.get_ident()"
        );
        assert_eq!(interpreter.run(&define), Ok(Value::None));
    }
    for (number, interpreter) in interpreters.iter().enumerate() {
        assert_eq!(
            interpreter.run("result = number()"),
            Ok((number as i64).into())
        );
        assert_eq!(
            interpreter.run("result = thread == threading.get_ident()"),
            Ok(true.into())
        );
        assert_eq!(raised(interpreter.run("1 / 0")).kind, "ZeroDivisionError");
        let hypot = Function::reference("math", "hypot");
        assert_eq!(
            interpreter.call(&hypot, &[3.into(), 4.into()]),
            Ok(Value::Float(5.0))
        );
    }
}
