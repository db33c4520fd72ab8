//! Values and messages, to and from the objects of an interpreter.
//!
//! Messages are mutated with fixed seeds. For a long run:
//! `COVET_FUZZ_ROUNDS=10000000 cargo test --release -p covet-interp --test interpreters mutated -- --nocapture`

use crate::common::{on_big_stack, pool, raised};
use covet_interp::ffi;
use covet_interp::raw::{Object, Raised, Support};
use covet_interp::{Error, Function, MAX_DEPTH, Message, MessageRef, Pool, Value};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Equal in type and value all the way down, sets in any order; floats as `same` says.
fn alike(a: &Value, b: &Value, same: fn(f64, f64) -> bool) -> bool {
    let all = |a: &[Value], b: &[Value]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b, same))
    };
    match (a, b) {
        (&Value::Float(a), &Value::Float(b)) => same(a, b),
        (&Value::Complex(a, b), &Value::Complex(c, d)) => same(a, c) && same(b, d),
        (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => all(a, b),
        (Value::Set(a), Value::Set(b)) | (Value::FrozenSet(a), Value::FrozenSet(b)) => {
            a.len() == b.len() && a.iter().all(|a| b.iter().any(|b| alike(a, b, same)))
        }
        (Value::Dict(a), Value::Dict(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((key, value), (k, v))| alike(key, k, same) && alike(value, v, same))
        }
        (a, b) => a == b,
    }
}

fn same_bits(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits()
}

fn same_text(a: f64, b: f64) -> bool {
    (a.is_nan() && b.is_nan()) || same_bits(a, b)
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i128>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::big_int(&bytes)),
        any::<u64>().prop_map(|bits| Value::Float(f64::from_bits(bits))),
        any::<[u64; 2]>().prop_map(|[a, b]| Value::Complex(f64::from_bits(a), f64::from_bits(b))),
        any::<String>().prop_map(Value::from),
        "[a-z]{0,300}".prop_map(Value::from),
        "[\u{80}-\u{ff}]{0,9}".prop_map(Value::from),
        "[\u{100}-\u{d7ff}]{0,9}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(Value::ByteArray),
    ]
}

/// Values that can be hashed, no two of them equal in Python.
fn keys() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::btree_set((any::<i32>(), "[a-c\u{e9}]{0,3}", 0..5), 0..6).prop_map(|set| {
        let mut texts = BTreeSet::new();
        set.into_iter()
            .map(|(number, text, kind)| match kind {
                0 if texts.insert(text.clone()) => Value::from(text),
                1 => Value::from((text, number)),
                2 => Value::FrozenSet(vec![Value::from((number, text))]),
                3 => Value::Float(f64::NAN),
                _ => Value::from((number, number, text)),
            })
            .collect()
    })
}

fn any_value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 60, 6, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items.clone().prop_map(Value::Tuple),
            items.prop_map(Value::List),
            keys().prop_map(Value::Set),
            keys().prop_map(Value::FrozenSet),
            (keys(), prop::collection::vec(inner, 6))
                .prop_map(|(keys, values)| Value::Dict(keys.into_iter().zip(values).collect())),
        ]
    })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

#[test]
fn any_value_becomes_an_object_and_the_same_value_again() {
    let pool = pool();
    let copy = Function::reference("copy", "copy");
    on_big_stack(|| {
        proptest!(config(), |(value in any_value())| {
            let back = pool.call(&copy, std::slice::from_ref(&value)).unwrap();
            prop_assert!(alike(&back, &value, same_bits), "{} came back as {}", value, back);
        });
    });
}

#[test]
fn a_value_prints_the_expression_that_makes_it() {
    let pool = pool();
    let eval = Function::reference("builtins", "eval");
    on_big_stack(|| {
        proptest!(config(), |(value in any_value())| {
            let back = pool.call(&eval, &[value.to_string().into()]).unwrap();
            prop_assert!(alike(&back, &value, same_text), "{} is {}", value, back);
        });
    });
}

#[test]
fn an_object_of_another_type_crosses_rust_as_a_pickle() {
    let pool = pool();
    let date = eval(&pool, "__import__('datetime').date(2020, 1, 2)").unwrap();
    assert!(matches!(date, Value::Pickle { .. }), "{date}");
    let argument = Value::List(vec![date.clone(), date]);
    let text = pool.submit(Function::reference("builtins", "str"), &[argument]);
    assert_eq!(
        text.unwrap().result(),
        Ok("[datetime.date(2020, 1, 2), datetime.date(2020, 1, 2)]".into())
    );
}

#[test]
fn a_result_that_is_no_tree_is_an_error_of_its_own() {
    let pool = pool();
    for (expression, reason) in [
        ("(lambda x: x.append(x) or x)([])", "holds itself"),
        (
            "__import__('functools').reduce(lambda x, _: [x, x], range(60), [])",
            "repeats its parts",
        ),
        (
            "__import__('functools').reduce(lambda x, _: [x], range(500), [])",
            "at most 128 levels of nesting",
        ),
    ] {
        match eval(&pool, expression) {
            Err(Error::Value(why)) => assert!(why.contains(reason), "{why}"),
            other => panic!("expected a refusal, found {other:?}"),
        }
    }
    let too_deep =
        format!("__import__('functools').reduce(lambda x, _: [x], range({MAX_DEPTH}), [])");
    let error = raised(eval(&pool, &too_deep));
    assert_eq!(error.kind, "_pickle.PicklingError");
    assert!(
        error.message.contains("at most 1000 levels of nesting"),
        "{error}"
    );
    assert_eq!(eval(&pool, "1 + 1"), Ok(2.into()));
}

#[test]
fn what_is_nested_a_million_deep_is_refused_both_ways() {
    let pool = pool();
    let mut value = Value::None;
    for _ in 0..1_000_000 {
        value = Value::List(vec![value]);
    }
    let refused = pool.submit(
        Function::reference("builtins", "repr"),
        std::slice::from_ref(&value),
    );
    match refused.and_then(|task| task.result()) {
        Err(Error::Value(why)) => assert!(why.contains("at most 128 levels"), "{why}"),
        other => panic!("expected a refusal, found {:?}", other.map(|_| ())),
    }
    // Level by level: dropped as a whole it needs as many stack frames.
    while let Value::List(items) = &mut value {
        let inner = items.pop().unwrap();
        value = inner;
    }
    let deep = "__import__('functools').reduce(lambda x, _: [x], range(10**6), [])";
    let error = raised(eval(&pool, deep));
    assert!(
        error.message.contains("at most 1000 levels of nesting"),
        "{error}"
    );
    assert_eq!(eval(&pool, "6 * 7"), Ok(42.into()));
}

fn eval(pool: &Pool, expression: &str) -> Result<Value, Error> {
    pool.submit(
        Function::reference("builtins", "eval"),
        &[expression.into()],
    )?
    .result()
}

/// Messages of objects that use every tag, share parts and hold themselves.
const OBJECTS: &str = "
shared, cycle, large = (1, frozenset({2})), [3], 'large' * 100
cycle.append((cycle, {'k': cycle}))
import array, sys
view, buffer = memoryview(b'view'), sys.modules['_covet_support'].Buffer(b'buffer')
objects = [
    [None, True, False, 1, -1, 1 << 200, 0.5, 1j, 'a', '\\xe9', '\\u20ac' * 3, '\\U0001f600', b'b', bytearray(b'c')],
    {1: [2, (3, {4: 5})], 'a': {'b', (6, 7)}, (8, (9,)): frozenset({10, frozenset()})},
    [shared, shared, {shared: shared}, {shared}, frozenset({shared})],
    cycle, [[cycle], cycle], [large, large, {large: large}, large.encode(), bytearray(300)],
    [[[[[[]]]]], ((((),),),), {'a': {'b': {'c': {}}}}], list(range(300)), {str(i): i for i in range(300)},
    [part for part in ([0], {1}, {2: 3}) for _ in range(3)],
    ['a' * (1 << 16), '\\u20ac' * (1 << 15), '\\U0001f600' * (1 << 14), b'b' * (1 << 16)],
    [2 * [view], {'k': view}, memoryview(array.array('d', range(6))).cast('B').cast('d', (2, 3)), view[::2], view[:0]],
    [2 * [buffer], {buffer}, memoryview(buffer), buffer[1:2], sys.modules['_covet_support'].Buffer(b'')],
]
";

/// A support that never unpickles (pickles are code, and trusted), and the messages of `OBJECTS`. Attached.
fn support_and_messages() -> (Support, Vec<Message>) {
    // SAFETY: the caller is attached as long as it uses what it gets; every object is alive where it is used.
    unsafe {
        Support::load().unwrap();
        let refuse = "def refuse(*_): raise ValueError";
        let refuse = Object::module_from_source(c"no_pickles", refuse).unwrap();
        let refuse = refuse.attribute(c"refuse").unwrap();
        let modules = ffi::PyImport_GetModuleDict();
        let module = ffi::PyDict_GetItemString(modules, c"_covet_support".as_ptr());
        let module = Object::borrowed(module).unwrap();
        let before = module.attribute(c"loads").unwrap();
        let set = |value: &Object| {
            ffi::PyObject_SetAttrString(module.as_ptr(), c"loads".as_ptr(), value.as_ptr())
        };
        // No Python code runs until it is back: where the interpreter is shared, nobody else sees it.
        set(&refuse);
        let support = Support::load().unwrap();
        set(&before);
        let module = Object::module_from_source(c"objects", OBJECTS).unwrap();
        let objects = module.attribute(c"objects").unwrap();
        let messages = (0..ffi::PyList_Size(objects.as_ptr()))
            .map(|i| {
                let mut message = Message::new();
                support
                    .encode(ffi::PyList_GetItem(objects.as_ptr(), i), &mut message)
                    .unwrap();
                message
            })
            .collect();
        (support, messages)
    }
}

#[test]
fn a_mutated_message_is_read_or_refused() {
    let rounds = std::env::var("COVET_FUZZ_ROUNDS").map_or(20_000, |n| n.parse().unwrap());
    let pool = pool();
    on_big_stack(|| {
        let _here = pool.enter().unwrap();
        let (support, messages) = support_and_messages();
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let (mut read, mut refused) = (0, 0);
        for _ in 0..rounds {
            let message = messages[random.below(messages.len())].by_ref();
            let mut bytes = message.bytes().to_vec();
            for _ in 0..=random.below(3) {
                mutate(&mut bytes, &messages, &mut random);
            }
            let message = message.with_bytes(&bytes);
            let _ = Value::read(message);
            // SAFETY: attached; the object dies before the guard.
            unsafe {
                match support.decode(message) {
                    Ok(object) => {
                        read += 1;
                        let mut again = Message::new();
                        if let Err(Raised) = support.encode(object.as_ptr(), &mut again) {
                            ffi::PyErr_Clear();
                        }
                    }
                    Err(Raised) => {
                        refused += 1;
                        assert!(!ffi::PyErr_Occurred().is_null());
                        ffi::PyErr_Clear();
                    }
                }
            }
        }
        println!("{rounds} mutated messages: {read} read, {refused} refused");
        assert!(read > rounds / 20 && refused > rounds / 20);
    });
}

fn mutate(message: &mut Vec<u8>, others: &[Message], random: &mut Random) {
    let at = random.below(message.len().max(1)).min(message.len());
    let end = (at + random.below(9)).min(message.len());
    match random.below(7) {
        0 if at < message.len() => message[at] = random.next() as u8,
        1 if at < message.len() => message[at] ^= 1 << random.below(8),
        // A tag, a small number, or either with the highest bits.
        2 if at < message.len() => {
            message[at] = random.below(22) as u8 | (random.next() as u8 & 0b1100_0000)
        }
        3 => message.truncate(at),
        4 => drop(message.drain(at..end)),
        5 => {
            let piece = message[at..end].to_vec();
            let to = random.below(message.len() + 1);
            message.splice(to..to, piece);
        }
        _ => {
            let other = others[random.below(others.len())].by_ref().bytes();
            let from = random.below(other.len());
            let piece = &other[from..(from + random.below(20)).min(other.len())];
            message.splice(at..end, piece.iter().copied());
        }
    }
}

/// xorshift64* (Vigna, 2016).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[test]
fn an_unmutated_message_is_read_and_any_part_of_it_refused() {
    let pool = pool();
    on_big_stack(|| {
        let _here = pool.enter().unwrap();
        let (support, messages) = support_and_messages();
        for message in &messages {
            let message = message.by_ref();
            // SAFETY: attached; objects die before the guard.
            unsafe {
                assert!(support.decode(message).is_ok());
                for end in 0..message.bytes().len() {
                    let part = message.with_bytes(&message.bytes()[..end]);
                    assert!(support.decode(part).is_err());
                    ffi::PyErr_Clear();
                }
            }
        }
    });
}

#[test]
fn a_message_deeper_than_any_that_is_sent_is_refused() {
    let pool = pool();
    on_big_stack(|| {
        let _here = pool.enter().unwrap();
        let (support, _) = support_and_messages();
        // SAFETY: attached; objects die before the guard.
        unsafe {
            let message = |levels| {
                let mut message = Message::new();
                let list =
                    (0..levels).fold(Object::owned(ffi::PyList_New(0)).unwrap(), |inner, _| {
                        let outer = Object::owned(ffi::PyList_New(0)).unwrap();
                        ffi::PyList_Append(outer.as_ptr(), inner.as_ptr());
                        outer
                    });
                support
                    .encode(list.as_ptr(), &mut message)
                    .map(|()| message.by_ref().bytes().to_vec())
            };
            let (one, two) = (message(1).unwrap(), message(2).unwrap());
            // What one level adds lies before the rest.
            let level = two[1..1 + two.len() - one.len()].to_vec();
            let deep = |levels: usize| [&one[..1], &level.repeat(levels), &one[1..]].concat();
            let most = MAX_DEPTH - 2;
            assert_eq!(deep(most), message(most + 1).unwrap());
            let decode = |bytes: &[u8]| support.decode(MessageRef::default().with_bytes(bytes));
            assert!(decode(&deep(most)).is_ok());
            for levels in [most + 1, 1_000_000] {
                assert!(decode(&deep(levels)).is_err());
                ffi::PyErr_Clear();
                assert!(message(levels + 1).is_err());
                ffi::PyErr_Clear();
            }
        }
    });
}

/// Keys that were read lately are not made again; these are more than are kept, of every length that is, and a few that are alike.
#[test]
fn keys_of_records_stay_what_they_are() {
    let pool = pool();
    let echo = Function::reference("copy", "copy");
    let record = |n: i64| {
        let key = |i: i64| {
            "abcdefgh".repeat(6)[..(i % 48) as usize].to_owned() + &(i * n % 997).to_string()
        };
        let mut keys: Vec<_> = (0..40).map(key).collect();
        keys.extend(["", "\0", "\0\0", "é", "\u{e9}\u{e9}", "ü€"].map(String::from));
        keys.sort();
        keys.dedup();
        Value::Dict(
            (0..)
                .zip(keys)
                .map(|(i, key)| (key.into(), Value::Int(i)))
                .collect(),
        )
    };
    on_big_stack(|| {
        for n in (1..50).chain(1..50) {
            assert_eq!(pool.call(&echo, &[record(n)]), Ok(record(n)));
        }
    });
}
