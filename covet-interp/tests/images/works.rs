//! What an interpreter has of its image.

use crate::common::{COUNT, one_at_a_time, package, pool, run, runtime};
use covet_interp::{Extensions, Value};
use std::fs;

#[test]
fn each_interpreter_has_variables_of_its_own() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let folder = package("own", &["refusing", "once"]);
    let pool = pool(&runtime, Extensions::Private);
    for module in ["refusing", "once"] {
        let count = COUNT.replace("refusing", module);
        for (worker, expected) in [(0, 1), (0, 2), (1, 1), (0, 3), (1, 2)] {
            assert_eq!(
                run(&pool, worker, &folder, &count),
                Ok(Value::Int(expected)),
                "{module}"
            );
        }
        let about = format!(
            "import {module} as m\nresult = [m.__name__, m.__spec__.name, m.__file__ == m.__spec__.origin, m.__file__]"
        );
        let file = folder.join(format!("{module}.so"));
        assert_eq!(
            run(&pool, 1, &folder, &about),
            Ok(Value::List(vec![
                module.into(),
                module.into(),
                true.into(),
                file.to_str().unwrap().into()
            ]))
        );
        assert!(covet_interp::images().contains(&file));
    }
    assert_eq!(
        run(
            &pool,
            0,
            &folder,
            "import refusing\nresult = refusing.executed"
        ),
        Ok(Value::Int(1))
    );
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_thread_of_a_library_comes_into_the_interpreter_of_its_image() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let folder = package("thread", &["refusing"]);
    let pool = pool(&runtime, Extensions::Private);
    // By what only this interpreter has.
    let source = "import refusing, builtins, threading
builtins.mark = MARK
seen = []
refusing.call_from_thread(lambda: seen.append((builtins.mark, threading.get_ident())), 0)
result = seen[0][0] if seen[0][1] != threading.get_ident() else 'this thread'";
    for round in 0..20 {
        for worker in 0..2 {
            let mark = 2 * round + worker as i64;
            let source = source.replace("MARK", &mark.to_string());
            assert_eq!(run(&pool, worker, &folder, &source), Ok(mark.into()));
        }
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_call_that_a_library_leaves_is_made_in_the_interpreter_of_its_image() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let folder = package("pending", &["refusing"]);
    let pool = pool(&runtime, Extensions::Private);
    let source = "import refusing, builtins, time
builtins.mark = MARK
seen = []
refusing.leave_call(lambda: seen.append(builtins.mark))
deadline = time.monotonic() + 30
while not seen and time.monotonic() < deadline: pass
result = seen";
    for mark in 0..20i64 {
        let source = source.replace("MARK", &mark.to_string());
        let seen = run(&pool, mark as usize % 2, &folder, &source);
        assert_eq!(seen, Ok(Value::List(vec![mark.into()])));
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_end_waits_for_a_thread_of_a_library_that_is_inside() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let folder = package("inside", &["refusing"]);
    for seconds in [0.3, 0.0] {
        let pool = pool(&runtime, Extensions::Private);
        let source = format!(
            "import refusing, threading\ninside = threading.Event()\nrefusing.call_from_thread(inside.set, {seconds})\n\
             result = inside.wait(30)"
        );
        assert_eq!(run(&pool, 0, &folder, &source), Ok(true.into()));
        pool.close();
        assert!(pool.wait_ended(None));
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn two_interpreters_that_import_it_at_the_same_moment() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    for round in 0..3 {
        let folder = package(&format!("race{round}"), &["refusing"]);
        let pool = pool(&runtime, Extensions::Private);
        std::thread::scope(|scope| {
            let import = |worker| {
                let (pool, folder) = (&pool, &folder);
                scope.spawn(move || run(pool, worker, folder, COUNT))
            };
            let (first, second) = (import(0), import(1));
            assert_eq!(first.join().unwrap(), Ok(1.into()));
            assert_eq!(second.join().unwrap(), Ok(1.into()));
        });
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn a_module_may_start_threads_when_it_is_imported() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    let folder = package("starting", &["starting"]);
    let pool = pool(&runtime, Extensions::Private);
    // Its thread is inside now and then, and counts.
    let source = "import starting, time
deadline = time.monotonic() + 30
while starting.count() < 50 and time.monotonic() < deadline: time.sleep(0.01)
result = starting.count() > 50";
    for worker in [0, 1] {
        assert_eq!(run(&pool, worker, &folder, source), Ok(true.into()));
    }
    // The threads stay, and come again.
    pool.close();
    assert!(pool.wait_ended(None));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn extensions_that_import_each_other() {
    let _turn = one_at_a_time();
    let runtime = runtime();
    for (round, turns) in [["left", "right"], ["left", "left"]].iter().enumerate() {
        let folder = package(&format!("cycle{round}"), &["left", "right"]);
        let pool = pool(&runtime, Extensions::Private);
        std::thread::scope(|scope| {
            for (worker, first) in turns.iter().enumerate() {
                let (pool, folder) = (&pool, &folder);
                scope.spawn(move || {
                    let source = format!(
                        "import {first}, left, right\nresult = [left.other is right, right.other is left]"
                    );
                    let both = Value::List(vec![true.into(), true.into()]);
                    assert_eq!(run(pool, worker, folder, &source), Ok(both));
                });
            }
        });
        fs::remove_dir_all(folder).unwrap();
    }
}
