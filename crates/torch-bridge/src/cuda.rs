//! CUDA without being linked to it: the same program serves with and without.
//!
//! libtorch's CUDA half registers its kernels when it is loaded, so loading `libtorch_cuda.so` (of the same wheel as
//! `libtorch_cpu.so`, on the library path) into the process is all that is needed. What the machine has is asked of
//! NVIDIA's driver itself, which can answer where libtorch cannot start: it says *why* there is no device.
#![expect(
    unsafe_code,
    reason = "shared libraries are loaded at run time, and NVIDIA's driver is called"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint};
use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};

use tch::Tensor;

use crate::error::Result;
use crate::ffi::{self, check, own_tensor, produce};

/// Loads libtorch's CUDA half, once a process.
///
/// # Errors
/// The loader's words when the library, or one that it needs, is not there.
pub fn load_cuda() -> std::result::Result<(), &'static str> {
    static LOADED: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    let outcome = LOADED.get_or_init(|| {
        // SAFETY: the initialisers are libtorch's own, made to run at load; the handle is never closed, so nothing
        // that they registered dangles.
        let library = unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) };
        library.map(std::mem::forget).map_err(|e| e.to_string())
    });
    outcome.as_ref().map_err(String::as_str).copied()
}

/// From now on, what this thread computes on CUDA device `index` goes to a stream of its own.
///
/// # Errors
/// [`BridgeError::Torch`](crate::BridgeError::Torch) when libtorch's CUDA half is not loaded, or the device not there.
pub fn use_own_stream(index: usize) -> Result<()> {
    let index = c_int::try_from(index).unwrap_or(c_int::MAX);
    // SAFETY: the call takes a number, and changes state of the calling thread alone.
    check(unsafe { ffi::bridge_cuda_own_stream(index) })
}

/// A copy of the CPU tensor `tensor` in page-locked memory, from which a GPU copies without a stop.
///
/// # Errors
/// [`BridgeError::Torch`](crate::BridgeError::Torch) when libtorch's CUDA half is not loaded.
pub fn pinned(tensor: &Tensor) -> Result<Tensor> {
    // SAFETY: the tensor lives through the call, which only reads it; what is handed out is owned by the new one.
    produce(|out| unsafe { ffi::bridge_cuda_pinned(tensor.as_ptr(), out) }).map(own_tensor)
}

/// Says whether convolutions and matrix products of f32 tensors may be computed with TF32's 10 bits of mantissa on GPUs
/// that have it. libtorch allows it for convolutions unless it is told otherwise; it holds for the whole process.
///
/// # Errors
/// None that are known; libtorch's words.
pub fn allow_tf32(allowed: bool) -> Result<()> {
    // SAFETY: the call takes a flag, and stores it.
    check(unsafe { ffi::bridge_cuda_allow_tf32(allowed) })
}

/// A GPU as NVIDIA's driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CudaDevice {
    /// `NVIDIA A10G`
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (u32, u32),
    /// Bytes.
    pub memory: u64,
}

/// What NVIDIA's driver says of itself and of its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CudaDriver {
    /// The newest CUDA that it can run: major, minor.
    pub version: (u32, u32),
    /// In the order in which `cuda:0`, `cuda:1` … name them.
    pub devices: Vec<CudaDevice>,
}

const CAPABILITY_MAJOR: c_int = 75;
const CAPABILITY_MINOR: c_int = 76;
const NAME_LENGTH: usize = 256;

impl CudaDriver {
    /// Asks the driver behind `library`, which is `libcuda.so.1` but in tests.
    ///
    /// # Errors
    /// In words: there is no driver, or what it answered.
    pub fn ask(library: impl AsRef<OsStr>) -> std::result::Result<Self, String> {
        // SAFETY: the driver's initialisers are made to run at load.
        let library = unsafe { Library::open(Some(library), RTLD_NOW) }
            .map_err(|e| format!("there is no NVIDIA driver ({e})"))?;
        let driver = Calls { library };
        // SAFETY: these are the driver's documented signatures; every pointer is to a local that outlives its call.
        unsafe {
            driver.call("cuInit", |init: unsafe extern "C" fn(c_uint) -> c_int| init(0))?;
            let version = driver.number(
                "cuDriverGetVersion",
                |get: unsafe extern "C" fn(*mut c_int) -> c_int, out| get(out),
            )?;
            let count = driver.number(
                "cuDeviceGetCount",
                |get: unsafe extern "C" fn(*mut c_int) -> c_int, out| get(out),
            )?;
            let version = u32::try_from(version).unwrap_or(0);
            Ok(Self {
                version: (version / 1000, version % 1000 / 10),
                devices: (0..count)
                    .map(|index| driver.device(index))
                    .collect::<Result<_, _>>()?,
            })
        }
    }
}

/// The driver's functions, found by name.
struct Calls {
    library: Library,
}

impl Calls {
    /// Calls the function `name`, which answers 0 for success.
    ///
    /// # Safety
    /// `F` is the function's signature, and `call` keeps to it.
    unsafe fn call<F: Copy>(
        &self,
        name: &str,
        call: impl FnOnce(F) -> c_int,
    ) -> std::result::Result<(), String> {
        // SAFETY: as the caller promises.
        let function: Symbol<F> = unsafe { self.library.get(name.as_bytes()) }
            .map_err(|e| format!("NVIDIA's driver has no {name} ({e})"))?;
        match call(*function) {
            0 => Ok(()),
            code => Err(format!(
                "NVIDIA's driver failed at {name}: error {code}{}",
                self.words(code)
            )),
        }
    }

    /// [`Calls::call`] of a function that writes a number.
    ///
    /// # Safety
    /// As [`Calls::call`].
    unsafe fn number<F: Copy>(
        &self,
        name: &str,
        call: impl FnOnce(F, *mut c_int) -> c_int,
    ) -> std::result::Result<c_int, String> {
        let mut out = 0;
        // SAFETY: as the caller promises.
        unsafe { self.call(name, |function| call(function, &raw mut out)) }?;
        Ok(out)
    }

    /// The driver's words for an error.
    fn words(&self, code: c_int) -> String {
        type GetErrorString = unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int;
        let mut text = std::ptr::null();
        // SAFETY: the documented signature; the text is the driver's own and constant.
        unsafe {
            let Ok(get) = self.library.get::<GetErrorString>(b"cuGetErrorString") else {
                return String::new();
            };
            if get(code, &raw mut text) != 0 || text.is_null() {
                return String::new();
            }
            format!(", {}", CStr::from_ptr(text).to_string_lossy())
        }
    }

    fn device(&self, index: c_int) -> std::result::Result<CudaDevice, String> {
        type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
        type GetName = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
        type GetMemory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
        type GetAttribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
        let mut name = [0; NAME_LENGTH];
        let mut memory = 0;
        // SAFETY: these are the driver's documented signatures; every pointer is to a local that outlives its call,
        // and the name's buffer is as long as is said and ends in a NUL byte.
        unsafe {
            let device = self.number("cuDeviceGet", |get: Get, out| get(out, index))?;
            self.call("cuDeviceGetName", |get: GetName| {
                get(name.as_mut_ptr(), NAME_LENGTH as c_int, device)
            })?;
            self.call("cuDeviceTotalMem_v2", |get: GetMemory| {
                get(&raw mut memory, device)
            })?;
            let attribute = |which| {
                self.number("cuDeviceGetAttribute", |get: GetAttribute, out| {
                    get(out, which, device)
                })
                .map(|value| u32::try_from(value).unwrap_or(0))
            };
            name[NAME_LENGTH - 1] = 0;
            Ok(CudaDevice {
                name: CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned(),
                capability: (attribute(CAPABILITY_MAJOR)?, attribute(CAPABILITY_MINOR)?),
                memory: memory as u64,
            })
        }
    }
}
