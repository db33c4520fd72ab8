//! The kernels' source text, made into machine code of one kind of device.

use std::ffi::{CStr, CString};

use cudarc::nvrtc::{result, sys};

use super::library::NVRTC;
use crate::gpu::Error;

const SOURCE: &str = include_str!("kernels.cu");

/// Compiles the kernels for devices of a compute capability, some 200 ms. It needs no device.
///
/// Machine code rather than PTX: a driver that is older than NVRTC refuses PTX, but runs machine code of the same major version.
pub(super) fn kernels((major, minor): (u32, u32)) -> Result<Vec<u8>, Error> {
    NVRTC.load()?;
    let failed = |error: result::NvrtcError| failed(format!("{error:?}"));
    let source = CString::new(SOURCE).expect("the source has no NUL");
    let program = Program(result::create_program(&source, Some(c"covet-simd")).map_err(failed)?);
    let options = [format!("--gpu-architecture=sm_{major}{minor}")];
    // SAFETY: a program that is alive, here and below; the vector has the size that NVRTC states.
    unsafe {
        if let Err(error) = result::compile_program(program.0, &options) {
            return Err(self::failed(format!("{error:?}; {}", program.log())));
        }
        let mut size = 0;
        sys::nvrtcGetCUBINSize(program.0, &mut size)
            .result()
            .map_err(failed)?;
        let mut code = vec![0_u8; size];
        sys::nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast())
            .result()
            .map_err(failed)?;
        Ok(code)
    }
}

fn failed(reason: String) -> Error {
    Error::Driver {
        doing: "NVRTC compiling the kernels",
        reason,
    }
}

struct Program(sys::nvrtcProgram);

impl Program {
    /// What the compiler has to say.
    fn log(&self) -> String {
        // SAFETY: a program that is alive; NVRTC ends its text with NUL, and one is added in case it has none.
        unsafe {
            let mut text = result::get_program_log(self.0).unwrap_or_default();
            text.push(0);
            CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: it is not used again. Nothing can be done about an error.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::Element;
    use crate::op::Unary;

    /// Whether the machine code has a symbol of this name.
    fn has(code: &[u8], name: &str) -> bool {
        let symbol = [&[0], name.as_bytes(), &[0]].concat();
        code.windows(symbol.len()).any(|part| part == symbol)
    }

    fn check<T: Element>(code: &[u8]) {
        for op in Unary::ALL.iter().filter(|op| op.supports::<T>()) {
            let name = super::super::kernel_name::<T>(op.name());
            assert!(has(code, &name), "{name}");
        }
        for operation in ["axpy", "sums", "total"] {
            let name = super::super::kernel_name::<T>(operation);
            assert!(has(code, &name), "{name}");
        }
    }

    #[test]
    #[ignore = "needs NVRTC"]
    fn every_kernel_compiles_for_every_generation_since_ampere() {
        for capability in [(8, 0), (8, 9), (9, 0), (10, 0), (12, 0)] {
            match kernels(capability) {
                Ok(code) => {
                    check::<f32>(&code);
                    check::<f64>(&code);
                    check::<i32>(&code);
                    check::<i64>(&code);
                }
                // Older compilers do not know newer devices.
                Err(Error::Driver { reason, .. }) if reason.contains("INVALID_OPTION") => {
                    assert!(capability >= (10, 0), "{reason}");
                }
                Err(error) => panic!("{capability:?}: {error}"),
            }
        }
    }
}
