//! Calling threads that come and go while interpreters are recycled under them: a process of its own, since it counts what is
//! left in it.
//!
//! `COVET_LIVES=200 cargo test -p covet-interp --test soak` recycles each interpreter so often (10 times).

use covet_interp::{Error, Function, Pool, Runtime, Strategy, Value, ffi};
use std::sync::atomic::{AtomicU64, Ordering};

const WORKERS: usize = 2;
const CALLERS: i64 = 8;

/// Interpreters, and the thread states of the main one.
fn left(runtime: &Runtime) -> (usize, usize) {
    let _main = runtime.attach().unwrap();
    // SAFETY: attached. No other thread has anything to do with Python now, so the lists do not change.
    unsafe {
        let interpreters =
            std::iter::successors(Some(ffi::PyInterpreterState_Head()), |&interpreter| {
                Some(ffi::PyInterpreterState_Next(interpreter)).filter(|next| !next.is_null())
            });
        let main = ffi::PyInterpreterState_ThreadHead(ffi::PyInterpreterState_Main());
        let states = std::iter::successors(Some(main), |&state| {
            Some(ffi::PyThreadState_Next(state)).filter(|next| !next.is_null())
        });
        (interpreters.count(), states.count())
    }
}

#[test]
fn callers_that_come_and_go_over_many_lives_leave_nothing_behind() {
    let lives: u64 =
        std::env::var("COVET_LIVES").map_or(10, |count| count.parse().expect("a number of lives"));
    let runtime = Runtime::embed().unwrap();
    let before = left(&runtime);
    let pool = Pool::builder()
        .workers(WORKERS)
        .max_tasks(5)
        .accept_leak(true)
        .build(&runtime)
        .unwrap();
    let (good, bad) = (
        Function::reference("math", "isqrt"),
        Function::reference("json", "loads"),
    );
    let calls = AtomicU64::new(0);
    while pool.stats().lives < WORKERS as u64 * lives {
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (pool, good, bad, calls) = (&pool, &good, &bad, &calls);
                let work = move || {
                    for n in 0..20 + caller {
                        match n % 7 {
                            0 => assert!(matches!(
                                pool.call(bad, &["{".into()]),
                                Err(Error::Python(error)) if error.kind == "json.decoder.JSONDecodeError"
                            )),
                            1 => {
                                let task = pool.submit(good.clone(), &[(n * n).into()]).unwrap();
                                assert_eq!(task.result(), Ok(n.into()));
                            }
                            _ => assert_eq!(pool.call(good, &[(n * n).into()]), Ok(Value::Int(n))),
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
    let stats = pool.stats();
    let own = pool.decision().strategy == Strategy::Subinterpreters;
    if own {
        assert!(left(&runtime).0 > before.0);
    }
    pool.close();
    assert!(pool.wait_ended(None));
    drop(pool);
    let after = left(&runtime);
    assert_eq!((stats.lost, after.0), (0, before.0));
    // The states of callers in main are cleared together, once they are more than 32.
    let kept = if own { 0 } else { 33 };
    assert!(
        (before.1..=before.1 + kept).contains(&after.1),
        "{before:?} {after:?}"
    );
    println!(
        "{} lives, {} calls and tasks",
        stats.lives,
        calls.into_inner()
    );
}
