//! The life of Python in a Rust program: one test, since a process has one.

use covet_interp::{Error, Function, Pool, Runtime, Value};

#[test]
fn python_starts_once_runs_pools_and_ends() {
    assert!(
        matches!(Runtime::join(), Err(Error::Runtime(_))),
        "nothing runs yet"
    );
    let runtime = Runtime::embed().unwrap();
    assert!(
        matches!(Runtime::embed(), Err(Error::Runtime(_))),
        "one runs already"
    );
    let pool = Pool::builder().workers(2).build(&runtime).unwrap();
    let task = pool
        .submit(Function::reference("math", "gcd"), &[12.into(), 18.into()])
        .unwrap();
    assert_eq!(task.result(), Ok(Value::Int(6)));
    // Still busy and never closed: the end of the runtime waits for it.
    let late: Vec<_> = (0..20)
        .map(|_| {
            pool.submit(
                Function::reference("builtins", "sum"),
                &[Value::List(vec![1.into(); 10_000])],
            )
            .unwrap()
        })
        .collect();
    drop(runtime);
    assert!(
        late.iter()
            .all(|task| task.result() == Ok(Value::Int(10_000)))
    );
    assert_eq!(
        pool.submit(Function::reference("math", "gcd"), &[])
            .unwrap_err(),
        Error::Closed
    );
    assert!(
        matches!(Runtime::embed(), Err(Error::Runtime(_))),
        "it cannot be started twice"
    );
}
