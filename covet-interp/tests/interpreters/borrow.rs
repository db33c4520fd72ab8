//! Calling threads in idle interpreters.

use crate::common::{on_big_stack, pool, raised, runtime};
use covet_interp::{Detached, Error, Function, Pool, Strategy, Task, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_call_runs_on_the_calling_thread() {
    let pool = pool();
    let ident = Function::reference("threading", "get_ident");
    let (inside, outside) =
        on_big_stack(|| (pool.call(&ident, &[]), covet_interp::ffi::thread_ident()));
    assert_eq!(inside, Ok(Value::Int(outside as i64)));
}

#[test]
fn arguments_and_errors_cross() {
    let pool = pool();
    on_big_stack(|| {
        let hypot = Function::reference("math", "hypot");
        assert_eq!(
            pool.call(&hypot, &[3.into(), 4.into()]),
            Ok(Value::Float(5.0))
        );
        assert_eq!(
            raised(pool.call(&hypot, &["three".into()])).kind,
            "TypeError"
        );
        assert_eq!(
            pool.call(&hypot, &[6.into(), 8.into()]),
            Ok(Value::Float(10.0))
        );
    });
}

#[test]
fn a_nested_call_takes_another_interpreter_and_comes_back() {
    let pool = pool();
    on_big_stack(|| {
        let mut outer = pool.enter().unwrap();
        assert_eq!(
            outer.run("import builtins; builtins.mark = 'outer'"),
            Ok(Value::None)
        );
        {
            let mut inner = pool.enter().unwrap();
            assert_eq!(inner.run("result = 1 + 1"), Ok(Value::Int(2)));
            assert!(pool.try_enter().is_none(), "both interpreters are taken");
        }
        assert_eq!(
            outer.run("import builtins; result = builtins.mark"),
            Ok(Value::Str("outer".to_owned()))
        );
    });
}

#[test]
fn an_interpreter_that_is_still_being_made_is_waited_for() {
    let first = std::env::temp_dir().join(format!("covet-first-{}", std::process::id()));
    let late = format!(
        "import time\ntry:\n    open({first:?}, 'x').close()\nexcept FileExistsError:\n    time.sleep(0.3)"
    );
    let pool = Pool::builder()
        .workers(2)
        .initializer(Task::source(&late, &[]))
        .build(&runtime())
        .unwrap();
    on_big_stack(|| {
        let _outer = pool.enter().unwrap();
        let mut inner = pool.enter().expect("the one that comes late");
        assert_eq!(inner.run("result = 1 + 1"), Ok(Value::Int(2)));
    });
    std::fs::remove_file(first).unwrap();
}

/// The identity of the interpreter that the thread is attached to, by the C API; 0 if it is attached to none.
fn here() -> usize {
    covet_interp::ffi::current_interpreter() as usize
}

#[test]
fn guards_may_end_in_any_order() {
    let pool = Pool::builder().workers(3).build(&runtime()).unwrap();
    on_big_stack(|| {
        let runtime = runtime();
        pool.wait_ready(None).unwrap();
        let switches = pool.decision().strategy == Strategy::Subinterpreters;
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let main = runtime.attach().unwrap();
            let outside = here();
            let mut guards: Vec<_> = (0..3).map(|_| Some(pool.enter().unwrap())).collect();
            assert!(pool.try_enter().is_none(), "all interpreters are taken");
            for (ended, &i) in order.iter().enumerate() {
                let before = here();
                let innermost = guards.iter().rposition(Option::is_some) == Some(i);
                guards[i] = None;
                assert_eq!(here() != before, innermost && switches);
                // Each is free at once, whatever was made after it.
                let free: Vec<_> = std::iter::from_fn(|| pool.try_enter()).collect();
                assert_eq!(free.len(), ended + 1);
                drop(free);
                if let Some(guard) = guards.iter_mut().rev().flatten().next() {
                    assert_eq!(guard.run("result = 1 + 1"), Ok(Value::Int(2)));
                }
            }
            assert_eq!(here(), outside);
            drop(main);
            assert_eq!(here(), 0);
        }
    });
}

#[test]
fn what_is_outside_may_end_before_a_guard() {
    let pool = pool();
    on_big_stack(|| {
        let runtime = runtime();
        let main = runtime.attach().unwrap();
        let detached = Detached::new();
        let mut guard = pool.enter().unwrap();
        drop(main);
        drop(detached);
        assert_eq!(guard.run("result = 1 + 1"), Ok(Value::Int(2)));
        drop(guard);
        assert_eq!(here(), 0);
    });
}

#[test]
fn a_guard_that_is_outside_another_says_so() {
    let pool = pool();
    on_big_stack(|| {
        let mut outer = pool.enter().unwrap();
        let detached = Detached::new();
        let used = catch_unwind(AssertUnwindSafe(|| outer.run("result = 1")));
        let text = *used.unwrap_err().downcast::<&str>().unwrap();
        assert!(text.contains("found a guard made later"), "{text}");
        drop(detached);
        assert_eq!(outer.run("result = 1"), Ok(Value::Int(1)));
    });
}

#[test]
fn a_guard_that_is_forgotten_keeps_its_interpreter_and_nothing_else() {
    if covet_interp::ffi::FREE_THREADED_BUILD {
        return; // whatever stops all threads there waits for this one, which stays attached
    }
    // Its pool can never end: it stays until the process does.
    let pool: &Pool = Box::leak(Box::new(pool()));
    on_big_stack(|| {
        let outer = pool.enter().unwrap();
        std::mem::forget(pool.enter().unwrap());
        drop(outer);
        let mut next = pool.enter().unwrap();
        assert_eq!(next.run("result = 1"), Ok(Value::Int(1)));
    });
    assert_eq!(
        pool.submit(Function::reference("math", "sqrt"), &[4.into()])
            .unwrap()
            .result(),
        Ok(Value::Float(2.0))
    );
}

#[test]
fn a_thread_with_too_little_stack_is_refused_with_a_reason() {
    let pool = pool();
    let outcome = std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(128 << 10);
        small
            .spawn_scoped(scope, || pool.enter().map(drop))
            .unwrap()
            .join()
            .unwrap()
    });
    match outcome {
        Err(Error::Thread(why)) => assert!(why.contains("KiB of stack"), "{why}"),
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn threads_that_come_and_go_share_interpreters_over_many_lives() {
    let runtime = runtime();
    let calls = AtomicUsize::new(0);
    for _life in 0..6 {
        let pool = Pool::builder().workers(2).build(&runtime).unwrap();
        let (good, bad) = (
            Function::reference("math", "isqrt"),
            Function::reference("json", "loads"),
        );
        for _round in 0..6 {
            std::thread::scope(|scope| {
                for thread in 0..8i64 {
                    let (pool, good, bad, calls) = (&pool, &good, &bad, &calls);
                    let work = move || {
                        for n in 0..50i64 {
                            if n % 7 == thread % 7 {
                                assert_eq!(
                                    raised(pool.call(bad, &["{".into()])).kind,
                                    "json.decoder.JSONDecodeError"
                                );
                            } else {
                                assert_eq!(pool.call(good, &[(n * n).into()]), Ok(Value::Int(n)));
                            }
                            calls.fetch_add(1, Ordering::Relaxed);
                        }
                    };
                    std::thread::Builder::new()
                        .stack_size(16 << 20)
                        .spawn_scoped(scope, work)
                        .unwrap();
                }
            });
        }
        pool.close();
        assert!(pool.wait_ended(None));
    }
    assert_eq!(calls.load(Ordering::Relaxed), 6 * 6 * 8 * 50);
}

#[test]
fn a_borrower_is_left_as_it_was_for_whatever_else_uses_python_on_its_thread() {
    use covet_interp::ffi::{
        PyGILState_Ensure, PyGILState_GetThisThreadState, PyGILState_Release,
        PyInterpreterState_Main, PyThreadState_GetInterpreter,
    };

    on_big_stack(|| {
        for _ in 0..3 {
            let pool = pool();
            let abs = Function::reference("builtins", "abs");
            for _ in 0..3 {
                assert_eq!(pool.call(&abs, &[(-3).into()]), Ok(Value::Int(3)));
                // SAFETY: Python runs; what is attached is released again.
                unsafe {
                    let state = PyGILState_Ensure();
                    let here = PyThreadState_GetInterpreter(PyGILState_GetThisThreadState());
                    assert_eq!(here, PyInterpreterState_Main());
                    PyGILState_Release(state);
                }
            }
            pool.close();
            assert!(pool.wait_ended(None));
        }
    });
}

/// A pool whose tasks run in the main interpreter, whatever this Python could do.
fn pool_in_main(max_tasks: u64) -> Pool {
    Pool::builder()
        .workers(2)
        .strategy(Strategy::MainOnly)
        .max_tasks(max_tasks)
        .accept_leak(true)
        .build(&runtime())
        .unwrap()
}

#[test]
fn a_state_of_main_that_the_caller_had_for_a_while_is_not_used_later() {
    let pool = pool_in_main(u64::MAX);
    on_big_stack(|| {
        let abs = Function::reference("builtins", "abs");
        for _ in 0..100 {
            // As an extension does that calls back into Python from a thread of its own.
            // SAFETY: Python runs; released below, in the same state.
            let before = unsafe { covet_interp::ffi::PyGILState_Ensure() };
            {
                let _detached = Detached::new();
                assert_eq!(pool.call(&abs, &[(-3).into()]), Ok(Value::Int(3)));
            }
            // SAFETY: ensured above.
            unsafe { covet_interp::ffi::PyGILState_Release(before) };
        }
        assert_eq!(pool.call(&abs, &[(-3).into()]), Ok(Value::Int(3)));
    });
}

#[test]
fn a_recycled_worker_in_main_goes_on_in_the_slot_of_another() {
    let pool = pool_in_main(3);
    let abs = Function::reference("builtins", "abs");
    let tasks: Vec<_> = (0..2000i64)
        .map(|n| pool.submit(abs.clone(), &[(-n).into()]).unwrap())
        .collect();
    for (n, task) in (0i64..).zip(tasks) {
        assert_eq!(task.result(), Ok(n.into()));
    }
    assert!(pool.stats().lives > 100, "{:?}", pool.stats());
}

#[test]
fn borrowed_and_queued_work_share_the_interpreters() {
    let pool = pool();
    on_big_stack(|| {
        let sum = Function::reference("builtins", "sum");
        let numbers = [Value::List((0..100).map(Value::from).collect())];
        let tasks: Vec<_> = (0..200)
            .map(|_| pool.submit(sum.clone(), &numbers).unwrap())
            .collect();
        for _ in 0..200 {
            assert_eq!(pool.call(&sum, &numbers), Ok(Value::Int(4950)));
        }
        assert!(
            tasks
                .iter()
                .all(|task| task.result() == Ok(Value::Int(4950)))
        );
    });
}
