//! The size of messages is limited for the whole process, so in a process of its own.

use covet_interp::{Error, Function, Pool, Runtime, Value, max_message_size, set_max_message_size};

#[test]
fn a_message_larger_than_the_limit_is_refused_and_the_next_one_crosses() {
    let runtime = Runtime::embed().unwrap();
    let pool = Pool::builder().workers(1).build(&runtime).unwrap();
    assert_eq!(max_message_size(), 2 << 30);
    let submit = |name, argument: Value| {
        pool.submit(Function::reference("builtins", name), &[argument])?
            .result()
    };
    // 3 GiB of zeros: pages that nobody looks at take no memory, so it must be refused by its size.
    match submit("len", vec![0u8; 3 << 30].into()) {
        Err(Error::Value(why)) => assert!(
            why.contains("at most 2147483648 bytes, found at least 3221225"),
            "{why}"
        ),
        other => panic!("expected a refusal, found {other:?}"),
    }

    set_max_message_size(1000);

    for argument in [vec![0u8; 1000].into(), Value::from_iter(0..200)] {
        match submit("len", argument) {
            Err(Error::Value(why)) => {
                assert!(
                    why.contains("at most 1000 bytes, found at least 1"),
                    "{why}"
                );
            }
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
    // As results: bytes, many small items, and a pickle.
    for (name, expression) in [
        ("bytes", Value::from(1000)),
        ("eval", "list(range(200))".into()),
        (
            "eval",
            "[__import__('datetime').date(1, 1, 1), bytes(1000)]".into(),
        ),
    ] {
        match submit(name, expression) {
            Err(Error::Python(error)) => {
                assert_eq!(error.kind, "_pickle.PicklingError");
                let limit = "expected a message of at most 1000 bytes, found at least 1";
                assert!(error.message.contains(limit), "{error}");
            }
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
    assert_eq!(submit("len", vec![0u8; 900].into()), Ok(900.into()));
    assert_eq!(submit("bytes", 900.into()), Ok(vec![0u8; 900].into()));
    drop(pool);
}
