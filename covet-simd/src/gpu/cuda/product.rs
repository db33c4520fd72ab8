//! Products of matrices, by cuBLAS.

use std::ffi::c_int;
use std::sync::Arc;

use cudarc::cublas::result::{self, CublasError};
use cudarc::cublas::sys::{cublasHandle_t, cublasOperation_t::CUBLAS_OP_N};
use cudarc::driver::CudaStream;
use cudarc::driver::sys::CUdeviceptr;

use super::library::CUBLAS;
use crate::element::Float;
use crate::gpu::Error;

/// cuBLAS's state for one stream.
#[derive(Debug)]
pub(super) struct Blas {
    handle: cublasHandle_t,
    stream: Arc<CudaStream>,
}

// SAFETY: a handle may be used by any thread, by one at a time: calls take `&mut`.
unsafe impl Send for Blas {}

impl Blas {
    pub(super) fn new(stream: &Arc<CudaStream>) -> Result<Self, Error> {
        CUBLAS.load()?;
        bind(stream)?;
        let blas = Self {
            handle: result::create_handle().map_err(failed)?,
            stream: Arc::clone(stream),
        };
        // SAFETY: a handle and a stream of the same device, which is kept as long as the handle.
        unsafe { result::set_stream(blas.handle, stream.cu_stream().cast()) }.map_err(failed)?;
        Ok(blas)
    }

    /// Queues C = A B of m x k and k x n elements, each matrix row by row.
    ///
    /// # Safety
    /// `a`, `b` and `c` are memory of the stream's device with so many elements of type `T`, `c` of its own; no length is 0 or
    /// beyond what cuBLAS counts.
    pub(super) unsafe fn multiply<T: Float>(
        &mut self,
        shape: [usize; 3],
        a: CUdeviceptr,
        b: CUdeviceptr,
        c: CUdeviceptr,
    ) -> Result<(), Error> {
        bind(&self.stream)?;
        let Columns { m, n, k } = Columns::of_rows(shape);
        // B is A, and A is B, for what cuBLAS takes for columns.
        macro_rules! multiply {
            ($gemm:path, $type:ty) => {
                $gemm(
                    self.handle,
                    CUBLAS_OP_N,
                    CUBLAS_OP_N,
                    m,
                    n,
                    k,
                    &1.0,
                    b as *const $type,
                    m,
                    a as *const $type,
                    k,
                    &0.0,
                    c as *mut $type,
                    m,
                )
            };
        }
        // SAFETY: as promised; there are two types of floats, of different size.
        let done = unsafe {
            match size_of::<T>() {
                4 => multiply!(result::sgemm, f32),
                _ => multiply!(result::dgemm, f64),
            }
        };
        done.map_err(failed)
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        let _ = bind(&self.stream);
        // SAFETY: it is not used again. Nothing can be done about an error.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// The lengths that cuBLAS is told.
///
/// cuBLAS takes matrices column by column, where what lies row by row is the transposed matrix. So it is asked for
/// C' = B' A', of n x k and k x m elements, which it writes column by column: that is C, row by row.
#[derive(Debug, PartialEq)]
struct Columns {
    m: c_int,
    n: c_int,
    k: c_int,
}

impl Columns {
    fn of_rows([m, k, n]: [usize; 3]) -> Self {
        Self {
            m: n as c_int,
            n: m as c_int,
            k: k as c_int,
        }
    }
}

fn bind(stream: &CudaStream) -> Result<(), Error> {
    let bound = stream.context().bind_to_thread();
    bound.map_err(super::driver("turning to a CUDA device"))
}

fn failed(error: CublasError) -> Error {
    Error::Driver {
        doing: "multiplying by cuBLAS",
        reason: format!("{:?}", error.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cuBLAS does without transposition, alpha 1 and beta 0: column by column.
    fn gemm(
        Columns { m, n, k }: &Columns,
        (a, lda): (&[f64], usize),
        (b, ldb): (&[f64], usize),
        (c, ldc): (&mut [f64], usize),
    ) {
        for column in 0..*n as usize {
            for row in 0..*m as usize {
                c[column * ldc + row] = (0..*k as usize)
                    .map(|i| a[i * lda + row] * b[column * ldb + i])
                    .sum();
            }
        }
    }

    #[test]
    fn a_product_of_columns_is_one_of_rows() {
        let [m, k, n] = [2, 3, 4];
        let a: Vec<f64> = (1..=6).map(f64::from).collect();
        let b: Vec<f64> = (1..=12).map(f64::from).collect();
        let mut c = vec![0.0; m * n];
        let columns = Columns::of_rows([m, k, n]);
        gemm(&columns, (&b, n), (&a, k), (&mut c, n));
        let expected = [38.0, 44.0, 50.0, 56.0, 83.0, 98.0, 113.0, 128.0];
        assert_eq!(c, expected);
    }
}
