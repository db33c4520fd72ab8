//! What sends and receives values in one interpreter: the codec, and pickle where the codec stops.
//!
//! A message is one format byte and a body. *Direct*: a value as the codec writes it; of a call, how many positional and how many
//! keyword arguments it has, these, and the names. *Pickle*: one pickle of the tuple and the dict of a call's arguments.
//! What holds anything that the codec does not know goes by one pickle as a whole, so that identity inside one message is
//! never split between two formats.

use crate::attach::{Detached, Visit};
use crate::borrow;
use crate::buffer;
use crate::codec::decode::Decoder;
use crate::codec::encode::Encoder;
use crate::codec::keys::Keys;
use crate::codec::{Malformed, PINNED, Refused, Writer, tag};
use crate::error::PythonError;
use crate::ffi;
use crate::mailbox::Mailbox;
use crate::message::{Message, MessageRef};
use crate::object::{Object, Raised, Source};
use crate::pin::{Contents, Keep, Memory, Pin};
use crate::worker;
use std::ffi::CStr;
use std::sync::Arc;

pub(crate) const DIRECT: u8 = 1;
pub(crate) const PICKLE: u8 = 2;
/// Not a value: the error that sending one raised. An item of a batch that could not be sent.
const FAILED: u8 = 3;

/// Appends the error that sending an item raised, in the place of its message.
pub fn write_failure(error: &PythonError, out: &mut Message) {
    out.bytes.push(FAILED);
    error.write(&mut out.bytes);
}

/// The error that stands in the place of a message, if one does.
pub(crate) fn read_failure(message: MessageRef<'_>) -> Option<&[u8]> {
    let (kind, error) = message.split_first()?;
    (kind == FAILED).then_some(error.bytes)
}

/// The Python half of this crate in one interpreter, with the functions that are needed at hand.
///
/// It holds references into its interpreter: make it, use it and drop it attached to that interpreter.
#[derive(Debug)]
pub struct Support {
    module: Object,
    dump: Object,
    dump_call: Object,
    loads: Object,
    /// The type of immutable bytes that interpreters share.
    buffer: Object,
    mailbox: Arc<Mailbox>,
    /// For who reads dicts.
    keys: Keys,
}

impl Support {
    /// Loads the support module into the attached interpreter, or finds it there.
    ///
    /// # Errors
    /// [`Raised`] when memory runs out, or when the main interpreter cannot import `pickle`.
    ///
    /// # Safety
    /// A thread state is attached.
    pub unsafe fn load() -> Result<Self, Raised> {
        static SOURCE: Source = Source::new(c"_covet_support", include_str!("support.py"));
        // SAFETY: attached, as promised; Python runs.
        let module = unsafe {
            if ffi::current_interpreter() == ffi::PyInterpreterState_Main() {
                // Workers that import it ask for its extension modules in main: not while main itself is at it.
                Object::import(c"pickle")?;
            }
            Object::own_module(&SOURCE)?
        };
        let part = |name| module.attribute(name);
        Ok(Self {
            dump: part(c"dump")?,
            dump_call: part(c"dump_call")?,
            loads: part(c"loads")?,
            // SAFETY: attached; it is the module `_covet_support`.
            buffer: unsafe { buffer_type_of(&module)? },
            // SAFETY: as above.
            mailbox: unsafe { Mailbox::of(&module)? },
            keys: Keys::new(),
            module,
        })
    }

    /// The references that it holds, for a garbage collector's traversal.
    pub fn references(&self) -> [&Object; 5] {
        [
            &self.module,
            &self.dump,
            &self.dump_call,
            &self.loads,
            &self.buffer,
        ]
    }

    /// The Python type `Buffer` of this interpreter.
    #[inline]
    pub(crate) fn buffer_type(&self) -> *mut ffi::PyTypeObject {
        self.buffer.as_ptr().cast()
    }

    /// Where references to objects of this interpreter are given back.
    #[inline]
    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Keys of dicts that were read here lately.
    #[inline]
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The memory that an object exports.
    ///
    /// # Errors
    /// [`Raised`] with what the exporter raised, or `MemoryError`.
    ///
    /// # Safety
    /// Attached to this interpreter; `object` is alive.
    pub(crate) unsafe fn exported(
        &self,
        object: *mut ffi::PyObject,
        keep: Keep,
    ) -> Result<Memory, Raised> {
        // SAFETY: as promised; an object of our type has a pin.
        unsafe {
            Memory::exported(object, keep, &self.mailbox, |exporter| {
                (ffi::Py_TYPE(exporter) == self.buffer_type())
                    .then(|| Arc::clone(buffer::memory(exporter)))
            })
        }
    }

    /// A read-only `memoryview` of memory, whomever it belongs to.
    ///
    /// # Errors
    /// [`Raised`] with `MemoryError`.
    ///
    /// # Safety
    /// Attached to this interpreter.
    pub(crate) unsafe fn view(&self, memory: Arc<Memory>) -> Result<Object, Raised> {
        // SAFETY: attached, as promised; the type is that of this interpreter.
        unsafe {
            let buffer = buffer::make(self.buffer_type(), memory)?;
            Object::owned(ffi::PyMemoryView_FromObject(buffer.as_ptr()))
        }
    }

    /// The object of a pickle and its out-of-band buffers.
    pub(crate) fn loads(&self, data: &Object, buffers: &[Object]) -> Result<Object, Raised> {
        let all: Vec<_> = std::iter::once(data).chain(buffers).collect();
        self.loads.call(&all)
    }

    /// A function or class of the support module (`support.py`).
    ///
    /// # Errors
    /// [`Raised`] with `AttributeError`.
    pub fn part(&self, name: &CStr) -> Result<Object, Raised> {
        self.module.attribute(name)
    }

    /// Appends `value` as a message. Costs one copy of the value, but for what is pinned: `str` and `bytes` of 64 KiB and more,
    /// `memoryview`, `Buffer`, and what objects keep out of their pickles. Runs Python code only when it pickles.
    ///
    /// # Errors
    /// [`Raised`] with `PicklingError` when the value cannot be sent, is nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH)
    /// or larger than [`max_message_size`](crate::max_message_size), and with `MemoryError`. Nothing is appended then.
    ///
    /// # Safety
    /// Attached to this interpreter; `value` is alive.
    pub unsafe fn encode(
        &self,
        value: *mut ffi::PyObject,
        out: &mut Message,
    ) -> Result<(), Raised> {
        let start = out.mark();
        out.bytes.push(DIRECT);
        let body = out.mark();
        let mut encoder = Encoder::new(out, self);
        // SAFETY: attached and alive, as promised.
        let mut outcome =
            unsafe { encoder.write(value, false) }.and_then(|()| encoder.out.finish());
        if let Err(Refused::Unsupported) = outcome {
            out.truncate(body);
            // SAFETY: alive, as promised.
            let value = unsafe { Object::borrowed(value)? };
            outcome = self.append_pickle(&self.dump, &[&value], out);
        }
        outcome.map_err(|refused| {
            out.truncate(start);
            self.refuse(&refused, None)
        })
    }

    /// Drops what other threads gave back of this interpreter: objects whose memory was read elsewhere. What sends and receives
    /// for a caller does it on the way.
    ///
    /// # Safety
    /// Attached to this interpreter.
    #[inline]
    pub unsafe fn empty_mailbox(&self) {
        // SAFETY: attached, as promised.
        unsafe { self.mailbox.empty() }
    }

    /// Appends the arguments of a call as a message: `arguments` holds the positional ones, then one for each name
    /// in the tuple `names` (or null).
    ///
    /// # Errors
    /// As [`Support::encode`]; the text names the argument which cannot be sent.
    ///
    /// # Safety
    /// Attached to this interpreter; every argument is alive; `names` is null or a tuple of `str`.
    pub unsafe fn encode_call(
        &self,
        arguments: &[*mut ffi::PyObject],
        names: *mut ffi::PyObject,
        out: &mut Message,
    ) -> Result<(), Raised> {
        let start = out.mark();
        let mut current = 0;
        // SAFETY: alive, as promised.
        let mut outcome = unsafe { self.encode_call_directly(arguments, names, out, &mut current) };
        let mut place = Some(current);
        if let Err(Refused::Unsupported) = outcome {
            out.truncate(start);
            // SAFETY: alive, as promised.
            outcome = unsafe { self.pickle_call(arguments, names, out) };
            place = None;
        }
        outcome.map_err(|refused| {
            out.truncate(start);
            self.refuse(&refused, place)
        })
    }

    /// Appends the arguments of a call. `current` is the number of the argument that is being written.
    ///
    /// # Safety
    /// As [`Support::encode_call`].
    #[inline]
    unsafe fn encode_call_directly(
        &self,
        arguments: &[*mut ffi::PyObject],
        names: *mut ffi::PyObject,
        out: &mut Message,
        current: &mut usize,
    ) -> Result<(), Refused> {
        // SAFETY: alive and attached, as promised by the caller.
        unsafe {
            let named = if names.is_null() {
                0
            } else {
                ffi::PyTuple_GET_SIZE(names) as usize
            };
            let mut encoder = Encoder::new(out, self);
            encoder
                .out
                .call_head(DIRECT, arguments.len() - named, named)?;
            // The same object may be passed twice although only the caller's frame refers to it.
            let shared = arguments.len() > 1;
            for (i, &argument) in arguments.iter().enumerate() {
                *current = i;
                encoder.write(argument, shared)?;
            }
            for i in 0..named {
                encoder.write(ffi::PyTuple_GET_ITEM(names, i as isize), false)?;
            }
            encoder.out.finish()
        }
    }

    /// Raises why a value was not written; `place` is the number of the argument that it is.
    #[cold]
    fn refuse(&self, refused: &Refused, place: Option<usize>) -> Raised {
        match refused {
            Refused::Raised => return Raised,
            // SAFETY: a `Support` is only used attached to its interpreter.
            Refused::NoMemory => unsafe {
                ffi::PyErr_NoMemory();
            },
            Refused::Unsupported | Refused::TooDeep(_) | Refused::TooLarge(_) => {
                let text = match place {
                    Some(place) => format!("argument {place}: {refused}"),
                    None => refused.to_string(),
                };
                // SAFETY: as above.
                let text = unsafe { Object::string(&text) };
                // It raises, or there is no memory for that: an exception in either case.
                let _ = text.and_then(|text| self.part(c"refuse")?.call(&[&text]));
            }
        }
        Raised
    }

    /// Appends a pickle and its out-of-band buffers: what `dump` in support.py makes of `values`. The buffers stay where they
    /// are, and so does a large pickle.
    #[cold]
    fn append_pickle(
        &self,
        dump: &Object,
        values: &[&Object],
        out: &mut Message,
    ) -> Result<(), Refused> {
        // SAFETY: a `Support` is only used attached to its interpreter; `dump` returns `bytes`, and fills the list, which
        // nothing else refers to, with `PickleBuffer`s.
        unsafe {
            let buffers = Object::owned(ffi::PyList_New(0))?;
            let all: Vec<_> = values.iter().copied().chain([&buffers]).collect();
            let data = call_with_stack(dump, &all)?;
            let count = ffi::PyList_Size(buffers.as_ptr());
            let mut out = Writer::new(out);
            out.head(tag::PICKLE, 1 + count as usize)?;
            let bytes = data.as_bytes().unwrap_or_default();
            if bytes.len() < PINNED {
                out.sized(tag::BYTES, bytes)?;
            } else {
                out.count_pinned(bytes.len())?;
                let contents = Contents::of(data.as_ptr(), bytes, &self.mailbox);
                out.pin(tag::BYTES | tag::PINNED, Pin::Contents(contents))?;
            }
            for i in 0..count {
                let buffer = ffi::PyList_GetItem(buffers.as_ptr(), i);
                let memory = self.exported(buffer, Keep::Bytes)?;
                out.pin(tag::VIEW, Pin::Memory(Arc::new(memory)))?;
            }
            out.finish()
        }
    }

    #[cold]
    unsafe fn pickle_call(
        &self,
        arguments: &[*mut ffi::PyObject],
        names: *mut ffi::PyObject,
        out: &mut Message,
    ) -> Result<(), Refused> {
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
                    return Err(Refused::Raised);
                }
            }
            out.bytes.push(PICKLE);
            self.append_pickle(&self.dump_call, &[&tuple, &dict], out)
        }
    }

    /// Makes the value of a message in this interpreter.
    ///
    /// # Errors
    /// [`Raised`] with whatever unpickling raised.
    ///
    /// # Safety
    /// Attached to this interpreter.
    pub unsafe fn decode<'m>(&self, message: impl Into<MessageRef<'m>>) -> Result<Object, Raised> {
        match message.into().split_first() {
            // SAFETY: attached, as promised.
            Some((DIRECT, body)) => unsafe { Decoder::new(body, self) }.read(),
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
    pub unsafe fn call<'m>(
        &self,
        function: &Object,
        message: impl Into<MessageRef<'m>>,
    ) -> Result<Object, Raised> {
        match message.into().split_first() {
            // SAFETY: attached, as promised.
            Some((DIRECT, body)) => unsafe {
                call_directly(function, &mut Decoder::new(body, self))
            },
            Some((PICKLE, body)) => {
                // SAFETY: attached; a pickled call is a tuple of a tuple and a dict, checked before use.
                unsafe {
                    let pair = Decoder::new(body, self).read()?;
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

    /// Whether the exception that is raised says that an extension module was refused to this interpreter, before anything of
    /// the call but imports had run.
    ///
    /// # Safety
    /// Attached to this interpreter, with an exception raised.
    #[cold]
    pub(crate) unsafe fn may_run_in_main(&self) -> bool {
        // SAFETY: as promised; the exception is raised again.
        unsafe {
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_ImportError) == 0 {
                return false;
            }
            let Ok(error) = Object::owned(ffi::take_raised()) else {
                return false;
            };
            let answer = self
                .part(c"may_run_in_main")
                .and_then(|ask| ask.call(&[&error]));
            ffi::PyErr_Clear();
            ffi::set_raised(error.into_ptr());
            answer.is_ok_and(|answer| answer.as_ptr() == ffi::Py_True())
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
                    undescribed(&error)
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

/// Takes the raised exception out of an interpreter as its type alone, where there may be no memory for more.
///
/// # Safety
/// Attached, with an exception raised.
pub(crate) unsafe fn take_error_plainly() -> PythonError {
    // SAFETY: as promised; the exception is owned from here on.
    unsafe {
        match Object::owned(ffi::take_raised()) {
            Ok(error) => undescribed(&error),
            Err(Raised) => plain_error("SystemError", "a call failed without raising an exception"),
        }
    }
}

fn undescribed(error: &Object) -> PythonError {
    // SAFETY: alive, and so is its type, whose name is a C string.
    let kind = unsafe { CStr::from_ptr((*ffi::Py_TYPE(error.as_ptr())).tp_name) };
    plain_error(
        &kind.to_string_lossy(),
        "(it could not be described: no memory left?)",
    )
}

/// An error that nothing but this is known of.
pub(crate) fn plain_error(kind: &str, message: &str) -> PythonError {
    PythonError {
        kind: kind.to_owned(),
        message: message.to_owned(),
        traceback: format!("{kind}: {message}\n"),
        pickled: None,
    }
}

/// Calls `function`; on another thread when this one has less stack left than Python needs, because before 3.14 pickling
/// something deep overflows a small stack.
///
/// # Safety
/// Attached to the interpreter of the objects.
unsafe fn call_with_stack(function: &Object, arguments: &[&Object]) -> Result<Object, Raised> {
    /// What is handed to one thread, which is joined before its owner goes on.
    struct Handover<T>(T);
    // SAFETY: references to objects of one interpreter, which whoever uses them is attached to.
    unsafe impl<T> Send for Handover<T> {}

    if borrow::enough_stack() {
        return function.call(arguments);
    }
    let handover = Handover((ffi::current_interpreter(), function, arguments));
    let outcome = {
        let _detached = Detached::new();
        std::thread::scope(|scope| {
            let work = move || {
                let Handover((interpreter, function, arguments)) = { handover };
                // SAFETY: alive, because the calling thread waits in it; the exception is owned by the outcome.
                unsafe {
                    let _visit = Visit::new(interpreter)?;
                    let outcome = function.call(arguments);
                    Some(Handover(
                        outcome
                            .map(Object::into_ptr)
                            .map_err(|Raised| ffi::take_raised()),
                    ))
                }
            };
            let thread = std::thread::Builder::new().stack_size(worker::STACK);
            thread.spawn_scoped(scope, work).ok()?.join().ok()?
        })
    };
    // SAFETY: attached again; each pointer is a strong reference that nobody else gives back.
    unsafe {
        match outcome {
            Some(Handover(Ok(object))) => Object::owned(object),
            Some(Handover(Err(raised))) => {
                ffi::set_raised(raised);
                Err(Raised)
            }
            None => {
                ffi::PyErr_NoMemory();
                Err(Raised)
            }
        }
    }
}

/// The type `Buffer` of the attached interpreter, which lies in its module `_covet_support`.
///
/// # Safety
/// Attached; `module` is that module.
unsafe fn buffer_type_of(module: &Object) -> Result<Object, Raised> {
    // SAFETY: attached; the dict keeps the type that came first.
    unsafe {
        let all = ffi::PyModule_GetDict(module.as_ptr());
        let key = Object::string("Buffer")?;
        let known = ffi::PyDict_GetItemWithError(all, key.as_ptr());
        if !known.is_null() || !ffi::PyErr_Occurred().is_null() {
            return Object::borrowed(known);
        }
        let made = buffer::make_type(&module.attribute(c"reduce_buffer")?)?;
        Object::borrowed(ffi::set_default(all, key.as_ptr(), made.as_ptr()))
    }
}

/// Most calls have few arguments: these are kept off the heap.
const FEW_ARGUMENTS: usize = 7;

#[inline]
unsafe fn call_directly(function: &Object, decoder: &mut Decoder<'_>) -> Result<Object, Raised> {
    let (positional, named) = decoder.reader.call_head()?;
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
