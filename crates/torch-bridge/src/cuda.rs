//! CUDA without being linked to it: the same program serves with and without.
//!
//! libtorch's CUDA half registers its kernels when it is loaded, so loading `libtorch_cuda.so` (of the same wheel as
//! `libtorch_cpu.so`, on the library path) into the process is all that is needed.
#![expect(unsafe_code, reason = "a shared library's initialisers run when it is loaded")]

use std::sync::OnceLock;

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

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
