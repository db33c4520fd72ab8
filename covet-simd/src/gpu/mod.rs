//! Arrays in the memory of a CUDA device, and what can be done with them there.
//!
//! Nothing goes to a device unasked: a [`DeviceArray`] is made from a slice, lives on its device through any number of
//! operations, and is copied back. That is worth it where much is computed on what was copied once; for a single pass over
//! an array that lies in the host's memory, the copy takes longer than the kernels of this crate.
//!
//! The libraries (driver, NVRTC, cuBLAS; of CUDA 12 or 13) are looked for when they are first needed, by the system's
//! search path and before it in the directories that `COVET_CUDA_PATH` lists. Without the feature `cuda`, without the libraries or
//! without a device, everything here is there and answers [`Error::Unavailable`], once and for all of the process.
//!
//! ```
//! use covet_simd::Unary;
//! use covet_simd::gpu::{self, DeviceArray, Stream};
//!
//! match gpu::info() {
//!     Ok(devices) => {
//!         println!("{} with {} bytes", devices[0].name, devices[0].memory);
//!         let stream = Stream::shared(0)?;
//!         let x = DeviceArray::from_host(&stream, &[1.0_f32, 4.0, 9.0])?;
//!         assert_eq!(x.unary(Unary::Sqrt)?.to_vec()?, [1.0, 2.0, 3.0]);
//!     }
//!     Err(reason) => println!("{reason}"),
//! }
//! # Ok::<(), gpu::Error>(())
//! ```
//!
//! # Order
//!
//! A [`Stream`] is a queue of work for a device. An array belongs to the stream that it was made on, and all work on its memory is
//! ordered by that: an operation on arrays of two streams waits for both. Calls only queue work, but those that copy from or
//! to the host, and those that return a number, wait until it is done. Any thread may make any call; none may in the child of
//! a fork, where CUDA refuses to work.
//!
//! # Numbers
//!
//! Elementary functions are those of CUDA's mathematical library, within 2 ulp, so bits differ from those of
//! the host's kernels. Sums are made in a fixed order in `f64` with the errors kept, and have the same bits on every device.
//! cuBLAS does not promise so for products.
//!
//! All of this was compiled, and the kernels by NVRTC, but **it has not yet run on a device**.

#[cfg(not(feature = "cuda"))]
#[path = "absent.rs"]
mod backend;
#[cfg(feature = "cuda")]
#[path = "cuda/mod.rs"]
mod backend;
mod error;

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use crate::element::{Element, Float};
use crate::op::Unary;

pub use error::Error;

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Its number, as CUDA counts them.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// How many bytes of memory it has.
    pub memory: usize,
    /// Which instructions it knows: major and minor number.
    pub compute_capability: (u32, u32),
}

/// Lists the devices, of which there is at least one. It uses none of their memory.
///
/// # Errors
///
/// [`Error::Unavailable`] with the reason why there is none.
pub fn info() -> Result<Vec<Device>, Error> {
    backend::devices()
}

/// A queue of work for a device. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct Stream(backend::Stream);

impl Stream {
    /// Makes a stream on a device. The first on a device takes some 100 ms and some 100 MB of its memory.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`], [`Error::NoDevice`], [`Error::Driver`].
    pub fn new(device: usize) -> Result<Self, Error> {
        backend::Stream::new(device).map(Self)
    }

    /// Returns the stream of a device that the whole process shares.
    ///
    /// # Errors
    ///
    /// As [`Stream::new`].
    pub fn shared(device: usize) -> Result<Self, Error> {
        static SHARED: Mutex<BTreeMap<usize, Stream>> = Mutex::new(BTreeMap::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = shared.get(&device) {
            return Ok(stream.clone());
        }
        let stream = Self::new(device)?;
        shared.insert(device, stream.clone());
        Ok(stream)
    }

    /// Returns the number of the device.
    pub fn device(&self) -> usize {
        self.0.device()
    }

    /// Waits until all work that was queued is done.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`], also with what earlier work has met with.
    pub fn synchronize(&self) -> Result<(), Error> {
        self.0.synchronize()
    }
}

/// Numbers in the memory of a device.
#[derive(Debug)]
pub struct DeviceArray<T> {
    memory: backend::Memory,
    len: usize,
    elements: PhantomData<T>,
}

impl<T: Element> DeviceArray<T> {
    /// Copies a slice to the device of a stream, and waits until it is there.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn from_host(stream: &Stream, values: &[T]) -> Result<Self, Error> {
        // SAFETY: a slice is good for reads.
        unsafe { Self::from_raw(stream, values.as_ptr(), values.len()) }
    }

    /// The same, of memory that others may write meanwhile: what is copied then is any mixture of old and new.
    ///
    /// # Safety
    ///
    /// `len` elements from `start` on can be read.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    pub unsafe fn from_raw(stream: &Stream, start: *const T, len: usize) -> Result<Self, Error> {
        let bytes = len * size_of::<T>();
        let mut memory = backend::Memory::new(&stream.0, bytes)?;
        // SAFETY: so many bytes can be read, says the caller, and were allocated.
        unsafe { memory.upload(start.cast(), bytes)? };
        Ok(Self::of(memory, len))
    }

    fn of(memory: backend::Memory, len: usize) -> Self {
        Self {
            memory,
            len,
            elements: PhantomData,
        }
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Tells whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of the device.
    pub fn device(&self) -> usize {
        self.memory.stream().device()
    }

    /// Copies the elements to a slice, and waits until they are there.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if `out` has another length; [`Error::Driver`], also with what earlier work has met with.
    pub fn copy_to_host(&self, out: &mut [T]) -> Result<(), Error> {
        check_length("out", self.len, out.len())?;
        // SAFETY: a slice is good for writes, and as long.
        unsafe { self.copy_to_raw(out.as_mut_ptr()) }
    }

    /// The same, to memory that others may look at meanwhile.
    ///
    /// # Safety
    ///
    /// As many elements as the array has can be written from `start` on.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub unsafe fn copy_to_raw(&self, start: *mut T) -> Result<(), Error> {
        // SAFETY: so many bytes can be written, says the caller; every pattern of them is an element.
        unsafe {
            self.memory
                .download(start.cast(), self.len * size_of::<T>())
        }
    }

    /// Copies the elements to a new vector, and waits until they are there.
    ///
    /// # Errors
    ///
    /// [`Error::Driver`].
    pub fn to_vec(&self) -> Result<Vec<T>, Error> {
        let mut values = vec![T::default(); self.len];
        self.copy_to_host(&mut values)?;
        Ok(values)
    }

    /// Copies the array to a new one on the same stream.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn copy(&self) -> Result<Self, Error> {
        Ok(Self::of(self.memory.copy()?, self.len))
    }

    /// Makes an array of `op` of each element.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if the operation is not made for the type; [`Error::Unavailable`] without NVRTC;
    /// [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn unary(&self, op: Unary) -> Result<Self, Error> {
        op.check::<T>()?;
        let memory = self.memory.unary::<T>(op, self.len)?;
        Ok(Self::of(memory, self.len))
    }

    /// Adds `a * x` to each element, each sum rounded once (integers wrap).
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if `x` has another length, [`Error::OtherDevice`] if it is elsewhere; [`Error::Unavailable`] without
    /// NVRTC; [`Error::Driver`].
    pub fn axpy(&mut self, a: T, x: &Self) -> Result<(), Error> {
        check_length("x", self.len, x.len)?;
        self.check_device("x", x)?;
        self.memory.axpy(a, &x.memory, self.len)
    }

    /// Returns the sum, 0 of nothing, and waits for it. Integers wrap in 64 bits.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] without NVRTC; [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn sum(&self) -> Result<T::Sum, Error> {
        self.memory.sum::<T>(self.len)
    }

    fn check_device(&self, operand: &'static str, other: &Self) -> Result<(), Error> {
        let (expected, found) = (self.device(), other.device());
        if expected == found {
            return Ok(());
        }
        Err(Error::OtherDevice {
            operand,
            expected,
            found,
        })
    }
}

impl<T: Float> DeviceArray<T> {
    /// Multiplies matrices by cuBLAS: this one of m x k elements by `b` of k x n, both row by row, as the result. `shape` is
    /// `[m, k, n]`.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if an operand has another number of elements, [`Error::TooLong`], [`Error::OtherDevice`] if `b` is
    /// elsewhere; [`Error::Unavailable`] without cuBLAS; [`Error::OutOfMemory`], [`Error::Driver`].
    pub fn matmul(&self, b: &Self, shape: [usize; 3]) -> Result<Self, Error> {
        let [m, k, n] = shape;
        let lengths = shape.map(i32::try_from);
        let [Ok(_), Ok(_), Ok(_)] = lengths else {
            return Err(Error::TooLong(shape));
        };
        check_length("a", m * k, self.len)?;
        check_length("b", k * n, b.len)?;
        self.check_device("b", b)?;
        let memory = self.memory.matmul::<T>(&b.memory, shape)?;
        Ok(Self::of(memory, m * n))
    }
}

fn check_length(operand: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Call(crate::Error::Length {
        operand,
        expected,
        found,
    }))
}
