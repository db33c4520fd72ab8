//! The functions that this interpreter sent before, so that sending one again costs next to nothing.
//!
//! A function that every interpreter can import is known by its address, for as long as its module gives it under its name:
//! the strong reference kept here keeps the address its own. One that travels by value is pickled anew for each call, unless it can be *watched*: everything that
//! went into its pickle is looked at again (`_watch.py` says where), and if each place still holds the very object that
//! was there, the pickle still holds.

use covet_interp::raw::{Object, Raised, Support};
use covet_interp::{Function, ffi};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many functions are remembered before all are forgotten.
const MOST: usize = 256;

#[derive(Default)]
pub(crate) struct Functions {
    known: Mutex<HashMap<usize, Arc<Known>>>,
}

struct Known {
    callable: Object,
    function: Arc<Function>,
    /// What must not have changed.
    places: Vec<Place>,
}

// SAFETY: it lies in the module state of one interpreter: only threads attached to that interpreter reach it, which is
// what its references ask for.
unsafe impl Send for Known {}
// SAFETY: as above; nothing in it changes.
unsafe impl Sync for Known {}

/// Somewhere that a pickled function was read from, and what was there.
enum Place {
    /// The parts of a Python function; its attributes, of which it had none.
    Function {
        function: Object,
        parts: [Option<Object>; 4],
        attributes: Object,
    },
    Cell {
        cell: Object,
        contents: Option<Object>,
    },
    Global {
        globals: Object,
        name: Object,
        value: Option<Object>,
    },
}

impl Functions {
    /// The function that stands for `callable`.
    ///
    /// # Errors
    /// [`Raised`] with `PicklingError` when it cannot be sent.
    ///
    /// # Safety
    /// Attached to the interpreter of `support`; `callable` is alive; `watch` is the module `covet_py._watch`.
    #[inline]
    pub(crate) unsafe fn get(
        &self,
        callable: *mut ffi::PyObject,
        support: &Support,
        watch: &Object,
    ) -> Result<Arc<Function>, Raised> {
        let known = self
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&(callable as usize))
            .cloned();
        if let Some(known) = known
            // SAFETY: attached, as promised.
            && known.places.iter().all(|place| unsafe { place.holds() })
        {
            return Ok(Arc::clone(&known.function));
        }
        // SAFETY: as promised by the caller.
        unsafe { self.learn(callable, support, watch) }
    }

    #[cold]
    unsafe fn learn(
        &self,
        callable: *mut ffi::PyObject,
        support: &Support,
        watch: &Object,
    ) -> Result<Arc<Function>, Raised> {
        // SAFETY: attached and alive, as promised by the caller.
        unsafe {
            let callable = Object::borrowed(callable)?;
            // Looked at before it is pickled: a change in between is found later.
            let found = watch.attribute(c"places")?.call(&[&callable])?;
            let watchable = found.as_ptr() != ffi::Py_None();
            let function = support.function(callable.as_ptr(), watchable)?;
            let places = if function.is_reference() {
                Place::of_name(&callable).into_iter().collect()
            } else if !function.is_fixed() {
                return Ok(function);
            } else {
                Place::read_all(&found)?
            };
            let address = callable.as_ptr() as usize;
            let learnt = Arc::new(Known {
                callable,
                function: Arc::clone(&function),
                places,
            });
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            let forgotten = if known.len() >= MOST {
                std::mem::take(&mut *known)
            } else {
                HashMap::new()
            };
            let before = known.insert(address, learnt);
            drop(known);
            // Not under the lock: the end of an object may run Python code that comes back here.
            drop((forgotten, before));
            Ok(function)
        }
    }

    /// Every reference held, for the garbage collector. Where the lock is taken there are none: they count as
    /// references from outside then, which is safe.
    pub(crate) fn references(&self) -> Vec<*mut ffi::PyObject> {
        let Ok(known) = self.known.try_lock() else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for known in known.values() {
            all.push(known.callable.as_ptr());
            for place in &known.places {
                all.extend(place.references().map(Object::as_ptr));
            }
        }
        all
    }
}

impl Place {
    /// Where the name of an importable callable stands: its module's globals, unless it is part of a class.
    fn of_name(callable: &Object) -> Option<Self> {
        let look = || {
            let name = callable.attribute(c"__qualname__")?;
            let module = callable.attribute(c"__module__")?;
            // SAFETY: attached, because the callable is at hand; the dict is borrowed from a module that is alive.
            let globals = unsafe {
                let module = Object::owned(ffi::PyImport_GetModule(module.as_ptr()))?;
                if ffi::PyModule_Check(module.as_ptr()) == 0 {
                    return Err(Raised);
                }
                Object::borrowed(ffi::PyModule_GetDict(module.as_ptr()))?
            };
            Ok((globals, name))
        };
        match look() {
            Ok((_, name)) if name.text().contains('.') => None,
            Ok((globals, name)) => Some(Self::Global {
                globals,
                name,
                value: Some(callable.another()),
            }),
            Err(Raised) => {
                // SAFETY: attached.
                unsafe { ffi::PyErr_Clear() };
                None
            }
        }
    }

    /// What `_watch.places` found.
    ///
    /// # Safety
    /// Attached.
    unsafe fn read_all(found: &Object) -> Result<Vec<Self>, Raised> {
        // SAFETY: attached. `places` returns three lists of tuples of the lengths read here.
        unsafe {
            let mut all = Vec::new();
            for entry in items(&item(found, 0)?)? {
                let part = |i| -> Result<Option<Object>, Raised> {
                    let part = item(&entry, i)?;
                    Ok((part.as_ptr() != ffi::Py_None()).then_some(part))
                };
                all.push(Self::Function {
                    function: item(&entry, 0)?,
                    parts: [part(1)?, part(2)?, part(3)?, part(4)?],
                    attributes: item(&entry, 5)?,
                });
            }
            for entry in items(&item(found, 1)?)? {
                let contents = items(&item(&entry, 1)?)?.pop();
                all.push(Self::Cell {
                    cell: item(&entry, 0)?,
                    contents,
                });
            }
            for entry in items(&item(found, 2)?)? {
                let value = items(&item(&entry, 2)?)?.pop();
                all.push(Self::Global {
                    globals: item(&entry, 0)?,
                    name: item(&entry, 1)?,
                    value,
                });
            }
            Ok(all)
        }
    }

    /// Whether the same objects are still there.
    ///
    /// # Safety
    /// Attached.
    unsafe fn holds(&self) -> bool {
        let same = |expected: &Option<Object>, found: *mut ffi::PyObject| {
            expected
                .as_ref()
                .map_or(std::ptr::null_mut(), Object::as_ptr)
                == found
        };
        // SAFETY: attached; the objects are of the types that the C functions want, as `_watch.py` made sure. What
        // cell_contents and PyDict_GetItemRef return is given back; it is only compared.
        unsafe {
            match self {
                Self::Function {
                    function,
                    parts: [code, defaults, keyword_defaults, closure],
                    attributes,
                } => {
                    let function = function.as_ptr();
                    same(code, ffi::PyFunction_GetCode(function))
                        && same(defaults, ffi::PyFunction_GetDefaults(function))
                        && same(keyword_defaults, ffi::PyFunction_GetKwDefaults(function))
                        && same(closure, ffi::PyFunction_GetClosure(function))
                        && ffi::PyDict_Size(attributes.as_ptr()) == 0
                }
                Self::Cell { cell, contents } => {
                    let found = ffi::cell_contents(cell.as_ptr());
                    ffi::Py_XDECREF(found);
                    same(contents, found)
                }
                Self::Global {
                    globals,
                    name,
                    value,
                } => {
                    let mut found = std::ptr::null_mut();
                    if ffi::compat::PyDict_GetItemRef(globals.as_ptr(), name.as_ptr(), &mut found)
                        < 0
                    {
                        ffi::PyErr_Clear();
                        return false;
                    }
                    ffi::Py_XDECREF(found);
                    same(value, found)
                }
            }
        }
    }

    fn references(&self) -> impl Iterator<Item = &Object> {
        let all: [Option<&Object>; 6] = match self {
            Self::Function {
                function,
                parts: [a, b, c, d],
                attributes,
            } => [
                Some(function),
                a.as_ref(),
                b.as_ref(),
                c.as_ref(),
                d.as_ref(),
                Some(attributes),
            ],
            Self::Cell { cell, contents } => {
                [Some(cell), contents.as_ref(), None, None, None, None]
            }
            Self::Global {
                globals,
                name,
                value,
            } => [Some(globals), Some(name), value.as_ref(), None, None, None],
        };
        all.into_iter().flatten()
    }
}

/// Item `i` of a tuple.
unsafe fn item(tuple: &Object, i: isize) -> Result<Object, Raised> {
    // SAFETY: attached; PyTuple_GetItem checks type and index.
    unsafe { Object::borrowed(ffi::PyTuple_GetItem(tuple.as_ptr(), i)) }
}

/// The items of a list or a tuple.
unsafe fn items(sequence: &Object) -> Result<Vec<Object>, Raised> {
    // SAFETY: attached; the tuple is owned here, and so are the references to its items.
    unsafe {
        let tuple = Object::owned(ffi::PySequence_Tuple(sequence.as_ptr()))?;
        (0..ffi::PyTuple_GET_SIZE(tuple.as_ptr()))
            .map(|i| item(&tuple, i))
            .collect()
    }
}
