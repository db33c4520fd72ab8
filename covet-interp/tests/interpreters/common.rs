//! One Python for all tests, and the helpers they share.

use covet_interp::{Error, Pool, Runtime, Value};
use std::sync::{Once, mpsc};

/// Joins a Python that a thread of its own started: a process has one, and its tests run in any order on any thread.
pub(crate) fn runtime() -> Runtime {
    static START: Once = Once::new();
    START.call_once(|| {
        let (started, wait) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = Runtime::embed().expect("Python starts");
            started.send(()).unwrap();
            // It lives as long as the process.
            std::mem::forget(runtime);
            loop {
                std::thread::park();
            }
        });
        wait.recv().unwrap();
    });
    Runtime::join().expect("Python runs")
}

/// A pool with two workers.
pub(crate) fn pool() -> Pool {
    Pool::builder()
        .workers(2)
        .build(&runtime())
        .expect("a pool")
}

/// Runs `body` on a thread with a stack that every Python accepts from a borrower.
pub(crate) fn on_big_stack<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(16 << 20)
            .spawn_scoped(scope, body)
            .unwrap();
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The exception that a task raised.
pub(crate) fn raised(outcome: Result<Value, Error>) -> covet_interp::PythonError {
    match outcome {
        Err(Error::Python(error)) => error,
        other => panic!("expected a Python exception, found {other:?}"),
    }
}
