//! Values of Rust that stand for objects: here for each `SimpleNamespace` with a `number`.

use crate::common::{pool, raised};
use covet_interp::raw::{Native, NativeType, Object, Raised, Support};
use covet_interp::{Pool, Task, Value, ffi};
use std::any::Any;
use std::ffi::CStr;
use std::sync::Arc;

static SPACES: NativeType = NativeType { is, share };

/// What such an object stands for.
#[derive(Debug)]
struct Number(i64);

impl Native for Number {
    fn size(&self) -> usize {
        size_of::<i64>()
    }

    fn type_name(&self) -> &str {
        "types.SimpleNamespace"
    }

    unsafe fn object(self: Arc<Self>, _: &Support) -> Result<Object, Raised> {
        // SAFETY: attached, as the codec promises; the result of each call is a new reference.
        unsafe {
            let made = Object::import(c"types")?
                .attribute(c"SimpleNamespace")?
                .call(&[])?;
            let number = Object::owned(ffi::PyLong_FromLongLong(self.0))?;
            match ffi::PyObject_SetAttrString(made.as_ptr(), c"number".as_ptr(), number.as_ptr()) {
                0 => Ok(made),
                _ => Err(Raised),
            }
        }
    }
}

unsafe fn is(kind: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: alive; every type has a name.
    unsafe { CStr::from_ptr((*kind).tp_name) == c"types.SimpleNamespace" }
}

/// One without a number is pickled; one whose number is no int raises.
unsafe fn share(
    object: *mut ffi::PyObject,
    _: &Support,
) -> Result<Option<Arc<dyn Native>>, Raised> {
    // SAFETY: attached and alive, as the codec promises.
    unsafe {
        let number = Object::borrowed(object)?.attribute(c"number");
        let Ok(number) = number else {
            ffi::PyErr_Clear();
            return Ok(None);
        };
        let number = ffi::PyLong_AsLongLong(number.as_ptr());
        if number == -1 && !ffi::PyErr_Occurred().is_null() {
            return Err(Raised);
        }
        Ok(Some(Arc::new(Number(number))))
    }
}

/// The number of a value that stands for one.
fn number(value: &Value) -> Option<i64> {
    let Value::Native(value) = value else {
        return None;
    };
    let value: Arc<dyn Any + Send + Sync> = value.clone();
    Some(value.downcast::<Number>().ok()?.0)
}

/// A pool whose interpreters send such objects so.
fn telling_pool() -> Pool {
    SPACES.register();
    SPACES.register();
    pool()
}

fn run(pool: &Pool, source: &str, arguments: &[Value]) -> Result<Value, covet_interp::Error> {
    pool.submit_task(Task::source(source, arguments))?.result()
}

const MAKE: &str = "from types import SimpleNamespace as N\n";

#[test]
fn an_object_crosses_as_the_value_that_it_stands_for() {
    let pool = telling_pool();
    let found = run(&pool, &format!("{MAKE}result = N(number=7)"), &[]).unwrap();
    assert_eq!(number(&found), Some(7));
    let read = "result = [(type(n).__name__, n.number) for n in args]";
    let other = Value::Native(Arc::new(Number(8)));
    assert_eq!(
        run(&pool, read, &[found.clone(), other]).unwrap(),
        Value::from_iter([("SimpleNamespace", 7), ("SimpleNamespace", 8)])
    );
    assert_eq!(found.to_string(), "<types.SimpleNamespace object>");
}

#[test]
fn inside_a_value_it_keeps_its_identity() {
    let pool = telling_pool();
    let twice =
        format!("{MAKE}n = N(number=1)\nresult = {{'a': [n, n], 'b': n, 'c': N(number=1)}}");
    let value = run(&pool, &twice, &[]).unwrap();
    let list = value.get("a").unwrap().items();
    assert_eq!(
        list.iter().map(number).collect::<Vec<_>>(),
        [Some(1), Some(1)]
    );
    assert_eq!(list[0], list[1]);
    assert_eq!(value.get("b"), Some(&list[0]));
    assert_ne!(value.get("c"), Some(&list[0]));
}

#[test]
fn one_that_stands_for_none_is_pickled_with_all_around_it() {
    let pool = telling_pool();
    let found = run(
        &pool,
        &format!("{MAKE}result = [N(number=1), N(other=2)]"),
        &[],
    )
    .unwrap();
    assert!(matches!(found, Value::Pickle { .. }), "{found}");
    let read = "result = [vars(n) for n in args[0]]";
    let numbers = run(&pool, read, &[found]).unwrap();
    assert_eq!(numbers.to_string(), "[{'number': 1}, {'other': 2}]");
}

#[test]
fn what_asking_for_the_value_raises_is_raised() {
    let pool = telling_pool();
    let error = raised(run(
        &pool,
        &format!("{MAKE}result = N(number='seven')"),
        &[],
    ));
    assert_eq!(error.kind, "TypeError", "{error}");
}
