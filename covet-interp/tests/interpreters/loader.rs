//! Extension modules in interpreters with a GIL of their own.

use crate::common::{on_big_stack, pool, raised, runtime};
use covet_interp::{Error, Function, Pool, Strategy, Value, Verdict, ffi};

fn exec(pool: &Pool, source: &str) -> Result<Value, covet_interp::Error> {
    pool.submit(Function::reference("builtins", "exec"), &[source.into()])
        .unwrap()
        .result()
}

/// Modules of the standard library with C parts. Before 3.14 several of them corrupt memory when their first load in the
/// process is in a subinterpreter.
const USES: &str = "
import datetime, decimal, json, re, hashlib, sqlite3, asyncio, zoneinfo, statistics, pickle, random, struct, zlib
assert datetime.datetime(2024, 2, 29) + datetime.timedelta(366) == datetime.datetime(2025, 3, 1)
assert decimal.Decimal('0.1') * 3 == decimal.Decimal('0.3')
assert hashlib.sha256(b'').hexdigest().startswith('e3b0c442')
assert sqlite3.connect(':memory:').execute('select 1 + 1').fetchone() == (2,)
assert zlib.decompress(zlib.compress(b'x' * 1000)) == b'x' * 1000
async def three(): return 3
assert asyncio.run(three()) == 3
";

#[test]
fn the_standard_library_works_in_all_interpreters_over_many_lives() {
    let runtime = runtime();
    for _life in 0..5 {
        let pool = Pool::builder().workers(2).build(&runtime).unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                pool.submit(Function::reference("builtins", "exec"), &[USES.into()])
                    .unwrap()
            })
            .collect();
        for task in tasks {
            assert_eq!(task.result(), Ok(Value::None));
        }
        pool.close();
        assert!(pool.wait_ended(None));
    }
}

#[test]
fn a_module_without_support_is_refused_by_name_and_the_pool_goes_on() {
    let pool = pool();
    if pool.decision().strategy != Strategy::Subinterpreters {
        assert_eq!(exec(&pool, "import faulthandler"), Ok(Value::None));
        return;
    }
    let source = "
import importlib.machinery, importlib.util
name = 'readline'
found = importlib.util.find_spec(name)
if found is None or found.origin in (None, 'built-in'):
    raise ImportError(name + ' cannot be loaded in an interpreter with a GIL of its own: not here at all')
import readline
";
    for _ in 0..3 {
        let error = raised(exec(&pool, source));
        assert_eq!(error.kind, "ImportError");
        assert!(
            error
                .message
                .contains("readline cannot be loaded in an interpreter with a GIL of its own"),
            "{error}"
        );
    }
    assert_eq!(exec(&pool, "import math"), Ok(Value::None));
}

#[test]
fn a_verdict_is_told_before_any_subinterpreter_loads_the_module() {
    let runtime = runtime();
    assert_eq!(runtime.import_verdict("json"), Ok(Verdict::Fits));
    assert!(runtime.import_verdict("asyncio.events").is_ok());
    match runtime.import_verdict("no_such_module") {
        Err(Error::Python(error)) => assert_eq!(error.kind, "ModuleNotFoundError"),
        other => panic!("expected an exception, found {other:?}"),
    }
    if !runtime.facts().unwrap().own_gil {
        return;
    }
    let imported = on_big_stack(|| {
        let runtime = crate::common::runtime();
        let _main = runtime.attach().unwrap();
        // SAFETY: attached; the new reference is given back, an exception cleared.
        unsafe {
            let module = ffi::PyImport_ImportModule(c"_curses".as_ptr());
            ffi::Py_XDECREF(module);
            ffi::PyErr_Clear();
            !module.is_null()
        }
    });
    match runtime.import_verdict("_curses") {
        Ok(Verdict::Refused(reason)) => {
            assert!(
                reason.contains("module _curses cannot be loaded"),
                "{reason}"
            );
            let refused = runtime.refused_modules();
            assert!(
                refused.contains(&("_curses".to_owned(), reason)),
                "{refused:?}"
            );
        }
        // A Python without curses, or with it built in.
        other => assert!(!imported || other == Ok(Verdict::Fits), "{other:?}"),
    }
}

#[test]
fn refused_loads_are_counted() {
    let pool = pool();
    let before = pool.stats().refused_imports;
    for load in 1..=3 {
        match exec(&pool, "import _testcapi") {
            Err(Error::Python(error)) if error.message.contains("cannot be loaded") => {
                assert!(pool.stats().refused_imports >= before + load);
            }
            // A Python without it, or one that lets every thread load it.
            _ => return,
        }
    }
}
