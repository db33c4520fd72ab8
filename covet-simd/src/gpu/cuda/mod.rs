//! The backend: cudarc over the driver, NVRTC and cuBLAS.
//!
//! cudarc could order the use of memory by events of its own, but keeps only the last of several readers. Here each memory has
//! its stream, and what uses it on another one is put into the order of both ([`Stream::with`]).

mod compile;
mod library;
mod product;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};
use cudarc::driver::{
    CudaContext, CudaModule, CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr,
    DriverError, LaunchConfig, PushKernelArg, result,
};

use super::{Device, Error};
use crate::element::{Element, Float};
use crate::op::Unary;

use product::Blas;

/// The threads of a block; also in `kernels.cu`.
const THREADS: usize = 256;
/// The most blocks of a launch: enough to fill the devices of today. Sums depend on it.
const BLOCKS: usize = 1024;
/// What a block needs for its sum, for floats: see `kernels.cu`.
const BLOCK_SUM: usize = 16;
/// The oldest driver that is known to have all that is called.
const OLDEST: i32 = 12_000;

pub(super) fn devices() -> Result<Vec<Device>, Error> {
    (0..count()?).map(device).collect()
}

/// How many devices there are; at least one. Found out once.
fn count() -> Result<usize, Error> {
    static COUNT: OnceLock<Result<usize, Error>> = OnceLock::new();
    COUNT.get_or_init(look).clone()
}

fn look() -> Result<usize, Error> {
    library::DRIVER.load()?;
    let mut version = 0;
    // SAFETY: the library is loaded; it writes a number.
    let known = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
    known.map_err(driver("asking for the CUDA driver's version"))?;
    if version < OLDEST {
        let [major, minor] = [version / 1000, version % 1000 / 10];
        return Err(Error::Unavailable(format!(
            "expected a CUDA driver for CUDA 12 or newer; found one for {major}.{minor}"
        )));
    }
    match result::init().and_then(|()| result::device::get_count()) {
        Ok(count @ 1..) => Ok(count as usize),
        Ok(_) | Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => Err(Error::Unavailable(
            "no CUDA device: its driver library is there, but finds none".into(),
        )),
        Err(error) => Err(Error::Unavailable(format!(
            "no CUDA: its driver library is there, but fails: {error:?}"
        ))),
    }
}

fn device(index: usize) -> Result<Device, Error> {
    let facts = || {
        let handle = result::device::get(index as i32)?;
        // SAFETY: the handle of a device.
        unsafe {
            let number = |attribute| result::device::get_attribute(handle, attribute);
            Ok(Device {
                index,
                name: result::device::get_name(handle)?,
                memory: result::device::total_mem(handle)?,
                compute_capability: (
                    number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? as u32,
                    number(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)? as u32,
                ),
            })
        }
    };
    facts().map_err(driver("asking what a CUDA device is"))
}

/// Makes an error of what the driver says.
fn driver(doing: &'static str) -> impl Fn(DriverError) -> Error {
    move |error| Error::Driver {
        doing,
        reason: format!("{error:?}"),
    }
}

/// What the process has on one device.
#[derive(Debug)]
struct Context {
    cuda: Arc<CudaContext>,
    capability: (u32, u32),
    /// The kernels, once one was called.
    kernels: Mutex<Option<Arc<CudaModule>>>,
}

impl Context {
    fn of(index: usize) -> Result<Arc<Self>, Error> {
        static CONTEXTS: Mutex<BTreeMap<usize, Arc<Context>>> = Mutex::new(BTreeMap::new());
        let found = count()?;
        if index >= found {
            return Err(Error::NoDevice {
                asked: index,
                found,
            });
        }
        let mut contexts = lock(&CONTEXTS);
        if let Some(context) = contexts.get(&index) {
            return Ok(Arc::clone(context));
        }
        let cuda = CudaContext::new(index).map_err(driver("starting a CUDA device"))?;
        // SAFETY: before any memory is allocated; the order of its use is kept by `Stream::with`.
        unsafe { cuda.disable_event_tracking() };
        let context = Arc::new(Self {
            cuda,
            capability: device(index)?.compute_capability,
            kernels: Mutex::default(),
        });
        contexts.insert(index, Arc::clone(&context));
        Ok(context)
    }

    fn kernels(&self) -> Result<Arc<CudaModule>, Error> {
        let mut kernels = lock(&self.kernels);
        if let Some(module) = &*kernels {
            return Ok(Arc::clone(module));
        }
        let code = cudarc::nvrtc::Ptx::from_binary(compile::kernels(self.capability)?);
        let module = self.cuda.load_module(code);
        let module = module.map_err(driver("loading the kernels to a CUDA device"))?;
        Ok(Arc::clone(kernels.insert(module)))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Debug)]
pub(super) struct Stream(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    /// Before the stream, which it uses until it ends.
    blas: Mutex<Option<Blas>>,
    cuda: Arc<CudaStream>,
    context: Arc<Context>,
}

impl Stream {
    pub(super) fn new(device: usize) -> Result<Self, Error> {
        let context = Context::of(device)?;
        let cuda = context.cuda.new_stream();
        Ok(Self(Arc::new(Queue {
            blas: Mutex::default(),
            cuda: cuda.map_err(driver("making a CUDA stream"))?,
            context,
        })))
    }

    pub(super) fn device(&self) -> usize {
        self.0.context.cuda.ordinal()
    }

    pub(super) fn synchronize(&self) -> Result<(), Error> {
        let done = self.0.cuda.synchronize();
        done.map_err(driver("waiting for a CUDA stream"))
    }

    /// Queues work that also uses memory of another stream: after what that has queued, and before what it will.
    fn with(&self, other: &Self, work: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        if Arc::ptr_eq(&self.0, &other.0) {
            return work();
        }
        let wait = |one: &Self, another: &Self| {
            let joined = one.0.cuda.join(&another.0.cuda);
            joined.map_err(driver("letting a CUDA stream wait for another"))
        };
        wait(self, other)?;
        let done = work();
        // Also after an error: part of the work may have been queued.
        wait(other, self)?;
        done
    }

    fn kernel<T: Element>(&self, operation: &str) -> Result<cudarc::driver::CudaFunction, Error> {
        let function = self
            .0
            .context
            .kernels()?
            .load_function(&kernel_name::<T>(operation));
        function.map_err(driver("looking for a kernel"))
    }
}

fn kernel_name<T: Element>(operation: &str) -> String {
    format!("{operation}_{}", T::NAME)
}

/// How many blocks work on `n` elements: none of them in vain, and as many on every device.
fn blocks(n: usize) -> usize {
    n.div_ceil(THREADS).min(BLOCKS)
}

fn launch(blocks: usize) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (blocks as u32, 1, 1),
        block_dim: (THREADS as u32, 1, 1),
        shared_mem_bytes: 0,
    }
}

/// A number as the argument of a kernel.
#[repr(transparent)]
struct Argument<T>(T);

// SAFETY: elements are C's float, double, int and long long, which kernels take as they are.
unsafe impl<T: Element> DeviceRepr for Argument<T> {}

/// Bytes on a device, used in the order of a stream. Asked for none, it has one, as CUDA has no empty memory.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: CudaSlice<u8>,
    stream: Stream,
}

impl Memory {
    pub(super) fn new(stream: &Stream, bytes: usize) -> Result<Self, Error> {
        // SAFETY: nobody reads it before it is written.
        let memory = unsafe { stream.0.cuda.alloc(bytes.max(1)) };
        Ok(Self {
            bytes: memory.map_err(|error| match error.0 {
                CUresult::CUDA_ERROR_OUT_OF_MEMORY => Error::OutOfMemory { bytes },
                _ => driver("allocating memory on a CUDA device")(error),
            })?,
            stream: stream.clone(),
        })
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// # Safety
    /// So many bytes can be read from `start`, and were asked for.
    pub(super) unsafe fn upload(&mut self, start: *const u8, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let queue = &self.stream.0.cuda;
        let doing = "copying to a CUDA device";
        queue.context().bind_to_thread().map_err(driver(doing))?;
        let (to, _) = self.bytes.device_ptr_mut(queue);
        // SAFETY: as promised. The host's memory is read until the copy is waited for, below.
        let queued = unsafe {
            sys::cuMemcpyHtoDAsync_v2(to, start.cast(), bytes, queue.cu_stream()).result()
        };
        let done = queued.and_then(|()| queue.synchronize());
        done.map_err(driver(doing))
    }

    /// # Safety
    /// So many bytes can be written from `start` on, and were asked for.
    pub(super) unsafe fn download(&self, start: *mut u8, bytes: usize) -> Result<(), Error> {
        if bytes == 0 {
            return Ok(());
        }
        let queue = &self.stream.0.cuda;
        let doing = "copying from a CUDA device";
        queue.context().bind_to_thread().map_err(driver(doing))?;
        let (from, _) = self.bytes.device_ptr(queue);
        // SAFETY: as promised. The host's memory is written until the copy is waited for, below.
        let queued = unsafe {
            sys::cuMemcpyDtoHAsync_v2(start.cast(), from, bytes, queue.cu_stream()).result()
        };
        let done = queued.and_then(|()| queue.synchronize());
        done.map_err(driver(doing))
    }

    pub(super) fn copy(&self) -> Result<Self, Error> {
        let mut copy = Self::new(&self.stream, self.bytes.len())?;
        let queued = self.stream.0.cuda.memcpy_dtod(&self.bytes, &mut copy.bytes);
        queued.map_err(driver("copying on a CUDA device"))?;
        Ok(copy)
    }

    pub(super) fn unary<T: Element>(&self, op: Unary, n: usize) -> Result<Self, Error> {
        let mut out = Self::new(&self.stream, n * size_of::<T>())?;
        if n == 0 {
            return Ok(out);
        }
        let kernel = self.stream.kernel::<T>(op.name())?;
        let mut call = self.stream.0.cuda.launch_builder(&kernel);
        call.arg(&n).arg(&self.bytes).arg(&mut out.bytes);
        // SAFETY: the kernel takes these, and both memories have n elements.
        unsafe { call.launch(launch(blocks(n))) }.map_err(driver("launching a kernel"))?;
        Ok(out)
    }

    pub(super) fn axpy<T: Element>(&mut self, a: T, x: &Self, n: usize) -> Result<(), Error> {
        if n == 0 {
            return Ok(());
        }
        let kernel = self.stream.kernel::<T>("axpy")?;
        let (stream, a) = (&self.stream, Argument(a));
        stream.with(&x.stream, || {
            let mut call = stream.0.cuda.launch_builder(&kernel);
            call.arg(&n).arg(&a).arg(&x.bytes).arg(&mut self.bytes);
            // SAFETY: the kernel takes these, and both memories have n elements.
            unsafe { call.launch(launch(blocks(n))) }.map_err(driver("launching a kernel"))?;
            Ok(())
        })
    }

    pub(super) fn sum<T: Element>(&self, n: usize) -> Result<T::Sum, Error> {
        let mut sum = T::Sum::default();
        if n == 0 {
            return Ok(sum);
        }
        let (stream, blocks) = (&self.stream, blocks(n));
        let (sums, total) = (stream.kernel::<T>("sums")?, stream.kernel::<T>("total")?);
        let mut of_blocks = Self::new(stream, blocks * BLOCK_SUM)?;
        let mut of_all = Self::new(stream, size_of::<T::Sum>())?;

        let mut call = stream.0.cuda.launch_builder(&sums);
        call.arg(&n).arg(&self.bytes).arg(&mut of_blocks.bytes);
        // SAFETY: the kernel takes these: n elements, and a place for the sum of each block.
        unsafe { call.launch(launch(blocks)) }.map_err(driver("launching a kernel"))?;

        let mut call = stream.0.cuda.launch_builder(&total);
        call.arg(&blocks)
            .arg(&of_blocks.bytes)
            .arg(&mut of_all.bytes);
        // SAFETY: the kernel takes these: the sums of the blocks, and a place for the result.
        unsafe { call.launch(launch(1)) }.map_err(driver("launching a kernel"))?;

        // SAFETY: the result is a number of this type.
        unsafe { of_all.download((&raw mut sum).cast(), size_of::<T::Sum>())? };
        Ok(sum)
    }

    pub(super) fn matmul<T: Float>(&self, b: &Self, shape: [usize; 3]) -> Result<Self, Error> {
        let [m, k, n] = shape;
        let mut out = Self::new(&self.stream, m * n * size_of::<T>())?;
        if m == 0 || n == 0 {
            return Ok(out);
        }
        let queue = &self.stream.0;
        if k == 0 {
            let cleared = queue.cuda.memset_zeros(&mut out.bytes);
            cleared.map_err(driver("clearing memory on a CUDA device"))?;
            return Ok(out);
        }
        self.stream.with(&b.stream, || {
            let mut blas = lock(&queue.blas);
            let blas = match &mut *blas {
                Some(blas) => blas,
                none => none.insert(Blas::new(&queue.cuda)?),
            };
            let (a, _) = self.bytes.device_ptr(&queue.cuda);
            let (b, _) = b.bytes.device_ptr(&queue.cuda);
            let (c, _) = out.bytes.device_ptr_mut(&queue.cuda);
            // SAFETY: memories of m x k, k x n and m x n elements of type T.
            unsafe { blas.multiply::<T>(shape, a, b, c) }
        })?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_what_there_is_and_are_bounded() {
        for (n, expected) in [(1, 1), (256, 1), (257, 2), (1 << 18, 1024), (1 << 40, 1024)] {
            assert_eq!(blocks(n), expected, "{n}");
        }
    }

    #[test]
    fn the_kernels_are_written_for_as_many_threads() {
        assert!(include_str!("kernels.cu").contains(&format!("#define THREADS {THREADS}\n")));
    }
}
