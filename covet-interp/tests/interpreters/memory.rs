//! Memory that messages refer to: shared, given back, and left in place when its interpreter ends.

use crate::common::{on_big_stack, pool, runtime};
use covet_interp::ffi;
use covet_interp::raw::{Object, Support};
use covet_interp::{Buffer, Function, Message, Pool, Task, Value, leaked_references};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

const LARGE: usize = 1 << 16;

fn same() -> Arc<Function> {
    Function::reference("copy", "copy")
}

/// What is leaked is counted for the whole process: tests that leak, or look, take turns.
fn leaks() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_buffer_is_the_same_memory_there_and_back() {
    let pool = pool();
    let buffer = Buffer::from(vec![7; LARGE]);
    let sent = [Value::from((buffer.clone(), buffer.clone()))];
    let called = on_big_stack(|| pool.call(&same(), &sent)).unwrap();
    let submitted = pool.submit(same(), &sent).unwrap().result().unwrap();
    for back in [called, submitted] {
        assert_eq!(back, sent[0]);
        for item in back.items() {
            assert_eq!(item.as_bytes().unwrap().as_ptr(), buffer.as_ptr());
        }
    }
}

#[test]
fn views_and_buffers_of_python_arrive_as_bytes_in_order() {
    let pool = pool();
    for (source, expected) in [
        ("memoryview(b'abcdef')", Value::from(&b"abcdef"[..])),
        ("memoryview(b'abcdef')[::-2]", (&b"fdb"[..]).into()),
        ("memoryview(bytearray())", (&b""[..]).into()),
        (
            "memoryview(b'abcdef').cast('B', (2, 3))",
            (&b"abcdef"[..]).into(),
        ),
        (
            "memoryview(__import__('sys').modules['_covet_support'].Buffer(b'abc'))",
            (&b"abc"[..]).into(),
        ),
        (
            "__import__('sys').modules['_covet_support'].Buffer(b'abc')",
            Buffer::from(b"abc".to_vec()).into(),
        ),
    ] {
        let task = Task::source(&format!("result = {source}"), &[]);
        let result = pool.submit_task(task).unwrap().result();
        assert_eq!(result, Ok(expected), "{source}");
    }
}

#[test]
fn large_values_cross_both_ways() {
    let pool = pool();
    for text in ["a", "\u{e9}", "\u{20ac}", "\u{1f600}"] {
        for size in [LARGE - 1, LARGE, 3 * LARGE] {
            let sent = [Value::from((
                text.repeat(size),
                text.repeat(size).into_bytes(),
            ))];
            let result = pool.submit(same(), &sent).unwrap().result();
            assert_eq!(result.as_ref(), Ok(&sent[0]));
            let called = on_big_stack(|| pool.call(&same(), &sent));
            assert_eq!(called.as_ref(), Ok(&sent[0]));
        }
    }
}

#[test]
fn a_buffer_lives_as_long_as_a_task_may_read_it() {
    let pool = pool();
    let sum = Function::reference("builtins", "sum");
    let tasks: Vec<_> = (0..100)
        .map(|i| {
            let buffer = Buffer::from(vec![i as u8; 1000]);
            pool.submit(Arc::clone(&sum), &[buffer.into()]).unwrap()
        })
        .collect();
    for (i, task) in tasks.iter().enumerate() {
        assert_eq!(task.result(), Ok((1000 * i as i64).into()));
    }
}

#[test]
fn a_value_that_is_refused_keeps_nothing_alive() {
    let pool = pool();
    on_big_stack(|| {
        let _here = pool.enter().unwrap();
        // SAFETY: attached; every object is alive where it is used, and dies before the guard.
        unsafe {
            let support = Support::load().unwrap();
            let source = "import threading\nlarge = b'x' * 100000\nvalue = [large, memoryview(large), threading.Lock()]";
            let module = Object::module_from_source(c"refused", source).unwrap();
            let (large, value) = (
                module.attribute(c"large").unwrap(),
                module.attribute(c"value").unwrap(),
            );
            let before = ffi::Py_REFCNT(large.as_ptr());
            let mut message = Message::new();
            assert!(support.encode(value.as_ptr(), &mut message).is_err());
            ffi::PyErr_Clear();
            assert!(!message.has_pins() && message.size() == 0);
            assert_eq!(ffi::Py_REFCNT(large.as_ptr()), before);
            support.encode(large.as_ptr(), &mut message).unwrap();
            assert!(message.has_pins() && message.size() >= 100_000);
            assert_eq!(ffi::Py_REFCNT(large.as_ptr()), before + 1);
            message.clear();
            assert_eq!(ffi::Py_REFCNT(large.as_ptr()), before);
        }
    });
}

/// Exports a buffer with these flags and returns dimensions, item size, and whether there are a format, a shape and strides.
unsafe fn exported(object: &Object, flags: i32) -> Option<(i32, isize, [bool; 3])> {
    // SAFETY: attached, as promised by the caller; the view is filled in when 0 is returned, and released.
    unsafe {
        let mut view = ffi::Py_buffer::new();
        if ffi::PyObject_GetBuffer(object.as_ptr(), &mut view, flags) < 0 {
            assert_ne!(ffi::PyErr_ExceptionMatches(ffi::PyExc_BufferError), 0);
            ffi::PyErr_Clear();
            return None;
        }
        let found = [
            !view.format.is_null(),
            !view.shape.is_null(),
            !view.strides.is_null(),
        ];
        assert_eq!((view.len, view.readonly), (48, 1));
        let described = (view.ndim, view.itemsize, found);
        ffi::PyBuffer_Release(&mut view);
        Some(described)
    }
}

#[test]
fn a_buffer_is_exported_as_its_consumer_asks() {
    let pool = pool();
    on_big_stack(|| {
        let _here = pool.enter().unwrap();
        // SAFETY: attached; objects die before the guard.
        unsafe {
            let support = Support::load().unwrap();
            let source =
                "view = memoryview(bytes(48)).cast('d', (2, 3))\nflat = memoryview(bytes(48))";
            let module = Object::module_from_source(c"views", source).unwrap();
            let arrive = |name| {
                let mut message = Message::new();
                let view = module.attribute(name).unwrap();
                support.encode(view.as_ptr(), &mut message).unwrap();
                let view = support.decode(&message).unwrap();
                view.attribute(c"obj").unwrap()
            };
            let (grid, flat) = (arrive(c"view"), arrive(c"flat"));
            let all = ffi::PyBUF_FULL_RO;
            assert_eq!(exported(&grid, all), Some((2, 8, [true, true, true])));
            assert_eq!(exported(&flat, all), Some((1, 1, [true, true, true])));
            let nd = ffi::PyBUF_ND;
            assert_eq!(exported(&grid, nd), Some((2, 8, [false, true, false])));
            let simple = ffi::PyBUF_SIMPLE;
            assert_eq!(exported(&grid, simple), Some((1, 8, [false, false, false])));
            let c = ffi::PyBUF_C_CONTIGUOUS;
            assert_eq!(exported(&grid, c), Some((2, 8, [false, true, true])));
            // One dimension is contiguous in both orders, two are not.
            let fortran = ffi::PyBUF_F_CONTIGUOUS;
            assert_eq!(exported(&flat, fortran), Some((1, 1, [false, true, true])));
            assert_eq!(exported(&grid, fortran), None);
            for object in [&grid, &flat] {
                assert_eq!(exported(object, ffi::PyBUF_WRITABLE), None);
            }
        }
    });
}

/// A pool with one worker.
fn one() -> Pool {
    Pool::builder().workers(1).build(&runtime()).unwrap()
}

fn end(pool: &Pool) {
    assert!(pool.shutdown(Duration::from_secs(50)));
    assert!(pool.wait_ended(Some(Instant::now() + Duration::from_secs(50))));
}

#[test]
fn a_large_result_is_read_after_its_interpreter_has_ended() {
    let _turn = leaks();
    let before = leaked_references();
    let pool = one();
    let make = |source: &str| pool.submit_task(Task::source(source, &[])).unwrap();
    let tasks = [
        make("result = b'x' * 100000"),
        make("result = ['\\u20ac' * 100000]"),
    ];
    end(&pool);
    assert_eq!(tasks[0].result(), Ok(vec![b'x'; 100_000].into()));
    assert_eq!(
        tasks[1].result(),
        Ok(Value::from_iter(["\u{20ac}".repeat(100_000)]))
    );
    drop(tasks);
    assert_eq!(leaked_references(), before);
}

#[test]
fn a_view_stays_readable_after_its_interpreter_has_ended() {
    let _turn = leaks();
    let before = leaked_references();
    let pool = one();
    let own = pool.decision().strategy == covet_interp::Strategy::Subinterpreters;
    let sizes = [1, 300, 1 << 20];
    let tasks = sizes.map(|size| {
        let source = format!("result = memoryview(bytearray(b'v' * {size}))");
        pool.submit_task(Task::source(&source, &[])).unwrap()
    });
    end(&pool);
    let kept = if own { sizes.len() } else { 0 };
    assert_eq!(leaked_references() - before, kept);
    // Other interpreters come and go over it.
    for _ in 0..2 {
        let other = one();
        for (task, size) in tasks.iter().zip(sizes) {
            assert_eq!(task.result(), Ok(vec![b'v'; size].into()));
            let again = other.submit(same(), &[Value::None]).unwrap();
            assert_eq!(again.result(), Ok(Value::None));
        }
        end(&other);
    }
    drop(tasks);
    assert_eq!(leaked_references() - before, kept);
}

#[test]
fn a_result_that_is_dropped_anywhere_is_given_back() {
    let pool = one();
    // The object says that it is gone, from inside its interpreter.
    let source = "
import weakref
class Memory(bytearray):
    pass
memory = Memory(100000)
gone.append(weakref.ref(memory))
result = memoryview(memory)
";
    let define = "import builtins; builtins.gone = []";
    let run = |source: &str| pool.submit_task(Task::source(source, &[])).unwrap();
    assert_eq!(run(define).result(), Ok(Value::None));
    let task = run(source);
    assert!(task.wait(None));
    // On a thread that knows no Python.
    std::thread::spawn(move || drop(task)).join().unwrap();
    let deadline = Instant::now() + Duration::from_secs(50);
    let is_gone = "import gc; gc.collect(); result = gone[0]() is None";
    while run(is_gone).result() != Ok(true.into()) {
        assert!(Instant::now() < deadline, "it is still there");
    }
}
