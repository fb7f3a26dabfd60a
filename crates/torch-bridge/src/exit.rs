//! The end of a process whose threads may still compute.
#![expect(unsafe_code, reason = "_exit is a C function")]

/// Ends the process at once, without the destructors of its libraries: they would take away what threads still use that
/// compute in libtorch.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit may be called at any time, from any thread; nothing of this process runs after it.
    unsafe { libc::_exit(code.into()) }
}
