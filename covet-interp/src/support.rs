//! What sends and receives values in one interpreter: the codec, and pickle where the codec stops.
//!
//! A message is one format byte and a body. *Direct* messages are the codec's; *pickle* messages hold one
//! pickle of the whole value. A call is its positional arguments, then its keyword arguments.

use crate::codec::{Decoder, Encoder, Malformed, Refused};
use crate::error::PythonError;
use crate::ffi;
use crate::object::{Object, Raised};
use std::ffi::CStr;

pub(crate) const DIRECT: u8 = 1;
pub(crate) const PICKLE: u8 = 2;
/// Not a value: the error that sending one raised. An item of a batch that could not be sent.
const FAILED: u8 = 3;

/// Appends the error that sending an item raised, in the place of its message.
pub fn write_failure(error: &PythonError, out: &mut Vec<u8>) {
    out.push(FAILED);
    error.write(out);
}

/// The error that stands in the place of a message, if one does.
pub(crate) fn read_failure(message: &[u8]) -> Option<&[u8]> {
    message
        .split_first()
        .and_then(|(&kind, error)| (kind == FAILED).then_some(error))
}

/// The Python half of this crate in one interpreter, with the functions that are needed at hand.
///
/// It holds references into its interpreter: make it, use it and drop it attached to that interpreter.
#[derive(Debug)]
pub struct Support {
    module: Object,
    dumps: Object,
    dumps_call: Object,
    loads: Object,
}

impl Support {
    const NAME: &CStr = c"_covet_support";

    /// Loads the support module into the attached interpreter, or finds it there.
    ///
    /// # Errors
    /// [`Raised`] when the standard library's `pickle` cannot be imported.
    ///
    /// # Safety
    /// A thread state is attached.
    pub unsafe fn load() -> Result<Self, Raised> {
        // SAFETY: attached; `sys.modules` is borrowed from the interpreter.
        let module = unsafe {
            let modules = ffi::PyImport_GetModuleDict();
            let found = ffi::PyDict_GetItemString(modules, Self::NAME.as_ptr());
            if found.is_null() {
                ffi::PyErr_Clear();
                let made = Object::module_from_source(Self::NAME, include_str!("support.py"))?;
                if ffi::PyDict_SetItemString(modules, Self::NAME.as_ptr(), made.as_ptr()) < 0 {
                    return Err(Raised);
                }
                made
            } else {
                Object::borrowed(found)?
            }
        };
        let part = |name| module.attribute(name);
        Ok(Self {
            dumps: part(c"dumps")?,
            dumps_call: part(c"dumps_call")?,
            loads: part(c"loads")?,
            module,
        })
    }

    /// The references that it holds, for a garbage collector's traversal.
    pub fn references(&self) -> [&Object; 4] {
        [&self.module, &self.dumps, &self.dumps_call, &self.loads]
    }

    /// A function or class of the support module (`support.py`).
    ///
    /// # Errors
    /// [`Raised`] with `AttributeError`.
    pub fn part(&self, name: &CStr) -> Result<Object, Raised> {
        self.module.attribute(name)
    }

    /// Appends `value` as a message. Costs one copy of the value; runs Python code only when it pickles.
    ///
    /// # Errors
    /// [`Raised`] with `PicklingError` when the value cannot be sent.
    ///
    /// # Safety
    /// Attached to this interpreter; `value` is alive.
    pub unsafe fn encode(
        &self,
        value: *mut ffi::PyObject,
        out: &mut Vec<u8>,
    ) -> Result<(), Raised> {
        let start = out.len();
        out.push(DIRECT);
        // SAFETY: attached and alive, as promised.
        match unsafe { Encoder::new(out).write(value, false) } {
            Ok(()) => Ok(()),
            Err(Refused::Raised) => Err(Raised),
            Err(Refused::Unsupported) => {
                out.truncate(start);
                // SAFETY: alive, as promised.
                let value = unsafe { Object::borrowed(value)? };
                append_pickle(&self.dumps.call(&[&value])?, out)
            }
        }
    }

    /// Appends the arguments of a call as a message: `arguments` holds the positional ones, then one for each name
    /// in the tuple `names` (or null).
    ///
    /// # Errors
    /// [`Raised`] with `PicklingError` that names the argument which cannot be sent.
    ///
    /// # Safety
    /// Attached to this interpreter; every argument is alive; `names` is null or a tuple of `str`.
    pub unsafe fn encode_call(
        &self,
        arguments: &[*mut ffi::PyObject],
        names: *mut ffi::PyObject,
        out: &mut Vec<u8>,
    ) -> Result<(), Raised> {
        let start = out.len();
        // SAFETY: alive, as promised.
        match unsafe { self.encode_call_directly(arguments, names, out) } {
            Ok(()) => Ok(()),
            Err(Refused::Raised) => Err(Raised),
            Err(Refused::Unsupported) => {
                out.truncate(start);
                // SAFETY: alive, as promised.
                unsafe { self.pickle_call(arguments, names, out) }
            }
        }
    }

    #[inline]
    unsafe fn encode_call_directly(
        &self,
        arguments: &[*mut ffi::PyObject],
        names: *mut ffi::PyObject,
        out: &mut Vec<u8>,
    ) -> Result<(), Refused> {
        // SAFETY: alive and attached, as promised by the caller.
        unsafe {
            let named = if names.is_null() {
                0
            } else {
                ffi::PyTuple_GET_SIZE(names) as usize
            };
            let positional =
                u32::try_from(arguments.len() - named).map_err(|_| Refused::Unsupported)?;
            out.push(DIRECT);
            out.extend_from_slice(&positional.to_ne_bytes());
            out.extend_from_slice(&(named as u32).to_ne_bytes());
            let mut encoder = Encoder::new(out);
            // The same object may be passed twice although only the caller's frame refers to it.
            let shared = arguments.len() > 1;
            for &argument in arguments {
                encoder.write(argument, shared)?;
            }
            for i in 0..named {
                encoder.write(ffi::PyTuple_GET_ITEM(names, i as isize), false)?;
            }
        }
        Ok(())
    }

    #[cold]
    unsafe fn pickle_call(
        &self,
        arguments: &[*mut ffi::PyObject],
        names: *mut ffi::PyObject,
        out: &mut Vec<u8>,
    ) -> Result<(), Raised> {
        // SAFETY: alive and attached, as promised by the caller; the new tuple and dict are filled before use.
        unsafe {
            let named = if names.is_null() {
                0
            } else {
                ffi::PyTuple_GET_SIZE(names) as usize
            };
            let (positional, keyword) = arguments.split_at(arguments.len() - named);
            let tuple = Object::owned(ffi::PyTuple_New(positional.len() as isize))?;
            for (i, &argument) in positional.iter().enumerate() {
                ffi::PyTuple_SET_ITEM(
                    tuple.as_ptr(),
                    i as isize,
                    Object::borrowed(argument)?.into_ptr(),
                );
            }
            let dict = Object::owned(ffi::PyDict_New())?;
            for (i, &argument) in keyword.iter().enumerate() {
                if ffi::PyDict_SetItem(
                    dict.as_ptr(),
                    ffi::PyTuple_GET_ITEM(names, i as isize),
                    argument,
                ) < 0
                {
                    return Err(Raised);
                }
            }
            append_pickle(&self.dumps_call.call(&[&tuple, &dict])?, out)
        }
    }

    /// Makes the value of a message in this interpreter.
    ///
    /// # Errors
    /// [`Raised`] with whatever unpickling raised.
    ///
    /// # Safety
    /// Attached to this interpreter.
    pub unsafe fn decode(&self, message: &[u8]) -> Result<Object, Raised> {
        match message.split_first() {
            // SAFETY: attached, as promised.
            Some((&DIRECT, body)) => unsafe { Decoder::new(body).read() },
            // SAFETY: attached, as promised.
            Some((&PICKLE, body)) => self.loads.call(&[&unsafe { Object::bytes(body)? }]),
            _ => Err(Malformed.into()),
        }
    }

    /// Calls `function` with the arguments of a message.
    ///
    /// # Errors
    /// [`Raised`] with whatever unpickling or the function raised.
    ///
    /// # Safety
    /// Attached to this interpreter.
    pub unsafe fn call(&self, function: &Object, message: &[u8]) -> Result<Object, Raised> {
        match message.split_first() {
            // SAFETY: attached, as promised.
            Some((&DIRECT, body)) => unsafe { call_directly(function, body) },
            Some((&PICKLE, body)) => {
                // SAFETY: attached; a pickled call is a tuple of a tuple and a dict, checked before use.
                unsafe {
                    let pair = self.loads.call(&[&Object::bytes(body)?])?;
                    if ffi::PyTuple_Check(pair.as_ptr()) == 0
                        || ffi::PyTuple_GET_SIZE(pair.as_ptr()) != 2
                    {
                        return Err(Malformed.into());
                    }
                    Object::owned(ffi::PyObject_Call(
                        function.as_ptr(),
                        ffi::PyTuple_GET_ITEM(pair.as_ptr(), 0),
                        ffi::PyTuple_GET_ITEM(pair.as_ptr(), 1),
                    ))
                }
            }
            _ => Err(Malformed.into()),
        }
    }

    /// Takes the raised exception out of this interpreter, as a value. Never fails: where describing it fails (out
    /// of memory, a hostile `__str__`), less is known.
    ///
    /// # Safety
    /// Attached to this interpreter, with an exception raised.
    #[cold]
    pub unsafe fn take_error(&self) -> PythonError {
        // SAFETY: attached; the exception is owned from here on, and whatever describing it raises is cleared.
        unsafe {
            let Ok(error) = Object::owned(ffi::take_raised()) else {
                return plain_error("SystemError", "a call failed without raising an exception");
            };
            // The frames keep every local alive until the text is made; dropped with `error`.
            match self.describe(&error) {
                Ok(described) => described,
                Err(Raised) => {
                    ffi::PyErr_Clear();
                    let kind = CStr::from_ptr((*ffi::Py_TYPE(error.as_ptr())).tp_name);
                    plain_error(
                        &kind.to_string_lossy(),
                        "(it could not be described: no memory left?)",
                    )
                }
            }
        }
    }

    fn describe(&self, error: &Object) -> Result<PythonError, Raised> {
        let parts = self.part(c"describe")?.call(&[error])?;
        // SAFETY: attached because `error` exists; `describe` returns a tuple of four.
        let part = |i| unsafe { Object::borrowed(ffi::PyTuple_GetItem(parts.as_ptr(), i)) };
        Ok(PythonError {
            kind: part(0)?.text(),
            message: part(1)?.text(),
            traceback: part(2)?.text(),
            pickled: part(3)?.as_bytes().map(<[u8]>::to_vec),
        })
    }

    /// Makes the exception again in this interpreter, its remote traceback as the cause.
    ///
    /// # Errors
    /// [`Raised`] when that fails for lack of memory.
    ///
    /// # Safety
    /// Attached to this interpreter.
    pub unsafe fn revive(&self, error: &PythonError) -> Result<Object, Raised> {
        // SAFETY: attached, as promised.
        unsafe {
            let data = match &error.pickled {
                Some(data) => Object::bytes(data)?,
                None => Object::borrowed(ffi::Py_None())?,
            };
            self.part(c"revive")?.call(&[
                &Object::string(&error.kind)?,
                &Object::string(&error.message)?,
                &Object::string(&error.traceback)?,
                &data,
            ])
        }
    }
}

fn plain_error(kind: &str, message: &str) -> PythonError {
    PythonError {
        kind: kind.to_owned(),
        message: message.to_owned(),
        traceback: format!("{kind}: {message}\n"),
        pickled: None,
    }
}

fn append_pickle(data: &Object, out: &mut Vec<u8>) -> Result<(), Raised> {
    out.push(PICKLE);
    out.extend_from_slice(data.as_bytes().ok_or(Malformed)?);
    Ok(())
}

/// Most calls have few arguments: these are kept off the heap.
const FEW_ARGUMENTS: usize = 7;

#[inline]
unsafe fn call_directly(function: &Object, body: &[u8]) -> Result<Object, Raised> {
    let mut decoder = Decoder::new(body);
    let positional = decoder.reader.u32()?;
    let named = decoder.reader.u32()?;
    if positional <= FEW_ARGUMENTS && named == 0 {
        // Slot 0 is room that a bound method may use for `self` (PEP 590).
        let mut stack: [*mut ffi::PyObject; FEW_ARGUMENTS + 1] =
            [std::ptr::null_mut(); FEW_ARGUMENTS + 1];
        let mut read = 0;
        // SAFETY: attached; the arguments are owned by `stack` until the call is over, then given back once.
        unsafe {
            let mut outcome = Ok(());
            for slot in &mut stack[1..=positional] {
                match decoder.read() {
                    Ok(argument) => *slot = argument.into_ptr(),
                    Err(Raised) => {
                        outcome = Err(Raised);
                        break;
                    }
                }
                read += 1;
            }
            let result = outcome.and_then(|()| {
                Object::owned(ffi::PyObject_Vectorcall(
                    function.as_ptr(),
                    stack.as_ptr().add(1),
                    positional | ffi::PY_VECTORCALL_ARGUMENTS_OFFSET,
                    std::ptr::null_mut(),
                ))
            });
            for &argument in &stack[1..=read] {
                ffi::Py_DECREF(argument);
            }
            return result;
        }
    }
    // SAFETY: attached; `arguments` and `names` own what the call borrows.
    unsafe {
        let arguments = (0..positional + named)
            .map(|_| decoder.read())
            .collect::<Result<Vec<_>, _>>()?;
        let names = Object::owned(ffi::PyTuple_New(named as isize))?;
        for i in 0..named {
            ffi::PyTuple_SET_ITEM(names.as_ptr(), i as isize, decoder.read()?.into_ptr());
        }
        let pointers: Vec<_> = arguments.iter().map(Object::as_ptr).collect();
        Object::owned(ffi::PyObject_Vectorcall(
            function.as_ptr(),
            pointers.as_ptr(),
            positional,
            if named == 0 {
                std::ptr::null_mut()
            } else {
                names.as_ptr()
            },
        ))
    }
}
