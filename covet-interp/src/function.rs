//! A Python callable that any interpreter can make for itself.
//!
//! A function is sent by *reference* (module and qualified name: each interpreter imports it once) or by *value*
//! (the bytes that cloudpickle makes of it: each interpreter loads them once). Either way it gets a number that no
//! other function of this process ever has, under which the interpreters keep what they made of it.

use crate::ffi;
use crate::object::{Object, Raised};
use crate::support::Support;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// A Python callable, named or pickled, free of any interpreter.
#[derive(Debug)]
pub struct Function {
    number: u64,
    body: Body,
    /// Nanoseconds that a call takes, smoothed; 0 while unknown.
    cost: AtomicU64,
}

#[derive(Debug)]
enum Body {
    Reference { module: String, name: String },
    Value(Vec<u8>),
}

impl Function {
    fn new(body: Body) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: the number only has to be unique.
        Arc::new(Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            body,
            cost: AtomicU64::new(0),
        })
    }

    /// The function that `from module import name` finds in every interpreter; `name` may be dotted.
    pub fn reference(module: &str, name: &str) -> Arc<Self> {
        Self::new(Body::Reference {
            module: module.to_owned(),
            name: name.to_owned(),
        })
    }

    /// The function that these bytes (from `cloudpickle.dumps`) hold.
    ///
    /// The same bytes give the same function while something holds on to it, so that an interpreter loads it once.
    pub fn value(pickled: &[u8]) -> Arc<Self> {
        type Known = Mutex<HashMap<Vec<u8>, Arc<Function>>>;
        static KNOWN: OnceLock<Known> = OnceLock::new();
        let mut known = KNOWN
            .get_or_init(Known::default)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = known.get(pickled) {
            return Arc::clone(function);
        }
        if known.len() >= MOST_KEPT {
            known.clear();
        }
        let function = Self::new(Body::Value(pickled.to_vec()));
        known.insert(pickled.to_vec(), Arc::clone(&function));
        function
    }

    /// Whether every interpreter imports it by its name.
    pub fn is_reference(&self) -> bool {
        matches!(self.body, Body::Reference { .. })
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

    fn resolve(&self, support: &Support) -> Result<Object, Raised> {
        // SAFETY: a `Support` is only used attached to its interpreter.
        unsafe {
            match &self.body {
                Body::Reference { module, name } => support
                    .part(c"resolve")?
                    .call(&[&Object::string(module)?, &Object::string(name)?]),
                Body::Value(pickled) => support.part(c"loads")?.call(&[&Object::bytes(pickled)?]),
            }
        }
    }
}

/// How many functions an interpreter keeps before it forgets them all and starts again.
const MOST_KEPT: usize = 1024;

/// What one interpreter made of the functions it was sent.
#[derive(Debug, Default)]
pub(crate) struct Functions {
    made: HashMap<u64, Object, NumberHasher>,
    latest: Option<(u64, Object)>,
}

impl Functions {
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
            .is_none_or(|(number, _)| *number != function.number)
        {
            let object = self.find(function, support)?;
            self.latest = Some((function.number, object));
        }
        match &self.latest {
            Some((_, object)) => Ok(object),
            None => Err(Raised),
        }
    }

    fn find(&mut self, function: &Function, support: &Support) -> Result<Object, Raised> {
        if let Some(object) = self.made.get(&function.number) {
            return Ok(object.another());
        }
        let object = function.resolve(support)?;
        if self.made.len() >= MOST_KEPT {
            self.made.clear();
        }
        self.made.insert(function.number, object.another());
        Ok(object)
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
    /// changed.
    ///
    /// # Errors
    /// [`Raised`] with `PicklingError` when the callable cannot be sent.
    ///
    /// # Safety
    /// Attached to this interpreter; `callable` is alive.
    pub unsafe fn function(&self, callable: *mut ffi::PyObject) -> Result<Arc<Function>, Raised> {
        // SAFETY: attached and alive, as promised; `reference` returns None or a tuple of two `str`.
        unsafe {
            let callable = Object::borrowed(callable)?;
            let reference = self.part(c"reference")?.call(&[&callable])?;
            if reference.as_ptr() == ffi::Py_None() {
                let pickled = self.part(c"dumps")?.call(&[&callable])?;
                return Ok(Function::value(pickled.as_bytes().unwrap_or_default()));
            }
            let module = Object::borrowed(ffi::PyTuple_GetItem(reference.as_ptr(), 0))?;
            let name = Object::borrowed(ffi::PyTuple_GetItem(reference.as_ptr(), 1))?;
            Ok(Function::reference(&module.text(), &name.text()))
        }
    }
}
