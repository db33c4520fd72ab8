//! A program of pools, tasks, errors, cancellations and interruptions, as many as it is told, for checkers that watch it run:
//! `cargo xtask test` counts what it leaks, and looks for races in it.
//!
//! `cargo test -p covet-interp --test rounds -- --rounds TASKS LIVES` gives TASKS tasks (200) to each of LIVES pools (2), one after
//! the other. `-- --bare LIVES` makes and ends as many interpreters without Covet: what CPython itself leaks. `-- --race` and
//! `-- --leak` do what a checker must see.

use covet_interp::{Block, Buffer, Error, Function, Pool, Runtime, Task, TaskState, Value, ffi};
use std::cell::UnsafeCell;
use std::sync::Arc;

const THREADS: i64 = 4;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |word: &str| {
        word.parse()
            .unwrap_or_else(|_| panic!("expected a number, found {word:?}"))
    };
    match words[..] {
        ["--rounds", tasks, lives] => rounds(number(tasks), number(lives)),
        ["--bare", lives] => bare(number(lives)),
        ["--race"] => race(),
        ["--leak"] => leak(),
        // Words for libtest.
        _ => rounds(200, 2),
    }
}

fn rounds(tasks: i64, lives: i64) {
    let runtime = Runtime::embed().unwrap();
    (0..lives).for_each(|_| life(&runtime, tasks));
    println!("{tasks} tasks in each of {lives} pools");
}

/// One pool and its tasks, sent by several threads.
fn life(runtime: &Runtime, tasks: i64) {
    let pool = Pool::builder().workers(2).build(runtime).unwrap();
    pool.wait_ready(None).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let pool = &pool;
            // With a stack that every Python accepts from a borrower.
            let sender = std::thread::Builder::new().stack_size(16 << 20);
            let send = move || {
                (thread..tasks)
                    .step_by(THREADS as usize)
                    .for_each(|n| task(pool, n))
            };
            sender.spawn_scoped(scope, send).unwrap();
        }
    });
    pool.close();
    assert!(pool.wait_ended(None));
}

/// One task, of a kind that its number tells.
fn task(pool: &Pool, n: i64) {
    let isqrt = || Function::reference("math", "isqrt");
    let loads = || Function::reference("json", "loads");
    let is_json_error = |outcome| matches!(outcome, Err(Error::Python(error)) if error.kind == "json.decoder.JSONDecodeError");
    match n / THREADS % 8 {
        0 => {
            let task = pool.submit(isqrt(), &[(n * n).into()]).unwrap();
            assert_eq!(task.result(), Ok(n.into()));
        }
        1 => assert_eq!(pool.call(&isqrt(), &[(n * n).into()]), Ok(n.into())),
        2 => assert!(is_json_error(
            pool.submit(loads(), &["{".into()]).unwrap().result()
        )),
        3 => assert!(is_json_error(pool.call(&loads(), &["{".into()]))),
        4 => {
            let task = pool.submit(isqrt(), &[(n * n).into()]).unwrap();
            let expected = if task.cancel() {
                Err(Error::Cancelled)
            } else {
                Ok(n.into())
            };
            assert_eq!(task.result(), expected);
        }
        5 => {
            let task = pool.prepare(Task::source("while True: pass", &[])).unwrap();
            task.queue(None).unwrap();
            while task.state() == TaskState::Queued {
                std::thread::yield_now();
            }
            task.interrupt();
            assert!(
                matches!(task.result(), Err(Error::Python(error)) if error.kind == "KeyboardInterrupt")
            );
        }
        6 => batch(pool, n),
        _ => {
            let text = "x".repeat(100_000 + n as usize % 7);
            let echo = Function::reference("copy", "copy");
            let buffer = Buffer::from(vec![7; 1000]);
            let sent = [Value::List(vec![text.into(), n.into(), buffer.into()])];
            let task = pool.submit(echo, &sent).unwrap();
            assert_eq!(task.result().as_ref(), Ok(&sent[0]));
            let view = Task::source("result = memoryview(bytearray(100))", &[]);
            let task = pool.submit_task(view).unwrap();
            assert_eq!(task.result(), Ok(vec![0; 100].into()));
        }
    }
}

/// Some items at once, each third of which fails.
fn batch(pool: &Pool, n: i64) {
    const ITEMS: usize = 9;
    let batch = pool.batch(Function::reference("math", "isqrt"), None);
    let mut block = Block::default();
    for item in 0..ITEMS {
        let value = if item % 3 == 0 { -n - 1 } else { n * n };
        Value::write_call(&[value.into()], block.buffer()).unwrap();
        block.end_message();
    }
    pool.append(&batch, block).unwrap();
    pool.start(&batch, None).unwrap();
    let mut item = 0;
    while item < ITEMS {
        let chunk = batch.chunk(item, None).unwrap().unwrap();
        for i in 0..chunk.len() {
            match chunk.result(i) {
                Ok(message) => assert_eq!(Value::read(message), Ok(n.into())),
                Err(error) => assert_eq!((item % 3, error.kind.as_str()), (0, "ValueError")),
            }
            item += 1;
        }
    }
}

/// As many interpreters as [`rounds`] makes, which do what its tasks and Covet's support do, by CPython's own calls.
fn bare(lives: i64) {
    let runtime = Runtime::embed().unwrap();
    // None where Covet has none either.
    let lives = if runtime.facts().unwrap().own_gil {
        lives
    } else {
        0
    };
    for _ in 0..lives {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                // SAFETY: Python runs, and nothing is attached to a new thread.
                scope.spawn(|| unsafe { interpreter() });
            }
        });
    }
    drop(runtime);
    println!("2 interpreters, {lives} times");
}

/// The life of an interpreter: made from main, used, ended, with no other thread state left.
///
/// # Safety
/// Python runs; nothing is attached to the calling thread.
unsafe fn interpreter() {
    // SAFETY: as promised; every state is attached to this thread alone, and deleted while it is attached.
    unsafe {
        let main = ffi::PyThreadState_New(ffi::PyInterpreterState_Main());
        ffi::PyEval_RestoreThread(main);
        let state = ffi::new_interpreter().unwrap();
        ffi::PyEval_SaveThread();
        ffi::PyEval_RestoreThread(main);
        ffi::PyThreadState_Clear(main);
        ffi::PyThreadState_DeleteCurrent();
        ffi::PyEval_RestoreThread(state);
        let source = c"
import copy, importlib.machinery, json, math, pickle, threading, traceback
try:
    json.loads('{')
except ValueError as error:
    traceback.format_exception(error)
    pickle.dumps(error)
exec(compile('x = 1', '<covet>', 'exec'), {})
";
        assert_eq!(ffi::PyRun_SimpleString(source.as_ptr()), 0);
        ffi::Py_EndInterpreter(state);
    }
}

/// Two threads write the same word without asking each other.
fn race() {
    struct Racy(UnsafeCell<u64>);
    // SAFETY: none. This is the race that a checker must see.
    unsafe impl Sync for Racy {}
    let racy = Arc::new(Racy(UnsafeCell::new(0)));
    let threads = [1, 2].map(|number| {
        let racy = Arc::clone(&racy);
        // SAFETY: see above.
        std::thread::spawn(move || unsafe { racy.0.get().write_volatile(number) })
    });
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Ten blocks that nobody has.
fn leak() {
    for _ in 0..10 {
        std::mem::forget(std::hint::black_box(vec![0u8; 100]));
    }
}
