//! A Python callable that any interpreter can make for itself.
//!
//! A function is sent by *reference* (module and qualified name: each interpreter imports it once) or by *value*
//! (the bytes that cloudpickle makes of it: each interpreter loads them once). Either way it gets a number that no
//! other function of this process ever has, under which the interpreters keep what they made of it. What was sent by value
//! and holds something that can change is made anew for each task, so that no task sees what another did to it.

use crate::ffi;
use crate::fork::PerProcess;
use crate::object::{Object, Raised};
use crate::support::Support;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A Python callable, named or pickled, free of any interpreter.
#[derive(Debug)]
pub struct Function {
    number: u64,
    body: Body,
    /// Nanoseconds that a call takes, smoothed; 0 while unknown.
    cost: AtomicU64,
    /// Whether it needs a module that only main can load.
    only_in_main: AtomicBool,
}

#[derive(Debug)]
enum Body {
    Reference { module: String, name: String },
    Value { pickled: Arc<[u8]>, fixed: bool },
    Source(String),
    Code(Vec<u8>),
}

impl Function {
    fn new(body: Body) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: the number only has to be unique.
        Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            body,
            cost: AtomicU64::new(0),
            only_in_main: AtomicBool::new(false),
        })
    }

    /// The function that `from module import name` finds in every interpreter; `name` may be dotted.
    pub fn reference(module: &str, name: &str) -> Arc<Self> {
        Self::new(Body::Reference {
            module: module.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The function that these bytes (from `cloudpickle.dumps`) hold. `fixed` says that nothing in it can change, so that an
    /// interpreter may use what it made of it again; otherwise each task gets a new one.
    ///
    /// The same bytes give the same function while something holds on to it, so that an interpreter loads it once.
    pub fn value(pickled: &[u8], fixed: bool) -> Arc<Self> {
        static KNOWN: PerProcess<HashMap<Arc<[u8]>, Arc<Function>>> = PerProcess::new();
        let fixed = fixed && pickled.len() <= MOST_BYTES;
        let pickled: Arc<[u8]> = pickled.into();
        let make = |pickled: &Arc<[u8]>| {
            Self::new(Body::Value {
                pickled: Arc::clone(pickled),
                fixed,
            })
        };
        if !fixed {
            return make(&pickled);
        }
        let mut known = KNOWN.lock();
        if let Some(function) = known.get(&pickled) {
            return Arc::clone(function);
        }
        if known.len() >= MOST_KEPT {
            known.clear();
        }
        let function = make(&pickled);
        known.insert(pickled, Arc::clone(&function));
        function
    }

    /// Source text as a function. Each call runs it in a namespace of its own, where `args` is the tuple of arguments; what it
    /// leaves in the variable `result` is the result.
    ///
    /// An interpreter compiles it once. Text that does not compile raises `SyntaxError` in each task.
    pub fn source(text: &str) -> Arc<Self> {
        Self::new(Body::Source(text.to_owned()))
    }

    /// As [`Function::source`], for a code object that `marshal.dumps` wrote in this version of Python: other versions read it
    /// as nonsense. It is trusted: `marshal` is not safe against bytes made to harm.
    pub fn code(marshalled: &[u8]) -> Arc<Self> {
        Self::new(Body::Code(marshalled.to_vec()))
    }

    /// Whether an interpreter may use what it made of it for another task.
    pub fn is_fixed(&self) -> bool {
        !matches!(self.body, Body::Value { fixed: false, .. })
    }

    /// Whether every interpreter imports it by its name.
    pub fn is_reference(&self) -> bool {
        matches!(self.body, Body::Reference { .. })
    }

    /// Whether a subinterpreter was refused a module that it needs, so that it runs by the [fallback](crate::Builder::fallback).
    #[inline]
    pub fn is_only_in_main(&self) -> bool {
        // Relaxed: whoever does not see it yet finds out.
        self.only_in_main.load(Ordering::Relaxed)
    }

    pub(crate) fn set_only_in_main(&self) {
        self.only_in_main.store(true, Ordering::Relaxed);
    }

    /// How long a call takes, smoothed over those measured; `None` while none was.
    pub fn cost(&self) -> Option<Duration> {
        // Relaxed: an estimate; no other memory depends on it.
        match self.cost.load(Ordering::Relaxed) {
            0 => None,
            nanoseconds => Some(Duration::from_nanos(nanoseconds)),
        }
    }

    /// Learns from a call that took `time`: upwards at once, downwards slowly.
    pub(crate) fn took(&self, time: Duration) {
        let new = (time.as_nanos() as u64).max(1);
        let old = self.cost.load(Ordering::Relaxed);
        self.cost.store(
            if old == 0 {
                new
            } else {
                new.max(old - old / 4)
            },
            Ordering::Relaxed,
        );
    }

    /// The object of the attached interpreter; source text and code run in `globals`, or each time in new ones.
    pub(crate) fn resolve(
        &self,
        support: &Support,
        globals: Option<&Object>,
    ) -> Result<Object, Raised> {
        // SAFETY: a `Support` is only used attached to its interpreter.
        unsafe {
            match &self.body {
                Body::Reference { module, name } => support
                    .part(c"resolve")?
                    .call(&[&Object::string(module)?, &Object::string(name)?]),
                Body::Value { pickled, .. } => {
                    support.part(c"loads")?.call(&[&Object::bytes(pickled)?])
                }
                Body::Source(text) => run_in(
                    &support.part(c"from_source")?,
                    Object::string(text)?,
                    globals,
                ),
                Body::Code(marshalled) => run_in(
                    &support.part(c"from_marshal")?,
                    Object::bytes(marshalled)?,
                    globals,
                ),
            }
        }
    }
}

/// Has `make` (of support.py) make a function of `code`.
fn run_in(make: &Object, code: Object, globals: Option<&Object>) -> Result<Object, Raised> {
    match globals {
        Some(globals) => make.call(&[&code, globals]),
        None => make.call(&[&code]),
    }
}

/// What a person would call it.
impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.body {
            Body::Reference { module, name } => write!(f, "{module}.{name}"),
            Body::Value { .. } => f.write_str("a function sent by value"),
            Body::Source(text) => {
                let line = text.trim().lines().next().unwrap_or_default();
                write!(f, "source text that begins with {line:?}")
            }
            Body::Code(_) => f.write_str("a code object"),
        }
    }
}

/// How many functions are kept before all are forgotten.
const MOST_KEPT: usize = 256;
/// Functions sent by value with more bytes than this are not kept: they carry data.
const MOST_BYTES: usize = 64 << 10;

/// What one interpreter made of the functions it was sent.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    /// Where source text and code run, if not each time in a namespace of its own.
    globals: Option<Object>,
    made: HashMap<u64, Object, NumberHasher>,
    latest: Option<Latest>,
}

#[derive(Debug)]
struct Latest {
    number: u64,
    fixed: bool,
    object: Object,
}

impl Functions {
    pub(crate) fn new(globals: Option<Object>) -> Self {
        Self {
            globals,
            ..Self::default()
        }
    }

    /// The object of `function` in the attached interpreter.
    #[inline]
    pub(crate) fn get(
        &mut self,
        function: &Function,
        support: &Support,
    ) -> Result<&Object, Raised> {
        if self
            .latest
            .as_ref()
            .is_none_or(|latest| latest.number != function.number)
        {
            let object = self.find(function, support)?;
            self.latest = Some(Latest {
                number: function.number,
                fixed: function.is_fixed(),
                object,
            });
        }
        match &self.latest {
            Some(latest) => Ok(&latest.object),
            None => Err(Raised),
        }
    }

    /// Where source text and code run, if not each time in a namespace of its own.
    pub(crate) fn globals(&self) -> Option<&Object> {
        self.globals.as_ref()
    }

    fn find(&mut self, function: &Function, support: &Support) -> Result<Object, Raised> {
        if let Some(object) = self.made.get(&function.number) {
            return Ok(object.another());
        }
        let object = function.resolve(support, self.globals.as_ref())?;
        if function.is_fixed() {
            if self.made.len() >= MOST_KEPT {
                self.made.clear();
            }
            self.made.insert(function.number, object.another());
        }
        Ok(object)
    }

    /// A task is over: the next one gets a new object of a function that is not fixed.
    #[inline]
    pub(crate) fn end_task(&mut self) {
        if self.latest.as_ref().is_some_and(|latest| !latest.fixed) {
            self.latest = None;
        }
    }
}

/// The numbers are already spread: they count up.
type NumberHasher = std::hash::BuildHasherDefault<Spread>;

#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl std::hash::Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4).
        self.0 = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

impl Support {
    /// The [`Function`] that stands for a callable of this interpreter: by reference if every interpreter can import
    /// it, else by value. Pickles each time in the second case, since what a closure or `__main__` holds may have
    /// changed. `fixed` is for [`Function::value`].
    ///
    /// # Errors
    /// [`Raised`] with `PicklingError` when the callable cannot be sent.
    ///
    /// # Safety
    /// Attached to this interpreter; `callable` is alive.
    pub unsafe fn function(
        &self,
        callable: *mut ffi::PyObject,
        fixed: bool,
    ) -> Result<Arc<Function>, Raised> {
        // SAFETY: attached and alive, as promised; `reference` returns None or a tuple of two `str`.
        unsafe {
            let callable = Object::borrowed(callable)?;
            let reference = self.part(c"reference")?.call(&[&callable])?;
            if reference.as_ptr() == ffi::Py_None() {
                let pickled = self.part(c"dump")?.call(&[&callable])?;
                return Ok(Function::value(
                    pickled.as_bytes().unwrap_or_default(),
                    fixed,
                ));
            }
            let module = Object::borrowed(ffi::PyTuple_GetItem(reference.as_ptr(), 0))?;
            let name = Object::borrowed(ffi::PyTuple_GetItem(reference.as_ptr(), 1))?;
            Ok(Function::reference(&module.text(), &name.text()))
        }
    }
}
