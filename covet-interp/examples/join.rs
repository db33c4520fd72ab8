//! A program that joins a Python that runs already: as a library loaded by `python` does, or a plug-in of a program that
//! embeds Python. (`covet_py` is such a library; its extension module joins the `python` that imported it.)
//!
//! Here the program starts Python by itself, through the C API, as its host would.

use covet_interp::{Error, Pool, PoolsOf, Runtime, Task, ffi};
use std::time::{Duration, Instant};

fn main() {
    // The host: Python runs, and this thread is attached to it.
    // SAFETY: Python does not run yet.
    unsafe { ffi::Py_InitializeEx(0) };

    let used = plug_in();

    // Before the host finalizes Python: the pools end, then whoever is on the way back comes back.
    assert!(PoolsOf::this_interpreter().shut_down(None));
    assert!(covet_interp::before_finalize(
        Instant::now() + Duration::from_secs(5)
    ));
    // SAFETY: this thread started Python and is attached, and no pool is left.
    let finalized = unsafe { ffi::Py_FinalizeEx() };
    assert_eq!((used, finalized), (Ok(()), 0));
    println!("joined, used and left Python {:?}", ffi::VERSION);
}

/// What is loaded into the host. It may be called attached or not: waiting detaches.
fn plug_in() -> Result<(), Error> {
    assert!(Runtime::embed().is_err(), "the host has started Python");
    let runtime = Runtime::join()?;
    let pool = Pool::builder().workers(2).build(&runtime)?;
    let task = pool.submit_task(Task::import("math:factorial", &[20.into()]))?;
    let result = {
        let _detached = covet_interp::Detached::new();
        task.result()?
    };
    assert_eq!(result, 2_432_902_008_176_640_000i64.into());
    println!("20! = {result:?}, {}", pool.decision());
    Ok(())
}
