//! A server's shape: tasks of tokio await tasks of Python, with a limit of time for each, on one thread of tokio.

use covet_interp::{Error, Pool, Runtime, Task, Value};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let runtime = Runtime::embed()?;
    let pool = Pool::builder().workers(2).build(&runtime)?;

    // A hundred requests at once. None of them holds a thread while it waits.
    let squares: Vec<_> = (0..100)
        .map(|n| pool.submit_task(Task::source("result = args[0] ** 2", &[n.into()])))
        .collect::<Result<_, _>>()?;
    let squares = squares.into_iter().map(tokio::spawn);
    let mut sum = 0;
    for square in squares.collect::<Vec<_>>() {
        match square.await.expect("the task of tokio ran")? {
            Value::Int(square) => sum += square,
            other => panic!("expected an int, found {other:?}"),
        }
    }
    assert_eq!(sum, 328_350);

    // One that does not end: the wait is given up, then the task is stopped.
    let mut endless = pool.submit_task(Task::source("while True: pass", &[]))?;
    let early = tokio::time::timeout(Duration::from_millis(50), &mut endless).await;
    assert!(early.is_err(), "it does not end by itself");
    // Until it has begun, this would cancel it.
    endless.interrupt();
    match endless.await {
        Err(Error::Python(error)) => assert_eq!(error.kind, "KeyboardInterrupt"),
        Err(Error::Cancelled) => {}
        other => panic!("expected an interruption, found {other:?}"),
    }
    println!("sum of squares: {sum}; {} tasks done", pool.stats().done);
    Ok(())
}
