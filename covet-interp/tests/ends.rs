//! Programs that embed Python end with their own exit code, whatever a pool is doing meanwhile, and say nothing. Each case is a
//! process: this program again, told its case by its arguments.
//!
//! `cargo test -p covet-interp --test ends -- --count COUNT [PART OF A NAME]` runs each case COUNT times (1).

use covet_interp::{Error, Function, Pool, Runtime, Task, TaskHandle, TaskState};
use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a pool is brought into a state. It comes with a runtime that is dropped after it, or before.
type Reach = fn(&Runtime) -> Arc<Pool>;

const STATES: [(&str, Reach); 8] = [
    ("idle", |runtime| {
        let pool = two_workers(runtime);
        let task = pool.submit_task(Task::source("result = 1", &[])).unwrap();
        assert_eq!(task.result(), Ok(1.into()));
        pool
    }),
    ("creating", two_workers),
    ("running", |runtime| {
        let pool = two_workers(runtime);
        let source =
            "import time\nend = time.monotonic() + 0.2\nwhile time.monotonic() < end: pass";
        begun(&pool.submit_task(Task::source(source, &[])).unwrap());
        pool
    }),
    ("blocked in C", |runtime| {
        let pool = two_workers(runtime);
        let (reader, writer) = pipe();
        let task = Task::import("os:read", &[reader.into(), 1.into()]);
        begun(&pool.submit_task(task).unwrap());
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            // SAFETY: the descriptor is open for as long as the process, and one byte is read.
            unsafe { libc::write(writer, b"x".as_ptr().cast(), 1) };
        });
        pool
    }),
    ("in time.sleep", |runtime| {
        let pool = two_workers(runtime);
        begun(
            &pool
                .submit_task(Task::import("time:sleep", &[0.2.into()]))
                .unwrap(),
        );
        pool
    }),
    ("thread in a task", |runtime| {
        let pool = two_workers(runtime);
        let source =
            "import threading, time\nthreading.Thread(target=time.sleep, args=(0.2,)).start()";
        let task = pool.submit_task(Task::source(source, &[])).unwrap();
        task.result().unwrap();
        pool
    }),
    ("another thread calls", |runtime| {
        let pool = two_workers(runtime);
        pool.wait_ready(None).unwrap();
        let calls = Arc::clone(&pool);
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        thread
            .spawn(move || {
                let function = Function::reference("math", "isqrt");
                while calls.call(&function, &[9.into()]) == Ok(3.into()) {}
            })
            .unwrap();
        pool
    }),
    ("a task is lost", |runtime| {
        let builder = Pool::builder().workers(2).grace(Duration::from_millis(20));
        let pool = builder.build(runtime).unwrap();
        let (reader, _) = pipe();
        let task = Task::import("os:read", &[reader.into(), 1.into()]);
        let task = pool.submit_task(task).unwrap();
        begun(&task);
        task.interrupt();
        assert!(matches!(task.result(), Err(Error::Lost { .. })));
        Arc::new(pool)
    }),
];

/// The exit codes of a program that says so, and of one that panics.
const OWN: u8 = 7;
const PANICKED: u8 = 101;

/// A whole program: reaches the state, and returns its exit code if it comes to that.
type Program = fn(Reach) -> u8;

/// How the program ends, from there on.
const ENDS: [(&str, u8, Program); 5] = [
    ("normally", OWN, |reach| {
        let runtime = Runtime::embed().unwrap();
        let pool = reach(&runtime);
        drop(pool);
        drop(runtime);
        OWN
    }),
    ("with the pool alive", OWN, |reach| {
        let runtime = Runtime::embed().unwrap();
        let pool = reach(&runtime);
        drop(runtime);
        let late = pool.submit(Function::reference("math", "isqrt"), &[9.into()]);
        assert_eq!(late.unwrap_err(), Error::Closed);
        drop(pool);
        OWN
    }),
    ("by a panic", PANICKED, |reach| {
        let runtime = Runtime::embed().unwrap();
        let _pool = reach(&runtime);
        panic!("mine");
    }),
    ("by a panic with the pool alive", PANICKED, |reach| {
        let _pool;
        let runtime = Runtime::embed().unwrap();
        _pool = reach(&runtime);
        panic!("mine");
    }),
    ("without dropping anything", OWN, |reach| {
        let runtime = Runtime::embed().unwrap();
        let _pool = reach(&runtime);
        std::process::exit(OWN.into());
    }),
];

/// A program that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

fn two_workers(runtime: &Runtime) -> Arc<Pool> {
    Arc::new(Pool::builder().workers(2).build(runtime).unwrap())
}

fn begun(task: &TaskHandle) {
    while task.state() == TaskState::Queued {
        std::thread::yield_now();
    }
}

fn pipe() -> (i32, i32) {
    let mut ends = [0; 2];
    // SAFETY: `pipe` fills two descriptors in.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    (ends[0], ends[1])
}

/// Runs one case in a process of its own; returns what went wrong.
fn problem(state: &str, end: &str, code: u8) -> Option<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--case", state, end])
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    // It writes less than a pipe holds.
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            return Some("hangs".to_owned());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = child.wait().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.unwrap().read_to_string(&mut out).unwrap();
    child.stderr.unwrap().read_to_string(&mut err).unwrap();
    // A panic writes its place, its text and a note.
    let panics = usize::from(code == PANICKED);
    let quiet = err.lines().filter(|line| !line.is_empty()).count() == 3 * panics
        && err.matches("\nmine\n").count() == panics;
    let fine = status.code() == Some(code.into()) && out.is_empty() && quiet;
    (!fine).then(|| format!("{status}, not {code}; stdout {out:?}, stderr:\n{err}"))
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let cases = || {
        STATES
            .iter()
            .flat_map(|state| ENDS.iter().map(move |end| (state, end)))
    };
    let (count, part) = match words[..] {
        ["--case", state, end] => {
            let mut cases = cases().filter(|((s, _), (e, ..))| *s == state && *e == end);
            let ((_, reach), (.., finish)) = cases.next().expect("a case");
            return ExitCode::from(finish(*reach));
        }
        ["--count", count] => (count.parse().expect("a number"), ""),
        ["--count", count, part] => (count.parse().expect("a number"), part),
        // Words for libtest.
        _ => (1, ""),
    };
    let (mut passed, mut failed) = (0, 0);
    for ((state, _), (end, code, _)) in cases() {
        let name = format!("{state}, ends {end}");
        if !name.contains(part) {
            continue;
        }
        match (0..count).find_map(|_| problem(state, end, *code)) {
            None => passed += 1,
            Some(problem) => {
                failed += 1;
                println!("test {name} ... FAILED\n{problem}");
            }
        }
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed");
    ExitCode::from(u8::from(failed != 0))
}
