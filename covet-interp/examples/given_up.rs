//! A task that is blocked in C code cannot be stopped. It is given up: its handle gets an error, a new worker takes the place,
//! and the program still ends well.

use covet_interp::{Error, Pool, Runtime, Task, TaskState};
use std::time::Duration;

fn main() -> Result<(), Error> {
    let runtime = Runtime::embed()?;
    let pool = Pool::builder()
        .workers(1)
        .grace(Duration::from_millis(100))
        .build(&runtime)?;
    let blocked = pool.submit_task(Task::import("time:sleep", &[1000.into()]))?;
    while blocked.state() == TaskState::Queued {
        std::thread::sleep(Duration::from_millis(1));
    }
    blocked.interrupt();
    match blocked.result() {
        Err(Error::Lost { what, ran }) => println!("{what} was given up after {ran:?}"),
        other => panic!("expected a lost task, found {other:?}"),
    }
    let next = pool.submit_task(Task::source("result = 6 * 7", &[]))?;
    assert_eq!(next.result()?, 42.into());
    println!("{} task lost", pool.stats().lost);
    // Here Python is not finalized: a thread is stuck in it.
    Ok(())
}
